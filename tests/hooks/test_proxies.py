"""Proxies: which one is used, and each way in which it stands between the hook and the API, with its own hint."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hooks.support import EMPTY, RawServer, always, answer, check_error, connection, ends, free_port, hook_of, socks_server

from airflow_provider_capillary.errors import RequestRefusedError, TransportError

API = "https://api.example.invalid"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies_of_the_environment(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


REFUSED = {
    # what the proxy answers to CONNECT: words of what was answered, of the hint, and how often it is asked
    "407 Proxy Authentication Required": ("407 from the proxy, which wants a user name and password", "http://user:password@", 1),
    "403 Forbidden": ("403 from the proxy, which refuses to connect to this host; the API was not asked", "`no_proxy`", 1),
    "404 Not Records": ("404 from the proxy, which refuses to connect", "allow the connection's host and port", 1),
    "502 Bad Gateway": ("502 from the proxy, which does not reach this host", "check the connection's host", 9),
    "504 Gateway Timeout": ("504 from the proxy, which does not reach this host", "try again later", 9),
}


@pytest.mark.parametrize("given", ["extra", "environment"])
@pytest.mark.parametrize("status", REFUSED)
def test_a_proxy_that_refuses_the_tunnel_is_told_apart_from_the_api(monkeypatch, clock, status, given):
    said, hint, tries = REFUSED[status]
    with RawServer(always(answer(b"<html>canary-of-a-body", status=status, headers=["Connection: close"]))) as proxy:
        address = proxy.url.replace("//", "//u:server123@")
        monkeypatch.setenv("HTTPS_PROXY", address if given == "environment" else "")
        error = ends(monkeypatch, API, **({"proxies": {"https": address}} if given == "extra" else {}))
        assert [head[:8] for head in proxy.heads] == [b"CONNECT "] * tries
    check_error(error, TransportError, response=said, request_id=False)
    assert hint in error.hint
    assert error.retryable is (tries > 1)


def test_a_proxy_of_plain_http_that_wants_a_password(monkeypatch, clock):
    with RawServer(always(answer(b"", status="407 Proxy Authentication Required"))) as proxy:
        error = ends(monkeypatch, "http://api.example.invalid", proxies={"http": proxy.url})
    check_error(error, RequestRefusedError, response="HTTP 407")
    assert "A proxy refuses its user name and password" in error.problem
    assert "HTTP_PROXY" in error.hint


def test_a_proxy_that_speaks_no_tls(monkeypatch, clock):
    with RawServer(always(answer(EMPTY))) as proxy:
        error = ends(monkeypatch, API, proxies={"https": proxy.url.replace("http:", "https:")})
    check_error(error, TransportError, response="a proxy that does not speak TLS", request_id=False)
    assert "begin its address with http://" in error.hint


@pytest.mark.parametrize("unheeded", [True, False])
def test_a_proxy_that_is_not_there(monkeypatch, clock, unheeded):
    if unheeded:
        monkeypatch.setenv("NO_PROXY", "api.example.invalid")
    error = ends(monkeypatch, API, proxies={"https": f"http://u:server123@127.0.0.1:{free_port()}"})
    check_error(error, TransportError, response="no answer from the proxy", request_id=False)
    assert ("NO_PROXY does not count beside the extra, whose own key `no_proxy` does" in error.hint) is unheeded


@pytest.mark.parametrize("address", ["http://", "http://[", "//"])
def test_a_proxy_address_that_is_not_one(monkeypatch, clock, address):
    error = ends(monkeypatch, API, proxies={"https": address})
    assert type(error) is TransportError
    assert "prox" in error.response + error.hint


USED = [
    # no_proxy in the extra, whether the proxy of the extra is used for 127.0.0.1
    (None, True),
    ("elsewhere.example", True),
    ("127.0.0.1", False),
    ("elsewhere.example, 127.0.0.0/8", False),
    ("localhost", True),
]


@pytest.mark.parametrize("environment", [{}, {"HTTP_PROXY": "http://127.0.0.1:1"}, {"NO_PROXY": "127.0.0.1"}], ids=str)
@pytest.mark.parametrize(("no_proxy", "used"), USED)
def test_no_proxy_in_the_extra_is_heeded_and_the_environment_is_not_asked(monkeypatch, clock, no_proxy, used, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with RawServer(always(answer(EMPTY))) as api, RawServer(always(answer(EMPTY))) as proxy:
        proxies = {"http": proxy.url} | ({"no_proxy": no_proxy} if no_proxy else {})
        assert ends(monkeypatch, api.url, proxies=proxies) is None
        assert bool(proxy.heads) is used
        assert bool(api.heads) is not used


def test_a_session_for_requests_of_ones_own_heeds_it_by_the_host_of_each(monkeypatch, clock):
    with RawServer(always(answer(EMPTY))) as api, RawServer(always(answer(EMPTY))) as proxy:
        session = hook_of(monkeypatch, connection(api.url, proxies={"http": proxy.url, "no_proxy": "127.0.0.1"})).get_conn()
        session.get(f"{api.url}/mine")
        assert (len(api.heads), len(proxy.heads)) == (1, 0)
        session.get("http://elsewhere.example.invalid/mine")
        assert (len(api.heads), len(proxy.heads)) == (1, 1)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_is_used(monkeypatch, clock, scheme):
    with RawServer(always(answer(EMPTY))) as api:
        listener, taken = socks_server(api)
        with listener:
            host = "127.0.0.1" if scheme == "socks5" else "api.example.invalid"
            proxies = {"http": f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"}
            assert ends(monkeypatch, f"http://{host}:{api.port}", proxies=proxies) is None
        assert len(taken) == 1, "one connection, kept"
        assert (b"api.example.invalid" in taken[0]) is (scheme == "socks5h")
        assert len(api.heads) > 1


MISSING = """
import os, sys
sys.modules["socks"] = None  # as if it were not installed
os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = sys.argv[1]
from airflow_provider_capillary.hooks.capillary import CapillaryHook
print(CapillaryHook().test_connection())
"""


@pytest.mark.parametrize("given", ["extra", "environment"])
def test_a_socks_proxy_without_its_package_is_told(monkeypatch, given):
    address = "socks5h://u:server123@127.0.0.1:1"
    monkeypatch.setenv("ALL_PROXY", address if given == "environment" else "")
    text = connection(API, **({"proxies": {"https": address}} if given == "extra" else {}))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MISSING, text], capture_output=True, text=True, timeout=120, check=True)
    assert "a SOCKS proxy, for which the package PySocks is missing" in done.stdout
    assert "pip install requests[socks]" in done.stdout
    assert "server123" not in done.stdout + done.stderr
    assert re.search(r"^\(False, ", done.stdout, re.MULTILINE)
