"""What a sensor's earlier runs have reported, kept in XCom, and what one run has seen so far, kept where Airflow has a place for it.

On Airflow 3.3 and later, what was reported is kept a second time, where ``airflow db clean`` leaves it: :mod:`._report_store`.

Runs with a logical date and runs without one (triggered by an asset, or by hand on Airflow 3) leave their notes under two keys. Airflow
orders each kind by itself, and the two against one another as the database pleases.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import CapillaryError, IntervalError
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.sensors._report_store import load_report, save_report
from airflow_provider_capillary.timestamps import parse_timestamp, to_millis

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["first_since", "first_try_started_at", "forget_progress", "load_watermark", "note_progress", "progress_of", "save_watermark"]

KEY_SCHEDULED: Final = "capillary_reported"
UNDATED: Final = "capillary_reported_undated"
PROGRESS: Final = "capillary_progress"
FIRST_TRY: Final = "capillary_first_try"


def load_watermark(context: Mapping[str, Any]) -> Watermark | None:
    """What the latest earlier run of this task (dag, task, map index) has reported; ``None`` where none has.

    :raises CapillaryError: the note is not what this package writes.
    """
    ti = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    watermark: Watermark | None = None
    for key in (KEY_SCHEDULED, UNDATED):
        # Without `map_indexes`, Airflow 3 gives a list of all that earlier runs have left.
        note = ti.xcom_pull(task_ids=ti.task_id, key=key, include_prior_dates=True, map_indexes=-1 if map_index is None else map_index)
        if note is not None:
            noted = Watermark.from_json(note)
            watermark = noted.merge(watermark)
    kept = load_report(context)
    return watermark if kept is None else kept.merge(watermark)


def save_watermark(context: Mapping[str, Any], watermark: Watermark) -> None:
    """Leave a note for later runs."""
    key = UNDATED if context.get("logical_date") is None else KEY_SCHEDULED
    context["ti"].xcom_push(key=key, value=watermark.to_json())
    save_report(context, watermark)


def first_since(context: Mapping[str, Any]) -> int:
    """Where the search of a run begins that has no earlier report: the start of its interval, or the moment it was created.

    :returns: UTC epoch milliseconds.
    :raises IntervalError: it has neither.
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and start < end:
        return to_millis(parse_timestamp(start, "data_interval_start"))
    dag_run = context.get("dag_run")
    for name in ("run_after", "queued_at", "start_date"):  # Airflow 2 has no run_after
        if (moment := getattr(dag_run, name, None)) is not None:
            return to_millis(parse_timestamp(moment, name))
    raise IntervalError("Nothing says when the run began", hint="give the task since='{{ ... }}'")


def progress_of(context: Mapping[str, Any], begun: PollState) -> PollState:
    """The search of this run as an earlier poke of it has left it; ``begun`` where none has, or where the task was changed since."""
    store = context.get("task_state_store")
    note = store.get(PROGRESS) if store is not None else None
    if not isinstance(note, str):
        return begun
    try:
        noted = PollState.from_json(note)
    except CapillaryError:
        return begun

    def asked(state: PollState) -> tuple[object, ...]:
        return state.event_filter, state.started_at, state.watermark.lateness

    return noted if asked(noted) == asked(begun) else begun


def note_progress(context: Mapping[str, Any], state: PollState) -> None:
    """Keep the search for the next poke of this run, on Airflow 3.3 and later."""
    if (store := context.get("task_state_store")) is not None:
        store.set(PROGRESS, state.to_json())


def forget_progress(context: Mapping[str, Any]) -> None:
    """Let a run that is cleared begin anew."""
    if (store := context.get("task_state_store")) is not None:
        for key in (PROGRESS, FIRST_TRY):
            store.delete(key)


def first_try_started_at(context: Mapping[str, Any], retries: int) -> datetime:
    """When the first try of this run began, on Airflow 3.3 and later; before, when this one did."""
    now = datetime.now(UTC)
    store, ti = context.get("task_state_store"), context["ti"]
    if store is None:
        return now
    first_try = (getattr(ti, "max_tries", 0) or 0) - retries + 1  # of the first execution, or the first after the task was cleared
    if ti.try_number > first_try and isinstance(noted := store.get(FIRST_TRY), str):
        return parse_timestamp(noted, FIRST_TRY)
    store.set(FIRST_TRY, now.isoformat())
    return now
