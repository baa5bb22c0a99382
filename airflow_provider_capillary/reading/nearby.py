"""Records have to come from where they are asked for, also where the interval lies in another season than calibration.

Clocks change with the season. An API that reads dates without an offset in the time of London reads them as UTC in winter. With the
extra ``timezone`` left at ``UTC``, calibration in December is right, and each window of a day in July begins and ends an hour early: the
last hour of the day would be missing. Records near both ends of a window show that the zone is right there. Where many lie in a window,
some do. Where few do, a short window around one of them is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import HOUR
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.bounds import MARGIN
from airflow_provider_capillary.reading.capacity import WEEK, ZoneShown
from airflow_provider_capillary.reading.reach import FIRST, LAST
from airflow_provider_capillary.timestamps import format_timestamp, from_millis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["ZoneCheck", "require_nearby"]

CHANGE: Final = 2 * HOUR
"""The most by which clocks change, milliseconds."""
LOOKS: Final = 3
"""An answer may lack a record once, and the filter may date one of them later than any so far."""
HALF: Final = HOUR // 2


def require_nearby(bounds: Bounds, records: EventLogs, from_date: int, to_date: int) -> None:
    """Check that no record of an answer lies far outside of its window.

    :raises CalibrationError: one does, so the API does not read its dates.
    """
    times = records.times
    if not times or not any(bounds.is_elsewhere(time, from_date, to_date) for time in (min(times), max(times))):
        return
    outside = sum(bounds.is_elsewhere(time, from_date, to_date) for time in times)
    raise CalibrationError(
        f"{outside} of {len(records)} records lie far outside of the window that was asked for",
        request=f"from_date={bounds.dates.text(from_date)} to_date={bounds.dates.text(to_date)}",
        hint="set the extra `date_format` to what this cluster reads",
    )


class ZoneCheck:
    """Whether the API reads the dates about ``[start, end)`` in the zone in which it read those of calibration.

    It is checked at the start and the end, and every two weeks in between. Not where dates carry their zone, or are read by the hour or the
    day: then the reading reaches beyond the interval by a day. Nor in the last week before the present, where the interval is not over by
    the API's clock, as a poll's is not: it would cost each poll of a quiet API a request. Nor where there is no record to check it with:
    none of the interval within a week, and none within two hours of its start or end, as far as the API answers windows about them.
    """

    def __init__(self, client: EventLogsClient, start: int, end: int) -> None:
        self._client = client
        is_over = not 0 < client.now <= end
        if end - start <= WEEK:
            self._spans = [(start, end)] * is_over
        else:
            times = (*range(start, end, 2 * WEEK), end)
            self._spans = [(time, time) for time in times if is_over or time < client.now - WEEK]
        self._ends = {start, end}
        self._around: dict[tuple[int, int], list[int]] = {}

    def finds_none_around(self, bounds: Bounds) -> Flow[bool]:
        """Whether a longer window than the interval's shows that there are no records in it, where one has to be asked for anyway."""
        low, high = self._spans[0] if self._spans else (0, 0)
        if low == high:
            return False
        from_date, to_date = _window(bounds, low, high, beyond=bounds.margin + CHANGE)
        is_answered = to_date - from_date <= self._client.reach.length and not 0 < self._client.now < to_date
        return is_answered and self._is_due(bounds, low, high) and not (yield from self._times_around(bounds, low, high))

    def finish(self, bounds: Bounds, samples: Mapping[int, Sequence[int]], *, beyond: int) -> Flow[None]:
        """Show it by windows around records, where no answer has shown it so far.

        :param samples: times of records of the interval, by week.
        :param beyond: how far the reading reached beyond the interval, milliseconds.
        :raises CalibrationError: the API reads these dates in another zone.
        """
        for low, high in self._spans:
            if self._is_due(bounds, low, high):
                near = [time for week in range(low // WEEK - 1, high // WEEK + 2) for time in samples.get(week, ())]
                if not near and not self._ends.isdisjoint((low, high)):
                    near = yield from self._times_around(bounds, low, high)
                yield from self._look_at(bounds, near, max(MARGIN, beyond))

    def _is_due(self, bounds: Bounds, low: int, high: int) -> bool:
        if bounds.dates.carries_zone or bounds.zone_error:
            return False
        return not (self._client.zone_shown.holds_at(low) and self._client.zone_shown.holds_at(high))

    def _look_at(self, bounds: Bounds, times: Sequence[int], beyond: int) -> Flow[None]:
        """Look for one record after the other, each in a window around it that reaches as far as the reading does beyond the interval.

        By so much the zone may be wrong, and nothing is lost.
        """
        # An API that reads dates to the hour, and gives all of it, gives another hour's records near its beginning and its end.
        times = sorted(times, key=lambda time: abs(time % HALF - HALF // 2))
        for time in (times * LOOKS)[:LOOKS]:
            window = self._before_present(bounds, *_window(bounds, time, time + 1, beyond=beyond), at_least=time + 1)
            found, shown = (yield from self._times_in(bounds, *window)), ZoneShown()
            shown.show(*window, found)
            # Where a reading asks by name, records of other names may fill the answer. They show the zone themselves.
            if time in found or shown.holds_at(time):
                self._client.zone_shown.add(time)
                return
        if times:
            raise CalibrationError(
                f"The API reads dates about {format_timestamp(from_millis(time))} in another zone than those by which they were "
                "calibrated: a window around a record does not hold it",
                request=f"from_date={bounds.dates.text(window[0])} to_date={bounds.dates.text(window[1])}",
                hint="set the extra `timezone` to the name of the API's zone, such as `Europe/London`, whose clocks change with the season",
            )

    def _times_around(self, bounds: Bounds, low: int, high: int) -> Flow[list[int]]:
        """The times of records in a span and beyond it by as much as clocks change, or else about its ends."""
        if (low, high) in self._around:
            return self._around[low, high]
        beyond = bounds.margin + CHANGE
        windows = [_window(bounds, low, high, beyond=beyond)]
        if high - low > 2 * CHANGE and windows[0][1] - windows[0][0] > self._client.reach.length:
            windows = [_window(bounds, time, time, beyond=beyond) for time in (low, high)]
        times: list[int] = []
        for window in windows:
            times += yield from self._times_in(bounds, *window)
            earlier = self._before_present(bounds, *window, at_least=window[0], by=CHANGE)
            # An API may answer a window that ends in the future with nothing. It may read the present as up to two hours later.
            if not times and earlier != window:
                times += yield from self._times_in(bounds, *earlier)
        self._around[low, high] = times
        return times

    def _times_in(self, bounds: Bounds, from_date: int, to_date: int) -> Flow[list[int]]:
        """The times in the answer to a window; none where it is refused."""
        answer = yield from self._client.fetch_window_unless_refused(bounds.dates, from_date, to_date)
        return [] if answer is None else answer.records.times

    def _before_present(self, bounds: Bounds, from_date: int, to_date: int, *, at_least: int, by: int = 0) -> tuple[int, int]:
        """A window that ends before the API's present, where it can end ``at_least`` at a time: an API may refuse one that does not."""
        if not 0 < self._client.now - by < to_date:
            return from_date, to_date
        return from_date, max(bounds.ceil(at_least), bounds.floor(self._client.now - by))


def _window(bounds: Bounds, low: int, high: int, *, beyond: int) -> tuple[int, int]:
    """A window longer than a span on both sides."""
    return bounds.window(bounds.floor(max(low - beyond, FIRST)), bounds.ceil(min(high + beyond, LAST)))
