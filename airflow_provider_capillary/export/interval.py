"""The interval that a run exports.

On Airflow 3 many runs have no data interval, and the most common schedules give an interval of zero length. An export that accepted it
would write an empty object every day and succeed. So the interval is explicit, or it follows from the run, or the run fails with an error
that shows which line of the DAG to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import IntervalError
from airflow_provider_capillary.export.schedule import hint_for_empty_interval, hint_for_no_interval
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, parse_timestamp, to_millis
from airflow_provider_capillary.validation import is_unset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

__all__ = ["Interval", "earlier_interval", "explicit_interval", "partition_key_of", "resolve_interval"]

_PARTITION_HINT: Final = "give the task the length of a partition, partition_duration=timedelta(days=1)"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A half-open interval ``[start, end)``, never empty.

    :param start: aware, UTC; the first moment of the interval.
    :param end: aware, UTC; the first moment after it.
    :param source: how it was found, one short phrase for the log.
    """

    start: datetime
    end: datetime
    source: str

    def __str__(self) -> str:
        return f"[{format_timestamp(self.start)}, {format_timestamp(self.end)}), {self.source}"


def resolve_interval(
    context: Mapping[str, Any],
    *,
    start: object = None,
    end: object = None,
    lookback: timedelta | None = None,
    partition_duration: timedelta | None = None,
) -> Interval:
    """The interval of a run: the first of these that applies.

    1. ``start`` and ``end``;
    2. the run's partition date and ``partition_duration``;
    3. the run's data interval, where it is not empty;
    4. ``lookback`` before the data interval's end or, without one, before the run's ``run_after``.

    A run of a partition whose interval is not known is an error even where ``lookback`` is given: the partition is what the run is about,
    and in a backfill it is not the time before the run was started. It is not known without ``partition_duration``, nor where Airflow
    gives the task the partition's key and no date, as 3.2 does.

    :param context: Airflow's; on Airflow 3 the keys of the data interval are absent in many runs.
    :param start: as :func:`explicit_interval`, with ``end``.
    :param lookback: positive, as is ``partition_duration``; the operator checks both while the DAG is parsed.
    :raises IntervalError: none applies, or a value is invalid.
    """
    explicit = explicit_interval(start, end)
    if explicit is not None:
        return explicit

    partition_date = _timestamp_in(context, "partition_date")
    if partition_date is not None and partition_duration is not None:
        source = f"the run's partition date and partition_duration of {format_duration(partition_duration)}"
        return _interval(partition_date, _shifted(partition_date, partition_duration, "partition_duration"), source)

    interval_start, interval_end = _timestamp_in(context, "data_interval_start"), _timestamp_in(context, "data_interval_end")
    if interval_start is not None and interval_end is not None and interval_start < interval_end:
        return _interval(interval_start, interval_end, "the run's data interval")
    if partition_date is not None:
        problem = f"The run is for the partition of {format_timestamp(partition_date)}, and the length of a partition is not known"
        raise IntervalError(problem, hint=f"{_PARTITION_HINT}, or start=... and end=...")
    if (partition_key := partition_key_of(context)) is not None:
        raise IntervalError(
            f"The run is for the partition {partition_key!r}, and Airflow gives the task no date for it: Airflow 3.2 never does",
            hint="give the task start=... and end=..., made of {{ dag_run.partition_key }}, or use Airflow 3.3 or later",
        )

    run_after = _run_after(context)
    if lookback is not None:
        if interval_end is not None:
            return _interval(
                _shifted(interval_end, -lookback, "lookback"),
                interval_end,
                f"{format_duration(lookback)} before the end of the run's data interval",
            )
        if run_after is not None:
            return _interval(
                _shifted(run_after, -lookback, "lookback"), run_after, f"{format_duration(lookback)} before the run's run_after"
            )
    if interval_start is not None and interval_end is not None:
        raise IntervalError(
            f"The run's data interval is empty: it starts and ends at {format_timestamp(interval_end)}, as with Airflow 3's default "
            "timetables for cron and timedelta schedules",
            hint=hint_for_empty_interval(context),
        )
    raise IntervalError(
        "The run has no data interval, as when it was triggered without a date, by hand or by an asset", hint=hint_for_no_interval(context)
    )


