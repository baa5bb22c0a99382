"""One poller for each connection, shared by every trigger in the process that waits on that connection.

The API has no parameter for a status, so everybody who polls it reads the same records. All triggers that wait on one connection on one
event loop therefore share one session, one request budget, one calibration and one reading. Each subscriber gets the records that match
its own filter and keeps its own watermark. A thousand subscribers cost the API what one costs.

- The poller polls as often as its most frequent subscriber asks for. Every subscriber that is waiting takes part, at no extra cost.
- Each poll reads from the earliest timestamp that any subscriber needs.
- A new subscriber joins the polls that are due anyway. If it has much more to catch up on than the others, it gets a separate read.
- After an error that may pass, the poller polls again later. Any other error (a refused credential, a wrong connection) ends the poller and
  is raised in each subscriber. The next subscriber looks up the connection again.
- When the last subscriber leaves, the poller closes its session.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.api.date_formats import HOUR
from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.hooks._metrics import count_failed_poll
from airflow_provider_capillary.hooks.capillary_async import CapillaryAsyncHook
from airflow_provider_capillary.polling import failed_poll
from airflow_provider_capillary.polling.failed_poll import NextStep
from airflow_provider_capillary.polling.filters import EventRef
from airflow_provider_capillary.timestamps import format_timestamp, from_millis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from airflow_provider_capillary.api.effects import Record
    from airflow_provider_capillary.polling.filters import EventFilter
    from airflow_provider_capillary.polling.poll_state import Poll, PollState

__all__ = ["PollSchedule", "Subscriber", "subscribe"]

logger = logging.getLogger(__name__)

COALESCE: Final = 0.5
"""Seconds from the first subscriber to the first poll: after a restart, hundreds of subscribers arrive at once."""
SHORTEST_INTERVAL: Final = 1.0
"""Seconds between two polls, at least."""
LONGEST_INTERVAL: Final = 86_400.0
"""Seconds between two polls, at most, where the interval doubles and the user sets no maximum."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between two polls, at most, while the API fails; a subscriber's own interval may be longer."""
CATCH_UP_GAP: Final = HOUR
"""Milliseconds. Subscribers this far behind are served by a separate read."""
WARN_EVERY: Final = 10
"""Of failed polls in a row, the first and every tenth after it are logged."""


@dataclass(slots=True, kw_only=True)
class PollSchedule:
    """How often a subscriber wants a poll.

    :param interval: seconds.
    :param doubles: whether the interval doubles after each poll.
    :param longest: seconds; the maximum of an interval that doubles.
    """

    interval: float
    doubles: bool = False
    longest: float | None = None

    def __post_init__(self) -> None:
        self.interval = max(SHORTEST_INTERVAL, self.interval)

    def slow_down(self) -> None:
        """Double the interval after a poll, where the schedule says so."""
        if self.doubles:
            self.interval = min(self.interval * 2, max(SHORTEST_INTERVAL, self.longest) if self.longest else LONGEST_INTERVAL)


class Subscriber:
    """One trigger's part in the polls of a connection.

    :param state: what it polls for and has found so far; assign another one to continue from there.
    :param schedule: how often it wants a poll.
    :param warn: called with a warning in plain text, for instance after a failed poll.
    """

    def __init__(self, poller: SharedPoller, state: PollState, *, schedule: PollSchedule, warn: Callable[[str], object]) -> None:
        self.state = state
        self.schedule = schedule
        self.due_at = 0.0
        self.is_waiting = False
        self.has_polled = False
        self._poller = poller
        self._warn = warn
        self._messages: asyncio.Queue[PollState | CapillaryError | str] = asyncio.Queue()

    async def poll(self) -> PollState:
        """Wait for the next poll that is due, and return the state after it.

        :raises CapillaryError: an error that waiting does not help; the poller has ended.
        """
        self._poller.request_poll(self)
        try:
            while isinstance(message := await self._messages.get(), str):
                self._warn(message)
        finally:
            self.is_waiting = False
        if isinstance(message, CapillaryError):
            raise message
        if message.lookback_was_shortened(self.state):
            earliest = format_timestamp(from_millis(message.watermark.not_before))
            self._warn(f"Too many new events to remember: one that becomes visible late and is from before {earliest} is not reported")
        self.state = message
        return message

    def deliver(self, message: PollState | CapillaryError | str) -> None:
        """Pass on the result of a poll, the error that ended the poller, or a warning."""
        if not isinstance(message, str):
            self.is_waiting = False
        self._messages.put_nowait(message)


