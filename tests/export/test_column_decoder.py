"""Answers that pyarrow decodes are read as without it, and what it may not take is left to others."""

from __future__ import annotations

import json

import pytest
from api.test_responses import RECORD, STRANGE_LISTS
from export.support import export
from redaction.support import redactor

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.effects import ReadClock, Response, Send
from airflow_provider_capillary.api.executor import Credential, RequestExecutor
from airflow_provider_capillary.api.responses import read_page
from airflow_provider_capillary.errors import MalformedAnswerError
from airflow_provider_capillary.export.arrays import are_arrays
from airflow_provider_capillary.export.parquet import Columns

NAMES = {b'"x"': b'"message"', b'"\\u0078"': b'"mes\\u0073age"', b'"y"': b'"status"', b'"z"': b'"orgId"'}
LATEST = 6 * 10**13
STRANGE = STRANGE_LISTS | {"no comma": RECORD + RECORD, "a space for a comma": RECORD + b" " + RECORD, "a line feed": RECORD + b"\n,"}
# Of these, with the documented names in place of others: what is taken at once, between two usual records.
TAKEN = {"usual", "with spaces", "a pair of surrogates", "UTF-8", "escapes", "huge"}


def read(body, decode):
    """The records of a body, or the error."""
    try:
        page = read_page(Response(status=200, headers={}, body=body), "asked", decode)
    except MalformedAnswerError as error:
        return str(error)
    records = page.records
    half = records.ordered()[: len(records) // 2 + 1]
    return [
        list(map(dict, records)),
        [record.raw for record in records],
        records.lines(),
        [records.column(name) for name in ("startTime", "status", "none")],
        half.pairs(),
        half.texts(),
        list(map(dict, half)),
        half.column("message"),
    ]


@pytest.fixture
def _plain(monkeypatch):
    monkeypatch.setattr(fast, "optional", lambda _name: None)


@pytest.mark.usefixtures("_plain")
@pytest.mark.parametrize("name", STRANGE)
def test_an_answer_is_read_as_without_pyarrow(name):
    listed = STRANGE[name]
    for other, documented in NAMES.items():
        listed = listed.replace(other, documented)
    later = RECORD.replace(b"1758", b"1759").replace(b"-id", b"-od")
    taken = []
    for parts in ([listed], [later, listed, RECORD], [RECORD, listed, later, later]):
        for comma in (b",", b", "):
            body = b'{"data":[%s],"warnings":[],"errors":[]}' % comma.join(parts)
            decode = Columns().decode
            assert read(body, lambda *arguments, decode=decode: taken.append(decode(*arguments)) or taken[-1]) == read(body, None)
    assert {records is not None for records in taken[2:]} == {name in TAKEN}


# Each row: two records, and the places of those whose JSON has to be looked at.
NULLS = {
    "absent": (b'{"id":"a","startTime":1}', b'{"id":"b","startTime":2}', []),
    "sent": (b'{"id":"a","startTime":1,"message":null}', b'{"id":"b","startTime":2,"status":"null"}', [0]),
    "sent, after blanks": (b'{"id":"a","startTime":1}', b'{"id":"b","startTime":2,"status" :\t null}', [1]),
    "inside of texts": (rb'{"id":"a","startTime":1,"message":"{\"x\":null}"}', rb'{"id":"b","startTime":2,"message":"null"}', []),
}


@pytest.mark.parametrize("name", NULLS)
def test_what_was_sent_as_null_is_told_from_what_was_not_sent(name):
    one, other, expected = NULLS[name]
    records = Columns().decode(b"[" + one + b"," + other + b"]", LATEST)
    assert records.columns(("status", "message"))[1] == expected
    assert records[::-1].columns(("status", "message"))[1] == [1 - place for place in expected]
    assert [column.to_pylist() for column in records.columns(("status", "message"))[0]] == [
        [json.loads(text).get(field) for text in (one, other)] for field in ("status", "message")
    ]


USUAL = '{"id":"a","startTime":1,"channel":"sms","message":"m"}'
# Each row: what the second record of an answer holds beside its id and time, and whether pyarrow takes the answer once it knows `channel`
# and `tier`.
UNKNOWN = {
    "a text": ('"channel":"naïve \\u2028 \\"x\\""', True),
    "none": ('"message":"m"', True),
    "a null": ('"channel":null', True),
    "a null beside it": ('"status":null,"channel":"email"', True),
    "two texts": ('"channel":"email","tier":"gold"', True),
    "two texts, the other way round": ('"tier":"gold","message":"m","channel":"email"', True),
    "a number": ('"channel":1.50', False),
    "an object": ('"channel":{"a":1}', False),
    "one more": ('"channel":"a","zone":"b"', False),
}


@pytest.mark.usefixtures("_plain")
@pytest.mark.parametrize("name", UNKNOWN)
def test_fields_of_texts_beside_the_documented_ones_become_known(name):
    """The block is the same as without pyarrow's decoder."""
    fields, is_taken = UNKNOWN[name]
    body = f'{{"data":[{USUAL},{{"id":"b","startTime":2,{fields}}}],"warnings":[],"errors":[]}}'
    form = Columns()
    first = f'{{"data":[{USUAL},{{"id":"b","startTime":2,"tier":"x"}}]}}'
    form.of_page(read_page(Response(status=200, headers={}, body=first.encode()), "asked", form.decode).records)
    blocks = []
    for decode in (form.decode, None):
        records = read_page(Response(status=200, headers={}, body=body.encode()), "asked", decode).records
        taken = are_arrays(records.columns(("id", "message"))[0])
        assert taken == (is_taken and decode is not None)
        blocks.append(form.opened(form.of_page(records)).to_pylist())
    assert blocks[0] == blocks[1]


def test_any_order_and_any_part_of_an_answer_can_be_had():
    """Few stretches of neighbours are copied otherwise than many."""
    times = [number * 7 % 400 for number in range(400)]
    listed = json.dumps([{"id": f"{time:03}", "startTime": time, "message": f"m{time}"} for time in times], separators=(",", ":")).encode()
    records = Columns().decode(listed, LATEST)
    for some in (records, records[3:9], records[::-1], records.ordered(), records.ordered()[7:], records.ordered().without({"005", "100"})):
        messages = some.columns(("startTime", "message"))[0][1].to_pylist()
        assert messages == some.column("message") == [f"m{time}" for time in some.times]


def test_the_next_answers_are_not_tried_after_failures(monkeypatch):
    decoder, tries = Columns().decode.__self__, []
    monkeypatch.setattr(decoder, "_decode", lambda *_: tries.append(1))
    counts = [decoder.decode(b"[]", LATEST) or len(tries) for _ in range(12)]
    assert counts == [1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4]


def test_an_export_offers_it_where_it_writes_records_to_parquet_as_they_came(tmp_path):
    opened = []
    for name, apply in (("x.parquet", None), ("x.jsonl", None), ("y.parquet", redactor({"message": "drop"}))):
        export([], str(tmp_path / name), running=opened, apply=apply)
    assert [each.decode is not None for each in opened] == [True, False, False]


@pytest.mark.usefixtures("_plain")
def test_the_executor_asks_it_first():
    executor = RequestExecutor(credential=Credential(oauth=False, described="made up"), per_minute=60)
    executor.decode = Columns().decode
    body = b'{"data":[%s,%s]}' % (RECORD, RECORD.replace(b"-id", b"-od"))
    outcomes = {Send: Response(status=200, headers={}, body=body), ReadClock: 0.0}
    page = result_of(executor.logs({}), outcomes)
    assert are_arrays(page.records.columns(("id", "status"))[0])


def result_of(flow, outcomes):
    """Run a flow whose effects have these outcomes."""
    outcome = None
    while True:
        try:
            effect = flow.send(outcome)
        except StopIteration as ended:
            return ended.value
        outcome = outcomes.get(type(effect))
