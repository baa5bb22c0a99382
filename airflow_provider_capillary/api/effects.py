"""The vocabulary between the decision core and its drivers.

A generator of the core yields one step at a time; the driver carries it out and sends back its outcome:

============================  ===============================================================
step                          what the driver sends back
============================  ===============================================================
:class:`ReadClock`                  seconds of a monotonic clock, a ``float``
:class:`Sleep`                 ``None``, after that many seconds
:class:`Send`                 a :class:`Response`, or a :class:`TransportFailure`
:class:`MaskSecret`              ``None``, after the value was registered with the log's masking
:class:`Records`                ``None``, after the records were handed on
============================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

__all__ = [
    "Effect",
    "Flow",
    "MaskSecret",
    "Outcome",
    "ReadClock",
    "Record",
    "Records",
    "Request",
    "Response",
    "Send",
    "Sleep",
    "TransportFailure",
]

Record: TypeAlias = dict[str, Any]
"""One event log, its fields as the API sent them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, without host and credential.

    ``body`` is a JSON body; the only request that has one fetches an OAuth token, so it is a secret.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        query = " ".join(f"{name}={value}" for name, value in self.params)
        return f"{self.method} {self.path} {query}".rstrip()


@dataclass(frozen=True, slots=True)
class ReadClock:
    """What time is it? (monotonic seconds)."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send this request; ``token`` goes into the OAuth header where the connection uses one."""

    request: Request
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MaskSecret:
    """Keep this value out of every log."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Records:
    """Records of the interval, none handed on before; they count only once the reading has ended."""

    records: list[Record] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer, whole: header names in lower case; ``received`` in epoch seconds of the wall clock."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFailure:
    """No whole answer arrived.

    :param what: in a few words (``connection reset``), nothing of a body.
    :param hint: what to do if it stays so.
    :param passing: whether another try may help.
    """

    what: str
    hint: str
    passing: bool = True


Effect: TypeAlias = ReadClock | Sleep | Send | MaskSecret | Records
Outcome: TypeAlias = float | Response | TransportFailure | None
T = TypeVar("T")
Flow: TypeAlias = Generator[Effect, Any, T]
"""A part of the core: yields steps, is sent their outcomes, returns a ``T``."""
