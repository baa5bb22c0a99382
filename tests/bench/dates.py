"""Dates that are read more coarsely than to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.emulator.dates import epoch_ms

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["PRECISIONS", "floor_to", "next_unit"]

PRECISIONS: Final = {"ms": 1, "s": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
"""Names of the precisions and their length in milliseconds (a day: without a change of the clock)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def floor_to(instant: int, precision: str, zone: tzinfo) -> int:
    """Return the first millisecond of the unit (of the zone's own clock) that holds the instant."""
    unit = PRECISIONS[precision]
    if zone is UTC or unit <= PRECISIONS["minute"]:
        return instant - instant % unit
    try:
        local = (_EPOCH + instant * _MS).astimezone(zone)
        if precision == "hour":
            offset = (local.utcoffset() or timedelta(0)) // _MS
            return instant - (instant + offset) % unit
        return epoch_ms(datetime(local.year, local.month, local.day, tzinfo=zone))
    except (OverflowError, ValueError):  # beyond the years 1 to 9999, where no zone has an offset to speak of
        return instant - instant % unit


def next_unit(floor: int, precision: str, zone: tzinfo) -> int:
    """Return the first millisecond after the unit that begins at ``floor``; a local day may last 23 or 25 hours."""
    unit = PRECISIONS[precision]
    if precision != "day" or zone is UTC:
        return floor + unit
    # Half a day past the nominal end lies inside the next local day whatever the clock did.
    return floor_to(floor + unit + unit // 2, precision, zone)
