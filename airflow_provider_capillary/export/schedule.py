"""What to change in the DAG at hand so that its runs have an interval: the one line, with its own schedule and zone.

``CronDataIntervalTimetable`` alone is equal to a cron schedule. An interval of a fixed length is not, where clocks change: before 00:00 on
27 October 2025 in London, ``timedelta(days=1)`` reaches back to 00:00 UTC on the 26th, and the hour before, the first of the local
26th, is in no object. So neither ``lookback`` nor ``CronTriggerTimetable(interval=...)`` is proposed in its place.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_written", "cure_of_an_empty_interval", "cure_of_no_interval"]

_EXPLICIT: Final = "give the task start=... and end=..."


def cure_of_an_empty_interval(context: Mapping[str, Any]) -> str:
    """What to change where a run's interval starts when it ends."""
    schedule, dag_id = _schedule_with_intervals(context), _dag_id(context)
    if schedule is None:
        hint = f"{_EXPLICIT}, or lookback=... for the length of what each run exports"
        if _has_intervals(_timetable(context)):
            return hint
        example = f"CronDataIntervalTimetable('0 0 * * *', timezone={_zone(_timezone_of_dag(context))})"
        return f"{hint}, or the DAG a schedule whose runs have an interval, as schedule={example}"
    return (
        f"give the DAG the same schedule with intervals, schedule={schedule}, or {_EXPLICIT}. What the empty runs left out, up to the "
        "first run with an interval, is not made up for, and a backfill passes over dates that have a run: delete the empty runs, then "
        f"`airflow backfill create --dag-id {dag_id} --from-date ... --to-date {_end(context)}`, from the start of the first interval that "
        f"is missing (Airflow 2: `airflow dags backfill -s ... -e ... {dag_id}`)"
    )


def cure_of_no_interval(context: Mapping[str, Any]) -> str:
    """What to do where a run has no interval at all: on Airflow 3, one without a date."""
    schedule = _schedule_with_intervals(context)
    hints = [_EXPLICIT, "or lookback=... to export what lies that long before the run"]
    if schedule is not None or _has_intervals(_timetable(context)):
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
    """The schedule of the DAG, as one whose runs have an interval; ``None`` where it has some, or none can be told."""
    timetable = _timetable(context)
    if _has_intervals(timetable):
        return None
    settings = _settings(timetable)
    if expression := settings.get("expression"):
        return f"CronDataIntervalTimetable({expression!r}, timezone={_zone(settings.get('timezone') or _timezone_of_dag(context))})"
    if isinstance(delta := settings.get("delta"), timedelta):
        return f"DeltaDataIntervalTimetable({as_written(delta)})"
    return None


def _has_intervals(timetable: object) -> bool:
    return "DataIntervalTimetable" in type(timetable).__name__ or bool(_settings(timetable).get("interval"))


def _settings(timetable: object) -> dict[str, Any]:
    """What a timetable was made with: attributes on Airflow 3, what it serializes to on Airflow 2."""
    names = ("expression", "timezone", "delta", "interval")
    found = {name: value for name in names if (value := getattr(timetable, name, None)) is not None}
    serialize = getattr(timetable, "serialize", None)
    if not found and serialize is not None:
        serialized = serialize()
        found = {name: value for name in names if (value := serialized.get(name)) is not None}
        for name in ("delta", "interval"):
            if isinstance(found.get(name), int | float):
                found[name] = timedelta(seconds=found[name])
    return found


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
