"""What one asset watcher does: poll for new events and report each until Airflow has stored it. Airflow 3.3 and later.

.. code-block:: text

    watermark in the asset's store ──> poll, poll, poll ──> new events ──> queue ──> Airflow stores the event ──> watermark is saved
              ^                                                                                                     │
              └─────────────────────────────────────────────────────────────────────────────────────────────────────┘

The watermark is saved after Airflow has stored an event, never before. So a triggerer that is killed anywhere in this circle continues from
the last stored event. Nothing is lost; an event that was stored just before its watermark could be saved is reported again, with equal ids.

While an event waits to be stored, its watcher does not poll. What happens in the meantime is in the next event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary._airflow import SharedStreamProducer
from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.error_text import safe_error_text
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import LOOKBACK, Watermark
from airflow_provider_capillary.timestamps import format_timestamp, from_millis
from airflow_provider_capillary.triggers._shared_poller import PollSchedule, subscribe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Iterator, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_provider_capillary.polling.filters import EventFilter
    from airflow_provider_capillary.triggers._shared_poller import Subscriber
    from airflow_provider_capillary.triggers._watermark_store import WatermarkStore

__all__ = ["AssetEventProducer", "AssetEventSource", "PendingEvent", "queue_for"]

logger = logging.getLogger(__name__)

SAVE_EVERY: Final = 60.0
"""Seconds between two saved watermarks while there is nothing to report."""
FIRST_PAUSE: Final = 15.0
LONGEST_PAUSE: Final = 600.0
"""Seconds without polls after an error that waiting does not help. The pause doubles each time; somebody has to fix the cause."""
ACKNOWLEDGE_TIMEOUT: Final = 1800.0
"""Seconds to wait until an event is acknowledged. Airflow does that within its ``shared_stream_ack_timeout``, 300 seconds by default."""


class PendingEvent:
    """An event that Airflow has not yet stored.

    :param source: the watcher that reports it.
    :param payload: ids, counts and times.
    :param watermark: what to save once the event is stored.
    """

    def __init__(self, source: AssetEventSource, payload: dict[str, Any], watermark: Watermark) -> None:
        self.source = source
        self.payload = payload
        self._watermark = watermark
        self._is_claimed = False
        self._stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def claim(self, source: AssetEventSource) -> bool:
        """Whether this event is for the watcher of ``source``, which then yields it to Airflow."""
        self._is_claimed = self._is_claimed or source is self.source
        return source is self.source

    async def acknowledge(self, *, accepted: bool) -> None:
        """Record whether Airflow has stored the event, and save the watermark if it has.

        :param accepted: whether every watcher of the connection has passed the event and stored what it yielded for it. If the event's own
            watcher has just left, the others passed the event without storing it.
        """
        stored = accepted and self._is_claimed
        if stored:
            await self.source.save(self._watermark)
        if not self._stored.done():
            self._stored.set_result(stored)

    async def is_stored(self) -> bool:
        """Wait until the event is acknowledged; ``False`` where it was not stored, or not acknowledged in time."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._stored, ACKNOWLEDGE_TIMEOUT)
        return False


