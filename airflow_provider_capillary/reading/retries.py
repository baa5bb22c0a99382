"""What a failed try means, and how long to wait before the next.

Sources: the statuses come from Capillary's public pages (401, 403, 404, 461, 498, 500, 502, 503, 504, 520, 521; 429 is
implied by the published rate limits). Nothing documents ``Retry-After``, so its absence is normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
    RequestRefusedError,
    ServerError,
    ThrottledError,
    TransportError,
)
from airflow_provider_capillary.reading.steps import NoReply, Reply

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

__all__ = ["RetryPlan", "failure_of", "request_id", "retry_after"]

MAX_RETRY_AFTER = 60.0
"""Limits are per minute, so no honest Retry-After is longer; a longer one is cut to this."""

TOKEN_EXPIRED = 498
SEARCH_ENGINE_BUSY = 461
REQUEST_TIMEOUT = 408


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """Bounds of the retries of one question, by attempts and by total waiting.

    With nine attempts, a server that fails 15 % of its answers at random is given up on once in 26 million questions.
    """

    attempts: int = 9
    first: float = 0.5
    longest: float = 15.0
    longest_throttled: float = 60.0
    total: float = 300.0

    def delay(self, attempt: int, error: RequestError, rng: random.Random) -> float:
        """Seconds before the try after ``attempt`` (counted from 1): what the API asked for, else doubling with jitter."""
        if error.retry_after is not None:
            return error.retry_after + rng.uniform(0.0, 0.25)
        longest = self.longest_throttled if isinstance(error, ThrottledError) else self.longest
        return min(longest, self.first * 2.0 ** (attempt - 1)) * rng.uniform(0.5, 1.0)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id by which Capillary's support finds a request; the header is spelt in several ways."""
    for name in ("x-cap-requestid", "x-cap-request-id", "x-capillary-request-id", "x-request-id"):
        if value := headers.get(name):
            return value[:100]
    return None


def retry_after(reply: Reply) -> float | None:
    """Seconds until the API wants to be asked again, at most :data:`MAX_RETRY_AFTER`; ``None`` where it does not say.

    Both forms of RFC 9110 (seconds, date); a date is read against the answer's own ``Date`` where it has one, so that a
    wrong clock here or there does no harm. What is neither, is negative or lies in the past is treated as absent.
    """
    text = reply.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            then = parsedate_to_datetime(text)
            now = parsedate_to_datetime(reply.headers["date"]).timestamp() if "date" in reply.headers else reply.received
            seconds = then.timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    if math.isnan(seconds) or seconds < 0:
        return None
    return min(seconds, MAX_RETRY_AFTER)


def failure_of(outcome: Reply | NoReply, asked: str, credential: str) -> RequestError | None:
    """The error that an outcome is, or ``None`` for a 200 whose body is still to be read.

    ``error.retryable`` says whether another try may help.

    :param asked: the request in words, for the error.
    :param credential: which form of credential was sent, in words, for a 401.
    """
    if isinstance(outcome, NoReply):
        error: RequestError = TransportError("The API gave no whole answer", asked=asked, answered=outcome.what, cure=outcome.cure)
        error.retryable = outcome.passing
        return error
    if outcome.status == 200:  # noqa: PLR2004  # the one status that carries data
        return None
    build, problem, cure = _meaning_of(outcome.status, credential)
    return build(
        problem,
        asked=asked,
        answered=f"HTTP {outcome.status}",
        request_id=request_id(outcome.headers),
        retry_after=retry_after(outcome) if build in (ThrottledError, ServerError) else None,
        cure=cure,
    )


def _meaning_of(status: int, credential: str) -> tuple[type[RequestError], str, str]:
    match status:
        case 401 | 498:
            return (
                AuthenticationError,
                f"The API does not accept the credential, {credential}",
                "check login and password of the connection; if the password field holds the plain password, set the extra "
                "`password_format` to `plain`, if it holds its md5, to `md5`; Basic may be off for the org: then set `auth_type` to `oauth`",
            )
        case 403:
            return (
                PermissionDeniedError,
                "The API accepts the credential but not this request",
                "give the credential Read on the access group Behavioural Events, and allow this machine's address",
            )
        case 404:
            return (
                NotFoundError,
                "The API knows no event logs at this address",
                "check the connection's host; it is the base URL of the cluster, such as https://eu.api.capillarytech.com",
            )
        case 429:
            return (
                ThrottledError,
                "The API throttles this credential",
                "lower the extra `requests_per_minute`, or run fewer tasks on this connection at once",
            )
        case 408 | 461:
            return (ServerError, "The API is busy", "try again later")
    if 300 <= status < 400:  # noqa: PLR2004  # redirects
        return (
            RequestRefusedError,
            "The API sent a redirect, which is not followed because it would carry the credential elsewhere",
            "set the connection's host to the final address",
        )
    if 400 <= status < 500:  # noqa: PLR2004  # client errors
        return (RequestRefusedError, "The API refuses this request", "check the extras `date_format` and `page_size`, and `event_name`")
    return (ServerError, "The API fails", "try again later; if it stays so, give the request id to Capillary's support")
