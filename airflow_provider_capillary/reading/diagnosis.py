"""Why no date format fits, in words that help: what was asked, what came back, and the zone that would fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE, QUARTER, SECOND, DateFormat, zone_of
from airflow_provider_capillary.errors import CalibrationError, ParametersRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_capillary.api.effects import Flow, Record
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["NOTHING", "OTHERS", "REFUSED", "explain", "finds_record", "offset_name", "wrong_zone"]

REFUSED = "refused"
NOTHING = "not answered with the record at that time"
OTHERS = "answered with records of other times, so not read as meant, or ignored"

WIDEST = 15 * HOUR // QUARTER
AMPLE = 2 * MINUTE
"""A record that is found within this of its time shows the zone, even where bounds are exclusive and dates are read to the minute."""


def wrong_zone(client: EventLogsClient, tried: Mapping[DateFormat, str], known: Sequence[Record]) -> Flow[CalibrationError | None]:
    """The error that names the zone in which the API reads dates, where it is another than the connection says.

    An API that reads dates coarsely seems to have an offset, too. So the zone is tried before it is named.
    """
    newest_first = known[0]["startTime"] >= known[-1]["startTime"]
    first = (max if newest_first else min)(known, key=lambda record: record["startTime"])
    for dates, said in tried.items():
        if said == REFUSED or dates.carries_zone or dates.resolution > HOUR:
            continue
        offset = yield from _fitting_offset(client, dates, first, newest_first=newest_first)
        if not offset:
            continue
        offset += dates.offset(first["startTime"])
        if abs(offset) > WIDEST * QUARTER:
            # No zone has such an offset; something else looks like one.
            continue
        name = offset_name(offset)
        shifted = DateFormat(dates.name, zone_of(name))
        if (yield from _is_read_in(client, shifted, [first, *known])):
            return CalibrationError(
                f"The API reads dates written as {dates.name} in another zone than the connection says: {name} would fit",
                request=_asked(tried, known),
                response=_answered(tried),
                hint=f"set the extra `timezone` to `{name}`, or to the name of the zone if its clocks change with the season",
                date_format=dates.name,
                timezone=name,
            )
    return None


def _is_read_in(client: EventLogsClient, dates: DateFormat, records: Sequence[Record]) -> Flow[bool]:
    """Whether a short window around a record finds it, within one hour of the API: one that reads dates to the hour would find nothing."""
    for length in (SECOND, AMPLE):
        for record in records:
            low, high = dates.floor(record["startTime"] - length), dates.ceil(record["startTime"] + length)
            if dates.floor(low, HOUR) == dates.floor(high, HOUR):
                if (yield from finds_record(client, dates, record, low, high)):
                    return True
                break
    return False


def explain(tried: Mapping[DateFormat, str], known: Sequence[Record]) -> CalibrationError:
    """The error where no date format fits at all."""
    return CalibrationError(
        "The API does not find its own records by their dates",
        request=_asked(tried, known),
        response=_answered(tried),
        hint="set the extra `date_format` to what this cluster reads (a strftime string where no named format fits), and `timezone`, until "
        "`python -m airflow_provider_capillary check` passes",
    )


def _asked(tried: Mapping[DateFormat, str], known: Sequence[Record]) -> str:
    sample = known[len(known) // 2]["startTime"]
    return "a window around one known record as " + ", as ".join(f"{dates.name} ({dates.text(dates.floor(sample))})" for dates in tried)


def _answered(tried: Mapping[DateFormat, str]) -> str:
    return "; ".join(f"{dates.name}: {said}" for dates, said in tried.items())


def finds_record(client: EventLogsClient, dates: DateFormat, record: Record, low: int, high: int) -> Flow[bool]:
    """Whether a window is answered with this record, among others or alone."""
    answer = yield from client.fetch_window(dates, low, high)
    return record["id"] in answer.records.ids


def _fitting_offset(client: EventLogsClient, dates: DateFormat, first: Record, *, newest_first: bool) -> Flow[int]:
    """Milliseconds by which the API's zone is ahead of the zone of ``dates``; 0 where no offset explains the API's answers.

    :param first: the record that the API gives first of all. Each request is for a long window that ends (or begins) near this record,
        closer each time. No cap can crowd the record out of the answer.
    """
    timestamp: int = first["startTime"]

    def finds(step: int) -> Flow[bool]:
        bound = timestamp + step * QUARTER
        low, high = (timestamp - 3 * DAY, bound + AMPLE) if newest_first else (bound - AMPLE, timestamp + 3 * DAY)
        return (yield from finds_record(client, dates, first, dates.floor(low), dates.ceil(high)))

    without, within = (-WIDEST, WIDEST) if newest_first else (WIDEST, -WIDEST)
    try:
        if (yield from finds(without)) or not (yield from finds(within)):
            return 0
        while abs(within - without) > 1:
            middle = (within + without) // 2
            if (yield from finds(middle)):
                within = middle
            else:
                without = middle
    except ParametersRefusedError:
        return 0
    return within * QUARTER


def offset_name(offset: int) -> str:
    """An offset from UTC, milliseconds, as the extra ``timezone`` takes it: ``+05:30``."""
    hours, minutes = divmod(abs(offset) // MINUTE, 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"
