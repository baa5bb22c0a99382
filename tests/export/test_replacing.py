"""When a run may replace an object: only one that stands for the same, and without losing a record unless the user said so."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from export.support import END, ENDINGS, START, START_MS, export, files_in, in_order, make_records, manifest_name, target_at, unpack

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.errors import DestinationConflictError, PublishError, VanishedEventsError
from airflow_provider_capillary.export import object_store
from airflow_provider_capillary.export.target import Target

RECORDS = list(make_records(24))
NAME = "x.jsonl"
MANIFEST = manifest_name(NAME)
OLD_MANIFEST = "_x.jsonl.manifest.json"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(object_store, "_BACKOFF", Backoff(first=0.0, longest=0.0))


def contents(place):
    return {name: place.read(name) for name in place.names()}


def refuses(place, error, records=RECORDS, *, reads=False, name=NAME, **options):
    """The export fails so, and touches nothing; ``reads`` says whether it may have begun to read."""
    before, read = contents(place), []

    def reading():
        read.append(1)
        yield from records

    with pytest.raises(error) as caught:
        export(reading(), place.uri(name), **options)
    assert contents(place) == before
    assert bool(read) == reads
    return str(caught.value)


DAY = {"start": START, "end": END}
NEXT = {"start": END, "end": END + timedelta(days=1)}
# Each row: what the object stands for, what the run is for, and what the error says about each of them.
CONFLICTS = {
    "another interval": (DAY, NEXT, "[2025-09-18T00:00:00.000Z, 2025-09-19", "[2025-09-19T00:00:00.000Z, 2025-09-20"),
    "an hour less": (DAY, DAY | {"end": END - timedelta(hours=1)}, "2025-09-19T00:00:00.000Z)", "2025-09-18T23:00:00.000Z)"),
    "all names, then one": ({}, {"event_name": "A"}, "event_name=None", "event_name='A'"),
    "one name, then all": ({"event_name": "A"}, {}, "event_name='A'", "event_name=None"),
    "another name": ({"event_name": "A"}, {"event_name": "B"}, "event_name='A'", "event_name='B'"),
    "other statuses": ({"statuses": ["B", "A"]}, {"statuses": ["A"]}, "statuses=['A', 'B']", "statuses=['A']"),
    "another connection": (
        {"capillary_conn_id": "one"},
        {"capillary_conn_id": "two"},
        "capillary_conn_id='one'",
        "capillary_conn_id='two'",
    ),
}


@pytest.mark.parametrize("on_vanished", ["fail", "keep", "drop"])
@pytest.mark.parametrize("case", CONFLICTS)
def test_an_object_that_stands_for_something_else_is_left_before_anything_is_read(tmp_path, case, on_vanished):
    from export.support import Place

    place = Place(folder=tmp_path)
    first, second, of_first, of_second = CONFLICTS[case]
    export(RECORDS, place.uri(NAME), **first)
    said = refuses(place, DestinationConflictError, **second, on_vanished=on_vanished)
    assert of_first in said.partition(", this run is for")[0]
    assert of_second in said.partition(", this run is for")[2]
    assert ("{interval_start:%Y-%m-%dT%H%M}" in said) == ("start" in second)
    assert f"rm -- {tmp_path}/{NAME} {tmp_path}/{MANIFEST}" in said


def test_the_command_that_removes_both_works_as_printed(tmp_path):
    import shlex
    import subprocess

    folder = tmp_path / "a folder's"
    folder.mkdir()
    export(RECORDS, str(folder / NAME))
    with pytest.raises(DestinationConflictError) as caught:
        export(RECORDS, str(folder / NAME), **NEXT)
    command = shlex.split(caught.value.hint.partition("remove it: ")[2])
    subprocess.run(command, check=True)
    assert files_in(folder) == []
    export([], str(folder / NAME), **NEXT)


def test_the_command_for_a_bucket_names_both_objects_without_the_connection(bucket):
    export(RECORDS, bucket.uri(NAME))
    with pytest.raises(DestinationConflictError) as caught:
        export(RECORDS, bucket.uri(NAME), **NEXT)
    assert f"aws s3 rm s3://{bucket.name}/{NAME} && aws s3 rm s3://{bucket.name}/{MANIFEST}" in str(caught.value)


def test_the_order_of_statuses_makes_no_difference(tmp_path):
    export(RECORDS, str(tmp_path / NAME), statuses=["A", "B"])
    assert export(RECORDS, str(tmp_path / NAME), statuses={"B", "A"})["late_events"] == 0


def as_version_1(place):
    """What version 0.1 left: no word of what the object stands for but the interval in its receipt, and in another place."""
    manifest = json.loads(place.read(MANIFEST))
    del manifest["stands_for"]
    place.write(OLD_MANIFEST, json.dumps(manifest | {"manifest_version": 1}).encode())
    place.remove(MANIFEST)


def test_a_manifest_of_version_1_is_read_and_moved(place):
    export(RECORDS[:20], place.uri(NAME), event_name="what version 1 would not have said")
    as_version_1(place)
    refuses(place, DestinationConflictError, **NEXT)
    assert export(RECORDS, place.uri(NAME), event_name="A")["late_events"] == 4
    assert place.names() == [MANIFEST, NAME]
    refuses(place, DestinationConflictError, event_name="B")


def test_a_manifest_of_version_1_goes_with_its_object(place):
    export([], place.uri(NAME))
    as_version_1(place)
    assert export([], place.uri(NAME), on_empty="skip")["path"] is None
    assert place.names() == []


def test_of_two_manifests_the_one_that_describes_the_object_is_believed(place):
    """A kill between writing the new one and removing the old one; and a version that wrote in the old place once more."""
    export(RECORDS[:20], place.uri(NAME))
    stale = place.read(MANIFEST)
    export(RECORDS, place.uri(NAME))
    as_version_1(place)
    place.write(MANIFEST, stale)
    assert export(RECORDS, place.uri(NAME))["late_events"] == 0
    assert place.names() == [MANIFEST, NAME]


@pytest.mark.parametrize("on_vanished", ["fail", "keep", "drop"])
def test_without_a_manifest_the_times_of_the_records_tell_what_the_object_stands_for(place, on_vanished):
    export(RECORDS, place.uri(NAME), manifest=False)
    said = refuses(place, DestinationConflictError, **NEXT, on_vanished=on_vanished)
    assert "records of 2025-09-18T00:00:00.000Z to 2025-09-18T00:00:00.210Z" in said
    assert export(RECORDS, place.uri(NAME), on_vanished=on_vanished, manifest=False)["vanished_events"] == 0


def test_an_object_that_is_not_of_this_package_is_replaced_only_if_told_to(place, caplog):
    place.write(NAME, b"a,b\n1,2\n")
    for on_vanished in ("fail", "keep"):
        assert "on_vanished='drop'" in refuses(place, DestinationConflictError, on_vanished=on_vanished)
    with caplog.at_level(logging.WARNING):
        receipt = export(RECORDS, place.uri(NAME), on_vanished="drop")
    assert (receipt["late_events"], receipt["vanished_events"]) == (None, None)
    assert "cannot be read as an object of this package" in caplog.text


# Each case: how many of 24 records the API still shows (the last ones), on_vanished, and how many records the new object holds.
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("on_empty", ["write", "skip", "fail"])
@pytest.mark.parametrize("case", [(6, "keep", 24), (6, "drop", 6), (0, "keep", 24), (0, "drop", 0)], ids=str)
def test_what_vanished_is_kept_or_dropped_as_told(tmp_path, caplog, ending, on_empty, case):
    shown, on_vanished, left = case
    uri, target = f"file://{tmp_path}/x{ending}", tmp_path / f"x{ending}"
    export(RECORDS, uri)
    before = target.read_bytes()
    if shown == 0 and on_empty == "fail":
        with pytest.raises(Exception, match="on_empty='fail'"):
            export([], uri, on_empty=on_empty, on_vanished=on_vanished)
        assert target.read_bytes() == before
        return
    with caplog.at_level(logging.WARNING):
        receipt = export(RECORDS[24 - shown :], uri, on_empty=on_empty, on_vanished=on_vanished)
    assert (receipt["events"], receipt["vanished_events"], receipt["late_events"]) == (left, 24 - shown, 0)
    assert f"{24 - shown} records are not shown by the API any more" in caplog.text
    if left == 24:
        assert target.read_bytes() == before
        manifest = json.loads((tmp_path / manifest_name(target.name)).read_bytes())
        assert manifest["receipt"] == receipt
        assert export(RECORDS, uri)["late_events"] == 0
    elif left == 0 and on_empty == "skip":
        assert files_in(tmp_path) == []
        assert receipt["path"] is None
    else:
        assert [row["id"] for row in unpack(target.read_bytes(), ending)] == [each["id"] for each in in_order(RECORDS[24 - left :])]


@pytest.mark.parametrize("on_empty", ["write", "skip"])
@pytest.mark.parametrize("shown", [0, 6])
def test_by_default_nothing_that_vanished_is_lost(place, on_empty, shown):
    export(RECORDS, place.uri(NAME))
    said = refuses(place, VanishedEventsError, RECORDS[:shown], reads=True, on_empty=on_empty)
    assert f"{24 - shown} of the 24 records" in said
    assert "'keep'" in said
    assert "'drop'" in said


def test_a_record_that_vanished_for_another_that_came_is_not_made_up_for_by_it(place):
    export(RECORDS[:20], place.uri(NAME))
    refuses(place, VanishedEventsError, RECORDS[1:], reads=True)
    receipt = export(RECORDS[1:], place.uri(NAME), on_vanished="keep")
    assert (receipt["events"], receipt["late_events"], receipt["vanished_events"]) == (24, 4, 1)


# What a reader of numbers would change, an unknown field, and characters that stand for others.
OWN_TEXT = b'{"id":"a","startTime":%d,"n":1234567890.123456789,"z":1.10,"big":12345678901234567890123,"\\u00e9":"\\ud800"}' % START_MS


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_record_that_is_kept_keeps_its_text(tmp_path, ending):
    from airflow_provider_capillary.export.formats import read_lines, write_object

    target = tmp_path / f"x{ending}"
    write_object([OWN_TEXT + b"\n"], target, ending=ending)
    export([{"id": "b", "startTime": START_MS}], str(target), on_vanished="keep")
    assert list(read_lines(target, ending=ending)) == [OWN_TEXT, b'{"id":"b","startTime":%d}' % START_MS]


def test_a_row_that_is_kept_keeps_its_columns_and_the_text_of_the_rest(tmp_path):
    import pyarrow.parquet as pq

    from airflow_provider_capillary.export.formats import read_lines

    strange = [
        {"id": "\ud800", "startTime": START_MS, "status": None, "orgId": "12", "more": {"a": [1, None, "é"]}},
        {"id": "b", "startTime": START_MS + 1, "parentOrgId": 2**70, "message": 'a "quoted" \u2028 line'},
        *RECORDS,
    ]
    uri = str(tmp_path / "x.parquet")
    export(strange, uri)
    before = pq.read_table(uri)
    lines = [json.loads(line) for line in read_lines(tmp_path / "x.parquet", ending=".parquet")]
    assert sorted(map(repr, (sorted(line.items()) for line in lines))) == sorted(map(repr, (sorted(each.items()) for each in strange)))
    export([], uri, on_vanished="keep")
    assert pq.read_table(uri).equals(before)


def test_where_a_record_is_there_and_shown_the_new_text_counts(tmp_path):
    uri = str(tmp_path / NAME)
    export([{"id": "a", "startTime": START_MS, "v": 1}, {"id": "b", "startTime": START_MS, "v": 1}], uri)
    export([{"id": "a", "startTime": START_MS, "v": 2}], uri, on_vanished="keep")
    assert [(row["id"], row["v"]) for row in unpack((tmp_path / NAME).read_bytes(), ".jsonl")] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_what_another_run_puts_there_meanwhile_is_left(place, earlier, same):
    """While this one reads: it is seen by asking the store again, whether it stands for the same or not."""
    if earlier:
        export(RECORDS[:4], place.uri(NAME))
    other = DAY if same else DAY | {"event_name": "A"}
    if not same and earlier:
        place.remove(NAME)
        place.remove(MANIFEST)

    def reading():
        export(RECORDS[:9], place.uri(NAME), **other)
        yield from RECORDS

    with pytest.raises(PublishError if same else DestinationConflictError):
        export(reading(), place.uri(NAME))
    assert len(unpack(place.read(NAME), ".jsonl")) == 9
    assert json.loads(place.read(MANIFEST))["receipt"]["events"] == 9


def test_what_another_run_puts_there_at_the_last_moment_is_left(place, monkeypatch):
    """After asking again and before putting: the store, or local disk, decides in one step that nothing is there."""
    publish = Target.publish

    def late(self, source, **options):
        monkeypatch.setattr(Target, "publish", publish)
        place.write(NAME, b"another's\n")
        return publish(self, source, **options)

    monkeypatch.setattr(Target, "publish", late)
    with pytest.raises(PublishError, match="somebody else"):
        export(RECORDS, place.uri(NAME), on_vanished="drop")
    assert contents(place) == {NAME: b"another's\n"}


@pytest.fixture
def filesystem(bucket):
    return target_at(bucket.uri(NAME))._fs


def answers(code):
    """What s3fs makes of an error of S3."""
    from botocore.exceptions import ClientError

    error = OSError(22, code)
    error.__cause__ = ClientError({"Error": {"Code": code}}, "PutObject")
    return error


def test_a_store_without_conditional_writes_is_written_all_the_same(bucket, filesystem, monkeypatch):
    put, modes = filesystem.put_file, []

    def old(source, target, *, mode=None, **options):
        modes.append(mode)
        if mode == "create":
            raise answers("NotImplemented")
        put(source, target, **options)

    monkeypatch.setattr(filesystem, "put_file", old)
    export(RECORDS, bucket.uri(NAME))
    assert modes == ["create", None, None]
    assert bucket.keys() == [MANIFEST, NAME]


class HttpError(Exception):
    """As gcsfs raises it."""

    code = 412


# The errors of s3fs, adlfs and gcsfs where the object to create exists already.
@pytest.mark.parametrize("error", [answers("PreconditionFailed"), FileExistsError("File already exists!"), HttpError("conditionNotMet")])
def test_what_is_there_already_is_known_again_by_its_bytes_or_left(bucket, filesystem, monkeypatch, error):
    put = filesystem.put_file

    def lossy(source, target, **options):
        """The object is put, the answer lost, and the next try of the client is told that it is there."""
        put(source, target, **options)
        if options.get("mode") == "create":
            raise error

    monkeypatch.setattr(filesystem, "put_file", lossy)
    assert export(RECORDS, bucket.uri(NAME))["manifest"]

    def refused(source, target, **options):
        bucket.write("y.jsonl", b"another's\n")
        raise error

    monkeypatch.setattr(filesystem, "put_file", refused)
    with pytest.raises(PublishError, match="somebody else"):
        export(RECORDS, bucket.uri("y.jsonl"))


def test_a_credential_that_may_only_write_replaces_nothing_unless_told_to(bucket, filesystem, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError("Forbidden")

    monkeypatch.setattr(filesystem, "info", forbidden)
    assert export(RECORDS, bucket.uri(NAME))["vanished_events"] is None
    for on_vanished in ("fail", "keep"):
        with pytest.raises(DestinationConflictError, match="may not look"):
            export(RECORDS[:6], bucket.uri(NAME), on_vanished=on_vanished)
    assert bucket.read(NAME).count(b"\n") == 24
    export(RECORDS[:6], bucket.uri(NAME), on_vanished="drop")
    assert bucket.read(NAME).count(b"\n") == 6


def test_an_object_that_cannot_be_read_is_not_taken_for_an_empty_one(bucket, filesystem, monkeypatch):
    export(RECORDS[:20], bucket.uri(NAME))
    get = filesystem.get_file

    def forbidden(source, target, **options):
        if source.endswith(NAME):
            raise PermissionError("Forbidden")
        get(source, target, **options)

    monkeypatch.setattr(filesystem, "get_file", forbidden)
    before = bucket.contents()
    for on_vanished in ("fail", "keep"):
        with pytest.raises(PublishError, match=r"could not be read .*on_vanished='drop'"):
            export(RECORDS, bucket.uri(NAME), on_vanished=on_vanished)
        assert bucket.contents() == before
    assert export(RECORDS, bucket.uri(NAME), on_vanished="drop")["vanished_events"] is None


@pytest.mark.parametrize("earlier", [True, False])
def test_file_and_folder_are_on_disk_before_the_object_counts_as_published(tmp_path, monkeypatch, earlier):
    """What the power takes away: a file is flushed before it gets its name, its folder after that, and both before the manifest."""
    import os
    from pathlib import Path

    if earlier:
        export(RECORDS[:4], str(tmp_path / NAME))
    steps = []

    def named(path):
        return Path(path).name

    def step(kind, method):
        def wrapper(*args):
            if kind == "flush":
                at = Path(f"/proc/self/fd/{args[0]}").readlink()
                steps.append((kind, "folder" if at.is_dir() else "file", named(at) if at.is_dir() else at.stat().st_size))
            else:
                steps.append(("named", named(args[1] if kind == "move" else args[0])))
            return method(*args)

        return wrapper

    monkeypatch.setattr(os, "fsync", step("flush", os.fsync))
    monkeypatch.setattr(Path, "replace", step("move", Path.replace))
    monkeypatch.setattr(Path, "hardlink_to", step("link", Path.hardlink_to))
    receipt = export(RECORDS, str(tmp_path / NAME))
    manifest = (tmp_path / MANIFEST).stat().st_size
    published = [("flush", "file", receipt["bytes"]), ("named", NAME), ("flush", "folder", tmp_path.name)]
    described = [("flush", "file", manifest), ("named", MANIFEST.partition("/")[2]), ("flush", "folder", "_manifests")]
    made = [] if earlier else [("flush", "folder", tmp_path.name)]
    assert steps == [*published, *made, *described]
