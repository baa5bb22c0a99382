"""The four formats: what a record looks like in each, and that equal records give equal bytes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from export.support import ENDINGS, START_MS, batched, export, in_order, lines_of, make_records, unpack

from airflow_provider_capillary import fast
from airflow_provider_capillary.api import usual_pages
from airflow_provider_capillary.api.effects import Response
from airflow_provider_capillary.api.layouts import Layouts
from airflow_provider_capillary.api.responses import read_page
from airflow_provider_capillary.errors import CapillaryError, DestinationError, MalformedAnswerError
from airflow_provider_capillary.export import parquet
from airflow_provider_capillary.export.arrays import are_arrays
from airflow_provider_capillary.export.formats import ForeignObjectError, format_of, read_pairs, require_format
from airflow_provider_capillary.export.json_lines import to_json
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

GOOD_NAMES = {
    "s3://b/{{ ds }}.jsonl.gz": ".jsonl.gz",
    "s3://conn@b/a/{{ data_interval_start | ds }}.parquet": ".parquet",
    "/tmp/x.jsonl": ".jsonl",  # noqa: S108
    "file:///x/y.parquet.jsonl": ".jsonl",
    "gs://b/x.jsonl.zst": ".jsonl.zst",
    "x.jsonl": ".jsonl",
}
BAD_NAMES = [
    "",
    "s3://b/x",
    "s3://b/x.json",
    "s3://b/x.gz",
    "s3://b/x.jsonl/",
    "s3://b/x.JSONL",
    "s3://b/.jsonl",
    "{{ var.value.x }}",
    ".parquet",
]


@pytest.mark.parametrize(("name", "ending"), GOOD_NAMES.items())
def test_the_ending_chooses_the_format(name, ending):
    assert format_of(name) == ending


@pytest.mark.parametrize("name", BAD_NAMES)
def test_any_other_ending_is_an_error_that_names_value_and_cure(name):
    with pytest.raises(DestinationError) as caught:
        format_of(name)
    assert repr(name) in str(caught.value)
    assert ".jsonl.gz" in caught.value.hint


@pytest.mark.parametrize(("ending", "module", "extra"), [(".jsonl.zst", "zstandard", "zstd"), (".parquet", "pyarrow", "parquet")])
def test_a_missing_package_names_its_extra(monkeypatch, tmp_path, ending, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DestinationError, match=rf"airflow-provider-capillary\[{extra}\]"):
        require_format(ending)
    monkeypatch.setattr(CapillaryHook, "iter_pages", lambda *_args, **_options: pytest.fail("asked, though nothing could be written"))
    task = CapillaryEventLogsToObjectStorageOperator(
        task_id="export", destination=str(tmp_path / f"x{ending}"), start="2025-09-18T00:00:00Z", end="2025-09-19T00:00:00Z"
    )
    with pytest.raises((AirflowFailException, DestinationError), match=rf"airflow-provider-capillary\[{extra}\]"):
        task.execute({})


# What the environment says before an export imports pyarrow, and what pyarrow then allocates by.
@pytest.mark.parametrize(("chosen", "used"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")])
def test_pyarrow_allocates_by_what_takes_the_least_memory_unless_a_user_chose_otherwise(chosen, used):
    script = """
