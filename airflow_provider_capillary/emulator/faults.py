"""What goes wrong between a server and its client, by name.

A fault is something that a network, a gateway or the API itself can do to a request, so that a DAG's retries and alerts can be
tested. None of it is documented, except the bodies of 403 and 503, which other v2 endpoints show. A rule (``http_500:0.1``,
``hang@3,7``) or a callable chooses the fault of a request; :func:`apply_fault` turns the true response into
:class:`ResponseBytes`, which is pure data: the HTTP server, or a test without sockets, acts on it.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Final

from airflow_provider_capillary.emulator.fake_api import FakeResponse, refusal

__all__ = ["FAULTS", "ChooseFault", "FaultRule", "FaultSettings", "ResponseBytes", "apply_fault", "plan", "to_bytes"]

ChooseFault = Callable[[int, Mapping[str, str]], str | None]
"""Takes the number of a request (from 1) and its parameters; returns the name of a fault or None."""


@dataclass(frozen=True, kw_only=True)
class FaultSettings:
    """Sizes and times of the faults.

    :param hang_seconds: how long ``hang`` sends nothing before it closes the connection. Stopping the server ends it at once.
    :param drip_seconds: how long ``slow_drip`` takes to send its body. Stopping the server ends it at once.
    :param big_body_bytes: the approximate size of the bodies of ``big_body`` and ``big_body_unannounced``, made while they are sent.
    :param redirect_to: the ``Location`` of redirects, on another host.
    :param throttle_seconds: ``Retry-After`` in ``throttled_seconds`` and ``throttled_date``.
    """

    hang_seconds: float = 30.0
    drip_seconds: float = 2.0
    big_body_bytes: int = 200_000_000
    redirect_to: str = "https://elsewhere.invalid/v2/events/logs"
    throttle_seconds: int = 1


@dataclass(frozen=True, kw_only=True)
class ResponseBytes:
    """A response as the server sends it.

    :param transport: ``whole``; ``drip``; ``hang``; or where the connection is reset: ``reset_before_headers``,
        ``reset_in_headers``, ``reset_in_body``.
    :param length_error: bytes by which ``Content-Length`` overstates (or, negative, understates) the body.
    :param compressible: whether the server may gzip the body where the client accepts it.
    :param padding: bytes that are inserted before the last two of the body while it is sent.
    :param announced: whether there is a ``Content-Length``; without one, closing the connection ends the body.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: str = "whole"
    length_error: int = 0
    compressible: bool = True
    padding: int = 0
    announced: bool = True


_ABSURD_WAIT: Final = 31_536_000
"""Seconds: the ``Retry-After`` of ``throttled_absurd``."""

_JSON: Final = {"Content-Type": "application/json"}
_HTML: Final = {"Content-Type": "text/html; charset=UTF-8"}
_CHALLENGE: Final = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>Sorry</body></html>"
_UNAUTHORIZED: Final = "Please check your username/password or authentication token"


def to_bytes(response: FakeResponse) -> ResponseBytes:
    """Return a response as it is sent without a fault."""
    return ResponseBytes(status=response.status, body=_dump(response.body), headers={**_JSON, **response.headers})


def _dump(body: Any) -> bytes:  # noqa: ANN401  # anything that JSON holds
    return json.dumps(body, separators=(",", ":")).encode()


def _refuse(status: int, message: str, *, code: int | None = None) -> Callable[[FaultSettings, float], ResponseBytes]:
    return lambda _settings, _now: to_bytes(refusal(status, message, code=code))


def _redirect(status: int) -> Callable[[FaultSettings, float], ResponseBytes]:
    return lambda settings, _now: ResponseBytes(status=status, body=b"", headers={"Location": settings.redirect_to})


def _throttle(header: Callable[[FaultSettings, float], str | None]) -> Callable[[FaultSettings, float], ResponseBytes]:
    def build(settings: FaultSettings, now: float) -> ResponseBytes:
        value = header(settings, now)
        return to_bytes(refusal(429, "Too many requests", headers={} if value is None else {"Retry-After": value}))

    return build


def _page(status: int) -> Callable[[FaultSettings, float], ResponseBytes]:
    return lambda _settings, _now: ResponseBytes(status=status, body=_CHALLENGE, headers=_HTML)


