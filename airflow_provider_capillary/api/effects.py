"""The effects that the generators of this package yield to a driver, and the outcomes that the driver sends back.

===================  =====================================================================
effect               outcome
===================  =====================================================================
:class:`ReadClock`   seconds of a monotonic clock, a ``float``
:class:`Sleep`       ``None``, after that many seconds
:class:`TakeTurn`    0.0 where a request may be sent now and is counted; else the seconds to wait
:class:`HoldTurns`   ``None``, after the budget was told
:class:`Send`        a :class:`Response`, or a :class:`TransportFailure`
:class:`MaskSecret`  ``None``, after the value was registered for masking in logs
:class:`Records`     ``None``, after the records were delivered
:class:`Start`       the started flow, an object that only the driver can read
:class:`Join`        what the started flow returned, or the exception that it raised
===================  =====================================================================

Started flows run side by side. A driver runs only one of them at a time between two effects, so a flow need not expect that another one
changes anything while it decides.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from airflow_provider_capillary.api.event_logs import EventLogs

__all__ = [
    "Effect",
    "Flow",
    "HoldTurns",
    "Join",
    "MaskSecret",
    "Outcome",
    "ReadClock",
    "Record",
    "Records",
    "Request",
    "Response",
    "Send",
    "Sleep",
    "Start",
    "TakeTurn",
    "TransportFailure",
    "join",
]

Record: TypeAlias = dict[str, Any]
"""One event log, its fields as the API sent them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, without host and credential.

    ``body`` is a JSON body. Only the request for an OAuth token has one, so it is a secret.
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
    """Read a monotonic clock, in seconds."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for so many seconds; ``reason`` is for the log."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Take one request from the budget of requests a minute."""


@dataclass(frozen=True, slots=True)
class HoldTurns:
    """Let no request be sent for so many seconds: the API has asked for a pause, or fails."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a request, with ``token`` in the OAuth header where the connection uses OAuth."""

    request: Request
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MaskSecret:
    """Mask this value in every log."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Records:
    """New records of the interval. They count only once the whole reading has ended.

    :param share: the share of the interval that is read, from 0 to 1.
    """

    records: EventLogs = field(repr=False)
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a flow beside this one. The flow yields no records and starts none itself."""

    flow: Flow[Any]


@dataclass(frozen=True, slots=True)
class Join:
    """Wait until a started flow has ended."""

    started: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete HTTP response: header names in lower case, ``received`` in epoch seconds of the wall clock."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFailure:
    """No complete response arrived.

    :param what: the failure in a few words (``connection reset``), nothing from a body.
    :param hint: what to do if it happens again.
    :param passing: whether another try may help.
    """

    what: str
    hint: str
    passing: bool = True


Effect: TypeAlias = ReadClock | Sleep | TakeTurn | HoldTurns | Send | MaskSecret | Records | Start | Join
Outcome: TypeAlias = object
"""See the table above."""
T = TypeVar("T")
Flow: TypeAlias = Generator[Effect, Any, T]
"""A generator that yields effects, is sent their outcomes, and returns a ``T``."""


def join(started: object) -> Flow[Any]:
    """The result of a started flow, once it has ended; raises what the flow raised."""
    outcome = yield Join(started)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
