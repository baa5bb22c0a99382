"""What a sensor keeps: for later runs, what it has reported; for later tries and pokes of the same run, how far it has come.

What was reported is kept in XCom, as a :class:`~airflow_provider_capillary.polling.watermark.Watermark`. On Airflow 3.3 and later it is
kept a second time, in the state of an asset: ``airflow db clean`` removes the XComs of the runs that it removes, and never asset state.
Airflow keeps state only for an asset that a DAG uses, so all sensors have the same asset among their inlets. The UI lists that asset; it
has no events.

In XCom, runs with a logical date and runs without one (started by an asset, or by hand on Airflow 3) use two keys: Airflow orders each kind
by itself, and the database decides how it orders one kind relative to the other.

In the asset's state, the key is ``dag_id/task_id/map_index``. The value holds the latest few reports, so that a run that is cleared still
finds what was reported before it:

.. code-block:: json

    [{"run_id": "scheduled__2025-09-18T05:00:00+00:00", "moment": 1758171600000, "memory": {"floor": 0, "watermark": 1758171830946}}]
"""

from __future__ import annotations

import functools
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary._airflow import (
    asset_state_store,
    asset_without_providers,
    first_try_number,
    has_asset_state,
    latest_xcom,
    task_state_store,
)
from airflow_provider_capillary.errors import CapillaryError, IntervalError
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.timestamps import parse_timestamp, to_millis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "clear_progress",
    "first_start",
    "first_try_started_at",
    "load_progress",
    "load_watermark",
    "save_progress",
    "save_watermark",
    "with_state_asset",
]

logger = logging.getLogger(__name__)

KEY_SCHEDULED: Final = "capillary_reported"
KEY_UNDATED: Final = "capillary_reported_undated"
KEY_PROGRESS: Final = "capillary_progress"
KEY_FIRST_TRY: Final = "capillary_first_try"

ASSET_NAME: Final = "capillary_event_status_sensor"
ASSET_URI: Final = "capillary://event-status-sensor/"
MOST_REPORTS: Final = 10
LARGEST_REPORTS: Final = 60_000
"""Characters, just below the size from which Airflow warns (``[state_store] max_value_storage_bytes``)."""
FEWEST_REPORTS: Final = 2
"""Reports that are kept whatever their size."""


def with_state_asset(inlets: object) -> list[Any]:
    """The inlets of a task, with the asset whose state holds the reports; before Airflow 3.3, the inlets alone."""
    given = list(inlets) if isinstance(inlets, list | tuple | set) else [] if inlets is None else [inlets]
    asset = _state_asset()
    return given if asset is None or asset in given else [*given, asset]


def load_watermark(context: Mapping[str, Any]) -> Watermark | None:
    """What the earlier runs of this task (dag, task, map index) have reported; ``None`` where none has.

    :raises CapillaryError: a stored value is not what this package writes.
    """
    watermark: Watermark | None = None
    for key in (KEY_SCHEDULED, KEY_UNDATED):
        if (text := latest_xcom(context["ti"], key)) is not None:
            watermark = Watermark.from_json(text).merge(watermark)
    from_asset = _load_from_asset(context)
    return watermark if from_asset is None else from_asset.merge(watermark)


def save_watermark(context: Mapping[str, Any], watermark: Watermark) -> None:
    """Keep what this run has reported, for later runs."""
    key = KEY_UNDATED if context.get("logical_date") is None else KEY_SCHEDULED
    context["ti"].xcom_push(key=key, value=watermark.to_json())
    _save_with_asset(context, watermark)


def first_start(context: Mapping[str, Any]) -> int:
    """Where a run without an earlier report starts: at the start of its data interval, else at the moment the run was created.

    :returns: UTC epoch milliseconds.
    :raises IntervalError: the run has neither.
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and start < end:
        return to_millis(parse_timestamp(start, "data_interval_start"))
    dag_run = context.get("dag_run")
    for name in ("run_after", "queued_at", "start_date"):  # Airflow 2 has no run_after
        if (created_at := getattr(dag_run, name, None)) is not None:
            return to_millis(parse_timestamp(created_at, name))
    raise IntervalError("The run has neither a data interval nor a creation time", hint="give the task since='{{ ... }}'")


def load_progress(context: Mapping[str, Any], fresh: PollState) -> PollState:
    """The state after this run's latest poke, on Airflow 3.3 and later.

    :param fresh: the state of a run without a poke; returned where there was none, and where the task's arguments have changed since.
    """
    store = task_state_store(context)
    text = store.get(KEY_PROGRESS) if store is not None else None
    if not isinstance(text, str):
        return fresh
    try:
        saved = PollState.from_json(text)
    except CapillaryError:
        return fresh

    def arguments(state: PollState) -> tuple[object, ...]:
        return state.event_filter, state.started_at, state.watermark.lateness

    return saved if arguments(saved) == arguments(fresh) else fresh


def save_progress(context: Mapping[str, Any], state: PollState) -> None:
    """Keep the state for this run's next poke, on Airflow 3.3 and later."""
    if (store := task_state_store(context)) is not None:
        store.set(KEY_PROGRESS, state.to_json())


