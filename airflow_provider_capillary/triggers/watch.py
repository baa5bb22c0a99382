"""One watch over each connection, shared by everything that waits on it in one triggerer.

The API has no parameter for a status, so who looks for one failure reads what everybody else would read. Everything that waits on one
connection on one event loop therefore shares its looks: one session, one budget, one calibration, and one reading whose records are handed
to each waiter, which picks its own statuses and names and remembers its own past. A thousand waiters ask no more than one.

- The watch looks as often as the most impatient of its waiters; all who ask take part, since it costs nothing.
- What is read goes back as far as the one that has to go back furthest; each takes of it what is its own.
- Who comes later joins the rhythm. Where it has far more to catch up on than the others, it is read to after them, once.
- A fault that may pass is waited out. One that will not (a refused credential, a wrong connection) ends the watch, and each waiter is told;
  who waits anew then looks up the connection anew.
- When the last waiter has left, the watch closes its session and is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ContinuityError, TieError
from airflow_provider_capillary.hooks.driving_async import CapillaryAsyncHook
from airflow_provider_capillary.reading.dates import HOUR
from airflow_provider_capillary.reading.wanted import Sighting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from airflow_provider_capillary.reading.news import Hunt, Look
    from airflow_provider_capillary.reading.steps import Record
    from airflow_provider_capillary.reading.wanted import Wanted

    Parties: TypeAlias = dict[Wanted, list[Look]]

__all__ = ["Pace", "Waiter", "watching"]

logger = logging.getLogger(__name__)

GATHER: Final = 0.5
"""Seconds from the first waiter to the first look: after a restart hundreds of them come at once."""
SHORTEST: Final = 1.0
"""Seconds between two looks at least, however impatient a waiter is."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between two looks while the API is down, unless the waiters are more patient by themselves."""
RIGHT_AGAIN: Final = 2
"""How often answers that contradict one another are asked for again at once, as where records are deleted while they are read."""
FAR: Final = HOUR
"""Milliseconds; who is so far behind the others is read to after them."""
TELL_EVERY: Final = 10
"""Of looks that failed in a row, the first and each tenth is told."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """How often a waiter wants a look.

    :param interval: seconds.
    :param doubles: whether it is doubled after each look.
    :param longest: seconds at most, where it is.
    """

    interval: float
    doubles: bool = False
    longest: float | None = None

    def __post_init__(self) -> None:
        self.interval = max(SHORTEST, self.interval)

    def slow_down(self) -> None:
        """Take note of a look without success."""
        if self.doubles:
            self.interval = min(self.interval * 2, max(SHORTEST, self.longest) if self.longest else 86_400.0)


class Waiter:
    """One that takes part in the looks over a connection, from one :meth:`look` to the next.

    :param hunt: what it looks for, and what it has seen; to be replaced where it is to go on with another.
    :param pace: how often.
    :param tell: told in words when looks fail.
    """

    def __init__(self, watch: _Watch, hunt: Hunt, *, pace: Pace, tell: Callable[[str], object]) -> None:
        self.hunt = hunt
        self.pace = pace
        self.due = 0.0
        self.is_asking = False
        self.has_looked = False
        self._watch = watch
        self._tell = tell
        self._said: asyncio.Queue[Hunt | CapillaryError | str] = asyncio.Queue()

    async def look(self) -> Hunt:
        """The search after the next look that is due.

        :raises CapillaryError: which no waiting helps; the watch has ended.
        """
        self._watch.ask(self)
        try:
            while isinstance(said := await self._said.get(), str):
                self._tell(said)
        finally:
            self.is_asking = False
        if isinstance(said, CapillaryError):
            raise said
        if said.is_shortened(self.hunt):
            self._tell(f"More failures than are remembered: what becomes visible late, before {said.memory.floor} ms, is not found")
        self.hunt = said
        return said

    def hand(self, said: Hunt | CapillaryError | str) -> None:
        """Give it what it waits for, or words to tell."""
        if not isinstance(said, str):
            self.is_asking = False
        self._said.put_nowait(said)


@contextlib.asynccontextmanager
async def watching(conn_id: str, hunt: Hunt, *, pace: Pace, tell: Callable[[str], object]) -> AsyncIterator[Waiter]:
    """Take part in the looks over a connection, with everybody else on this loop."""
    watch = _watch_of(conn_id)
    waiter = Waiter(watch, hunt, pace=pace, tell=tell)
    watch.join(waiter)
    try:
        yield waiter
    finally:
        await watch.leave(waiter)


class _Watch:
    def __init__(self, conn_id: str, others: dict[str, _Watch]) -> None:
        self._conn_id = conn_id
        self._others = others
        self._waiters: set[Waiter] = set()
        self._changed = asyncio.Event()
        self._looked_at: float | None = None
        self._failures = 0
        self._runner: asyncio.Task[None] | None = None
        self._ended: CapillaryError | None = None

    def join(self, waiter: Waiter) -> None:
        waiter.due = asyncio.get_running_loop().time() + GATHER
        if self._looked_at is not None:
            waiter.due = max(waiter.due, self._looked_at + waiter.pace.interval)
        self._waiters.add(waiter)

    def ask(self, waiter: Waiter) -> None:
        waiter.is_asking = True
        self._changed.set()
        if self._ended is not None:
            waiter.hand(self._ended)
        elif self._runner is None:
            # In no context: the first waiter's holds the log of its task, which ends before the watch does.
            self._runner = asyncio.get_running_loop().create_task(
                self._run(), name=f"capillary watch {self._conn_id}", context=contextvars.Context()
            )

    async def leave(self, waiter: Waiter) -> None:
        self._waiters.discard(waiter)
        if self._waiters:
            return
        self._retire()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})

    @property
    def _asking(self) -> list[Waiter]:
        return [waiter for waiter in self._waiters if waiter.is_asking]

    def _retire(self) -> None:
        if self._others.get(self._conn_id) is self:
            del self._others[self._conn_id]

    async def _run(self) -> None:
        error = CapillaryError("The watch over the connection was ended", cure="retry")
        error.retryable = True
        try:
            async with CapillaryAsyncHook(self._conn_id) as hook:
                while True:
                    await self._until_due()
                    await self._round(hook)
        except CapillaryError as fatal:
            error = fatal
            logger.warning("The watch over connection %s ends: %s", self._conn_id, fatal)
        except Exception as unknown:  # noqa: BLE001  # whatever it is, every waiter has to hear of it
            # Its text is not of this package's making and may hold a secret.
            error = CapillaryError(f"The watch over connection {self._conn_id!r} ended by a {type(unknown).__name__}", cure="retry")
            error.retryable = True
            logger.error("The watch over connection %s ends: %s", self._conn_id, type(unknown).__name__)  # noqa: TRY400  # as above
        finally:
            self._retire()
            self._ended = error
            for waiter in self._asking:
                waiter.hand(error)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # None asks where all are at work on what they have found.
            due = min((waiter.due for waiter in self._asking), default=None)
            left = None if due is None else due - loop.time()
            if left is not None and left <= 0:
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def _round(self, hook: CapillaryAsyncHook) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        try:
            for group in _groups(self._asking):
                await self._serve(hook, group)
        except CapillaryError as error:
            if not error.retryable:
                raise
            self._failures += 1
            self._postpone(error)
        else:
            if self._failures:
                self._tell(f"Connection {self._conn_id}: the API answers again, after {self._failures} looks that failed")
            self._failures = 0

    async def _serve(self, hook: CapillaryAsyncHook, group: list[Waiter]) -> None:
        hunts = await _look(hook, [waiter.hunt for waiter in group])
        now = asyncio.get_running_loop().time()
        for waiter, hunt in zip(group, hunts, strict=True):
            waiter.has_looked = True
            waiter.pace.slow_down()
            waiter.due = max((self._looked_at or now) + waiter.pace.interval, now + SHORTEST)
            waiter.hand(hunt)

    def _postpone(self, error: CapillaryError) -> None:
        least = min((waiter.pace.interval for waiter in self._asking), default=LONGEST_PAUSE)
        pause = min(max(least, LONGEST_PAUSE), least * 2.0 ** min(self._failures - 1, 10)) * random.uniform(0.8, 1.0)  # noqa: S311  # jitter
        pause = max(pause, error.retry_after or 0.0)
        due = asyncio.get_running_loop().time() + pause
        for waiter in self._asking:
            waiter.due = due
        if self._failures % TELL_EVERY == 1:
            self._tell(f"Connection {self._conn_id}: a look failed and is tried again in {pause:.0f} s. {error}")

    def _tell(self, text: str) -> None:
        logger.warning("%s", text)
        for waiter in self._asking:
            waiter.hand(text)


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Watch]] = weakref.WeakKeyDictionary()


def _watch_of(conn_id: str) -> _Watch:
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in watches:
        watches[conn_id] = _Watch(conn_id, watches)
    return watches[conn_id]


def _groups(waiters: list[Waiter]) -> list[list[Waiter]]:
    """Those that are read to together: all, but for newcomers that are far behind."""
    known = [waiter.hunt.memory.low for waiter in waiters if waiter.has_looked]
    oldest = min(known, default=0) - FAR
    far = [waiter for waiter in waiters if known and not waiter.has_looked and waiter.hunt.memory.low < oldest]
    near = [waiter for waiter in waiters if waiter not in set(far)]
    return [group for group in (near, far) if group]


async def _look(hook: CapillaryAsyncHook, hunts: list[Hunt]) -> list[Hunt]:
    again = 0
    while True:
        try:
            return await _look_once(hook, hunts)
        except (CalibrationError, TieError):
            # What was learnt of a quiet API, when the watch began, may be too little for a burst.
            if again:
                raise
            hook.recalibrate()
        except ContinuityError:
            if again == RIGHT_AGAIN:
                raise
        again += 1
        await asyncio.sleep(SHORTEST)


async def _look_once(hook: CapillaryAsyncHook, hunts: list[Hunt]) -> list[Hunt]:
    now = int(time.time() * 1000)
    looks = [hunt.look(now) for hunt in hunts]
    parties: Parties = {}
    for hunt, look in zip(hunts, looks, strict=True):
        parties.setdefault(hunt.wanted, []).append(look)
    windows = [look.window for look in looks]
    async for records in hook.read(min(low for low, _ in windows), max(high for _, high in windows)):
        # In a thread, as much as a page for a thousand waiters takes more time than the loop has at once.
        await asyncio.to_thread(_hand_out, records, parties)
    return await asyncio.to_thread(lambda: [look.end() for look in looks])


def _hand_out(records: Iterable[Record], parties: Parties) -> None:
    sightings = [Sighting.of(record) for record in records]
    newest = max((seen.instant for seen in sightings), default=0)
    for wanted, looks in parties.items():
        matching = wanted.pick(sightings)
        for look in looks:
            look.take(matching, newest=newest)
