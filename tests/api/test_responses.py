"""Which bodies of a 200 are accepted as event logs, and what the errors say of the others."""

from __future__ import annotations

import copy
import json
import math
import random

import pytest

from airflow_provider_capillary import fast
from airflow_provider_capillary.api import responses, usual_pages
from airflow_provider_capillary.api.effects import Response
from airflow_provider_capillary.api.layouts import Layouts
from airflow_provider_capillary.api.responses import read_page
from airflow_provider_capillary.api.retries import RetryPlan
from airflow_provider_capillary.api.usual_pages import decode_records
from airflow_provider_capillary.errors import AuthenticationError, MalformedAnswerError

RECORD = b'{"id":"canary-id","startTime":1758171830945,"message":"canary"}'


def read(body: bytes):
    return read_page(Response(status=200, headers={"content-type": "application/json", "x-cap-requestid": "r-1"}, body=body), "GET /logs")


# Each row: a body, and how many records and warnings it has.
TAKEN = {
    "the documented envelope": (b'{"data":[%s],"warnings":[],"errors":[]}' % RECORD, 1, 0),
    "without records": (b'{"data":[],"warnings":[],"errors":[]}', 0, 0),
    "nothing beside the data": (b'{"data":[%s]}' % RECORD, 1, 0),
    "what other endpoints write for no errors: null": (b'{"data":[%s],"warnings":null,"errors":null}' % RECORD, 1, 0),
    "what other endpoints write for no errors: [{}]": (b'{"data":[%s],"errors":[{}]}' % RECORD, 1, 0),
    "warnings are counted": (b'{"data":[%s],"warnings":["slow",{}]}' % RECORD, 1, 1),
    "a mark of the byte order": (b'\xef\xbb\xbf{"data":[%s]}' % RECORD, 1, 0),
    "an integer of any size in a field of no matter": (b'{"data":[{"id":"a","startTime":1,"orgId":%s}]}' % (b"9" * 400), 1, 0),
    "an integer beyond what Python converts": (b'{"data":[{"id":"a","startTime":1,"orgId":%s}]}' % (b"9" * 5_000), 1, 0),
    "such an integer beside the data": (b'{"data":[%s],"x":%s}' % (RECORD, b"9" * 5_000), 1, 0),
    "a number beyond any float": (b'{"data":[{"id":"a","startTime":1,"x":-1e999}]}', 1, 0),
    "blanks wherever JSON allows them": (b' {\r\n "data" : [ %s ,\t%s ] , "errors" : [ ] } \n' % (RECORD, RECORD), 2, 0),
    "without records, and blanks": (b'{"data": [ ] }', 0, 0),
    "the earliest time": (b'{"data":[{"id":"a","startTime":0}]}', 1, 0),
    "a code inside a record is no error": (b'{"data":[{"id":"a","startTime":1,"code":401,"status":"401"}]}', 1, 0),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_valid_body_is_accepted(name):
    body, records, warnings = TAKEN[name]
    page = read(body)
    assert (len(page), page.warnings) == (records, warnings)


# Each row: a body that is not the documented envelope, and what the error says of it.
REFUSED = {
    "nothing": (b"", "an empty body"),
    "blanks": (b" \n", "an empty body"),
    "HTML": (b"<html></html>", "not JSON, or is cut off"),
    "cut off": (b'{"data":[%s' % RECORD, "not JSON, or is cut off"),
    "nested without end": (b"[" * 100_000, "not JSON, or is cut off"),
    "two values": (b'{"data":[]}{"data":[]}', "not JSON, or is cut off"),
    "null": (b"null", "not an object (null)"),
    "a list": (b"[%s]" % RECORD, "not an object (list)"),
    "not UTF-8": (b'{"data":[{"id":"\xff","startTime":1}]}', "not UTF-8"),
    "two `data`": (b'{"data":[%s],"data":[]}' % RECORD, "the same key twice"),
    "NaN beside the data": (b'{"data":[%s],"x":NaN}' % RECORD, "NaN in the JSON"),
    "cut off inside a record": (b'{"data":[%s,{"id":"b","startTi' % RECORD, "not JSON, or is cut off"),
    "cut off behind a record": (b'{"data":[%s,' % RECORD, "not JSON, or is cut off"),
    "a comma too many in `data`": (b'{"data":[%s,]}' % RECORD, "not JSON, or is cut off"),
    "a comma too many": (b'{"data":[%s],}' % RECORD, "not JSON, or is cut off"),
    "no colon": (b'{"data"[%s]}' % RECORD, "not JSON, or is cut off"),
    "two `data`, the first without records": (b'{"data":[],"data":[%s]}' % RECORD, "the same key twice"),
    "no `data`": (b'{"warnings":[],"errors":[]}', "without `data`"),
    "`data` null": (b'{"data":null}', "not a list (null)"),
    "`data` an object": (b'{"data":{}}', "not a list (object)"),
    "errors beside data": (b'{"data":[%s],"errors":[{"code":4000}]}' % RECORD, "1 non-empty `errors` with codes [4000]"),
    "an error that is a text": (b'{"data":[%s],"errors":"canary"}' % RECORD, "1 non-empty `errors`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_body_is_an_error_that_is_retried(name):
    body, problem = REFUSED[name]
    with pytest.raises(MalformedAnswerError) as caught:
        read(body)
    assert problem in str(caught.value)
    assert caught.value.retryable
    assert (caught.value.request, caught.value.request_id) == ("GET /logs", "r-1")
    assert "canary" not in str(caught.value)


# Each row: a 200 whose body says that the credential is refused.
@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[],"errors":[{"code":401}]}',
        b'{"data":[%s],"errors":[{"code":"498"}]}' % RECORD,
        b'{"success":"true","code":498}',
        b'{"status":{"code":498}}',
        b'{"response":{"status":{"success":"true","code":"401"}}}',
    ],
)
def test_a_credential_that_is_refused_inside_a_200(body):
    with pytest.raises(AuthenticationError):
        read(body)


