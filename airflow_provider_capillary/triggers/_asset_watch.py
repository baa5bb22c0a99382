"""What one watch over an asset reports, each failure until Airflow has stored it.

.. code-block:: text

    note in the asset's store ──> look, look, look ──> something new ──> outbox ──> Airflow stores the event ──> note is written
              ^                                                                                                      │
              └──────────────────────────────────────────────────────────────────────────────────────────────────────┘

The note is behind what was reported, never before it. A triggerer that dies anywhere in this circle therefore looks again from where the
last stored event ended: nothing is lost, and what was stored but not yet noted comes a second time, with the same ids.

One thing at a time: while an event waits to be stored, its watch does not look. What happens meanwhile is in the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import LOOKBACK, Watermark
from airflow_provider_capillary.triggers._shared_poller import PollSchedule, subscribe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.polling.filters import EventFilter
    from airflow_provider_capillary.triggers._shared_poller import Subscriber
    from airflow_provider_capillary.triggers._watermark_store import WatermarkStore

__all__ = ["AssetEventSource", "PendingEvent", "queue_for"]

logger = logging.getLogger(__name__)

NOTED_EVERY: Final = 60.0
"""Seconds between two notes of how far the API was read, while there is nothing to report."""
FIRST_PAUSE: Final = 15.0
LONGEST_PAUSE: Final = 600.0
"""Seconds of pause after what no waiting helps, doubled each time: somebody has to act, and then this goes on by itself."""
PATIENCE: Final = 1800.0
"""Seconds to wait for word of an event; Airflow gives it within its ``shared_stream_ack_timeout``, 300 by default."""


class PendingEvent:
    """One event on its way to the metadata database.

    :param source: whose it is.
    :param payload: ids, counts and times.
    """

    def __init__(self, source: AssetEventSource, payload: dict[str, Any], watermark: Watermark) -> None:
        self.source = source
        self.payload = payload
        self._watermark = watermark
        self._is_taken = False
        self._acknowledged: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def is_taken_by(self, source: AssetEventSource) -> bool:
        """Whether it is this source's, whose watch then takes it."""
        self._is_taken = self._is_taken or source is self.source
        return source is self.source

    async def acknowledge(self, *, accepted: bool) -> None:
        """Take note of whether Airflow has stored it.

        :param accepted: whether all who listened to the stream have passed it and stored what they made of it. Those are the watches of
            the whole connection: where its own has just left, that says nothing.
        """
        stored = accepted and self._is_taken
        if stored:
            await self.source.note(self._watermark)
        if not self._acknowledged.done():
            self._acknowledged.set_result(stored)

    async def is_stored(self) -> bool:
        """Wait for that."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._acknowledged, PATIENCE)
        return False


class AssetEventSource:
    """Looks for what is new, from note to note, until it is cancelled. No fault ends it.

    :param conn_id: the connection.
    :param event_filter: what is reported.
    :param since: UTC epoch milliseconds, where it begins when there is no note; ``None`` for now.
    :param interval: seconds between two looks.
    :param lateness: how late a record may become visible, in milliseconds.
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
        self._outbox = queue_for(conn_id)
        self._pauses = 0
        self._noted_at = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let it run."""
        task = asyncio.get_running_loop().create_task(self._run(), name=f"capillary source {self._conn_id}")
        try:
            yield
        finally:
            task.cancel()

    async def note(self, watermark: Watermark) -> None:
        """Keep what was reported. Where that fails, the next note makes good for it."""
        try:
            await self._store.write(watermark)
        except Exception as error:  # noqa: BLE001  # whatever a state backend raises; its text is not of this package's making
            logger.warning("How far connection %s was read could not be noted (%s); it is tried again", self._conn_id, type(error).__name__)
            self._noted_at = 0.0
        else:
            self._noted_at = time.monotonic()

    async def _run(self) -> None:
        watermark = None
        while True:
            try:
                watermark = watermark or await self._begin()
                async with subscribe(
                    self._conn_id, self._state(watermark), schedule=PollSchedule(interval=self._interval), tell=logger.warning
                ) as subscriber:
                    while True:
                        watermark = await self._next(subscriber, watermark)
                        self._pauses = 0
            except CapillaryError as error:
                await self._pause(str(error))
            except Exception as error:  # noqa: BLE001  # one that ends leaves failures unseen; its text may hold anything
                await self._pause(f"{type(error).__name__}")

    async def _begin(self) -> Watermark:
        watermark = await self._store.read()
        if watermark is not None:
            return watermark.keeping(self._lateness)
        watermark = Watermark.starting_at(int(time.time() * 1000) if self._since is None else self._since, lateness=self._lateness)
        # Written down before the first look: a triggerer that dies now must not begin later than this.
        await self._store.write(watermark)
        return watermark

    async def _next(self, subscriber: Subscriber, watermark: Watermark) -> Watermark:
        state = await subscriber.poll()
        if not state.found.count:
            if time.monotonic() - self._noted_at >= NOTED_EVERY:
                await self.note(state.watermark)
            return state.watermark
        payload = await asyncio.to_thread(state.event)
        event = PendingEvent(self, payload, state.watermark)
        self._outbox.put_nowait(event)
        if await event.is_stored():
            watermark = state.watermark
        else:
            logger.warning("Airflow did not store an event of %d failures; they are reported again", state.found.count)
        subscriber.state = self._state(watermark)
        return watermark

    def _state(self, watermark: Watermark) -> PollState:
        return PollState.begin(self._event_filter, watermark)

    async def _pause(self, reason: str) -> None:
        pause = min(LONGEST_PAUSE, max(self._interval, FIRST_PAUSE) * 2.0 ** min(self._pauses, 10)) * random.uniform(0.8, 1.0)  # noqa: S311  # jitter
        self._pauses += 1
        logger.error("The watch over connection %s rests for %.0f s and then goes on from where it was. %s", self._conn_id, pause, reason)
        await asyncio.sleep(pause)


_outboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Queue[PendingEvent]]] = weakref.WeakKeyDictionary()


def queue_for(conn_id: str) -> asyncio.Queue[PendingEvent]:
    """Where all feeds of a connection, on this loop, put what they have to report."""
    return _outboxes.setdefault(asyncio.get_running_loop(), {}).setdefault(conn_id, asyncio.Queue())