class AssetEventSource:
    """Polls for one watcher and queues what is new, until it is cancelled. No error ends it.

    :param conn_id: the connection.
    :param event_filter: which events to report.
    :param since: where to start if no watermark is saved, UTC epoch milliseconds; ``None`` for now.
    :param interval: seconds between two polls.
    :param store: where the watermark is saved.
    :param lateness: how late an event may become visible, in milliseconds.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        event_filter: EventFilter,
        since: int | None,
        interval: float,
        store: WatermarkStore,
        lateness: int = LOOKBACK,
    ) -> None:
        self._conn_id = conn_id
        self._event_filter = event_filter
        self._since = since
        self._interval = interval
        self._store = store
        self._lateness = lateness
        self._queue = queue_for(conn_id)
        self._pauses = 0
        self._is_healthy = False
        self._saved_at = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Poll while the ``with`` block runs."""
        task = asyncio.get_running_loop().create_task(self._run(), name=f"capillary watch {self._conn_id}")
        try:
            yield
        finally:
            task.cancel()

    async def save(self, watermark: Watermark) -> None:
        """Save the watermark. If that fails, the next one that is saved replaces it."""
        try:
            await self._store.write(watermark)
        except Exception as error:  # noqa: BLE001  # whatever a state backend raises; another library wrote its text
            logger.warning(
                "The watermark of connection %s could not be saved (%s); it will be saved later", self._conn_id, safe_error_text(error)
            )
            self._saved_at = 0.0
        else:
            self._saved_at = time.monotonic()

    async def _run(self) -> None:
        watermark = None
        while True:
            try:
                watermark = watermark or await self._first_watermark()
                async with subscribe(
                    self._conn_id, self._state(watermark), schedule=PollSchedule(interval=self._interval), warn=logger.warning
                ) as subscriber:
                    while True:
                        watermark = await self._poll(subscriber, watermark)
                        self._pauses = 0
                        await self._note("")
            except Exception as error:  # noqa: BLE001  # a watcher that ends misses events
                await self._pause(safe_error_text(error))

    async def _first_watermark(self) -> Watermark:
        watermark = await self._store.read()
        if watermark is not None:
            return watermark.keeping(self._lateness)
        watermark = Watermark.starting_at(int(time.time() * 1000) if self._since is None else self._since, lateness=self._lateness)
        # Saved before the first poll: if the triggerer is killed now, the next one must not start later than this.
        await self._store.write(watermark)
        return watermark

    async def _poll(self, subscriber: Subscriber, watermark: Watermark) -> Watermark:
        """Poll once and report what is new; return the watermark to continue from."""
        state = await subscriber.poll()
        if not state.found.count:
            if time.monotonic() - self._saved_at >= SAVE_EVERY:
                await self.save(state.watermark)
            return state.watermark
        payload = await asyncio.to_thread(state.event)
        event = PendingEvent(self, payload, state.watermark)
        self._queue.put_nowait(event)
        if await event.is_stored():
            watermark = state.watermark
        else:
            logger.warning("Airflow did not store an asset event with %d event logs; they will be reported again", state.found.count)
        subscriber.state = self._state(watermark)
        return watermark

    def _state(self, watermark: Watermark) -> PollState:
        return PollState.begin(self._event_filter, watermark)

    async def _note(self, problem: str) -> None:
        """Write with the asset why it is not polled, and once that it is polled again."""
        if self._is_healthy and not problem:
            return
        try:
            await self._store.write_problem(problem)
        except Exception as error:  # noqa: BLE001  # as for the watermark; the log has the problem, too
            logger.warning("The state of the watch on connection %s could not be saved (%s)", self._conn_id, safe_error_text(error))
        else:
            self._is_healthy = not problem

    async def _pause(self, reason: str) -> None:
        self._pauses += 1
        pause = Backoff(first=max(self._interval, FIRST_PAUSE), longest=LONGEST_PAUSE).delay(self._pauses)
        logger.error("Polling of connection %s is paused for %.0f s and will then resume. %s", self._conn_id, pause, reason)
        await self._note(f"Not polled since {format_timestamp(from_millis(int(time.time() * 1000)))}. {reason}")
        await asyncio.sleep(pause)


class AssetEventProducer(SharedStreamProducer):
    """Passes the events of all watchers of one connection to Airflow, and is told which of them were stored.

    It sends no request: each watcher polls for itself, in polls that all of them share. So it does not matter from whose arguments Airflow
    made this producer, or who joins later. Each event is for one watcher, and the events of each watcher are acknowledged in their order.

    :param conn_id: the connection.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id

    async def open_stream(self) -> AsyncIterator[tuple[PendingEvent, PendingEvent]]:
        """Yield the queued events, without end."""
        queue = queue_for(self._conn_id)
        while True:
            event = await queue.get()
            yield event, event

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Acknowledge events. Raises nothing: an exception here would end every watcher of the connection."""
        for item in batch:
            await item.broker_payload.acknowledge(accepted=item.outcome.is_clean)

    def get_advance_lane(self, broker_payload: Any) -> Hashable:  # noqa: ANN401  # as Airflow declares it
        """One lane for each watcher, so that none waits for the acknowledgements of another."""
        return id(broker_payload.source)


_queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Queue[PendingEvent]]] = weakref.WeakKeyDictionary()


def queue_for(conn_id: str) -> asyncio.Queue[PendingEvent]:
    """The queue of new events that all watchers of a connection share on this event loop."""
    return _queues.setdefault(asyncio.get_running_loop(), {}).setdefault(conn_id, asyncio.Queue())
