"""Windows that end in the future.

Nothing documents what an API makes of a ``to_date`` that lies after its own clock. It may read it as any other, refuse it, or answer with
nothing. A reading of an old interval asks for none. One that ends less than the margin ago does, and so does a poll.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import MINUTE, SECOND
from airflow_provider_capillary.api.effects import Sleep
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.precision import calibrate_closely

if TYPE_CHECKING:
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["last_end"]

SLACK: Final = 0.1
"""Seconds: a pause may end a little early."""


def last_end(client: EventLogsClient, bounds: Bounds, end: int) -> Flow[tuple[int | None, Bounds]]:
    """The last time at which the windows of a reading up to ``end`` may end; ``None`` where they may all end as late as they have to.

    That is so where they end in the past, or the API is known to answer windows that end so far in the future: one of them was answered
    with records. Otherwise it is the present, after which no event log is dated yet, rounded up to where a date can be written.
    This waits until it has passed.

    :param end: UTC epoch milliseconds.
    :returns: beside it the bounds, replaced by finer ones where they did not show the zone of the API's dates.
    :raises CalibrationError: the API answers windows that end in the future with nothing, and does not show the zone of its dates.
    """
    now = client.now
    if not now or bounds.ceil(end + bounds.margin) <= now + client.ahead or not client.undated:
        return None, bounds
    newest = max(client.undated.times)
    # A minute more, so that the polls to come need not ask again.
    from_date, to_date = bounds.window(bounds.floor(newest - bounds.margin), bounds.ceil(end + bounds.margin + MINUTE))
    answer = yield from client.fetch_window_unless_refused(bounds.dates, from_date, to_date)
    if answer is not None and answer.records:
        client.ahead = to_date - now
        return None, bounds
    if bounds.zone_error:
        closer = yield from calibrate_closely(client, bounds, bounds.floor(newest), bounds.ceil(newest + 1), client.undated.times)
        if closer is not None and not closer.zone_error:
            bounds = closer
        elif answer is None:
            # Perhaps for its length. Such an API says so again.
            return None, bounds
        else:
            raise CalibrationError(
                "The API answers windows that end in the future with nothing, and does not show the zone in which it reads dates",
                request=f"from_date={bounds.dates.text(from_date)} to_date={bounds.dates.text(to_date)}",
                hint="read intervals that ended two days ago or earlier (the operator's `settle`), or set a `date_format` with finer dates",
            )
    # Within the second that the response's `Date` names.
    latest = bounds.ceil(now + SECOND)
    yield Sleep((latest - now) / 1000 + SLACK, "the API answers no window that ends in the future")
    return latest, bounds
