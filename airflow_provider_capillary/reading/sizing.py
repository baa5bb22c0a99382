"""Which window to ask for next. A good guess saves requests; a bad one costs some, and proves nothing wrong.

Windows go from the end of a part of the interval backwards, and are sized so that their answers come out a little short of full. All times
are positions (:mod:`.direction`): of a reading forwards, "newest" means oldest here, and the other way round. A full answer
proves nothing about its window, but its records are true and show the density:

===============================================  =====================================================
the last answer                                  the next window
===============================================  =====================================================
none yet                                         all of the interval
short, with about as many as expected            sized by the density of the last few windows
short, with more or fewer than expected          sized by its own density, and by the change of it
short, with next to nothing                      all that is left, or four times its length
any of these, and little more is left            all that is left
full of the newest records of the window         the stretch over which they lie, less the first few
full of the oldest                               a stretch over which as many lie
full of any of the matching                      the latest stretch over which a third of these records lie
any, after one that was full of any              where that one shows another density: sized by it (:mod:`.subsets`)
full for the third time in a row                 an eighth of it, then a sixteenth of that
===============================================  =====================================================
"""

from __future__ import annotations

from copy import copy
from math import sqrt
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.reading.direction import is_newest_first
from airflow_provider_capillary.reading.subsets import Subsets

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.capacity import Capacity
    from airflow_provider_capillary.reading.subsets import Subset

__all__ = ["Sizer"]

# These were found by trying: fewest requests over days of 700 to 20,000 records, uniform and by the hours of a day, in pages of 100 and
# 1,000. Within a tenth of these values the cost hardly changes.
CAUTION: Final = 1.2
"""The target is this many standard deviations of the expected count below the capacity. More wastes room, less makes full answers."""
LEAST_FILLED: Final = 0.5
"""The target is at least this share of the capacity: the standard deviations are most of a small one."""
NEXT_TO_NOTHING: Final = 0.55
"""Share of the target up to which an answer counts as next to nothing."""
SURPRISE: Final = 3.3
"""Standard deviations from the expected count at which the density counts as changed."""
MEMORY: Final = 0.76
"""Weight of the earlier half windows in the density, beside the last one."""
TREND: Final = 1.0
"""A change of the density is expected to go on by this power of it ..."""
STEEPEST: Final = 2.5
"""... and by no more than this factor."""
NEWEST_KEPT: Final = 0.98
"""Share of a full answer of the newest records that the next window is to hold."""
SUBSET_KEPT: Final = 0.35
"""Share of a full answer of any records that is to lie in the next window: how many records the answer was taken from is unknown ..."""
SUBSET_KEPT_KNOWN: Final = 0.7
"""... and little more than the answer holds, where the window was sized by the density ..."""
SUBSET_OF_MANY: Final = 2.0
"""... unless each record of the answer stands for more than so many."""
SUBSET_FILLED: Final = 0.8
"""The target of a window that is sized by a subset, as a share of any other's: the subset shows the density less well."""
GROWTH: Final = 4.0
"""Factor by which a window grows after next to nothing, where the order of the answers can't guide it."""
REST: Final = 1.15
"""All that is left is asked for, where it is no longer than a window times this."""
NEARER: Final = 16
"""Fraction of the distance that is left between the next window and a time with more records than an answer holds."""
MOST_GUESSES: Final = 3
"""From this many full answers in a row on, windows are an eighth as long, then a sixteenth of that, whatever the answers look like."""
MOST_WRONG: Final = 3
"""After this many such runs of full answers, answers that look like the newest records of their windows are not taken for them any more."""


