"""The side of Airflow's shared stream that hands on events and hears whether they were stored; Airflow 3.3 and later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.triggers._asset_watch import PendingEvent, queue_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

try:
    from airflow.triggers.shared_stream import SharedStreamProducer
except ImportError:  # before Airflow 3.3, where nothing asks for this
    SharedStreamProducer = object  # type: ignore[assignment,misc,unused-ignore]

__all__ = ["WatchProducer"]


class WatchProducer(SharedStreamProducer):
    """Hands on what the feeds of one connection have found.

    It asks the API for nothing: the feeds do, each for its own watch and all in the same looks. So it does not matter whose arguments made
    it, nor who joins later: an event is for one watch alone, and each has a lane of its own in which its events are confirmed.

    :param conn_id: the connection.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id

    async def open_stream(self) -> AsyncIterator[tuple[PendingEvent, PendingEvent]]:
        """Yield what the feeds put into the outbox, for ever."""
        outbox = queue_for(self._conn_id)
        while True:
            event = await outbox.get()
            yield event, event

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Tell each event's source whether it is in the metadata database. Raises nothing: that would end every watch of the connection."""
        for item in batch:
            await item.broker_payload.acknowledge(accepted=item.outcome.is_clean)

    def get_advance_lane(self, broker_payload: Any) -> Hashable:  # noqa: ANN401  # as Airflow declares it
        """One for each source."""
        return id(broker_payload.source)
