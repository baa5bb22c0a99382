"""Records that some answer held and that the reading has not yielded yet."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import ContinuityError
from airflow_provider_capillary.reading.capacity import WEEK

if TYPE_CHECKING:
    from airflow_provider_capillary.api.event_logs import EventLogs

__all__ = ["PendingRecords"]

MOST_SAMPLES: Final = 6
"""Of a week."""


class PendingRecords:
    """Records of ``[start, end)`` that were seen and are not released yet, each once.

    Every record that was seen, if it is looked for, must be in a whole answer before it is released. The records of a whole answer stay
    together, in order; only the repetitions of records that an earlier answer held are taken out.

    >>> pending = PendingRecords(0, 100)
    >>> pending.add(EventLogs.of([{"id": "a", "startTime": 70}, {"id": "b", "startTime": 20}]))
    >>> pending.add_proved(EventLogs.of([{"id": "a", "startTime": 70}]), number=0)
    >>> [list(records) for records in pending.release(60, 100)]
    [[{'id': 'a', 'startTime': 70}]]

    :param start: UTC epoch milliseconds.
    :param end: UTC epoch milliseconds.
    :param event_name: the records that are looked for have this name; ``None`` for all.
    """

    def __init__(self, start: int, end: int, event_name: str | None = None) -> None:
        self._event_name = event_name
        self._bounds = [start, end]
        """What is not released yet: from the first to the second, from the third to the fourth ..."""
        self._times: dict[str, int] = {}
        """By id, the time of each pending record."""
        self._unproved: dict[str, int] = {}
        """The same of those that are looked for and that no whole answer held."""
        self._proved: list[tuple[int, EventLogs]] = []
        """The records of whole answers, each record once, and the number of the answer's span."""
        self._all = [start, end]
        self.samples: dict[int, list[int]] = {}
        """Times of some records that were released, by week."""

    @property
    def has_released(self) -> bool:
        """Whether records of some of the interval were released."""
        return self._bounds != self._all

    def __len__(self) -> int:
        return len(self._times)

    def add(self, records: EventLogs) -> None:
        """Keep in mind the records of the interval that are not released yet.

        :raises ContinuityError: one id came with two times.
        """
        times = self._times_of(self._not_released(records).named(self._event_name))
        known = self._known(times)
        unproved = {name: time for name, time in times.items() if name not in known} if known else times
        if unproved:
            self._times.update(unproved)
            self._unproved.update(unproved)

    def add_proved(self, records: EventLogs, *, number: int) -> None:
        """Keep the records of a whole answer.

        :param number: of the answer's span, in the order in which they are added to the ledger.
        :raises ContinuityError: one id came with two times.
        """
        inside = self._not_released(records).ordered()
        times = self._times_of(inside)
        repeated = {name for name in self._known(times) if self._unproved.pop(name, None) is None}
        self._times.update(times)
        if len(repeated) < len(inside):
            self._proved.append((number, inside.without(repeated) if repeated else inside))

    def distrust(self, first: int) -> None:
        """Take the answers of the span with this number and of all later ones for cut: their records need another whole answer.

        The first whole answer keeps a record, so earlier answers, which are still believed, did not hold these.
        """
        for number, records in self._proved:
            if number >= first:
                deque(map(self._times.pop, records.ids), maxlen=0)
                self.add(records)
        self._proved = [answer for answer in self._proved if answer[0] < first]

    def release(self, low: int, high: int) -> list[EventLogs]:
        """Remove and return the records of ``[low, high)``. A record of that span which comes later is a repetition.

        :return: one item for each whole answer, latest first; each in the order of ``(startTime, id)``.
        :raises ContinuityError: a record was seen and is in no whole answer.
        """
        if low >= high:
            return []
        if unproved := sum(low <= time < high for time in self._unproved.values()):
            raise ContinuityError(
                f"{unproved} records of the interval were in an answer that was cut, and are in none that holds all of its window",
                hint="retry, in case the records have been deleted; if it stays so, the API's short answers are not whole, or its clocks "
                "change with the season and those of the extra `timezone` do not",
            )
        released, spans, self._proved = [], self._proved, []
        for number, records in spans:
            first, last = bisect_left(records.times, low), bisect_left(records.times, high)
            if first == last:
                self._proved.append((number, records))
            elif last - first == len(records):
                released.append(records)
            else:
                released.append(records[first:last])
                self._proved += [(number, kept) for kept in (records[:first], records[last:]) if kept]
        for records in released:
            self._sample(records.times)
            deque(map(self._times.pop, records.ids), maxlen=0)
        first, last = bisect_left(self._bounds, low), bisect_right(self._bounds, high)
        self._bounds[first:last] = [low] * (first % 2) + [high] * (last % 2)
        return sorted(released, key=lambda records: records.times[-1], reverse=True)

    def _sample(self, times: list[int]) -> None:
        for time in (times[0], times[len(times) // 2], times[-1]):
            of_week = self.samples.setdefault(time // WEEK, [])
            if len(of_week) < MOST_SAMPLES:
                of_week.append(time)

    def _not_released(self, records: EventLogs) -> EventLogs:
        if not records:
            return records
        bounds, times = self._bounds, records.times
        if (place := bisect_right(bounds, min(times))) == bisect_right(bounds, max(times)):
            return records if place % 2 else records[:0]
        return records.kept(bisect_right(bounds, time) % 2 for time in times)

    def _times_of(self, records: EventLogs) -> dict[str, int]:
        """The time of each id."""
        times = dict(zip(records.ids, records.times, strict=True))
        if len(times) < len(records):
            for name, time in zip(records.ids, records.times, strict=True):
                _require_one_time(times[name], time)
        return times

    def _known(self, times: dict[str, int]) -> set[str]:
        """Which of these records are pending already."""
        known = self._times.keys() & times.keys()
        for name in known:
            _require_one_time(self._times[name], times[name])
        return known


def _require_one_time(before: int, time: int) -> None:
    if before != time:
        raise ContinuityError(
            f"One id came with two times, {before} and {time}: one of two event logs would be taken for a repetition",
            hint="retry; if it stays so, ask Capillary's support whether the ids of event logs are unique",
        )
