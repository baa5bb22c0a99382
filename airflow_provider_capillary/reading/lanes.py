"""Windows that are asked for ahead of their turn, side by side, where the API's answers would otherwise set the pace.

They only bring answers sooner. The reading handles each answer in its turn, as if it had asked for it then, with two differences: what a
window proves about others depends on when it was asked for, and a full answer leaves a gap in front of windows that were asked for.

.. code-block:: text

    low                                          high
     |<- not asked ->|  D  |  C  |  B  |<- gap ->|        A, at the end, was full: its span is read in parts, then come B, C, D
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["AskedWindow", "Lanes"]

MOST_AHEAD: Final = 16
"""Windows at most whose answers may lie in memory."""

WORTH_IT: Final = 100
"""Windows that an interval takes at least, where lanes open. The density is less well known for a window that is asked for ahead, so such a
window is full more often. That costs a short reading more requests than its time is worth."""


@dataclass(kw_only=True, slots=True)
class AskedWindow:
    """The window of the span ``[low, high)``, under way.

    :param from_date: with ``to_date`` the window.
    :param limit: the ``limit`` of the request.
    :param asked_after: :attr:`.Ledger.added` when the request was sent.
    :param capacity: how many records the API was known to give at once by then: it may have come to give more since.
    :param started: the driver's.
    :param waits: whether a span in front of it has to be read first that was asked for once and not answered in full.
    """

    low: int
    high: int
    from_date: int
    to_date: int
    limit: int
    asked_after: int
    capacity: int
    started: object
    waits: bool = False


class Lanes:
    """The windows that are under way, in the order in which they are read. All spans are positions (:mod:`.direction`)."""

    worth_it = WORTH_IT

    def __init__(self, client: EventLogsClient) -> None:
        self._client = client
        self._windows: list[AskedWindow] = []
        self._are_open = False

    def earliest(self, time: int) -> int:
        """``time``, or where the earliest span begins that is under way, if that is before it."""
        return min([time, *(window.low for window in self._windows)])

    def span_at(self, high: int) -> tuple[int, int] | None:
        """The span that ends at ``high``, where it is under way."""
        return next(((window.low, high) for window in self._windows if window.high == high), None)

    def is_rest(self, low: int) -> bool:
        """Whether a span from ``low`` on was bounded by one that waits behind it."""
        return any(window.waits and window.high == low for window in self._windows)

    def free_part(self, low: int, high: int) -> tuple[int, int] | None:
        """The latest part of the gap ``[low, high)`` that is not under way."""
        for window in self._windows:
            if window.high < high:
                return window.high, high
            high = window.low
        return (low, high) if low < high else None

    def has_room_for(self, windows: float) -> bool:
        """Whether it pays to ask for another window of an interval that takes about so many; none where that is not known."""
        lanes = self._client.executor.lanes
        self._are_open = self._are_open or windows >= self.worth_it
        is_free = len(self._windows) < MOST_AHEAD and sum(not window.waits for window in self._windows) < lanes
        return lanes > 1 and windows > 0 and self._are_open and is_free

    def wait(self) -> None:
        """Leave the windows that are under way until the span in front of them is read; others may be asked for meanwhile."""
        for window in self._windows:
            window.waits = True

    def start(
        self, low: int, high: int, window: tuple[int, int], *, dates: DateFormat, event_name: str | None, asked_after: int
    ) -> Flow[None]:
        """Ask for the window of a free part."""
        from_date, to_date = window
        capacity = self._client.capacity.records
        started = yield from self._client.start_window(dates, from_date, to_date, event_name=event_name)
        self._windows.append(
            AskedWindow(
                low=low,
                high=high,
                from_date=from_date,
                to_date=to_date,
                limit=self._client.limit,
                asked_after=asked_after,
                capacity=capacity,
                started=started,
            )
        )
        self._windows.sort(key=lambda window: -window.high)

    def take(self, low: int, high: int) -> AskedWindow | None:
        """Remove and return the window of a span, where it is under way with the present limit."""
        for window in self._windows:
            if (window.low, window.high) == (low, high):
                self._windows.remove(window)
                # A longer answer, under a larger limit, would count for the capacity under this one.
                return window if window.limit == self._client.limit else None
        return None

    def abandon(self) -> None:
        """Ask for every span again: the API has come to answer with less."""
        self._windows.clear()
