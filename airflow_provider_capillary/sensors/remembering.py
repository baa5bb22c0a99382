"""What a sensor's earlier runs have reported, kept in XCom, and what one run has seen so far, kept where Airflow has a place for it.

On Airflow 3.3 and later, what was reported is kept a second time, where ``airflow db clean`` leaves it: :mod:`._report_store`.

Runs with a logical date and runs without one (triggered by an asset, or by hand on Airflow 3) leave their notes under two keys. Airflow
orders each kind by itself, and the two against one another as the database pleases.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import CapillaryError, IntervalError
from airflow_provider_capillary.reading.instants import parse_instant, to_millis
from airflow_provider_capillary.reading.news import Hunt, Memory
from airflow_provider_capillary.sensors._report_store import load_report, save_report

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["begun_at", "first_since", "forget_progress", "note_progress", "note_reported", "progress_of", "reported_before"]

DATED: Final = "capillary_reported"
UNDATED: Final = "capillary_reported_undated"
PROGRESS: Final = "capillary_progress"
FIRST_TRY: Final = "capillary_first_try"


def reported_before(context: Mapping[str, Any]) -> Memory | None:
    """What the latest earlier run of this task (dag, task, map index) has reported; ``None`` where none has.

    :raises CapillaryError: the note is not what this package writes.
    """
    ti = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    memory: Memory | None = None
    for key in (DATED, UNDATED):
        # Without `map_indexes`, Airflow 3 gives a list of all that earlier runs have left.
        note = ti.xcom_pull(task_ids=ti.task_id, key=key, include_prior_dates=True, map_indexes=-1 if map_index is None else map_index)
        if note is not None:
            noted = Memory.from_json(note)
            memory = noted.joined(memory)
    kept = load_report(context)
    return memory if kept is None else kept.joined(memory)


def note_reported(context: Mapping[str, Any], memory: Memory) -> None:
    """Leave a note for later runs."""
    key = UNDATED if context.get("logical_date") is None else DATED
    context["ti"].xcom_push(key=key, value=memory.to_json())
    save_report(context, memory)


def first_since(context: Mapping[str, Any]) -> int:
    """Where the search of a run begins that has no earlier report: the start of its interval, or the moment it was created.

    :returns: UTC epoch milliseconds.
    :raises IntervalError: it has neither.
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and start < end:
        return to_millis(parse_instant(start, "data_interval_start"))
    dag_run = context.get("dag_run")
    for name in ("run_after", "queued_at", "start_date"):  # Airflow 2 has no run_after
        if (moment := getattr(dag_run, name, None)) is not None:
            return to_millis(parse_instant(moment, name))
    raise IntervalError("Nothing says when the run began", cure="give the task since='{{ ... }}'")


def progress_of(context: Mapping[str, Any], begun: Hunt) -> Hunt:
    """The search of this run as an earlier poke of it has left it; ``begun`` where none has, or where the task was changed since."""
    store = context.get("task_state_store")
    note = store.get(PROGRESS) if store is not None else None
    if not isinstance(note, str):
        return begun
    try:
        noted = Hunt.from_json(note)
    except CapillaryError:
        return begun

    def asked(hunt: Hunt) -> tuple[object, ...]:
        return hunt.wanted, hunt.since, hunt.memory.lateness

    return noted if asked(noted) == asked(begun) else begun


def note_progress(context: Mapping[str, Any], hunt: Hunt) -> None:
    """Keep the search for the next poke of this run, on Airflow 3.3 and later."""
    if (store := context.get("task_state_store")) is not None:
        store.set(PROGRESS, hunt.to_json())


def forget_progress(context: Mapping[str, Any]) -> None:
    """Let a run that is cleared begin anew."""
    if (store := context.get("task_state_store")) is not None:
        for key in (PROGRESS, FIRST_TRY):
            store.delete(key)


def begun_at(context: Mapping[str, Any], retries: int) -> datetime:
    """When the first try of this run began, on Airflow 3.3 and later; before, when this one did."""
    now = datetime.now(UTC)
    store, ti = context.get("task_state_store"), context["ti"]
    if store is None:
        return now
    first_try = (getattr(ti, "max_tries", 0) or 0) - retries + 1  # of the first execution, or the first after the task was cleared
    if ti.try_number > first_try and isinstance(noted := store.get(FIRST_TRY), str):
        return parse_instant(noted, FIRST_TRY)
    store.set(FIRST_TRY, now.isoformat())
    return now
