"""One watch over each connection, shared by everything that waits on it in one triggerer.

The API has no parameter for a status, so who looks for one failure reads what everybody else would read. Everything that waits on one
connection on one event loop therefore shares its looks: one session, one budget, one calibration, and one reading whose records are handed
to each waiter, which picks its own statuses and names and remembers its own past. A thousand waiters ask no more than one.

- The watch looks as often as the most impatient of its waiters; the others take part, since it costs nothing.
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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ContinuityError, TieError
from airflow_provider_capillary.hooks.driving_async import CapillaryAsyncHook
from airflow_provider_capillary.reading.dates import HOUR
from airflow_provider_capillary.reading.news import Hunt, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_capillary.reading.news import Look, Wanted
    from airflow_provider_capillary.reading.steps import Record

    Parties: TypeAlias = dict[Wanted, list[Look]]

__all__ = ["Pace", "search"]

logger = logging.getLogger(__name__)

GATHER: Final = 0.5
"""Seconds from the first waiter to the first look: after a restart hundreds of them come at once."""
SHORTEST: Final = 1.0
"""Seconds between two looks at least, however impatient a waiter is."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between two looks while the API is down, unless the waiters are more patient by themselves."""
RIGHT_AGAIN: Final = 2
"""How often pages that do not join are asked for again at once: records that become visible while they are read make that happen."""
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


@dataclass(eq=False, slots=True, kw_only=True)
class _Waiter:
    hunt: Hunt
    min_count: int
    pace: Pace
    due: float = 0.0
    has_looked: bool = False
    said: asyncio.Queue[Hunt | CapillaryError | str] = field(default_factory=asyncio.Queue)


async def search(conn_id: str, hunt: Hunt, *, min_count: int, pace: Pace, tell: Callable[[str], object]) -> Hunt:
    """Wait, with everybody else on this loop and connection, until a search has found enough.

    :param min_count: how many records are enough.
    :param tell: told in words when looks fail.
    :returns: the search as it ended.
    :raises CapillaryError: which no waiting helps.
    """
    if hunt.found.count >= min_count:
        return hunt
    watch, waiter = _watch_of(conn_id), _Waiter(hunt=hunt, min_count=min_count, pace=pace)
    watch.join(waiter)
    try:
        while isinstance(said := await waiter.said.get(), str):
            tell(said)
    finally:
        await watch.leave(waiter)
    if isinstance(said, CapillaryError):
        raise said
    return said


class _Watch:
    def __init__(self, conn_id: str, others: dict[str, _Watch]) -> None:
        self._conn_id = conn_id
        self._others = others
        self._waiters: set[_Waiter] = set()
        self._changed = asyncio.Event()
        self._looked_at: float | None = None
        self._failures = 0
        self._runner: asyncio.Task[None] | None = None

    def join(self, waiter: _Waiter) -> None:
        now = asyncio.get_running_loop().time()
        waiter.due = now + GATHER
        if self._looked_at is not None:
            waiter.due = max(waiter.due, self._looked_at + waiter.pace.interval)
        self._waiters.add(waiter)
        self._changed.set()
        if self._runner is None:
            # In no context: the first waiter's holds the log of its task, which ends before the watch does.
            self._runner = asyncio.get_running_loop().create_task(
                self._run(), name=f"capillary watch {self._conn_id}", context=contextvars.Context()
            )

    async def leave(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        if not self._waiters and self._runner is not None:
            self._retire()
            self._runner.cancel()
            await asyncio.wait({self._runner})

    def _retire(self) -> None:
        if self._others.get(self._conn_id) is self:
            del self._others[self._conn_id]

    async def _run(self) -> None:
        error = CapillaryError("The watch over the connection was ended", cure="clear the task")
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
            logger.error("The watch over connection %s ends: %s", self._conn_id, type(unknown).__name__)  # noqa: TRY400  # as above
        finally:
            self._retire()
            for waiter in self._waiters:
                waiter.said.put_nowait(error)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # None is left where all have found what they looked for, until the last of them leaves.
            left = min((waiter.due - loop.time() for waiter in self._waiters), default=None)
            if left is not None and left <= 0:
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def _round(self, hook: CapillaryAsyncHook) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        waiters = list(self._waiters)
        try:
            for group in _groups(waiters):
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

    async def _serve(self, hook: CapillaryAsyncHook, group: list[_Waiter]) -> None:
        hunts = await _look(hook, [waiter.hunt for waiter in group])
        now = asyncio.get_running_loop().time()
        for waiter, hunt in zip(group, hunts, strict=True):
            waiter.hunt, waiter.has_looked = hunt, True
            if hunt.found.count >= waiter.min_count:
                self._waiters.discard(waiter)
                waiter.said.put_nowait(hunt)
            else:
                waiter.pace.slow_down()
                waiter.due = max((self._looked_at or now) + waiter.pace.interval, now + SHORTEST)

    def _postpone(self, error: CapillaryError) -> None:
        least = min((waiter.pace.interval for waiter in self._waiters), default=LONGEST_PAUSE)
        pause = min(max(least, LONGEST_PAUSE), least * 2.0 ** min(self._failures - 1, 10)) * random.uniform(0.8, 1.0)  # noqa: S311  # jitter
        pause = max(pause, error.retry_after or 0.0)
        due = asyncio.get_running_loop().time() + pause
        for waiter in self._waiters:
            waiter.due = due
        if self._failures % TELL_EVERY == 1:
            self._tell(f"Connection {self._conn_id}: a look failed and is tried again in {pause:.0f} s. {error}")

    def _tell(self, text: str) -> None:
        logger.warning("%s", text)
        for waiter in self._waiters:
            waiter.said.put_nowait(text)


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Watch]] = weakref.WeakKeyDictionary()


def _watch_of(conn_id: str) -> _Watch:
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in watches:
        watches[conn_id] = _Watch(conn_id, watches)
    return watches[conn_id]


def _groups(waiters: list[_Waiter]) -> list[list[_Waiter]]:
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
