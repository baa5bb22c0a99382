"""How the hook connects: one connection, kept; TLS; http only where it is said; and where there is none."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from hooks.support import EMPTY, RawServer, always, answer, check_error, check_whole, connection, ends, free_port, hook_of, read

from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.errors import TransportError


def test_one_connection_serves_all_requests(monkeypatch, clock):
    """Failures that come whole included."""
    with Emulator(events=60, limit_cap=20, faults=["http_500@3", "http_503@5", "html_200@7"]) as api:
        accepted = []
        accept = api._server.process_request
        monkeypatch.setattr(api._server, "process_request", lambda *args: accepted.append(1) or accept(*args))
        check_whole(read(hook_of(monkeypatch, api)), api)
        assert len(api.requests) > 8
    assert len(accepted) == 1


def test_a_connection_that_the_server_ends_is_replaced(monkeypatch, clock):
    with RawServer(always(answer(EMPTY, headers=["Connection: close"]))) as server:
        assert ends(monkeypatch, server.url) is None
        assert server.connections == len(server.heads) > 1


def test_tls(monkeypatch, clock, certificate, tmp_path):
    context, cert = certificate
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    with RawServer(always(answer(EMPTY)), tls=context) as server:
        error = ends(monkeypatch, server.url)
        check_error(error, TransportError, response="certificate that does not verify", request_id=False)
        assert "`verify`" in error.hint
        assert server.connections == 1, "no retry helps it"
        assert ends(monkeypatch, server.url, verify=cert) is None
        with pytest.warns(match="Unverified"):
            assert ends(monkeypatch, server.url, verify=False) is None
        # The environment's bundle wins over neither.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nothing))
        assert ends(monkeypatch, server.url, verify=cert) is None
        with pytest.warns(match="Unverified"):
            assert ends(monkeypatch, server.url, verify=False) is None
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        named = ends(monkeypatch, server.url.replace("127.0.0.1", "localhost"), verify=cert)
        check_error(named, TransportError, response="for another host", request_id=False)
        count = server.connections
        unreadable = ends(monkeypatch, server.url, verify=str(nothing))
        check_error(unreadable, TransportError, response="CA certificates", request_id=False)
        assert server.connections <= count + 1
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
        check_error(ends(monkeypatch, server.url), TransportError, response="CA certificates", request_id=False)


def test_https_at_a_port_that_speaks_http(monkeypatch, clock):
    with RawServer(always(answer(EMPTY, status="400 Bad Request"))) as server:
        error = ends(monkeypatch, server.url.replace("http:", "https:"))
    check_error(error, TransportError, request_id=False)
    assert "https" in error.hint


def test_http_only_where_it_is_said(monkeypatch, clock):
    with RawServer(always(answer(EMPTY))) as server:
        assert ends(monkeypatch, server.url) is None
        asked = len(server.heads)
        bare = server.url.removeprefix("http://")
        assert hook_of(monkeypatch, connection(bare)).settings.base_url.startswith("https://")
        assert ends(monkeypatch, bare) is not None
        assert len([head for head in server.heads[asked:] if head.startswith(b"GET")]) == 0
        plain = json.loads(connection(bare, date_format="iso")) | {"schema": "http"}
        assert read(hook_of(monkeypatch, json.dumps(plain))).error is None


def test_no_connection(monkeypatch, clock):
    refused = ends(monkeypatch, f"http://127.0.0.1:{free_port()}")
    check_error(refused, TransportError, response="refused connection", request_id=False)
    assert "(9 tries)" in refused.problem
    unknown = ends(monkeypatch, "http://nowhere.invalid")
    check_error(unknown, TransportError, response="does not resolve", request_id=False)
    proxied = ends(monkeypatch, "https://elsewhere.example", proxies={"https": f"http://u:server123@127.0.0.1:{free_port()}"})
    check_error(proxied, TransportError, response="proxy", request_id=False)
    assert "proxies" in proxied.hint


def test_a_connection_that_is_not_taken_ends_in_time(monkeypatch, clock):
    with socket.socket() as listener, contextlib.ExitStack() as filled:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # the queue of connections that nobody takes is then full
            each = filled.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        hook = hook_of(monkeypatch, connection(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.2, read_timeout=0.2))
        good, said = hook.test_connection()
    assert not good
    assert "no connection within 0.2 s" in said
    assert "connect_timeout" in said