_REPLACED: Final[dict[str, Callable[[FaultSettings, float], ResponseBytes]]] = {
    "redirect_301": _redirect(301),
    "redirect_302": _redirect(302),
    "redirect_307": _redirect(307),
    "redirect_308": _redirect(308),
    "http_400": _refuse(400, "Bad request"),
    "http_401": _refuse(401, _UNAUTHORIZED),
    "http_403": _refuse(403, "Not authorized. Access is denied!", code=4000),
    "http_403_html": _page(403),
    "http_404": _refuse(404, "Incorrect resource"),
    "throttled_seconds": _throttle(lambda settings, _now: str(settings.throttle_seconds)),
    "throttled_date": _throttle(lambda settings, now: formatdate(now + settings.throttle_seconds, usegmt=True)),
    "throttled_absurd": _throttle(lambda _settings, _now: str(_ABSURD_WAIT)),
    "throttled_absent": _throttle(lambda _settings, _now: None),
    "throttled_garbage": _throttle(lambda _settings, _now: "soon"),
    "http_461": _refuse(461, "Search engine is busy"),
    "http_498": _refuse(498, "Token is expired or invalid"),
    "http_500": _refuse(500, "All requests have failed due to errors"),
    "http_502": _page(502),
    "http_503": _refuse(503, "Authorization status unavailable!", code=4001),
    "http_504": _page(504),
    "http_520": _page(520),
    "http_521": _page(521),
    "html_200": _page(200),
    "empty_200": lambda _settings, _now: ResponseBytes(status=200, body=b"", headers=_JSON),
    "null": lambda _settings, _now: ResponseBytes(status=200, body=b"null", headers=_JSON),
}
"""Faults that replace the true response."""

_ITEM: Final = {"status": False, "code": 500, "message": "One of the requests has failed"}


def _beside(**changes: Any) -> Callable[[dict[str, Any]], bytes]:  # any JSON
    return lambda envelope: _dump({**envelope, **changes})


def _first(name: str, text: bytes, *, of_token: str | None = None) -> Callable[[dict[str, Any]], bytes]:
    """Put bytes, valid JSON or not, into one field of the first record (a synthetic one if there is none), or of a token's data."""
    mark = "\x00here\x00"

    def build(envelope: dict[str, Any]) -> bytes:
        data = envelope["data"]
        if isinstance(data, dict):
            changed: Any = {**data, of_token or name: mark}
        else:
            first, *rest = data or [{"id": "00000000-0000-4000-8000-000000000000", "startTime": 0}]
            changed = [{**first, name: mark}, *rest]
        return _dump({**envelope, "data": changed}).replace(_dump(mark), text)

    return build


