"""The button that tests a connection says what to change, and raises nothing."""

from __future__ import annotations

import pytest
from hooks.support import RawServer, always, answer, connection, free_port, hook_of, silent

from airflow_provider_capillary.emulator import Emulator

BUTTON = {
    "401": (always(answer(b"<html>canary-of-a-body", status="401 No")), "password_format"),
    "403": (always(answer(b"<html>canary-of-a-body", status="403 No")), "Behavioural Events"),
    "404": (always(answer(b"", status="404 No")), "base URL of the cluster"),
    "HTML": (always(answer(b"<html>canary-of-a-body")), "portal or a proxy"),
    "500": (always(answer(b"", status="500 No")), "support"),
    "429": (always(answer(b"", status="429 No", headers=["Retry-After: 3600"])), "requests_per_minute"),
    "redirect": (always(answer(b"", status="302 No", headers=["Location: http://127.0.0.1:1/"])), "final address"),
    "silence": (silent, "read_timeout"),
}


@pytest.mark.parametrize("case", BUTTON)
def test_the_button_says_what_to_change(monkeypatch, clock, case):
    serve, hint = BUTTON[case]
    with RawServer(serve) as server:
        good, said = hook_of(monkeypatch, connection(server.url, read_timeout=0.3)).test_connection()
        server.stop()
    assert not good
    assert hint in said
    assert "canary" not in said
    assert "raw-1" in said or case == "silence"
    assert sum(clock.slept) <= 5


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://nowhere.invalid", "DNS"),
        ("http://127.0.0.1:{}", "host and port"),
        ("https://127.0.0.1:{}", "host and port"),
        ("ftp://x", "https://"),
    ],
)
def test_the_button_without_a_server(monkeypatch, clock, url, hint):
    good, said = hook_of(monkeypatch, connection(url.format(free_port()))).test_connection()
    assert not good
    assert hint in said


def test_the_button_tells_count_and_age(monkeypatch, clock):
    with Emulator(events=25) as api:
        hook = hook_of(monkeypatch, api)
        assert hook.test_connection() == (True, "Connected. Saw 35 event logs; the newest of them is 9 days 12 hours old.")
        assert len(api.requests) == 1
    with Emulator(documented=False) as api:
        good, said = hook_of(monkeypatch, api).test_connection()
    assert good
    assert "no event logs" in said


def test_the_button_raises_nothing(monkeypatch, clock):
    hook = hook_of(monkeypatch, connection("https://x.example"))

    def lookup(_conn_id):
        raise RuntimeError("server123")

    monkeypatch.setattr(type(hook), "get_connection", staticmethod(lookup))
    good, said = hook.test_connection()
    assert not good
    assert "RuntimeError" in said
    assert "server123" not in said
