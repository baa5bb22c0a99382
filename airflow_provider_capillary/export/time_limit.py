"""A limit to how long a store is waited for, and a warning while it is.

The clients of the stores try again by themselves, each try with a time-out of its own: a server that accepts connections and says nothing
kept a task for nine minutes, without a line in its log. No client has a limit to the whole, so it is set here, from outside: the call runs
in a thread, and who waits for it leaves when the time is over.

What is left behind is a thread that waits. It ends with the process, or before, as soon as the store shows any sign of life.
"""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from airflow_provider_capillary.errors import PublishError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

__all__ = ["ANSWER_LIMIT", "StoreHangsError", "run_limited", "upload_limit"]

ANSWER_LIMIT: Final = 180.0
"""Seconds without a sign of life after which a store is given up: three of the 60 seconds that boto3 waits for an answer. A store that
throttles is waited for less long by its client."""

_WARN_EVERY: Final = 30.0

_SLOWEST: Final = 64 * 1024
"""Bytes a second. A network that uploads less is taken for one that hangs."""

_Result = TypeVar("_Result")


class StoreHangsError(PublishError):
    """The store accepts what it is asked, or the connection at least, and does not answer."""


class _AbandonedError(Exception):
    """Ends a call that nobody waits for any more; seen by nobody."""


def upload_limit(piece: int) -> float:
    """Seconds to wait for a sign of life while a piece is uploaded.

    :param piece: bytes that travel between two signs of life, at most.
    """
    return ANSWER_LIMIT + piece / _SLOWEST


def run_limited(
    call: Callable[[Callable[[], None]], _Result], *, doing: str, log: logging.Logger, limit: float | None = None, hint: str
) -> _Result:
    """Make a blocking call, and warn every 30 seconds for which nothing is heard.

    :param call: is given a function to call at each sign of life, from which the limit counts anew. Where nobody waits any more, that
        function raises.
    :param doing: what is done meanwhile, for log and error, as in ``writing s3://bucket/x.jsonl``.
    :param limit: seconds without a sign of life; :data:`ANSWER_LIMIT` where left out.
    :return: what it returns.
    :raises StoreHangsError: nothing was heard for so long. What was asked for may yet happen.
    :raises Exception: whatever the call raises.
    """
    limit = ANSWER_LIMIT if limit is None else limit
    running = _Running(call)
    # A daemon, so that a process which has given up can end.
    threading.Thread(target=running.run, name="capillary-store", daemon=True).start()
    next_warning = _WARN_EVERY
    try:
        while True:
            silent = running.silent
            # A signal, such as the one that ends a task, is handled while this waits.
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
    """One call in its thread."""

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
        except BaseException as error:  # noqa: BLE001  # raised again where the call is waited for
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
