"""One HTTP session with the API: keep-alive, timeouts and caps always, the credential on every request and nowhere else.

Uses ``requests`` with what it leaves open closed: a total time and a size for each answer (its read timeout is per packet), no redirects
(they would carry the credential to another host), no ``.netrc`` (it would replace the credential), ``verify`` on each request
(``Session.verify`` loses to ``REQUESTS_CA_BUNDLE``), and an end to a request that is under way when the task is killed.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from airflow_provider_capillary.reading.steps import NoReply, Reply, Request, Send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3.poolmanager import PoolManager

    from airflow_provider_capillary.hooks.settings import Settings

__all__ = ["ApiSession", "basic_secrets"]

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes, decoded. A thousand records with 20 kB of ``inputRequest`` each are a third of it."""
CHUNK = 64 * 1024


def basic_secrets(settings: Settings) -> tuple[str, str]:
    """What Basic sends for the password (its md5), and the whole header value behind ``Basic``.

    ``base64(till user name + ":" + md5 of the password)``, by Capillary's documentation of its authentication.
    """
    sent = settings.password
    if settings.password_format == "plain":  # noqa: S105  # the name of a form, not a password
        sent = hashlib.md5(sent.encode(), usedforsecurity=False).hexdigest()
    return sent, base64.b64encode(f"{settings.login}:{sent}".encode()).decode()


class _Credential(AuthBase):
    """Puts the credential on a request; being an ``auth`` at all is what keeps ``.netrc`` out."""

    def __init__(self, settings: Settings) -> None:
        self._oauth_header = settings.oauth_header if settings.auth_type == "oauth" else None
        self._basic = None if self._oauth_header else basic_secrets(settings)[1]
        self.token: str | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._basic is not None:
            request.headers["Authorization"] = f"Basic {self._basic}"
        elif self.token is not None and self._oauth_header is not None:
            request.headers[self._oauth_header] = self.token
        return request

    def __repr__(self) -> str:
        return "<credential>"


class ApiSession:
    """Sends what the core asks to send. Not for two threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sockets: set[socket.socket] = set()
        self.credential = _Credential(settings)
        self.requests = requests.Session()
        self.requests.auth = self.credential
        self.requests.headers["Accept"] = "application/json"
        self.requests.verify = settings.verify
        self.requests.proxies.update(settings.proxies or {})
        for scheme in ("https://", "http://"):
            self.requests.mount(scheme, _WatchedAdapter(self._sockets))

    def send(self, step: Send) -> Reply | NoReply:
        """Send one request and take the whole answer, or say in a few words why there is none."""
        self.credential.token = step.token
        try:
            with self._open(step.request) as response:
                body = b"".join(self._read(response))
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(status=response.status_code, headers=headers, body=body, received=time.time())
        except _NotTakenError as given_up:
            return given_up.no_reply
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            # Their texts may hold a proxy's password or a part of the body, so what they say is said anew.
            return _no_reply(error, self._settings)

    def interrupt(self) -> None:
        """End a request that is under way, from a signal handler or another thread."""
        for each in list(self._sockets):
            try:
                socket.socket.shutdown(each, socket.SHUT_RDWR)
            except OSError:
                self._sockets.discard(each)

    def close(self) -> None:
        self.requests.close()

    def _open(self, request: Request) -> requests.Response:
        settings = self._settings
        return self.requests.request(
            request.method,
            settings.base_url + request.path,
            params=list(request.params) or None,
            json=request.body,
            timeout=(settings.connect_timeout, settings.read_timeout),
            verify=settings.verify,
            proxies=settings.proxies,
            allow_redirects=False,
            stream=True,
        )

    def _read(self, response: requests.Response) -> Iterator[bytes]:
        deadline = time.monotonic() + self._settings.read_timeout
        size = 0
        for chunk in response.iter_content(CHUNK):
            size += len(chunk)
            if size > LARGEST_ANSWER:
                raise _NotTakenError(
                    NoReply(what=f"an answer of more than {LARGEST_ANSWER >> 20} MiB", cure="lower the extra `page_size`", passing=False)
                )
            if time.monotonic() > deadline:
                raise _NotTakenError(
                    NoReply(
                        what=f"an answer that was not whole {self._settings.read_timeout:g} s after it began",
                        cure="lower the extra `page_size`, or raise `read_timeout`",
                    )
                )
            yield chunk


class _NotTakenError(Exception):
    def __init__(self, no_reply: NoReply) -> None:
        super().__init__(no_reply.what)
        self.no_reply = no_reply


def _no_reply(error: Exception, settings: Settings) -> NoReply:
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return NoReply(
            what="a TLS certificate that does not verify",
            cure="set the extra `verify` to the CA bundle that signs it; false only where that is impossible",
            passing=False,
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NoReply(what="a host name that does not resolve", cure="check the connection's host, and this machine's DNS")
    if isinstance(error, requests.exceptions.ProxyError):
        return NoReply(what="no answer from the proxy", cure="check the extra `proxies`")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NoReply(
            what=f"no connection within {settings.connect_timeout:g} s",
            cure="check the connection's host and the network's firewall, or raise `connect_timeout`",
        )
    if isinstance(error, requests.exceptions.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
        return NoReply(what=f"nothing for {settings.read_timeout:g} s", cure="raise the extra `read_timeout`, or lower `page_size`")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return NoReply(what="a refused connection", cure="check the connection's host and port")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return NoReply(what="a TLS error", cure="check that the connection's host speaks https at this port")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError)):
        return NoReply(what="an address that is not one", cure="check the connection's host", passing=False)
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return NoReply(what="a body that does not decompress", cure="retry; look for a proxy that changes answers")
    return NoReply(what=f"a connection that broke ({type(error).__name__})", cure="retry; check the network between here and the API")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything behind it; urllib3 keeps the first cause in ``reason`` or in ``args``."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        each = todo.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]


class _WatchedAdapter(HTTPAdapter):
    """Keeps the open sockets in a set, so that a blocked read can be ended."""

    def __init__(self, sockets: set[socket.socket]) -> None:
        self._pools = _watched_pools(sockets)
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _watched_pools(sockets: set[socket.socket]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

        def close(self) -> None:
            sockets.discard(self.sock)
            super().close()

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

        def close(self) -> None:
            sockets.discard(self.sock)
            super().close()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
