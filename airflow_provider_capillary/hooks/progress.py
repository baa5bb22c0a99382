"""What a reading tells the people who watch it: a line in the log every few seconds, and counters for Airflow's metrics."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_capillary.reading.exchange import Traffic
    from airflow_provider_capillary.reading.steps import Record

__all__ = ["Progress"]

EVERY = 10.0
"""Seconds between two lines."""


class Progress:
    """Counts what one reading has brought, and says so from time to time: requests, records, how far back, waited for how long.

    :param log: a logger's ``info``.
    :param traffic: of the hook's exchange, which goes on from reading to reading; the difference is this reading's.
    """

    def __init__(self, log: Callable[..., object], traffic: Traffic) -> None:
        self._log = log
        self._traffic = traffic
        self._requests, self._waited = traffic.requests, traffic.waited
        self._retries = traffic.retries.copy()
        self._records = 0
        self._span: tuple[int, int] | None = None
        self._said = time.monotonic()

    @property
    def requests(self) -> int:
        """Requests of this reading, retries and calibration included."""
        return self._traffic.requests - self._requests

    @property
    def retries(self) -> dict[str, int]:
        """Retries of this reading by the error that each came after."""
        return dict(self._traffic.retries - self._retries)

    def found(self, records: list[Record]) -> None:
        """Count records."""
        self._records += len(records)
        for record in records:
            instant = record["startTime"]
            low, high = self._span or (instant, instant)
            self._span = (min(low, instant), max(high, instant))
        self.say()

    def waits(self, seconds: float, reason: str) -> None:
        """Say that and why there is a pause, where it is long enough to be noticed."""
        if seconds >= EVERY:
            self._log("Waiting %.0f s: %s", seconds, reason)

    def say(self, *, last: bool = False) -> None:
        """Write a line, if the last one is a while ago."""
        if not last and time.monotonic() - self._said < EVERY:
            return
        self._said = time.monotonic()
        self._log(
            "%s %d event logs with %d requests%s; waited %.1f s%s",
            "Read" if last else "So far",
            self._records,
            self.requests,
            f", {_written(self._span[0])} to {_written(self._span[1])}" if self._span else "",
            self._traffic.waited - self._waited,
            f" (retries: {retries})" if (retries := self.retries) else "",
        )

    def count(self) -> None:
        """Add this reading to Airflow's metrics."""
        from airflow.providers.common.compat.sdk import Stats

        Stats.incr("capillary.requests", self.requests)
        Stats.incr("capillary.event_logs", self._records)
        for name, count in self.retries.items():
            Stats.incr(f"capillary.retries.{name}", count)


def _written(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="seconds")
