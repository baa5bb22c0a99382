"""Bodies that are almost the envelope, and other statuses."""

from __future__ import annotations

import json

import pytest
from hooks.support import EMPTY, RawServer, always, answer, check_error, connection, ends, hook_of

from airflow_provider_capillary.errors import MalformedAnswerError, RequestRefusedError, ServerError

RECORD = {"id": "a", "startTime": 1757000000000, "inputRequest": "{}"}


ENVELOPE = b'{"data":[%s],"warnings":[],"errors":[]}'
MALFORMED = {
    "same key twice": b'{"data":[],"data":[],"errors":[]}',
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
    "errors of text": {"data": [], "errors": ["canary-of-a-body"]},
    "errors that are text": {"data": [], "errors": "canary-of-a-body"},
    "errors with a huge code": {"data": [], "errors": [{"code": 10**4000}]},
    "two values": json.dumps(EMPTY).encode() * 2,
}


# Complete responses with one invalid record: another try rarely helps.
BAD_RECORDS = {
    "same key twice in a record": ENVELOPE % b'{"id":"a","id":"b","startTime":1757000000000}',
    "NaN": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":NaN}',
    "Infinity": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":-Infinity}',
    "not UTF-8": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":"\xff"}',
    "a record that is a string": {"data": ["canary-of-a-body"]},
    "no id": {"data": [{"startTime": 1757000000000}]},
    "an empty id": {"data": [{"id": "", "startTime": 1757000000000}]},
    "an id that is a number": {"data": [{"id": 5, "startTime": 1757000000000}]},
    **{f"startTime {value!r}": {"data": [{"id": "a", "startTime": value}]} for value in (None, "1757000000000", 1.5, True, -1, 10**14, [])},
    "no startTime": {"data": [{"id": "a"}]},
}


@pytest.mark.parametrize("case", [*MALFORMED, *BAD_RECORDS])
def test_bodies_that_are_not_the_envelope(monkeypatch, clock, case):
    with RawServer(always(answer((MALFORMED | BAD_RECORDS)[case]))) as server:
        error = ends(monkeypatch, server.url)
    check_error(error, MalformedAnswerError)
    assert len(str(error)) < 700
    assert len(server.heads) == (2 if case in BAD_RECORDS else 9)
    assert str(error).count("an invalid record, record 1 (") == (case in BAD_RECORDS)


ACCEPTED = {
    "1e999": ENVELOPE % b'{"id":"a","startTime":1757000000000,"x":1e999}',
    "5000 digits": ENVELOPE % (b'{"id":"a","startTime":1757000000000,"x":%s}' % (b"9" * 5000)),
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
    check_error(error, kind, response=f"HTTP {status[:3]}")
    assert tries is None or len(server.heads) == tries
