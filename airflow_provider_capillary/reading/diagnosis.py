"""Why no date format fits, in words that help: what was asked, what came back, and the zone that would fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CalibrationError, RequestRefusedError
from airflow_provider_capillary.reading.dates import DAY, HOUR, MINUTE
from airflow_provider_capillary.reading.order import Order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_capillary.reading.dates import DateFormat
    from airflow_provider_capillary.reading.questions import Questions
    from airflow_provider_capillary.reading.steps import Record, Steps

__all__ = ["NOTHING", "OTHERS", "REFUSED", "explain"]

REFUSED = "refused"
NOTHING = "not answered with the record at that time"
OTHERS = "answered with records of other times, so not read as meant, or ignored"

GRID = 15 * MINUTE
"""Every zone in use lies a multiple of this from UTC."""
WIDEST = 15 * HOUR // GRID


def explain(questions: Questions, tried: Mapping[DateFormat, str], known: list[Record], order: Order | None) -> Steps[CalibrationError]:
    """Build the error for a calibration that failed; asks a few more questions where a zone might be the reason."""
    sample = known[len(known) // 2]["startTime"]
    asked = "; ".join(f"a window around one known record as {dates.name} ({dates.text(dates.down(sample))})" for dates in tried)
    answered = "; ".join(f"{dates.name}: {said}" for dates, said in tried.items())
    for dates, said in tried.items():
        if said != REFUSED and not dates.carries_zone and dates.resolution <= HOUR:
            offset = yield from _fitting_offset(questions, dates, known, order)
            if offset:
                name = _offset_name(offset + dates.offset(sample))
                return CalibrationError(
                    f"The API reads dates written as {dates.name} in another zone than the connection says: {name} would fit",
                    asked=asked,
                    answered=answered,
                    cure=f"set the extra `timezone` to `{name}`, or to the name of the zone if its clocks change with the season",
                )
    return CalibrationError(
        "The API does not find its own records by their dates",
        asked=asked,
        answered=answered,
        cure="set the extra `date_format` to what this cluster reads (a strftime string where none of the named formats fits), and `timezone`",
    )


def _fitting_offset(questions: Questions, dates: DateFormat, known: list[Record], order: Order | None) -> Steps[int]:
    """Milliseconds by which the API's zone is ahead of the one in which ``dates`` writes, 0 where no offset explains its answers.

    Asks for a long window that ends (or begins) ever closer to the record that the API gives first of all, which no cap can crowd out.
    """
    newest_first = order is not Order.OLDEST_FIRST
    first = (max if newest_first else min)(known, key=lambda record: record["startTime"])
    instant: int = first["startTime"]

    def finds(step: int) -> Steps[bool]:
        bound = instant + step * GRID
        low, high = (instant - 3 * DAY, bound + 1) if newest_first else (bound - 1, instant + 3 * DAY)
        answer = yield from questions.window(dates, dates.down(low), dates.up(high))
        return any(record["id"] == first["id"] for record in answer.records)

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
    except RequestRefusedError:
        return 0
    return within * GRID


def _offset_name(offset: int) -> str:
    hours, minutes = divmod(abs(offset) // MINUTE, 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"