# Each row: an invalid record in a complete response, and what the error says of it. The record before it is valid.
GOOD = b'{"id":"good","startTime":1}'
BAD_RECORDS = {
    "NaN": (b'{"id":"a","startTime":1758171830945,"x":NaN}', "record 2 (2025-09-18T05:03:50.945Z): NaN in the JSON"),
    "infinity, deep inside": (b'{"id":"a","startTime":1,"x":[{"y":-Infinity}]}', "record 2 (1970-01-01T00:00:00.001Z): -Infinity"),
    "two `id`": (b'{"id":"canary","id":"b","startTime":1}', ".001Z): an object with the same key twice"),
    "two of a key inside": (b'{"id":"canary","startTime":1,"x":{"y":1,"y":1}}', "the same key twice"),
    "not UTF-8": (b'{"id":"a","startTime":1,"x":"canary\xff"}', ".001Z): bytes that are not UTF-8"),
    "a text": (b'"canary"', "record 2 (without a time): a record that is not an object (string)"),
    "no `id`": (b'{"startTime":1}', ".001Z): a record without an `id`"),
    "an empty `id`": (b'{"id":"","startTime":1}', "without an `id`"),
    "an `id` that is a number": (b'{"id":5,"startTime":1}', "without an `id`"),
    "no time": (b'{"id":"canary"}', "record 2 (without a time): a record whose `startTime` is not epoch milliseconds"),
    "a time that is a text": (b'{"id":"a","startTime":"1"}', "not epoch milliseconds"),
    "a time that is a truth": (b'{"id":"a","startTime":true}', "not epoch milliseconds"),
    "a time with a fraction": (b'{"id":"a","startTime":1.0}', "not epoch milliseconds"),
    "a time before 1970": (b'{"id":"a","startTime":-1}', "not epoch milliseconds"),
    "a time in microseconds": (b'{"id":"a","startTime":1758171830945000}', "not epoch milliseconds"),
    "a time of 5,000 digits": (b'{"id":"a","startTime":%s}' % (b"9" * 5_000), "not epoch milliseconds"),
}


@pytest.mark.parametrize("blank", [b"", b" "], ids=["dense", "with blanks"])
@pytest.mark.parametrize("name", BAD_RECORDS)
def test_an_invalid_record_is_named_by_place_and_time_and_requested_twice(name, blank):
    record, problem = BAD_RECORDS[name]
    with pytest.raises(MalformedAnswerError) as caught:
        read(b'{"data":[%s]}' % (b"," + blank).join([GOOD, record, GOOD, b"[]"]))
    assert problem in caught.value.problem
    assert caught.value.response == "invalid records: 2 of 4"
    assert (caught.value.request, caught.value.request_id) == ("GET /logs", "r-1")
    assert "canary" not in str(caught.value)
    plan, error = RetryPlan(), caught.value
    assert error.retryable
    assert [plan.delay(attempt, error, random.Random(1)) < plan.total for attempt in (1, 2)] == [True, False]


