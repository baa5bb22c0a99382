"""Answers in drips, without end, and with broken headers; and how many requests a minute holds."""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import json
import resource
import time
import zlib

import pytest
from hooks.support import DRIPS, EMPTY, RawServer, always, answer, check_error, check_whole, connection, dripping, ends, hook_of, read

from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.errors import AuthenticationError, MalformedAnswerError, TransportError

BOUNDED_UNPACKING = tuple(map(int, importlib.metadata.version("urllib3").split(".")[:2])) >= (2, 6)


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
    assert took < 10


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

    monkeypatch.setattr("airflow_provider_capillary.hooks._session.LARGEST_ANSWER", 8 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawServer(serve) as server:
        error = ends(monkeypatch, server.url)
    check_error(error, TransportError, response="more than 8 MiB", request_id=False)
    assert "page_size" in error.hint
    assert server.connections == 1
    assert how == "packed" or len(sent) < 60
    # urllib3 before 2.6 unpacks each piece of 64 KiB at once, to a thousand times as much.
    most = 60 if how != "packed" or BOUNDED_UNPACKING else 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < most * 1024


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


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "aws-chunked\x01"])
def test_an_encoding_that_was_not_asked_for_is_named_whatever_is_installed(monkeypatch, clock, coding):
    import zstandard

    body = zstandard.compress(json.dumps(EMPTY).encode())  # what an installation with zstandard could unpack
    with RawServer(always(answer(body, headers=[f"Content-Encoding: {coding}"]))) as server:
        error = ends(monkeypatch, server.url)
        assert b"Accept-Encoding: gzip\r\n" in server.heads[0]
        assert b"Cache-Control: no-cache\r\n" in server.heads[0]
        assert len(server.heads) == 9
    named = coding.replace("gzip, ", "").replace("\x01", "?")
    check_error(error, TransportError, response=f"an answer in the encoding {named}, though gzip alone was asked for", request_id=False)
    assert "Accept-Encoding" in error.hint


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate", "identity", ""])
def test_what_every_installation_can_unpack_is_taken(monkeypatch, clock, coding):
    pack = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}.get(coding.lower(), bytes)
    with RawServer(always(answer(pack(json.dumps(EMPTY).encode()), headers=[f"Content-Encoding: {coding}"]))) as server:
        assert ends(monkeypatch, server.url) is None


def test_a_refusal_is_one_in_any_encoding(monkeypatch, clock):
    with RawServer(always(answer(b"canary-of-a-body", status="401 No", headers=["Content-Encoding: br"]))) as server:
        check_error(ends(monkeypatch, server.url), AuthenticationError, response="HTTP 401")


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
