"""The vocabulary between the decision core and its drivers.

A generator of the core yields one step at a time; the driver carries it out and sends back its outcome:

============================  ===============================================================
step                          what the driver sends back
============================  ===============================================================
:class:`Now`                  seconds of a monotonic clock, a ``float``
:class:`Wait`                 ``None``, after that many seconds
:class:`Send`                 a :class:`Reply`, or a :class:`NoReply`
:class:`Conceal`              ``None``, after the value was registered with the log's masking
:class:`Found`                ``None``, after the records were handed on
============================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

__all__ = ["Conceal", "Found", "NoReply", "Now", "Outcome", "Record", "Reply", "Request", "Send", "Step", "Steps", "Wait"]

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
class Now:
    """What time is it? (monotonic seconds)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send this request; ``token`` goes into the OAuth header where the connection uses one."""

    request: Request
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Conceal:
    """Keep this value out of every log."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Records of the interval, none handed on before; they count only once the reading has ended."""

    records: list[Record] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer, whole: header names in lower case; ``received`` in epoch seconds of the wall clock."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReply:
    """No whole answer arrived.

    :param what: in a few words (``connection reset``), nothing of a body.
    :param cure: what to do if it stays so.
    :param passing: whether another try may help.
    """

    what: str
    cure: str
    passing: bool = True


Step: TypeAlias = Now | Wait | Send | Conceal | Found
Outcome: TypeAlias = float | Reply | NoReply | None
T = TypeVar("T")
Steps: TypeAlias = Generator[Step, Any, T]
"""A part of the core: yields steps, is sent their outcomes, returns a ``T``."""
