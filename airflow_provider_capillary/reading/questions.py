"""Windows of event logs asked of one API, and what its answers show of how much it answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import ParametersRefusedError

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.answers import Answer
    from airflow_provider_capillary.reading.dates import DateFormat
    from airflow_provider_capillary.reading.exchange import Exchange
    from airflow_provider_capillary.reading.steps import Record, Steps

__all__ = ["Questions", "WindowRefusedError"]

SMALLER_LIMITS = (500, 200, 100, 50, 20, 10, 5, 2)
"""Tried in turn where a ``limit`` is refused; with one record at a time nothing can be proved."""


class WindowRefusedError(Exception):
    """The API refuses a window, though it accepts the limit: the window is too long, or its dates are."""

    def __init__(self, refusal: ParametersRefusedError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Questions:
    """Asks for windows, with a ``limit`` that the API accepts.

    :ivar limit: what is asked for; lowered by itself where the API refuses it.
    :ivar capacity: the most records that one answer has held under this limit. The API can answer with so many, so an answer
        with fewer is whole, unless the API has lowered its cap since: then :meth:`has_shrunk` is told.
    :ivar longest: the most records that one answer has ever held, whatever became of the limit.
    :ivar shows_several: whether its answers, one with another, have held more than one record.
    :ivar backward: the longest way, milliseconds, from the end of a window back to a record in its answer: an API that silently
        cuts long windows at their start does not cut one that is no longer than this.
    :ivar forward: the same from the start of a window on to a record.
    :ivar undated_records: the last answer to a request without dates.
    """

    def __init__(self, exchange: Exchange, *, limit: int) -> None:
        self.exchange = exchange
        self.limit = limit
        self.capacity = 0
        self.longest = 0
        self.shows_several = False
        self._first_seen: str | None = None
        self.backward = 0
        self.forward = 0
        self.undated_records: list[Record] = []

    def undated(self) -> Steps[Answer]:
        """Ask without dates, lowering the limit until it is accepted.

        :raises ParametersRefusedError: where every limit is refused.
        """
        try:
            return (yield from self._undated({"limit": str(self.limit)}))
        except ParametersRefusedError as error:
            refusal = error
            # Without a limit, which is documented to mean ten, it shows whether it is the limit that is refused.
            yield from self._undated({})
            self.capacity = 0
        for smaller in [limit for limit in SMALLER_LIMITS if limit < self.limit]:
            try:
                answer = yield from self._undated({"limit": str(smaller)})
            except ParametersRefusedError as error:
                refusal = error
                continue
            self.limit = smaller
            return answer
        raise refusal

    def _undated(self, params: dict[str, str]) -> Steps[Answer]:
        answer = yield from self.exchange.logs(params)
        self._note(answer)
        self.undated_records = answer.records
        return answer

    def window(self, dates: DateFormat, low: int, high: int, *, event_name: str | None = None) -> Steps[Answer]:
        """Ask for ``[low, high]``, both as :meth:`DateFormat.down` or :meth:`DateFormat.up` return them."""
        params = {"from_date": dates.text(low), "to_date": dates.text(high), "limit": str(self.limit)}
        if event_name:
            params["event_name"] = event_name
        answer = yield from self.exchange.logs(params)
        self._note(answer)
        inside = [record["startTime"] for record in answer.records if low <= record["startTime"] <= high]
        if inside:
            self.backward = max(self.backward, high - min(inside))
            self.forward = max(self.forward, max(inside) - low)
        return answer

    def steady_window(self, dates: DateFormat, low: int, high: int, *, event_name: str | None = None) -> Steps[Answer]:
        """:meth:`window`, for an API that may come to refuse the limit half way.

        :raises WindowRefusedError: where it is the window that is refused, not the limit.
        :raises ParametersRefusedError: where nothing is accepted any more.
        """
        while True:
            try:
                return (yield from self.window(dates, low, high, event_name=event_name))
            except ParametersRefusedError as refusal:
                limit = self.limit
                yield from self.undated()
                if self.limit == limit:
                    raise WindowRefusedError(refusal) from refusal

    def _note(self, answer: Answer) -> None:
        self.capacity = max(self.capacity, len(answer))
        self.longest = max(self.longest, len(answer))
        for record in answer.records[:2]:
            self._first_seen = self._first_seen or record["id"]
            self.shows_several = self.shows_several or record["id"] != self._first_seen

    def has_shrunk(self, to: int) -> None:
        """Take note that the API now answers with no more than ``to`` records."""
        self.capacity = to
