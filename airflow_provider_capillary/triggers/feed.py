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
from airflow_provider_capillary.reading.news import LOOKBACK, Hunt, Memory
from airflow_provider_capillary.triggers.watch import Pace, watching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.reading.wanted import Wanted
    from airflow_provider_capillary.triggers.notebook import Notebook
    from airflow_provider_capillary.triggers.watch import Waiter

__all__ = ["Delivery", "Feed", "outbox_of"]

logger = logging.getLogger(__name__)

NOTED_EVERY: Final = 60.0
"""Seconds between two notes of how far the API was read, while there is nothing to report."""
FIRST_PAUSE: Final = 15.0
LONGEST_PAUSE: Final = 600.0
"""Seconds of pause after what no waiting cures, doubled each time: somebody has to act, and then this goes on by itself."""
PATIENCE: Final = 1800.0
"""Seconds to wait for word of an event; Airflow gives it within its ``shared_stream_ack_timeout``, 300 by default."""


class Delivery:
    """One event on its way to the metadata database.

    :param feed: whose it is.
    :param payload: ids, counts and times.
    """

    def __init__(self, feed: Feed, payload: dict[str, Any], memory: Memory) -> None:
        self.feed = feed
        self.payload = payload
        self._memory = memory
        self._is_taken = False
        self._settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def is_taken_by(self, feed: Feed) -> bool:
        """Whether it is this feed's, whose watch then takes it."""
        self._is_taken = self._is_taken or feed is self.feed
        return feed is self.feed

    async def settle(self, *, accepted: bool) -> None:
        """Take note of whether Airflow has stored it.

        :param accepted: whether all who listened to the stream have passed it and stored what they made of it. Those are the watches of
            the whole connection: where its own has just left, that says nothing.
        """
        stored = accepted and self._is_taken
        if stored:
            await self.feed.note(self._memory)
        if not self._settled.done():
            self._settled.set_result(stored)

    async def is_stored(self) -> bool:
        """Wait for that."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._settled, PATIENCE)
        return False


class Feed:
    """Looks for what is new, from note to note, until it is cancelled. No fault ends it.

    :param conn_id: the connection.
    :param wanted: what is reported.
    :param since: UTC epoch milliseconds, where it begins when there is no note; ``None`` for now.
    :param interval: seconds between two looks.
    :param lateness: how late a record may become visible, in milliseconds.
    """

    def __init__(
        self, *, conn_id: str, wanted: Wanted, since: int | None, interval: float, notebook: Notebook, lateness: int = LOOKBACK
    ) -> None:
        self._conn_id = conn_id
        self._wanted = wanted
        self._since = since
        self._interval = interval
        self._notebook = notebook
        self._lateness = lateness
        self._outbox = outbox_of(conn_id)
        self._pauses = 0
        self._noted_at = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let it run."""
        task = asyncio.get_running_loop().create_task(self._run(), name=f"capillary feed {self._conn_id}")
        try:
            yield
        finally:
            task.cancel()

    async def note(self, memory: Memory) -> None:
        """Keep what was reported. Where that fails, the next note makes good for it."""
        try:
            await self._notebook.write(memory)
        except Exception as error:  # noqa: BLE001  # whatever a state backend raises; its text is not of this package's making
            logger.warning("How far connection %s was read could not be noted (%s); it is tried again", self._conn_id, type(error).__name__)
            self._noted_at = 0.0
        else:
            self._noted_at = time.monotonic()

    async def _run(self) -> None:
        memory = None
        while True:
            try:
                memory = memory or await self._begin()
                async with watching(self._conn_id, self._hunt(memory), pace=Pace(interval=self._interval), tell=logger.warning) as waiter:
                    while True:
                        memory = await self._next(waiter, memory)
                        self._pauses = 0
            except CapillaryError as error:
                await self._pause(str(error))
            except Exception as error:  # noqa: BLE001  # one that ends leaves failures unseen; its text may hold anything
                await self._pause(f"{type(error).__name__}")

    async def _begin(self) -> Memory:
        memory = await self._notebook.read()
        if memory is not None:
            return memory.keeping(self._lateness)
        memory = Memory.since(int(time.time() * 1000) if self._since is None else self._since, lateness=self._lateness)
        # Written down before the first look: a triggerer that dies now must not begin later than this.
        await self._notebook.write(memory)
        return memory

    async def _next(self, waiter: Waiter, memory: Memory) -> Memory:
        hunt = await waiter.look()
        if not hunt.found.count:
            if time.monotonic() - self._noted_at >= NOTED_EVERY:
                await self.note(hunt.memory)
            return hunt.memory
        payload = await asyncio.to_thread(hunt.event)
        delivery = Delivery(self, payload, hunt.memory)
        self._outbox.put_nowait(delivery)
        if await delivery.is_stored():
            memory = hunt.memory
        else:
            logger.warning("Airflow did not store an event of %d failures; they are reported again", hunt.found.count)
        waiter.hunt = self._hunt(memory)
        return memory

    def _hunt(self, memory: Memory) -> Hunt:
        return Hunt.begin(self._wanted, memory)

    async def _pause(self, reason: str) -> None:
        pause = min(LONGEST_PAUSE, max(self._interval, FIRST_PAUSE) * 2.0 ** min(self._pauses, 10)) * random.uniform(0.8, 1.0)  # noqa: S311  # jitter
        self._pauses += 1
        logger.error("The watch over connection %s rests for %.0f s and then goes on from where it was. %s", self._conn_id, pause, reason)
        await asyncio.sleep(pause)


_outboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Queue[Delivery]]] = weakref.WeakKeyDictionary()


def outbox_of(conn_id: str) -> asyncio.Queue[Delivery]:
    """Where all feeds of a connection, on this loop, put what they have to report."""
    return _outboxes.setdefault(asyncio.get_running_loop(), {}).setdefault(conn_id, asyncio.Queue())
