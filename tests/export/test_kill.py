"""``kill -9`` at every step and at random moments: the old object or the new one, never half, and the next run is right."""

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
from export.support import export

HERE = Path(__file__).resolve().parent
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
        receipt = self._folder / "receipt.json"
        receipt.unlink(missing_ok=True)
        began = time.monotonic()
        job |= {"destination": destination, "tmpdir": str(self._tmpdir), "receipt": str(receipt)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        pid = int(self._answer())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)  # unreaped until the answer is read... or gone, which killable.py tells
        code = int(self._answer())
        return code, json.loads(receipt.read_text()) if receipt.exists() else None, time.monotonic() - began

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

    def read(self, name="x.jsonl.gz"):
        return (self._folder / name).read_bytes()

    def names(self):
        return sorted(path.name for path in self._folder.iterdir())


class S3Place:
    def __init__(self, bucket):
        self._bucket = bucket
        self.uri = bucket.uri("x.jsonl.gz")

    def read(self, name="x.jsonl.gz"):
        return self._bucket.read(name)

    def names(self):
        return self._bucket.keys()


@pytest.fixture
def place(request, tmp_path, killable):
    folder = tmp_path / "out"
    folder.mkdir()
    return LocalPlace(folder) if request.param == "file" else S3Place(request.getfixturevalue("bucket"))


def visible(names):
    """What a query engine reads: Hive, Spark, Trino and DuckDB's default globs skip these two."""
    return [name for name in names if not name.startswith(("_", "."))]


def assert_next_run_is_right(killable, place, job):
    code, receipt, _ = killable.run(place.uri, **job)
    assert code == 0
    assert hashlib.sha256(place.read()).hexdigest() == receipt["sha256"]
    manifest = json.loads(place.read("_x.jsonl.gz.manifest.json"))
    assert manifest["receipt"] == receipt
    assert manifest["object"]["sha256"] == receipt["sha256"]
    assert place.names() == ["_x.jsonl.gz.manifest.json", "x.jsonl.gz"]
    assert killable.leftovers() == []
    return receipt


ON_DISK = ["half read", "half built", "built", "half copied", "before replacing", "after replacing", "manifest made", "before the manifest"]
# What comes before publishing is the same code for both.
ON_S3 = ["built", "half uploaded", "before the manifest"]
POINTS = [*(("file", point) for point in ON_DISK), *(("s3", point) for point in ON_S3)]
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
    receipt = assert_next_run_is_right(killable, place, NEW)
    assert (place.read() == after) == (point in PUBLISHED)
    # Against whichever object stood there, its manifest or not: all of the new ones lacked, or none.
    assert receipt["late_events"] == (0 if point in PUBLISHED else NEW["count"])


@pytest.mark.parametrize(("place", "turns"), [("file", 12), ("s3", 5)], indirect=["place"])
def test_killed_at_random_moments(killable, place, tmp_path, turns):
    new_bytes = {}
    for seed in (1, 2):
        export_to = tmp_path / f"{seed}.jsonl.gz"
        assert killable.run(str(export_to), seed=seed, count=2_000)[0] == 0
        new_bytes[seed] = export_to.read_bytes()
    took = max(killable.run(place.uri, seed=1, count=2_000)[2] for _ in range(1))
    rng = random.Random(20250918)
    outcomes = set()
    for turn in range(turns):
        before = place.read()
        seed = 1 if before == new_bytes[2] else 2
        try:
            code = killable.run(place.uri, seed=seed, count=2_000, kill_after=rng.uniform(0, took))[0]
        except ProcessLookupError:  # it had ended by itself, and killable.py had been quick to notice
            code = int(killable._answer())
        assert code in (0, -signal.SIGKILL)
        now = place.read()
        assert now in (before, new_bytes[seed]), f"turn {turn}: neither the old object nor the new one"
        outcomes.add((code, now == before))
        assert visible(place.names()) == ["x.jsonl.gz"]
    assert (-signal.SIGKILL, True) in outcomes, outcomes
    assert_next_run_is_right(killable, place, {"seed": 1, "count": 2_000})


def test_this_process_and_the_killed_ones_write_alike(killable, tmp_path):
    from export.support import make_records

    killable.run(str(tmp_path / "a.jsonl.gz"), **OLD)
    export(make_records(OLD["count"], seed=OLD["seed"]), str(tmp_path / "b.jsonl.gz"))
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
