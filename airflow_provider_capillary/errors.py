"""Every error that this package raises, by who can fix it.

.. code-block:: text

    CapillaryError
    ├── ConfigurationError            what was written in the DAG or the connection; edit it
    │   ├── ConnectionSettingsError   ... a field of the Airflow connection
    │   ├── IntervalError             ... the interval of a run, or the lack of one
    │   └── DestinationError          ... where the object goes, or what is installed to write there
    │       └── DestinationConflictError  ... what stands there stands for something else; use another path
    ├── RequestError                  one request to the API came to nothing
    │   ├── AuthenticationError       401, 498, a refused key: renew the credential
    │   ├── PermissionDeniedError     403: widen what the credential may read
    │   ├── NotFoundError             404: correct the host
    │   ├── RequestRefusedError       any other 4xx, and every redirect: no retry helps
    │   │   └── ParametersRefusedError    400, 413, 414, 422: the limit, the dates or the span
    │   ├── ThrottledError            429 for longer than this client waits: come back later
    │   ├── ServerError               5xx and 461 after every retry
    │   ├── TransportError            no answer: DNS, TLS, refused, reset, timeout
    │   └── MalformedAnswerError      an answer that is not the documented envelope
    ├── CompletenessError             answers came, and do not prove that nothing is missing
    │   ├── CalibrationError          dates: format, zone, precision, or a filter that is ignored
    │   ├── ContinuityError           answers that contradict one another
    │   └── TieError                  more records in one instant than one answer holds
    ├── VanishedEventsError           the earlier object holds records that the API no longer shows; choose on_vanished
    ├── PublishError                  the object store refused; the old object or the new one stands, whole
    └── ReadingStoppedError           the task was killed while it read

Match on the class and on the fields, never on the text. No field holds a credential, a record or the body of an answer.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "CalibrationError",
    "CapillaryError",
    "CompletenessError",
    "ConfigurationError",
    "ConnectionSettingsError",
    "ContinuityError",
    "DestinationConflictError",
    "DestinationError",
    "IntervalError",
    "MalformedAnswerError",
    "NotFoundError",
    "ParametersRefusedError",
    "PermissionDeniedError",
    "PublishError",
    "ReadingStoppedError",
    "RequestError",
    "RequestRefusedError",
    "ServerError",
    "ThrottledError",
    "TieError",
    "TransportError",
    "VanishedEventsError",
]


class CapillaryError(Exception):
    """Root of everything that this package raises on purpose.

    :param problem: what is wrong, one sentence.
    :param request: the request in words (path, parameters), never the credential.
    :param response: what came back, in a few words, never the body.
    :param request_id: the ``X-Cap-RequestID`` of the answer; Capillary's support asks for it.
    :param hint: what the reader can do about it.
    :param retry_after: seconds after which a new try makes sense, where the API said.
    """

    retryable: bool = False
    """Whether the same task, tried again later without a change, may succeed."""

    def __init__(
        self,
        problem: str,
        *,
        request: str | None = None,
        response: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.request = request
        self.response = response
        self.request_id = request_id
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        # What is wrong and what to do come first: a narrow pane shows no more.
        parts = [self.problem.rstrip(". ") + "."]
        if self.hint:
            parts.append(f"How to fix: {self.hint.rstrip('. ')}.")
        if self.request:
            parts.append(f"Request: {self.request}.")
        if self.response:
            parts.append(f"Response: {self.response}.")
        if self.request_id:
            parts.append(f"Request id: {self.request_id}.")
        if self.retry_after is not None:
            parts.append(f"Retry after: {self.retry_after:g} s.")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own pickling calls cls(*args), which loses keyword-only fields; the state restores them.
        return (type(self), (self.problem,), self.__dict__)


class ConfigurationError(CapillaryError, ValueError):
    """Something written in the DAG or the connection is wrong; no retry changes that."""


class ConnectionSettingsError(ConfigurationError):
    """A field or extra of the Airflow connection is unknown, missing or of the wrong type."""


class IntervalError(ConfigurationError):
    """The run has no interval, or the one given is not one."""


class DestinationError(ConfigurationError):
    """The destination cannot be written: its ending, its scheme, or a package that is not installed."""


class DestinationConflictError(DestinationError):
    """What stands at the destination is not this run's to replace: it stands for something else, or this package did not write it.

    Nothing was touched.
    """


class RequestError(CapillaryError):
    """One request came to nothing, after whatever retries could help."""

    most_tries: int | None = None
    """How often the same request is sent until this is raised; ``None`` for as often as any."""


class AuthenticationError(RequestError):
    """The API does not accept the credential (401, 498, or a refused OAuth key)."""


class PermissionDeniedError(RequestError):
    """The credential is good and may not read event logs (403)."""


class NotFoundError(RequestError):
    """There is no such resource at this host (404)."""


class RequestRefusedError(RequestError):
    """The API refused the request (any other 4xx) or sent a redirect, which is never followed."""


class ParametersRefusedError(RequestRefusedError):
    """The API refuses what it was request for (400, 413, 414, 422): another limit, other dates or a shorter span may be accepted."""


class ThrottledError(RequestError):
    """The API throttles (429) for longer than this client is allowed to wait."""

    retryable = True


class ServerError(RequestError):
    """The API failed (5xx, 461) on every try."""

    retryable = True


class TransportError(RequestError):
    """No answer arrived: name resolution, TLS, a refused or reset connection, a timeout."""

    retryable = True


class MalformedAnswerError(RequestError):
    """What arrived is not the documented envelope: HTML, cut off, ``data`` missing, ``errors`` beside data."""

    retryable = True


class CompletenessError(CapillaryError):
    """The answers do not prove that every record was returned; nothing read so far may be used."""


class CalibrationError(CompletenessError):
    """The API does not read dates as this client sends them, or ignores them.

    :param date_format: with ``timezone``, the setting that would fit, where the answers have shown one.
    """

    def __init__(self, problem: str, *, date_format: str | None = None, timezone: str | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.date_format = date_format
        self.timezone = timezone


class ContinuityError(CompletenessError):
    """Two answers contradict one another: a record of one is missing from another that should hold it, or an id has two times."""

    retryable = True


class TieError(CompletenessError):
    """One instant of the API's precision holds more records than one answer does.

    :param instant: the instant, UTC epoch milliseconds.
    :param count: how many records of it were seen.
    """

    def __init__(self, problem: str, *, instant: int | None = None, count: int | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.instant = instant
        self.count = count


class VanishedEventsError(CapillaryError):
    """The object of an earlier run holds records that this reading did not return, and ``on_vanished="fail"``. Nothing was touched.

    :param vanished: how many.
    """

    def __init__(self, problem: str, *, vanished: int | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.vanished = vanished


class PublishError(CapillaryError):
    """The object or its manifest could not be published.

    What stood at the destination before still stands. The new object, as whole, is there only where the message says so, and where the
    store wrote it and its answer was lost on the way. In either case the next run sees what is there.
    """

    retryable = True


class ReadingStoppedError(CapillaryError):
    """The task was killed while it read; nothing is published."""

    retryable = True
