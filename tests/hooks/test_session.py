"""The wire itself: connections, times, sizes, TLS, stops, the budget, and bodies that are almost JSON."""

from __future__ import annotations

import contextlib
import gzip
import json
import resource
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace

import pytest
from hooks.support import (
    EMPTY,
    Clock,
    RawServer,
    always,
    answer,
    check_error,
    check_whole,
    connection,
    hook_of,
    read,
)

from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.errors import (
    ConnectionSettingsError,
    MalformedAnswerError,
    ReadingStoppedError,
    RequestRefusedError,
    ServerError,
    TransportError,
)

RECORD = {"id": "a", "startTime": 1757000000000, "inputRequest": "{}"}


def ends(monkeypatch, url, **extras):
    return read(hook_of(monkeypatch, connection(url, date_format="iso", **extras))).error


def test_one_connection_serves_all_requests(monkeypatch, clock):
    """Failures that come whole included."""
    with Emulator(events=60, limit_cap=20, faults=["http_500@3", "http_503@5", "html_200@7"]) as api:
        accepted = []
        accept = api._server.process_request
        monkeypatch.setattr(api._server, "process_request", lambda *args: accepted.append(1) or accept(*args))
        check_whole(read(hook_of(monkeypatch, api)), api)
        assert len(api.requests) > 8
    assert len(accepted) == 1


def test_a_connection_that_the_server_ends_is_replaced(monkeypatch, clock):
    with RawServer(always(answer(EMPTY, headers=["Connection: close"]))) as server:
        assert ends(monkeypatch, server.url) is None
        assert server.connections == len(server.heads) > 1


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


@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_in_drips_ends_in_time_though_no_byte_is_late(monkeypatch, clock, what):
    with RawServer(dripping(head=DRIPS[what])) as server:
        hook = hook_of(monkeypatch, connection(server.url, read_timeout=0.3, connect_timeout=0.2))
        began = time.monotonic()
        good, said = hook.test_connection()
        took = time.monotonic() - began
    assert not good
    assert "not whole 0.3 s after it began" in said
    assert "read_timeout" in said
    assert server.connections == 2
    assert took < 3


@pytest.mark.parametrize("headers", [[], ["Connection: close"]])
@pytest.mark.parametrize("how", ["with a length", "without", "packed"])
def test_a_body_without_end_is_given_up_on_in_bounded_memory(monkeypatch, clock, how, headers):
    sent = []

    def serve(conn, _head, _number):
        piece = gzip.compress(b"\0" * 2**20) if how == "packed" else b"x" * 2**20
        head = answer(
            b"",
            length=200 * 2**20 if how == "with a length" else False,
            headers=[*headers, *(["Content-Encoding: gzip"] * (how == "packed"))],
        )
        with contextlib.suppress(OSError):
            conn.sendall(head)
            for _ in range(200):
                conn.sendall(piece)
                sent.append(1)
        return False

    monkeypatch.setattr("airflow_provider_capillary.hooks.session.LARGEST_ANSWER", 8 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawServer(serve) as server:
        error = ends(monkeypatch, server.url)
    check_error(error, TransportError, answered="more than 8 MiB", request_id=False)
    assert "page_size" in error.cure
    assert server.connections == 1
    assert how == "packed" or len(sent) < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and nobody else, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)


def test_tls(monkeypatch, clock, certificate, tmp_path):
    context, cert = certificate
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    with RawServer(always(answer(EMPTY)), tls=context) as server:
        error = ends(monkeypatch, server.url)
        check_error(error, TransportError, answered="certificate that does not verify", request_id=False)
        assert "`verify`" in error.cure
        assert server.connections == 1, "no retry cures it"
        assert ends(monkeypatch, server.url, verify=cert) is None
        with pytest.warns(match="Unverified"):
            assert ends(monkeypatch, server.url, verify=False) is None
        # The environment's bundle wins over neither.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nothing))
        assert ends(monkeypatch, server.url, verify=cert) is None
        with pytest.warns(match="Unverified"):
            assert ends(monkeypatch, server.url, verify=False) is None
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        named = ends(monkeypatch, server.url.replace("127.0.0.1", "localhost"), verify=cert)
        check_error(named, TransportError, answered="for another host", request_id=False)
        count = server.connections
        unreadable = ends(monkeypatch, server.url, verify=str(nothing))
        check_error(unreadable, TransportError, answered="CA certificates", request_id=False)
        assert server.connections <= count + 1
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
        check_error(ends(monkeypatch, server.url), TransportError, answered="CA certificates", request_id=False)


