"""The budget that processes of one machine share: by real processes against one server, and what happens where they can't share it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from hooks.support import EMPTY, RawServer, always, answer, connection, hook_of, read

from airflow_provider_capillary.hooks import _turns
from airflow_provider_capillary.hooks._turns import Turns

PROGRAM = """
import sys
from airflow_provider_capillary.hooks.capillary import CapillaryHook
hook = CapillaryHook()
hook.settings
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    list(hook.iter_event_logs("2025-09-01T00:00:00Z", "2025-10-01T00:00:00Z"))
"""

HELD_UP = 1.0
"""Seconds that a process of a busy machine may be held up between its turn and its request."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The temporary folder of this test and its processes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(_turns, "_said", set())
    return tmp_path


def turns(hook):
    return Turns(hook.settings)


def test_processes_that_share_a_credential_stay_inside_one_budget(folder, monkeypatch):
    """Two processes at once, 240 requests a minute: none comes sooner than the budget lets it, and they use it."""
    times, lock = [], threading.Lock()

    def serve(conn, head, number):
        with lock:
            times.append(time.monotonic())
        return always(answer(EMPTY))(conn, head, number)

    with RawServer(serve) as server:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", connection(server.url, date_format="iso", requests_per_minute=240))
        processes = [
            subprocess.Popen([sys.executable, "-c", PROGRAM, "5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
        ]
        # Both begin at once, however long one takes to import what it needs.
        for process in processes:
            assert b"ready\n" in iter(process.stdout.readline, b"")
        for process in processes:
            process.stdin.close()
        assert [process.wait(120) for process in processes] == [0] * 2
        for process in processes:
            process.stdout.close()
    assert len(times) >= 30
    interval, burst = 60 / 236, 5
    times.sort()
    for first, later in zip(times, times[burst + 10 :], strict=False):
        assert later - first >= 11 * interval - HELD_UP
    # With a budget for each they would need less than half of it; with half of one for both, twice as long.
    assert (len(times) - burst) * interval - HELD_UP <= times[-1] - times[0] <= len(times) * interval * 1.5
    (file,) = (folder / f"airflow-capillary-{os.getuid()}").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert "store" not in file.name


def test_a_pause_that_the_api_asks_for_holds_the_other_process_back(folder, monkeypatch):
    one, other = (turns(hook_of(monkeypatch, connection("http://127.0.0.1:9"))) for _ in range(2))
    one.hold(100.0, 20.0)
    assert other.take(101.0) == pytest.approx(19.0)
    assert other.take(120.0) == 0.0


def test_another_credential_or_api_has_its_own_budget(folder, monkeypatch):
    one = turns(hook_of(monkeypatch, connection("http://127.0.0.1:9")))
    other = turns(hook_of(monkeypatch, connection("http://127.0.0.1:10")))
    one.hold(100.0, 20.0)
    assert other.take(101.0) == 0.0


def test_the_times_of_a_clock_that_has_begun_anew_are_forgotten(folder, monkeypatch):
    before, after = (turns(hook_of(monkeypatch, connection("http://127.0.0.1:9"))) for _ in range(2))
    before.hold(90_000.0, 20.0)
    assert after.take(50.0) == 0.0


def not_a_folder(place):
    place.write_text("")


def of_everybody(place):
    place.mkdir()
    place.chmod(0o777)


def a_link(place):
    target = place.with_name("elsewhere")
    target.mkdir()
    place.symlink_to(target)


@pytest.mark.parametrize("spoil", [not_a_folder, of_everybody, a_link])
def test_a_process_keeps_a_budget_of_its_own_where_it_cannot_share_one(folder, monkeypatch, caplog, spoil):
    """It says so once, and reads all the same."""
    spoil(folder / f"airflow-capillary-{os.getuid()}")
    with RawServer(always(answer(EMPTY))) as server:
        hook = hook_of(monkeypatch, connection(server.url, date_format="iso"))
        assert read(hook).error is None
        assert read(hook).error is None
    assert caplog.text.count("is not shared with other processes") == 1
    mine = turns(hook)
    mine.hold(100.0, 20.0)
    assert mine.take(101.0) == pytest.approx(19.0)


def test_without_locks_of_files_a_process_keeps_a_budget_of_its_own(folder, monkeypatch):
    monkeypatch.setattr(_turns, "fcntl", None)
    mine = turns(hook_of(monkeypatch, connection("http://127.0.0.1:9")))
    mine.hold(100.0, 20.0)
    assert mine.take(101.0) == pytest.approx(19.0)
    assert not list(folder.iterdir())
