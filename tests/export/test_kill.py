"""``kill -9`` at every step and at random moments: the old object or the new one is there, never a half, and the next run works.

The environment variable ``CAPILLARY_TEST_KILLS`` says at how many random moments on local disk, and three times as many as on S3; 50 take
about a minute.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from export.killable import PUBLISH_ERROR
from export.support import export, files_in, manifest_name

HERE = Path(__file__).resolve().parent
KILLS = int(os.environ.get("CAPILLARY_TEST_KILLS", "12"))
OLD = {"seed": 1, "count": 400}
NEW = {"seed": 2, "count": 3_000}


class Killable:
    """The process of killable.py; one job at a time."""

    def __init__(self, folder):
        self._folder = folder
        self._tmpdir = folder / "tmpdir"
        self._tmpdir.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "killable.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("w"),
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]), "PYTHONWARNINGS": "ignore"},
        )
        assert self._answer() == "ready"

    def _answer(self):
        line = self._process.stdout.readline()
        assert line, (self._folder / "log").read_text()[-3_000:]
        return line.strip()

    def run(self, destination, *, kill_after=None, **job):
        """How the job ended (0, or minus the signal), its receipt, and how long it took."""
        began = time.monotonic()
        self._begin(self._job(destination, 0, job))
        pid = int(self._answer())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)  # unreaped until the answer is read... or gone, which killable.py tells
        code = int(self._answer())
        return code, self._receipt(0), time.monotonic() - began

    def run_at_once(self, destination, jobs):
        """How each of them ended, and its receipt."""
        self._begin([self._job(destination, number, job) for number, job in enumerate(jobs)])
        self._answer()
        return [(int(code), self._receipt(number)) for number, code in enumerate(self._answer().split())]

    def _job(self, destination, number, job):
        receipt = self._folder / f"receipt-{number}.json"
        receipt.unlink(missing_ok=True)
        return job | {"destination": destination, "tmpdir": str(self._tmpdir), "receipt": str(receipt)}

    def _begin(self, work):
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()

    def _receipt(self, number):
        path = self._folder / f"receipt-{number}.json"
        if not path.exists():
            return None
        told = json.loads(path.read_text())
        self.said = told["said"]
        return told["receipt"]

    def leftovers(self):
        return sorted(path.name for path in self._tmpdir.iterdir())

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def killable(s3_server, tmp_path_factory):
    process = Killable(tmp_path_factory.mktemp("killable"))
    yield process
    process.close()


class LocalPlace:
    def __init__(self, folder):
        self._folder = folder
        self.uri = f"file://{folder}/x.jsonl.gz"
        self.job = {}

    def read(self, name="x.jsonl.gz"):
        return (self._folder / name).read_bytes()

    def names(self):
        return files_in(self._folder)

    def leftovers(self):
        return [name for name in self.names() if Path(name).name.startswith(".")]


class S3Place:
    def __init__(self, bucket, **job):
        self._bucket = bucket
        self.uri = bucket.uri("x.jsonl.gz")
        self.job = job

    def read(self, name="x.jsonl.gz"):
        return self._bucket.read(name)

    def names(self):
        return self._bucket.keys()

    def leftovers(self):
        return self._bucket.unfinished_uploads()


PART = 64 * 1024


@pytest.fixture
def place(request, tmp_path, killable, monkeypatch):
    """Local disk; S3; or S3 where already a small object travels in parts."""
    if request.param == "file":
        folder = tmp_path / "out"
        folder.mkdir()
        return LocalPlace(folder)
    bucket = request.getfixturevalue("bucket")
    if request.param == "s3":
        return S3Place(bucket)
    from moto.s3 import models

    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", PART)
    return S3Place(bucket, part=PART)


def visible(names):
    """What a query engine reads: Hive, Spark, Trino and DuckDB's default globs skip these two."""
    return [name for name in names if not name.startswith(("_", "."))]


MANIFEST = manifest_name("x.jsonl.gz")
# The log says one of NAMED where the manifest does not belong to the object, and one of CLEANED where a killed run left something.
NAMED = ("stands without a manifest", "does not describe the object beside it", "describes an object that is not there")
CLEANED = ("which a killed run had left", "unfinished uploads of")


def belong_together(place):
    names = place.names()
    told = json.loads(place.read(MANIFEST))["object"]["sha256"] if MANIFEST in names else None
    return told == (hashlib.sha256(place.read()).hexdigest() if "x.jsonl.gz" in names else None)


