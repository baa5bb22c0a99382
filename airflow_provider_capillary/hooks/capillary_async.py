"""The hook on an event loop: the same steps, carried out without blocking it.

What takes time happens in a worker thread: the look-up of the connection, HTTP, and what the core makes of an answer (parsing
megabytes of JSON is no small thing on a loop that serves a thousand triggers). Pauses are ``asyncio.sleep``. There is no second
HTTP library and no second decision: a step is answered by the very methods that answer it in a task.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_capillary.api.effects import MaskSecret, ReadClock, Records, Send, Sleep
from airflow_provider_capillary.hooks.capillary import CapillaryHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_capillary.api.effects import Effect, Flow, Outcome, Record

__all__ = ["CapillaryAsyncHook"]

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a cancelled reading waits for its thread. An open connection ends at once; one that is being opened, with its timeout."""


class CapillaryAsyncHook(CapillaryHook):
    """Reads event logs from one Capillary API on an event loop, one interval at a time.

    Open it first. A reading that is cancelled ends its request, closes the session and leaves no thread behind; the hook is then of no
    further use.

    .. code-block:: python

        async with CapillaryAsyncHook("capillary_default") as hook:
            async for records in hook.read(start, end): ...
    """

    async def open(self) -> None:
        """Look up the connection and make the session, in a thread.

        The whole look-up is synchronous and runs where common-compat's ``get_async_connection`` runs a synchronous one, by
        ``sync_to_async``: there, Airflow's own calls to its supervisor are safe, masking included, on every version.

        :raises ConnectionSettingsError: where the connection is not there, incomplete or wrong.
        """
        from asgiref.sync import sync_to_async

        def make() -> None:
            _ = self.settings, self._session, self._reader

        await sync_to_async(make)()

    async def read(self, start: int, end: int, *, event_name: str | None = None) -> AsyncIterator[list[Record]]:
        """Yield the records of ``[start, end)``, each once, in lists; they count only once the iteration has ended.

        :param start: UTC epoch milliseconds.
        :param end: UTC epoch milliseconds.
        :param event_name: asked of the API; what it answers is not filtered here.
        :raises RequestError: where the API does not answer.
        :raises CompletenessError: where it answers, and it can't be proved that nothing is missing.
        """
        steps = self._reader.read(start, end, event_name=event_name)
        try:
            async for records in self._run(steps):
                yield records
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """End what is under way, and close the connection."""
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

    async def _run(self, steps: Flow[Any]) -> AsyncIterator[list[Record]]:
        """Carry out the steps of the core; hand on what it finds."""
        while (step := await self._in_thread(self._advance, steps)) is not None:
            match step:
                case Sleep():
                    await _sleep(step.seconds)
                case MaskSecret():
                    await _conceal(step.value)
                case Records():
                    yield step.records

    def _advance(self, steps: Flow[Any]) -> Records | Sleep | MaskSecret | None:
        """In a thread: ask and decide, up to the next step that is the loop's; ``None`` at the end."""
        outcome: Outcome = None
        while True:
            self._check_stopped()
            try:
                step: Effect = steps.send(outcome)
            except StopIteration:
                return None
            match step:
                case Send():
                    outcome = self._answer(step)
                case ReadClock():
                    outcome = time.monotonic()
                case _:
                    return step

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
    """Take note of how a thread ended that nobody waits for, so that asyncio does not report it."""
    if not ended.cancelled():
        ended.exception()