def test_https_at_a_port_that_speaks_http(monkeypatch, clock):
    with RawServer(always(answer(EMPTY, status="400 Bad Request"))) as server:
        error = ends(monkeypatch, server.url.replace("http:", "https:"))
    check_error(error, TransportError, request_id=False)
    assert "https" in error.cure


def test_http_only_where_it_is_said(monkeypatch, clock):
    with RawServer(always(answer(EMPTY))) as server:
        assert ends(monkeypatch, server.url) is None
        asked = len(server.heads)
        bare = server.url.removeprefix("http://")
        assert hook_of(monkeypatch, connection(bare)).settings.base_url.startswith("https://")
        assert ends(monkeypatch, bare) is not None
        assert len([head for head in server.heads[asked:] if head.startswith(b"GET")]) == 0
        plain = json.loads(connection(bare, date_format="iso")) | {"schema": "http"}
        assert read(hook_of(monkeypatch, json.dumps(plain))).error is None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_no_connection(monkeypatch, clock):
    refused = ends(monkeypatch, f"http://127.0.0.1:{free_port()}")
    check_error(refused, TransportError, answered="refused connection", request_id=False)
    assert "(9 tries)" in refused.problem
    unknown = ends(monkeypatch, "http://nowhere.invalid")
    check_error(unknown, TransportError, answered="does not resolve", request_id=False)
    proxied = ends(monkeypatch, "https://elsewhere.example", proxies={"https": f"http://u:server123@127.0.0.1:{free_port()}"})
    check_error(proxied, TransportError, answered="proxy", request_id=False)
    assert "proxies" in proxied.cure


def test_a_connection_that_is_not_taken_ends_in_time(monkeypatch, clock):
    with socket.socket() as listener, contextlib.ExitStack() as filled:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # the queue of connections that nobody takes is then full
            each = filled.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        hook = hook_of(monkeypatch, connection(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.2, read_timeout=0.2))
        good, said = hook.test_connection()
    assert not good
    assert "no connection within 0.2 s" in said
    assert "connect_timeout" in said


