"""Which date to send so that the last instant of one page is in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.reading.dates import LADDER
from airflow_provider_capillary.reading.order import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.reading.calibration import Wire

__all__ = ["Seams"]

FIRST_UNIT = 2
"""Levels of looseness: as the format writes the instant; the next date that it can write; from here on, whole units."""


class Seams:
    """Bounds for the seams of one walk, beginning with what has worked before.

    Whether a bound is inclusive, and how coarsely it is read, shows in whether the seam's records come back; where they do not,
    a looser bound is tried. An instant that the format can write exactly and one that it cannot may need different bounds.

    :ivar missed: how many bounds were too tight.
    """

    def __init__(self, wire: Wire, order: Order) -> None:
        self._wire = wire
        self._order = order
        coarse = LADDER.index(wire.least) + FIRST_UNIT if wire.least > 1 else 0
        self._level = {True: coarse, False: max(coarse, 1)}
        self._untried = {exact for exact, level in self._level.items() if level > 0}
        self.missed = 0

    def bounds(self, instant: int) -> Iterator[int]:
        """Bounds to try in turn; going on to the next one tells that the last was too tight."""
        exact = self._is_exact(instant)
        tried: set[int] = set()
        for level in range(self._level[exact], FIRST_UNIT + len(LADDER)):
            bound = self._bound(instant, level)
            if bound not in tried:
                self._level[exact] = level
                tried.add(bound)
                yield bound
                self.missed += 1

    def tighter(self, instant: int) -> int | None:
        """The tightest bound, once, where :meth:`bounds` did not begin with it: an API that reads dates coarsely may include the seam."""
        exact = self._is_exact(instant)
        if exact not in self._untried:
            return None
        self._untried.discard(exact)
        return self._bound(instant, 0)

    def keep_tighter(self, instant: int) -> None:
        """Begin with the tightest bound from now on."""
        self._level[self._is_exact(instant)] = 0

    def _is_exact(self, instant: int) -> bool:
        return self._wire.dates.down(instant) == instant

    def _bound(self, instant: int, level: int) -> int:
        dates, towards_later = self._wire.dates, self._order is Order.NEWEST_FIRST
        if level == 0:
            return dates.down(instant)
        if level < FIRST_UNIT:
            return dates.up(instant + 1) if towards_later else dates.down(dates.down(instant) - 1)
        unit = LADDER[level - FIRST_UNIT]
        whole = dates.down(instant, unit)
        return dates.up(whole + max(unit, dates.resolution)) if towards_later else dates.down(whole - 1)
