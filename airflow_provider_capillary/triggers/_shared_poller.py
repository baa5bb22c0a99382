"""One watch over each connection, shared by everything that waits on it in one triggerer.

The API has no parameter for a status, so who looks for one failure reads what everybody else would read. Everything that waits on one
connection on one event loop therefore shares its looks: one session, one budget, one calibration, and one reading whose records are handed
to each subscriber, which picks its own statuses and names and remembers its own past. A thousand subscribers ask no more than one.

- The watch looks as often as the most impatient of its subscribers; all who ask take part, since it costs nothing.
- What is read goes back as far as the one that has to go back furthest; each takes of it what is its own.
- Who comes later joins the rhythm. Where it has far more to catch up on than the others, it is read to after them, once.
- A fault that may pass is waited out. Another one (a refused credential, a wrong connection) ends the poller and is told to each
  subscriber; whoever subscribes next looks up the connection anew.
- When the last subscriber has left, the watch closes its session and is gone.
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

from airflow_provider_capillary.api.date_formats import HOUR
from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ContinuityError, TieError
from airflow_provider_capillary.hooks.capillary_async import CapillaryAsyncHook
from airflow_provider_capillary.polling.filters import EventRef

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from airflow_provider_capillary.api.effects import Record
    from airflow_provider_capillary.polling.filters import EventFilter
    from airflow_provider_capillary.polling.poll_state import Poll, PollState

    Subscribers: TypeAlias = dict[EventFilter, list[Poll]]

__all__ = ["PollSchedule", "Subscriber", "subscribe"]

logger = logging.getLogger(__name__)

COALESCE: Final = 0.5
"""Seconds from the first subscriber to the first look: after a restart hundreds of them come at once."""
SHORTEST: Final = 1.0
"""Seconds between two looks at least, however impatient a subscriber is."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between two looks while the API is down, unless the subscribers are more patient by themselves."""
IMMEDIATE_RETRIES: Final = 2
"""How often answers that contradict one another are asked for again at once, as where records are deleted while they are read."""
CATCH_UP_GAP: Final = HOUR
"""Milliseconds; who is so far behind the others is read to after them."""
TELL_EVERY: Final = 10
"""Of looks that failed in a row, the first and each tenth is told."""


