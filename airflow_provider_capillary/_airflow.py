"""What this package uses of Airflow that is new, private, or differs between versions: one small function for each.

Each docstring says since which version of Airflow the interface exists and what the function does before that version.
``tests/test_airflow_interfaces.py`` runs each of them against the installed Airflow and says what broke where a new version changes one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from airflow.triggers.shared_stream import SharedStreamProducer

__all__ = [
    "SharedStreamProducer",
    "add_alias_event",
    "airflow_stats",
    "asset_state_store",
    "asset_without_providers",
    "connection_id_of",
    "database_is_asked",
    "first_try_number",
    "has_asset_state",
    "has_data_intervals",
    "has_filesystem",
    "has_retry_policies",
    "has_shared_streams",
    "is_deferral_timeout",
    "latest_xcom",
    "parse_first_reschedule_date",
    "read_asset_state",
    "stores_of_watched_assets",
    "task_state_store",
    "timetable_settings",
    "with_path",
    "write_asset_state",
]


def __getattr__(name: str) -> object:
    """``SharedStreamProducer``, the base class of what hands events to watchers: since 3.3. ``object`` before.

    Imported when it is first used: a sensor needs other names of this module while its DAG file is parsed, and not that one.
    """
    if name != "SharedStreamProducer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from airflow.triggers.shared_stream import SharedStreamProducer
    except ImportError:
        return object
    return SharedStreamProducer


@contextlib.contextmanager
def database_is_asked() -> Iterator[None]:
    """Connections and variables are looked up in Airflow's database too, outside of any task, as by Airflow's own commands: since 3.1.

    Before, Airflow does so without being told.
    """
    name = "_AIRFLOW_PROCESS_CONTEXT"
    before = os.environ.get(name)
    os.environ[name] = "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def has_retry_policies(operator: object) -> bool:
    """Whether Airflow asks a task's ``retry_policy`` about each error: since 3.3. ``False`` before."""
    return hasattr(operator, "retry_policy")


def has_shared_streams() -> bool:
    """Whether watchers can share one producer that is told which events were stored: since 3.3. ``False`` before."""
    from airflow.providers.common.compat.triggers import BaseEventTrigger

    return hasattr(BaseEventTrigger, "create_shared_stream_producer")


def task_state_store(context: Mapping[str, Any]) -> Any | None:  # noqa: ANN401  # Airflow's TaskStateStoreAccessor
    """The store that one task instance keeps from try to try and from poke to poke: since 3.3. ``None`` before.

    :param context: the context of a running task.
    """
    return context.get("task_state_store")


def has_asset_state() -> bool:
    """Whether a task can read and write the state of the assets among its inlets: since 3.3. ``False`` before."""
    try:
        from airflow.sdk.definitions.context import Context
    except ImportError:
        return False
    return "asset_state_store" in Context.__annotations__


def asset_without_providers(name: str, uri: str) -> Any:  # noqa: ANN401  # Airflow's Asset
    """An asset whose URI is given as Airflow would store it, made without Airflow's search for a provider that normalizes such URIs.

    That search imports every installed provider: a third of a second for each DAG file. Only URIs that begin with ``x-`` are spared it.

    :param uri: in normal form, so with a ``/`` after the host.
    """
    from airflow.providers.common.compat.sdk import Asset

    asset = Asset(name=name, uri=f"x-{uri}")
    object.__setattr__(asset, "uri", uri)
    return asset


def asset_state_store(context: Mapping[str, Any], asset: object) -> Any | None:  # noqa: ANN401  # Airflow's AssetStateStoreAccessor
    """The store of one asset, which outlives runs: since 3.3. ``None`` before, and where the task does not have the asset among its inlets.

    :param context: the context of a running task.
    :param asset: one of the task's inlets.
    """
    stores = context.get("asset_state_store")
    try:
        return None if stores is None else stores[asset]
    except KeyError:
        return None


