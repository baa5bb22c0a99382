"""The metrics that this package sends through Airflow's ``Stats``: all names, what each counts, and the way to Airflow.

All of them are counters. Each carries the tag ``conn_id``, the id of the connection to the API; retries and failed polls also carry
``error``, the class of the error. A statsd server without tags gets the sums. Tags hold nothing of a record.

A metric never fails a task: an error of a metrics client is logged once in each process. Sending may block (the first metric of a process
looks up the server's address), so code on an event loop sends in a thread.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary._airflow import airflow_stats

if TYPE_CHECKING:
    from airflow_provider_capillary.api.executor import RequestStats

__all__ = ["METRICS", "ReadingMetrics", "count_bytes", "count_failed_poll"]

logger = logging.getLogger(__name__)

REQUESTS: Final = "capillary.requests"
EVENT_LOGS: Final = "capillary.event_logs"
THROTTLED: Final = "capillary.throttled_seconds"
RETRIES: Final = "capillary.retries"
BYTES: Final = "capillary.bytes"
POLL_FAILURES: Final = "capillary.poll_failures"

METRICS: Final = {
    REQUESTS: "requests sent to the API; retries, calibration and tokens included",
    EVENT_LOGS: "event logs that were read, before `event_name` and `statuses` are applied",
    THROTTLED: "seconds in which requests waited for the connection's budget, or after the API throttled them or failed",
    RETRIES: "requests that were sent again; tag `error`",
    BYTES: "size of the published objects; manifests not included",
    POLL_FAILURES: "polls of sensors and watches that failed; one for each shared poll, however many wait for it; tag `error`",
}
"""Each metric, and what it counts; the documentation's page about monitoring has the same table."""

EVERY: Final = 10.0
"""Seconds between two times that a long reading sends its metrics."""


class ReadingMetrics:
    """Counts what the readings of one hook cost. Each :meth:`send` sends what was added since the one before.

    :param stats: the cost of the hook's requests; what is in there already is not sent.
    :param conn_id: the connection to the API.
    """

    def __init__(self, stats: RequestStats, *, conn_id: str) -> None:
        self._stats = stats
        self._conn_id = conn_id
        self._event_logs = 0
        self._sent_at = time.monotonic()
        self._requests, self._waited, self._retries = stats.requests, stats.waited, stats.retries.copy()

    def add(self, event_logs: int) -> None:
        """Count event logs that were read."""
        self._event_logs += event_logs

    def send_when_due(self) -> None:
        """:meth:`send`, if the last time was :data:`EVERY` seconds ago."""
        if time.monotonic() - self._sent_at >= EVERY:
            self.send()

    def send(self) -> None:
        """Send what was added since the last call. Raises nothing."""
        self._sent_at = time.monotonic()
        stats = self._stats
        requests, waited, retries, event_logs = stats.requests, stats.waited, stats.retries.copy(), self._event_logs
        _count(REQUESTS, requests - self._requests, conn_id=self._conn_id)
        _count(EVENT_LOGS, event_logs, conn_id=self._conn_id)
        _count(THROTTLED, round(waited - self._waited, 3), conn_id=self._conn_id)
        for error, count in (retries - self._retries).items():
            _count(RETRIES, count, conn_id=self._conn_id, error=error)
        self._requests, self._waited, self._retries = requests, waited, retries
        self._event_logs -= event_logs


def count_bytes(size: int | None, *, conn_id: str) -> None:
    """Count the bytes of a published object; ``None`` for no object."""
    _count(BYTES, size or 0, conn_id=conn_id)


def count_failed_poll(error: BaseException, *, conn_id: str) -> None:
    """Count a poll that failed."""
    _count(POLL_FAILURES, 1, conn_id=conn_id, error=type(error).__name__)


def _count(name: str, count: float, **tags: str) -> None:
    if count <= 0:
        return
    try:
        airflow_stats().incr(name, count, tags=tags)
    except Exception as error:  # noqa: BLE001  # whatever a metrics client raises; the export is worth more than its metrics
        _warn_once(type(error).__name__)


@functools.cache
def _warn_once(error: str) -> None:
    logger.warning("Metrics of this package could not be sent to Airflow's metrics client (%s); the work goes on without them", error)
