"""A hook against servers on loopback: a clock that only waiting moves, raw servers, and a judge of errors."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from airflow_provider_capillary.errors import CapillaryError, ReadingStoppedError
from airflow_provider_capillary.hooks.capillary import CapillaryHook

CONN = "AIRFLOW_CONN_CAPILLARY_DEFAULT"
START, END = "2025-09-01T00:00:00Z", "2025-10-01T00:00:00Z"
BODY_CANARY = "canary-of-a-body"
PASSWORD = "server123"
MD5 = "8a16a6b70505eb1f1ff7cdc0cd5559a7"
BASIC = "c3RvcmUuc2VydmVyOjhhMTZhNmI3MDUwNWViMWYxZmY3Y2RjMGNkNTU1OWE3"
UNPACED = {"requests_per_minute": 60_000}
"""So that no test waits for the budget that does not mean to."""
SECRETS = (PASSWORD, MD5, BASIC, "emulator-secret", "emulator-token", BODY_CANARY, "inputRequest", "customer-0", "@example.invalid")


class Clock:
    """Stands in for ``time`` in the driver: sleeping takes no time and is noted."""

    def __init__(self):
        self.now, self.slept = 1_000_000.0, []

    def monotonic(self):
        return self.now

    def time(self):
        return 1_760_000_000.0

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class End:
    """How a reading ended."""

    ids: list = field(default_factory=list)
    error: CapillaryError | None = None


def hook_of(monkeypatch, connection, **extras):
    """A hook on this connection, JSON or an emulator."""
    monkeypatch.setenv(CONN, connection if isinstance(connection, str) else connection.connection_json(**UNPACED | extras))
    return CapillaryHook()


def connection(url, **extras):
    return json.dumps({"conn_type": "capillary", "host": url, "login": "store.server", "password": MD5, "extra": UNPACED | extras})


def read(hook, start=START, end=END, **options):
    """Read to the end. An exception that is not of this package is a failure of the test."""
    made = End()
    try:
        for record in hook.iter_event_logs(start, end, **options):
            made.ids.append(record["id"])
    except CapillaryError as error:
        made.error = error
    return made


def truth(api, low=1756684800000, high=1759276800000):
    return Counter(record["id"] for record in api.records if low <= record["startTime"] < high)


def check_whole(end, api):
    assert end.error is None, end.error
    assert Counter(end.ids) == truth(api)


def check_error(error, kind, *, response=None, request_id=True):
    """An error of exactly this class, with every field filled, and nothing secret in any of them or in what hangs on it."""
    assert type(error) is kind, f"{type(error).__name__}: {error}"
    assert error.problem
    assert error.request
    assert error.response
    assert error.hint
    if response:
        assert response in error.response
    assert bool(error.request_id) is request_id
    check_silent(error)


def check_silent(error):
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        shown = f"{error!s} {error!r} {error.__dict__!r}"
        assert not [secret for secret in SECRETS if secret in shown], shown
        # What stands behind an error is printed with it, unless it is suppressed.
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class RawServer:
    """Calls ``serve(connection, request head, number of the request)`` for each request; false ends the connection."""

    def __init__(self, serve, *, tls=None):
        self.serve, self.tls = serve, tls
        self.connections, self.heads, self.errors = 0, [], []
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.open = set()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        self.stop()
        for thread in list(self.threads):
            thread.join(5)
        self.listener.close()
        assert not self.errors, self.errors

    def stop(self):
        """Take no more connections, and end those that are open; whoever serves one finds it ended."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self.listener.getsockname(), timeout=1).close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            if self.stopping.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _talk(self, connection):
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            closing.enter_context(connection)
            connection.settimeout(60)
            if self.tls:
                connection = closing.enter_context(self.tls.wrap_socket(connection, server_side=True))
            self.open.add(connection)
            closing.callback(self.open.discard, connection)
            buffer = b""
            while not self.stopping.is_set():
                got = connection.recv(65536)
                if not got:
                    return
                buffer += got
                if buffer.startswith(b"\x16\x03"):  # TLS, to a server that has none
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                head, end, body = buffer.partition(b"\r\n\r\n")
                announced = re.search(rb"(?i)content-length: *([0-9]+)", head)
                if not end or len(body) < int(announced[1] if announced else 0):
                    continue
                self.heads.append(buffer)
                buffer = b""
                try:
                    if not self.serve(connection, self.heads[-1], len(self.heads)):
                        return
                except (AssertionError, TypeError, ValueError) as error:
                    self.errors.append(error)
                    return


def answer(body, *, status="200 OK", headers=(), length=None):
    """One answer in bytes."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "X-Cap-RequestID: raw-1", *headers]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def always(raw):
    """Serve this answer to everything."""

    def serve(connection, _head, _number):
        connection.sendall(raw)
        return True

    return serve


EMPTY = {"data": [], "warnings": [], "errors": []}


def ends(monkeypatch, url, **extras):
    """The error with which a reading of this API ends."""
    return read(hook_of(monkeypatch, connection(url, date_format="iso", **extras))).error


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def silent(conn, _head, _number):
    conn.recv(1)  # until the client or the test ends the connection
    return False


def dripping(*, head, each=0.05):
    """Headers whole or in drips, then a body in drips that never ends."""

    def serve(conn, _head, _number):
        with contextlib.suppress(OSError):
            conn.sendall(head)
            for _ in range(200):
                conn.sendall(b"x")
                time.sleep(each)
        return False

    return serve


DRIPS = {
    "body with a length": answer(b"", length=10_000),
    "body in chunks": answer(b"", length=False, headers=["Transfer-Encoding: chunked"]) + b"2710\r\n",
    "body that ends with its connection": answer(b"", length=False, headers=["Connection: close"]),
    "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "status line": b"HTTP/1.",
}


def stopped(hook, after):
    """Stop a reading in a thread, after this has returned: it ends at once, with the error of a stop."""
    result = {}

    def work():
        result["end"] = read(hook)
        result["at"] = time.monotonic()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    after()
    time.sleep(0.15)
    asked = time.monotonic()
    hook.stop()
    thread.join(8)
    assert not thread.is_alive()
    assert type(result["end"].error) is ReadingStoppedError, result["end"].error
    assert result["end"].error.hint
    assert result["at"] - asked < 6  # nothing that is stopped would end by itself within ten seconds
    assert hook.is_stopped


def tunnel_to(api):
    """A proxy that connects everybody to one server."""

    def serve(client, _head, _number):
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", api.port)) as upstream:
            threading.Thread(target=pump, args=(upstream, client), daemon=True).start()
            pump(client, upstream)
        return False

    return serve


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def socks_server(api):
    """A SOCKS5 proxy that lets everybody through to one server; the listener, and the connections that it took."""
    listener, taken = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # the test has ended
                return
            client.recv(262)
            client.sendall(b"\x05\x00")
            taken.append(client.recv(262))
            client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            upstream = socket.create_connection(("127.0.0.1", api.port))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener, taken