@contextlib.asynccontextmanager
async def subscribe(conn_id: str, state: PollState, *, schedule: PollSchedule, warn: Callable[[str], object]) -> AsyncIterator[Subscriber]:
    """Take part in the polls of a connection, together with every other subscriber on this event loop."""
    poller = _poller_for(conn_id)
    subscriber = Subscriber(poller, state, schedule=schedule, warn=warn)
    poller.add(subscriber)
    try:
        yield subscriber
    finally:
        await poller.remove(subscriber)


class SharedPoller:
    """Polls one connection for all its subscribers.

    :param pollers: the pollers of this event loop by connection id; a poller that ends removes itself.
    """

    def __init__(self, conn_id: str, pollers: dict[str, SharedPoller]) -> None:
        self._conn_id = conn_id
        self._pollers = pollers
        self._subscribers: set[Subscriber] = set()
        self._changed = asyncio.Event()
        self._polled_at: float | None = None
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._error: CapillaryError | None = None

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber."""
        subscriber.due_at = asyncio.get_running_loop().time() + COALESCE
        if self._polled_at is not None:
            subscriber.due_at = max(subscriber.due_at, self._polled_at + subscriber.schedule.interval)
        self._subscribers.add(subscriber)

    def request_poll(self, subscriber: Subscriber) -> None:
        """Let a subscriber take part in the next poll; start polling where nobody has yet."""
        subscriber.is_waiting = True
        self._changed.set()
        if self._error is not None:
            subscriber.deliver(self._error)
        elif self._task is None:
            # In an empty context: the first subscriber's holds the log of its task, which ends before the poller does.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name=f"capillary poller {self._conn_id}", context=contextvars.Context()
            )

    async def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; end a poll that is under way, and the poller, where it was the last one."""
        self._subscribers.discard(subscriber)
        if self._subscribers:
            return
        self._unregister()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def _waiting(self) -> list[Subscriber]:
        return [subscriber for subscriber in self._subscribers if subscriber.is_waiting]

    def _unregister(self) -> None:
        if self._pollers.get(self._conn_id) is self:
            del self._pollers[self._conn_id]

    async def _run(self) -> None:
        error = CapillaryError(f"Polling of connection {self._conn_id!r} was stopped", hint="retry")
        error.retryable = True
        try:
            async with CapillaryAsyncHook(self._conn_id) as hook:
                while True:
                    await self._wait_until_due()
                    await self._poll_all(hook)
        except CapillaryError as fatal:
            error = fatal
            logger.warning("Polling of connection %s ended. %s", self._conn_id, fatal)
            await self._count(fatal)
        except Exception as unknown:  # noqa: BLE001  # whatever it is, each subscriber has to be told
            # Another library wrote the error's text, which may hold a secret.
            error = CapillaryError(f"Polling of connection {self._conn_id!r} ended with {type(unknown).__name__}", hint="retry")
            error.retryable = True
            logger.error("Polling of connection %s ended with %s", self._conn_id, type(unknown).__name__)  # noqa: TRY400  # as above
            await self._count(unknown)
        finally:
            self._unregister()
            self._error = error
            for subscriber in self._waiting:
                subscriber.deliver(error)

    async def _wait_until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # Nobody waits while every subscriber deals with what it found.
            due_at = min((subscriber.due_at for subscriber in self._waiting), default=None)
            seconds = None if due_at is None else due_at - loop.time()
            if seconds is not None and seconds <= 0:
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    async def _poll_all(self, hook: CapillaryAsyncHook) -> None:
        self._polled_at = asyncio.get_running_loop().time()
        try:
            for group in _groups(self._waiting):
                await self._poll_group(hook, group)
        except CapillaryError as error:
            if not error.retryable:
                raise
            self._failures += 1
            self._postpone(error)
            await self._count(error)
        else:
            if self._failures:
                self._warn(f"Connection {self._conn_id}: the API answers again, after {self._failures} failed polls")
            self._failures = 0

    async def _count(self, error: Exception) -> None:
        """Count a failed poll in Airflow's metrics; in a thread, because a metrics client may block."""
        await asyncio.to_thread(count_failed_poll, error, conn_id=self._conn_id)

    async def _poll_group(self, hook: CapillaryAsyncHook, group: list[Subscriber]) -> None:
        states = await _poll_together(hook, [subscriber.state for subscriber in group])
        now = asyncio.get_running_loop().time()
        for subscriber, state in zip(group, states, strict=True):
            subscriber.has_polled = True
            subscriber.schedule.slow_down()
            subscriber.due_at = max((self._polled_at or now) + subscriber.schedule.interval, now + SHORTEST_INTERVAL)
            subscriber.deliver(state)

    def _postpone(self, error: CapillaryError) -> None:
        shortest = min((subscriber.schedule.interval for subscriber in self._waiting), default=LONGEST_PAUSE)
        pause = Backoff(first=shortest, longest=max(shortest, LONGEST_PAUSE)).delay(self._failures)
        pause = max(pause, error.retry_after or 0.0)
        due_at = asyncio.get_running_loop().time() + pause
        for subscriber in self._waiting:
            subscriber.due_at = due_at
        if self._failures % WARN_EVERY == 1:
            self._warn(f"Connection {self._conn_id}: a poll failed; the next one is in {pause:.0f} s. {error}")

    def _warn(self, text: str) -> None:
        logger.warning("%s", text)
        for subscriber in self._waiting:
            subscriber.deliver(text)


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedPoller]] = weakref.WeakKeyDictionary()


