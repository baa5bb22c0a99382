"""Which error a failed try means, and how long to wait before the next one.

The statuses come from Capillary's public pages (401, 403, 404, 461, 498, 500, 502, 503, 504, 520, 521; the published rate limits imply
429). Nothing documents ``Retry-After``, so its absence is normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.api.effects import Response, TransportFailure
from airflow_provider_capillary.errors import (
    AuthenticationError,
    MalformedAnswerError,
    NotFoundError,
    ParametersRefusedError,
    PermissionDeniedError,
    RequestError,
    RequestRefusedError,
    ServerError,
    ThrottledError,
    TransportError,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

__all__ = ["RetryPlan", "failure_of", "printable", "request_id", "retry_after"]

MAX_RETRY_AFTER = 60.0
"""Seconds. The limits are per minute, so no correct ``Retry-After`` is longer; a longer one is cut to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """Limits for the retries of one request, by attempts and by total waiting.

    Where a server fails 15 % of its responses at random, nine attempts are not enough for one request in 26 million.

    :param attempts: tries at most.
    :param first: seconds of the first pause.
    :param longest: seconds of one pause at most.
    :param longest_throttled: the same where the API throttles.
    :param total: seconds of all pauses together at most.
    """

    attempts: int = 9
    first: float = 0.5
    longest: float = 15.0
    longest_throttled: float = 60.0
    total: float = 300.0

    def delay(self, attempt: int, error: RequestError, rng: random.Random) -> float:
        """Seconds before the try after ``attempt``, counted from 1: the backoff, and no less than the API's ``Retry-After``.

        The pause grows even where the API asks for one second each time, so that the tries span more than the minute of its limit.
        Infinite where :attr:`.RequestError.most_tries` is reached.
        """
        if error.most_tries is not None and attempt >= error.most_tries:
            return math.inf
        longest = self.longest_throttled if isinstance(error, ThrottledError) else self.longest
        pause = Backoff(first=self.first, longest=longest).delay(attempt, rng)
        return pause if error.retry_after is None else max(pause, error.retry_after + rng.uniform(0.0, 0.25))


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id by which Capillary's support finds a request. Its header has several spellings."""
    for name in ("x-cap-requestid", "x-cap-request-id", "x-capillary-request-id", "x-request-id"):
        if value := headers.get(name):
            return printable(value)
    return None


def printable(text: str, longest: int = 100) -> str:
    """Text of a server, cut short, in printable ASCII: it cannot fill a log or forge a line of it."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text[:longest])


def retry_after(response: Response) -> float | None:
    """Seconds of ``Retry-After``, at most :data:`MAX_RETRY_AFTER`; ``None`` where the API does not send it.

    Both forms of RFC 9110 are read, seconds and date. A date is compared with the response's own ``Date`` where it has one, so a wrong
    clock on either side does no harm. A value that is neither, negative or in the past counts as absent.
    """
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = _epoch(text) - (_epoch(response.headers["date"]) if "date" in response.headers else response.received)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    if math.isnan(seconds) or seconds < 0:
        return None
    return min(seconds, MAX_RETRY_AFTER)


def sent_at(response: Response) -> float:
    """When a response was sent, epoch seconds: by its ``Date``, which is the API's clock, or else by this machine's."""
    try:
        return _epoch(response.headers["date"])
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return response.received


def _epoch(date: str) -> float:
    then = parsedate_to_datetime(date)
    # HTTP knows no local time: a date without a zone is in GMT.
    return (then if then.tzinfo is not None else then.replace(tzinfo=UTC)).timestamp()


def failure_of(outcome: Response | TransportFailure, request: str) -> RequestError | None:
    """The error that an outcome means; ``None`` for a 200, whose body is still to be read.

    ``error.retryable`` says whether another try may help.

    :param request: the request in words, for the error.
    """
    if isinstance(outcome, TransportFailure):
        error: RequestError = TransportError("The API gave no complete response", request=request, response=outcome.what, hint=outcome.hint)
        error.retryable = outcome.passing
        return error
    if outcome.status == 200:  # noqa: PLR2004  # the one status that carries data
        return None
    build, problem, hint = _meaning_of(outcome.status)
    return build(
        problem,
        request=request,
        response=f"HTTP {outcome.status}",
        request_id=request_id(outcome.headers),
        retry_after=retry_after(outcome) if build in (ThrottledError, ServerError) else None,
        hint=hint,
    )


_Meaning: TypeAlias = tuple[type[RequestError], str, str]

_KNOWN: Final[dict[int, _Meaning]] = {
    403: (
        PermissionDeniedError,
        "The API accepts the credential but not this request",
        "give the credential Read on the access group Behavioural Events, and allow this machine's address",
    ),
    404: (
        NotFoundError,
        "The API knows no event logs at this address",
        "check the connection's host; it is the base URL of the cluster, such as https://eu.api.capillarytech.com",
    ),
    407: (
        RequestRefusedError,
        "A proxy refuses its user name and password, or has none",
        "put them into its address, http://user:password@proxy.example:3128, in the extra `proxies` or the environment's HTTP_PROXY",
    ),
    408: (ServerError, "The API is busy", "try again later"),
    429: (
        ThrottledError,
        "The API throttles this credential",
        "lower the extra `requests_per_minute`, or run fewer tasks on this connection at once",
    ),
    461: (ServerError, "The API is busy", "try again later"),
}
_CREDENTIAL: Final[_Meaning] = (
    AuthenticationError,
    # The executor adds which credential was sent, and so what to change.
    "The API does not accept the credential",
    "check login and password of the connection",
)
_REDIRECT: Final[_Meaning] = (
    RequestRefusedError,
    "The API sent a redirect, which is not followed because the credential would go to another host",
    "set the connection's host to the final address",
)
_REFUSED: Final[_Meaning] = (
    RequestRefusedError,
    "The API refuses this request",
    "check that the connection's host is the API; if it is, give the request id to Capillary's support",
)
_PARAMETERS: Final[_Meaning] = (
    ParametersRefusedError,
    "The API refuses the parameters of this request",
    "check the extras `date_format` and `page_size`, and `event_name`",
)
_FAILED: Final[_Meaning] = (ServerError, "The API fails", "try again later; if it stays so, give the request id to Capillary's support")
_NO_LOGS: Final[_Meaning] = (
    MalformedAnswerError,
    "The API answered with a status that has no event logs",
    "try again later; if it stays so, check that the connection's host is the API",
)


def _meaning_of(status: int) -> _Meaning:
    if status in (401, 498):
        return _CREDENTIAL
    if status in (400, 413, 414, 422):
        return _PARAMETERS
    by_class = {2: _NO_LOGS, 3: _REDIRECT, 4: _REFUSED}
    return _KNOWN.get(status) or by_class.get(status // 100, _FAILED)
