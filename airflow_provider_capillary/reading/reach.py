"""The proof that the API answers windows of some length from end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY
from airflow_provider_capillary.reading.client import WindowRefusedError

if TYPE_CHECKING:
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["prove_reach"]

FIRST: Final = -719_000 * DAY
LAST: Final = 2_932_000 * DAY
"""In the years 1 and 9997: times beyond them can't be written."""


def prove_reach(client: EventLogsClient, bounds: Bounds, length: int) -> Flow[int]:
    """Try to show, in up to three requests, that the API answers windows of ``length`` milliseconds from end to end.

    Returns the number of records of the longest answer.

    A window around a known record shows both directions at once; a window that ends at the record, or begins there, shows one. The record
    is the first one of the API's own order, so no other record crowds it out of an answer. Where answers have no order, their records
    come from everywhere in the window.
    """
    reach = client.reach
    longest = 0
    if not client.undated or (reach.not_shown is not None and length >= reach.not_shown):
        return longest
    known, far = client.undated.times[0], length + length // 4
    for low, high in ((known - far, known + 1 + far), (known - length, known + 1), (known, known + 1 + length)):
        if reach.length >= length:
            return longest
        from_date, to_date = bounds.window(bounds.floor(max(low, FIRST)), bounds.ceil(min(high, LAST)))
        try:
            answer = yield from client.fetch_window_at_any_limit(bounds.dates, from_date, to_date)
            longest = max(longest, len(answer))
        except WindowRefusedError:
            # An API that refuses too long a window does not cut a shorter one without saying so. But only the length can be the reason:
            # a window that ends after the known record may end in the future.
            if high == known + 1:
                reach.trust(length)
    if reach.length < length:
        reach.not_shown = length
    return longest
