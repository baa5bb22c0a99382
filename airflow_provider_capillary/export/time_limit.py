"""A time limit for calls of a store, and a warning while a call is waiting.

The stores' clients retry by themselves, each try with its own time-out: a server that accepted connections and sent nothing once kept a
task for nine minutes, without a line in its log. No client has a limit for all tries together, so this module sets one from outside: the
call runs in a thread, and the caller stops waiting when the time is over.

The thread stays behind. It ends with the process, or as soon as the store sends anything.
"""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from airflow_provider_capillary.errors import PublishError, ReadingStoppedError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

__all__ = ["ANSWER_LIMIT", "StoreHangsError", "run_limited", "sleep_while", "upload_limit"]

ANSWER_LIMIT: Final = 180.0
"""Seconds without a sign of life after which a store is given up: three times the 60 seconds that boto3 waits for an answer. The clients
give up a store that throttles before that."""

_WARN_EVERY: Final = 30.0

_SLICE: Final = 0.5
"""Seconds between two checks whether the task was killed."""

_SLOWEST: Final = 64 * 1024
"""Bytes a second. A slower upload counts as hanging."""

_Result = TypeVar("_Result")


class StoreHangsError(PublishError):
    """The store accepted the request, or at least the connection, and did not answer."""


class _AbandonedError(Exception):
    """Ends a call for which nobody waits any more; nobody catches it."""


def sleep_while(left: Callable[[], float], *, killed: Callable[[], bool], doing: str) -> None:
    """Sleep, and end early where the task is killed.

    :param left: how many seconds are left; asked again and again, until there are none.
    :param doing: when that is, for the error, as in ``while it waited``.
    :raises ReadingStoppedError: the task was killed.
    """
    while (seconds := left()) > 0:
        if killed():
            raise ReadingStoppedError(f"The task was stopped {doing}", hint="run it again")
        time.sleep(min(seconds, _SLICE))


def upload_limit(piece: int) -> float:
    """Seconds to wait for a sign of life during an upload.

    :param piece: the most bytes that travel between two signs of life.
    """
    return ANSWER_LIMIT + piece / _SLOWEST


def run_limited(
    call: Callable[[Callable[[], None]], _Result], *, doing: str, log: logging.Logger, limit: float | None = None, hint: str
) -> _Result:
    """Make a blocking call, and warn after every 30 seconds without a sign of life.

    :param call: gets a function to call at each sign of life, which restarts the limit. Once nobody waits any more, that function raises.
    :param doing: what the call does, for log and error, as in ``writing s3://bucket/x.jsonl``.
    :param limit: seconds without a sign of life; :data:`ANSWER_LIMIT` where left out.
    :return: what the call returns.
    :raises StoreHangsError: there was no sign of life for that long. The store may still do what was requested.
    :raises Exception: whatever the call raises.
    """
    limit = ANSWER_LIMIT if limit is None else limit
    running = _Running(call)
    # A daemon, so that the process can end after giving up.
    threading.Thread(target=running.run, name="capillary-store", daemon=True).start()
    next_warning = _WARN_EVERY
    try:
        while True:
            silent = running.silent
            # Python handles a signal, such as the one that ends a task, during this wait.
            if running.done.wait(max(0.01, min(next_warning, limit) - silent)):
                return running.result()
            silent = running.silent
            if silent >= limit:
                raise StoreHangsError(f"The store has not answered for {silent:.0f} s while {doing}", hint=hint)
            if silent < next_warning - _WARN_EVERY:
                next_warning = _WARN_EVERY
            elif silent >= next_warning:
                log.warning("The store has not answered for %.0f s, and is given up at %.0f s: %s", silent, limit, doing)
                next_warning += _WARN_EVERY
    finally:
        running.abandoned = True


class _Running(Generic[_Result]):
    """A call in its own thread."""

    def __init__(self, call: Callable[[Callable[[], None]], _Result]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._heard = time.monotonic()
        self._outcome: list[_Result] = []
        self._error: BaseException | None = None
        self.abandoned = False
        self.done = threading.Event()

    @property
    def silent(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._heard

    def run(self) -> None:
        try:
            self._outcome.append(self._context.run(self._call, self._is_alive))
        except BaseException as error:  # noqa: BLE001  # `result` raises it again
            self._error = error
        self.done.set()

    def result(self) -> _Result:
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def _is_alive(self) -> None:
        if self.abandoned:
            raise _AbandonedError
        self._heard = time.monotonic()
