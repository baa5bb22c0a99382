"""Whether an API that shows no record without dates shows none with them, either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.client import WindowRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["confirm_no_records"]


def confirm_no_records(client: EventLogsClient, formats: Sequence[DateFormat], start: int, end: int) -> Flow[None]:
    """Ask for the interval ``[start, end)`` with dates; for less, where the API refuses so long a window.

    :raises CalibrationError: the answer holds records: there is none whose time is known, so nothing shows how the dates were read.
    """
    lengths = [end - start, *(length for length in (DAY, HOUR, 5 * MINUTE) if length < end - start)]
    asked = [(dates, length) for length in lengths for dates in formats]
    for dates, length in asked:
        from_date, to_date = dates.floor(end - length), dates.ceil(end)
        try:
            answer = yield from client.fetch_window_at_any_limit(dates, from_date, to_date)
        except WindowRefusedError as error:
            if (dates, length) == asked[-1]:
                raise error.refusal from error
            continue
        if answer.records:
            raise CalibrationError(
                "The API answers without dates with nothing, and with dates with records",
                request=f"from_date={dates.text(from_date)} to_date={dates.text(to_date)}",
                response=f"{len(answer)} records",
                hint="retry, in case the first records have just arrived",
            )
        return
