"""The spool: sorted, each once, counted, stoppable, and plain about a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import textwrap
from itertools import chain

import pytest
from export.support import START_MS, export, in_order, make_records

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.event_logs import EventLog, EventLogs
from airflow_provider_capillary.errors import MalformedAnswerError, PublishError, ReadingStoppedError
from airflow_provider_capillary.export import spool as spool_module
from airflow_provider_capillary.export import tempdir as tempdir_module
from airflow_provider_capillary.export.json_lines import line_of, pair_lines
from airflow_provider_capillary.export.spool import OTHER_STATUSES, Spool, pair_line
from airflow_provider_capillary.export.tempdir import open_tempdir

RUNS = {"in memory": {}, "in runs": {"_RUN_BYTES": 6_000, "_BLOCK_BYTES": 1_000, "_BATCH": 7}}


def lines_of(spool):
    """Each line, without its end."""
    blocks = list(spool.blocks())
    assert all(block.endswith(b"\n") for block in blocks)
    return b"".join(blocks).split(b"\n")[:-1]


def never():
    return False


@pytest.fixture
def tempdir(temporary_directory):
    with open_tempdir() as opened:
        yield opened


@pytest.fixture(params=RUNS)
def runs(request, monkeypatch):
    """The spool as it is for few records, and with the sizes of millions of them."""
    for name, value in RUNS[request.param].items():
        monkeypatch.setattr(spool_module, name, value)
    return RUNS[request.param]


def test_records_come_back_sorted_and_once(tempdir, runs):
    records = list(make_records(500))
    shuffled = records + records[100:200]
    random.Random(1).shuffle(shuffled)
    spool = Spool(tempdir, stop=never)
    for record in shuffled:
        spool.add(record)
    expected = in_order(records)
    assert [line.count(b'"id"') for line in lines_of(spool)] == [1] * 500
    assert spool.events == 500
    assert spool.failures == sum(record.get("status") != "EVENT_SUCCESS" for record in records)
    assert sum(spool.statuses.values()) == 500
    assert (spool.first_start_time, spool.last_start_time) == (expected[0]["startTime"], expected[-1]["startTime"])
    digest = hashlib.sha256(b"".join(pair_line(record["startTime"], record["id"]) for record in expected))
    assert spool.ids_sha256() == digest.hexdigest()
    assert spool.count_of([]) == (0, 0)
    pairs = [(record["startTime"], record["id"]) for record in expected]
    assert spool.count_of([(-(10**30), ""), (START_MS, ""), pairs[0], pairs[7], *pairs[-2:], (10**30, "a")]) == (7, 4)


def test_the_first_of_two_records_with_one_key_is_kept(tempdir, runs):
    spool = Spool(tempdir, stop=never)
    spool.add({"id": "a", "startTime": 1, "status": "EVENT_SUCCESS"})
    spool.add({"id": "a", "startTime": 1, "status": "OTHER"})
    for record in make_records(40):
        spool.add(record | {"status": "BETWEEN"})
    spool.add({"id": "a", "startTime": 1, "status": "OTHER"})
    spool.add({"id": "a", "startTime": 2, "status": "OTHER"})
    assert lines_of(spool)[0] == b'{"id":"a","startTime":1,"status":"EVENT_SUCCESS"}'
    assert spool.statuses == {"EVENT_SUCCESS": 1, "BETWEEN": 40, "OTHER": 1}


def event_log(raw):
    log = EventLog(json.loads(raw))
    log.raw = raw
    return log


# Among the records of one batch, one that has to be looked at by itself: none of them may change what becomes of the others.
PECULIAR = {
    "none": [],
    "not from the API": [{"id": "p", "startTime": START_MS, "status": "MADE"}],
    "a line break": [event_log(b'{"id":"p",\r\n "startTime":5}')],
    "a line separator": [event_log('{"id":"p","startTime":5,"x":"\u2028\u2029\x85"}'.encode())],
    "leads of separators alone": [event_log('{"id":"p","startTime":5,"x":"\u2030\xa9"}'.encode())],
    "a status that is a list": [event_log(b'{"id":"p","startTime":5,"status":["x"]}')],
    "statuses that are none": [event_log(b'{"id":"p","startTime":5,"status":null}'), event_log(b'{"id":"q","startTime":5,"status":""}')],
    "an id that JSON escapes": [event_log(b'{"id":"\\n\\"\\u00e9\\udc00","startTime":5}')],
}


@pytest.mark.parametrize("name", PECULIAR)
def test_many_records_at_once_become_what_they_become_one_by_one(tempdir, runs, name):
    logs = [event_log(json.dumps(record).encode()) for record in make_records(300, seed=3)]
    windows = [*logs[200:], *PECULIAR[name], *logs[100:220], *logs[:110]]
    one, all_at_once, by_page = (Spool(tempdir, stop=never) for _ in range(3))
    for record in windows:
        one.add(record)
    all_at_once.add_all(iter(windows))
    for begin in range(0, len(windows), 30):
        by_page.add_page(EventLogs.of(windows[begin : begin + 30]))
    expected = [line_of(record) for record in in_order([*logs, *PECULIAR[name]])]
    assert lines_of(by_page) == lines_of(all_at_once) == lines_of(one) == expected
    assert by_page._counted() == all_at_once._counted() == one._counted()
    assert one.events == 300 + len(PECULIAR[name])


def test_the_first_of_two_is_kept_however_they_come(tempdir, runs):
    logs = [event_log(b'{"id":"a","startTime":%d,"x":%d}' % (number % 50, number)) for number in range(400)]
    spool = Spool(tempdir, stop=never)
    for begin in range(0, 400, 20):
        records = logs[begin : begin + 20]
        (spool.add_page(EventLogs.of(records[::-1])), spool.add_all(records), spool.add(records[0]))
    assert lines_of(spool) == [log.raw for log in logs[:50]]


def test_what_is_drained_takes_no_more_room(tempdir, runs):
    """Newest first, as the reader reads: what is given first was written last."""
    spool = Spool(tempdir, stop=never)
    for number in reversed(range(50)):
        spool.add_page(EventLogs.of([event_log(b'{"id":"%d","startTime":%d}' % (each, number)) for each in range(100)]))
    expected, digest = b"".join(spool.blocks()), spool.ids_sha256()
    sizes, drained = [], []
    for block in spool.drain():
        sizes.append(os.fstat(spool._file._file).st_size)
        drained.append(block)
    assert b"".join(drained) == expected
    assert sizes == sorted(sizes, reverse=True)
    if runs:
        assert sizes[0] > len(expected) > 5 * sizes[-1] > 0
    assert (spool.events, spool.ids_sha256()) == (5_000, digest)


@pytest.mark.parametrize(
    "record", [{"id": 5, "startTime": 1}, {"id": "a", "startTime": 10**20}, {"id": "a", "startTime": True}, {"id": "a"}]
)
def test_a_record_without_identity_is_refused_among_many_as_it_is_alone(tempdir, record):
    spool = Spool(tempdir, stop=never)
    with pytest.raises(MalformedAnswerError):
        spool.add_all([*make_records(5), event_log(json.dumps(record).encode())])


def test_a_server_that_writes_data_into_the_status_does_not_fill_the_receipt(tempdir, runs):
    spool = Spool(tempdir, stop=never)
    for number in range(1_000):
        spool.add({"id": str(number), "startTime": number, "status": f"S{number}"})
    assert len(spool.statuses) == 201
    assert spool.statuses[OTHER_STATUSES] == 800
    assert (spool.events, spool.failures) == (1_000, 1_000)


@pytest.mark.parametrize("step", ["adding", "adding many", "adding a page", "digesting", "writing", "comparing"])
def test_every_step_stops_when_asked(tempdir, runs, step):
    asked = []
    spool = Spool(tempdir, stop=lambda: bool(asked))
    for record in make_records(40):
        spool.add(record)
    next(spool.blocks())
    asked.append(True)
    steps = {
        "adding": lambda: spool.add({"id": "a", "startTime": 1}),
        "adding many": lambda: spool.add_all([{"id": "a", "startTime": 1}]),
        "adding a page": lambda: spool.add_page(EventLogs.of([])),
        "digesting": spool.ids_sha256,
        "writing": lambda: next(spool.blocks()),
        "comparing": lambda: spool.count_of([(1, "a")]),
    }
    with pytest.raises(ReadingStoppedError):
        steps[step]()


def test_what_was_counted_follows_what_is_added_later(tempdir, runs):
    spool = Spool(tempdir, stop=never)
    for record in make_records(100):
        spool.add(record)
    assert (spool.events, digest := spool.ids_sha256()) == (100, spool.ids_sha256())
    spool.add_line(b'{"id":"a","startTime":1,"x":1.10}')
    spool.add_line(b'{"startTime":1,"id":"a"}')
    assert (spool.events, spool.first_start_time) == (101, 1)
    assert spool.ids_sha256() != digest
    assert lines_of(spool)[0] == b'{"id":"a","startTime":1,"x":1.10}'


def test_nothing_has_a_name_while_an_export_runs_nor_after_one_that_fails(temporary_directory, tmp_path, runs):
    seen = []

    def failing():
        for number, record in enumerate(make_records(200, size=2_000)):
            yield record
            if number % 50 == 0:
                seen.append(list(temporary_directory.iterdir()))
        raise RuntimeError("the API")

    with pytest.raises(RuntimeError, match="the API"):
        export(failing(), str(tmp_path / "x.jsonl"))
    assert seen == [[]] * 4
    assert list(temporary_directory.iterdir()) == []


def test_a_file_of_the_workspace_is_opened_from_its_beginning_and_closed_with_it(tempdir, temporary_directory):
    one, other = tempdir.file(), tempdir.file()
    one.write_bytes(b"private")
    assert (one.read_bytes(), one.read_bytes(), one.stat().st_size, other.read_bytes()) == (b"private", b"private", 7, b"")
    assert list(temporary_directory.iterdir()) == []
    with open_tempdir() as inner:
        path = inner.file()
        path.write_bytes(b"private")
    assert not path.exists() or path.read_bytes() != b"private"


def test_where_open_files_have_no_path_the_file_has_a_name_until_the_workspace_is_closed(monkeypatch, temporary_directory):
    monkeypatch.setattr(tempdir_module, "_opens_anew", lambda *_: False)
    with open_tempdir() as opened:
        path = opened.file()
        path.write_bytes(b"private")
        assert list(temporary_directory.iterdir()) == [path]
        assert path.stat().st_mode & 0o077 == 0
    assert list(temporary_directory.iterdir()) == []


def test_a_path_that_shares_the_position_of_the_open_file_is_not_taken(tempdir, tmp_path):
    # As macOS opens /dev/fd/N: what was written lies behind the position.
    class Shared(type(tmp_path)):
        def read_bytes(self):
            return os.read(descriptor, 10)

    descriptor = tempdir.descriptor()
    assert not tempdir_module._opens_anew(Shared("/dev/fd/0"), descriptor)
    assert os.fstat(descriptor).st_size == 0


def test_no_writable_temporary_directory_says_how_to_choose_one(monkeypatch, tmp_path):
    import tempfile

    def unusable(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "gettempdir", unusable)
    with pytest.raises(PublishError, match="TMPDIR"):
        export(make_records(5), str(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(("ending", "limit"), [(".jsonl", 3_000_000), (".jsonl.gz", 24_000_000), (".parquet", 24_000_000)])
def test_a_full_disk_names_the_directory_and_the_way_out(tmp_path, ending, limit):
    # A limit on the size of files is a full disk that needs no privileges: writes beyond it fail.
    script = textwrap.dedent(
        f"""
        import resource, sys
        from airflow_provider_capillary.errors import PublishError
        from airflow_provider_capillary.export.formats import block_form, write_object
        from airflow_provider_capillary.export.spool import Spool
        from airflow_provider_capillary.export.tempdir import local_disk_errors, open_tempdir
        import os
        {"import pyarrow.parquet" if ending == ".parquet" else ""}
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            with open_tempdir() as tempdir:
                spool = Spool(tempdir, stop=lambda: False, form=block_form({ending!r}))
                for number in range(20_000):
                    spool.add({{"id": str(number), "startTime": number, "message": os.urandom(450).hex()}})
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, {limit}))
                with local_disk_errors(tempdir):
                    write_object(spool.blocks(), tempdir.file(), ending={ending!r})
        except PublishError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "TMPDIR" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("are_frozen", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_garbage_collector_is_left_as_it_was(tmp_path, are_frozen, fails):
    """While pages are taken it doesn't look at what was there before; what had been frozen stays so."""
    counts = []

    def pages():
        counts.append(gc.get_freeze_count())
        yield EventLogs.of([event_log(b'{"id":"a","startTime":%d}' % START_MS)])
        if fails:
            raise RuntimeError("the API")

    if are_frozen:
        gc.freeze()
    before = gc.get_freeze_count()
    try:
        running = []
        with pytest.raises(RuntimeError) if fails else contextlib.nullcontext():
            export(chain.from_iterable(running[0].add_pages(each) or [] for each in [pages()]), str(tmp_path / "x.jsonl"), running=running)
        assert (gc.get_freeze_count() > 0) == are_frozen
    finally:
        gc.unfreeze()
    assert counts[0] > 10_000
    assert counts[0] >= 0.9 * before  # what was frozen may have been freed since


def test_pairs_are_written_alike_with_and_without_the_fast_packages(monkeypatch):
    """Some at once as each by itself, whatever the ids."""
    usual = [(0, "a"), (1_758_153_600_000, "33e0a8f4-9c47-4fdd-b956-6e2ec8ba1f4d"), (-5, "~ !#/'<>&")]
    for strange in ([], [(1, 'a"')], [(1, "\\")], [(1, "é\u2028")], [(1, "\x7f")], [(1, "\x00\n")], [(1, "\udc00")], [(10**15, "")]):
        pairs = usual + strange
        expected = b"".join(pair_line(*pair) for pair in pairs)
        with monkeypatch.context() as patched:
            assert pair_lines(*zip(*pairs, strict=True)) == expected
            patched.setattr(fast, "optional", lambda _name: None)
            assert pair_lines(*zip(*pairs, strict=True)) == expected
