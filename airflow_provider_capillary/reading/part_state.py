"""How the reading of a part stands, beside what the ledger says of the part. All times are positions (:mod:`.direction`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.direction import Direction
    from airflow_provider_capillary.reading.ledger import Part
    from airflow_provider_capillary.reading.sizing import Sizer

__all__ = ["AskedSpan", "PartState"]


@dataclass(eq=False, kw_only=True, slots=True)
class AskedSpan:
    """A span ``[low, high)`` that was asked for, with what was known by then: while a request is under way, others may show more.

    :param window: ``from_date`` and ``to_date``.
    :param bounds: what the window was made of.
    :param capacity: how many records the API was known to give at once.
    :ivar shown: how many records an answer held that was asked for after this span's answer.
    """

    low: int
    high: int
    window: tuple[int, int]
    bounds: Bounds
    capacity: int
    shown: int = 0


@dataclass(eq=False, slots=True)
class PartState:
    """How the reading of a part stands.

    :ivar asking: the span that is asked for at the moment.
    :ivar too_wide: the last span that was asked for and could not be proved.
    """

    part: Part
    sizer: Sizer
    asking: AskedSpan | None = None
    too_wide: tuple[int, int] | None = None

    @property
    def asked_from(self) -> int:
        """From here to the part's end, everything has a whole answer or is being asked for."""
        return self.asking.low if self.asking else self.part.answered_from

    @property
    def windows_left(self) -> float:
        """About how many windows of the part have not been asked for; 0.0 where that is unknown."""
        return self.sizer.windows_in(self.asked_from - self.part.low)

    def next_span(self, direction: Direction, bounds: Bounds) -> tuple[int, int] | None:
        """The span to ask for next, at the end of the part's gap, as dates can be written; ``None`` where there is no gap."""
        if (gap := self.part.gap) is None:
            return None
        low, high = gap
        start = self.sizer.start_of(low, high)
        if self.too_wide is not None and self.too_wide[1] == high:
            start = max(start, self.too_wide[0] + 1)
        return max(low, min(direction.ceil(bounds, start), direction.floor(bounds, high - 1))), high

    def forbid(self, low: int, high: int) -> None:
        """The API does not answer so long a window as that of ``[low, high)``: the next spans are shorter."""
        self.sizer.forbid(high - low)
        self.too_wide = (low, high)

    def learn_full(self, low: int, high: int, positions: list[int]) -> None:
        """A full answer to ``[low, high)`` held records of these positions: the next span is shorter."""
        self.sizer.learn_full(low, high, positions)
        self.too_wide = (low, high)
