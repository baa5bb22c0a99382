"""Waiting until an interval has settled: records become visible some time after the instant that they bear."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import CapillaryError, IntervalError, ReadingStoppedError
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, parse_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_capillary.export.interval import Interval

__all__ = ["check_resumed", "moment_trigger", "settled_at", "wait_until"]

_SLICE: Final = 0.5
"""Seconds; a killed task does not sleep on for longer."""


def settled_at(interval: Interval, settle: timedelta, *, log: logging.Logger) -> datetime | None:
    """The moment until which there is to wait; ``None`` where reading may begin now.

    :param settle: how long after the interval's end; zero for never to wait.
    :raises IntervalError: that moment lies past the years that exist.
    """
    now = datetime.now(UTC)
    if not settle:
        if interval.end > now:
            log.warning("The interval ends in the future, and settle is zero: what happens from now on will not be in the object")
        return None
    try:
        due = interval.end + settle
    except OverflowError:
        problem = f"`settle` is {format_duration(settle)}, which goes from {format_timestamp(interval.end)} past the year 9999"
        raise IntervalError(problem, hint="write a shorter one") from None
    if due <= now:
        return None
    left = format_duration(timedelta(seconds=math.ceil((due - now).total_seconds())))
    log.info("Waiting %s, until the interval has settled: %s, %s after its end", left, format_timestamp(due), format_duration(settle))
    return due


def wait_until(due: datetime, *, killed: Callable[[], bool]) -> None:
    """Sleep until a moment.

    :raises ReadingStoppedError: the task was killed.
    """
    while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
        if killed():
            raise ReadingStoppedError("The task was stopped while it waited for its interval to settle", hint="run it again")
        time.sleep(min(left, _SLICE))


def moment_trigger(due: datetime) -> BaseTrigger:
    """Airflow's own trigger that fires at a moment, wherever this version keeps it."""
    try:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    except ImportError:  # Airflow 2.11 without the standard provider
        from airflow.triggers.temporal import DateTimeTrigger  # type: ignore[import-not-found,no-redef,unused-ignore]
    return DateTimeTrigger(moment=due)


def check_resumed(event: object) -> None:
    """Make sure that the task was resumed by the moment that it waited for.

    :raises CapillaryError: by anything else; to read then could be too early.
    """
    try:
        parse_timestamp(event, "event")
    except IntervalError as error:
        raise CapillaryError(
            f"The task was resumed by something that is no moment (of type {type(event).__name__})",
            hint="clear the task, so that it starts anew; look into the triggerer's log for what happened",
        ) from error
