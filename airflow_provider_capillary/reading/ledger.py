"""What is proved of one interval: part by part, each from its end backwards. All times are positions (:mod:`.direction`)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Ledger", "Part", "Span"]


@dataclass(eq=False, kw_only=True, slots=True)
class Part:
    """A part ``[low, high)`` of the interval, which adjacent spans with a whole answer each fill from its end backwards.

    :ivar answered_from: everything from here to the part's end has a whole answer, proved or unconfirmed.
    :ivar proved_from: everything from here to the part's end is proved.
    """

    low: int
    high: int
    answered_from: int
    proved_from: int

    @classmethod
    def unread(cls, low: int, high: int) -> Part:
        """A part of which nothing has an answer."""
        return cls(low=low, high=high, answered_from=high, proved_from=high)

    @property
    def gap(self) -> tuple[int, int] | None:
        """What has no whole answer yet; ``None`` where there is none."""
        return (self.low, self.answered_from) if self.answered_from > self.low else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """``[low, high)`` of a part. Its answer held ``count`` records, fewer than the ``capacity`` at that moment."""

    part: Part
    low: int
    high: int
    count: int
    capacity: int


class Ledger:
    """Spans with a whole answer each, which are to cover ``[low, high)``.

    A span is proved once an answer to a *later* request held more records than the span's own: the API could still give more, so it had not
    cut the span's answer. Until then the span is unconfirmed and can be dropped.

    >>> ledger = Ledger(0, 100)
    >>> (part,) = ledger.parts
    >>> ledger.add(part, 60, count=9, capacity=10)
    >>> part.gap, part.proved_from
    ((0, 60), 100)
    >>> ledger.confirm(10, asked_after=ledger.added)
    >>> part.proved_from
    60
    """

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high
        self.parts = [Part.unread(low, high)]
        """Latest first; together all of the interval."""
        self.spans = 0
        """How many spans are proved."""
        self.longest: Span | None = None
        """The proved span with the most records."""
        self.added = 0
        """How many spans were added. A request that is sent now is later than all of them."""
        self._unconfirmed: deque[Span] = deque()
        """The last spans that were added."""

    @property
    def confirmed(self) -> int:
        """How many of the spans that were added, in their order, are confirmed or dropped."""
        return self.added - len(self._unconfirmed)

    @property
    def longest_unconfirmed(self) -> int:
        """The most records of an unconfirmed span; 0 where no span with records is unconfirmed."""
        return max((span.count for span in self._unconfirmed), default=0)

    @property
    def unconfirmed_records(self) -> int:
        """How many records all unconfirmed spans hold."""
        return sum(span.count for span in self._unconfirmed)

    @property
    def has_gaps(self) -> bool:
        """Whether some of the interval has no whole answer yet."""
        return any(part.gap for part in self.parts)

    @property
    def covers_interval(self) -> bool:
        """Whether proved spans cover all of ``[low, high)``."""
        return all(part.proved_from <= part.low for part in self.parts)

    @property
    def proved_share(self) -> float:
        """The share of the interval that is proved."""
        return sum(part.high - part.proved_from for part in self.parts) / (self.high - self.low)

    def proved_around(self, part: Part) -> tuple[int, int]:
        """The longest span that is proved and holds what is proved of a part."""
        place = self.parts.index(part)
        high = part.high
        for later in reversed(self.parts[:place]):
            if later.proved_from > later.low:
                break
            high = later.high
        low = part.proved_from
        for earlier in self.parts[place + 1 :]:
            if low > earlier.high:
                break
            low = earlier.proved_from
        return low, high

    def split(self, part: Part, at: int) -> Part:
        """Cut a part off the beginning of another, within that one's gap."""
        if not part.low < at < part.answered_from:
            msg = f"{at} is not within the gap of [{part.low}, {part.answered_from})"
            raise ValueError(msg)
        earlier = Part.unread(part.low, at)
        part.low = at
        self.parts.insert(self.parts.index(part) + 1, earlier)
        return earlier

    def extend(self, low: int, high: int) -> list[Part]:
        """Cover ``[low, high)``, too, where it is longer; return the parts that this adds."""
        added = [Part.unread(self.high, high)] * (high > self.high)
        self.parts[:0] = added
        if low < self.low:
            added.append(Part.unread(low, self.low))
            self.parts.append(added[-1])
        self.low, self.high = min(low, self.low), max(high, self.high)
        return added

    def add(self, part: Part, low: int, *, count: int, capacity: int) -> None:
        """Add the span from ``low`` to the end of a part's gap. Its answer of ``count`` records was whole.

        :raises ValueError: the span is empty or no span of the part, or the count is no proof.
        """
        if not part.low <= low < part.answered_from or count >= capacity:
            msg = f"{count} records of {capacity} do not prove [{low}, {part.answered_from})"
            raise ValueError(msg)
        self._unconfirmed.append(Span(part=part, low=low, high=part.answered_from, count=count, capacity=capacity))
        part.answered_from = low
        self.added += 1

    def confirm(self, count: int, *, asked_after: int) -> None:
        """An answer of ``count`` records arrived: spans with fewer are proved, in the order of their adding, up to the first with as many.

        :param asked_after: :attr:`added` when the answer's request was sent. Spans that were added later are not proved: their answers
            may have been given after this one.
        """
        while self._unconfirmed and self._unconfirmed[0].count < count and self.confirmed < asked_after:
            span = self._unconfirmed.popleft()
            span.part.proved_from = span.low
            self.spans += 1
            if self.longest is None or span.count > self.longest.count:
                self.longest = span

    def drop_unconfirmed(self) -> None:
        """Put the unconfirmed spans back into the gaps."""
        self._unconfirmed.clear()
        for part in self.parts:
            part.answered_from = part.proved_from