def test_a_record_keeps_the_text_that_it_had_in_the_answer():
    texts = [
        '{"id":"a","startTime":1,"x":1234567890.123456789,"y":1.0,"z":[-0,1E5,1e400]}',
        '{ "startTime": 2 , "id":"b\\u00e9é",\n"x":%s}' % ("9" * 5_000),
    ]
    answer = read(f'{{"data": [{texts[0]} ,\n {texts[1]}]}}'.encode())
    assert [record.text for record in answer.records] == texts
    assert answer.records[0] == {"id": "a", "startTime": 1, "x": 1234567890.1234567, "y": 1.0, "z": [0, 1e5, math.inf]}
    assert [record.text for record in copy.deepcopy(answer.records)] == texts


# Lists of records that a decoder may take otherwise than another. Each is read with and without the packages of the extra ``fast``.
STRANGE_LISTS = {
    "nothing": b"",
    "usual": RECORD,
    "with spaces": b'{"id": "a", "startTime": 1, "x": "1, \\"2\\": 3"}',
    "a key twice": b'{"id":"a","startTime":1,"x":1,"x":1}',
    "a key twice, with spaces": b'{"id": "a", "startTime": 1, "x": "1", "x": "1"}',
    "a key twice, once escaped": b'{"id":"a","startTime":1,"x":1,"\\u0078":1}',
    "a key twice, a text and not": b'{"id":"a","startTime":1,"x":1,"x":"1"}',
    "a key twice, inside": b'{"id":"a","startTime":1,"x":{"y":1,"y":1}}',
    "a key twice, deep inside and with spaces": b'{"id":"a", "startTime":1,"x":[{"y":1,"y":1}]}',
    "two `id`": b'{"id":"a","id":"a","startTime":1}',
    "nested": b'{"id":"a","startTime":1,"x":{"y":[1,{"z":null}]}}',
    "nested, with spaces": b'{"id": "a","startTime":1,"x":{"y":[1,{"z":null}]}}',
    "backslashes before quotes": rb'{"id": "a\\","startTime":1,"x\\\\":"\\\"\"","y\\\"":"\\"}',
    "a key twice, hidden by two texts that end in a backslash": rb'{"id": "a\\","y":"b\\","startTime":1,"x":1,"x":1}',
    "integers of any size": b'{"id":"a","startTime":1,"x":%s,"y":-18446744073709551616,"z":18446744073709551615}' % (b"9" * 400),
    "more digits than Python converts": b'{"id":"a","startTime":1,"x":%s}' % (b"9" * 5_000),
    "floats of many digits": b'{"id":"a","startTime":1,"x":[0.12345678901234567890123,1e-400,2.2250738585072011e-308,9007199254740993.0]}',
    "numbers written otherwise": b'{"id":"a","startTime":1,"x":[1.0,1.10,1E5,-0,-0.0,1e+2,1e16]}',
    "beyond any float": b'{"id":"a","startTime":1,"x":1e400}',
    "NaN": b'{"id":"a","startTime":1,"x":NaN}',
    "infinity": b'{"id":"a","startTime":1,"x":-Infinity}',
    "no JSON number": b'{"id":"a","startTime":01}',
    "a lone surrogate": b'{"id":"a","startTime":1,"x":"\\ud83d"}',
    "a pair of surrogates": b'{"id":"a","startTime":1,"x":"\\ud83d\\ude00"}',
    "a surrogate in UTF-8": b'{"id":"a","startTime":1,"x":"\xed\xa0\x80"}',
    "no UTF-8": b'{"id":"a","startTime":1,"x":"\xff"}',
    "too long UTF-8": b'{"id":"a","startTime":1,"x":"\xc0\x80"}',
    "UTF-8": '{"id":"नमन","startTime":1,"x":"é😀\u2028"}'.encode(),
    "escapes": rb'{"id":"a","startTime":1,"x":"\/\b\f\u00e9\u0000"}',
    "no escape": rb'{"id":"a","startTime":1,"x":"\x"}',
    "a control character": b'{"id":"a","startTime":1,"x":"\x01"}',
    "a line feed in a text": b'{"id":"a","startTime":1,"x":"\n"}',
    "blanks that JSON has not": b'{"id":"a","startTime":1,\x0b"x":1}',
    "deep": b'{"id":"a","startTime":1,"x":%s1%s}' % (b"[" * 300, b"]" * 300),
    "too deep": b'{"id":"a","startTime":1,"x":%s1%s}' % (b"[" * 50_000, b"]" * 50_000),
    "huge": b'{"id":"a","startTime":1,"x":"%s"}' % (b"\\\\" * 500_000),
    "no record": b"[]",
    "null": b"null",
    "no id": b'{"startTime":1}',
    "an empty id": b'{"id":"","startTime":1}',
    "a time that is a truth": b'{"id":"a","startTime":true}',
    "a time that is a float": b'{"id":"a","startTime":1.0}',
    "a time too late": b'{"id":"a","startTime":60000000000000}',
    "a time too early": b'{"id":"a","startTime":-1}',
    "a comma too many": RECORD + b",",
    "cut off": RECORD[:-1],
    "another list": RECORD + b'],"data":[' + RECORD,
    "another list, escaped": RECORD + b'],"d\\u0061ta":[' + RECORD,
    "another field": RECORD + b'],"x":[1',
    "another field twice": RECORD + b'],"x":1,"x":[1',
}
ENVELOPES = {
    "as documented": b'{"data":[%s],"warnings":[],"errors":[]}',
    "with spaces": b'\xef\xbb\xbf {\r\n "data" : [ %s ] ,\t"errors" : [ {} ] , "warnings" : null } \n',
    "alone": b'{"data":[%s]}',
    "warnings twice": b'{"data":[%s],"warnings":[],"warnings":[]}',
    "a warning": b'{"data":[%s],"warnings":["slow"],"errors":[]}',
    "an error": b'{"data":[%s],"warnings":[],"errors":[{"code":4000}]}',
    "data last": b'{"warnings":[],"data":[%s]}',
    "two values": b'{"data":[%s]}{"data":[]}',
    "no list": b"[%s]",
}


