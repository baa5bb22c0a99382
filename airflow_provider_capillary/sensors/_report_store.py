"""What the runs of a sensor have reported, a second time beside XCom: in the state store of an asset, on Airflow 3.3 and later.

``airflow db clean`` removes XComs, with those of the runs that it removes. Asset state is what Airflow has for a watermark that runs share:
it is kept until no DAG names the asset any more. All sensors share one asset, which they name among their inlets, because Airflow keeps
state only for an asset that a DAG names; it is in the UI's list of assets, and no event comes of it.

The key is ``dag_id/task_id/map_index``; its value holds the latest few reports, so that a run that is cleared still finds what was
reported before it:

.. code-block:: json

    [{"run_id": "scheduled__2025-09-18T05:00:00+00:00", "moment": 1758171600000, "memory": {"floor": 0, "watermark": 1758171830946}}]
"""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.timestamps import parse_timestamp, to_millis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["load_report", "save_report", "with_asset"]

logger = logging.getLogger(__name__)

NAME: Final = "capillary_event_status_sensor"
URI: Final = "capillary://event-status-sensor"
MOST_REPORTS: Final = 10
LARGEST: Final = 60_000
"""Characters, just below where Airflow begins to warn (``[state_store] max_value_storage_bytes``)."""
FEWEST_REPORTS: Final = 2
"""So many are kept at any size."""


def with_asset(inlets: object) -> list[Any]:
    """Inlets of a task, and the asset; only what was given before Airflow 3.3."""
    given = list(inlets) if isinstance(inlets, list | tuple | set) else [] if inlets is None else [inlets]
    asset = _asset()
    return given if asset is None or asset in given else [*given, asset]


def load_report(context: Mapping[str, Any]) -> Watermark | None:
    """What the runs of this task that Airflow takes for earlier have reported, as far as it is kept here.

    :raises CapillaryError: the note is not what this package writes.
    """
    if (store := _store_of(context)) is None or (own := _own(context)) is None:
        return None
    watermark: Watermark | None = None
    for report in _reports(store.get(_key(context))):
        if report["run_id"] != own["run_id"] and report["moment"] <= own["moment"]:
            watermark = Watermark.from_data(report.get("memory")).merge(watermark)
    return watermark


def save_report(context: Mapping[str, Any], watermark: Watermark) -> None:
    """Keep what this run has reported. Where that fails, there is still the XCom."""
    if (store := _store_of(context)) is None or (own := _own(context)) is None:
        return
    try:
        key = _key(context)
        others = [report for report in _reports(store.get(key)) if report["run_id"] != own["run_id"]]
        store.set(key, _latest([*others, {**own, "memory": watermark.to_data()}]))
    except Exception as error:  # noqa: BLE001  # whatever a state backend raises; its text is not of this package's making
        logger.warning("What was reported is in XCom alone, not in the state of the asset %s (%s)", NAME, type(error).__name__)


@functools.cache
def _asset() -> Any | None:  # noqa: ANN401  # Airflow 3's own
    try:
        from airflow.sdk import Asset
        from airflow.sdk.definitions.context import Context
    except ImportError:
        return None
    return Asset(name=NAME, uri=URI) if "asset_state_store" in Context.__annotations__ else None


def _store_of(context: Mapping[str, Any]) -> Any | None:  # noqa: ANN401
    stores = context.get("asset_state_store")
    try:
        return None if stores is None else stores[_asset()]
    except KeyError:  # somebody has taken the asset from the task's inlets
        return None


def _key(context: Mapping[str, Any]) -> str:
    ti = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    return f"{ti.dag_id}/{ti.task_id}/{-1 if map_index is None else map_index}"


def _own(context: Mapping[str, Any]) -> dict[str, Any] | None:
    """The run itself, and where Airflow puts it among the others: by its logical date, else by when it was to run."""
    dag_run = context.get("dag_run")
    moment = getattr(dag_run, "logical_date", None) or getattr(dag_run, "run_after", None)
    if dag_run is None or moment is None:
        return None
    return {"run_id": dag_run.run_id, "moment": to_millis(parse_timestamp(moment, "logical_date"))}


def _reports(note: object) -> list[dict[str, Any]]:
    reports = [] if note is None else note
    if not isinstance(reports, list) or not all(
        isinstance(report, dict) and isinstance(report.get("run_id"), str) and type(report.get("moment")) is int for report in reports
    ):
        raise CapillaryError(
            f"The reports of earlier runs in the state of the asset {NAME} are unreadable: this package did not write them",
            hint="give the task `since`, or delete its entry from the asset's state",
        )
    return reports


def _latest(reports: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = sorted(reports, key=lambda report: report["moment"])[-MOST_REPORTS:]
    while len(kept) > FEWEST_REPORTS and len(json.dumps(kept)) > LARGEST:
        del kept[0]
    return kept
