"""What full answers in no order show of the records that are still to be read.

Such an answer is a subset of its window. Its records lie as all records of the window do, and each stands for some number of them, its
*weight*. Windows within the subset's own that are read whole show the weight. All times are positions (:mod:`.direction`).

>>> subsets = Subsets()
>>> subsets.add(0, 100, [10, 30, 50, 60, 70, 90]).weight is None
True
>>> subsets.learn_whole(55, 100, [55, 56, 58, 60, 62, 65, 70, 71, 90])  # three of the subset's six lie there
>>> subsets.innermost(55).weight, subsets.innermost(55).start_of(55, records=6)
(3.0, 20)
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Subset", "Subsets"]

# Found by trying, like those of the sizer.
FEWEST: Final = 3
"""Records of a subset that lie in whole windows, at least, before they show its weight."""
CONFIDENCE: Final = 5.0
"""What the subset around another one shows of its weight counts like so many records of its own."""
MEMORY: Final = 0.7
"""Weight of the earlier whole windows, beside the last one: a subset may be drawn from one part of its window more than from another."""
SURPRISE: Final = 4.0
"""Standard deviations from the expected count of a subset's records at which the expectation counts as wrong."""


@dataclass(slots=True)
class Subset:
    """A full answer to ``[low, high)``.

    :ivar times: of its records within the window, ascending.
    :ivar counted: how many records there are in the last whole windows within this one ...
    :ivar shown: ... and how many of the subset's are among them.
    """

    low: int
    high: int
    times: list[int]
    counted: float = 0.0
    shown: float = 0.0

    @property
    def weight(self) -> float | None:
        """How many records each one of the subset stands for; ``None`` while that is unknown."""
        return max(1.0, self.counted / self.shown) if self.shown >= FEWEST else None

    def count(self, low: int, high: int) -> int:
        """How many of its records lie in ``[low, high)``."""
        return bisect_left(self.times, high) - bisect_left(self.times, low)

    def start_of(self, high: int, *, records: float) -> int:
        """Where the stretch begins that ends at ``high`` and holds about so many records; not before the window does."""
        # As if the subset's last record before `high` lay half a gap before it.
        wanted = records / (self.weight or records) + 0.5
        end, whole = bisect_left(self.times, high), int(wanted)
        if whole >= end:
            return self.low
        later, earlier = self.times[end - whole] if whole else high, self.times[end - whole - 1]
        return int(later - (wanted - whole) * (later - earlier))

    def contradicts(self, records: float, low: int, high: int) -> bool:
        """Whether more or fewer of its records lie in ``[low, high)`` than in a stretch of so many records, beyond chance."""
        if self.weight is None:
            return False
        expected = records / self.weight
        return abs(self.count(low, high) - expected) > SURPRISE * sqrt(1 + expected + expected**2 / self.shown)


class Subsets:
    """Subsets of windows, each within the one before it."""

    def __init__(self, subsets: Iterable[Subset] = ()) -> None:
        self._subsets = [replace(subset) for subset in subsets]

    def copy(self) -> Subsets:
        """The same subsets, for another part of the interval."""
        return Subsets(self._subsets)

    def add(self, low: int, high: int, times: list[int]) -> Subset:
        """A full answer to ``[low, high)`` held records of these times, ascending, within that window."""
        subset = Subset(low, high, times)
        while self._subsets and self._subsets[-1].low > low:
            self._subsets.pop()
        outer = self.innermost(high)
        if outer is not None and outer.weight is not None:
            subset.shown = CONFIDENCE
            subset.counted = CONFIDENCE * outer.weight * outer.count(low, high) / len(times)
        self._subsets.append(subset)
        return subset

    def learn_whole(self, low: int, high: int, times: list[int]) -> None:
        """A whole answer to ``[low, high)`` held records of these times."""
        for subset in self._subsets:
            start = max(low, subset.low)
            subset.counted = MEMORY * subset.counted + sum(start <= time < high for time in times)
            subset.shown = MEMORY * subset.shown + subset.count(start, high)

    def innermost(self, high: int) -> Subset | None:
        """The subset of the shortest window around ``high``; those of later windows are dropped."""
        while self._subsets and self._subsets[-1].low >= high:
            self._subsets.pop()
        return self._subsets[-1] if self._subsets else None