def told_of(body):
    try:
        page = read(body)
    except (MalformedAnswerError, AuthenticationError) as error:
        return str(error), error.most_tries
    return repr([(dict(record), type(record), record.raw, record.text) for record in page.records]), page.warnings


def ways_of(monkeypatch, body, layout):
    """What is told of a body by each reader: one record after the other, all at once, by msgspec, and by msgspec with a layout."""
    with monkeypatch.context() as patched:
        patched.setattr(responses, "decode_records", lambda *_: None)
        yield told_of(body)
    with monkeypatch.context() as patched:
        patched.setattr(fast, "optional", lambda _name: None)
        yield told_of(body)
    for learnt in ((), (layout,), (layout, body)):
        monkeypatch.setattr(usual_pages, "_layouts", Layouts())
        for each in learnt:
            told_of(each)
        yield told_of(body)


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("name", STRANGE_LISTS)
def test_a_page_is_read_alike_by_each_reader(monkeypatch, name, envelope):
    for listed in (STRANGE_LISTS[name], RECORD + b"," + STRANGE_LISTS[name], RECORD + b", " + STRANGE_LISTS[name]):
        first, *others = ways_of(monkeypatch, ENVELOPES[envelope] % listed, ENVELOPES["alone"] % b'{"id":"a","startTime":1,"x":1,"y":1}')
        assert others == [first] * 4


LONG = b'{"id":"a","startTime":1,"x":"%s"}' % (b"long" * 30)

# Each row: the JSON of a field whose texts a layout leaves as they are, and whether the layout takes a record with it.
LEFT_AS_THEY_ARE = {
    "a text": (b'"' + b"x" * 99 + b'"', True),
    "no text": (b'""', True),
    "null": (b"null", True),
    "UTF-8": ('"é😀\u2028"'.encode(), True),
    "escapes": (rb'"\/\b\f\u00e9\u0000\\"', True),
    "JSON, with a record in it": (rb'"{\"a\":[{\"id\":\"b\"},{\"id\":\"c\"}]}"', True),
    "a lone surrogate": (rb'"\ud83d"', False),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', False),
    "no UTF-8": (b'"\xff"', False),
    "a control character": (b'"\x01"', False),
    "no escape": (rb'"\x"', False),
    "an object": (b'{"y":1}', False),
    "an object with the same key twice": (b'{"y":1,"y":1}', False),
    "a list of objects": (b'[{"y":1},{"y":1,"y":1}]', False),
    "a number": (b"1", False),
    "a number beyond any float": (b"1e400", False),
    "a truth": (b"true", False),
    "two texts": (b'"a","x":"a"', False),
    "cut off": (b'"a', False),
}


