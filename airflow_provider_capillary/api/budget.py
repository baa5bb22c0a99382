"""The client's own budget of requests, and how many of them it pays to have under way at once."""

from __future__ import annotations

from math import ceil
from typing import Final

__all__ = ["MINUTE", "MOST_LANES", "Budget", "lanes_for"]

MINUTE: Final = 60.0
BURST: Final = 5
"""Requests that may be sent at once after a pause, where a minute has five times as many and more ..."""
BURST_SHARE: Final = 50
"""... or this fraction of a minute's requests, where that is more."""
MOST_LANES: Final = 16
"""Lanes at most: requests under way at once, and parts of an interval that are read side by side."""
ROOM: Final = 1.5
"""Lanes for each request that is under way on average: answers take longer or shorter, and some windows are asked twice."""

SHORTEST: Final = 0.02
"""Seconds. It takes about as long to read a thousand records out of an answer. Waiting for a request that is answered sooner costs less
than handing its answer from one thread to another."""


class Budget:
    """Allows at most ``per_minute`` requests in any 60 seconds, evenly apart but for a small burst after a pause.

    This is the generic cell rate algorithm, a token bucket in one number: the time at which the bucket will be full again. The bucket
    holds ``burst`` requests and is refilled by so many a minute that a burst and what follows in the same minute are ``per_minute``.
    Times are seconds of a monotonic clock.

    >>> budget = Budget(60)
    >>> [budget.take(0.0) for _ in range(5)]
    [0.0, 0.0, 0.0, 0.0, 0.0]
    >>> round(budget.take(0.0), 2)
    1.07
    """

    def __init__(self, per_minute: int) -> None:
        burst = max(1, min(BURST, per_minute // 12), per_minute // BURST_SHARE)
        self._interval = MINUTE / (per_minute - burst + 1)
        self._slack = (burst - 1) * self._interval
        self.full_at = 0.0
        """When the bucket will be full again."""
        self.held_until = 0.0
        """Nothing may be sent before."""

    def take(self, now: float) -> float:
        """Count one request that is sent at ``now``, and return 0.0; or count none, and return the seconds to wait."""
        wait = max(self.held_until - now, self.full_at - self._slack - now)
        if wait > 0:
            return wait
        self.full_at = max(self.full_at, now) + self._interval
        return 0.0

    def hold(self, now: float, seconds: float) -> None:
        """Allow nothing for so many seconds, and no burst after them."""
        self.held_until = max(self.held_until, now + seconds)
        self.full_at = max(self.full_at, self.held_until + self._slack - self._interval)


def lanes_for(per_minute: int, latency: float) -> int:
    """How many requests to have under way at once so that the budget, not the API's answers, sets the pace.

    On average as many are under way as are sent while one is answered (Little's law). One, where an answer takes less than
    :data:`SHORTEST`:

    >>> lanes_for(600, latency=0.3), lanes_for(60, latency=0.3)
    (5, 1)

    :param latency: seconds from a request to its answer.
    """
    if latency < SHORTEST:
        return 1
    return max(1, min(MOST_LANES, ceil(ROOM * latency * per_minute / MINUTE)))
