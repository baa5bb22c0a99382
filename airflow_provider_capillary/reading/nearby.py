"""Records have to come from where they are asked for, also where the interval lies in another season than calibration.

Clocks change with the season. An API that reads dates without an offset in the time of London reads them as UTC in winter. With the
extra ``timezone`` left at ``UTC``, calibration in December is right, and each window of a day in July begins and ends an hour early. The
windows still join, so what is lost lies at an end of the interval. A record near both ends of its window shows that the zone is right
there. Where many lie in each window, some do. Where few do, a short window around one of them is asked for.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.bounds import MARGIN
from airflow_provider_capillary.reading.client import WindowRefusedError
from airflow_provider_capillary.timestamps import format_timestamp, from_millis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["ZoneCheck", "require_nearby"]

NEAR: Final = 7 * DAY
"""A time so near another is taken for one of the same season."""
CHANGE: Final = 2 * HOUR
"""The most by which clocks change, milliseconds."""


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
    """Whether the API reads the dates at the ends of ``[start, end)`` in the zone in which it read those of calibration.

    Not checked where dates carry their zone, or are read by the hour or the day: then the reading reaches beyond the interval by a day. Nor
    where the interval ends in the present, as a poll's does: the polls before it began where calibration was.
    """

    def __init__(self, client: EventLogsClient, start: int, end: int) -> None:
        self._client = client
        self._spans = [(start, end)] if end - start <= NEAR else [(start, start), (end, end)]
        self._is_present = 0 < client.now <= end
        self._around: dict[tuple[int, int], list[int] | None] = {}

    def finds_none_around(self, bounds: Bounds) -> Flow[bool]:
        """Whether a longer window than the interval's shows that there are no records in it, where one has to be asked for anyway."""
        if self._due(bounds) != self._spans or len(self._spans) > 1:
            return False
        from_date, to_date = self._window_around(bounds, *self._spans[0])
        if to_date - from_date > self._client.reach.length:
            return False
        return (yield from self._times_around(bounds, *self._spans[0])) == []

    def finish(self, bounds: Bounds, times: Sequence[int]) -> Flow[None]:
        """Show it by windows around records, where no answer has shown it so far.

        :param times: of records in the interval: the first and the last, or none.
        :raises CalibrationError: the API reads these dates in another zone.
        """
        for low, high in self._due(bounds):
            near = [time for time in times if low - NEAR <= time <= high + NEAR]
            if near := near or (yield from self._times_around(bounds, low, high)) or []:
                yield from self._look_at(bounds, near[0])

    def _due(self, bounds: Bounds) -> list[tuple[int, int]]:
        """The spans near which nothing has shown the zone."""
        if bounds.dates.carries_zone or bounds.zone_error or self._is_present:
            return []
        return [span for span in self._spans if not all(map(self._client.zone_shown.is_near, span))]

    def _look_at(self, bounds: Bounds, time: int) -> Flow[None]:
        window = self._window(bounds, time, time + 1, beyond=MARGIN)
        try:
            yield from self._client.fetch_window_at_any_limit(bounds.dates, *window)
        except WindowRefusedError as error:
            raise error.refusal from error
        if not self._client.zone_shown.is_near(time):
            raise CalibrationError(
                f"The API reads dates about {format_timestamp(from_millis(time))} in another zone than those by which they were "
                "calibrated: a window around a record does not hold it",
                request=f"from_date={bounds.dates.text(window[0])} to_date={bounds.dates.text(window[1])}",
                hint="set the extra `timezone` to the name of the API's zone, such as `Europe/London`, whose clocks change with the season",
            )

    def _times_around(self, bounds: Bounds, low: int, high: int) -> Flow[list[int] | None]:
        """The times of records in a span and beyond it by as much as clocks change; ``None`` where so long a window is refused."""
        if (low, high) not in self._around:
            self._around[low, high] = None
            with contextlib.suppress(WindowRefusedError):
                window = self._window_around(bounds, low, high)
                answer = yield from self._client.fetch_window_at_any_limit(bounds.dates, *window)
                self._around[low, high] = answer.records.times
        return self._around[low, high]

    def _window_around(self, bounds: Bounds, low: int, high: int) -> tuple[int, int]:
        return self._window(bounds, low, high, beyond=bounds.margin + CHANGE)

    def _window(self, bounds: Bounds, low: int, high: int, *, beyond: int) -> tuple[int, int]:
        """A window longer than a span on both sides. Where it can, it ends in the past: an API may refuse one that does not."""
        end, present = bounds.ceil(high + beyond), bounds.floor(self._client.now)
        return bounds.window(bounds.floor(low - beyond), max(bounds.ceil(high), present) if 0 < present < end else end)
