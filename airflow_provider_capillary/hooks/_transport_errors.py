"""Says why no whole answer came, and what to change.

Texts of exceptions are never shown: they may hold a proxy's password, a URL, or a part of the body.
"""

# ruff: noqa: TID253  # imported by functions only, never while a DAG file is parsed

from __future__ import annotations

import os
import re
import socket
import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from requests import exceptions

from airflow_provider_capillary.api.effects import TransportFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.connection.settings import Settings

__all__ = ["transport_failure"]

_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
"""OpenSSL's reasons where a server does not speak TLS."""
_NOT_CERTIFICATES: Final = frozenset({"NO_CERTIFICATE_OR_CRL_FOUND", "NOT_ENOUGH_DATA", "BAD_BASE64_DECODE", "NO_START_LINE"})
"""OpenSSL's reasons where a file does not hold CA certificates."""
_WRONG_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


def transport_failure(error: Exception, settings: Settings) -> TransportFailure:
    """Say what ``error``, or the first cause behind it, means and how to fix it."""
    causes = list(_causes(error))
    return _proxy(causes, settings) or _tls(causes) or _address(causes) or _time(error, causes, settings) or _connection(error, causes)


def _tls(causes: list[BaseException]) -> TransportFailure | None:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _WRONG_NAME:
                return TransportFailure(
                    what="a TLS certificate for another host",
                    hint="set the connection's host to the name in the certificate",
                    passing=False,
                )
            return TransportFailure(
                what="a TLS certificate that does not verify",
                hint="set the extra `verify` to the CA bundle that signs it; false only where that is impossible",
                passing=False,
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
            return TransportFailure(
                what="something else than TLS", hint="check that the connection's host speaks https at this port", passing=False
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_CERTIFICATES:
            return TransportFailure(
                what="CA certificates that can't be read", hint="check the file that the extra `verify` names", passing=False
            )
    return None


_PROXIES: Final = "in the extra `proxies`, or in the environment's HTTPS_PROXY and HTTP_PROXY"


def _proxy(causes: list[BaseException], settings: Settings) -> TransportFailure | None:
    if any(isinstance(cause, exceptions.InvalidProxyURL) for cause in causes):
        return TransportFailure(
            what="a proxy address that is not one", hint=f"write it as http://proxy.example:3128 {_PROXIES}", passing=False
        )
    # requests raises this exception for an unknown scheme too, but the base URL's scheme is always http or https.
    if any(isinstance(cause, exceptions.InvalidSchema) for cause in causes) and find_spec("socks") is None:
        hint = "install PySocks (pip install requests[socks]) wherever tasks and triggers run, or use an HTTP proxy"
        return TransportFailure(what="a SOCKS proxy, for which the package PySocks is missing", hint=hint, passing=False)
    if any(isinstance(cause, exceptions.ProxyError) for cause in causes):
        return _no_way_through(causes, settings)
    return None


def _no_way_through(causes: list[BaseException], settings: Settings) -> TransportFailure:
    if status := _refused_tunnel(causes):
        return _tunnel(status)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        what = "a proxy that does not speak TLS, or whose certificate does not verify"
        return TransportFailure(what=what, hint=f"begin its address with http:// {_PROXIES}, even where it is for https", passing=False)
    unheeded = ""
    if settings.proxies and (os.environ.get("no_proxy") or os.environ.get("NO_PROXY")):
        unheeded = "; the environment's NO_PROXY does not count beside the extra, whose own key `no_proxy` does"
    return TransportFailure(what="no answer from the proxy", hint=f"check its address {_PROXIES}{unheeded}")


def _refused_tunnel(causes: list[BaseException]) -> int | None:
    """The status with which a proxy refused to CONNECT; ``http.client`` gives it only in the text of an ``OSError``."""
    for cause in causes:
        if type(cause) is OSError and (found := re.match(r"Tunnel connection failed: ([0-9]{3})\b", str(cause))):
            return int(found[1])
    return None


def _tunnel(status: int) -> TransportFailure:
    if status == 407:  # noqa: PLR2004  # Proxy Authentication Required
        return TransportFailure(
            what="HTTP 407 from the proxy, which wants a user name and password, or other ones",
            hint=f"put them into its address, http://user:password@proxy.example:3128, special characters percent-encoded, {_PROXIES}",
            passing=False,
        )
    if status < 500 and status not in (408, 429):  # noqa: PLR2004  # a refusal, which stays one
        return TransportFailure(
            what=f"HTTP {status} from the proxy, which refuses to connect to this host; the API was not asked",
            hint="let those who run the proxy allow the connection's host and port, or go around it: with `no_proxy` in the extra "
            "`proxies`, or with the environment's NO_PROXY where the proxy comes from there",
            passing=False,
        )
    what = f"HTTP {status} from the proxy, which does not reach this host; the API was not asked"
    return TransportFailure(what=what, hint="check the connection's host; if it is right, try again later")


def _address(causes: list[BaseException]) -> TransportFailure | None:
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return TransportFailure(what="a host name that does not resolve", hint="check the connection's host, and this machine's DNS")
    if any(isinstance(cause, (exceptions.InvalidURL, exceptions.InvalidSchema, UnicodeError)) for cause in causes):
        return TransportFailure(
            what="an address that is not one", hint="check the connection's host, and the extra `proxies`", passing=False
        )
    if any(type(cause) is OSError and cause.errno is None for cause in causes):
        # requests raises this where a file of CA certificates is missing; every OSError of the network has a number.
        return TransportFailure(
            what="CA certificates that are not there",
            hint="check the extra `verify`, and the environment's REQUESTS_CA_BUNDLE",
            passing=False,
        )
    return None


def _time(error: Exception, causes: list[BaseException], settings: Settings) -> TransportFailure | None:
    if isinstance(error, exceptions.ConnectTimeout):
        return TransportFailure(
            what=f"no connection within {settings.connect_timeout:g} s",
            hint="check the connection's host and the network's firewall, or raise `connect_timeout`",
        )
    if isinstance(error, exceptions.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
        return TransportFailure(
            what=f"nothing for {settings.read_timeout:g} s", hint="raise the extra `read_timeout`, or lower `page_size`"
        )
    return None


def _connection(error: Exception, causes: list[BaseException]) -> TransportFailure:
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return TransportFailure(what="a refused connection", hint="check the connection's host and port")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return TransportFailure(what="a TLS error", hint="check that the connection's host speaks https at this port")
    if isinstance(error, exceptions.ContentDecodingError):
        return TransportFailure(what="a body that does not decompress", hint="retry; look for a proxy that changes answers")
    return TransportFailure(
        what=f"a connection that broke ({type(error).__name__})", hint="retry; check the network between here and the API"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and every exception behind it; urllib3 keeps the first cause in ``reason`` or in ``args``."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        each = todo.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
