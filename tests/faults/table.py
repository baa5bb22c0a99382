"""What each fault means for who reads: one row each.

========  ==================================================================================================================
verdict   meaning
========  ==================================================================================================================
passing   another try may help it. Once: the same request is sent again, and all goes on as if nothing had been. Where it
          stays: the error of the row, after its number of tries. A sensor waits on, poll after poll.
final     no retry helps it: the error of the row, after one request.
harmless  not a fault to who reads: nothing is asked twice, nothing is lost.
========  ==================================================================================================================

A 400 is none of these: the API refuses a question, so that it is put otherwise. It has a table of its own, in ``test_refused``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from airflow_provider_capillary.errors import (
    AuthenticationError,
    MalformedAnswerError,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
    ThrottledError,
    TransportError,
)

TRIES = 9


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault.

    :param verdict: see above.
    :param error: the class of the error, where it comes to that.
    :param response: is in the error: what came back, in words.
    :param hint: is in the error: what to do about it.
    :param problem: is in the error: what is wrong.
    :param tries: how often the request is sent until the error.
    :param pause: seconds between the first try and the second, at least and at most.
    :param retry_after: of the error.
    :param has_id: whether an answer with a request id arrived, so that the error has to name it.
    :param name: of the emulator's fault, where it is another; ``None`` for a server that is not there.
    :param patience: seconds; the read timeout of the requests that the fault befalls, where the fault is one of time.
    :param at_token: the row for the fetch of a token, where it means something else there.
    """

    verdict: str
    error: type | None = None
    response: str = ""
    hint: str = ""
    problem: str = ""
    tries: int = 1
    pause: tuple[float, float] = (0.25, 0.5)
    retry_after: float | None = None
    has_id: bool = True
    name: str | None = ""
    options: dict = field(default_factory=dict)
    patience: float | None = None
    at_token: Row | None = None


def passing(error, response, hint, **more):
    return Row(**{"verdict": "passing", "error": error, "response": response, "hint": hint, "tries": TRIES} | more)


def final(error, response, hint, **more):
    return Row(verdict="final", error=error, response=response, hint=hint, **more)


HARMLESS = Row(verdict="harmless")

SUPPORT, LATER, MINUTE, PORTAL, NETWORK = "support", "try again later", "requests_per_minute", "portal or a proxy", "network"
MOVED, WHO, KEY = "final address", "check login and password", "check login (the OAuth client key) and password"
TOKEN = {"hint": "host is the API"}


def malformed(response, **more):
    """An answer that is none. A request for a token has an envelope of its own, so other words for the same fault."""
    row = passing(MalformedAnswerError, response, PORTAL, **more)
    return row if row.at_token else replace(row, at_token=replace(row, **TOKEN))


def bad_record(wrong, **more):
    """A complete response with one invalid record. A request for a token has no records."""
    at_token = passing(MalformedAnswerError, wrong, TOKEN["hint"])
    return passing(MalformedAnswerError, "invalid records: 1 of", SUPPORT, **{"tries": 2, "problem": wrong, "at_token": at_token} | more)


REFUSED_KEY = final(AuthenticationError, "", KEY)

