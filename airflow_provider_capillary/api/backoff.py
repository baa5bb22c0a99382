"""How long to wait after failures in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 30
"""Enough for any ``longest``; a float would overflow after a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A pause that doubles with each failure, up to a limit, with jitter: clients that failed together come back apart.

    ``Backoff(first=0.5, longest=15)`` waits up to 0.5, 1, 2, 4, 8, 15, 15, ... seconds, and no less than half of that.

    :param first: seconds at most after the first failure.
    :param longest: seconds at most after any.
    """

    first: float
    longest: float

    def delay(self, failures: int, rng: random.Random | None = None) -> float:
        """Seconds to wait.

        :param failures: how many in a row, from 1 on.
        :param rng: where the jitter comes from.
        """
        full = min(self.longest, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return full * (rng or random).uniform(0.5, 1.0)  # jitter
