"""Which interval a run stands for.

On Airflow 3 many runs have no interval, and the commonest schedules give one of zero length. An export that took that for an answer would
write an empty object every day and be green. So the interval is explicit, or it follows from the run, or it is an error that says
which line of the DAG to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import IntervalError
from airflow_provider_capillary.export.schedule import cure_of_an_empty_interval, cure_of_no_interval
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, parse_timestamp, to_millis

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Interval", "resolve_interval"]

_PARTITION_CURE: Final = "give the task the length of a partition, partition_duration=timedelta(days=1)"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A half-open interval ``[start, end)``, never empty.

    :param start: aware, UTC; the first instant that belongs to it.
    :param end: aware, UTC; the first instant that doesn't.
    :param source: where it comes from, one short phrase for the log.
    """

    start: datetime
    end: datetime
    source: str

    @property
    def start_ms(self) -> int:
        """``start`` in UTC epoch milliseconds."""
        return to_millis(self.start)

    @property
    def end_ms(self) -> int:
        """``end`` in UTC epoch milliseconds, exclusive."""
        return to_millis(self.end)

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

    A run with a partition date and no ``partition_duration`` is an error even where ``lookback`` is given: the partition says what the
    run is about, and in a backfill that is not what lies before the moment it was started.

    :param context: Airflow's; on Airflow 3 the keys of the data interval are absent in many runs.
    :param start: an aware datetime or ISO text with an offset; ``None`` and ``""`` leave it out, as for ``end``.
    :raises IntervalError: when none applies, or one of the values is not what it has to be.
    """
    _require_positive("lookback", lookback)
    _require_positive("partition_duration", partition_duration)
    explicit = _explicit(start, end)
    if explicit is not None:
        return explicit

    partition_date = _instant_of(context, "partition_date")
    if partition_date is not None and partition_duration is not None:
        source = f"the run's partition date and partition_duration of {format_duration(partition_duration)}"
        return _interval(partition_date, _shifted(partition_date, partition_duration, "partition_duration"), source)

    interval_start, interval_end = _instant_of(context, "data_interval_start"), _instant_of(context, "data_interval_end")
    if interval_start is not None and interval_end is not None and interval_start < interval_end:
        return _interval(interval_start, interval_end, "the run's data interval")
    if partition_date is not None:
        problem = f"The run is of the partition of {format_timestamp(partition_date)}, and nothing says how long a partition is"
        raise IntervalError(problem, hint=f"{_PARTITION_CURE}, or start=... and end=...")

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
            hint=cure_of_an_empty_interval(context),
        )
    raise IntervalError(
        "The run has no data interval, as when it was triggered without a date, by hand or by an asset", hint=cure_of_no_interval(context)
    )


def _explicit(start: object, end: object) -> Interval | None:
    no_start, no_end = _is_left_out(start), _is_left_out(end)
    if no_start and no_end:
        return None
    if no_start or no_end:
        given, missing = ("end", "start") if no_start else ("start", "end")
        problem = f"`{given}` is given and `{missing}` is not"
        raise IntervalError(problem, hint=f"give `{missing}` as well, or leave out both, so that the run's own interval is used")
    return _interval(parse_timestamp(start, "start"), parse_timestamp(end, "end"), "start and end of the task")


def _is_left_out(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _interval(start: datetime, end: datetime, source: str) -> Interval:
    # By milliseconds, since that is what `startTime` has: an interval within one of them can hold no record.
    if to_millis(start) >= to_millis(end):
        problem = f"`start` is {format_timestamp(start)} and `end` is {format_timestamp(end)} ({source}); the interval is empty"
        raise IntervalError(
            problem, hint="make `end` at least a millisecond later than `start`; `end` itself does not belong to the interval"
        )
    return Interval(start=start, end=end, source=source)


def _instant_of(context: Mapping[str, Any], key: str) -> datetime | None:
    value = context.get(key)
    return None if value is None else parse_timestamp(value, key)


def _run_after(context: Mapping[str, Any]) -> datetime | None:
    value = getattr(context.get("dag_run"), "run_after", None)  # Airflow 2 has none; there, every run has a data interval
    return None if value is None else parse_timestamp(value, "run_after")


def _require_positive(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, timedelta):
        problem = f"`{name}` is {value!r} (of type {type(value).__name__}), not a timedelta"
        raise IntervalError(problem, hint=f"write {name}=timedelta(days=1)")
    if value < timedelta(milliseconds=1):
        raise IntervalError(f"`{name}` is {format_duration(value)}, less than a millisecond", hint=f"write {name}=timedelta(days=1)")


def _shifted(instant: datetime, by: timedelta, name: str) -> datetime:
    try:
        return instant + by
    except OverflowError:
        bound = datetime.min.replace(tzinfo=UTC) if by < timedelta() else datetime.max.replace(tzinfo=UTC)
        problem = f"`{name}` is {format_duration(abs(by))}, which goes from {format_timestamp(instant)} past {format_timestamp(bound)}"
        raise IntervalError(problem, hint="write a shorter one") from None
