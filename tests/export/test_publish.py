"""One object, whole or not at all, on local disk and on S3; and errors that say what to do."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from export.support import ENDINGS, export, files_in, in_order, make_records, manifest_name, target_at, unpack

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.errors import CapillaryError, DestinationError, PublishError, ReadingStoppedError
from airflow_provider_capillary.export import exporter, object_store

SECRETS = ("testing-secret",)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(object_store, "_BACKOFF", Backoff(first=0.0, longest=0.0))


@pytest.fixture
def filesystem(bucket):
    """The very filesystem that an export to the bucket uses; Airflow keeps one for each connection."""
    return target_at(bucket.uri("x.jsonl"))._fs


@pytest.mark.parametrize("ending", ENDINGS)
def test_s3_holds_what_local_disk_holds(bucket, tmp_path, ending):
    records = list(make_records(300))
    local = export(records, f"file://{tmp_path}/deep/er/x{ending}")
    remote = export(records, bucket.uri(f"deep/er/x{ending}"))
    content = bucket.read(f"deep/er/x{ending}")
    assert content == (tmp_path / "deep" / "er" / f"x{ending}").read_bytes()
    assert [row["id"] for row in unpack(content, ending)] == [record["id"] for record in in_order(records)]
    assert remote["sha256"] == local["sha256"] == hashlib.sha256(content).hexdigest()
    assert remote["bytes"] == len(content)
    assert bucket.keys() == [f"deep/er/{manifest_name(f'x{ending}')}", f"deep/er/x{ending}"]
    assert files_in(tmp_path / "deep" / "er") == [manifest_name(f"x{ending}"), f"x{ending}"]


def test_the_receipt_is_whole_and_its_path_works_downstream(bucket):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    records = [
        {"id": "a", "startTime": 1_758_171_830_945, "status": "EVENT_SUCCESS"},
        {"id": "b", "startTime": 1_758_171_830_946, "status": "EMF_PROCESSOR_FAILED"},
        {"id": "c", "startTime": 1_758_171_830_947},
        {"id": "d", "startTime": 1_758_171_830_947},
    ]
    receipt = export(records, ObjectStoragePath(bucket.uri("x.jsonl")))
    content = bucket.read("x.jsonl")
    assert receipt == {
        "path": bucket.uri("x.jsonl"),
        "uri": f"s3://{bucket.name}/x.jsonl",
        "start": "2025-09-18T00:00:00.000Z",
        "end": "2025-09-19T00:00:00.000Z",
        "events": 4,
        "failures": 3,
        "statuses": {"NO_STATUS": 2, "EMF_PROCESSOR_FAILED": 1, "EVENT_SUCCESS": 1},
        "first_start_time": "2025-09-18T05:03:50.945Z",
        "last_start_time": "2025-09-18T05:03:50.947Z",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "events_read": 9,
        "proof": {"spans": 1, "longest_answer": 9, "capacity": 10},
        "requests": 7,
        "late_events": None,
        "vanished_events": None,
        "manifest": bucket.uri(manifest_name("x.jsonl")),
    }
    assert json.loads(json.dumps(receipt)) == receipt
    path = ObjectStoragePath(receipt["path"])
    assert path.fs.cat_file(path.path) == content


@pytest.mark.parametrize("where", ["file", "s3"])
def test_a_reading_that_fails_publishes_nothing(bucket, tmp_path, where):
    def failing():
        yield from make_records(2_000)
        raise CapillaryError("the API went away")

    uri = bucket.uri("x.jsonl") if where == "s3" else f"file://{tmp_path}/out/x.jsonl"
    with pytest.raises(CapillaryError, match="the API went away"):
        export(failing(), uri)
    assert bucket.keys() == []
    assert not list((tmp_path / "out").glob("*")) if where == "file" else True


# After how many of 100 records the export is stopped: on the way, and after the last one.
@pytest.mark.parametrize("last", [50, 100])
def test_stopping_ends_the_export_and_publishes_nothing(tmp_path, last):
    running, added = [], []

    def records():
        for record in make_records(100):
            yield record
            added.append(record)
            if len(added) == last:
                running[0].stop()

    with pytest.raises(ReadingStoppedError):
        export(records(), str(tmp_path / "x.jsonl"), running=running)
    assert len(added) >= last
    assert files_in(tmp_path) == []


def test_stopping_when_the_object_is_built_still_publishes_nothing(tmp_path, monkeypatch):
    running = []
    build = exporter.write_object

    def build_and_stop(*args, **options):
        build(*args, **options)
        running[0].stop()

    monkeypatch.setattr(exporter, "write_object", build_and_stop)
    with pytest.raises(ReadingStoppedError):
        export(make_records(10), str(tmp_path / "x.jsonl"), running=running)
    assert files_in(tmp_path) == []


def fails(error, *, times=99):
    """A filesystem method that fails so many times, and a list of its calls."""
    calls = []

    def wrap(method):
        def wrapper(*args, **kwargs):
            calls.append(args)
            if len(calls) <= times:
                raise error
            return method(*args, **kwargs)

        return wrapper

    return wrap, calls


# Each row: the error of a put that always fails, and how often the put is tried.
PUTS = [
    (OSError(5, "connection reset"), 3),
    (RuntimeError("https://user:testing-secret@proxy/x?sig=testing-secret broke"), 3),
    (PermissionError("Access Denied"), 1),
    (FileNotFoundError("The specified bucket does not exist"), 1),
]


@pytest.mark.parametrize(("error", "tries"), PUTS, ids=lambda value: type(value).__name__)
def test_a_put_that_fails_leaves_the_old_object_and_its_manifest(bucket, filesystem, monkeypatch, error, tries):
    export(make_records(5, seed=1), bucket.uri("x.jsonl"))
    before = bucket.contents()
    wrap, calls = fails(error)
    monkeypatch.setattr(filesystem, "put_file", wrap(filesystem.put_file))
    with pytest.raises(PublishError) as caught:
        export(make_records(5, seed=2), bucket.uri("x.jsonl"), on_vanished="drop")
    assert len(calls) == tries
    assert bucket.contents() == before
    assert bucket.uri("x.jsonl") in str(caught.value)
    assert type(error).__name__ in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_a_put_that_fails_once_is_tried_again(bucket, filesystem, monkeypatch):
    wrap, calls = fails(OSError(5, "connection reset"), times=1)
    monkeypatch.setattr(filesystem, "put_file", wrap(filesystem.put_file))
    export(make_records(5), bucket.uri("x.jsonl"))
    assert len(calls) == 3  # the object twice, its manifest once
    assert bucket.read("x.jsonl").count(b"\n") == 5


def test_an_upload_that_breaks_half_way_leaves_the_old_object_and_no_parts(bucket, filesystem, monkeypatch):
    export([{"id": "old", "startTime": 1}], bucket.uri("x.jsonl"))
    before = bucket.contents()
    monkeypatch.setattr(object_store, "_PART", 5 * 1024 * 1024)
    sent = []
    send = filesystem._call_s3

    async def call(method, *args, **kwargs):
        sent.append(method)
        if method == "upload_part" and kwargs["PartNumber"] == 2:
            raise OSError(5, "connection reset")
        return await send(method, *args, **kwargs)

    monkeypatch.setattr(filesystem, "_call_s3", call)
    big = ({"id": f"{n:03}", "startTime": 1, "message": "m" * 2**20} for n in range(12))
    with pytest.raises(PublishError):
        export(big, bucket.uri("x.jsonl"), on_vanished="drop")
    assert "upload_part" in sent
    assert bucket.contents() == before
    assert bucket.unfinished_uploads() == []


def options_of(filesystem, size):
    return object_store._put_options(filesystem, size, create=False)


def test_large_objects_travel_in_small_parts(bucket, filesystem):
    options = options_of(filesystem, 100)
    assert options == {"chunksize": 5 * 2**20, "max_concurrency": 2}
    huge = options_of(filesystem, 2**40)["chunksize"]
    assert huge % 2**20 == 0
    assert 2**40 / huge < 10_000


def test_a_store_that_keeps_less_than_it_was_given_is_noticed(bucket, filesystem, monkeypatch):
    put = filesystem.put_file

    def cutting(source, target, **options):
        with open(source, "r+b") as file:  # noqa: PTH123
            file.truncate(10)
        put(source, target, **options)

    monkeypatch.setattr(filesystem, "put_file", cutting)
    with pytest.raises(PublishError, match="10 bytes"):
        export(make_records(5), bucket.uri("x.jsonl"))
    assert bucket.keys() == ["x.jsonl"], "a manifest was written for an object that is not there"


def test_a_manifest_that_cannot_be_written_says_that_the_object_was(bucket, filesystem, monkeypatch):
    put = filesystem.put_file

    def refusing(source, target, **options):
        if "/_manifests/" in target:
            raise PermissionError("Access Denied")
        put(source, target, **options)

    monkeypatch.setattr(filesystem, "put_file", refusing)
    with pytest.raises(PublishError, match="published whole"):
        export(make_records(5), bucket.uri("x.jsonl"))
    assert bucket.read("x.jsonl").count(b"\n") == 5


def test_a_credential_that_may_only_write_still_exports(bucket, filesystem, monkeypatch, caplog):
    wrap, _ = fails(PermissionError("Forbidden"))
    monkeypatch.setattr(filesystem, "info", wrap(filesystem.info))
    with caplog.at_level(logging.INFO):
        receipt = export(make_records(5), bucket.uri("x.jsonl"))
    assert bucket.read("x.jsonl").count(b"\n") == 5
    assert receipt["late_events"] is None
    assert "may not look" in caplog.text


def test_a_store_that_cannot_be_reached_fails_before_anything_is_read(bucket, filesystem, monkeypatch):
    wrap, _ = fails(ConnectionError("refused"))
    monkeypatch.setattr(filesystem, "info", wrap(filesystem.info))
    read = []
    with pytest.raises(PublishError, match="ConnectionError"):
        export((read.append(1) for _ in range(1)), bucket.uri("x.jsonl"))
    assert not read


@pytest.mark.parametrize("is_named", [False, True], ids=["built in its folder", "copied there"])
def test_how_often_a_local_disk_holds_the_object_while_it_is_published(tmp_path, temporary_directory, monkeypatch, request, is_named):
    """Once, where it is built without a name on the disk of its folder. Its rights are those of any new file."""
    if is_named:
        request.getfixturevalue("no_file_without_a_name")
    held, replace = [], Path.replace

    def look(source, target):
        files = {(found.st_dev, found.st_ino): found.st_size for found in open_files()}
        files |= {(found.st_dev, found.st_ino): found.st_size for found in (path.stat() for path in tmp_path.iterdir() if path.is_file())}
        held.append(sum(size == source.stat().st_size for size in files.values()))
        return replace(source, target)

    export(make_records(400, seed=1), str(tmp_path / "x.jsonl"))
    monkeypatch.setattr(Path, "replace", look)
    export(make_records(900, seed=2), str(tmp_path / "x.jsonl"), on_vanished="drop")
    assert held[0] == (2 if is_named else 1)
    (tmp_path / "any").touch()
    assert (tmp_path / "x.jsonl").stat().st_mode == (tmp_path / "any").stat().st_mode
    assert list(temporary_directory.iterdir()) == []


def open_files():
    """Those of this process, with or without a name."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another thread may close one meanwhile
            yield path.stat()


