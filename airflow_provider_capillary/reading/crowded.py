"""What helps where a window can't be split and its answer is full: finer dates, or longer answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CalibrationError, TieError
from airflow_provider_capillary.reading.calibration import calibrate
from airflow_provider_capillary.reading.precision import calibrate_closely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["relieve"]


def relieve(
    client: EventLogsClient,
    bounds: Bounds,
    low: int,
    high: int,
    times: list[int],
    *,
    formats: Sequence[DateFormat],
    event_name: str | None,
) -> Flow[Bounds]:
    """Find bounds that let the window of the span ``[low, high)`` be split, or a larger limit (the bounds then stay the same).

    :param times: of the records in the window's full answer.
    :param formats: the date formats that the API may read.
    :raises TieError: neither is found.
    """
    closer = yield from calibrate_closely(client, bounds, low, high, times)
    if closer is None:
        closer = yield from _finer_dates(client, bounds, low, high, times, formats=formats)
    if closer is not None:
        return closer
    if (yield from client.try_larger_limit(bounds.dates, *bounds.window(low, high), event_name=event_name)):
        return bounds
    raise TieError(
        f"The API holds {len(times)} records or more within {high - low} ms, and gives no more than that at once",
        timestamp=max(set(times), key=times.count),
        count=len(times),
        request=f"from_date={bounds.dates.text(low)} to_date={bounds.dates.text(high)}",
        hint="raise `page_size` if the API allows it, set `date_format` to one with finer dates, or read by `event_name`",
    )


def _finer_dates(
    client: EventLogsClient, bounds: Bounds, low: int, high: int, times: list[int], *, formats: Sequence[DateFormat]
) -> Flow[Bounds | None]:
    """Bounds in a format that says times more finely than the present one, where the API reads such a format, too."""
    finer = [dates for dates in formats if dates.resolution < bounds.dates.resolution]
    if not finer:
        return None
    # With the present format beside them, a format is chosen only where the API surely does not ignore it.
    try:
        found = yield from calibrate(client, [*finer, bounds.dates])
    except CalibrationError:
        return None
    if found is None or found.dates not in finer:
        return None
    found = replace(found, lag=bounds.lag)
    if found.step > bounds.step:
        # Spans that are read already begin and end by the present step.
        found = (yield from calibrate_closely(client, found, low, high, times)) or found
    return found if found.step <= bounds.step else None
