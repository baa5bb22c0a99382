"""The trigger on which the deferred sensor waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_capillary.errors import CapillaryError, ConfigurationError
from airflow_provider_capillary.reading.instants import parse_instant, show_instant, to_millis
from airflow_provider_capillary.reading.news import Hunt, Memory
from airflow_provider_capillary.reading.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from datetime import datetime

__all__ = ["CapillaryEventStatusTrigger"]


class CapillaryEventStatusTrigger(BaseTrigger):
    """Fires once, when the API has shown enough new event logs of some statuses.

    Its arguments are JSON scalars and hold no credential. The connection is looked up in the triggerer, and everything that waits on it
    there shares one session and its looks: see :mod:`.watch`.

    **When the triggerer dies**, Airflow starts the trigger anew from these arguments. The search then begins again where it began, so
    nothing is missed, at the cost of reading once more what was read since. A deferral ends with the first event, so none comes twice.

    :param capillary_conn_id: the connection.
    :param since: where a new search begins: ISO text with an offset, or an aware datetime.
    :param statuses: a list, or its JSON; ``None`` for every failure.
    :param event_name: ``None`` for all.
    :param min_count: how many records are enough.
    :param poke_interval: seconds between two looks; at least one.
    :param exponential_backoff: double that after each look, up to ``max_wait``.
    :param max_wait: seconds; ``None`` for a day.
    :param state: a search to go on with, :meth:`.Hunt.to_json`; then ``since``, ``statuses`` and ``event_name`` are not used.
    """

    def __init__(
        self,
        *,
        capillary_conn_id: str = "capillary_default",
        since: datetime | str | None = None,
        statuses: Collection[str] | str | None = None,
        event_name: str | None = None,
        min_count: int = 1,
        poke_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        state: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own
        self.capillary_conn_id = capillary_conn_id
        self.since = since if since is None or isinstance(since, str) else show_instant(since)
        self.statuses = Wanted.of(statuses, event_name).statuses_text
        self.event_name = event_name
        self.min_count = min_count
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class, and its arguments as JSON scalars."""
        return (
            f"{__name__}.{type(self).__name__}",
            {
                "capillary_conn_id": self.capillary_conn_id,
                "since": self.since,
                "statuses": self.statuses,
                "event_name": self.event_name,
                "min_count": self.min_count,
                "poke_interval": self.poke_interval,
                "exponential_backoff": self.exponential_backoff,
                "max_wait": self.max_wait,
                "state": self.state,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event, of :mod:`.events`."""
        from airflow_provider_capillary.triggers import events
        from airflow_provider_capillary.triggers.watch import Pace, watching

        pace = Pace(interval=self.poke_interval, doubles=self.exponential_backoff, longest=self.max_wait)
        try:
            hunt = self._hunt()
            async with watching(self.capillary_conn_id, hunt, pace=pace, tell=self._tell) as waiter:
                while hunt.found.count < self.min_count:
                    hunt = await waiter.look()
            event = await asyncio.to_thread(events.found, hunt)
        except CapillaryError as error:
            event = events.failed(error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own

    def _tell(self, text: str) -> None:
        self.log.warning("%s", text)

    def _hunt(self) -> Hunt:
        if self.state is not None:
            return Hunt.from_json(self.state)
        if self.since is None:
            raise ConfigurationError("The trigger has neither `since` nor `state`", cure="give it since='2025-09-18T00:00:00+00:00'")
        wanted = Wanted.of(self.statuses, self.event_name)
        return Hunt.begin(wanted, Memory.since(to_millis(parse_instant(self.since, "since"))))
