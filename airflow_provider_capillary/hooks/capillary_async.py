"""The hook on an event loop: the same effects, carried out without blocking the loop.

A worker thread does what takes time: it looks up the connection, sends requests, and parses answers (megabytes of JSON, on a loop that may
serve a thousand triggers). Pauses are ``asyncio.sleep``. HTTP and decisions are those of the hook in a task.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_capillary.api.effects import HoldTurns, Join, MaskSecret, ReadClock, Records, Send, Sleep, Start, TakeTurn
from airflow_provider_capillary.hooks.capillary import CapillaryHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_capillary.api.effects import Flow, Outcome
    from airflow_provider_capillary.api.event_logs import EventLogs

__all__ = ["CapillaryAsyncHook"]

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a cancelled reading waits for its thread. An open connection ends at once, a connection attempt with its timeout."""


class CapillaryAsyncHook(CapillaryHook):
    """Reads event logs from one Capillary API on an event loop, one interval at a time.

    Open the hook first. A reading that is cancelled ends its request, closes the session and leaves no thread behind. The hook can't be
    used after that.

    .. code-block:: python

        async with CapillaryAsyncHook("capillary_default") as hook:
            async for records in hook.read(start, end): ...
    """

    async def open(self) -> None:
        """Look up the connection and make the session, in a thread.

        The look-up is synchronous and runs in ``sync_to_async``, as common-compat's ``get_async_connection`` runs one: Airflow's own calls
        to its supervisor, masking included, are safe there on every version.

        :raises ConnectionSettingsError: the connection does not exist, or is incomplete or wrong.
        """
        from asgiref.sync import sync_to_async

        def make() -> None:
            _ = self.settings, self._session, self._reader

        await sync_to_async(make)()

    async def read(self, start: int, end: int, *, event_name: str | None = None) -> AsyncIterator[EventLogs]:
        """Yield the records of ``[start, end)``, each once, in lists. They count only once the iteration has ended without an error.

        :param start: UTC epoch milliseconds.
        :param end: UTC epoch milliseconds.
        :param event_name: sent to the API where that leaves nothing out; its answers are not filtered here.
        :raises RequestError: the API does not answer.
        :raises CompletenessError: the API answers, and it can't be proved that nothing is missing.
        """
        from airflow_provider_capillary.hooks._metrics import ReadingMetrics

        metrics = ReadingMetrics(self._executor.stats, conn_id=self.capillary_conn_id)
        steps = self._reader.read(start, end, event_name=event_name)
        try:
            async for records in self._records(steps):
                metrics.add(len(records))
                yield records
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            await self._in_thread(metrics.send)

    async def close(self) -> None:
        """End a request that is under way, and close the connection."""
        self.stop()
        if "_session" in self.__dict__:
            self._session.close()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _records(self, steps: Flow[Any]) -> AsyncIterator[EventLogs]:
        """Carry out the effects of a flow; yield its records."""
        from airflow_provider_capillary.hooks._lanes import outcome_of

        loop = asyncio.get_running_loop()

        def conceal(value: str) -> None:
            asyncio.run_coroutine_threadsafe(_conceal(value), loop).result(GRACE)

        lanes = self._make_lanes(conceal)
        outcome: Outcome = None
        try:
            while (effect := await self._in_thread(self._advance, steps, outcome)) is not None:
                outcome = None
                match effect:
                    case Sleep():
                        await _sleep(effect.seconds)
                    case MaskSecret():
                        await _conceal(effect.value)
                    case Records():
                        yield effect.records
                    case Start():
                        outcome = lanes.start(effect.flow)
                    case Join():
                        outcome = await self._in_thread(outcome_of, effect.started)
        finally:
            # In a thread: the lanes' last words, such as a value to mask, may need the loop.
            await self._in_thread(self._close_lanes, lanes)

    def _advance(self, steps: Flow[Any], outcome: Outcome) -> Records | Sleep | MaskSecret | Start | Join | None:
        """In a thread: send requests and decide, up to the next effect that belongs to the loop; ``None`` at the end."""
        while True:
            try:
                effect = self._next_effect(steps, outcome, self._session)
            except StopIteration:
                return None
            match effect:
                case Send() | ReadClock() | TakeTurn() | HoldTurns():
                    outcome = self._perform(effect, self._session)
                case _:
                    return effect

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        running = asyncio.ensure_future(asyncio.to_thread(work, *args))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stop()
            running.add_done_callback(_forget)
            await asyncio.wait({running}, timeout=GRACE)
            raise


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _conceal(value: str) -> None:
    from airflow.providers.common.compat.sdk import mask_secret
    from asgiref.sync import sync_to_async

    await sync_to_async(mask_secret)(value)


def _forget(ended: asyncio.Future[Any]) -> None:
    """Fetch the exception of a thread that nobody waits for, so that asyncio does not report it."""
    if not ended.cancelled():
        ended.exception()
