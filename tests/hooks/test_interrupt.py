"""What the end of a request from outside rests on: the libraries' ways of opening a connection, and one time limit."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
from hooks.support import EMPTY, RawServer, always, answer, connection, hook_of, read, silent, socks_server, stopped, tunnel_to

from airflow_provider_capillary.hooks._interrupt import TimeLimit


def soon(is_so, seconds=5.0):
    until = time.monotonic() + seconds
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    return is_so()


def port_of(handle):
    held = handle._handle
    return held and held.getpeername()[1]


@pytest.mark.parametrize("route", ["http", "https", "http proxy", "tunnel", "socks"])
def test_every_connection_is_followed_as_long_as_it_is_open(monkeypatch, certificate, route):
    """Rows are the ways to the API; each library opens them by a class of its own."""
    context, cert = certificate
    tls = route in {"https", "tunnel"}
    with RawServer(always(answer(EMPTY)), tls=context if tls else None) as api, RawServer(tunnel_to(api)) as tunnel:
        listener, _ = socks_server(api)
        with listener:
            proxies = {
                "http proxy": {"http": api.url},
                "tunnel": {"https": tunnel.url},
                "socks": {"http": f"socks5h://127.0.0.1:{listener.getsockname()[1]}"},
            }.get(route)
            hook = hook_of(monkeypatch, connection(api.url, verify=cert, proxies=proxies, date_format="iso"))
            assert read(hook).error is None
            peer = {"tunnel": tunnel.port, "socks": listener.getsockname()[1]}.get(route, api.port)
            assert port_of(hook._session._connection) == peer, (
                "requests or urllib3 no longer opens connections through `get_connection_with_tls_context`, `ConnectionCls` and `sock`: "
                "a killed task goes on reading; see hooks/_interrupt.py"
            )
            hook._session.close()
            assert hook._session._connection._handle is None


def test_the_socket_is_known_before_tls_begins(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        hook = hook_of(monkeypatch, connection(f"https://127.0.0.1:{mute.getsockname()[1]}"))
        kept = hook._session._connection  # made once: two threads may both make one
        reading = threading.Thread(target=read, args=(hook,), daemon=True)
        reading.start()
        assert soon(lambda: port_of(kept) == mute.getsockname()[1]), (
            "urllib3 no longer puts the plain socket into `sock` before the TLS handshake: a stop waits there for `connect_timeout`; "
            "see hooks/_interrupt.py"
        )
        hook.stop()
        reading.join(5)
    assert not reading.is_alive()


@pytest.mark.parametrize("headers", [["Connection: close"], []])
def test_no_connection_is_held_longer_than_its_last_response(monkeypatch, headers):
    with RawServer(always(answer(EMPTY, headers=headers))) as server:
        hook = hook_of(monkeypatch, connection(server.url, date_format="iso"))
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # descriptors, not files
        for _ in range(5):
            assert read(hook).error is None
        assert (hook._session._connection._handle is None) is bool(headers)
        assert soon(lambda: len(os.listdir("/proc/self/fd")) <= before + (0 if headers else 3))  # noqa: PTH208  # a folder of the kernel, listed while it changes


def test_a_users_own_request_elsewhere_does_not_hide_the_connection_to_the_api(monkeypatch):
    """One way to the API is kept open while the session opens another way, to another host."""

    def once(conn, _head, number):
        return always(answer(EMPTY))(conn, _head, number) if number == 1 else silent(conn, _head, number)

    with RawServer(once) as proxy, RawServer(always(answer(EMPTY))) as elsewhere:
        api = "http://api.example.invalid"
        hook = hook_of(monkeypatch, connection(api, proxies={"http": proxy.url, "no_proxy": "127.0.0.1"}))
        hook.get_conn().get(f"{api}/mine")
        hook.get_conn().get(f"{elsewhere.url}/mine")
        stopped(hook, lambda: soon(lambda: len(proxy.heads) == 2))
        assert proxy.connections == 1
        proxy.stop()


def test_a_time_limit_is_kept_to_and_its_thread_ends():
    expired = []
    limit = TimeLimit(lambda: expired.append(time.monotonic()), shortest=0.2)
    began = time.monotonic()
    for _ in range(40):  # one after the other, each in time
        limit.start(0.2)
        thread = limit._thread
        time.sleep(0.01)
    assert not expired
    assert soon(lambda: bool(expired))
    assert 0.2 <= expired[0] - began < 5
    assert len(expired) == 1
    limit.start(0.2)
    limit.end()
    assert soon(lambda: not thread.is_alive() and limit._thread is None)
    assert len(expired) == 1


def test_one_thread_serves_many_requests(monkeypatch):
    begun = []
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (thread.name == "capillary-time-limit" and begun.append(thread), start(thread))[1]
    )
    with RawServer(always(answer(EMPTY))) as server:
        hook = hook_of(monkeypatch, connection(server.url, date_format="iso", requests_per_minute=6000))
        for _ in range(5):
            assert read(hook).error is None
        assert len(server.heads) > 9
    assert len(begun) <= 2
    assert soon(lambda: not any(thread.is_alive() for thread in begun))
