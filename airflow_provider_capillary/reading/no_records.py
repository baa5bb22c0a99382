"""Whether an API that shows no record without dates shows none with them, either.

A request without dates may be answered from the last days only. Where these hold no event log, earlier ones do not show without dates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE
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


def find_by_dates(client: EventLogsClient, formats: Sequence[DateFormat], start: int, end: int) -> Flow[EventLogs]:
    """Records of an API that shows none without dates, if it shows some with dates, around the interval ``[start, end)`` or before it.

    How the API reads dates is not known then, so each format is tried. An API may not read one and answer with nothing.

    :raises ParametersRefusedError: the API refuses each window, however short.
    """
    for dates in formats:
        try:
            answer = yield from client.fetch_window_at_any_limit(dates, dates.floor(FIRST), dates.ceil(end + ELSEWHERE))
        except WindowRefusedError:
            continue
        if answer.records:
            return answer.records
    # Such a long window may have been cut, or refused.
    lengths = [end - start, *(length for length in (DAY, HOUR, 5 * MINUTE) if length < end - start)]
    for length in lengths:
        is_answered = False
        for dates in formats:
            try:
                answer = yield from client.fetch_window_at_any_limit(dates, dates.floor(end - length), dates.ceil(end))
            except WindowRefusedError as error:
                refusal = error.refusal
                continue
            if answer.records:
                return answer.records
            is_answered = True
        if is_answered:
            return EventLogs.of([])
    raise refusal
