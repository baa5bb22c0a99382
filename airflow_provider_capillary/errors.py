"""Every error that this package raises, by who can fix it.

.. code-block:: text

    CapillaryError
    ├── ConfigurationError            something in the DAG or the connection is wrong; edit it
    │   ├── ConnectionSettingsError   ... a field of the Airflow connection
    │   ├── IntervalError             ... the interval of a run, or a run without one
    │   └── DestinationError          ... the destination, or a package that is needed to write there
    │       └── DestinationConflictError  ... another object is there already; use another path
    ├── RequestError                  one request to the API failed
    │   ├── AuthenticationError       401, 498, a refused key: renew the credential
    │   ├── PermissionDeniedError     403: widen what the credential may read
    │   ├── NotFoundError             404: correct the host
    │   ├── RequestRefusedError       any other 4xx, and every redirect: no retry helps
    │   │   └── ParametersRefusedError    400, 413, 414, 422: the limit, the dates or the span
    │   ├── ThrottledError            429 for longer than this client waits: try later
    │   ├── ServerError               5xx and 461 after every retry
    │   ├── TransportError            no answer: DNS, TLS, refused, reset, timeout
    │   └── MalformedAnswerError      the body is not the documented envelope
    ├── CompletenessError             the answers do not prove that nothing is missing
    │   ├── CalibrationError          dates: format, zone, precision, or a filter that is ignored
    │   ├── ContinuityError           answers that contradict one another
    │   └── TieError                  more records with one timestamp than one answer holds
    ├── VanishedEventsError           the earlier object holds records that the API no longer returns; choose on_vanished
    ├── UnverifiableError             the object can't be verified: not there, without a manifest, being written, damaged
    ├── VerificationError             the object differs from what the API shows, or from its manifest
    ├── PublishError                  the object store failed; the old object or the new one is there, whole
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
    "UnverifiableError",
    "VanishedEventsError",
    "VerificationError",
]


class CapillaryError(Exception):
    """Root of all errors that this package raises on purpose.

    :param problem: what is wrong, one sentence.
    :param request: the request in words (path and parameters), never the credential.
    :param response: the response in a few words, never its body.
    :param request_id: the ``X-Cap-RequestID`` of the response; Capillary's support asks for it.
    :param hint: how to fix it.
    :param retry_after: seconds until the next try, where the API named them.
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
        # The problem and the fix come first: a narrow pane of the UI shows only the beginning.
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
    """Something in the DAG or the connection is wrong; no retry helps."""


class ConnectionSettingsError(ConfigurationError):
    """A field or extra of the Airflow connection is unknown, missing or of the wrong type."""


class IntervalError(ConfigurationError):
    """The run has no interval, or ``start`` and ``end`` are not a valid one."""


class DestinationError(ConfigurationError):
    """The destination is wrong: its ending, its scheme, its folder, or a package that is not installed."""


class DestinationConflictError(DestinationError):
    """The object at the destination is not replaced: it was written for something else, or not by this package.

    Nothing was changed.
    """


class RequestError(CapillaryError):
    """One request failed, after every retry that could help."""

    most_tries: int | None = None
    """How often the same request is sent before this error is raised; ``None`` for as often as any other request."""


class AuthenticationError(RequestError):
    """The API does not accept the credential (401, 498, or a refused OAuth key)."""


class PermissionDeniedError(RequestError):
    """The credential is valid but may not read event logs (403)."""


class NotFoundError(RequestError):
    """The host has no event logs (404)."""


class RequestRefusedError(RequestError):
    """The API refused the request (any other 4xx) or sent a redirect, which is never followed."""


class ParametersRefusedError(RequestRefusedError):
    """The API refuses the parameters (400, 413, 414, 422); it may accept another limit, other dates or a shorter span."""


class ThrottledError(RequestError):
    """The API throttles (429) for longer than this client waits."""

    retryable = True


class ServerError(RequestError):
    """The API failed (5xx, 461) on every try."""

    retryable = True


class TransportError(RequestError):
    """No response arrived: name resolution, TLS, a refused or reset connection, a timeout."""

    retryable = True


class MalformedAnswerError(RequestError):
    """The body is not the documented envelope: HTML, cut off, without ``data``, or with ``errors`` beside it."""

    retryable = True


class CompletenessError(CapillaryError):
    """The answers do not prove that every record was returned; the records read so far must be discarded."""


class CalibrationError(CompletenessError):
    """The API does not read dates as this client sends them, or ignores them.

    :param date_format: with ``timezone``, the setting that would fit, where the answers have shown one.
    """

    def __init__(self, problem: str, *, date_format: str | None = None, timezone: str | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.date_format = date_format
        self.timezone = timezone


class ContinuityError(CompletenessError):
    """Two answers contradict one another: one lacks a record that it should hold, or they give one id two timestamps."""

    retryable = True


class TieError(CompletenessError):
    """More records have one timestamp, to the API's precision, than one answer holds.

    :param timestamp: the timestamp, UTC epoch milliseconds.
    :param count: how many records with it were seen.
    """

    def __init__(self, problem: str, *, timestamp: int | None = None, count: int | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.timestamp = timestamp
        self.count = count


class VanishedEventsError(CapillaryError):
    """The object of an earlier run holds records that the API no longer returns, and ``on_vanished="fail"``. Nothing was changed.

    :param vanished: how many.
    """

    def __init__(self, problem: str, *, vanished: int | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.vanished = vanished


class UnverifiableError(CapillaryError):
    """An object can't be verified. Nothing was compared.

    :param reason: ``"no object"``, ``"no manifest"``, ``"no claims"`` (the manifest does not say which records the object stands for),
        ``"another connection"``, ``"key"`` (of the hashes), ``"being written"`` (the only one that a retry may cure), ``"refused"`` (by the
        store) or ``"unreadable"``.
    """

    def __init__(self, problem: str, *, reason: str | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.reason = reason
        self.retryable = reason == "being written"


class VerificationError(CapillaryError):
    """A published object differs from what the API shows, or from its own manifest, and ``on_difference="fail"``.

    :param counts: how many records are missing, late, surplus and changed, by these words.
    """

    def __init__(self, problem: str, *, counts: dict[str, int] | None = None, **fields: object) -> None:
        super().__init__(problem, **fields)  # type: ignore[arg-type]  # the root's own keyword-only fields, passed through
        self.counts = counts


class PublishError(CapillaryError):
    """The object or its manifest could not be published.

    The earlier object is still there, whole. It is replaced by the new one, also whole, only where the message says so, or where the store
    wrote the object and its response was lost. The next run examines the object that is there.
    """

    retryable = True


class ReadingStoppedError(CapillaryError):
    """The task was killed while it read; nothing was published."""

    retryable = True
