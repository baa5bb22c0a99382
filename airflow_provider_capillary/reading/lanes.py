"""Parts of an interval that are read side by side, where the API's answers would otherwise set the pace.

Each part is read as a whole interval is, by one window after the other, and the answers prove the same. A reading begins with one part.
Where it turns out to be long, the part with the most windows left is cut in two, again and again, until there are as many parts under way
as requests can be; and where one of them is read, another is cut. Where spans have to be read again, each part with a gap is read at once.

.. code-block:: text

    low                                                                  high
     |<- third part ->|<- window|    second part   |<- window|   proved    |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Effect, Flow
    from airflow_provider_capillary.api.responses import Page
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["Lanes"]

WORTH_IT: Final = 100
"""Windows left of an interval, at least, where lanes open. Each part costs a request more or less at its end. A short reading would pay
for that with more requests than its time is worth."""

LEAST_LEFT: Final = 20
"""Windows that are left at least of a part that is cut in two."""

_PAUSE: Final = cast("Effect", object())
"""Lets the other flows go on. :meth:`Lanes.run` takes it out of what the flows yield: no driver sees it."""


class Lanes:
    """Reads parts side by side.

    :ivar are_open: whether more than one part is under way.
    """

    worth_it = WORTH_IT
    least_left = LEAST_LEFT

    def __init__(self, client: EventLogsClient) -> None:
        self._client = client
        self._abandoned = 0
        self._was_worth_it = False
        self.are_open = False

    def are_worth_it(self, windows: Iterable[float]) -> bool:
        """Whether it pays to cut a part in two.

        :param windows: about how many windows are left of each part.
        """
        windows = list(windows)
        self._was_worth_it = self._was_worth_it or sum(windows) >= self.worth_it
        return self._was_worth_it and max(windows) >= self.least_left

    def run(self, flows: list[Flow[None]], more: Callable[[int], list[Flow[None]]]) -> Flow[None]:
        """Run flows in turn, each up to its next pause, until all have ended.

        A flow pauses only in :meth:`fetch`, before its request is sent or while it is under way. So nothing else happens between an answer
        and what its flow makes of it, other requests of the same flow included.

        :param more: called before each round with the number of flows that may begin besides; returns those that do.
        """
        while flows:
            flows += more(self._client.executor.lanes - len(flows))
            self.are_open = len(flows) > 1
            for flow in tuple(flows):
                if not (yield from _goes_on(flow)):
                    flows.remove(flow)
        self.are_open = False

    def fetch(self, dates: DateFormat, from_date: int, to_date: int, *, event_name: str | None) -> Flow[Page]:
        """:meth:`.EventLogsClient.fetch_window_at_any_limit`, while the other flows go on.

        :raises WindowRefusedError: the API refuses the window, not the limit.
        """
        if not self.are_open:
            yield _PAUSE  # so that others can begin
        started, limit, abandoned = None, self._client.limit, self._abandoned
        if self.are_open:
            started = yield from self._client.start_window(dates, from_date, to_date, event_name=event_name)
            yield _PAUSE
            # A longer answer, under a larger limit or from before the API came to give less, would count for the present capacity.
            if self._client.limit != limit or self._abandoned != abandoned:
                started = None
        return (yield from self._client.fetch_window_at_any_limit(dates, from_date, to_date, event_name=event_name, started=started))

    def abandon(self) -> None:
        """Ask for every window again that is under way: the API has come to answer with less."""
        self._abandoned += 1


def _goes_on(flow: Flow[None]) -> Flow[bool]:
    """Run a flow up to its next pause; whether there was one."""
    outcome: Any = None
    while True:
        try:
            effect = flow.send(outcome)
        except StopIteration:
            return False
        if effect is _PAUSE:
            return True
        outcome = yield effect