def partition_key_of(context: Mapping[str, Any]) -> str | None:
    """The key of the partition that a run is for; ``None`` where it is for none. Airflow 3.2 has it on the run alone."""
    key: str | None = context.get("partition_key") or getattr(context.get("dag_run"), "partition_key", None)
    return key


def earlier_interval(interval: Interval, offset: timedelta, zone: tzinfo) -> Interval:
    """The interval that lies before another one, by the clock of a zone: seven days before a local day is a local day, of its own length.

    :raises IntervalError: it lies outside the years that exist.

    >>> from zoneinfo import ZoneInfo
    >>> day = Interval(start=datetime(2025, 4, 4, 23, tzinfo=UTC), end=datetime(2025, 4, 5, 23, tzinfo=UTC), source="")
    >>> str(earlier_interval(day, timedelta(days=7), ZoneInfo("Europe/London")).start)
    '2025-03-29 00:00:00+00:00'
    """

    def earlier(moment: datetime) -> datetime:
        return (moment.astimezone(zone).replace(tzinfo=None) - offset).replace(tzinfo=zone).astimezone(UTC)

    try:
        start, end = earlier(interval.start), earlier(interval.end)
    except OverflowError:
        return _interval(_shifted(interval.start, -offset, "offset"), interval.end, interval.source)
    if start >= end:  # both ends of the hour that comes twice
        end = start + (interval.end - interval.start)
    return _interval(start, end, f"{format_duration(offset)} before {interval.source}")


def explicit_interval(start: object, end: object) -> Interval | None:
    """The interval of the task's ``start`` and ``end``; ``None`` where both are left out.

    :param start: an aware datetime or ISO text with an offset, as ``end``; ``None`` and ``""`` leave it out.
    :raises IntervalError: only one is given, one of them is no timestamp, or the interval is empty.
    """
    no_start, no_end = is_unset(start), is_unset(end)
    if no_start and no_end:
        return None
    if no_start or no_end:
        given, missing = ("end", "start") if no_start else ("start", "end")
        problem = f"`{given}` is given and `{missing}` is not"
        raise IntervalError(problem, hint=f"give `{missing}` as well, or leave out both, so that the run's own interval is used")
    return _interval(parse_timestamp(start, "start"), parse_timestamp(end, "end"), "start and end of the task")


def _interval(start: datetime, end: datetime, source: str) -> Interval:
    # In milliseconds, as `startTime`: an interval within one millisecond can hold no record.
    if to_millis(start) >= to_millis(end):
        problem = f"`start` is {format_timestamp(start)} and `end` is {format_timestamp(end)} ({source}); the interval is empty"
        raise IntervalError(
            problem, hint="make `end` at least a millisecond later than `start`; `end` itself does not belong to the interval"
        )
    return Interval(start=start, end=end, source=source)


def _timestamp_in(context: Mapping[str, Any], key: str) -> datetime | None:
    value = context.get(key)
    return None if value is None else parse_timestamp(value, key)


def _run_after(context: Mapping[str, Any]) -> datetime | None:
    value = getattr(context.get("dag_run"), "run_after", None)  # Airflow 2 has none; there, every run has a data interval
    return None if value is None else parse_timestamp(value, "run_after")


def _shifted(moment: datetime, by: timedelta, name: str) -> datetime:
    try:
        return moment + by
    except OverflowError:
        bound = datetime.min.replace(tzinfo=UTC) if by < timedelta() else datetime.max.replace(tzinfo=UTC)
        problem = f"`{name}` is {format_duration(abs(by))}, which from {format_timestamp(moment)} leads past {format_timestamp(bound)}"
        raise IntervalError(problem, hint=f"write a shorter {name}") from None
