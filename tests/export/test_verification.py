"""A published object against records of the API: each difference in each format, and what is refused. Nothing is ever written."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from export.support import ENDINGS, PROVED, START_MS, Place, as_sent, counts_of, export, make_records, manifest_name
from export.support import verify as verify_unchecked
from redaction.support import NAMED, redactor

from airflow_provider_capillary.erasure.erase import erase
from airflow_provider_capillary.errors import DestinationError, ReadingStoppedError, UnverifiableError
from airflow_provider_capillary.export import published_object
from airflow_provider_capillary.export.destination import parse_destination
from airflow_provider_capillary.export.formats import block_form, read_lines, write_object
from airflow_provider_capillary.export.spool import Spool
from airflow_provider_capillary.export.tempdir import open_tempdir
from airflow_provider_capillary.export.verification import MOST_IDS, open_verification, summary

CANARY = "asha.canary@example.com"
RECORDS = [
    *(each | {"id": f"r{number}", "message": CANARY} for number, each in enumerate(make_records(20))),
    {"id": "extra", "startTime": START_MS + 5, "amount": 1.5, "nested": {"a": [1, None], "b": CANARY}, "message": None},
]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A run that may be writing is waited for, but no minute."""
    monkeypatch.setattr(published_object, "_PAUSES", (0.01, 0.01))


def verify(uri, records, **options):
    """One verification, whose receipt holds nothing of a record."""
    receipt = verify_unchecked(uri, records, **options)
    assert CANARY not in json.dumps(receipt) + summary(receipt)
    return receipt


def changed(number, **fields):
    return [record | (fields if at == number else {}) for at, record in enumerate(RECORDS)]


LATE = {"id": "late", "startTime": START_MS + 7, "message": CANARY}
TEXT = json.dumps(RECORDS[-1])
assert all(part in TEXT for part in ('"amount": 1.5', '"a": [1, null]'))

