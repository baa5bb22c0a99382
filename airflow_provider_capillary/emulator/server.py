"""The emulator over HTTP/1.1, with keep-alive, on the standard library's threading server.

Documented: the two paths, their methods, the credentials and the envelope. Options and faults are decided in :mod:`.fake_api`,
:mod:`.auth` and :mod:`.faults`; this module puts the decision on a socket.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_capillary.emulator.fake_api import FakeApi, refusal
from airflow_provider_capillary.emulator.faults import ChooseFault, FaultSettings, ResponseBytes, apply_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_capillary.emulator.auth import Authenticator
    from airflow_provider_capillary.emulator.fake_api import FakeResponse

__all__ = ["LOGS_PATH", "REQUEST_ID_HEADER", "TOKEN_PATH", "ApiServer", "ReceivedRequest", "Service"]

LOGS_PATH: Final = "/v2/events/logs"
TOKEN_PATH: Final = "/v3/oauth/token/generate"  # noqa: S105  # a path
REQUEST_ID_HEADER: Final = "X-Cap-RequestID"

_DRIPS: Final = 20
_PIECE: Final = 256 * 1024
_LARGEST_POST: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: the close sends RST in place of FIN
_GZIP_LEVEL: Final = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """One request that the emulator received. It holds no header and no body, so nothing secret.

    :param number: counted from 1 over all requests.
    :param params: of the query, as sent.
    :param status: of the response; None where no whole status line was sent.
    :param fault: the name of the fault of this request, or None.
    :param request_id: the response's ``X-Cap-RequestID``.
    """

    number: int
    method: str
    path: str
    params: Mapping[str, str]
    status: int | None
    fault: str | None
    request_id: str


@dataclass(kw_only=True)
class Service:
    """Decides how each request is answered: credentials, records, faults.

    :param choose_fault: chooses a fault for each request for event logs; ``choose_token_fault``: for each request for a token.
        Each gets its own count of requests, from 1.
    """

    fake_api: FakeApi
    authenticator: Authenticator
    choose_fault: ChooseFault
    choose_token_fault: ChooseFault
    settings: FaultSettings = field(default_factory=FaultSettings)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {LOGS_PATH: 0, TOKEN_PATH: 0}
        self._arrived = 0
        self._requests: list[ReceivedRequest] = []

    @property
    def requests(self) -> list[ReceivedRequest]:
        """A copy of the requests so far, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    def handle(self, method: str, target: str, header: Callable[[str], str | None], body: bytes) -> ResponseBytes:
        """Decide about one request, record it, and return the response to send.

        :param header: looks up a header of the request by name, in any case.
        """
        parts = urlsplit(target)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        known = (method, parts.path) in {("GET", LOGS_PATH), ("POST", TOKEN_PATH)}
        with self._lock:
            self._arrived += 1
            arrived = self._arrived
            if known:
                self._counts[parts.path] += 1
            number = self._counts.get(parts.path, 0)
        fault = None
        if known:
            fault = (self.choose_fault if parts.path == LOGS_PATH else self.choose_token_fault)(number, params)
        response = apply_fault(fault, self._answer(known, parts.path, params, header, body), self.settings, now=self.clock())
        response = self._finished(response, arrived, accepts_gzip="gzip" in (header("Accept-Encoding") or ""))
        is_unanswered = response.transport in {"hang", "reset_before_headers"}
        received = ReceivedRequest(
            number=arrived,
            method=method,
            path=parts.path,
            params=params,
            status=None if is_unanswered else response.status,
            fault=fault,
            request_id=response.headers[REQUEST_ID_HEADER],
        )
        with self._lock:
            self._requests.append(received)
        return response

    def _answer(self, known: bool, path: str, params: Mapping[str, str], header: Callable[[str], str | None], body: bytes) -> FakeResponse:  # noqa: FBT001  # as the caller has it
        if not known:
            return refusal(404, "Incorrect resource")
        if path == TOKEN_PATH:
            return self.authenticator.issue(body)
        return self.authenticator.check(header) or self.fake_api.respond(params)

    def _finished(self, response: ResponseBytes, arrived: int, *, accepts_gzip: bool) -> ResponseBytes:
        headers = {**response.headers, REQUEST_ID_HEADER: f"emulator-{arrived:06d}"}
        body = response.body
        if accepts_gzip and response.compressible and body:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if response.announced:
            headers["Content-Length"] = str(max(0, len(body) + response.padding + response.length_error))
        if response.length_error or not response.announced:
            # After a wrong length the connection can't be used again. Without this header, a client might still send its next
            # request on it, and lose it.
            headers["Connection"] = "close"
        return replace(response, body=body, headers=headers, compressible=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "CapillaryEmulator"
    disable_nagle_algorithm = True
    server: ApiServer

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST_POST:
            self.send_error(411 if not length else 413)
            return
        self._serve(self.rfile.read(int(length)))

    def _serve(self, body: bytes) -> None:
        response = self.server.service.handle(self.command, self.path, self.headers.get, body)
        if response.transport == "hang":
            self.server.stopping.wait(self.server.service.settings.hang_seconds)
            self.close_connection = True
            return
        if response.transport == "reset_before_headers":
            self._reset()
            return
        if response.transport == "reset_in_headers":
            head = f"HTTP/1.1 {response.status} OK\r\n{REQUEST_ID_HEADER}: {response.headers[REQUEST_ID_HEADER]}\r\nContent-Le"
            self.wfile.write(head.encode())
            self._reset()
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if response.transport == "reset_in_body":
            self.wfile.write(response.body[: len(response.body) // 2])
            self._reset()
        elif response.transport == "drip":
            self._drip(response.body)
        elif response.padding:
            self._pad(response)
        else:
            self.wfile.write(response.body)

    def _pad(self, response: ResponseBytes) -> None:
        self.wfile.write(response.body[:-2])
        left = response.padding
        while left and not self.server.stopping.is_set():
            left -= self.wfile.write(b"x" * min(left, _PIECE))
        self.close_connection = self.close_connection or left > 0
        self.wfile.write(response.body[-2:])

    def _drip(self, body: bytes) -> None:
        size = max(1, -(-len(body) // _DRIPS))
        drips = range(0, len(body), size)
        for begin in drips:
            if self.server.stopping.wait(self.server.service.settings.drip_seconds / len(drips)):
                self.close_connection = True
                return
            self.wfile.write(body[begin : begin + size])

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.server.to_reset.add(self.connection)
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del size
        logger.info("%s %s: %s", self.command, self.path, int(code) if isinstance(code, int) else code)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the standard library uses
        logger.debug(format, *args)


class ApiServer(ThreadingHTTPServer):
    """One thread per connection. Stopping the server ends hanging answers and open connections at once."""

    daemon_threads = True
    # The threads are daemons, which the standard library does not join; end() does.
    block_on_close = False
    request_queue_size = 64
    timeout = 1.0
    """Seconds after which a stop takes effect where the connection that end() makes fails."""

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        self.stopping = threading.Event()
        self.to_reset: set[Any] = set()
        self._open: dict[Any, threading.Thread] = {}
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse lookup of the host's name, which can take seconds."""
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as in the standard library
        """Serve one connection in a thread of its own."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._open_lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # as in the standard library
        """Close one connection, by RST where its fault is a reset."""
        with self._open_lock:
            self._open.pop(request, None)
        if request in self.to_reset:
            self.to_reset.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as in the standard library
        """Log an error of a connection's thread. A client that closes its connection early is no error."""
        del request
        error = sys.exc_info()[1]
        if isinstance(error, ConnectionError | TimeoutError):
            logger.debug("The connection from %s ended early.", client_address)
        else:
            # The traceback holds lines of code and no values, so nothing from a body.
            logger.error("Serving %s failed.", client_address, exc_info=error)

    def serve(self) -> None:
        """Accept connections until :meth:`end` is called."""
        while not self.stopping.is_set():
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401  # as in the standard library
        """Refuse connections while the server stops."""
        del request, client_address
        return not self.stopping.is_set()

    def end(self, serving: threading.Thread) -> None:
        """Stop listening, end hanging answers, close connections, and wait for their threads.

        :param serving: the thread that is in :meth:`serve`.
        """
        self.stopping.set()
        # A connection wakes the serving thread at once; otherwise it would wake after `timeout`.
        with contextlib.suppress(OSError):
            socket.create_connection(self.socket.getsockname()[:2], timeout=1).close()
        serving.join(timeout=5)
        self.server_close()
        with self._open_lock:
            open_now = list(self._open.items())
        for connection, thread in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
