"""Shows that an API reads dates more finely than is known, where the reading needs shorter windows than that.

An API that floors dates to a unit reads every window within one unit alike. So one window in a unit that is answered with more records
than a part of it rules out that unit and all coarser ones, whichever time of a record the API compares and whatever the order of answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE, PRECISIONS, QUARTER, SECOND
from airflow_provider_capillary.reading.bounds import MARGIN
from airflow_provider_capillary.reading.client import WindowRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["calibrate_closely", "cell_length"]


def calibrate_closely(client: EventLogsClient, bounds: Bounds, low: int, high: int, times: list[int]) -> Flow[Bounds | None]:
    """Find out whether the API reads dates more finely than is known, where a shorter span than ``[low, high)`` is needed.

    :param low: with ``high`` the span.
    :param times: the times of known records, in the span where there are any.
    :returns: ``None`` where the API doesn't, or where its records can't show it.
    """
    dates = bounds.dates
    for unit in PRECISIONS:
        if dates.resolution <= unit < bounds.unit:
            for stretches in _stretches(dates, unit, low, high, times):
                if (yield from _cuts_in_each(client, dates, unit, stretches)):
                    return replace(bounds, unit=unit)
    if not bounds.whole_units and bounds.step >= SECOND and not (dates.carries_zone and bounds.step >= HOUR):
        try:
            answer = yield from client.fetch_window_at_any_limit(dates, low, low)
        except WindowRefusedError:
            return None
        finer = max(unit for unit in PRECISIONS if unit < bounds.step)
        # Had the API read this date more finely, it would have given the beginning of the unit alone.
        if any(low + finer <= time < high for time in answer.records.times):
            return replace(bounds, whole_units=True)
    return None


def _stretches(dates: DateFormat, unit: int, low: int, high: int, times: list[int]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Stretches of time that may hold the records by the API's own dates. Each coarser unit holds all of one stretch of a group."""
    near = [sorted(times)[len(times) * quarter // 4] for quarter in (2, 1, 3) if times]
    found: list[tuple[tuple[int, int], ...]] = []
    if unit == HOUR and dates.carries_zone:
        # The API's day may begin at any hour, but not in both halves of 22 hours.
        found += [((time - 11 * HOUR, time), (time, time + 11 * HOUR)) for time in near]
    elif unit == HOUR:
        found += [((dates.floor(time, DAY), dates.ceil(time + 1, DAY)),) for time in near]
    else:
        length = min(cell_length(unit), MARGIN)
        found += [((low, high),)] * (high - low <= length)
        for time in near:
            # The filter may compare a time as much later as the margin: each minute of it, but not each second.
            for later in range(0, MARGIN + 1, length) if length >= MINUTE else (0,):
                first = time + later - (time + later) % length
                found.append(((first, first + length),))
    yield from dict.fromkeys(found)


def _cuts_in_each(client: EventLogsClient, dates: DateFormat, unit: int, stretches: Iterable[tuple[int, int]]) -> Flow[bool]:
    for first, last in stretches:
        if not (yield from _cuts_within(client, dates, unit, first, last)):
            return False
    return True


def _cuts_within(client: EventLogsClient, dates: DateFormat, unit: int, first: int, last: int) -> Flow[bool]:
    """Whether the API answers a part of a window in ``[first, last)`` with fewer records than the window, asked before it and after it.

    An API that floors all of these dates to one coarser unit reads the same window each time. Its answers get longer only as records
    appear, and shorter only as records vanish or the API comes to give less. They do not get shorter first and then longer again.
    """
    start, end = dates.ceil(first, unit), dates.floor(last - unit, unit)
    if not first <= start < end < last:
        return False

    def count(from_date: int, to_date: int) -> Flow[int | None]:
        """How many records the answer holds; ``None`` where they show another zone."""
        answer = yield from client.fetch_window_at_any_limit(dates, from_date, to_date)
        is_near = unit >= HOUR or all(from_date - MARGIN <= time <= to_date + MARGIN for time in answer.records.times)
        return len(answer) if is_near else None

    try:
        whole = yield from count(start, end)
        if not whole:
            return False
        # Of a full answer, the two halves may be full as well.
        for share in (2,) if client.capacity.is_short(whole) else (2, 8, 32):
            length = (end - start) // share
            for part in ((dates.ceil(end - length, unit), end), (start, dates.floor(start + length, unit))):
                if part[0] >= part[1] or part == (start, end):
                    continue
                fewer = (yield from count(*part)) or (yield from count(*part))
                if fewer is None or fewer >= whole:
                    continue
                again = yield from count(start, end)
                if again is not None and again > fewer:
                    return True
    except WindowRefusedError:
        pass
    return False


def cell_length(unit: int) -> int:
    """The length, milliseconds, of the stretch that a window has to lie within to rule out every unit coarser than ``unit``."""
    return {1: SECOND, SECOND: MINUTE, MINUTE: QUARTER}.get(unit, DAY)