# Each row: what the API shows when the object of RECORDS is verified, and the ids of each difference.
DIFFERENCES = {
    "the same": (RECORDS, {}),
    "the same in another order": (RECORDS[::-1], {}),
    "the same with other blanks and escapes": ([*RECORDS[:-1], TEXT.replace(": ", ":").replace("asha", r"\u0061sha")], {}),
    "the same with another order of fields": ([*RECORDS[:-1], json.dumps(dict(reversed(RECORDS[-1].items())))], {}),
    "late": ([*RECORDS, LATE], {"late": ["late"]}),
    "late, of the time of another": ([*RECORDS, LATE | {"startTime": RECORDS[3]["startTime"]}], {"late": ["late"]}),
    "surplus": (RECORDS[1:], {"surplus": ["r0"]}),
    "surplus, the last": (RECORDS[:-1], {"surplus": ["extra"]}),
    "another message": (changed(4, message="other"), {"changed": ["r4"]}),
    "another status": (changed(4, status="EMF_PROCESSOR_FAILED"), {"changed": ["r4"]}),
    "another inputRequest": (changed(4, inputRequest="{}"), {"changed": ["r4"]}),
    "another time": (changed(4, startTime=START_MS + 12_345), {"changed": ["r4"]}),
    "another time, past all others": (changed(4, startTime=START_MS + 12_345_678), {"changed": ["r4"]}),
    "a new field": (changed(4, new=None), {"changed": ["r4"]}),
    "other digits": ([*RECORDS[:-1], TEXT.replace("1.5", "1.50")], {"changed": ["extra"]}),
    "a field within a field": ([*RECORDS[:-1], TEXT.replace("[1, null]", "[null, 1]")], {"changed": ["extra"]}),
    "null and absent": ([*RECORDS[:-1], TEXT.replace(', "message": null', "")], {"changed": ["extra"]}),
    "all at once": ([LATE, *changed(4, message="other")[1:]], {"late": ["late"], "surplus": ["r0"], "changed": ["r4"]}),
    "nothing": ([], {"surplus": sorted(each["id"] for each in RECORDS)}),
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """An object of RECORDS in each format; a verification changes none of them."""
    folder = tmp_path_factory.mktemp("objects")
    for ending in ENDINGS:
        export(map(as_sent, RECORDS), str(folder / f"x{ending}"), read=PROVED)
    return Place(folder=folder)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("row", DIFFERENCES)
def test_each_difference_in_each_format(objects, row, ending):
    records, ids = DIFFERENCES[row]
    before = {name: objects.read(name) for name in objects.names()}
    receipt = verify(objects.uri(f"x{ending}"), records)
    assert {name: objects.read(name) for name in objects.names()} == before
    assert receipt["ids"] == ids
    assert counts_of(receipt) == {kind: len(some) for kind, some in ids.items()}
    assert receipt["is_equal"] is (not ids)
    assert (receipt["events"], receipt["events_in_api"], receipt["manifest_differences"]) == (len(RECORDS), len(records), [])
    assert receipt["exported_at"] == PROVED["proof"]["shown_at"]


def rewrite(place, name, tmp_path, change):
    """Let somebody else rewrite an object, sorted as it was, and leave its manifest."""
    ending = name.removeprefix("x")
    (tmp_path / "old").write_bytes(place.read(name))
    with open_tempdir() as tempdir:
        spool = Spool(tempdir, stop=lambda: False, form=block_form(ending))
        for line in change(list(read_lines(tmp_path / "old", ending=ending))):
            spool.add_line(line)
        write_object(spool.blocks(), tmp_path / "new", ending=ending)
    place.write(name, (tmp_path / "new").read_bytes())


IDS = {"sha256", "events", "ids_sha256"}
FOREIGN = b'{"id":"z","startTime":1758240000000}'

# Each row: what somebody does to the lines of an object, what is found then, and what of the manifest does not fit any more. The API shows
# one record more than the export had written. Beside a foreign record, nothing proves which of the others were lost and which are late.
TAMPERED = {
    "a record is removed": (lambda lines: lines[1:], {"missing": 1, "late": 1}, IDS),
    "most are removed": (lambda lines: lines[:2], {"missing": len(RECORDS) - 2, "late": 1}, IDS),
    "it is emptied": (lambda _: [], {"missing": len(RECORDS), "late": 1}, {"bytes", *IDS}),
    "a record is edited": (
        lambda lines: [lines[0].replace(b"canary", b"yranac"), *lines[1:]],
        {"late": 1, "changed": 1},
        {"sha256"},
    ),
    "a record is added": (lambda lines: [*lines, FOREIGN], {"missing": 1, "surplus": 1}, IDS),
    "a record is added for another": (lambda lines: [*lines[1:], FOREIGN], {"missing": 2, "surplus": 1}, IDS - {"events"}),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("row", TAMPERED)
def test_an_object_that_is_not_what_its_manifest_says(tmp_path, row, ending):
    change, counts, names = TAMPERED[row]
    place = Place(folder=tmp_path)
    export(map(as_sent, RECORDS), place.uri(f"x{ending}"), read=PROVED)
    rewrite(place, f"x{ending}", tmp_path, change)
    receipt = verify(place.uri(f"x{ending}"), [*RECORDS, LATE])
    assert counts_of(receipt) == {kind: len(ids) for kind, ids in receipt["ids"].items()} == counts
    assert ("late" in receipt["ids"].get("late", [])) is ("late" in counts)
    assert set(receipt["manifest_differences"]) - {"bytes"} == names - {"bytes"}
    assert receipt["is_equal"] is False


def test_a_file_with_other_bytes_and_the_same_records_is_a_difference_too(tmp_path):
    export(RECORDS, str(tmp_path / "x.jsonl"), read=PROVED)
    (tmp_path / "x.jsonl").write_bytes((tmp_path / "x.jsonl").read_bytes().replace(b'"id":', b'"id": ', 1))
    receipt = verify(str(tmp_path / "x.jsonl"), RECORDS)
    assert (counts_of(receipt), receipt["manifest_differences"], receipt["is_equal"]) == ({}, ["bytes", "sha256"], False)
    assert summary(receipt).startswith("not what its manifest says (bytes, sha256): 21 event logs in the object")


@pytest.mark.parametrize("ending", [".jsonl.gz", ".parquet"])
def test_in_a_bucket(bucket, tmp_path, ending):
    export(RECORDS, bucket.uri(f"a/x{ending}"), read=PROVED)
    before = bucket.contents()
    receipt = verify(bucket.uri(f"a/x{ending}"), DIFFERENCES["all at once"][0])
    assert counts_of(receipt) == {"late": 1, "surplus": 1, "changed": 1}
    assert (receipt["path"], receipt["uri"]) == (bucket.uri(f"a/x{ending}"), f"s3://{bucket.name}/a/x{ending}")
    assert receipt["manifest"] == bucket.uri(f"a/{manifest_name(f'x{ending}')}")
    assert bucket.contents() == before
    assert bucket.unfinished_uploads() == []
    with pytest.raises(UnverifiableError, match="There is no object"):
        verify(bucket.uri(f"b/x{ending}"), [])
    with pytest.raises(DestinationError, match="does not exist"):
        verify(bucket.uri(f"b/x{ending}").replace(bucket.name, "missing"), [])


def test_the_ids_are_a_hundred_in_all_and_the_counts_are_all(tmp_path):
    many = [{"id": f"n{number:04d}", "startTime": START_MS + number} for number in range(600)]
    export(many[:300], str(tmp_path / "x.jsonl"), read=PROVED)
    receipt = verify(str(tmp_path / "x.jsonl"), [*many[280:], many[0] | {"status": "EVENT_SUCCESS"}])
    assert counts_of(receipt) == {"late": 300, "surplus": 279, "changed": 1}
    assert sum(map(len, receipt["ids"].values())) == MOST_IDS == 100
    assert receipt["ids"]["changed"] == ["n0000"]
    assert receipt["ids"]["late"] == [f"n{number:04d}" for number in range(300, 350)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_redacted_and_what_was_erased_are_no_differences(tmp_path, ending):
    rule = {"inputRequest": "hash", "message": "drop", "detect": {"email": "hash"}, **NAMED}
    place = Place(folder=tmp_path)
    export(map(as_sent, RECORDS), place.uri(f"x{ending}"), apply=redactor(rule), read=PROVED)
    assert next(erase(place.uri(f"x{ending}"), ids=["r3", "r7"])).erased == 2
    receipt = verify(place.uri(f"x{ending}"), [*RECORDS, LATE], redact=redactor(rule))
    assert (counts_of(receipt), receipt["erased_events"]) == ({"late": 1}, 2)
    assert receipt["manifest_differences"] == []
    assert counts_of(verify(place.uri(f"x{ending}"), RECORDS)) == {"changed": len(RECORDS) - 2}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("records", [[], [LATE]])
def test_an_object_without_records(tmp_path, ending, records):
    export([], str(tmp_path / f"x{ending}"), read=PROVED | {"proof": None})
    receipt = verify(str(tmp_path / f"x{ending}"), records)
    assert (counts_of(receipt), receipt["exported_at"]) == ({"late": len(records)} if records else {}, None)


def without(*names):
    def edit(place):
        for name in names:
            place.remove(name)

    return edit


def edit_manifest(**changes):
    def edit(place):
        name = manifest_name("x.jsonl")
        place.write(name, json.dumps(json.loads(place.read(name)) | changes).encode())

    return edit


def replaced_by(content):
    return lambda place: place.write("x.jsonl", content)


def cut(place):
    place.write("x.jsonl", place.read("x.jsonl")[:-3])


MANIFEST = manifest_name("x.jsonl")
PENDING = {"erasures": {"ids": [], "runs": [], "pending": "0" * 64}}

# Each row: what becomes of an object and its manifest, the reason of the refusal, and a part of its text.
REFUSED = {
    "no object, no manifest": (without("x.jsonl", MANIFEST), "no object", "There is no object"),
    "a manifest alone": (without("x.jsonl"), "unreadable", "is not there any more"),
    "no manifest": (without(MANIFEST), "no manifest", "has no manifest,"),
    "no JSON": (lambda place: place.write(MANIFEST, b"{"), "no manifest", "has no manifest that can be read"),
    "of another version": (edit_manifest(manifest_version=3), "no manifest", "has no manifest that can be read"),
    "of the first version": (edit_manifest(manifest_version=1, stands_for=None), "no manifest", "no manifest that can be read"),
    "says too little": (edit_manifest(stands_for={"start": "2025-09-18T00:00:00Z"}), "no claims", "does not say which event_name"),
    "an erasure broken off": (edit_manifest(**PENDING), "being written", "An erasure of records"),
    "another format": (replaced_by(b"PAR1\x00\x00PAR1"), "unreadable", "can't be read as a .jsonl object"),
    "cut off": (cut, "unreadable", "can't be read as a .jsonl object"),
    "out of order": (
        replaced_by(b'{"id":"b","startTime":1758153600000}\n{"id":"a","startTime":1758153600000}\n'),
        "unreadable",
        "records out of order",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_cannot_be_verified_is_refused_before_the_reading(tmp_path, row):
    change, reason, said = REFUSED[row]
    place = Place(folder=tmp_path)
    export(RECORDS, place.uri("x.jsonl"), read=PROVED)
    change(place)
    before = {name: place.read(name) for name in place.names()}
    with (
        pytest.raises(UnverifiableError) as caught,
        open_verification(parse_destination(place.uri("x.jsonl")), log=logging.getLogger("tests"), killed=lambda: False),
    ):
        pytest.fail("it was opened")
    assert said in str(caught.value)
    assert (caught.value.reason, caught.value.retryable) == (reason, reason == "being written")
    assert caught.value.hint
    assert {name: place.read(name) for name in place.names()} == before


def test_a_manifest_of_the_first_version_does_not_say_enough(tmp_path):
    place = Place(folder=tmp_path)
    export(RECORDS, place.uri("x.jsonl"), read=PROVED)
    content = json.loads(place.read(MANIFEST))
    del content["stands_for"]
    place.write(MANIFEST, json.dumps(content | {"manifest_version": 1}).encode())
    with pytest.raises(UnverifiableError, match=r"versions up to 0\.1") as caught:
        verify(place.uri("x.jsonl"), RECORDS)
    assert caught.value.reason == "no claims"


def test_a_run_that_is_between_object_and_manifest_is_waited_for(place, monkeypatch):
    """The object of the second export is there, the manifest still that of the first, and then that of the second."""
    monkeypatch.setattr(published_object, "_PAUSES", (0.5, 5, 5))
    export(RECORDS[1:], place.uri("x.jsonl"), read=PROVED)
    old = place.read(MANIFEST)
    export(RECORDS, place.uri("x.jsonl"), read=PROVED)
    new = place.read(MANIFEST)
    place.write(MANIFEST, old)
    writing = threading.Timer(0.2, place.write, (MANIFEST, new))
    writing.start()
    receipt = verify(place.uri("x.jsonl"), RECORDS)
    writing.join()
    assert receipt["is_equal"]


@pytest.mark.parametrize("step", ["while it waits", "while it reads"])
def test_an_object_that_a_run_writes_meanwhile_is_refused(place, monkeypatch, step):
    export(RECORDS[1:], place.uri("x.jsonl"), read=PROVED)

    describe_another = edit_manifest(object={"bytes": 1, "sha256": "", "etag": None})

    def write_again():
        export(RECORDS, place.uri("x.jsonl"), read=PROVED)
        describe_another(place)

    def records():
        yield RECORDS[0]
        write_again()

    if step == "while it waits":
        describe_another(place)
        monkeypatch.setattr(published_object.PublishedObject, "_wait", lambda *_: write_again())
    with pytest.raises(UnverifiableError, match=r"A run wrote .* while it was verified") as caught:
        verify(place.uri("x.jsonl"), records())
    assert caught.value.retryable


@pytest.mark.parametrize("step", ["while it waits", "while it reads"])
def test_a_verification_that_is_stopped_ends(tmp_path, step):
    export(RECORDS, str(tmp_path / "x.jsonl"), read=PROVED)
    running = []

    def records():
        yield RECORDS[0]
        running[0].stop()

    if step == "while it waits":
        Place(folder=tmp_path).remove(MANIFEST)
    with pytest.raises(ReadingStoppedError):
        verify(str(tmp_path / "x.jsonl"), records(), running=running, killed=lambda: step == "while it waits")
