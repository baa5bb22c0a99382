"""The one TCP connection under a session, held so that a blocked read on it can be ended from outside.

Nothing in ``requests`` ends a read that is under way: its timeouts are per packet, so a server that sends a byte in time now and
then is read for ever, and a task that is killed goes on waiting.
"""

# ruff: noqa: TID253  # imported by functions only, never while a DAG file is parsed

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3.poolmanager import PoolManager

__all__ = ["InterruptibleAdapter", "Line"]


class Line:
    """A second handle on the connection that is open now.

    A handle of its own, because the first one changes hands: TLS takes it over before it shakes hands, and an answer that ends with its
    connection keeps it after the connection object has let go of it.

    :param is_over: whether a connection that opens now is to be cut at once: a cut must not be lost because it came too early.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._handle: socket.socket | None = None
        self._in_use = False
        self._is_closed = False

    def opened(self, connection: socket.socket) -> None:
        """Hold this connection in place of the one before."""
        self._let_go()
        self._handle, self._is_closed = connection.dup(), False
        if self._is_over():
            self.cut()

    def closed(self) -> None:
        """Let go of the connection, once the answer that is being read over it has ended."""
        self._is_closed = True
        if not self._in_use:
            self._let_go()

    def cut(self) -> None:
        """End every read and write on the connection; from any thread, and from a signal handler."""
        handle = self._handle
        if handle is not None:
            try:
                handle.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself

    def __enter__(self) -> None:
        self._in_use = True

    def __exit__(self, *_: object) -> None:
        self._in_use = False
        if self._is_closed:
            self._let_go()

    def _let_go(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()


class InterruptibleAdapter(HTTPAdapter):
    """Keeps one connection alive, and its line informed. It retries nothing by itself."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As in requests, with connections that are watched."""
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager, self._line)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> PoolManager:
        """As in requests, with connections that are watched."""
        is_new = proxy not in self.proxy_manager
        manager: PoolManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if is_new:
            _watch(manager, self._line)
        return manager


def _watch(manager: PoolManager, line: Line) -> None:
    """Let the manager open connections of its own kinds, watched: those of a SOCKS proxy are not those of an HTTP proxy."""
    # urllib3's types promise nothing of what a pool's connections are made from.
    manager.pool_classes_by_scheme = {scheme: _watched(pool, line) for scheme, pool in manager.pool_classes_by_scheme.items()}


def _watched(pool: Any, line: Line) -> Any:  # noqa: ANN401  # classes that are made here
    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # whatever the pool's is
        def _new_conn(self) -> socket.socket:
            connection: socket.socket = super()._new_conn()
            line.opened(connection)
            return connection

        def close(self) -> None:
            line.closed()
            super().close()

    class Pool(pool):  # type: ignore[misc]  # whatever the manager's is
        ConnectionCls = Connection

    return Pool
