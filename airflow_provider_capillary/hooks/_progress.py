"""Progress of a reading: a line in the log every few seconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_capillary.timestamps import format_duration, format_timestamp, from_millis

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.executor import RequestStats

__all__ = ["Progress"]

EVERY = 10.0
"""Seconds between two lines."""

ENOUGH = 0.02
"""The part of an interval that has to be read before the log estimates the remaining time."""


class Progress:
    """Counts the records of one reading, and logs how far it is, when it will end and how long it has waited.

    :param log: a logger's ``info``.
    :param stats: of the hook's executor. They go on from reading to reading; the difference is this reading's.
    :param start: of the interval, epoch milliseconds.
    :param end: of the interval, exclusive.
    """

    def __init__(self, log: Callable[..., object], stats: RequestStats, *, start: int, end: int) -> None:
        self._log = log
        self._traffic = stats
        self._requests, self._waited = stats.requests, stats.waited
        self._retries = stats.retries.copy()
        self._start, self._end = start, end
        self._share = 0.0
        self._began = self._said = time.monotonic()
        self.records = 0

    @property
    def requests(self) -> int:
        """Requests of this reading, retries and calibration included."""
        return self._traffic.requests - self._requests

    @property
    def retries(self) -> dict[str, int]:
        """Retries of this reading by the error that each came after."""
        return dict(self._traffic.retries - self._retries)

    def found(self, records: EventLogs, *, share: float) -> None:
        """Count records.

        :param share: the share of the interval that is read, from 0 to 1.
        """
        self.records += len(records)
        self._share = share
        self.say()

    def waits(self, seconds: float, reason: str) -> None:
        """Log a pause and its reason, if it is long enough to be noticed."""
        if seconds >= EVERY:
            self._log("Waiting %.0f s: %s", seconds, reason)

    def say(self) -> None:
        """Log a line, if the last one was :data:`EVERY` seconds ago."""
        now = time.monotonic()
        if now - self._said < EVERY:
            return
        self._said = now
        self._log("%d event logs so far, %s", self.records, ", ".join(part for part in (*self._how_far(now), *self._cost()) if part))

    def say_last(self, kept: int) -> None:
        """Log the totals.

        :param kept: how many of the records the filters kept.
        """
        parts = [f"kept {kept}"] if kept != self.records else []
        parts += self._cost()
        parts.append(format_duration(timedelta(seconds=round(time.monotonic() - self._began, 1))))
        interval = f"[{format_timestamp(from_millis(self._start))}, {format_timestamp(from_millis(self._end))})"
        self._log("Read %d event logs of %s: %s", self.records, interval, ", ".join(parts))

    def _how_far(self, now: float) -> list[str]:
        done = self._share
        if not done:
            return []
        parts = [f"{100 * done:.0f} % of the interval"]
        if done >= ENOUGH:
            left = (now - self._began) * (1 - done) / done
            due = datetime.now(UTC) + timedelta(seconds=left)
            parts.append(f"about {format_duration(timedelta(seconds=_rounded(left)))} to go (until {due:%H:%M:%S} UTC)")
        return parts

    def _cost(self) -> list[str]:
        parts = [f"{self.requests} requests"]
        if (waited := self._traffic.waited - self._waited) >= 0.1:  # noqa: PLR2004  # what would be shown as none
            parts.append(f"waited {waited:.1f} s for the API")
        if retries := self.retries:
            parts.append("retries after " + ", ".join(f"{name} {count}" for name, count in retries.items()))
        return parts


def _rounded(seconds: float) -> int:
    """Rounded to the precision of an estimate: to 1 s, from a minute on to 10 s, from ten minutes on to a minute."""
    unit = 1 if seconds < 60 else 10 if seconds < 600 else 60  # noqa: PLR2004  # seconds, as said above
    return max(1, round(seconds / unit) * unit)