TABLE = {
    # No answer, or not all of it.
    "connection refused": passing(TransportError, "a refused connection", "host and port", has_id=False, name=None),
    "reset_before_headers": passing(TransportError, "a connection that broke", NETWORK, has_id=False),
    "reset_in_headers": passing(TransportError, "a connection that broke", NETWORK, has_id=False),
    "reset_in_body": passing(TransportError, "a connection that broke", NETWORK, has_id=False),
    "hang": passing(TransportError, "nothing for 0.05 s", "read_timeout", has_id=False, patience=0.05),
    "slow_drip": HARMLESS,
    "drip without end": passing(
        TransportError,
        " 0.1 s",  # nothing for so long, or not whole so long after it began, as it happens
        "read_timeout",
        has_id=False,
        name="slow_drip",
        options={"drip_seconds": 1.0},
        patience=0.1,
    ),
    "truncated_gzip": malformed("cut off"),
    "length_too_long": passing(TransportError, "a connection that broke", NETWORK, has_id=False),
    "length_too_short": malformed("cut off"),
    "big_body": final(TransportError, "more than 64 MiB", "page_size", has_id=False),
    "big_body_unannounced": final(TransportError, "more than 64 MiB", "page_size", has_id=False),
    # Redirects, which are not followed: they would carry the credential elsewhere.
    **{f"redirect_{status}": final(RequestRefusedError, f"HTTP {status}", MOVED) for status in (301, 302, 307, 308)},
    # Refusals.
    "http_401": final(AuthenticationError, "HTTP 401", WHO, at_token=replace(REFUSED_KEY, response="HTTP 401")),
    "http_403": final(PermissionDeniedError, "HTTP 403", "access group", at_token=replace(REFUSED_KEY, response="HTTP 403")),
    "http_403_html": final(PermissionDeniedError, "HTTP 403", "access group", at_token=replace(REFUSED_KEY, response="HTTP 403")),
    "http_404": final(NotFoundError, "HTTP 404", "base URL"),
    "http_498": final(AuthenticationError, "HTTP 498", WHO, at_token=replace(REFUSED_KEY, response="HTTP 498")),
    # Throttled: the pause is what the API asked for, at most a minute; where it asked for nothing readable, this client's own.
    "throttled_seconds": passing(ThrottledError, "HTTP 429", MINUTE, pause=(7.0, 7.25), retry_after=7.0),
    "throttled_date": passing(ThrottledError, "HTTP 429", MINUTE, pause=(6.0, 8.25), retry_after=7.0),  # a date is of whole seconds
    "throttled_absurd": passing(ThrottledError, "HTTP 429", MINUTE, pause=(60.0, 60.25), retry_after=60.0, tries=5),
    "throttled_absent": passing(ThrottledError, "HTTP 429", MINUTE),
    "throttled_garbage": passing(ThrottledError, "HTTP 429", MINUTE),
    # The API is down or busy.
    "http_461": passing(ServerError, "HTTP 461", LATER),
    **{f"http_{status}": passing(ServerError, f"HTTP {status}", SUPPORT) for status in (500, 502, 503, 504, 520, 521)},
    # 200, and not what was asked for.
    "html_200": malformed("(text/html) that is not JSON"),
    "empty_200": malformed("an empty body"),
    "null": malformed(
        "JSON that is not an object (null)", at_token=passing(MalformedAnswerError, "JSON without data.accessToken", TOKEN["hint"])
    ),
    "no_data": malformed("JSON without `data`", at_token=passing(MalformedAnswerError, "JSON without data.accessToken", TOKEN["hint"])),
    "data_null": malformed("`data` that is not a list", at_token=passing(MalformedAnswerError, "without data.accessToken", TOKEN["hint"])),
    "data_not_a_list": malformed(
        "`data` that is not a list (object)", at_token=passing(MalformedAnswerError, "without data.accessToken", TOKEN["hint"])
    ),
    "errors_beside_data": malformed("1 non-empty `errors` with codes [500]", at_token=replace(REFUSED_KEY, response="HTTP 200 with 1")),
    "errors_blank_item": HARMLESS,  # how other endpoints of this API say that there are none
    "errors_null": HARMLESS,  # as above
    "created_201_errors": passing(MalformedAnswerError, "HTTP 201", LATER),
    "invalid_utf8": bad_record("not UTF-8"),
    "duplicate_keys": malformed("the same key twice"),
    "huge_start_time": bad_record("`startTime` is not epoch milliseconds", at_token=HARMLESS),  # a token's life, taken for an hour
    "huge_digits": bad_record("`startTime` is not epoch milliseconds", at_token=passing(MalformedAnswerError, "not JSON", TOKEN["hint"])),
    "cut_json": malformed("cut off"),
    "nan": bad_record("NaN in the JSON"),
}


def row_of(fault, step):
    """The row of a fault at a step."""
    row = TABLE[fault]
    row = row.at_token or row if step == "token fetch" else row
    return replace(row, name=fault) if row.name == "" else row
