"""Tasks that wait for failures, in a real Airflow whose triggerer is killed again and again, at an API that fails.

``kill -9`` comes at three moments, which are those at which something can be lost:

=================  =====================================================================================
before the poll    the failure has happened, and the triggerer has not yet polled
after the poll     the API has answered with the failure, and Airflow's database does not know of it yet
once it is stored  the database knows of it, and the triggerer may not have saved that it does
=================  =====================================================================================

In each round the triggerer is killed at one of them and started again, while failures go on happening. Each failure has to reach a task, by
each way to wait. A round takes some fifteen seconds, so there is one for each moment; for 20 of them, by hand::

    CAPILLARY_LIVE_ROUNDS=20 pytest -s tests/live

What was delivered twice is counted, and shown at the end of the run with the times.
"""

from __future__ import annotations

import os
import re
import statistics
import time

import pytest
from live.airflow_processes import AIRFLOW
from live.happenings import DRIP, FIGURES, OTHERS, Story, canaries_of
from live.waiting import SUBJECTS, WATCHES

from airflow_provider_capillary.triggers._asset_watch import FIRST_PAUSE

REQUESTS_OF_A_POLL = 3
"""Requests of one poll that finds nothing new: the whole window, and two parts of it."""
BEFORE_POLL, AFTER_POLL, ONCE_STORED = MOMENTS = ("before the poll", "after the poll", "once it is stored")
ROUNDS = int(os.environ.get("CAPILLARY_LIVE_ROUNDS", "3" if AIRFLOW >= (3, 0) else "1"))
STALL = 0.9 * DRIP
"""Seconds. A request that took place on the event loop would hold it up for longer, as long as the slow answers take; a machine that is
busy holds it up for less."""


def all_wait(live):
    for subject in SUBJECTS:
        live.until(live.waits, subject)


def test_a_failure_starts_the_downstream_task(live):
    all_wait(live)
    happened = live.story.post()
    for subject in SUBJECTS:
        took = live.until(live.arrived, subject, happened) - live.story.posted[happened]
        FIGURES.append(f"{subject.name}: a failure started the task after {took:.1f} s, with a poll every 2 s")


def kill_and_restart(live, moment, slowest):
    """Let a failure happen, kill the triggerer at a moment on the way of that failure; return who had stored it by then."""
    all_wait(live)
    asked = live.api.asked
    happened = live.story.post()
    if moment == AFTER_POLL:
        live.until(lambda: live.api.answers(after=asked) >= REQUESTS_OF_A_POLL)
    elif moment == ONCE_STORED:
        live.until(live.stored, slowest, happened)
    live.airflow.kill("triggerer")
    had_stored = [subject.name for subject in SUBJECTS if live.stored(subject, happened)]
    live.restart_triggerer()
    for subject in SUBJECTS:
        live.until(live.arrived, subject, happened)
    return had_stored


