"""How one API reads ``from_date`` and ``to_date``: which dates to send so that a window surely holds what it is to hold.

Nothing documents the format, the zone or the precision of the two dates, whether they are inclusive, or which time of an event log they
are compared with. :class:`Bounds` assumes the worst that calibration has not ruled out, and answers can only make it better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from airflow_provider_capillary.api.date_formats import DateFormat

__all__ = ["MARGIN", "Bounds"]

MARGIN: Final = 5 * MINUTE
"""How far the time that the filter compares may lie from ``startTime``: an event log is written when it *has been* processed. Published
response times are below a second."""
LONGEST_DAY: Final = 26 * HOUR
"""Milliseconds; more than any day of any zone has."""
ELSEWHERE: Final = DAY + 2 * HOUR + MARGIN
"""A record farther than this outside of a window is not explained by dates that are read to the day: they are not read at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What is known of how an API reads dates. All times are UTC epoch milliseconds.

    :param dates: the format that it reads.
    :param unit: dates are read at least so finely that no window loses more than this at either end, milliseconds.
    :param whole_units: whether a window from a date to the same date holds the whole unit that begins there. It was answered with
        records, and an API that leaves out either of its bounds has nothing to answer.
    :param lag: the most by which a record lay before the window that returned it, milliseconds, as far as an hour.
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
    def margin(self) -> int:
        """How far beyond an interval to read, so that what the filter dates later (or earlier) than its ``startTime`` is in it."""
        # Dates read by the hour or the day do not show whether the zone is the right one, which is less than a day away.
        return max(MARGIN, 2 * self.lag) + (DAY if self.step >= HOUR else 0)

    def floor(self, time: int) -> int:
        """The last time at or before ``time`` at which a span may begin or end."""
        return self.dates.floor(time, self.unit)

    def ceil(self, time: int) -> int:
        """The first time at or after ``time`` at which a span may begin or end."""
        return self.dates.ceil(time, self.unit)

    def window(self, low: int, high: int) -> tuple[int, int]:
        """``from_date`` and ``to_date`` of a window that surely holds every record of the span ``[low, high)``.

        An API that leaves out its bounds to the unit begins a unit after ``from_date`` and ends at ``to_date``. So the window begins a
        unit early, and neighbouring spans join whatever the API does, for both of their windows are read alike:

        >>> Bounds(dates=DateFormat("iso", UTC), unit=1000).window(60_000, 120_000)
        (59000, 120000)

        :param low: as :meth:`floor` or :meth:`ceil` return it.
        :param high: the same.
        """
        if self.whole_units:
            last = self.floor(high - 1)
            # Where clocks are set back, the last unit has no date that can be sent, and the next one's has to do.
            is_next = high - last <= self.step + (HOUR if self.step >= HOUR else 0)
            return low, last if is_next else high
        if self.dates.carries_zone and self.step > HOUR:
            # The API's days begin at an hour that is unknown.
            return self.dates.floor(low - LONGEST_DAY), high
        return self.floor(low - 1), high

    def saw(self, from_date: int, times: list[int]) -> Bounds:
        """These bounds, after an answer with records at these times."""
        lag = from_date - min(times, default=from_date)
        # More than an hour is not lag: such dates are read by the day.
        return replace(self, lag=lag) if self.lag < lag <= HOUR else self

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