import os
before = dict(os.environ)
from airflow_provider_capillary.export.formats import block_form
block_form(".parquet")
import pyarrow
assert os.environ == before
print(pyarrow.default_memory_pool().backend_name)
"""
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, env=environment | chosen)
    assert done.stdout.strip() == used


# One record of everything that JSON and a careless server can hold.
STRANGE = [
    {"id": "b", "startTime": START_MS, "status": None},
    {"id": "a", "startTime": START_MS, "zeta": {"y": [1, None, True], "x": 1.5}, "alpha": 10**40, "status": "EVENT_SUCCESS"},
    {"startTime": START_MS + 1, "message": "one\u2028two\u0085three\nfour\u2029 naïve नमन", "id": "ids\nmay\thold anything", "status": ""},
    {"startTime": START_MS + 2, "message": "lone \ud83d surrogate", "id": "\udc00", "status": ["LIST"], "responseTime": "12"},
    {"startTime": START_MS + 3, "id": "", "responseTime": 2**63, "orgId": True, "parentOrgId": 1.0, "_extra": "mine", "eventName": 5},
]
STRANGE_STATUSES = {"NO_STATUS": 3, "EVENT_SUCCESS": 1, '["LIST"]': 1}


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_json_lines_hold_every_record_as_it_was_sent(tmp_path, ending):
    target = tmp_path / f"x{ending}"
    receipt = export(iter(STRANGE), str(target))
    read = unpack(target.read_bytes(), ending)  # splits at everything that Python takes for the end of a line
    assert [list(record.items()) for record in read] == [list(record.items()) for record in in_order(STRANGE)]
    assert receipt["statuses"] == STRANGE_STATUSES
    assert (receipt["events"], receipt["failures"]) == (5, 4)


def test_parquet_has_typed_columns_and_loses_nothing(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = tmp_path / "x.parquet"
    export(iter(STRANGE), str(target))
    table = pq.read_table(target)
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("startTime", "timestamp[ms, tz=UTC]"),
        ("responseTime", "int64"),
        ("orgId", "int64"),
        ("status", "string"),
        ("eventName", "string"),
        ("inputRequest", "string"),
        ("id", "string"),
        ("webhookId", "string"),
        ("parentOrgId", "int64"),
        ("message", "string"),
        ("_extra", "string"),
    ]
    rebuilt = []
    for row in table.set_column(0, "startTime", table["startTime"].cast(pa.int64())).to_pylist():
        extra = json.loads(row.pop("_extra") or "{}")
        rebuilt.append({name: value for name, value in row.items() if value is not None} | extra)
    assert rebuilt == in_order(STRANGE)
    assert [type(record.get("orgId")) for record in rebuilt][-1] is bool
    assert [pair[1] for pair in read_pairs(target, ending=".parquet")] == ["a", "b", "ids\nmay\thold anything", "\udc00", ""]


def test_parquet_times_are_utc_instants(tmp_path):
    target = tmp_path / "x.parquet"
    export([{"id": "x", "startTime": 1_758_171_830_945}], str(target))
    assert unpack(target.read_bytes(), ".parquet")[0]["startTime"] == datetime(2025, 9, 18, 5, 3, 50, 945_000, tzinfo=UTC)


# What stands in an answer for one record, and what of it stands in ``_extra`` of parquet: the number's own text.
OWN_TEXT = {
    "more digits than a float holds": ('"x":1234567890.123456789', '"x":1234567890.123456789'),
    "a fraction of zero": ('"x":1.0', '"x":1.0'),
    "a trailing zero": ('"x":1.10', '"x":1.10'),
    "an exponent": ('"x":1E5', '"x":1E5'),
    "beyond any float": ('"x":-1e400', '"x":-1e400'),
    "nearer to zero than any float": ('"x":1e-400', '"x":1e-400'),
    "a negative zero": ('"x":-0', '"x":-0'),
    "a large integer": ('"x":123456789012345678901234567890', '"x":123456789012345678901234567890'),
    "more digits than Python converts": (f'"x":{"9" * 5_000}', f'"x":{"9" * 5_000}'),
    "deep inside": ('"x":{"y":[1.10,{"z":2.50}]}', '"x":{"y":[1.10,{"z":2.50}]}'),
    "in a documented field": ('"responseTime":0.30000000000000000001', '"responseTime":0.30000000000000000001'),
    "an escape": (r'"x":"\u00e9\/é"', '"x":"é/é"'),
    "blanks and line breaks": ('"x" : [ 1.10 ,\r\n\t2 ]', '"x":[1.10,2]'),
    "a line separator": ('"x":"a\u2028b"', r'"x":"a\u2028b"'),
}
OWN_LINE = {"blanks and line breaks": '"x" : [ 1.10 ,2 ]', "a line separator": r'"x":"a\u2028b"'}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_has_what_the_api_wrote_number_for_number(tmp_path, ending):
    bodies = [f'{{"startTime":{START_MS + n},"id":"a",{sent}}}' for n, (sent, _) in enumerate(OWN_TEXT.values())]
    answer = read_page(Response(status=200, headers={}, body=f'{{"data":[{",".join(bodies)}]}}'.encode()), "asked")
    target = tmp_path / f"x{ending}"
    receipt = export(answer.records, str(target))
    assert receipt["events"] == len(OWN_TEXT)
    if ending == ".parquet":
        assert [row["_extra"] for row in unpack(target.read_bytes(), ending)] == [f"{{{extra}}}" for _, extra in OWN_TEXT.values()]
    else:
        expected = [
            f'{{"startTime":{START_MS + n},"id":"a",{OWN_LINE.get(name, sent)}}}' for n, (name, (sent, _)) in enumerate(OWN_TEXT.items())
        ]
        assert lines_of(target.read_bytes(), ending) == expected
    # A rerun reads it back.
    assert export(answer.records[1:], str(target), on_vanished="drop")["vanished_events"] == 1
    assert len(list(read_pairs(target, ending=ending))) == len(OWN_TEXT) - 1


# What a column may take otherwise than it is. ``True``: the JSON of no record is decoded again.
ROWS = {
    "every column": (b'{"startTime":1,"responseTime":2,"orgId":3,"status":"a","eventName":"b","inputRequest":"c","id":"d"}', True),
    "few columns": (b'{"startTime":1,"id":"d"}', True),
    "another order": (b'{"id":"d","message":"m","startTime":1}', True),
    "nulls inside of a text": (rb'{"id":"d","startTime":1,"inputRequest":"{\"a\":null,\"b\": null}"}', True),
    "a word in a text": (b'{"id":"d","startTime":1,"message":"null and void"}', True),
    "a column that is null": (b'{"id":"d","startTime":1,"message":null}', True),
    "a column that is null, after a space": (b'{"id": "d", "startTime": 1, "message": null}', True),
    "an unknown field": (b'{"id":"d","startTime":1,"x":1}', True),
    "an unknown field that is null": (rb'{"id":"d","startTime":1,"x\\":null}', True),
    "a text in an unknown field": (rb'{"id":"d","startTime":1,"x":"\u00e9\/ \"\u2028\u007f\u001f\b<>"}', True),
    "a long text in an unknown field": (b'{"id":"d","startTime":1,"x":"%s\xc2\x85"}' % (b"a" * 400), True),
    "unknown fields around a null": (b'{"id":"d","x":true,"message":null,"startTime":1,"y":null,"a":"","z":-7}', True),
    "an unknown nought": (b'{"id":"d","startTime":1,"x":0}', False),
    "an unknown nought with a sign": (b'{"id":"d","startTime":1,"x":-0}', False),
    "an unknown fraction": (b'{"id":"d","startTime":1,"message":null,"x":1.10}', False),
    "an unknown integer of any size": (b'{"id":"d","startTime":1,"x":%s}' % (b"9" * 400), True),
    "an unknown object": (b'{"id":"d","startTime":1,"x":{"a":[1.10]}}', False),
    "an unknown field beside a column of another type": (b'{"id":"d","startTime":1,"x":"1","orgId":"5","message":null}', False),
    "our own column": (b'{"id":"d","startTime":1,"_extra":"{}"}', True),
    "escapes": (rb'{"id":"\u00e9\/\n\ud83d\ude00","startTime":1}', True),
    "UTF-8": ('{"id":"नमन😀","startTime":1}'.encode(), True),
    "a lone surrogate": (rb'{"id":"\ud83d","startTime":1}', False),
    "a null character": (rb'{"id":"a\u0000b","startTime":1}', True),
    "the largest integer": (b'{"id":"d","startTime":1,"orgId":9223372036854775807}', True),
    "a larger integer": (b'{"id":"d","startTime":1,"orgId":9223372036854775808}', False),
    "the least integer": (b'{"id":"d","startTime":-1,"orgId":-9223372036854775808}', True),
    "an integer of any size": (b'{"id":"d","startTime":1,"orgId":%s}' % (b"9" * 400), False),
    "a fraction": (b'{"id":"d","startTime":1,"orgId":1.0}', False),
    "an exponent": (b'{"id":"d","startTime":1,"orgId":1e2}', False),
    "a truth": (b'{"id":"d","startTime":1,"orgId":true}', False),
    "a number for a text": (b'{"id":"d","startTime":1,"status":5}', False),
    "a text for a number": (b'{"id":"d","startTime":1,"orgId":"5"}', False),
    "an object for a text": (b'{"id":"d","startTime":1,"status":{"a":1}}', False),
    "a list for a text": (b'{"id":"d","startTime":1,"status":["a"]}', False),
    "a text that looks like a time": (b'{"id":"2025-09-18T00:00:00Z","startTime":1,"message":"2025-09-18"}', True),
    "an empty text": (b'{"id":"","startTime":1,"message":""}', True),
    "blanks": (b'{ "id" : "d" ,\t"startTime" : 1 }', True),
    "a line separator": ('{"id":"a\u2028b","startTime":1}'.encode(), True),
}


@pytest.mark.parametrize("name", ROWS)
def test_columns_are_made_alike_of_answers_and_of_lines(monkeypatch, name):
    import pyarrow as pa

    row, is_fast = ROWS[name]
    # Fields in the order of the row's.
    neighbours = [{"startTime": 1, "id": "before", "message": "m"}, {"startTime": 2, "id": "after"}]
    if row.startswith(b'{"id"'):
        neighbours = [dict(sorted(neighbour.items())) for neighbour in neighbours]
    before, after = (to_json(neighbour).encode() for neighbour in neighbours)
    lines = [before, row, after]
    columns, rows, decode, decoded = parquet.Columns(), list(map(parquet._row_of, lines)), parquet.exact_fields_of, []
    expected = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), columns._schema, strict=True)]
    monkeypatch.setattr(parquet, "exact_fields_of", lambda line: decoded.append(line) or decode(line))
    made = [columns.of_lines(lines)]
    if b'"startTime":-1' not in row and b'"id":""' not in row:
        body = b'{"data":[' + b",".join(lines) + b"]}"
        monkeypatch.setattr(usual_pages, "_layouts", Layouts())
        answers = [read_page(Response(status=200, headers={}, body=body), "asked") for _ in range(2)]  # the second by its layout, if usual
        with monkeypatch.context() as patched:
            patched.setattr(fast, "optional", lambda _name: None)
            answers += [read_page(Response(status=200, headers={}, body=body), "asked", decode) for decode in (None, columns.decode)]
        made += [columns.of_page(answer.records) for answer in answers]
    for block in made:
        assert columns.opened(block).columns == expected
    assert len(decoded) == (0 if is_fast else len(made))


def test_blocks_of_columns_are_cut_and_joined():
    columns = parquet.Columns()
    lines = [b'{"startTime":%d,"id":"%d","x":%d}' % (number, number, number) for number in range(9)]
    parts = [columns.part(columns.opened(columns.of_lines(lines)), low, high) for low, high in ((0, 2), (2, 3), (3, 9))]
    assert columns.opened(columns.joined(parts)) == columns.opened(columns.of_lines(lines))


def test_parquet_is_the_same_file_from_answers_and_from_records(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_ROWS_IN_GROUP", 1_100)
    records = [record | {"status": record.get("status", "S")} for record in make_records(2_500)]
    export(records, str(tmp_path / "records.parquet"))
    bodies = [b'{"data":[' + b",".join(to_json(record).encode() for record in some) + b"]}" for some in batched(records, 1_000)]
    for name, decode in (("fast", None), ("plain", None), ("columns", parquet.Columns().decode)):
        if name != "fast":
            monkeypatch.setattr(fast, "optional", lambda _name: None)
        pages = [read_page(Response(status=200, headers={}, body=body), "asked", decode).records for body in bodies]
        assert {are_arrays(page.columns(("id", "status"))[0]) for page in pages} == {name == "columns"}
        export([], str(tmp_path / f"{name}.parquet"), pages=pages)
        assert (tmp_path / f"{name}.parquet").read_bytes() == (tmp_path / "records.parquet").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_records_in_any_order_give_the_same_bytes(tmp_path, ending):
    records = list(make_records(2_000))
    targets = [tmp_path / f"{name}{ending}" for name in ("one", "two", "three")]
    receipts = [export(records, str(targets[0])), export(reversed(records), str(targets[1])), export(records * 2, str(targets[2]))]
    assert targets[0].read_bytes() == targets[1].read_bytes() == targets[2].read_bytes()
    assert len({receipt["sha256"] for receipt in receipts}) == 1
    pairs = list(read_pairs(targets[0], ending=ending))
    assert pairs == [(record["startTime"], record["id"]) for record in in_order(records)]


def test_gzip_carries_neither_time_nor_name(tmp_path):
    target = tmp_path / "x.jsonl.gz"
    export(make_records(3), str(target))
    header = target.read_bytes()[:10]
    assert header[3] == 0, "flags: a file name or comment"
    assert header[4:8] == bytes(4), "modification time"


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_object_without_records_can_be_read(tmp_path, ending):
    target = tmp_path / f"x{ending}"
    receipt = export([], str(target))
    assert unpack(target.read_bytes(), ending) == []
    assert list(read_pairs(target, ending=ending)) == []
    assert (receipt["events"], receipt["first_start_time"], receipt["statuses"]) == (0, None, {})
    assert receipt["bytes"] == target.stat().st_size


FOREIGN = {
    "nothing of ours": b"hello\n",
    "no line feed": b'{"startTime":1,"id":"a"}',
    "unsorted": b'{"startTime":2,"id":"a"}\n{"startTime":1,"id":"a"}\n',
    "twice": b'{"startTime":2,"id":"a"}\n{"startTime":2,"id":"a"}\n',
    "another shape": b"[1, 2]\n",
    "no id": b'{"startTime":2}\n',
    "a time as text": b'{"startTime":"2","id":"a"}\n',
    "not text": b"\xff\xfe\n",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_object_is_told_apart(tmp_path, content):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(ForeignObjectError):
        list(read_pairs(tmp_path / "x.jsonl", ending=".jsonl"))


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst", ".parquet"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "flipped"])
def test_a_damaged_object_is_told_apart(tmp_path, ending, damage):
    target = tmp_path / f"x{ending}"
    export(make_records(500), str(target))
    content = target.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "garbage": b"garbage" * 100,
        "empty": b"",
        "flipped": content[:5] + bytes(byte ^ 0xFF for byte in content[5:40]) + content[40:],
    }
    target.write_bytes(damaged[damage])
    if damage == "empty" and ending == ".jsonl.gz":
        # No members at all is a valid gzip file of nothing.
        assert list(read_pairs(target, ending=ending)) == []
        return
    with pytest.raises((ForeignObjectError, AssertionError)):
        assert len(list(read_pairs(target, ending=ending))) == 500
    if damage != "flipped":
        with pytest.raises(ForeignObjectError):
            list(read_pairs(target, ending=ending))


BAD_RECORDS = [
    {"id": "x"},
    {"startTime": START_MS},
    {"id": 5, "startTime": START_MS},
    {"id": "x", "startTime": str(START_MS)},
    {"id": "x", "startTime": True},
    {"id": "x", "startTime": 10**20},
    {"id": "x", "startTime": 1.5},
    {"id": "x", "startTime": START_MS, "when": datetime(2025, 1, 1, tzinfo=UTC)},
]


@pytest.mark.parametrize("record", BAD_RECORDS, ids=str)
def test_a_record_without_identity_ends_the_export_and_shows_no_value(tmp_path, record):
    target = tmp_path / "x.jsonl"
    target.write_bytes(b"old\n")
    with pytest.raises(MalformedAnswerError) as caught:
        export([*make_records(2), record | {"message": "private"}], str(target), on_vanished="drop")
    assert isinstance(caught.value, CapillaryError)
    assert "private" not in str(caught.value)
    assert target.read_bytes() == b"old\n"


def test_gzip_is_what_it_says(tmp_path):
    target = tmp_path / "x.jsonl.gz"
    export(make_records(10), str(target))
    assert gzip.decompress(target.read_bytes()).count(b"\n") == 10


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_stands_in_a_store_is_read_back_in_each_format(bucket, temporary_directory, ending):
    records = list(make_records(200))
    export(records[:150], bucket.uri(f"x{ending}"))
    assert export(records, bucket.uri(f"x{ending}"))["late_events"] == 50
    assert list(temporary_directory.iterdir()) == []
