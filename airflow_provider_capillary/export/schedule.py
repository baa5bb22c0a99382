"""The hint for a run without an interval: the one line of the DAG to change, with the DAG's own schedule and zone.

Only ``CronDataIntervalTimetable`` is equal to a cron schedule. An interval of a fixed length is not, where clocks change: at 00:00 on
27 October 2025 in London, ``timedelta(days=1)`` goes back to 00:00 UTC on the 26th, and the first hour of the local 26th is in no object.
So the hint proposes neither ``lookback`` nor ``CronTriggerTimetable(interval=...)`` in its place.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary._airflow import has_data_intervals, timetable_settings
from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_written", "hint_for_empty_interval", "hint_for_no_interval"]

_EXPLICIT: Final = "give the task start=... and end=..."


def hint_for_empty_interval(context: Mapping[str, Any]) -> str:
    """What to change where the run's data interval is empty."""
    schedule, dag_id = _schedule_with_intervals(context), _dag_id(context)
    if schedule is None:
        hint = f"{_EXPLICIT}, or lookback=... for the length of what each run exports"
        if has_data_intervals(_timetable(context)):
            return hint
        example = f"CronDataIntervalTimetable('0 0 * * *', timezone={_zone(_timezone_of_dag(context))})"
        return f"{hint}, or the DAG a schedule whose runs have an interval, as schedule={example}"
    return (
        f"give the DAG the same schedule with intervals, schedule={schedule}, or {_EXPLICIT}. The time of the empty runs, up to the "
        "first run with an interval, stays unexported, and a backfill skips dates that have a run: delete the empty runs, then "
        f"`airflow backfill create --dag-id {dag_id} --from-date ... --to-date {_end(context)}`, from the start of the first missing "
        f"interval (Airflow 2: `airflow dags backfill -s ... -e ... {dag_id}`)"
    )


def hint_for_no_interval(context: Mapping[str, Any]) -> str:
    """What to change where the run has no data interval: on Airflow 3, a run without a date."""
    schedule = _schedule_with_intervals(context)
    hints = [_EXPLICIT, "or lookback=... to export the time of that length before the run"]
    if schedule is not None or has_data_intervals(_timetable(context)):
        moment = getattr(context.get("dag_run"), "run_after", None)
        date = format_timestamp(moment.replace(microsecond=0)) if isinstance(moment, datetime) else "2025-09-18T00:00:00Z"
        hints.insert(
            0,
            f"trigger the run with a date, `airflow dags trigger {_dag_id(context)} --logical-date {date}`, which exports the schedule's "
            "last whole interval, or",
        )
    if schedule is not None:
        hints.append(f"(the schedule itself gives empty intervals as well: make it schedule={schedule})")
    return " ".join(hints).replace("end=... or", "end=..., or")


def as_written(duration: timedelta) -> str:
    """A duration as it is written in a DAG: ``timedelta(days=1)``, ``timedelta(hours=1, minutes=30)``.

    >>> as_written(timedelta(minutes=90))
    'timedelta(hours=1, minutes=30)'
    """
    if duration < timedelta():
        return f"-{as_written(-duration)}"
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = {"days": duration.days, "hours": hours, "minutes": minutes, "seconds": seconds, "microseconds": duration.microseconds}
    return f"timedelta({', '.join(f'{name}={value}' for name, value in parts.items() if value) or '0'})"


def _schedule_with_intervals(context: Mapping[str, Any]) -> str | None:
    """The DAG's schedule as a timetable whose runs have an interval; ``None`` where they have one already, or none such is known."""
    timetable = _timetable(context)
    if has_data_intervals(timetable):
        return None
    settings = timetable_settings(timetable)
    if expression := settings.get("expression"):
        return f"CronDataIntervalTimetable({expression!r}, timezone={_zone(settings.get('timezone') or _timezone_of_dag(context))})"
    if isinstance(delta := settings.get("delta"), timedelta):
        return f"DeltaDataIntervalTimetable({as_written(delta)})"
    return None


def _timetable(context: Mapping[str, Any]) -> object:
    return getattr(context.get("dag"), "timetable", None)


def _end(context: Mapping[str, Any]) -> str:
    end = context.get("data_interval_end")
    return format_timestamp(end) if isinstance(end, datetime) else "..."


def _dag_id(context: Mapping[str, Any]) -> str:
    return getattr(context.get("dag"), "dag_id", None) or "DAG_ID"


def _timezone_of_dag(context: Mapping[str, Any]) -> object:
    return getattr(context.get("dag"), "timezone", None)


def _zone(timezone: object) -> str:
    """A zone as a timetable takes it."""
    if isinstance(timezone, int):
        return f"pendulum.timezone({timezone})"
    name = getattr(timezone, "name", timezone)
    if name is None:
        return "'UTC'"
    if isinstance(offset := getattr(timezone, "offset", None), int):
        return f"pendulum.timezone({offset})"
    return repr(str(name))
