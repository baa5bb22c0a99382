"""One HTTP session with the API: one connection, kept alive, and the credential on every request to the API and on no other.

Wraps ``requests`` and closes its gaps:

* each answer has a total time and a size (the read timeout of ``requests`` is per packet);
* redirects are not followed (they would carry the credential to another host);
* ``.netrc`` is not read (it would replace the credential);
* each request carries ``verify`` (``Session.verify`` loses to ``REQUESTS_CA_BUNDLE``);
* a request that is under way ends when the task is killed.
"""

# ruff: noqa: TID253  # imported by functions only, never while a DAG file is parsed

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import requests
from requests.auth import AuthBase
from requests.utils import should_bypass_proxies

from airflow_provider_capillary.api.effects import Request, Response, Send, TransportFailure
from airflow_provider_capillary.api.retries import printable
from airflow_provider_capillary.connection.credential import basic_header
from airflow_provider_capillary.hooks._interrupt import ConnectionHandle, InterruptibleAdapter, TimeLimit
from airflow_provider_capillary.hooks._transport_errors import transport_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_capillary.connection.settings import Settings

__all__ = ["ApiSession"]

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes, decompressed: three times a thousand records with 20 kB of ``inputRequest`` each."""
CHUNK = 64 * 1024
OK = 200
CODINGS = frozenset({"gzip", "x-gzip", "deflate", "identity", ""})
"""The values of ``Content-Encoding`` that are read. Others work in some installations only, and in some versions of their packages a few
bytes can fill the memory before :data:`LARGEST_ANSWER` is noticed."""


class _Credential(AuthBase):
    """Puts the credential on a request to the API. That the session has an ``auth`` keeps ``requests`` from reading ``.netrc``."""

    def __init__(self, settings: Settings) -> None:
        self._origin = _origin_of(settings.base_url)
        self._oauth_header = settings.oauth_header if settings.auth_type == "oauth" else None
        self._basic = None if self._oauth_header else basic_header(settings)
        self.token: str | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin_of(request.url or "") != self._origin:
            return request
        if self._basic is not None:
            request.headers["Authorization"] = self._basic
        elif self.token is not None and self._oauth_header is not None:
            request.headers[self._oauth_header] = self.token
        return request

    def __repr__(self) -> str:
        return "<credential>"


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class _Session(requests.Session):
    """A session whose requests, a user's own included, have the connection's timeouts, ``verify`` and proxies as defaults."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._merged_settings: dict[tuple[object, str], dict[str, Any]] = {}
        self._defaults = {
            "timeout": (settings.connect_timeout, settings.read_timeout),
            "verify": settings.verify,
            "proxies": settings.proxies,
        }

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(*args, **{**self._defaults, **kwargs})

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:  # noqa: ANN401  # as in requests
        """As in requests, which heeds ``no_proxy`` for proxies of the environment alone; here it counts for these proxies too.

        The environment is looked at once for each host: requests goes through all of it twice for each request, which costs as much as
        a small page.
        """
        key = _origin_of(url), repr((proxies, stream, verify, cert))
        if key not in self._merged_settings:
            self._merged_settings[key] = self._merge(url, proxies, stream, verify, cert)
        return dict(self._merged_settings[key])

    def _merge(self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:  # noqa: ANN401  # as in requests
        no_proxy = (proxies or {}).get("no_proxy")
        if no_proxy and should_bypass_proxies(url, no_proxy=no_proxy):
            proxies = {"no_proxy": no_proxy}
        return super().merge_environment_settings(url, proxies, stream, verify, cert)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is returned, not followed; its body is not read first, and its address not parsed."""
        del resp


class ApiSession:
    """Sends one request after the other. Not for two threads at once.

    :param is_stopped: whether the reading was stopped; asked whenever a connection opens.
    """

    def __init__(self, settings: Settings, *, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self._settings = settings
        self._is_late = False
        self.is_stopped = is_stopped
        self._connection = ConnectionHandle(lambda: self._is_late or is_stopped())
        self._time_limit = TimeLimit(self._be_late, shortest=settings.read_timeout)
        self.credential = _Credential(settings)
        self.requests = _Session(settings)
        self.requests.auth = self.credential
        # The encoding that every installation can decompress: requests would offer more where more packages are installed. And answers of
        # now: a repeated request has to show what the API gives by then, not what a cache before it has kept.
        self.requests.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip", "Cache-Control": "no-cache"})
        # For the API alone: a user's own requests to other hosts take other connections.
        api = urlsplit(settings.base_url)
        self.requests.mount(f"{api.scheme}://{api.netloc}", InterruptibleAdapter(self._connection))

    def send(self, step: Send) -> Response | TransportFailure:
        """Send one request and read the whole answer, or say in a few words why there is none.

        An answer begins at most ``connect_timeout`` + ``read_timeout`` after the request was sent, and is whole ``read_timeout`` later.
        """
        self.credential.token = step.token
        self._is_late = False
        try:
            return self._take(step.request)
        except _NotTakenError as given_up:
            return given_up.transport_failure
        except Exception as error:  # noqa: BLE001  # `Content-Type: text; charset` in an answer makes requests raise an AttributeError
            return self._lateness() if self._is_late else transport_failure(error, self._settings)
        finally:
            self._time_limit.end()
            self._connection.release_if_closed()

    def interrupt(self) -> None:
        """End a request that is under way, from a signal handler or another thread."""
        self._connection.shut_down()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self.requests.close()
        self._connection.release()

    def _take(self, request: Request) -> Response:
        settings = self._settings
        self._time_limit.start(settings.connect_timeout + settings.read_timeout)
        response = self._open(request)
        self._time_limit.start(settings.read_timeout)
        with response:
            _check_coding(response)
            body = b"".join(self._read(response))
        if self._is_late:
            # A body that ends with its connection looks whole when the connection was shut down.
            raise _NotTakenError(self._lateness())
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(status=response.status_code, headers=headers, body=body, received=time.time())

    def _open(self, request: Request) -> requests.Response:
        url = self._settings.base_url + request.path
        # As text: requests takes far longer to encode pairs, into the same.
        params = urlencode(request.params)
        return self.requests.request(request.method, url, params=params, json=request.body, allow_redirects=False, stream=True)

    def _read(self, response: requests.Response) -> Iterator[bytes]:
        announced = response.headers.get("Content-Length", "")
        size = int(announced[:20]) if announced.isascii() and announced.isdecimal() else 0
        if size <= LARGEST_ANSWER:
            size = 0
            for chunk in response.iter_content(CHUNK):
                size += len(chunk)
                if size > LARGEST_ANSWER:
                    break
                yield chunk
        if size > LARGEST_ANSWER:
            what = f"an answer of more than {LARGEST_ANSWER >> 20} MiB"
            raise _NotTakenError(TransportFailure(what=what, hint="lower the extra `page_size`", passing=False))

    def _be_late(self) -> None:
        self._is_late = True
        self._connection.shut_down()

    def _lateness(self) -> TransportFailure:
        return TransportFailure(
            what=f"an answer that was not whole {self._settings.read_timeout:g} s after it began",
            hint="lower the extra `page_size`, or raise `read_timeout`",
        )


def _check_coding(response: requests.Response) -> None:
    codings = {coding.strip().lower() for coding in response.headers.get("Content-Encoding", "").split(",")}
    if response.status_code == OK and not codings <= CODINGS:
        shown = printable(", ".join(sorted(codings - CODINGS)), 40)
        raise _NotTakenError(
            TransportFailure(
                what=f"an answer in the encoding {shown}, though gzip alone was asked for",
                hint="look for a proxy or a cache between here and the API that packs answers, or keeps those of others, and ignores "
                "Accept-Encoding",
            )
        )


class _NotTakenError(Exception):
    def __init__(self, transport_failure: TransportFailure) -> None:
        super().__init__(transport_failure.what)
        self.transport_failure = transport_failure
