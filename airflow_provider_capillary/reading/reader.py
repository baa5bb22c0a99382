"""One interval, complete: calibrate once, then walk it, in parts where the API refuses the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CalibrationError, ParametersRefusedError
from airflow_provider_capillary.reading.calibration import calibrate
from airflow_provider_capillary.reading.dates import AUTO, MINUTE, DateFormat, zone_of
from airflow_provider_capillary.reading.order import Order
from airflow_provider_capillary.reading.pages import TurnedRoundError
from airflow_provider_capillary.reading.questions import Questions, WindowRefusedError
from airflow_provider_capillary.reading.walk import Walk

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.calibration import Wire
    from airflow_provider_capillary.reading.exchange import Exchange
    from airflow_provider_capillary.reading.steps import Steps

__all__ = ["Reader"]

SHORTEST_PART = MINUTE
"""An API that refuses a window of less than twice this refuses it for another reason than its length."""


class Reader:
    """Reads intervals from one API; what the first reading found out about its dates serves the next ones.

    :param date_format: ``auto``, a name of :data:`~airflow_provider_capillary.reading.dates.FORMATS`, or a strftime string.
    :param timezone: the zone in which the API reads a date that carries no offset: an IANA name or an offset.
    :param page_size: the ``limit`` to ask for.
    """

    def __init__(self, exchange: Exchange, *, date_format: str = "auto", timezone: str = "UTC", page_size: int = 1000) -> None:
        zone = zone_of(timezone)
        self._formats = [DateFormat(name, zone) for name in (AUTO if date_format == "auto" else (date_format,))]
        self._questions = Questions(exchange, limit=page_size)
        self.wire: Wire | None = None

    def read(self, start: int, end: int, *, event_name: str | None = None) -> Steps[None]:
        """Hand on each record of ``[start, end)`` once, in any order; they count once this has ended.

        :param start: UTC epoch milliseconds.
        :param end: UTC epoch milliseconds.
        :param event_name: asked of the API, so that it answers with less; its answers are not filtered here.
        :raises RequestError: where the API does not answer.
        :raises CompletenessError: where it answers, and it can't be proved that nothing is missing.
        """
        if start >= end:
            return
        if self.wire is None:
            self.wire = yield from calibrate(self._questions, self._formats)
        if self.wire is None:
            yield from self._confirm_no_records(start, end)
            return
        parts = [(start, end)]
        while parts:
            first, last = parts.pop()
            try:
                yield from self._walk(self.wire, first, last, event_name)
            except WindowRefusedError as error:
                middle = (first + last) // 2
                if last - first < 2 * SHORTEST_PART:
                    raise error.refusal from None
                parts += [(first, middle), (middle, last)]

    def _walk(self, wire: Wire, start: int, end: int, event_name: str | None) -> Steps[None]:
        def walk(order: Order, *, sure: bool) -> Steps[None]:
            return Walk(self._questions, wire, order, start=start, end=end, event_name=event_name, sure=sure).run()

        try:
            yield from walk(wire.order or Order.NEWEST_FIRST, sure=wire.order is not None)
        except TurnedRoundError:
            # The first answer said so, and nothing was handed on.
            yield from walk(Order.OLDEST_FIRST, sure=True)

    def _confirm_no_records(self, start: int, end: int) -> Steps[None]:
        for dates in self._formats:
            first, last = dates.down(start), dates.up(end)
            try:
                answer = yield from self._questions.window(dates, first, last)
            except ParametersRefusedError:
                if dates is self._formats[-1]:
                    raise
                continue
            if answer.records:
                raise CalibrationError(
                    "The API answers without dates with nothing, and with dates with records",
                    asked=f"from_date={dates.text(first)} to_date={dates.text(last)}",
                    answered=f"{len(answer)} records",
                    cure="retry, in case the first records have just arrived",
                )
            return