def test_nothing_is_lost_when_the_triggerer_is_killed(live):
    # Where there is one round only, it is the worst.
    moments = [MOMENTS[number % len(MOMENTS)] for number in range(ROUNDS)] if ROUNDS > 1 else [AFTER_POLL]
    seconds, had_stored = [], {moment: [] for moment in moments}
    with live.story.going_on():
        for number, moment in enumerate(moments):
            began = time.monotonic()
            had_stored[moment] += kill_and_restart(live, moment, SUBJECTS[-1 - number // len(MOMENTS) % len(SUBJECTS)])
            seconds.append(time.monotonic() - began)
    twice = live.all_arrived()
    assert not twice["sensor"]
    FIGURES.append(
        f"{ROUNDS} kills of the triggerer, {len(live.story.posted)} failures, 0 lost; delivered more than once: "
        + ", ".join(f"{len(names)} by the {way}" for way, names in twice.items())
        + f"; {statistics.median(seconds):.1f} s a round, at most {max(seconds):.1f}"
    )
    for moment, names in had_stored.items():
        counts = [f"the {subject.name}'s {names.count(subject.name)} times" for subject in SUBJECTS]
        FIGURES.append(f"killed {moment} {moments.count(moment)} times; the database had {' and '.join(counts)}")


def test_an_api_that_fails_throttles_or_is_gone_is_waited_out(live):
    for fault in ("http_503", "throttled_seconds", "slow_drip"):
        live.story.post()
        live.api.fault = fault
        live.until(lambda fault=fault: live.api.met(fault) >= 2)
        live.api.fault = None
        # It goes on before the next fault comes; else the pauses would add up.
        live.until(lambda asked=live.api.asked: live.api.answers(after=asked))
    live.api.emulator.stop()
    live.story.post()
    time.sleep(3)  # nobody can tell that a connection was refused: this is how long they all are
    live.api.emulator.start()
    live.all_arrived()


def test_a_revoked_credential_fails_the_task_at_once_with_a_hint(live):
    live.until(lambda: live.apis["sensor_revoked"].answers(after=0))
    with live.apis["sensor_revoked"].revoked():
        # Where it is tried again, there are either more tries or another state in the end.
        live.until(lambda: live.state("sensor_revoked", "note") not in ([(None, 0)], [("scheduled", 0)]))
    assert live.state("sensor_revoked") == [("failed", 1)]
    assert live.state("sensor_revoked", "note") == [("upstream_failed", 0)]
    (log,) = live.airflow.logs.glob("dag_id=sensor_revoked/*/task_id=wait/attempt=1.log")
    assert "The API does not accept the credential" in (text := log.read_text())
    assert "How to fix: check login and password of the connection" in text
    assert live.apis["sensor_revoked"].refused() == 1


@pytest.mark.skipif(not WATCHES, reason="watchers that lose nothing came with Airflow 3.3")
def test_a_watcher_whose_credential_is_revoked_polls_rarely_and_continues_once_it_works_again(live):
    api = live.apis["watcher_revoked"]
    live.until(lambda: api.answers(after=0))
    with api.revoked():
        began = time.monotonic()
        happened = Story(api).post()
        live.until(api.refused)
        requests = live.api.asked + 3 * REQUESTS_OF_A_POLL
        live.until(lambda: live.api.asked >= requests)
        # Other triggers have polled three times since; the watcher pauses for half of its first pause at least before it polls again.
        assert api.refused() <= 1 + (time.monotonic() - began) / (FIRST_PAUSE / 2)
    live.until(lambda: [arrival.ids for arrival in live.arrivals if arrival.by == "watcher_revoked"] == [(happened,)])


def test_statuses_that_do_not_match_start_nothing(live):
    for status in OTHERS:
        live.story.post(status)
    asked = live.api.asked
    live.until(lambda: live.api.answers(after=asked) >= 2 * REQUESTS_OF_A_POLL)
    live.all_arrived()
    assert not [arrival for arrival in live.arrivals if arrival.by in {"sensor_of_others", "watcher_of_others"}]
    assert live.state("sensor_of_others") == [("deferred", 1)]
    assert live.state("watcher_of_others", "note") == []
    assert not live.airflow.dead()


def test_what_it_leaves_behind_holds_nothing_secret_or_personal(live):
    live.story.post()
    live.all_arrived()
    files = {path: path.read_bytes() for path in live.home.rglob("*") if path.is_file() and not path.is_symlink()}
    everything = {kind: b"".join(files[path] for path in files if kind in path.as_posix()) for kind in ("airflow.db", "logs/", "outputs/")}
    # First that the scan sees what there is: arguments of triggers, XCom, what the sensor and the triggerer log.
    assert [kwargs for (kwargs,) in live.airflow.rows("SELECT kwargs FROM trigger") if "capillary_shared" in kwargs]
    for kind, text in (("airflow.db", b"happened-00001"), ("logs/", b"Waiting for"), ("outputs/", b"Starting the triggerer")):
        assert text in everything[kind], kind
    for what, canary in canaries_of(live.apis.values()).items():
        assert not [path for path, content in files.items() if canary.encode() in content], what
    assert b"async thread was blocked" not in everything["logs/"]
    assert [stall for stall in re.findall(rb"async thread was blocked for ([0-9.]+)", everything["outputs/"]) if float(stall) > STALL] == []