def assert_next_run_is_right(killable, place, job):
    """It succeeds, names what did not belong together and what was left, and leaves an object, its manifest and nothing else."""
    together, left = belong_together(place), bool(place.leftovers())
    assert killable.leftovers() == [], "in the temporary directory, after a kill"
    code, receipt, _ = killable.run(place.uri, **place.job | job)
    assert code == 0
    assert any(phrase in message for message in killable.said for phrase in NAMED) == (not together), killable.said
    assert any(phrase in message for message in killable.said for phrase in CLEANED) == left, killable.said
    assert hashlib.sha256(place.read()).hexdigest() == receipt["sha256"]
    manifest = json.loads(place.read(MANIFEST))
    assert manifest["receipt"] == receipt
    assert manifest["object"]["sha256"] == receipt["sha256"]
    assert place.names() == [MANIFEST, "x.jsonl.gz"]
    assert place.leftovers() == killable.leftovers() == []
    return receipt


ON_DISK = ["half read", "half built", "built", "half copied", "before replacing", "after replacing", "manifest made", "before the manifest"]
# The steps before publishing are the same code for both stores.
ON_S3 = ["built", "half uploaded", "before the manifest"]
POINTS = [*(("file", point) for point in ON_DISK), *(("s3", point) for point in ON_S3)]
UNNAMED = {"half read", "half built", "built"}
"""Before these steps nothing of the object has a name."""
PUBLISHED = {"manifest made", "before the manifest", "after replacing"}


@pytest.mark.parametrize(("place", "point"), POINTS, indirect=["place"])
def test_killed_at_a_step(killable, place, point):
    new = NEW | ({"count": 11_000, "size": 2_000} if point == "half uploaded" else {})
    assert killable.run(place.uri, **OLD)[0] == 0
    old = place.read()
    assert killable.run(place.uri, die=point, **new)[0] == -signal.SIGKILL
    after = place.read()
    assert visible(place.names()) == ["x.jsonl.gz"]
    assert (after != old) == (point in PUBLISHED)
    assert point not in UNNAMED or not place.leftovers()
    receipt = assert_next_run_is_right(killable, place, NEW)
    assert (place.read() == after) == (point in PUBLISHED)
    # Against whichever object stood there, its manifest or not: all of the new ones lacked, or none.
    assert receipt["late_events"] == (0 if point in PUBLISHED else NEW["count"])


@pytest.mark.parametrize(("place", "kills"), [("file", KILLS), ("s3 in parts", KILLS // 3)], indirect=["place"])
def test_killed_at_random_moments(killable, place, kills):
    bytes_of, took = {}, 0.0
    for seed in (1, 2):
        code, _, took = killable.run(place.uri, seed=seed, count=2_000, **place.job)
        assert code == 0
        bytes_of[seed] = place.read()
    rng = random.Random(20250918)
    outcomes = []
    while len(outcomes) < kills:
        before = place.read()
        seed = 1 if before == bytes_of[2] else 2
        try:
            code = killable.run(place.uri, seed=seed, count=2_000, kill_after=rng.uniform(0, took), **place.job)[0]
        except ProcessLookupError:  # it had ended by itself, and killable.py had been quick to notice
            code = int(killable._answer())
        assert code in (0, -signal.SIGKILL)
        now = place.read()
        assert now in (before, bytes_of[seed]), f"after {outcomes}: neither the old object nor the new one"
        assert visible(place.names()) == ["x.jsonl.gz"]
        if code:
            outcomes.append("old" if now == before else "new")
            receipt = assert_next_run_is_right(killable, place, {"seed": seed, "count": 2_000})
            assert receipt["late_events"] == (2_000 if now == before else 0)
    assert "old" in outcomes


@pytest.mark.parametrize(("place", "rounds"), [("file", 6), ("s3", 2), ("s3 in parts", 2)], indirect=["place"])
def test_two_runs_on_one_object_at_once(killable, place, rounds):
    """One at least succeeds, the other may say that another was there; the object is one of the two; the next run knows what it finds."""
    jobs = [{"seed": seed, "count": 2_000} | place.job for seed in (1, 2)]
    alone = []
    for job in jobs:
        assert killable.run(place.uri, **job)[0] == 0
        alone.append(place.read())
    for _ in range(rounds):
        ended = [code for code, _ in killable.run_at_once(place.uri, jobs)]
        assert 0 in ended
        assert set(ended) <= {0, PUBLISH_ERROR}
        assert place.read() in alone
        assert visible(place.names()) == ["x.jsonl.gz"]
        assert_next_run_is_right(killable, place, {"seed": 3, "count": 100})


def test_this_process_and_the_killed_ones_write_alike(killable, tmp_path):
    from export.support import make_records

    killable.run(str(tmp_path / "a.jsonl.gz"), **OLD)
    export(make_records(OLD["count"], seed=OLD["seed"]), str(tmp_path / "b.jsonl.gz"))
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
