"""The budget of requests a minute, for all threads of a hook."""

from __future__ import annotations

import threading

from airflow_provider_capillary.api.budget import Budget

__all__ = ["Turns"]


class Turns:
    """Lets threads take requests from one budget, one thread at a time.

    :param per_minute: requests a minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._budget = Budget(per_minute)
        self._lock = threading.Lock()

    def take(self, now: float) -> float:
        """:meth:`.Budget.take`."""
        with self._lock:
            return self._budget.take(now)

    def hold(self, now: float, seconds: float) -> None:
        """:meth:`.Budget.hold`."""
        with self._lock:
            self._budget.hold(now, seconds)
