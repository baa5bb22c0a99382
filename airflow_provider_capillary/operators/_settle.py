"""Waiting until an interval has settled: a record becomes visible some time after its ``startTime``."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CapillaryError, CompletenessError, IntervalError
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, parse_timestamp, round_duration

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_capillary.export.interval import Interval

__all__ = ["check_over", "check_resumed", "moment_trigger", "settled_at", "wait_until"]


def settled_at(interval: Interval, settle: timedelta, *, log: logging.Logger) -> datetime | None:
    """The moment until which the task has to wait; ``None`` where reading may begin now.

    :param settle: how long after the interval's end; zero for no waiting.
    :raises IntervalError: that moment is after the year 9999.
    """
    now = datetime.now(UTC)
    if not settle:
        if interval.end > now:
            log.warning("The interval ends in the future, and settle is zero: event logs from now on will not be in the object")
        return None
    try:
        due = interval.end + settle
    except OverflowError:
        problem = f"`settle` is {format_duration(settle)}, which from {format_timestamp(interval.end)} leads past the year 9999"
        raise IntervalError(problem, hint="write a shorter settle") from None
    if due <= now:
        return None
    left = format_duration(timedelta(seconds=math.ceil((due - now).total_seconds())))
    log.info("Waiting %s for the interval to settle, until %s, %s after its end", left, format_timestamp(due), format_duration(settle))
    return due


def check_over(interval: Interval, settle: timedelta, *, read_from: datetime, behind: timedelta) -> None:
    """Check that the interval was over by the API's clock, too, when its reading began. Not where ``settle`` is zero.

    :param read_from: when the reading began, by this machine's clock.
    :param behind: how far the API's clock is behind.
    :raises CompletenessError: it was not, so the API may date event logs into the interval that no answer could hold.
    """
    if settle and read_from - behind < interval.end:
        raise CompletenessError(
            f"By the API's clock, which is {format_duration(round_duration(behind))} behind this machine's, the interval was not over when "
            f"the reading began: it ends at {format_timestamp(interval.end)}",
            hint="set this machine's clock right, or write a `settle` that is longer than the API's clock is behind",
        )


def wait_until(due: datetime, *, killed: Callable[[], bool]) -> None:
    """Sleep until a moment.

    :raises ReadingStoppedError: the task was killed.
    """
    from airflow_provider_capillary.export.time_limit import sleep_while

    def left() -> float:
        return (due - datetime.now(UTC)).total_seconds()

    sleep_while(left, killed=killed, doing="while it waited for its interval to settle")


def moment_trigger(due: datetime) -> BaseTrigger:
    """Airflow's own trigger for a moment, from where this version has it."""
    try:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    except ImportError:  # Airflow 2.11 without the standard provider
        from airflow.triggers.temporal import DateTimeTrigger  # type: ignore[import-not-found,no-redef,unused-ignore]
    return DateTimeTrigger(moment=due)


def check_resumed(event: object) -> None:
    """Check that the trigger resumed the task with the moment for which it waited.

    :raises CapillaryError: the event is anything else; reading might begin too early.
    """
    try:
        parse_timestamp(event, "event")
    except IntervalError as error:
        raise CapillaryError(
            f"The trigger resumed the task with an event that is no moment (of type {type(event).__name__})",
            hint="clear the task, so that it starts again; the triggerer's log says what happened",
        ) from error
