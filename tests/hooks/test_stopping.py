"""A stop ends a reading at once, wherever it is."""

from __future__ import annotations

import socket
import time

import pytest
from hooks.support import DRIPS, EMPTY, RawServer, always, answer, connection, dripping, hook_of, read, silent, stopped

from airflow_provider_capillary.errors import ReadingStoppedError

STOPS = {
    "before headers": silent,
    "in a body": dripping(head=DRIPS["body with a length"]),
    "in chunks": dripping(head=DRIPS["body in chunks"]),
    "in a body that ends with its connection": dripping(head=DRIPS["body that ends with its connection"]),
    "in headers": dripping(head=DRIPS["headers"]),
    "retry pause": always(answer(b"", status="429 Slow", headers=["Retry-After: 50"])),
    "budget pause": always(answer(EMPTY)),
}


@pytest.mark.parametrize("where", STOPS)
def test_a_stop_ends_the_reading(monkeypatch, where):
    with RawServer(STOPS[where]) as server:
        budget = 1 if where == "budget pause" else 60

        def asked():
            until = time.monotonic() + 5
            while not server.heads and time.monotonic() < until:
                time.sleep(0.01)

        stopped(hook_of(monkeypatch, connection(server.url, requests_per_minute=budget)), asked)
        server.stop()


def test_a_stop_over_tls_and_in_its_handshake(monkeypatch, certificate):
    context, cert = certificate
    with RawServer(silent, tls=context) as server:
        stopped(hook_of(monkeypatch, connection(server.url, verify=cert)), lambda: time.sleep(0.3))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        stopped(hook_of(monkeypatch, connection(f"https://127.0.0.1:{mute.getsockname()[1]}")), lambda: time.sleep(0.1))


def test_a_stop_between_two_requests_is_not_lost(monkeypatch):
    """The moment after the driver has checked and before a connection is open."""
    with RawServer(silent) as server:
        hook = hook_of(monkeypatch, connection(server.url))
        session = hook._session
        begin = session._open
        monkeypatch.setattr(session, "_open", lambda request: hook.stop() or begin(request))
        began = time.monotonic()
        assert type(read(hook).error) is ReadingStoppedError
        assert time.monotonic() - began < 10


def test_a_stopped_hook_asks_nothing(monkeypatch):
    with RawServer(always(answer(EMPTY))) as server:
        hook = hook_of(monkeypatch, connection(server.url))
        hook.stop()
        assert type(read(hook).error) is ReadingStoppedError
        assert not server.heads
