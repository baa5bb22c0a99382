"""What one API is known to answer: how many records at once, on which every proof rests; how long windows; when in which zone."""

from __future__ import annotations

from typing import Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE

__all__ = ["DOCUMENTED_DEFAULT", "Capacity", "Reach", "ZoneShown"]

DOCUMENTED_DEFAULT: Final = 10
"""The ``limit`` of a request that names none, by Capillary's documentation; no API is taken to give less at once."""


class Capacity:
    """The most records that the API is known to give in one answer.

    An answer with fewer records was not cut, if the API can still give as many: had more records matched, it would have given more.

    >>> capacity = Capacity(limit=1000)
    >>> capacity.show(100)
    >>> capacity.is_short(99), capacity.is_short(100)
    (True, False)

    :param limit: the ``limit`` that requests name.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shown = 0

    @property
    def least(self) -> int:
        """The capacity that every API is taken to have, without an answer that shows it."""
        return min(self._limit, DOCUMENTED_DEFAULT)

    @property
    def records(self) -> int:
        """The longest answer under the present limit, and never less than :attr:`least`."""
        return max(self._shown, self.least)

    def is_short(self, count: int) -> bool:
        """Whether an answer of ``count`` records holds all that matched, if the API can still give as many as it has given."""
        return count < self.records

    def show(self, count: int) -> None:
        """Take note of an answer of ``count`` records."""
        self._shown = max(self._shown, count)

    def fall(self, count: int) -> None:
        """Take note that the API has come to give no more than ``count``."""
        self._shown = count

    def change_limit(self, limit: int) -> None:
        """Requests name ``limit`` from now on; longer answers under a larger limit no longer count."""
        self._shown = min(self._shown, limit)
        self._limit = limit


class Reach:
    """How long a window may be so that the API still answers it from end to end.

    Nothing documents a longest window. An API that has one may refuse a longer window, or cut it at either end without saying so. A record
    at some distance from one end of its window shows that the API does not cut windows of that length at their other end.

    :ivar back: the longest distance, milliseconds, from the end of a window back to a record in its answer.
    :ivar ahead: the longest distance from the start of a window forward to a record in its answer.
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
        """Count windows of this length as answered in full: the API refuses a window that is too long for it."""
        self.back, self.ahead = max(self.back, length), max(self.ahead, length)


CLOSE: Final = 20 * MINUTE
"""Milliseconds. Clocks change by half an hour or more, and a filter may compare a time five minutes from ``startTime``."""
BRIEF: Final = 6 * HOUR
"""Of a longer window, clocks may have changed between its ends."""
WEEK: Final = 7 * DAY


class ZoneShown:
    """Where answers have shown that the zone is right in which the package writes dates.

    Were it wrong, a window would begin and end at another time than is written. Where the first record is close to the one end and the last
    record to the other, it does not.

    >>> shown = ZoneShown()
    >>> shown.show(100 * DAY, 100 * DAY + 30 * MINUTE, [100 * DAY + 10 * MINUTE, 100 * DAY + 25 * MINUTE])
    >>> shown.holds_at(104 * DAY), shown.holds_at(90 * DAY)
    (True, False)
    """

    def __init__(self) -> None:
        self._weeks: set[int] = set()

    def show(self, from_date: int, to_date: int, times: list[int]) -> None:
        """Take note of the times in an answer."""
        if times and to_date - from_date <= BRIEF and abs(min(times) - from_date) < CLOSE and -MINUTE < to_date - max(times) < CLOSE:
            self.add(from_date)

    def add(self, time: int) -> None:
        """The zone is right at this time."""
        self._weeks.add(time // WEEK)

    def holds_at(self, time: int) -> bool:
        """Whether it was shown in the week of this time, or in one beside it."""
        return not self._weeks.isdisjoint((time // WEEK - 1, time // WEEK, time // WEEK + 1))
