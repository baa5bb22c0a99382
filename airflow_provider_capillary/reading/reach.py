"""The proof that windows of some length are answered from end to end."""

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
"""In the years 1 and 9997: beyond them lie times that can't be written."""


def prove_reach(client: EventLogsClient, bounds: Bounds, *, longest: int, length: int) -> Flow[None]:
    """Try to show that windows up to ``longest``, or at least up to ``length``, are answered from end to end.

    By windows around the record that the API gives first of all: beside it lies nothing that could crowd it out, and where answers have no
    order, theirs come from everywhere in the window.
    """
    if not client.undated:
        return
    beside = client.undated[0]["startTime"]
    reach = client.reach
    for wanted in dict.fromkeys((max(longest, length), length)):
        if reach.not_shown is not None and wanted >= reach.not_shown:
            continue
        far = wanted + wanted // 4
        for before, after in ((far, far), (wanted, 0), (0, wanted)):
            if reach.length < wanted:
                yield from _show(client, bounds, beside - before, beside + 1 + after, wanted)
        if reach.length >= wanted:
            return
        reach.not_shown = wanted


def _show(client: EventLogsClient, bounds: Bounds, low: int, high: int, length: int) -> Flow[None]:
    from_date, to_date = bounds.window(bounds.floor(max(low, FIRST)), bounds.ceil(min(high, LAST)))
    try:
        yield from client.fetch_window_steadily(bounds.dates, from_date, to_date)
    except WindowRefusedError:
        # An API that refuses what is too long for it does not cut it in silence.
        client.reach.trust(length)