def stores_of_watched_assets(stores: Any, asset_name: str | None) -> Sequence[Any]:  # noqa: ANN401  # Airflow's AssetStateStoreAccessors
    """The state stores of the assets that a trigger watches: since 3.3.

    Two assets whose watchers have equal arguments share one trigger. Airflow lists their stores in private attributes only.

    :param stores: the trigger's ``asset_state_store``; ``None`` where it watches no asset.
    :param asset_name: the asset whose store to use in place of those; by Airflow's own class, which has no public constructor.
    :returns: nothing where the trigger watches no asset.
    """
    if asset_name is not None:
        from airflow.sdk.execution_time.context import AssetStateStoreAccessor

        return [AssetStateStoreAccessor(name=asset_name)]
    if stores is None:
        return []
    return [*getattr(stores, "_by_name", {}).values(), *getattr(stores, "_by_uri", {}).values()] or [stores]


async def read_asset_state(store: Any, key: str) -> object:  # noqa: ANN401  # an object of Airflow's own
    """One value of an asset's store, read on an event loop: by ``aget`` since 3.3.2. In 3.3.0 and 3.3.1, by ``get`` in a thread."""
    if hasattr(store, "aget"):
        return await store.aget(key)
    from asgiref.sync import sync_to_async

    return await sync_to_async(store.get)(key)


async def write_asset_state(store: Any, key: str, value: str) -> None:  # noqa: ANN401  # an object of Airflow's own
    """Write one value of an asset's store on an event loop: by ``aset`` since 3.3.2. In 3.3.0 and 3.3.1, by ``set`` in a thread."""
    if hasattr(store, "aset"):
        await store.aset(key, value)
        return
    from asgiref.sync import sync_to_async

    await sync_to_async(store.set)(key, value)


def add_alias_event(accessor: Any, asset: object, extra: dict[str, Any]) -> None:  # noqa: ANN401  # an object of Airflow's own
    """Add an event of an asset to an asset alias: in every version.

    Airflow 2, 3.0 and the first 3.1 hash each value of the extra after the task has succeeded, and fail the task if that is impossible.
    There, a value that is a dict or a list becomes its JSON text.

    :param accessor: of the alias in the task's ``outlet_events``.
    """
    if _airflow_hashes_extras():
        extra = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in extra.items()}
    accessor.add(asset, extra=extra)


def _airflow_hashes_extras() -> bool:
    try:
        from airflow.sdk.definitions.asset import AssetAliasEvent
    except ImportError:
        return True
    # This field came with the change that ended the hashing.
    return "dest_asset_extra" not in AssetAliasEvent.__annotations__


def airflow_stats() -> Any:  # noqa: ANN401  # of another class in each version
    """Airflow's metrics client, which sends what ``[metrics]`` of Airflow's configuration says: in every version.

    Since 3.2, Airflow sets up the metrics of its SDK in the process of a task. In the process that runs triggers it does so only with the
    first trigger whose arguments it decodes, and drops in silence what was sent before. This function sets the client up where nobody has,
    as Airflow's own serializers do. Before 3.2 the client sets itself up.
    """
    from airflow.providers.common.compat.sdk import Stats, conf

    stats = cast("Any", Stats)
    try:
        from airflow.sdk.observability.metrics import stats_utils
    except ImportError:
        return stats
    utils = cast("Any", stats_utils)
    # Airflow 3.2 keeps the factory in the class, and there the one that drops everything, too; later versions keep it in the module.
    where = sys.modules[stats.__module__]
    if not hasattr(where, "_factory") and stats.factory in (None, utils.NoStatsLogger):
        stats.initialize(factory=utils.get_stats_factory(stats))
    elif getattr(where, "_factory", False) is None:
        legacy_names = conf.getboolean("metrics", "legacy_names_on", fallback=True)
        stats.initialize(factory=utils.get_stats_factory(), export_legacy_names=legacy_names)
    return stats


def latest_xcom(ti: Any, key: str) -> object:  # noqa: ANN401  # the task instance of either version
    """What the latest earlier run of this task, or this run, pushed under a key; ``None`` where none has: in every version.

    ``include_prior_dates`` orders runs by logical date. Without ``map_indexes``, Airflow 3 returns a list with one value for each run.

    :param ti: the running task instance.
    """
    map_index = getattr(ti, "map_index", -1)
    return ti.xcom_pull(task_ids=ti.task_id, key=key, include_prior_dates=True, map_indexes=-1 if map_index is None else map_index)


