"""What is proved of one interval, from its end backwards."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Ledger", "Span"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part ``[low, high)`` of the interval whose answer held ``count`` records, fewer than the ``capacity`` at that moment."""

    low: int
    high: int
    count: int
    capacity: int


class Ledger:
    """Adjacent spans with a whole answer each, from the end of ``[low, high)`` backwards.

    A span is proved once an answer to a *later* request held more records than the span's own: the API could still give more, so it had not
    cut the span's answer. Until then the span is unconfirmed and can be dropped.

    >>> ledger = Ledger(0, 100)
    >>> ledger.add(60, count=9, capacity=10)
    >>> ledger.gap, ledger.frontier
    ((0, 60), 100)
    >>> ledger.confirm(10, asked_after=ledger.added)
    >>> ledger.frontier
    60
    """

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high
        self.frontier = high
        """Everything from here to the end is proved."""
        self.spans = 0
        """How many spans are proved."""
        self.longest: Span | None = None
        """The proved span with the most records."""
        self.added = 0
        """How many spans were added. A request that is sent now is later than all of them."""
        self._unconfirmed: deque[Span] = deque()
        """The last spans that were added."""

    @property
    def edge(self) -> int:
        """Everything from here to the end has a whole answer, proved or unconfirmed."""
        return self._unconfirmed[-1].low if self._unconfirmed else self.frontier

    @property
    def gap(self) -> tuple[int, int] | None:
        """The part that has no whole answer yet; ``None`` where there is none."""
        return (self.low, self.edge) if self.edge > self.low else None

    @property
    def longest_unconfirmed(self) -> int:
        """The most records of an unconfirmed span; 0 where no span with records is unconfirmed."""
        return max((span.count for span in self._unconfirmed), default=0)

    @property
    def unconfirmed_records(self) -> int:
        """How many records all unconfirmed spans hold."""
        return sum(span.count for span in self._unconfirmed)

    @property
    def covers_interval(self) -> bool:
        """Whether proved spans cover all of ``[low, high)``."""
        return self.frontier <= self.low

    def add(self, low: int, *, count: int, capacity: int) -> None:
        """Add the span from ``low`` to the gap's end. Its answer of ``count`` records was whole.

        :raises ValueError: the span is empty, or the count is no proof.
        """
        if low >= self.edge or count >= capacity:
            msg = f"{count} records of {capacity} do not prove [{low}, {self.edge})"
            raise ValueError(msg)
        self._unconfirmed.append(Span(low=low, high=self.edge, count=count, capacity=capacity))
        self.added += 1

    def confirm(self, count: int, *, asked_after: int) -> None:
        """An answer of ``count`` records arrived: spans with fewer are proved, from the end backwards up to the first with as many.

        :param asked_after: :attr:`added` when the answer's request was sent. Spans that were added later are not proved: their answers
            may have been given after this one.
        """
        while self._unconfirmed and self._unconfirmed[0].count < count and self.added - len(self._unconfirmed) < asked_after:
            span = self._unconfirmed.popleft()
            self.frontier = span.low
            self.spans += 1
            if self.longest is None or span.count > self.longest.count:
                self.longest = span

    def drop_unconfirmed(self) -> None:
        """Put the unconfirmed spans back into the gap."""
        self._unconfirmed.clear()
