"""One table of readings, each through the driver of a task and the driver of the event loop: equal requests, waits, records and errors."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time

import pytest
from bench import Emulator
from hooks.support import SECRETS, UNPACED, Clock, RawServer, connection

from airflow_provider_capillary.errors import CapillaryError, ConnectionSettingsError
from airflow_provider_capillary.hooks import _driver as driver
from airflow_provider_capillary.hooks import capillary_async as async_driver
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.hooks.capillary_async import CapillaryAsyncHook

CONN = "AIRFLOW_CONN_CAPILLARY_DEFAULT"
START, END = 1756684800000, 1759276800000

WORLDS = {
    "newest first": {"limit_cap": 20},
    "oldest first": {"limit_cap": 20, "order": "oldest"},
    "to the second": {"limit_cap": 25, "precision": "s", "date_format": ("datetime",)},
    "refuses the limit": {"limit_cap": 50, "over_limit": "refuse"},
    "limits the rate": {"limit_cap": 10, "rate_limit": 12},
    "out of order": {"order": "shuffled"},
    "nothing there": {"events": 0, "documented": False},
}
FAULTS = {
    "none": (),
    "passing": ("http_500@2,5", "reset_in_body@3", "throttled_seconds@6", "html_200@7"),
    "throttled for long": ("throttled_absurd",),
    "cut off": ("truncated_gzip@1..3",),
    "down": ("http_503",),
    "refused": ("http_401@4..",),
    "forbidden": ("http_403@2",),
    "elsewhere": ("redirect_302@3",),
}
GATES = {
    "basic": {},
    "oauth": {"auth_type": "oauth"},
    "oauth, token revoked": {"auth_type": "oauth", "faults": ("http_401@3",)},
    "oauth, key refused": {"auth_type": "oauth", "token_faults": ("http_401",)},
    "oauth, short tokens": {"auth_type": "oauth", "token_ttl": 1},
}
CASES = [(world, fault, "basic") for world in WORLDS for fault in FAULTS] + [
    ("newest first", "none", authenticator) for authenticator in GATES
]


class Trace:
    """What one reading did: requests with the clock at each, records, secrets that were concealed, and the error."""

    def __init__(self, api, clock):
        self.api, self.clock = api, clock
        self.times, self.ids, self.error = [], [], None

    def watch(self, hook):
        hook._executor._rng = random.Random(3)
        send = hook._session.send

        def noted(step):
            self.times.append(round(self.clock.now, 6))
            return send(step)

        hook._session.send = noted

    def comparable(self):
        asked = [(seen.method, seen.path, dict(seen.params), seen.status, seen.fault) for seen in self.api.requests]
        fields = None
        if self.error is not None:
            fields = (type(self.error), {name: value for name, value in self.error.__dict__.items() if name != "request_id"})
        return {"asked": asked, "times": self.times, "end": round(self.clock.now, 6), "ids": self.ids, "error": fields}


def options_of(world, fault, authenticator):
    options = {"events": 60, "seed": 5} | WORLDS[world] | GATES[authenticator]
    return {"faults": FAULTS[fault]} | options


def by_task(monkeypatch, options):
    clock = Clock()
    monkeypatch.setattr(driver, "time", clock)
    with Emulator(**options, clock=lambda: clock.now) as api:
        monkeypatch.setenv(CONN, api.connection_json(requests_per_minute=30))
        trace, hook = Trace(api, clock), CapillaryHook()
        trace.watch(hook)
        try:
            for records in hook._drive(hook._reader.read(START, END)):
                trace.ids += [record["id"] for record in records]
        except CapillaryError as error:
            trace.error = error
        return trace


def by_loop(monkeypatch, options):
    clock = Clock()
    monkeypatch.setattr(driver, "time", clock)

    async def sleep(seconds):
        clock.sleep(seconds)

    monkeypatch.setattr(async_driver, "_sleep", sleep)

    async def read(trace):
        async with CapillaryAsyncHook() as hook:
            trace.watch(hook)
            async for records in hook.read(START, END):
                trace.ids += [record["id"] for record in records]

    with Emulator(**options, clock=lambda: clock.now) as api:
        monkeypatch.setenv(CONN, api.connection_json(requests_per_minute=30))
        trace = Trace(api, clock)
        try:
            asyncio.run(read(trace))
        except CapillaryError as error:
            trace.error = error
        return trace


@pytest.mark.parametrize(("world", "fault", "authenticator"), CASES)
def test_both_drivers_leave_the_same_trace(monkeypatch, world, fault, authenticator):
    options = options_of(world, fault, authenticator)
    task, loop = by_task(monkeypatch, options).comparable(), by_loop(monkeypatch, options).comparable()
    assert task["asked"]
    assert task == loop


def test_the_table_has_waits_errors_and_whole_readings(monkeypatch):
    traces = [by_loop(monkeypatch, options_of(*case)).comparable() for case in CASES]
    assert len({trace["error"][0] for trace in traces if trace["error"]}) >= 5
    assert sum(trace["error"] is None and len(trace["ids"]) > 30 for trace in traces) >= 10
    assert sum(trace["end"] > trace["times"][0] for trace in traces) >= 10


def test_nothing_blocks_the_loop_while_the_api_is_slow(monkeypatch):
    """The loop goes on during each answer: by its own turns, which a busy machine makes fewer, and not by how long one takes."""
    turns, during = itertools.count(), []

    def serve(conn, _head, _number):
        before = next(turns)
        time.sleep(0.5)
        during.append(next(turns) - before)
        conn.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n{"data":[],"warnings":[],"errors":[]}')
        return True

    async def read():
        async def tick():
            while True:
                next(turns)
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        async with CapillaryAsyncHook() as hook:
            async for _ in hook.read(START, END):
                pass
        ticking.cancel()

    with RawServer(serve) as server:
        monkeypatch.setenv(CONN, connection(server.url))
        asyncio.run(read())
    assert len(during) >= 3
    assert min(during) > 3  # one is counted here; a loop that is held up does at most what it had begun


def test_a_connection_that_is_not_there_is_the_same_error(monkeypatch):
    monkeypatch.delenv(CONN, raising=False)

    async def open_it():
        async with CapillaryAsyncHook("nowhere_to_be_found"):
            pass

    with pytest.raises(ConnectionSettingsError, match="nowhere_to_be_found"):
        asyncio.run(open_it())


@pytest.mark.parametrize("when", ["in an answer", "in a pause"])
def test_a_cancelled_reading_ends_at_once_and_leaves_nothing_running(monkeypatch, when):
    faults = ("hang@2",) if when == "in an answer" else ("throttled_absurd@2..",)
    others = set(threading.enumerate())  # those of servers and loops that this process ran before
    with Emulator(faults=faults, hang_seconds=60) as api:
        monkeypatch.setenv(CONN, api.connection_json(**UNPACED))

        async def cancel_it():
            hook = CapillaryAsyncHook()
            await hook.open()

            async def read():
                async for _ in hook.read(START, END):
                    pass

            reading = asyncio.create_task(read())
            while len(api.requests) < 2:  # noqa: ASYNC110  # the server's thread knows nothing of the loop
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            before = time.monotonic()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await hook.close()
            assert time.monotonic() - before < 5
            return hook, [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

        hook, left = asyncio.run(cancel_it())
        assert not left
        assert hook.is_stopped
        assert not [thread for thread in threading.enumerate() if thread not in others and thread.name.startswith("asyncio")]
        count = len(api.requests)
    assert count == 2


def test_secrets_are_masked_and_in_no_repr(monkeypatch):
    masked = []
    monkeypatch.setattr("airflow.providers.common.compat.sdk.mask_secret", masked.append, raising=False)
    with Emulator(auth_type="oauth") as api:
        monkeypatch.setenv(CONN, api.connection_json(**UNPACED))

        async def read():
            async with CapillaryAsyncHook() as hook:
                async for _ in hook.read(START, END):
                    pass
                return hook, hook._executor._token

        hook, token = asyncio.run(read())
    assert token in masked
    assert "emulator-secret" in masked
    shown = f"{hook!r} {hook.settings!r}"
    assert not [secret for secret in SECRETS if secret in shown]