def _cut(envelope: dict[str, Any]) -> bytes:
    body = _dump(envelope)
    return body[: len(body) // 2]


def _without_data(envelope: dict[str, Any]) -> bytes:
    return _dump({name: value for name, value in envelope.items() if name != "data"})


_DATA_CHANGED: Final[dict[str, Callable[[dict[str, Any]], bytes]]] = {
    "no_data": _without_data,
    "data_null": _beside(data=None),
    "data_not_a_list": lambda envelope: _dump({**envelope, "data": {"records": envelope["data"]}}),
    "errors_beside_data": _beside(errors=[_ITEM]),
    "errors_blank_item": _beside(errors=[{}]),
    "errors_null": _beside(errors=None),
    "created_201_errors": _beside(errors=[_ITEM]),
    "invalid_utf8": _first("message", b'"\xff\xfe\xc3("'),
    "duplicate_keys": lambda envelope: _dump(envelope)[:-1] + b',"data":[]}',
    "huge_start_time": _first("startTime", b"1" * 25, of_token="ttlSeconds"),  # noqa: S106  # the name of a field
    "huge_digits": _first("startTime", b"9" * 5000, of_token="ttlSeconds"),  # noqa: S106  # as above
    "cut_json": _cut,
    "nan": _first("responseTime", b"NaN"),
}
"""Faults inside the body of a true response. ``errors_blank_item`` and ``errors_null`` are how other v2 endpoints say *no errors*."""

_IN_TRANSPORT: Final[dict[str, Callable[[ResponseBytes], ResponseBytes]]] = {
    "reset_before_headers": lambda response: replace(response, transport="reset_before_headers"),
    "reset_in_headers": lambda response: replace(response, transport="reset_in_headers"),
    "reset_in_body": lambda response: replace(response, transport="reset_in_body"),
    "hang": lambda response: replace(response, transport="hang"),
    "slow_drip": lambda response: replace(response, transport="drip"),
    "truncated_gzip": lambda response: replace(
        response,
        body=(packed := gzip.compress(response.body, mtime=0))[: len(packed) // 2],
        headers={**response.headers, "Content-Encoding": "gzip"},
        compressible=False,
    ),
    "length_too_long": lambda response: replace(response, length_error=64),
    "length_too_short": lambda response: replace(response, length_error=-(len(response.body) // 2 or 1), compressible=False),
}
"""Faults of the transport, possible with any response."""

_PADDED: Final = {"big_body": True, "big_body_unannounced": False}
"""Faults of size, and whether ``Content-Length`` announces the size."""

FAULTS: Final = (*_REPLACED, *_DATA_CHANGED, *_IN_TRANSPORT, *_PADDED)
"""The name of every fault."""


def apply_fault(name: str | None, response: FakeResponse, settings: FaultSettings | None = None, *, now: float = 0.0) -> ResponseBytes:
    """Return the true response with one fault, or without any for ``None``.

    A fault inside the data applies to event logs and tokens. A response without data (a 400, a 429) stays as it is.

    :param now: seconds since the epoch, for a date in ``Retry-After``.
    :raises ValueError: there is no such fault.
    """
    settings = settings or FaultSettings()
    true = to_bytes(response)
    if name is None:
        return true
    if name in _REPLACED:
        return _REPLACED[name](settings, now)
    if name in _IN_TRANSPORT:
        return _IN_TRANSPORT[name](true)
    if name not in FAULTS:
        raise ValueError(_unknown(name))
    if not (isinstance(response.body, dict) and isinstance(response.body.get("data"), list | dict)):
        return true
    if name in _PADDED:
        body = true.body[:-1] + b',"padding":""}'
        return replace(true, body=body, compressible=False, padding=settings.big_body_bytes, announced=_PADDED[name])
    return replace(true, status=201 if name == "created_201_errors" else true.status, body=_DATA_CHANGED[name](response.body))


def _unknown(name: str) -> str:
    return f"fault={name!r} is not known; choose among {', '.join(FAULTS)}"


_SPAN: Final = r"[0-9]+(?:\.\.[0-9]*)?"
_RULE: Final = re.compile(rf"(?P<name>\w+)(?::(?P<probability>[0-9]*\.?[0-9]+))?(?:@(?P<numbers>{_SPAN}(?:,{_SPAN})*))?")


@dataclass(frozen=True, kw_only=True)
class FaultRule:
    """One fault, its probability, and the requests that it applies to.

    :param probability: of the fault at each of these requests.
    :param numbers: pairs of first and last number (None: no end); empty: every request.
    """

    name: str
    probability: float = 1.0
    numbers: tuple[tuple[int, int | None], ...] = ()

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(_unknown(self.name))
        if not 0 <= self.probability <= 1:
            message = f"fault={self.name!r} with probability={self.probability!r} is not possible; give one between 0 and 1"
            raise ValueError(message)

    @classmethod
    def parse(cls, text: str) -> FaultRule:
        """Read ``name[:probability][@n,m..]``: ``http_500:0.1``, ``hang@3,7``, ``null@2..5``, ``http_503:0.5@10..``.

        :raises ValueError: the text is not of this form, or the fault is not known.
        """
        match = _RULE.fullmatch(text)
        if match is None:
            message = f"fault={text!r} cannot be read; write name[:probability][@n,m..], for example http_500:0.1 or hang@3,7"
            raise ValueError(message)
        numbers = tuple(_span(part) for part in match["numbers"].split(",")) if match["numbers"] else ()
        return cls(name=match["name"], probability=float(match["probability"] or 1), numbers=numbers)

    def covers(self, number: int) -> bool:
        """Tell whether the rule applies to the request of this number."""
        return not self.numbers or any(low <= number and (high is None or number <= high) for low, high in self.numbers)


def _span(text: str) -> tuple[int, int | None]:
    low, dots, high = text.partition("..")
    return int(low), (int(high) if high else None) if dots else int(low)


def plan(rules: Iterable[FaultRule | str], *, seed: int = 0) -> ChooseFault:
    """Return a function that chooses the first rule that applies to a request and wins its draw.

    The draw depends only on the seed, the rule's place and the request's number, so a run can be repeated.

    :raises ValueError: a rule that cannot be read.
    """
    parsed = [rule if isinstance(rule, FaultRule) else FaultRule.parse(rule) for rule in rules]

    def choose(number: int, _params: Mapping[str, str]) -> str | None:
        for place, rule in enumerate(parsed):
            if rule.covers(number) and random.Random(f"{seed}/{place}/{number}").random() < rule.probability:  # noqa: S311
                return rule.name
        return None

    return choose
