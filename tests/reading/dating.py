"""A model of how a server may read two dates, to hold windows against without a server."""

from __future__ import annotations

from dataclasses import dataclass

from bench.dates import floor_to, next_unit

from airflow_provider_capillary.api.date_formats import PRECISIONS, zone_of

__all__ = ["NAMES", "Server"]

NAMES = dict(zip(PRECISIONS, ("ms", "s", "minute", "hour", "day"), strict=True))


@dataclass(frozen=True)
class Server:
    """How a server may read two dates.

    :param unit: to which it cuts them down, by its own clock.
    :param by_unit: whether it compares units with units, or what it cut down with the time itself.
    """

    unit: int
    zone: str
    has_from: bool
    has_to: bool
    by_unit: bool

    def matching(self, from_date: int, to_date: int) -> tuple[int, int]:
        """The times that match, ``[low, high)``."""
        unit, zone = NAMES[self.unit], zone_of(self.zone)
        low, high = floor_to(from_date, unit, zone), floor_to(to_date, unit, zone)
        if not self.has_from:
            low = next_unit(low, unit, zone) if self.by_unit else low + 1
        if self.has_to:
            high = next_unit(high, unit, zone) if self.by_unit else high + 1
        return low, high
