"""What one API is known to answer: how many records at once, the number on which every proof rests, and over how long a window."""

from __future__ import annotations

from typing import Final

__all__ = ["DOCUMENTED_DEFAULT", "Capacity", "Reach"]

DOCUMENTED_DEFAULT: Final = 10
"""The ``limit`` of a request that names none, by the API's page; no API is taken to give less at once."""


class Capacity:
    """The most records that the API is known to give in one answer.

    An answer with fewer records than this was not cut: had more records matched, the API would have given more.

    >>> capacity = Capacity(limit=1000)
    >>> capacity.show(100)
    >>> capacity.is_short(99), capacity.is_short(100)
    (True, False)

    :param limit: what is asked for.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shown = 0

    @property
    def least(self) -> int:
        """What no answer has to show."""
        return min(self._limit, DOCUMENTED_DEFAULT)

    @property
    def records(self) -> int:
        """The longest answer under the present limit, and never less than what is documented."""
        return max(self._shown, self.least)

    def is_short(self, count: int) -> bool:
        """Whether an answer of ``count`` records holds all that matched."""
        return count < self.records

    def show(self, count: int) -> None:
        """Take note of an answer of ``count`` records."""
        self._shown = max(self._shown, count)

    def fall(self, count: int) -> None:
        """Take note that the API has come to give no more than ``count``."""
        self._shown = count

    def change_limit(self, limit: int) -> None:
        """Ask for ``limit`` from now on; what was shown under a larger one no longer counts."""
        self._shown = min(self._shown, limit)
        self._limit = limit


class Reach:
    """How long a window may be and is still answered from end to end.

    Nothing documents a longest window. An API that has one may refuse what is longer, or cut it at either end without a word. A record seen
    at a distance from an end of its window shows that windows of that length are not cut at the other.

    :ivar back: the longest way, milliseconds, from the end of a window back to a record in its answer.
    :ivar ahead: the same from the start of a window on to a record.
    :ivar not_shown: the shortest length that could not be shown when it was tried; ``None`` where none was.
    """

    def __init__(self) -> None:
        self.back = 0
        self.ahead = 0
        self.not_shown: int | None = None

    @property
    def length(self) -> int:
        """Windows up to this length, milliseconds, are known to be answered from end to end."""
        return min(self.back, self.ahead)

    def show(self, from_date: int, to_date: int, times: list[int]) -> None:
        """Take note of the times in an answer."""
        inside = [time for time in times if from_date <= time <= to_date]
        if inside:
            self.back = max(self.back, to_date - min(inside))
            self.ahead = max(self.ahead, max(inside) - from_date)

    def trust(self, length: int) -> None:
        """Take windows of this length for answered in full: the API refuses what is too long for it, aloud."""
        self.back, self.ahead = max(self.back, length), max(self.ahead, length)