@pytest.mark.usefixtures("no_file_without_a_name")
def test_a_local_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    import shutil

    export(make_records(5, seed=1), str(tmp_path / "x.jsonl"))
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}

    def full(source, target, *_):
        target.write(source.read(100))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(PublishError, match="No space left"):
        export(make_records(5, seed=2), str(tmp_path / "x.jsonl"), on_vanished="drop")
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


def test_leftovers_of_the_same_object_go_and_those_of_other_objects_stay(tmp_path):
    dead = tmp_path / ".x.jsonl.00000000.tmp"
    others = [tmp_path / ".y.jsonl.00000000.tmp", tmp_path / ".x.jsonl.bak", tmp_path / ".xxjsonl.00000000.tmp"]
    for path in (dead, *others):
        path.write_bytes(b"half")
    export(make_records(5), str(tmp_path / "x.jsonl"))
    assert not dead.exists()
    assert all(path.exists() for path in others)


@pytest.mark.usefixtures("no_file_without_a_name")
def test_the_temporary_file_of_a_run_that_is_alive_stays(tmp_path, monkeypatch):
    """While one run copies, another one of the same object comes and goes; the run after both cleans up behind the dead."""
    import shutil

    leftover, copy, names = tmp_path / ".x.jsonl.00000000.tmp", shutil.copyfileobj, []

    def copy_and_let_another_run(source, target, *args):
        monkeypatch.setattr(shutil, "copyfileobj", copy)
        copy(source, target, *args)
        leftover.write_bytes(b"half")
        export(make_records(5, seed=2), str(tmp_path / "x.jsonl"), on_vanished="drop")
        names.extend(path.name for path in tmp_path.iterdir() if path.name.startswith("."))

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_let_another_run)
    with pytest.raises(PublishError, match="somebody else"):
        export(make_records(5, seed=1), str(tmp_path / "x.jsonl"))
    assert len(names) == 2, "the first run's file, and the dead one's, which is left while somebody writes"
    export(make_records(5, seed=2), str(tmp_path / "x.jsonl"))
    assert files_in(tmp_path) == [manifest_name("x.jsonl"), "x.jsonl"]