def clear_progress(context: Mapping[str, Any]) -> None:
    """Forget what was kept for this run, so that it starts afresh if it is cleared."""
    if (store := task_state_store(context)) is not None:
        for key in (KEY_PROGRESS, KEY_FIRST_TRY):
            store.delete(key)


def first_try_started_at(context: Mapping[str, Any], retries: int) -> datetime:
    """When the first try of this run started, on Airflow 3.3 and later; before 3.3, when this try started.

    :param retries: the task's ``retries``.
    """
    now = datetime.now(UTC)
    store, ti = task_state_store(context), context["ti"]
    if store is None:
        return now
    if ti.try_number > first_try_number(ti, retries) and isinstance(text := store.get(KEY_FIRST_TRY), str):
        return parse_timestamp(text, KEY_FIRST_TRY)
    store.set(KEY_FIRST_TRY, now.isoformat())
    return now


@functools.cache
def _state_asset() -> Any | None:  # noqa: ANN401  # Airflow 3's Asset
    if not has_asset_state():
        return None
    return asset_without_providers(ASSET_NAME, ASSET_URI)


def _load_from_asset(context: Mapping[str, Any]) -> Watermark | None:
    if (store := asset_state_store(context, _state_asset())) is None or (run := _run_of(context)) is None:
        return None
    watermark: Watermark | None = None
    for report in _checked_reports(store.get(_asset_key(context))):
        if report["run_id"] != run["run_id"] and report["moment"] <= run["moment"]:
            watermark = Watermark.from_data(report.get("memory")).merge(watermark)
    return watermark


def _save_with_asset(context: Mapping[str, Any], watermark: Watermark) -> None:
    if (store := asset_state_store(context, _state_asset())) is None or (run := _run_of(context)) is None:
        return
    try:
        key = _asset_key(context)
        others = [report for report in _checked_reports(store.get(key)) if report["run_id"] != run["run_id"]]
        store.set(key, _latest_reports([*others, {**run, "memory": watermark.to_data()}]))
    except Exception as error:  # noqa: BLE001  # whatever a state backend raises; another library wrote its text
        logger.warning("What was reported is saved in XCom only, not in the state of the asset %s (%s)", ASSET_NAME, type(error).__name__)


def _asset_key(context: Mapping[str, Any]) -> str:
    ti = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    return f"{ti.dag_id}/{ti.task_id}/{-1 if map_index is None else map_index}"


def _run_of(context: Mapping[str, Any]) -> dict[str, Any] | None:
    """The run, and the time that orders it among the others: its logical date, else the time from which it could run."""
    dag_run = context.get("dag_run")
    moment = getattr(dag_run, "logical_date", None) or getattr(dag_run, "run_after", None)
    if dag_run is None or moment is None:
        return None
    return {"run_id": dag_run.run_id, "moment": to_millis(parse_timestamp(moment, "logical_date"))}


def _checked_reports(value: object) -> list[dict[str, Any]]:
    reports = [] if value is None else value
    if not isinstance(reports, list) or not all(
        isinstance(report, dict) and isinstance(report.get("run_id"), str) and type(report.get("moment")) is int for report in reports
    ):
        raise CapillaryError(
            f"The reports of earlier runs in the state of the asset {ASSET_NAME} are unreadable: this package did not write them",
            hint="give the task `since`, or delete its entry from the asset's state",
        )
    return reports


def _latest_reports(reports: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = sorted(reports, key=lambda report: report["moment"])[-MOST_REPORTS:]
    while len(kept) > FEWEST_REPORTS and len(json.dumps(kept)) > LARGEST_REPORTS:
        del kept[0]
    return kept
