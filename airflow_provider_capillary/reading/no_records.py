"""Whether an API that shows no record without dates shows none with them, either.

A request without dates may be answered from the last days only. Where these hold no event log, earlier ones do not show without dates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, MINUTE
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.reading.bounds import ELSEWHERE
from airflow_provider_capillary.reading.client import WindowRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["find_by_dates"]

FIRST: Final = 946_684_800_000
"""2000-01-01T00:00:00Z, before any event log."""
BRIEF: Final = 50 * MINUTE
"""Shorter than the windows of any API that refuses long ones; a little less than an hour, for dates are rounded."""


def find_by_dates(client: EventLogsClient, formats: Sequence[DateFormat], start: int, end: int) -> Flow[EventLogs]:
    """Records of an API that shows none without dates, if it shows some with dates, around the interval ``[start, end)`` or before it.

    How the API reads dates is not known then, so each format is tried. An API may not read one and answer with nothing.

    Without an error, no record is no proof that there is none before the interval.

    :raises ParametersRefusedError: the API refuses each window, however short.
    """
    for dates in formats:
        answer = yield from client.fetch_window_unless_refused(dates, dates.floor(FIRST), _last_date(client, dates, end + ELSEWHERE))
        if answer is not None and answer.records:
            return answer.records
    # Such a long window may have been cut, or refused. A format that is refused is tried with shorter windows, though another one may have
    # been answered: an API may answer dates that it can't read with nothing.
    refusal, is_answered = None, False
    for dates in formats:
        for length in [end - start, *(length for length in (DAY, BRIEF) if length < end - start)]:
            try:
                records = yield from _first_records(client, dates, (start, end), length)
            except WindowRefusedError as error:
                refusal = error.refusal
                continue
            if records:
                return records
            is_answered = True
            break
    if refusal is not None and not is_answered:
        raise refusal
    return EventLogs.of([])


def _first_records(client: EventLogsClient, dates: DateFormat, interval: tuple[int, int], length: int) -> Flow[EventLogs]:
    """The records of the first window that has any, of windows of a length that cover the interval from its end on."""
    start, high = interval
    records = EventLogs.of([])
    while high > start and not records:
        low = max(start, high - length)
        answer = yield from client.fetch_window_at_any_limit(dates, dates.floor(low), _last_date(client, dates, high))
        records, high = answer.records, low
    return records


def _last_date(client: EventLogsClient, dates: DateFormat, end: int) -> int:
    """The date at which a window up to ``end`` ends: not after the API's present, for it may refuse such a window."""
    return dates.floor(client.now) if 0 < client.now < dates.ceil(end) else dates.ceil(end)
