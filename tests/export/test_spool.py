"""The spool: sorted, each once, counted, stoppable, and plain about a disk that is full."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import textwrap

import pytest
from export.support import START_MS, export, in_order, make_records

from airflow_provider_capillary.errors import PublishError, ReadingStoppedError
from airflow_provider_capillary.export.spool import OTHER_STATUSES, Spool, pair_line
from airflow_provider_capillary.export.workspace import open_workspace

LOG = logging.getLogger("tests.export")


def never():
    return False


def test_records_come_back_sorted_and_once(tmp_path):
    records = list(make_records(500))
    shuffled = records + records[100:200]
    random.Random(1).shuffle(shuffled)
    with Spool(tmp_path, stop=never) as spool:
        for record in shuffled:
            spool.add(record)
        expected = in_order(records)
        assert [line.count(b'"id"') for line in spool.lines()] == [1] * 500
        assert spool.events == 500
        assert spool.failures == sum(record.get("status") != "EVENT_SUCCESS" for record in records)
        assert sum(spool.statuses.values()) == 500
        assert (spool.first_start_time, spool.last_start_time) == (expected[0]["startTime"], expected[-1]["startTime"])
        digest = hashlib.sha256(b"".join(pair_line(record["startTime"], record["id"]) for record in expected))
        assert spool.ids_sha256() == digest.hexdigest()
        assert spool.count_of([(START_MS, "nobody"), (expected[0]["startTime"], expected[0]["id"])]) == (2, 1)


def test_the_first_of_two_records_with_one_key_is_kept(tmp_path):
    with Spool(tmp_path, stop=never) as spool:
        spool.add({"id": "a", "startTime": 1, "status": "EVENT_SUCCESS"})
        spool.add({"id": "a", "startTime": 1, "status": "OTHER"})
        spool.add({"id": "a", "startTime": 2, "status": "OTHER"})
        assert list(spool.lines())[0] == b'{"id":"a","startTime":1,"status":"EVENT_SUCCESS"}'  # noqa: RUF015  # the generator has to end
        assert spool.statuses == {"EVENT_SUCCESS": 1, "OTHER": 1}


def test_a_server_that_writes_data_into_the_status_does_not_fill_the_receipt(tmp_path):
    with Spool(tmp_path, stop=never) as spool:
        for number in range(1_000):
            spool.add({"id": str(number), "startTime": number, "status": f"S{number}"})
        assert len(spool.statuses) == 201
        assert spool.statuses[OTHER_STATUSES] == 800
        assert (spool.events, spool.failures) == (1_000, 1_000)


@pytest.mark.parametrize("step", ["adding", "digesting", "writing", "comparing"])
def test_every_step_stops_when_asked(tmp_path, step):
    asked = []
    with Spool(tmp_path, stop=lambda: bool(asked)) as spool:
        for record in make_records(10):
            spool.add(record)
        lines = spool.lines()
        next(lines)
        asked.append(True)
        steps = {
            "adding": lambda: spool.add({"id": "a", "startTime": 1}),
            "digesting": spool.ids_sha256,
            "writing": lambda: next(lines),
            "comparing": lambda: spool.count_of([(1, "a")]),
        }
        with pytest.raises(ReadingStoppedError):
            steps[step]()


def test_the_folder_goes_with_the_export_and_leftovers_of_the_dead_with_the_next(temporary_directory, tmp_path):
    dead = temporary_directory / "capillary-export-dead"
    dead.mkdir()
    (dead / "spool.sqlite").write_bytes(b"private")
    others = temporary_directory / "something-else"
    others.mkdir()
    with open_workspace(log=LOG) as living:
        assert not dead.exists()
        with open_workspace(log=LOG) as second:
            assert living.exists()
            assert second != living
        assert sorted(temporary_directory.iterdir()) == sorted([living, others])
        export(make_records(5), str(tmp_path / "x.jsonl"))
        assert living.exists()
    assert list(temporary_directory.iterdir()) == [others]


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_a_folder_that_another_export_takes_for_a_leftover_is_made_again(temporary_directory, monkeypatch, moment):
    module, name = {"before it is opened": (tempfile, "mkdtemp"), "before it is locked": (os, "open")}[moment]
    step, taken = getattr(module, name), []

    def take_once(*args, **options):
        done = step(*args, **options)
        if not taken:
            taken.extend(temporary_directory.glob("capillary-export-*"))
            for path in taken:
                path.rmdir()
        return done

    monkeypatch.setattr(module, name, take_once)
    with open_workspace(log=LOG) as folder:
        assert taken
        assert list(temporary_directory.iterdir()) == [folder]
    assert list(temporary_directory.iterdir()) == []


def test_an_export_that_fails_leaves_no_folder(temporary_directory, tmp_path):
    def failing():
        yield from make_records(5)
        raise RuntimeError("the API")

    with pytest.raises(RuntimeError, match="the API"):
        export(failing(), str(tmp_path / "x.jsonl"))
    assert list(temporary_directory.iterdir()) == []


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
        from pathlib import Path
        from airflow_provider_capillary.errors import PublishError
        from airflow_provider_capillary.export.formats import write_object
        from airflow_provider_capillary.export.spool import Spool
        from airflow_provider_capillary.export.workspace import local_disk_errors
        import os
        {"import pyarrow.parquet" if ending == ".parquet" else ""}
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        folder = Path({str(tmp_path)!r})
        try:
            with Spool(folder, stop=lambda: False) as spool:
                for number in range(20_000):
                    spool.add({{"id": str(number), "startTime": number, "message": os.urandom(450).hex()}})
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, {limit}))
                with local_disk_errors(folder):
                    write_object(spool.lines(), folder / "object", ending={ending!r})
        except PublishError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ | {"PYTHONWARNINGS": "ignore"}
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "TMPDIR" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
