"""The proof that the API answers windows of some length from end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY

if TYPE_CHECKING:
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["prove_reach"]

MOST_WINDOWS: Final = 16
"""Where only windows of less than a part like this can be shown to be answered, the reading would take too many."""
FIRST: Final = -719_000 * DAY
LAST: Final = 2_932_000 * DAY
"""In the years 1 and 9997: times beyond them can't be written."""


def prove_reach(client: EventLogsClient, bounds: Bounds, length: int) -> Flow[int]:
    """Try to show, in up to three requests, that the API answers windows of ``length`` milliseconds from end to end.

    Returns the number of records of the longest answer.

    A window around a known record shows both directions at once; a window that ends at the record, or begins there, shows one.
    """
    reach = client.reach
    longest = 0
    if not client.undated or (reach.not_shown is not None and length >= reach.not_shown):
        return longest
    newest, far = client.undated.times[0], length + length // 4
    windows = [(newest - length, newest + 1)]
    known = _record_before(client, far)
    if known is not None:
        windows = [(known - far, known + 1 + far), *windows, (known, known + 1 + length)]
    elif client.capacity.is_short(len(client.undated)) and client.now - min(client.undated.times) < length // MOST_WINDOWS:
        # Without dates, the API shows all its records, and none is older. Those of the interval have to be in a whole answer anyway.
        reach.trust(length)
    for low, high in windows:
        if reach.length >= length:
            return longest
        from_date, to_date = bounds.window(bounds.floor(max(low, FIRST)), bounds.ceil(min(high, LAST)))
        answer = yield from client.fetch_window_unless_refused(bounds.dates, from_date, to_date)
        if answer is not None:
            longest = max(longest, len(answer))
        elif high == newest + 1:
            # An API that refuses too long a window does not cut a shorter one without saying so. But only the length can be the reason:
            # a window that ends after the known record may end in the future.
            reach.trust(length)
    if reach.length < length:
        reach.not_shown = length
    return longest


def _record_before(client: EventLogsClient, length: int) -> int | None:
    """The time of the record to look for with windows that end as much as ``length`` after it.

    It is the first one of the API's own order, so no other record crowds it out of an answer; where answers have no order, their records
    come from everywhere in the window. But an API may read a ``to_date`` in the future as the present, and cut a window that is too long
    before that. So these windows have to end in the past. Where an API shows many records, all of the last day, the first one is taken
    all the same: no API is known to cut such short windows. Else there is none.
    """
    times, latest = client.undated.times, client.now - length
    if not client.now or times[0] <= latest:
        return times[0]
    if any(time <= latest for time in times):
        return max(time for time in times if time <= latest)
    is_busy = client.now - min(times) < DAY and not client.capacity.is_short(len(times))
    return times[0] if is_busy else None