@pytest.mark.parametrize("where", ["file", "s3"])
def test_two_runs_at_once_leave_one_whole_object(bucket, tmp_path, where):
    uri = bucket.uri("x.jsonl.gz") if where == "s3" else f"file://{tmp_path}/out/x.jsonl.gz"
    versions = [list(make_records(200 + seed, seed=seed)) for seed in range(6)]

    def run(records):
        # Who finds the other's object in the place of its own is told so, and tries again later.
        with contextlib.suppress(PublishError):
            return export(records, uri, on_vanished="drop")
        return None

    with ThreadPoolExecutor(6) as pool:
        receipts = [receipt for receipt in pool.map(run, versions) if receipt]
    content = bucket.read("x.jsonl.gz") if where == "s3" else (tmp_path / "out" / "x.jsonl.gz").read_bytes()
    assert unpack(content, ".jsonl.gz") in [in_order(records) for records in versions]
    assert receipts
    last = export(versions[0], uri, on_vanished="drop")
    assert last["late_events"] is not None
    names = bucket.keys() if where == "s3" else files_in(tmp_path / "out")
    assert names == [manifest_name("x.jsonl.gz"), "x.jsonl.gz"]


def test_a_missing_connection_is_an_error_and_never_the_workers_own_credentials(airflow_db):
    with pytest.raises(DestinationError, match="capillary_nowhere"):
        target_at("s3://capillary_nowhere@b/x.jsonl")


