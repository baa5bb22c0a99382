"""Records that some answer held and that the reading has not yielded yet."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import ContinuityError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_capillary.api.effects import Record

__all__ = ["PendingRecords"]


class PendingRecords:
    """Records of ``[start, end)`` that were seen and are not released yet, each once.

    Every record that was seen must be in a whole answer before it is released.

    >>> pending = PendingRecords(0, 100)
    >>> pending.add([{"id": "a", "startTime": 70}, {"id": "b", "startTime": 20}])
    >>> pending.add_proved([{"id": "a", "startTime": 70}], span_start=60)
    >>> pending.release(60)
    [{'id': 'a', 'startTime': 70}]

    :param start: UTC epoch milliseconds.
    :param end: UTC epoch milliseconds.
    """

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self._released_from = end
        self._records: dict[str, Record] = {}
        self._proved_by: dict[str, int] = {}
        """By id, where the span begins whose whole answer held the record."""
        self._latest_first: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Iterable[Record]) -> None:
        """Keep the records of the interval that are not released yet.

        :raises ContinuityError: one id came with two times.
        """
        for record in records:
            self._keep(record)

    def add_proved(self, records: Iterable[Record], *, span_start: int) -> None:
        """Keep the records of a whole answer.

        :param span_start: where the span of the answer begins.
        :raises ContinuityError: one id came with two times.
        """
        for record in records:
            if self._keep(record):
                name = record["id"]
                self._proved_by[name] = max(span_start, self._proved_by.get(name, span_start))

    def distrust_spans_before(self, frontier: int) -> None:
        """Take the answers of all spans that begin before ``frontier`` for cut: their records need another whole answer."""
        self._proved_by = {name: low for name, low in self._proved_by.items() if low >= frontier}

    def release(self, since: int) -> list[Record]:
        """Remove and return the records from ``since`` on, latest first. A record of that time which comes later is a repetition.

        :raises ContinuityError: a record was seen and is in no whole answer.
        """
        released, unproved = [], 0
        while self._latest_first and -self._latest_first[0][0] >= since:
            _, name = heappop(self._latest_first)
            released.append(self._records.pop(name))
            unproved += self._proved_by.pop(name, None) is None
        if unproved:
            raise ContinuityError(
                f"{unproved} records of the interval were in an answer that was cut, and are in none that holds all of its window",
                hint="retry, in case the records have been deleted; if it stays so, the API's short answers are not whole",
            )
        self._released_from = min(self._released_from, max(since, self.start))
        return released

    def _keep(self, record: Record) -> bool:
        """Whether the record is of the interval and not released yet."""
        time, name = record["startTime"], record["id"]
        if not self.start <= time < self._released_from:
            return False
        if name not in self._records:
            heappush(self._latest_first, (-time, name))
            self._records[name] = record
        elif (before := self._records[name]["startTime"]) != time:
            raise ContinuityError(
                f"One id came with two times, {before} and {time}: one of two event logs would be taken for a repetition",
                hint="retry; if it stays so, ask Capillary's support whether the ids of event logs are unique",
            )
        return True
