"""From which end of the interval a reading goes. It decides costs alone: what an answer proves is the same from either end.

An answer of the newest records of its window, or of the oldest, shows how densely they lie at that end. So a reading goes backwards,
unless a full answer begins with its oldest records, and comes before anything is read.

The ledger and the sizer know one direction, backwards. They count in *positions*: of a reading backwards these are the times, of one
forwards the negative times, so that the reading goes towards lesser positions either way. A span holds the first of its two times and not
the second. So that a record stays in its span, its position is one less than its negative time.

>>> FORWARDS.span(60, 100), FORWARDS.positions([60, 99])
((-100, -60), [-61, -100])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.bounds import Bounds

__all__ = ["BACKWARDS", "FORWARDS", "Direction", "is_newest_first"]


@dataclass(frozen=True, slots=True)
class Direction:
    """Translates between times and positions, both UTC epoch milliseconds.

    :param is_forwards: whether the reading begins with the oldest records.
    """

    is_forwards: bool

    def span(self, low: int, high: int) -> tuple[int, int]:
        """The span of times ``[low, high)`` in positions, and a span of positions in times."""
        return (-high, -low) if self.is_forwards else (low, high)

    def positions(self, times: list[int]) -> list[int]:
        """The position of each time."""
        return [-1 - time for time in times] if self.is_forwards else times

    def floor(self, bounds: Bounds, position: int) -> int:
        """The last position at or before this one at which a span may begin or end."""
        return -bounds.ceil(-position) if self.is_forwards else bounds.floor(position)

    def ceil(self, bounds: Bounds, position: int) -> int:
        """The first position at or after this one at which a span may begin or end."""
        return -bounds.floor(-position) if self.is_forwards else bounds.ceil(position)


BACKWARDS: Final = Direction(is_forwards=False)
FORWARDS: Final = Direction(is_forwards=True)


def is_newest_first(times: list[int]) -> bool:
    """Whether the newest come first by and large, as they do, too, where answers are sorted by a time shortly after ``startTime``."""
    third = max(1, len(times) // 3)
    return min(times[:third]) >= max(times[-third:])