def _poller_for(conn_id: str) -> SharedPoller:
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in pollers:
        pollers[conn_id] = SharedPoller(conn_id, pollers)
    return pollers[conn_id]


def _groups(subscribers: list[Subscriber]) -> list[list[Subscriber]]:
    """The subscribers that one read serves: all of them, except new ones that are far behind, which share a second read."""
    starts = [subscriber.state.watermark.lookback_start for subscriber in subscribers if subscriber.has_polled]
    earliest = min(starts, default=0) - CATCH_UP_GAP
    behind = [
        subscriber
        for subscriber in subscribers
        if starts and not subscriber.has_polled and subscriber.state.watermark.lookback_start < earliest
    ]
    others = [subscriber for subscriber in subscribers if subscriber not in set(behind)]
    return [group for group in (others, behind) if group]


async def _poll_together(hook: CapillaryAsyncHook, states: list[PollState]) -> list[PollState]:
    """Poll once for all these states, with the repeats that :mod:`~airflow_provider_capillary.polling.failed_poll` allows."""
    repeats = 0
    while True:
        try:
            return await _poll_once(hook, states)
        except CapillaryError as error:
            match failed_poll.next_step(error, repeats):
                case NextStep.RAISE:
                    raise
                case NextStep.RECALIBRATE:
                    hook.recalibrate()
        repeats += 1
        await asyncio.sleep(failed_poll.REPEAT_DELAY)


async def _poll_once(hook: CapillaryAsyncHook, states: list[PollState]) -> list[PollState]:
    now = int(time.time() * 1000)
    polls = [state.poll(now) for state in states]
    polls_by_filter: dict[EventFilter, list[Poll]] = {}
    for state, poll in zip(states, polls, strict=True):
        polls_by_filter.setdefault(state.event_filter, []).append(poll)
    windows = [poll.window for poll in polls]
    async for records in hook.read(min(start for start, _ in windows), max(end for _, end in windows)):
        # In a thread: a page of records for a thousand subscribers takes longer than an event loop may be blocked.
        await asyncio.to_thread(_add_records, records, polls_by_filter)
    return await asyncio.to_thread(lambda: [poll.finish() for poll in polls])


def _add_records(records: Iterable[Record], polls_by_filter: Mapping[EventFilter, list[Poll]]) -> None:
    events = [EventRef.of(record) for record in records]
    newest = max((event.timestamp for event in events), default=0)
    for event_filter, polls in polls_by_filter.items():
        matching = event_filter.select(events)
        for poll in polls:
            poll.add(matching, newest=newest)