HEADERS = {
    "a parameter without a value": ["Content-Type: text/html; charset"],
    "two lengths": ["Content-Length: 1, 2"],
    "a length that is no number": ["Content-Length: many"],
    "a negative length": ["Content-Length: -5"],
    "a chunked body that is none": ["Transfer-Encoding: chunked"],
    "an unknown coding": ["Content-Encoding: zstd"],
    "gzip that is none": ["Content-Encoding: gzip"],
    "a line that is no header": ["no header at all"],
    "a header without end": ["X: " + "y" * 70_000],
    "two hundred headers": [f"X-{number}: y" for number in range(200)],
    "bytes that are no text": ["X-Cap-RequestID: \x80\xff\x01", "Set-Cookie: \xff=\xfe; Max-Age=soon"],
    "a status that is none": None,
    "no HTTP at all": None,
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_are_broken_raise_nothing_foreign(monkeypatch, clock, case):
    lines = HEADERS[case]
    raw = answer(EMPTY, headers=lines or [], length=False if lines and "ength" in lines[0] else None)
    if case == "a status that is none":
        raw = raw.replace(b"200 OK", b"abc OK")
    if case == "no HTTP at all":
        raw = b"SSH-2.0-canary-of-a-body\r\n\r\n"

    def serve(conn, _head, _number):
        conn.sendall(raw)
        return False

    with RawServer(serve) as server:
        error = ends(monkeypatch, server.url, read_timeout=0.5)
    if error is not None:
        check_error(error, type(error), request_id=bool(error.request_id))
        assert isinstance(error, (TransportError, MalformedAnswerError))


ENVELOPE = b'{"data":[%s],"warnings":[],"errors":[]}'
MALFORMED = {
    "same key twice": b'{"data":[],"data":[],"errors":[]}',
    "same key twice in a record": ENVELOPE % b'{"id":"a","id":"b","startTime":1757000000000}',
    "NaN": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":NaN}',
    "Infinity": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":-Infinity}',
    "1e999": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":1e999}',
    "5000 digits": ENVELOPE % (b'{"id":"a","startTime":1757000000000,"x":%s}' % (b"9" * 5000)),
    "not UTF-8": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":"\xff"}',
    "UTF-16": json.dumps(EMPTY).encode("utf-16"),
    "nested too deeply": b"[" * 100_000 + b"]" * 100_000,
    "nested too deeply inside": ENVELOPE % (b'{"id":"a","startTime":1757000000000,"x":%s}' % (b'{"y":' * 50_000 + b"1" + b"}" * 50_000)),
    "blank": b"  \r\n ",
    "a string": b'"canary-of-a-body"',
    "a list": b"[]",
    "null": b"null",
    "no data": {"errors": []},
    "data null": {"data": None, "errors": []},
    "data an object": {"data": {}, "errors": []},
    "a record that is a string": {"data": ["canary-of-a-body"]},
    "no id": {"data": [{"startTime": 1757000000000}]},
    "an empty id": {"data": [{"id": "", "startTime": 1757000000000}]},
    "an id that is a number": {"data": [{"id": 5, "startTime": 1757000000000}]},
    **{f"startTime {value!r}": {"data": [{"id": "a", "startTime": value}]} for value in (None, "1757000000000", 1.5, True, -1, 10**14, [])},
    "no startTime": {"data": [{"id": "a"}]},
    "errors of text": {"data": [], "errors": ["canary-of-a-body"]},
    "errors that are text": {"data": [], "errors": "canary-of-a-body"},
    "errors with a huge code": {"data": [], "errors": [{"code": 10**4000}]},
    "two values": json.dumps(EMPTY).encode() * 2,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_bodies_that_are_not_the_envelope(monkeypatch, clock, case):
    with RawServer(always(answer(MALFORMED[case]))) as server:
        error = ends(monkeypatch, server.url)
    check_error(error, MalformedAnswerError)
    assert len(str(error)) < 700
    assert len(server.heads) == 9


ACCEPTED = {
    "a mark at the start": b"\xef\xbb\xbf" + json.dumps({"data": [RECORD], "errors": []}).encode(),
    "errors null": {"data": [RECORD], "errors": None, "warnings": None},
    "errors blank": {"data": [RECORD], "errors": [{}], "warnings": [{}]},
    "no errors": {"data": [RECORD]},
    "half a surrogate pair": ENVELOPE % b'{"id":"\\ud800","startTime":1757000000000,"eventName":"\\udfff","x":"\\ud83d"}',
    "fields that nobody knows": {"data": [RECORD | {"new": {"deep": [1, 2.5, None, "\x00"]}}], "more": 1},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_bodies_that_are_the_envelope_all_the_same(monkeypatch, clock, case):
    with RawServer(always(answer(ACCEPTED[case]))) as server:
        good, said = hook_of(monkeypatch, connection(server.url)).test_connection()
    assert good, said
    assert "Saw 1 event log" in said


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        ("201 Created", MalformedAnswerError, 9),
        ("204 No Content", MalformedAnswerError, 9),
        ("206 Partial", MalformedAnswerError, 9),
        ("405 No", RequestRefusedError, None),
        ("407 Proxy", RequestRefusedError, None),
        ("408 Slow", ServerError, 9),
        ("599 What", ServerError, 9),
        ("999 What", ServerError, 9),
    ],
)
def test_other_statuses(monkeypatch, clock, status, kind, tries):
    body = b"" if status.startswith("204") else EMPTY
    with RawServer(always(answer(body, status=status))) as server:
        error = ends(monkeypatch, server.url)
    check_error(error, kind, answered=f"HTTP {status[:3]}")
    assert tries is None or len(server.heads) == tries


@pytest.mark.parametrize("per_minute", [1, 3, 10])
def test_no_minute_holds_more_requests_than_the_budget(monkeypatch, clock, per_minute):
    """Retries and token fetches count; every pause lasts a little longer than asked."""
    sent = []

    def sleep(seconds):
        clock.now += seconds * 1.01

    clock.sleep = sleep

    def fault(_number, _params):
        sent.append(clock.now)
        return ["http_500", None, None, "throttled_seconds", None][len(sent) % 5]

    def token_fault(_number, _params):
        sent.append(clock.now)

    with Emulator(events=60, limit_cap=20, auth_type="oauth", faults=fault, token_faults=token_fault) as api:
        check_whole(read(hook_of(monkeypatch, api, requests_per_minute=per_minute)), api)
    assert len(sent) > 12
    for number in range(len(sent) - per_minute):
        assert sent[number + per_minute] - sent[number] >= 60 - 1e-6


def silent(conn, _head, _number):
    conn.recv(1)  # until the client or the test ends the connection
    return False


STOPS = {
    "before headers": silent,
    "in a body": dripping(head=DRIPS["body with a length"]),
    "in chunks": dripping(head=DRIPS["body in chunks"]),
    "in a body that ends with its connection": dripping(head=DRIPS["body that ends with its connection"]),
    "in headers": dripping(head=DRIPS["headers"]),
    "retry pause": always(answer(b"", status="429 Slow", headers=["Retry-After: 50"])),
    "budget pause": always(answer(EMPTY)),
}


def stopped(hook, after):
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
    assert result["end"].error.cure
    assert result["at"] - asked < 2
    assert hook.is_stopped


@pytest.mark.parametrize("where", STOPS)
def test_a_stop_ends_the_reading(monkeypatch, where):
    with RawServer(STOPS[where]) as server:
        budget = 1 if where == "budget pause" else 60

        def asked():
            until = time.monotonic() + 5
            while not server.heads and time.monotonic() < until:
                time.sleep(0.01)

        stopped(hook_of(monkeypatch, connection(server.url, requests_per_minute=budget)), asked)
        server.stop()


def test_a_stop_over_tls_and_in_its_handshake(monkeypatch, certificate):
    context, cert = certificate
    with RawServer(silent, tls=context) as server:
        stopped(hook_of(monkeypatch, connection(server.url, verify=cert)), lambda: time.sleep(0.3))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        stopped(hook_of(monkeypatch, connection(f"https://127.0.0.1:{mute.getsockname()[1]}")), lambda: time.sleep(0.1))


def test_a_stop_between_two_requests_is_not_lost(monkeypatch):
    """The moment after the driver has looked and before a connection is open."""
    with RawServer(silent) as server:
        hook = hook_of(monkeypatch, connection(server.url))
        session = hook._session
        begin = session._open
        monkeypatch.setattr(session, "_open", lambda request: hook.stop() or begin(request))
        began = time.monotonic()
        assert type(read(hook).error) is ReadingStoppedError
        assert time.monotonic() - began < 2


def test_a_stopped_hook_asks_nothing(monkeypatch):
    with RawServer(always(answer(EMPTY))) as server:
        hook = hook_of(monkeypatch, connection(server.url))
        hook.stop()
        assert type(read(hook).error) is ReadingStoppedError
        assert not server.heads


def test_a_surrogate_in_the_password_is_a_setting_to_correct(monkeypatch):
    settings = replace(hook_of(monkeypatch, connection("https://x.example")).settings, password="p\ud800")
    from airflow_provider_capillary.hooks.session import basic_secrets

    with pytest.raises(ConnectionSettingsError) as caught:
        basic_secrets(settings)
    assert caught.value.__suppress_context__


BUTTON = {
    "401": (always(answer(b"<html>canary-of-a-body", status="401 No")), "password_format"),
    "403": (always(answer(b"<html>canary-of-a-body", status="403 No")), "Behavioural Events"),
    "404": (always(answer(b"", status="404 No")), "base URL of the cluster"),
    "HTML": (always(answer(b"<html>canary-of-a-body")), "portal or a proxy"),
    "500": (always(answer(b"", status="500 No")), "support"),
    "429": (always(answer(b"", status="429 No", headers=["Retry-After: 3600"])), "requests_per_minute"),
    "redirect": (always(answer(b"", status="302 No", headers=["Location: http://127.0.0.1:1/"])), "final address"),
    "silence": (silent, "read_timeout"),
}


@pytest.mark.parametrize("case", BUTTON)
def test_the_button_says_what_to_change(monkeypatch, clock, case):
    serve, cure = BUTTON[case]
    with RawServer(serve) as server:
        good, said = hook_of(monkeypatch, connection(server.url, read_timeout=0.3)).test_connection()
        server.stop()
    assert not good
    assert cure in said
    assert "canary" not in said
    assert "raw-1" in said or case == "silence"
    assert sum(clock.slept) <= 5


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("http://nowhere.invalid", "DNS"),
        ("http://127.0.0.1:{}", "host and port"),
        ("https://127.0.0.1:{}", "host and port"),
        ("ftp://x", "https://"),
    ],
)
def test_the_button_without_a_server(monkeypatch, clock, url, cure):
    good, said = hook_of(monkeypatch, connection(url.format(free_port()))).test_connection()
    assert not good
    assert cure in said


def test_the_button_tells_count_and_age(monkeypatch, clock):
    with Emulator(events=25) as api:
        hook = hook_of(monkeypatch, api)
        newest = max(record["startTime"] for record in api.records)
        days = (Clock().time() - newest / 1000) / 86_400
        assert hook.test_connection() == (True, f"Connected. Saw 35 event logs; the newest of them is {days:.0f} days old.")
        assert len(api.requests) == 1
    with Emulator(documented=False) as api:
        good, said = hook_of(monkeypatch, api).test_connection()
    assert good
    assert "no event logs" in said


def test_the_button_raises_nothing(monkeypatch, clock):
    hook = hook_of(monkeypatch, connection("https://x.example"))

    def lookup(_conn_id):
        raise RuntimeError("server123")

    monkeypatch.setattr(type(hook), "get_connection", staticmethod(lookup))
    good, said = hook.test_connection()
    assert not good
    assert "RuntimeError" in said
    assert "server123" not in said