@pytest.mark.parametrize("name", LEFT_AS_THEY_ARE)
def test_long_texts_are_left_as_they_are(monkeypatch, name):
    value, is_taken = LEFT_AS_THEY_ARE[name]
    body = b'{"data":[%s,{"id":"b","startTime":2,"x":%s},{"id":"c","startTime":3},%s]}' % (LONG, value, LONG)
    first, *others = ways_of(monkeypatch, body, b'{"data":[%s]}' % LONG)
    assert others == [first] * 4
    monkeypatch.setattr(usual_pages, "_layouts", layouts := Layouts())
    read(b'{"data":[%s]}' % LONG)
    records = layouts.decode(body[len(b'{"data":') : -1])
    assert (records is not None) == is_taken
    if records is not None:
        assert records.column("x") == [record.get("x") for record in read(body).records]
        assert records.lines() == b"".join(text + b"\n" for text in records.texts())
        assert [record.raw for record in records[::-2]] == records.texts()[::-2]


# Two records that a page holds among others, and the readers that take it all at once: without msgspec, with it, and with a layout.
USUAL = {
    "compact": ({"id": "a", "x": "é", "startTime": 1}, {"id": "b", "startTime": 2}, (",", ":"), "DDL"),
    "with spaces": ({"id": "a", "x": "},{", "startTime": 1}, {"id": "b", "startTime": 2}, (", ", ": "), "DDL"),
    "texts that are escaped otherwise": ({"id": "a", "x": "a/b", "startTime": 1}, {"id": "b", "startTime": 2}, (",", ":"), "DDL"),
    "a text that looks like two records": ({"id": "a", "x": 'a"},{"id":"', "startTime": 1}, {"id": "b", "startTime": 2}, (",", ":"), "DDL"),
    "spaces and a number that would be written otherwise": (
        {"id": "a", "x": 1e5, "startTime": 1},
        {"id": "b", "startTime": 2},
        None,
        "DDL",
    ),
    "nested": ({"id": "a", "startTime": 1, "x": [{"id": "c"}, {"id": "d"}]}, {"id": "b", "startTime": 2}, (",", ":"), "-DD"),
}
FORMS = {"_Mappings": "D", "_Layout": "L"}


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_page_is_taken_at_once(monkeypatch, name):
    one, other, separators, expected = USUAL[name]
    texts = [json.dumps(record, separators=separators, ensure_ascii=False).replace("/", r"\/").encode() for record in [one, other] * 50]
    between = b", " if separators != (",", ":") else b","
    body = b'{"data":[%s],"warnings":[],"errors":[]}' % between.join(texts)
    taken = []
    monkeypatch.setattr(responses, "decode_records", lambda *arguments: taken.append(decode_records(*arguments)) or taken[-1])
    monkeypatch.setattr(usual_pages, "_layouts", Layouts())
    with monkeypatch.context() as patched:
        patched.setattr(fast, "optional", lambda _name: None)
        told = [read(body)]
    told += [read(body), read(body)]
    forms = [FORMS[type(records._form).__name__] if records is not None else "-" for records in taken]
    assert "".join(forms) == expected
    for page in told:
        assert [record.raw for record in page.records] == texts
        assert list(page.records) == [one, other] * 50
        assert page.records.texts() == texts
        assert page.records.lines() == b"".join(text + b"\n" for text in texts)
        assert page.records[::-1].texts() == page.records[::-1].lines().splitlines() == texts[::-1]
        assert (page.records[1].raw, page.records[-1].raw, page.records[:0].lines()) == (texts[1], texts[1], b"")
        assert [page.records.column(field) for field in ("x", "none")] == [[one["x"], None] * 50, [None] * 100]


def test_a_layout_follows_the_order_of_the_fields_as_it_changes(monkeypatch):
    """It is learnt from one page, and used for the next."""
    monkeypatch.setattr(usual_pages, "_layouts", layouts := Layouts())
    orders = [["id", "startTime"], ["id", "x", "startTime"], ["id", "startTime"], ["startTime", "x", "id"], ["startTime", "id"]]
    uses = []
    for order in orders:
        body = json.dumps({"data": [{name: 7 if name != "id" else "a" for name in order}]}, separators=(",", ":")).encode()
        uses.append([type(read(body).records._form).__name__ for _ in range(4)])
    assert uses == [
        ["_Mappings", "_Layout", "_Layout", "_Layout"],
        ["_Mappings", "_Layout", "_Layout", "_Layout"],
        ["_Layout", "_Layout", "_Layout", "_Layout"],
        ["_Mappings", "_Layout", "_Layout", "_Layout"],
        ["_Layout", "_Layout", "_Layout", "_Layout"],
    ]
    assert layouts._layout.names == ("startTime", "x", "id")
