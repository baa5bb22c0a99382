"""What is proved of one interval, from its end backwards."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Ledger", "Span"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time ``[low, high)`` whose answer held ``count`` records, when ``capacity`` was what the API could give."""

    low: int
    high: int
    count: int
    capacity: int


class Ledger:
    """Adjacent spans that were answered in full, from the end of ``[low, high)`` backwards.

    A span counts for good once a *later* answer was longer than the span's: the API could still give more, so it had not cut the span
    short. Until then it is pending, and can be forgotten.

    >>> ledger = Ledger(0, 100)
    >>> ledger.add(60, count=9, capacity=10)
    >>> ledger.gap, ledger.frontier
    ((0, 60), 100)
    >>> ledger.confirm(10)
    >>> ledger.frontier
    60
    """

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high
        self.frontier = high
        """From here to the end everything is proved for good."""
        self.spans = 0
        self.longest: Span | None = None
        """Of the spans that are proved for good, the one with the most records."""
        self._pending: deque[Span] = deque()

    @property
    def edge(self) -> int:
        """From here to the end, everything has been answered in full."""
        return self._pending[-1].low if self._pending else self.frontier

    @property
    def gap(self) -> tuple[int, int] | None:
        """What is still to be read, ``None`` where nothing is."""
        return (self.low, self.edge) if self.edge > self.low else None

    @property
    def pending_count(self) -> int:
        """The most records in a span that a later answer has still to confirm; 0 where none is pending."""
        return max((span.count for span in self._pending), default=0)

    @property
    def pending_records(self) -> int:
        """How many records all such spans hold."""
        return sum(span.count for span in self._pending)

    @property
    def is_proved(self) -> bool:
        """Whether the spans cover the interval, each of them for good."""
        return self.frontier <= self.low

    def add(self, low: int, *, count: int, capacity: int) -> None:
        """The span from ``low`` up to the gap's end was answered in full, by ``count`` records.

        :raises ValueError: the span is empty, or the count is no proof.
        """
        if low >= self.edge or count >= capacity:
            msg = f"{count} records of {capacity} do not prove [{low}, {self.edge})"
            raise ValueError(msg)
        self._pending.append(Span(low=low, high=self.edge, count=count, capacity=capacity))

    def confirm(self, count: int) -> None:
        """An answer of ``count`` records arrived: spans with fewer, from the end backwards, are proved for good."""
        while self._pending and self._pending[0].count < count:
            span = self._pending.popleft()
            self.frontier = span.low
            self.spans += 1
            if self.longest is None or span.count > self.longest.count:
                self.longest = span

    def forget_pending(self) -> None:
        """What is not proved for good is to be read again."""
        self._pending.clear()
