"""How the emulator reads the dates of a request. The documentation names neither a format nor a zone, so both are options."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DATE_FORMATS", "date_reader", "epoch_ms", "zone_of"]

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
DATE_FORMATS: Final = (*_NAMED, "epoch_ms")
"""Date formats that have a name; any other is a strftime string."""

_DIGITS: Final = re.compile(r"-?[0-9]{1,15}")
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})")


def epoch_ms(moment: datetime) -> int:
    """Return an aware datetime as UTC epoch milliseconds, rounded down."""
    return (moment - _EPOCH) // _MS


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """Return the zone of a name or an offset.

    :param name: an IANA name (``Asia/Kolkata``), ``UTC``, ``Z``, or an offset such as ``+05:30``.
    :raises ValueError: the name is none of these.
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
def date_reader(formats: tuple[str, ...], timezone_name: str) -> Callable[[str], int | None]:
    """Return a function from the text of a date to UTC epoch milliseconds, or None where no format fits.

    :param formats: names out of ``DATE_FORMATS`` or strftime strings, tried in this order.
    :param timezone_name: the zone of a date without an offset. A local time that the clock skips or repeats gets the offset
        from before the change.
    """
    zone = zone_of(timezone_name)

    def read(text: str) -> int | None:
        for date_format in formats:
            try:
                millis = _read_as(date_format, text, zone)
            except (ValueError, OverflowError):
                continue
            if millis is not None:
                return millis
        return None

    return read


def _read_as(date_format: str, text: str, zone: tzinfo) -> int | None:
    if date_format == "epoch_ms":
        return int(text) if _DIGITS.fullmatch(text) else None
    pattern = _NAMED.get(date_format)
    if pattern is None:
        moment = datetime.strptime(text, date_format)  # noqa: DTZ007  # a date without an offset gets the zone in the next line
        return epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    match = pattern.fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    fraction, offset = parts.get("fraction"), parts.get("offset")
    moment = datetime.fromisoformat(parts["base"]).replace(tzinfo=zone_of(offset) if offset else zone)
    return epoch_ms(moment) + (int(fraction[:3].ljust(3, "0")) if fraction else 0)
