"""A long reading from a server that takes its time: side by side by both drivers, and nothing is left of it however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import Counter

import pytest
from bench import Emulator
from hooks.support import CONN, UNPACED, check_whole, hook_of, read

from airflow_provider_capillary.api.budget import lanes_for
from airflow_provider_capillary.errors import AuthenticationError, ReadingStoppedError
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.hooks.capillary_async import CapillaryAsyncHook
from airflow_provider_capillary.reading.lanes import Lanes

START, END = 1756684800000, 1759276800000
LATENCY = 0.03


class Slow(Emulator):
    """Answers after a while, and counts the requests that it has under way at once.

    :param hang_from: the number of the request from which on all hang; those that are under way hang too once ``hangs`` is set.
    """

    def __init__(self, *, hang_from=None, **options):
        self.hanging = 0
        self.under_way, self.most_at_once, self._counting = 0, 0, threading.Lock()
        self._hang_from, self.hangs, self.released = hang_from, threading.Event(), threading.Event()
        super().__init__(**{"events": 900, "seed": 5, "limit_cap": 20, "documented": False} | options, faults=self._take_time)

    def _take_time(self, number, _params):
        with self._counting:
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        time.sleep(LATENCY)
        if self.hangs.is_set() or (self._hang_from is not None and number >= self._hang_from):
            self.hanging += 1
            self.released.wait(20)
            self.hanging -= 1
        with self._counting:
            self.under_way -= 1

    def hang_up(self):
        """Let what is under way hang, if anything is; whether something does."""
        self.hangs.set()
        end = time.monotonic() + 1
        while self.under_way and not self.hanging and time.monotonic() < end:
            time.sleep(0.001)
        if not self.hanging:
            self.hangs.clear()
        return bool(self.hanging)


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch):
    monkeypatch.setattr(Lanes, "worth_it", 10)


def lanes_left():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capillary-lane")]


def descriptors():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # descriptors, not files


def read_in_loop(**extras):
    async def go():
        ids = []
        async with CapillaryAsyncHook() as hook:
            async for records in hook.read(START, END):
                ids += [record["id"] for record in records]
        return ids

    return asyncio.run(go())


def test_both_drivers_ask_the_same_side_by_side(monkeypatch):
    """The same windows in some order, and the same records; the budget is shared, and no thread or connection is left."""
    asked, ids = [], []
    before = descriptors()
    for by in ("task", "loop"):
        with Slow() as api:
            hook = hook_of(monkeypatch, api)
            monkeypatch.setattr("airflow_provider_capillary.api.executor.lanes_for", lambda *_: 4)
            if by == "task":
                made = read(hook)
                check_whole(made, api)
                ids.append(made.ids)
                assert hook.requests_made == len(api.requests)
                hook._session.close()
            else:
                ids.append(read_in_loop())
            assert 3 <= api.most_at_once <= 16
            asked.append(Counter(tuple(sorted(seen.params.items())) for seen in api.requests))
        assert not lanes_left()
    assert asked[0] == asked[1]
    assert ids[0] == ids[1]
    assert descriptors() <= before + 4


def test_lanes_open_by_the_clock_and_the_rate(monkeypatch):
    """30 ms an answer: several at once where 6,000 a minute may be sent, one where 600 may; more on a machine that takes longer."""
    fitting = []

    def noted(per_minute, latency):
        fitting.append(lanes_for(per_minute, latency))
        return fitting[-1]

    monkeypatch.setattr("airflow_provider_capillary.api.executor.lanes_for", noted)
    for per_minute, least in ((6_000, 2), (600, 1)):
        fitting.clear()
        with Slow(events=300) as api:
            check_whole(read(hook_of(monkeypatch, api, requests_per_minute=per_minute)), api)
        assert least <= api.most_at_once <= max(fitting)
    assert min(fitting) == 1


@pytest.mark.parametrize("end", [{"token_requests": 15}, {"token_ttl": 1}])
def test_one_token_serves_all_lanes(monkeypatch, end):
    """However it ends, and whichever lane notices."""
    monkeypatch.setattr("airflow_provider_capillary.api.executor.lanes_for", lambda *_: 4)
    with Slow(auth_type="oauth", **end) as api:
        check_whole(read(hook_of(monkeypatch, api)), api)
        tokens = sum(seen.method == "POST" for seen in api.requests)
        logs = len(api.requests) - tokens
    assert 2 <= tokens <= (logs / 10 if "token_requests" in end else 8)


def test_a_key_that_is_refused_half_way_is_sent_once_more_at_most(monkeypatch):
    monkeypatch.setattr("airflow_provider_capillary.api.executor.lanes_for", lambda *_: 4)
    with Slow(auth_type="oauth", token_requests=20, token_faults=("http_401@2..",)) as api:
        assert type(read(hook_of(monkeypatch, api)).error) is AuthenticationError
        assert sum(seen.method == "POST" for seen in api.requests) <= 3
    assert not lanes_left()


def until(is_so, seconds=60.0):
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.01)
    assert is_so()


@pytest.mark.parametrize("how", ["stopped", "closed", "failed"])
def test_nothing_is_left_of_a_reading_in_a_task(monkeypatch, how):
    """Its requests hang: they are cut, all of them, at once."""
    monkeypatch.setattr("airflow_provider_capillary.api.executor.lanes_for", lambda *_: 4)
    # So that records are yielded while requests are under way.
    monkeypatch.setattr("airflow_provider_capillary.reading.reader.MOST_UNCONFIRMED", 20)
    with Slow(hang_from=25 if how == "stopped" else None) as api:
        hook, ended = hook_of(monkeypatch, api, read_timeout=30), {}
        rows = hook.iter_event_logs("2025-09-01T00:00:00Z", "2025-10-01T00:00:00Z")
        if how == "stopped":

            def work():
                ended["end"] = read(hook)

            thread = threading.Thread(target=work)
            thread.start()
            until(lambda: api.hanging >= 3)
            began = time.monotonic()
            hook.stop()
            thread.join(10)
            assert type(ended["end"].error) is ReadingStoppedError
        else:
            # As long as the reader waits for whoever takes its records, no request begins.
            for _ in rows:
                if api.hang_up():
                    break
            assert lanes_left()
            began = time.monotonic()
            if how == "closed":
                rows.close()
            else:
                with contextlib.suppress(LookupError):
                    rows.throw(LookupError())
        assert time.monotonic() - began < 10  # half of what the requests hang
        assert api.hanging
        assert not lanes_left()
        assert hook._pools == []
        api.released.set()


def test_nothing_is_left_of_a_reading_that_is_cancelled(monkeypatch):
    monkeypatch.setattr("airflow_provider_capillary.api.executor.lanes_for", lambda *_: 4)

    async def cancel_it(api):
        async with CapillaryAsyncHook() as hook:

            async def go():
                async for _ in hook.read(START, END):
                    pass

            reading = asyncio.create_task(go())
            while api.hanging < 3:  # noqa: ASYNC110  # the server's threads know nothing of the loop
                await asyncio.sleep(0.01)
            began = time.monotonic()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert time.monotonic() - began < 10
            assert not lanes_left()

    with Slow(hang_from=25) as api:
        monkeypatch.setenv(CONN, api.connection_json(**UNPACED, read_timeout=30))
        asyncio.run(cancel_it(api))
        api.released.set()


def test_a_copied_hook_has_no_lanes(monkeypatch):
    import pickle

    with Slow() as api:
        hook = hook_of(monkeypatch, api)
        check_whole(read(hook), api)
        copy = pickle.loads(pickle.dumps(hook))  # noqa: S301  # made in the line itself
        assert isinstance(copy, CapillaryHook)
        check_whole(read(copy), api)