def parse_first_reschedule_date(ti: Any) -> None:  # noqa: ANN401  # an object of Airflow's own
    """Let a sensor in mode reschedule get the time of its first poke as a datetime: from Airflow itself since 3.1.

    In ``dag.test()`` of 3.0, Airflow passes that time on as the API's text. Each sensor that has to wait after its second poke then fails
    with a ``TypeError``. A deployed task of 3.0 gets a datetime. Airflow 2 looks the time up in the database.

    :param ti: the running task instance.
    """
    from airflow import __version__

    if not __version__.startswith("3.0."):
        return
    ask = ti.get_first_reschedule_date

    def ask_and_parse(context: object) -> datetime | None:
        answer = ask(context)
        return datetime.fromisoformat(answer) if isinstance(answer, str) else answer

    object.__setattr__(ti, ask.__name__, ask_and_parse)  # past pydantic, which allows only its fields


def first_try_number(ti: Any, retries: int) -> int:  # noqa: ANN401  # an object of Airflow's own
    """The number of the first try, counted from when the task was last cleared: in every version.

    Airflow does not say it. It raises ``max_tries`` by the task's retries when a task is cleared, and goes on counting ``try_number``.

    :param ti: the running task instance.
    :param retries: the task's ``retries``.
    """
    return (getattr(ti, "max_tries", 0) or 0) - retries + 1


def is_deferral_timeout(error: Exception, next_method: str, next_kwargs: Mapping[str, Any] | None) -> bool:
    """Whether a sensor was resumed because the timeout of its deferral is over.

    Since 3.0, ``BaseSensorOperator.resume_execution`` raises ``AirflowSensorTimeout``. Airflow 2 raises ``TaskDeferralError`` for a timeout
    and for a trigger that failed; there, only the latter comes with an entry for the trigger's traceback.

    :param error: what ``BaseSensorOperator.resume_execution`` raised, or the error that it turned into a skip.
    :param next_method: as Airflow passed it to ``resume_execution``.
    :param next_kwargs: as Airflow passed it to ``resume_execution``.
    """
    from airflow.providers.common.compat.sdk import AirflowSensorTimeout

    if isinstance(error, AirflowSensorTimeout):
        return True
    try:
        import airflow.sdk  # noqa: F401  # since 3.0
    except ImportError:
        return next_method == "__fail__" and "traceback" not in (next_kwargs or {})
    return False


def has_filesystem(scheme: str) -> bool:
    """Whether an installed provider has a filesystem for URIs of this scheme (Airflow's ``has_fs``)."""
    from airflow.providers.common.compat.sdk import io  # type: ignore[attr-defined]  # exported lazily

    if hasattr(io, "has_fs"):
        return bool(io.has_fs(scheme))
    # Airflow 3.0 moved ObjectStoragePath to the SDK, and not this function.
    from airflow.io import has_fs  # type: ignore[attr-defined]  # there alone

    return bool(has_fs(scheme))


def connection_id_of(path: ObjectStoragePath) -> str | None:
    """The connection id of a path, which Airflow 2 has in ``storage_options`` alone."""
    return getattr(path, "conn_id", None) or path.storage_options.get("conn_id")


def with_path(path: ObjectStoragePath, text: str) -> ObjectStoragePath:
    """The path with another text, and with the same connection and options: as Airflow does it after rendering a template."""
    return path.deserialize(data=path.serialize() | {"path": text}, version=path.__version__)


def has_data_intervals(timetable: object) -> bool:
    """Whether the runs of a timetable have a data interval that is not empty, by its class name and settings."""
    return "DataIntervalTimetable" in type(timetable).__name__ or bool(timetable_settings(timetable).get("interval"))


def timetable_settings(timetable: object) -> dict[str, Any]:
    """What a timetable was made with: its attributes on Airflow 3, its serialized form on Airflow 2.

    :return: those of ``expression``, ``timezone``, ``delta`` and ``interval`` that the timetable has.
    """
    names = ("expression", "timezone", "delta", "interval")
    settings = {name: value for name in names if (value := getattr(timetable, name, None)) is not None}
    serialize = getattr(timetable, "serialize", None)
    if not settings and serialize is not None:
        serialized = serialize()
        settings = {name: value for name in names if (value := serialized.get(name)) is not None}
        for name in ("delta", "interval"):
            if isinstance(settings.get(name), int | float):
                settings[name] = timedelta(seconds=settings[name])
    return settings
