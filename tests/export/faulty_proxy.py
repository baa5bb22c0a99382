"""An HTTP proxy on loopback in front of an S3 server, which does to chosen calls what networks and stores do to them.

It tells the calls of S3 apart by method and query, passes everything on, and at a call that a rule names answers with an error, cuts the
connection or says nothing. Rules are kept by bucket, so that tests with a bucket each can run at the same time.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import struct
import threading
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

FAULTS = {
    "403": "the credential may not do this",
    "429": "the store throttles",
    "500": "the store fails",
    "reset": "the connection is cut, and the store has seen nothing",
    "hang": "nothing is answered, and the store has seen nothing",
    "lost": "the store does what it is asked, and the connection is cut before the answer",
    "checksum of the whole": "nothing fails; a range of an object comes with the checksum of all of it, as rclone's server answers",
    "200 error": "the status says 200 and the body that it failed, as S3 may answer the completion of an upload",
}
CALLS = ("put", "create", "part", "complete", "manifest", "abort", "uploads", "head", "get", "other")

# No test waits this long; a handler that does would outlive it.
_SECONDS = 60


@dataclass
class Rule:
    """Do ``fault`` to the calls of one kind, from the ``first`` of them on (counted from 1), so many ``times``; ``None``: for ever."""

    fault: str
    call: str
    times: int | None = None
    first: int = 1
    seen: int = field(default=0, init=False)

    def __post_init__(self):
        assert self.fault in FAULTS
        assert self.call in CALLS

    def applies(self, call):
        if call != self.call:
            return False
        self.seen += 1
        return self.seen >= self.first and (self.times is None or self.seen < self.first + self.times)


def name_of_call(method, path):
    """Which call of S3 a request is, in the words of :data:`CALLS`, and on which bucket."""
    parts = urlsplit(path)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    match method, "uploadId" in query, bool(key):
        case "PUT", upload, True:
            call = "part" if upload else "manifest" if "_manifests/" in key else "put"
        case "POST", upload, True:
            call = "complete" if upload else "create"
        case "DELETE", True, _:
            call = "abort"
        case "GET", _, False if "uploads" in query:
            call = "uploads"
        case "HEAD" | "GET", _, True:
            call = method.lower()
        case _:
            call = "other"
    return call, bucket


class FaultyProxy:
    """Listens as long as the ``with`` block lasts; :attr:`calls` holds what was asked, by bucket, :attr:`ranges` how often for a range."""

    def __init__(self, upstream):
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self._rules = defaultdict(list)
        self.calls = defaultdict(list)
        self.ranges = Counter()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def break_calls(self, bucket, *rules):
        """From now on, follow these rules and no others for a bucket; without rules, pass everything on. Calls are counted anew."""
        with self._lock:
            self._rules[bucket] = list(rules)
            self.calls[bucket] = []

    def fault_for(self, method, path):
        call, bucket = name_of_call(method, path)
        with self._lock:
            self.calls[bucket].append(call)
            # Every rule counts every call, also where an earlier rule has its way.
            faults = [rule.fault for rule in self._rules[bucket] if rule.applies(call)]
        return faults[0] if faults else None

    def pass_on(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self._upstream, timeout=_SECONDS)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    # Head and body leave in two small packets; Nagle's algorithm between them would cost 40 ms an answer.
    disable_nagle_algorithm = True
    proxy: FaultyProxy

    def _serve(self):
        body = self._body()
        if self.command == "GET" and "Range" in self.headers:
            self.proxy.ranges[name_of_call(self.command, self.path)[1]] += 1
        fault = self.proxy.fault_for(self.command, self.path)
        if fault == "hang":
            # Until the client gives up and closes; it sends nothing more on this connection.
            with contextlib.suppress(OSError):
                self.connection.recv(1)
            self.close_connection = True
        elif fault == "reset":
            self._reset()
        elif fault == "lost":
            self._pass_on(body)
            self._reset()
        elif fault == "checksum of the whole":
            self._answer(*self._with_checksum_of_the_whole(*self._pass_on(body)))
        elif fault is None:
            self._answer(*self._pass_on(body))
        else:
            self._answer(*_ERRORS[fault])

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815  # names that http.server looks for

    def _body(self):
        assert "chunked" not in self.headers.get("Transfer-Encoding", ""), "this client sends the length of what it uploads"
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _pass_on(self, body):
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
        return self.proxy.pass_on(self.command, self.path, kept, body)

    def _with_checksum_of_the_whole(self, status, headers, body):
        del self.headers["Range"]
        checksum = base64.b64encode(zlib.crc32(self._pass_on(b"")[2]).to_bytes(4)).decode()
        return status, [(name, value) for name, value in headers if "checksum" not in name] + [("x-amz-checksum-crc32", checksum)], body

    def _answer(self, status, headers, body):
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value  # of the object, which is not sent
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self):
        # Closing without lingering sends RST instead of FIN: what a connection that breaks looks like.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle(self):
        # Clients that time out or break off are what this proxy is for; nobody reads about them on standard error.
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()


def _error(status, code):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made by the proxy</Message></Error>"
    return status, [("Content-Type", "application/xml")], body.encode()


_ERRORS = {
    "403": _error(403, "AccessDenied"),
    "429": _error(429, "TooManyRequests"),
    "500": _error(500, "InternalError"),
    "200 error": _error(200, "InternalError"),
}
