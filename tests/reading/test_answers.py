"""Which bodies of a 200 are taken for event logs, and what is said of those that are not."""

from __future__ import annotations

import pytest

from airflow_provider_capillary.errors import AuthenticationError, MalformedAnswerError
from airflow_provider_capillary.reading.answers import read_answer
from airflow_provider_capillary.reading.steps import Reply

RECORD = b'{"id":"canary-id","startTime":1758171830945,"message":"canary"}'


def read(body: bytes):
    return read_answer(Reply(status=200, headers={"content-type": "application/json", "x-cap-requestid": "r-1"}, body=body), "GET /logs")


TAKEN = {
    "the documented envelope": (b'{"data":[%s],"warnings":[],"errors":[]}' % RECORD, 1, 0),
    "without records": (b'{"data":[],"warnings":[],"errors":[]}', 0, 0),
    "nothing beside the data": (b'{"data":[%s]}' % RECORD, 1, 0),
    "what other endpoints write for no errors: null": (b'{"data":[%s],"warnings":null,"errors":null}' % RECORD, 1, 0),
    "what other endpoints write for no errors: [{}]": (b'{"data":[%s],"errors":[{}]}' % RECORD, 1, 0),
    "warnings are counted": (b'{"data":[%s],"warnings":["slow",{}]}' % RECORD, 1, 1),
    "a mark of the byte order": (b'\xef\xbb\xbf{"data":[%s]}' % RECORD, 1, 0),
    "an integer of any size in a field of no matter": (b'{"data":[{"id":"a","startTime":1,"orgId":%s}]}' % (b"9" * 400), 1, 0),
    "the earliest time": (b'{"data":[{"id":"a","startTime":0}]}', 1, 0),
    "a code inside a record is no error": (b'{"data":[{"id":"a","startTime":1,"code":401,"status":"401"}]}', 1, 0),
}


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken(name):
    body, records, warnings = TAKEN[name]
    answer = read(body)
    assert (len(answer), answer.warnings) == (records, warnings)


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
    "two `id` in a record": (b'{"data":[{"id":"a","id":"b","startTime":1}]}', "the same key twice"),
    "NaN": (b'{"data":[{"id":"a","startTime":1,"x":NaN}]}', "NaN in the JSON"),
    "a number beyond any float": (b'{"data":[{"id":"a","startTime":1,"x":1e999}]}', "beyond any float"),
    "no `data`": (b'{"warnings":[],"errors":[]}', "without `data`"),
    "`data` null": (b'{"data":null}', "not a list (null)"),
    "`data` an object": (b'{"data":{}}', "not a list (object)"),
    "errors beside data": (b'{"data":[%s],"errors":[{"code":4000}]}' % RECORD, "1 non-empty `errors` with codes [4000]"),
    "an error that is a text": (b'{"data":[%s],"errors":"canary"}' % RECORD, "1 non-empty `errors`"),
    "a record that is a text": (b'{"data":["canary"]}', "not an object (string)"),
    "a record without `id`": (b'{"data":[{"startTime":1}]}', "without an `id`"),
    "an empty `id`": (b'{"data":[{"id":"","startTime":1}]}', "without an `id`"),
    "an `id` that is a number": (b'{"data":[{"id":5,"startTime":1}]}', "without an `id`"),
    "no time": (b'{"data":[{"id":"a"}]}', "not epoch milliseconds"),
    "a time that is a text": (b'{"data":[{"id":"a","startTime":"1"}]}', "not epoch milliseconds"),
    "a time that is a truth": (b'{"data":[{"id":"a","startTime":true}]}', "not epoch milliseconds"),
    "a time with a fraction": (b'{"data":[{"id":"a","startTime":1.0}]}', "not epoch milliseconds"),
    "a time before 1970": (b'{"data":[{"id":"a","startTime":-1}]}', "not epoch milliseconds"),
    "a time in microseconds": (b'{"data":[{"id":"a","startTime":1758171830945000}]}', "not epoch milliseconds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_an_error_that_another_try_may_cure(name):
    body, said = REFUSED[name]
    with pytest.raises(MalformedAnswerError) as caught:
        read(body)
    assert said in str(caught.value)
    assert caught.value.retryable
    assert (caught.value.asked, caught.value.request_id) == ("GET /logs", "r-1")
    assert "canary" not in str(caught.value)


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
