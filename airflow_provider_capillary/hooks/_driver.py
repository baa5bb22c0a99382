"""Carries out the effects of flows, with ``requests`` and ``time.sleep``; the base of both hooks."""

from __future__ import annotations

import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from airflow_provider_capillary.api.effects import HoldTurns, Join, MaskSecret, ReadClock, Records, Send, Sleep, Start, TakeTurn
from airflow_provider_capillary.errors import ReadingStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from airflow_provider_capillary.api.effects import Effect, Flow, Outcome
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.connection.settings import Settings
    from airflow_provider_capillary.hooks._lanes import LanePool
    from airflow_provider_capillary.hooks._progress import Progress
    from airflow_provider_capillary.hooks._session import ApiSession
    from airflow_provider_capillary.hooks._turns import Turns

__all__ = ["FlowDriver", "conceal"]

T = TypeVar("T")

SLICE = 0.5
"""Seconds. A pause is slept in parts of this length, so that a killed task does not sleep on."""


class FlowDriver:
    """Runs one flow, and beside it those that it starts, each in a thread and with an HTTP session of its own."""

    _stopped = False

    @cached_property
    def settings(self) -> Settings:
        """The connection, checked."""
        raise NotImplementedError

    def stop(self) -> None:
        """End a reading that is under way, which then raises ``ReadingStoppedError``; from a signal handler or another thread."""
        self._stopped = True
        if "_session" in self.__dict__:
            self._session.interrupt()
        for lanes in tuple(self._pools):
            lanes.interrupt()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    @cached_property
    def _session(self) -> ApiSession:
        return self._make_session(lambda: False)

    def _make_session(self, is_closed: Callable[[], bool]) -> ApiSession:
        from airflow_provider_capillary.hooks._session import ApiSession

        return ApiSession(self.settings, is_stopped=lambda: self._stopped or is_closed())

    @cached_property
    def _turns(self) -> Turns:
        from airflow_provider_capillary.hooks._turns import Turns

        return Turns(self.settings)

    @cached_property
    def _pools(self) -> list[LanePool]:
        return []

    @cached_property
    def _deciding(self) -> threading.Lock:
        """Held while a flow decides: flows share what they know of the API, and change it between two effects only."""
        return threading.Lock()

    def _run(self, steps: Flow[T]) -> T:
        """Carry out the effects of a flow that yields no records; return its result."""
        driving = self._drive(steps)
        while True:
            try:
                next(driving)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]  # of a type that is known at run time only

    def _drive(self, steps: Flow[T], progress: Progress | None = None) -> Generator[EventLogs, None, T]:
        """Carry out the effects of a flow, with ``requests`` and ``time.sleep``; yield its records and return its result."""
        from airflow_provider_capillary.hooks._lanes import outcome_of

        lanes = self._make_lanes(conceal, progress)
        outcome: Outcome = None
        try:
            while True:
                try:
                    effect = self._next_effect(steps, outcome, self._session)
                except StopIteration as ended:
                    return ended.value  # type: ignore[no-any-return]  # of a type that is known at run time only
                outcome = None
                match effect:
                    case Records():
                        if progress is not None:
                            progress.found(effect.records, share=effect.share)
                        yield effect.records
                    case MaskSecret():
                        conceal(effect.value)
                    case Start():
                        outcome = lanes.start(effect.flow)
                    case Join():
                        outcome = outcome_of(effect.started)
                    case _:
                        outcome = self._perform(effect, self._session, progress)
        finally:
            self._close_lanes(lanes)

    def _next_effect(self, steps: Flow[Any], outcome: Outcome, session: ApiSession) -> Effect:
        """Let a flow decide, while no other one does.

        :raises StopIteration: the flow has ended.
        """
        _check_stopped(session)
        with self._deciding:
            return steps.send(outcome)

    def _perform(
        self, effect: Send | Sleep | ReadClock | TakeTurn | HoldTurns, session: ApiSession, progress: Progress | None = None
    ) -> Outcome:
        """Carry out an effect in any thread, with a session that no other thread uses meanwhile."""
        match effect:
            case Send():
                outcome = session.send(effect)
                _check_stopped(session)
                return outcome
            case Sleep():
                self._wait(effect, session, progress)
            case ReadClock():
                return time.monotonic()
            case TakeTurn():
                return self._turns.take(time.monotonic())
            case HoldTurns():
                self._turns.hold(time.monotonic(), effect.seconds)
            case _:
                assert_never(effect)
        return None

    def _make_lanes(self, conceal: Callable[[str], None], progress: Progress | None = None) -> LanePool:
        """Lanes that :meth:`stop` stops, too; :meth:`_close_lanes` leaves nothing of them."""
        from airflow_provider_capillary.hooks._lanes import LanePool

        def perform(effect: Any, session: ApiSession) -> Outcome:  # noqa: ANN401  # any effect of a lane
            if isinstance(effect, MaskSecret):
                conceal(effect.value)
                return None
            return self._perform(effect, session, progress)

        lanes = LanePool(advance=self._next_effect, perform=perform, make_session=self._make_session)
        self._pools.append(lanes)
        return lanes

    def _close_lanes(self, lanes: LanePool) -> None:
        lanes.close()
        self._pools.remove(lanes)

    def _wait(self, pause: Sleep, session: ApiSession, progress: Progress | None) -> None:
        if progress is not None:
            progress.waits(pause.seconds, pause.reason)
        seconds = pause.seconds
        while seconds > 0 and not session.is_stopped():
            time.sleep(min(seconds, SLICE))
            seconds -= SLICE


def _check_stopped(session: ApiSession) -> None:
    if session.is_stopped():
        raise ReadingStoppedError("The task was stopped while it read event logs", hint="run it again; nothing was published")


def conceal(secret: str) -> None:
    from airflow.providers.common.compat.sdk import mask_secret

    mask_secret(secret)
