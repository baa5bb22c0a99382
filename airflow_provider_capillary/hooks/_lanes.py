"""Threads in which the flows that a reading has started run side by side, each with an HTTP session of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.api.budget import MOST_LANES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_capillary.api.effects import Effect, Flow, Outcome
    from airflow_provider_capillary.hooks._session import ApiSession

__all__ = ["LanePool", "outcome_of"]


class LanePool:
    """Carries out started flows. No thread and no session before the first flow; none is left after :meth:`close`.

    :param advance: sends an outcome to a flow and returns its next effect, while no other flow decides; raises what ends the flow.
    :param perform: carries out an effect, with a session that no other thread uses meanwhile.
    :param make_session: makes a session; its argument says whether the pool was closed.
    """

    def __init__(
        self,
        *,
        advance: Callable[[Flow[Any], Outcome, ApiSession], Effect],
        perform: Callable[[Any, ApiSession], Outcome],
        make_session: Callable[[Callable[[], bool]], ApiSession],
    ) -> None:
        self._advance = advance
        self._perform = perform
        self._make_session = make_session
        self._threads: ThreadPoolExecutor | None = None
        self._sessions: list[ApiSession] = []
        self._idle: list[ApiSession] = []
        self._is_closed = False

    def start(self, flow: Flow[Any]) -> Future[Any]:
        """Begin a flow in a thread."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(MOST_LANES, thread_name_prefix="capillary-lane")
        return self._threads.submit(self._work, flow)

    def interrupt(self) -> None:
        """End every request that is under way; from any thread, and from a signal handler."""
        for session in tuple(self._sessions):
            session.interrupt()

    def close(self) -> None:
        """End every flow, wait for the threads, and close the sessions. An attempt to connect ends with its own timeout."""
        self._is_closed = True
        self.interrupt()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _work(self, flow: Flow[Any]) -> Any:  # noqa: ANN401  # whatever the flow returns
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._make_session(lambda: self._is_closed)
            self._sessions.append(session)
        outcome: Outcome = None
        try:
            while True:
                effect = self._advance(flow, outcome, session)
                outcome = self._perform(effect, session)
        except StopIteration as ended:
            return ended.value
        finally:
            self._idle.append(session)


def outcome_of(started: Any) -> object:  # noqa: ANN401  # what a pool's ``start`` has returned
    """What the flow returned, or the exception that it raised; waits for it.

    :raises BaseException: what is no error of the flow: the end of the process.
    """
    ended: Future[Any] = started
    error = ended.exception()
    if error is None:
        return ended.result()
    if isinstance(error, Exception):
        return error
    raise error
