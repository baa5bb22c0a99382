"""How one API reads ``from_date`` and ``to_date``: which dates to send so that a window surely holds a span of time.

Nothing documents the format, the zone or the precision of the two dates, whether they are inclusive, or with which time of an event log
the API compares them. :class:`Bounds` assumes the worst case that calibration has not ruled out. Answers can only improve it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from airflow_provider_capillary.api.date_formats import DateFormat

__all__ = ["MARGIN", "Bounds"]

MARGIN: Final = 5 * MINUTE
"""How far the time that the API's filter compares may lie from ``startTime``, milliseconds: an event log is written when its event *has
been* processed. Published response times are below a second."""
LONGEST_DAY: Final = 26 * HOUR
"""Longer than any day of any zone, milliseconds."""
ELSEWHERE: Final = DAY + 2 * HOUR + MARGIN
"""A record farther than this outside of its window, milliseconds, shows that the API does not read dates, not even to the day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How an API reads dates, as far as that is known. All times are UTC epoch milliseconds.

    :param dates: the format that the API reads.
    :param unit: the API reads dates so finely that a window loses no more than this at either end, milliseconds.
    :param whole_units: whether a window from a date to the same date holds the whole unit that begins there. It was answered with
        records, and an API that leaves out one of its bounds would have answered it with none.
    :param lag: the longest time by which a record lay before the window that returned it, milliseconds. A distance of more than an hour is
        not counted: APIs that read dates to the day give records from all of it.
    """

    dates: DateFormat
    unit: int
    whole_units: bool = False
    lag: int = 0

    @property
    def step(self) -> int:
        """The shortest span that can be asked for, milliseconds."""
        return max(self.unit, self.dates.resolution)

    @property
    def zone_error(self) -> int:
        """By how much the zone of the API's dates may lie off, milliseconds: dates that are read by the hour or the day do not show it."""
        return DAY if self.step >= HOUR else 0

    @property
    def margin(self) -> int:
        """How far to read beyond an interval, for records that the filter dates later or earlier than their ``startTime``."""
        return max(MARGIN, 2 * self.lag) + self.zone_error

    def surely(self, distance: int, *, is_cut: bool) -> int:
        """How far a record has to lie from an end of a window, so that by the API's own times it is this far from it, milliseconds.

        :param is_cut: whether longer windows may be cut. Then it counts that the filter may compare a later time; else only the zone.
        """
        return distance + (self.margin if is_cut and distance >= HOUR else self.zone_error)

    def floor(self, time: int) -> int:
        """The last time at or before ``time`` at which a span may begin or end."""
        return self.dates.floor(time, self.unit)

    def ceil(self, time: int) -> int:
        """The first time at or after ``time`` at which a span may begin or end."""
        return self.dates.ceil(time, self.unit)

    def window(self, low: int, high: int) -> tuple[int, int]:
        """``from_date`` and ``to_date`` of a window that surely holds every record of the span ``[low, high)``.

        An API that leaves out both of its bounds begins a unit after ``from_date`` and ends at ``to_date``. So the window begins a unit
        early. The windows of neighbouring spans then join whatever the API does, for it reads both alike:

        >>> Bounds(dates=DateFormat("iso", UTC), unit=1000).window(60_000, 120_000)
        (59000, 120000)

        :param low: as :meth:`floor` or :meth:`ceil` return it.
        :param high: the same.
        """
        if self.whole_units:
            last = self.floor(high - 1)
            # Where clocks are set back, no date means the last unit alone; the next unit's date is sent instead.
            is_next = high - last <= self.step + (HOUR if self.step > HOUR else 0)
            return low, last if is_next else high
        if self.dates.carries_zone and self.step > HOUR:
            # The hour at which the API's days begin is unknown.
            return self.dates.floor(low - LONGEST_DAY), high
        return self.floor(low - 1), high

    def saw(self, from_date: int, times: list[int]) -> Bounds:
        """These bounds with what an answer with records at ``times`` shows."""
        lag = from_date - min(times, default=from_date)
        # Dates that are read by the hour or the day reach back by that without any lag; the error of their zone covers more than a lag.
        return replace(self, lag=lag) if self.lag < lag <= HOUR and not self.zone_error else self

    def is_elsewhere(self, time: int, from_date: int, to_date: int) -> bool:
        """Whether a record at ``time`` can't come from the window: the API does not read these dates."""
        return not from_date - ELSEWHERE <= time <= to_date + ELSEWHERE

    def described(self) -> dict[str, str | int]:
        """For the manifest."""
        return {
            "date_format": self.dates.name,
            "timezone": getattr(self.dates.zone, "name", str(self.dates.zone)),
            "precision_ms": self.step,
            "margin_ms": self.margin,
        }