@pytest.mark.parametrize(("uri", "extra"), [("gs://b/x.jsonl", "gcs"), ("abfs://b/x.jsonl", "azure"), ("s3://b/x.jsonl", "s3")])
def test_a_missing_filesystem_names_the_extra(monkeypatch, uri, extra):
    from airflow.providers.common.compat.sdk import io

    monkeypatch.setattr(io, "has_fs", lambda _: False, raising=False)  # Airflow 3.0 has it elsewhere
    with pytest.raises(DestinationError, match=rf"airflow-provider-capillary\[{extra}\]"):
        target_at(uri)


def test_a_provider_without_its_filesystem_package_names_the_extra(monkeypatch, bucket):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_TESTS_FRESH", '{"conn_type": "aws"}')
    with pytest.raises(DestinationError, match=r"airflow-provider-capillary\[s3\]"):
        target_at("s3://capillary_tests_fresh@b/x.jsonl")


def test_an_unknown_scheme_lists_the_known_ones():
    with pytest.raises(DestinationError, match=r"gs.*s3"):
        target_at("nosuch://b/x.jsonl")


def test_a_folder_that_cannot_be_made_or_is_the_target_fails_before_reading(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.jsonl").mkdir()
    for target in (tmp_path / "file" / "x.jsonl", tmp_path / "folder.jsonl"):
        read = []
        with pytest.raises(DestinationError):
            export((read.append(1) for _ in range(1)), str(target))
        assert not read