@dataclass(slots=True, kw_only=True)
class PollSchedule:
    """How often a subscriber wants a look.

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


class Subscriber:
    """One that takes part in the looks over a connection, from one :meth:`look` to the next.

    :param state: what it looks for, and what it has seen; to be replaced where it is to go on with another.
    :param schedule: how often.
    :param tell: told in words when looks fail.
    """

    def __init__(self, watch: SharedPoller, state: PollState, *, schedule: PollSchedule, tell: Callable[[str], object]) -> None:
        self.state = state
        self.schedule = schedule
        self.due = 0.0
        self.is_asking = False
        self.has_looked = False
        self._watch = watch
        self._tell = tell
        self._said: asyncio.Queue[PollState | CapillaryError | str] = asyncio.Queue()

    async def poll(self) -> PollState:
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
        if said.lookback_was_shortened(self.state):
            self._tell(f"More failures than are remembered: what becomes visible late, before {said.watermark.not_before} ms, is not found")
        self.state = said
        return said

    def dispatch(self, said: PollState | CapillaryError | str) -> None:
        """Give it what it waits for, or words to tell."""
        if not isinstance(said, str):
            self.is_asking = False
        self._said.put_nowait(said)


@contextlib.asynccontextmanager
async def subscribe(conn_id: str, state: PollState, *, schedule: PollSchedule, tell: Callable[[str], object]) -> AsyncIterator[Subscriber]:
    """Take part in the looks over a connection, with everybody else on this loop."""
    watch = _watch_of(conn_id)
    subscriber = Subscriber(watch, state, schedule=schedule, tell=tell)
    watch.join(subscriber)
    try:
        yield subscriber
    finally:
        await watch.leave(subscriber)


class SharedPoller:
    def __init__(self, conn_id: str, others: dict[str, SharedPoller]) -> None:
        self._conn_id = conn_id
        self._others = others
        self._subscribers: set[Subscriber] = set()
        self._changed = asyncio.Event()
        self._looked_at: float | None = None
        self._failures = 0
        self._runner: asyncio.Task[None] | None = None
        self._ended: CapillaryError | None = None

    def join(self, subscriber: Subscriber) -> None:
        subscriber.due = asyncio.get_running_loop().time() + COALESCE
        if self._looked_at is not None:
            subscriber.due = max(subscriber.due, self._looked_at + subscriber.schedule.interval)
        self._subscribers.add(subscriber)

    def ask(self, subscriber: Subscriber) -> None:
        subscriber.is_asking = True
        self._changed.set()
        if self._ended is not None:
            subscriber.dispatch(self._ended)
        elif self._runner is None:
            # In no context: the first subscriber's holds the log of its task, which ends before the watch does.
            self._runner = asyncio.get_running_loop().create_task(
                self._run(), name=f"capillary watch {self._conn_id}", context=contextvars.Context()
            )

    async def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if self._subscribers:
            return
        self._retire()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})

    @property
    def _asking(self) -> list[Subscriber]:
        return [subscriber for subscriber in self._subscribers if subscriber.is_asking]

    def _retire(self) -> None:
        if self._others.get(self._conn_id) is self:
            del self._others[self._conn_id]

    async def _run(self) -> None:
        error = CapillaryError("The watch over the connection was ended", hint="retry")
        error.retryable = True
        try:
            async with CapillaryAsyncHook(self._conn_id) as hook:
                while True:
                    await self._until_due()
                    await self._round(hook)
        except CapillaryError as fatal:
            error = fatal
            logger.warning("The watch over connection %s ends: %s", self._conn_id, fatal)
        except Exception as unknown:  # noqa: BLE001  # whatever it is, every subscriber has to hear of it
            # Its text is not of this package's making and may hold a secret.
            error = CapillaryError(f"The watch over connection {self._conn_id!r} ended by a {type(unknown).__name__}", hint="retry")
            error.retryable = True
            logger.error("The watch over connection %s ends: %s", self._conn_id, type(unknown).__name__)  # noqa: TRY400  # as above
        finally:
            self._retire()
            self._ended = error
            for subscriber in self._asking:
                subscriber.dispatch(error)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # None asks where all are at work on what they have found.
            due = min((subscriber.due for subscriber in self._asking), default=None)
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

    async def _serve(self, hook: CapillaryAsyncHook, group: list[Subscriber]) -> None:
        states = await _look(hook, [subscriber.state for subscriber in group])
        now = asyncio.get_running_loop().time()
        for subscriber, state in zip(group, states, strict=True):
            subscriber.has_looked = True
            subscriber.schedule.slow_down()
            subscriber.due = max((self._looked_at or now) + subscriber.schedule.interval, now + SHORTEST)
            subscriber.dispatch(state)

    def _postpone(self, error: CapillaryError) -> None:
        least = min((subscriber.schedule.interval for subscriber in self._asking), default=LONGEST_PAUSE)
        pause = min(max(least, LONGEST_PAUSE), least * 2.0 ** min(self._failures - 1, 10)) * random.uniform(0.8, 1.0)  # noqa: S311  # jitter
        pause = max(pause, error.retry_after or 0.0)
        due = asyncio.get_running_loop().time() + pause
        for subscriber in self._asking:
            subscriber.due = due
        if self._failures % TELL_EVERY == 1:
            self._tell(f"Connection {self._conn_id}: a look failed and is tried again in {pause:.0f} s. {error}")

    def _tell(self, text: str) -> None:
        logger.warning("%s", text)
        for subscriber in self._asking:
            subscriber.dispatch(text)


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedPoller]] = weakref.WeakKeyDictionary()


def _watch_of(conn_id: str) -> SharedPoller:
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in watches:
        watches[conn_id] = SharedPoller(conn_id, watches)
    return watches[conn_id]


def _groups(subscribers: list[Subscriber]) -> list[list[Subscriber]]:
    """Those that are read to together: all, but for newcomers that are far behind."""
    known = [subscriber.state.watermark.lookback_start for subscriber in subscribers if subscriber.has_looked]
    oldest = min(known, default=0) - CATCH_UP_GAP
    far = [
        subscriber
        for subscriber in subscribers
        if known and not subscriber.has_looked and subscriber.state.watermark.lookback_start < oldest
    ]
    near = [subscriber for subscriber in subscribers if subscriber not in set(far)]
    return [group for group in (near, far) if group]


async def _look(hook: CapillaryAsyncHook, states: list[PollState]) -> list[PollState]:
    again = 0
    while True:
        try:
            return await _look_once(hook, states)
        except (CalibrationError, TieError):
            # What was learnt of a quiet API, when the watch began, may be too little for a burst.
            if again:
                raise
            hook.recalibrate()
        except ContinuityError:
            if again == IMMEDIATE_RETRIES:
                raise
        again += 1
        await asyncio.sleep(SHORTEST)


async def _look_once(hook: CapillaryAsyncHook, states: list[PollState]) -> list[PollState]:
    now = int(time.time() * 1000)
    looks = [state.poll(now) for state in states]
    parties: Subscribers = {}
    for state, look in zip(states, looks, strict=True):
        parties.setdefault(state.event_filter, []).append(look)
    windows = [look.window for look in looks]
    async for records in hook.read(min(low for low, _ in windows), max(high for _, high in windows)):
        # In a thread, as much as a page for a thousand subscribers takes more time than the loop has at once.
        await asyncio.to_thread(_dispatch, records, parties)
    return await asyncio.to_thread(lambda: [look.finish() for look in looks])


def _dispatch(records: Iterable[Record], parties: Subscribers) -> None:
    sightings = [EventRef.of(record) for record in records]
    newest = max((seen.instant for seen in sightings), default=0)
    for event_filter, looks in parties.items():
        matching = event_filter.select(sightings)
        for look in looks:
            look.add(matching, newest=newest)
