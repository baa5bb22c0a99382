"""Timestamps in the form that the API reads, and the precisions with which an API may read them.

Nothing documents the format, the zone and the precision of ``from_date`` and ``to_date``, and sibling endpoints differ in all three. So
each is a setting, or calibration finds it (:mod:`~airflow_provider_capillary.reading.calibration`).

Timestamps are UTC epoch milliseconds, as ``startTime`` is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

__all__ = ["AUTO", "DAY", "FORMATS", "HOUR", "MINUTE", "PRECISIONS", "QUARTER", "SECOND", "DateFormat", "zone_of"]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
QUARTER = 15 * MINUTE
"""Every zone in use lies a multiple of this from UTC, so its hours and days begin at a multiple of this in UTC."""
PRECISIONS = (1, SECOND, MINUTE, HOUR, DAY)
"""The precisions with which an API may read dates, in milliseconds, finest first."""

FORMATS = {
    "iso": "%Y-%m-%dT%H:%M:%S",
    "iso_z": "%Y-%m-%dT%H:%M:%SZ",
    "datetime": "%Y-%m-%d %H:%M:%S",
    "date": "%Y-%m-%d",
    "epoch_ms": "",
}
AUTO = ("iso", "epoch_ms", "iso_z", "datetime", "date")
"""The formats that ``auto`` tries: first what ``/v2/events/search`` is documented to read, then the finest, then what other sibling
endpoints read."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name, or of an offset such as ``+05:30``.

    From pendulum, as in Airflow itself: pendulum ships the zones, which a slim container image lacks.
    """
    import pendulum

    if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        seconds = 3600 * int(offset[2]) + 60 * int(offset[3])
        return pendulum.timezone(-seconds if offset[1] == "-" else seconds)
    return pendulum.timezone(name)


def _resolution_of(pattern: str) -> int:
    used = set(re.findall(r"%-?([a-zA-Z])", pattern))
    if not pattern or "f" in used:
        return 1
    if used & set("sSTcXr"):
        return SECOND
    if used & set("MR"):
        return MINUTE
    return HOUR if used & set("HI") else DAY


@dataclass(frozen=True)
class DateFormat:
    """One way to write a timestamp.

    :param name: a key of :data:`FORMATS`, or a strftime string.
    :param zone: the zone in which the API reads a date that carries no offset.
    """

    name: str
    zone: tzinfo = field(hash=False)  # pendulum 3.1's zones have no hash

    def __post_init__(self) -> None:
        pattern = FORMATS.get(self.name, self.name)
        object.__setattr__(self, "_pattern", pattern)
        object.__setattr__(self, "resolution", _resolution_of(pattern))
        object.__setattr__(self, "_zone", UTC if self.name in ("iso_z", "epoch_ms") else self.zone)
        object.__setattr__(self, "carries_zone", self.name in ("iso_z", "epoch_ms") or bool(re.search(r"%[zs]", pattern)))

    _pattern: str = ""
    _zone: tzinfo = field(default=UTC, hash=False)
    resolution: int = 1
    """The finest step that this format can write, in milliseconds."""
    carries_zone: bool = False

    def text(self, timestamp: int) -> str:
        """The timestamp as the API reads it; exact for results of :meth:`floor` and :meth:`ceil`."""
        if self.name == "epoch_ms":
            return str(timestamp)
        pattern = self._pattern.replace("%s", str(timestamp // SECOND))
        return self._local(timestamp).strftime(pattern)

    def floor(self, timestamp: int, unit: int = 0) -> int:
        """The latest timestamp at or before this one that is whole in ``unit`` and unambiguous.

        Where clocks are set back, one hour of wall-clock time happens twice, and the API could read either. No date in it is ever sent.
        """
        whole = self._floor(timestamp, max(unit, self.resolution))
        while self._is_ambiguous(whole):
            whole = self._floor(self._floor(whole, QUARTER) - 1, max(unit, self.resolution))
        return whole

    def ceil(self, timestamp: int, unit: int = 0) -> int:
        """The earliest timestamp at or after this one that is whole in ``unit`` and unambiguous."""
        whole = self._ceil(timestamp, max(unit, self.resolution))
        while self._is_ambiguous(whole):
            whole = self._ceil(self._floor(whole, QUARTER) + QUARTER, max(unit, self.resolution))
        return whole

    def _local(self, timestamp: int) -> datetime:
        return (_EPOCH + timedelta(milliseconds=timestamp)).astimezone(self._zone)

    def offset(self, timestamp: int) -> int:
        """Milliseconds by which the zone of these dates is ahead of UTC at a timestamp."""
        if self._zone is UTC:
            return 0
        return round((self._local(timestamp).utcoffset() or timedelta()) / timedelta(milliseconds=1))

    def _floor(self, timestamp: int, unit: int) -> int:
        whole = timestamp - (timestamp + self.offset(timestamp)) % unit
        # The offset may have changed between `whole` and `timestamp`; `whole` has to be whole by the clock at `whole`.
        again = whole - (whole + self.offset(whole)) % unit
        return again if again <= timestamp else whole

    def _ceil(self, timestamp: int, unit: int) -> int:
        after = whole = self._floor(timestamp, unit)
        # A unit later is not always the next one: days have 23 to 25 hours, and some have no midnight, for clocks are set forward then.
        halves = 2
        while after < timestamp:
            after = self._floor(whole + halves * unit // 2, unit)
            halves += 1
        return after

    def _is_ambiguous(self, timestamp: int) -> bool:
        if self.carries_zone:
            return False
        local = self._local(timestamp)
        return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
