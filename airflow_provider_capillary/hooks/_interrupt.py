"""How a request that is under way is ended from outside, and after which time.

Nothing in ``requests`` ends a read: its timeouts are per packet, so it reads for ever from a server that sends a byte now and then, and
a killed task goes on waiting. Here the connection is shut down, which ends a read at once, whether it waits for a TLS handshake, for
headers or for a body, direct or through a proxy.

This module alone relies on how the libraries work inside: an ``HTTPConnection`` keeps its socket in the attribute ``sock``, and the plain
socket stands there before TLS begins. ``tests/hooks/test_interrupt.py`` fails with one sentence where a release changes that.
Everything else is documented: requests lets adapters override ``get_connection_with_tls_context``, and urllib3 lets a pool name its
``ConnectionCls``.

Without that attribute, a read can't be ended: ``http.client`` refuses to go on reading after a short timeout, and a thread that is given
up on reads for as long as the server likes.
"""

# ruff: noqa: TID253  # imported by functions only, never while a DAG file is parsed

from __future__ import annotations

import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest
    from urllib3 import HTTPConnectionPool

__all__ = ["ConnectionHandle", "InterruptibleAdapter", "TimeLimit"]


class ConnectionHandle:
    """A second handle on the one open connection of a session.

    The first handle changes hands: TLS takes the socket over before its handshake, and a body that ends with its connection keeps the
    socket after the connection has let go of it.

    :param is_over: whether to shut down a connection that opens now: an interruption must not be lost because it came too early.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._handle: socket.socket | None = None
        self._is_closed = False

    def follow(self, opened: socket.socket | None) -> None:
        """Hold this socket in place of the one before; ``None`` says that the connection has closed its own."""
        self._is_closed = opened is None
        if opened is not None:
            self.release()
            self._handle = socket.socket(fileno=os.dup(opened.fileno()))
            if self._is_over():
                self.shut_down()

    def shut_down(self) -> None:
        """End every read and write on the connection; from any thread, and from a signal handler."""
        handle = self._handle
        if handle is not None:
            try:
                handle.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the connection has ended by itself

    def release_if_closed(self) -> None:
        """Let go of a connection that has closed its socket, once its last response has been read."""
        if self._is_closed:
            self.release()

    def release(self) -> None:
        """Let go of the connection, which may stay open."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()


class InterruptibleAdapter(HTTPAdapter):
    """Keeps one connection to one host alive, and ``handle`` on it. It retries nothing by itself."""

    def __init__(self, handle: ConnectionHandle) -> None:
        self._connection_handle = handle
        super().__init__(pool_connections=1, pool_maxsize=1)

    def get_connection_with_tls_context(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """As in requests, from a pool whose connections ``handle`` follows."""
        pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
        if not hasattr(pool.ConnectionCls, "connection_handle"):
            # The class of a SOCKS proxy is not that of an HTTP proxy, so each pool's own is extended.
            pool.ConnectionCls = _followed(pool.ConnectionCls, self._connection_handle)
        return pool  # type: ignore[no-any-return]  # of a type that is known at run time only


def _followed(connection_class: Any, handle: ConnectionHandle) -> Any:  # noqa: ANN401  # a class that is made here
    class Connection(connection_class):  # type: ignore[misc]  # whatever the pool's is
        connection_handle = handle

        @property
        def sock(self) -> socket.socket | None:
            return self.__dict__.get("sock")

        @sock.setter
        def sock(self, opened: socket.socket | None) -> None:
            self.__dict__["sock"] = opened
            handle.follow(opened)

    return Connection


class TimeLimit:
    """Calls ``expired`` when a time limit passes.

    One thread serves all requests of a session and ends when none has been under way for a moment: a ``threading.Timer`` for each
    request costs a tenth of a small page.

    :param expired: called in that thread; must not block.
    :param shortest: seconds; no limit is set that is shorter.
    """

    def __init__(self, expired: Callable[[], None], *, shortest: float) -> None:
        self._expired = expired
        # The thread never sleeps past a limit that is set meanwhile.
        self._longest_sleep = min(shortest, 1.0)
        self._lock = threading.Lock()
        self._due = math.inf
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """Set the limit to so many seconds from now, in place of the one before."""
        with self._lock:
            self._due = time.monotonic() + seconds
            # Not alive: a process that was forked from this one has the object and not the thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._wait, name="capillary-time-limit", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Set no limit. ``expired`` is not called after this has returned."""
        with self._lock:
            self._due = math.inf

    def _wait(self) -> None:
        while (seconds := self._next_sleep()) is not None:
            time.sleep(seconds)

    def _next_sleep(self) -> float | None:
        with self._lock:
            left = self._due - time.monotonic()
            if left == math.inf:
                self._thread = None
                return None
            if left > 0:
                return min(left, self._longest_sleep)
            self._due = math.inf
            self._expired()
            return self._longest_sleep
