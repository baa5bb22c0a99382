"""How the stand-in reads a date, and how finely. All of it is a liberty: the documentation gives neither format nor zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PRECISIONS", "date_reader", "epoch_ms", "floor_to", "next_unit", "zone_of"]

PRECISIONS: Final = {"ms": 1, "s": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
"""Names of the precisions and their length in milliseconds (a day: without a change of the clock)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_FRACTION: Final = r"(?:\.(?P<fraction>[0-9]{1,9}))?"
_NAMED: Final = {
    "iso": re.compile(rf"(?P<base>{_DAY}T{_TIME}){_FRACTION}"),
    "iso_z": re.compile(rf"(?P<base>{_DAY}T{_TIME}){_FRACTION}(?P<offset>Z|[+-][0-9]{{2}}:?[0-9]{{2}})"),
    "datetime": re.compile(rf"(?P<base>{_DAY} {_TIME}){_FRACTION}"),
    "date": re.compile(rf"(?P<base>{_DAY})"),
}
_DIGITS: Final = re.compile(r"-?[0-9]{1,15}")
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})")


def epoch_ms(moment: datetime) -> int:
    """Return an aware moment as UTC epoch milliseconds, rounded down."""
    return (moment - _EPOCH) // _MS


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """Return the zone that a name or an offset stands for.

    :param name: an IANA name (``Asia/Kolkata``), ``UTC``, ``Z``, or an offset such as ``+05:30``.
    :raises ValueError: nothing of the kind is known.
    """
    if name in {"UTC", "Z"}:
        return UTC
    if offset := _OFFSET.fullmatch(name):
        length = timedelta(hours=int(offset["hours"]), minutes=int(offset["minutes"]))
        return timezone(-length if offset["sign"] == "-" else length)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        message = f"timezone={name!r} is no IANA name and no offset; write for example 'Asia/Kolkata' or '+05:30'"
        raise ValueError(message) from error


@lru_cache(maxsize=256)
def date_reader(formats: tuple[str, ...], timezone_name: str, fractions: str) -> Callable[[str], int | None]:
    """Return a function from a parameter's text to UTC epoch milliseconds, or None where no format fits.

    :param formats: names of ``_NAMED``, ``epoch_ms`` or strftime strings, tried in this order.
    :param timezone_name: the zone of a date that carries no offset; a time that the clock skips or
        repeats is read with the offset that was in force before the change.
    :param fractions: ``read``, ``drop`` or ``refuse`` a fraction of a second in the three named formats that have seconds.
    """
    zone = zone_of(timezone_name)

    def read(text: str) -> int | None:
        for form in formats:
            try:
                found = _read_as(form, text, zone, fractions)
            except (ValueError, OverflowError):
                continue
            if found is not None:
                return found
        return None

    return read


def _read_as(form: str, text: str, zone: tzinfo, fractions: str) -> int | None:
    if form == "epoch_ms":
        return int(text) if _DIGITS.fullmatch(text) else None
    pattern = _NAMED.get(form)
    if pattern is None:
        moment = datetime.strptime(text, form)  # noqa: DTZ007  # a date without an offset is the subject here
        return epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    match = pattern.fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    fraction = parts.get("fraction")
    if fraction and fractions == "refuse":
        return None
    offset = parts.get("offset")
    moment = datetime.fromisoformat(parts["base"]).replace(tzinfo=zone_of(offset) if offset else zone)
    return epoch_ms(moment) + (int(fraction[:3].ljust(3, "0")) if fraction and fractions == "read" else 0)


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