class Sizer:
    """Proposes where the next window begins.

    :param capacity: how many records the API gives at once.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._length: float | None = None
        self._start: int | None = None
        self._longest: int | None = None
        self._fulls = 0
        self._gives_newest = True
        self._wrong_guesses = 0
        self._count, self._over = 0.0, 0.0  # of the last windows: records, milliseconds
        self._subsets = Subsets()

    def windows_in(self, length: int) -> float:
        """About how many windows so many milliseconds take, at the density of the last ones; 0.0 where the density is not known."""
        return length / self._length if self._length and self._count else 0.0

    def elsewhere(self) -> Sizer:
        """A sizer for another part of the interval. Its first window has the length that was last computed here."""
        sizer = copy(self)
        sizer.begin()
        return sizer

    def begin(self) -> None:
        """Expect the next window elsewhere."""
        self._subsets = self._subsets.copy()
        self._start, self._fulls = None, 0
        self._count = self._over = 0.0

    def start_of(self, low: int, high: int) -> int:
        """Where the next window begins, within the gap ``[low, high)`` and up to its end."""
        left = high - low
        start = low if self._length is None or (not self._fulls and left <= REST * self._length) else high - self._length
        if self._start is not None and self._start < high:
            start = self._start
        elif not self._fulls:
            start = self._by_subset(int(start), high)
        if self._longest is not None:
            start = max(start, high - self._longest)
        return max(low, min(int(start), high - 1))

    def forbid(self, length: int) -> None:
        """The API does not answer windows of this length, milliseconds. The next ones are at most half as long."""
        self._longest = length // 2

    def learn_short(self, low: int, high: int, times: list[int]) -> None:
        """A whole answer to ``[low, high)`` held records of these times."""
        self._fulls, self._start = 0, None
        self._subsets.learn_whole(low, high, times)
        count = len(times)
        if count <= max(1.0, NEXT_TO_NOTHING * self._target(CAUTION, self._count)):
            self._length = None if self._gives_newest else GROWTH * (high - low)
            self._count = self._over = 0.0
            return
        # Without an empty stretch at its end, but with the records before the span that an API of coarse dates adds.
        length = max(1, max(times) - min(low, *times))
        middle = max(times) - length / 2
        later = sum(map(middle.__le__, times))
        # The later half first: what the earlier half shows is nearer to the next window.
        for part in (later, count - later):
            change = 1.0
            if _has_changed(part, self._count, self._over, length / 2):
                expected = max(1.0, self._count / self._over * length / 2)
                change = min(STEEPEST, max(1 / STEEPEST, (max(1, part) / expected) ** TREND))
                self._count = self._over = 0.0
            self._count, self._over = self._count * MEMORY + part, self._over * MEMORY + length / 2
        self._length = self._target(CAUTION, self._count) * self._over / max(1.0, self._count) / change

    def learn_full(self, low: int, high: int, times: list[int]) -> None:
        """A full answer to ``[low, high)`` held records of these times, in this order."""
        is_sized = self._count > 0
        self._count = self._over = 0.0
        self._fulls += 1
        # An API may sort any of the matching records, newest first. The window that this suggests then comes out full again and again.
        self._wrong_guesses += self._gives_newest and self._fulls == MOST_GUESSES
        self._gives_newest = self._wrong_guesses < MOST_WRONG and is_newest_first(times)
        inside = sorted(time for time in times if low <= time < high) or [low]
        self._start, self._length = None, (high - low) / 2.0**self._fulls
        if self._fulls >= MOST_GUESSES:
            return
        if self._gives_newest:
            kept = inside[int((1 - NEWEST_KEPT) * len(inside)) :]
            # More records of the first time may have been cut from the answer. Where all are of one time, no record lies after it; but a
            # window close after it would hold them again, for it begins a step of the dates early.
            after = inside[-1] + 1 + (high - inside[-1]) // NEARER
            self._start = next((time for time in kept if time > inside[0]), after)
        elif is_newest_first(times[::-1]):
            self._length = min(0.95 * (high - low), self._target(CAUTION, self._count) / len(times) * max(1, inside[-1] - inside[0]))
        else:
            self._start = inside[-max(1, int(self._share_kept(self._subsets.add(low, high, inside), is_sized=is_sized) * len(inside)))]

    def _share_kept(self, subset: Subset, *, is_sized: bool) -> float:
        """The share of a subset that the next window is to hold."""
        if subset.weight is None or (is_sized and subset.weight < SUBSET_OF_MANY):
            return SUBSET_KEPT_KNOWN if is_sized else SUBSET_KEPT
        return SUBSET_FILLED * min(1.0, self._target(CAUTION, 0) / subset.weight / len(subset.times))

    def _by_subset(self, start: int, high: int) -> int:
        """Where a window begins by the last subset, where the density is unknown or the subset contradicts it."""
        subset = self._subsets.innermost(high)
        if subset is None or subset.weight is None:
            return start
        if self._count and not subset.contradicts(self._count / self._over * (high - start), start, high):
            return start
        return subset.start_of(high, records=SUBSET_FILLED * self._target(CAUTION, self._count))

    def _target(self, caution: float, known: float) -> float:
        """How many records the next window is to hold, where the density is that of ``known`` records."""
        records = self._capacity.records
        windows = max(0.3, known / records)
        return max(LEAST_FILLED * records, records - caution * sqrt(records * (1 + 1 / windows)))


def _has_changed(count: int, known: float, over: float, length: float) -> bool:
    """Whether ``count`` records in ``length`` show another density than ``known`` records in ``over``, beyond chance."""
    expected = known / over * length if over else count
    return bool(over) and known > 0 and abs(count - expected) > SURPRISE * sqrt(expected + expected**2 / known)
