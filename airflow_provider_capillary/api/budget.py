"""The client's own budget of requests."""

from __future__ import annotations

from collections import deque

__all__ = ["Budget"]

MINUTE = 60.0


class Budget:
    """Allows at most ``per_minute`` requests in any 60 seconds.

    A sliding window instead of a token bucket: a bucket that starts full allows almost twice its rate in the first minute, and the API's
    limit is per minute. Times are seconds of a monotonic clock.
    """

    def __init__(self, per_minute: int) -> None:
        self._sent: deque[float] = deque(maxlen=per_minute)

    def delay(self, now: float) -> float:
        """Seconds to wait before the next request may be sent."""
        if len(self._sent) < (self._sent.maxlen or 0):
            return 0.0
        return max(0.0, self._sent[0] + MINUTE - now)

    def spend(self, at: float) -> None:
        """Count one request that was sent at ``at``."""
        self._sent.append(at)
