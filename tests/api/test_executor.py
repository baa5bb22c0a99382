"""One request until it is answered, against prepared outcomes and a clock that moves only while the client waits."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_capillary.api.budget import Budget
from airflow_provider_capillary.api.effects import HoldTurns, MaskSecret, ReadClock, Response, Send, Sleep, TakeTurn, TransportFailure
from airflow_provider_capillary.api.executor import LOGS_PATH, TOKEN_PATH, Credential, RequestExecutor
from airflow_provider_capillary.api.retries import RetryPlan, retry_after
from airflow_provider_capillary.errors import (
    AuthenticationError,
    CapillaryError,
    MalformedAnswerError,
    NotFoundError,
    ParametersRefusedError,
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
    ThrottledError,
    TransportError,
)

BASIC = Credential(oauth=False, described="sent as Basic")
OAUTH = Credential(oauth=True, described="an OAuth token", key="k", secret="s")
NO_BUDGET = 10**9
DOUBLING = [0.5, 1, 2, 4, 8, 15, 15, 15]
DOUBLING_WHERE_THROTTLED = [0.5, 1, 2, 4, 8, 16, 32, 60]


class Unhurried(random.Random):
    """Jitter at its longest."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@dataclass
class Client:
    """A client that records its requests with their times, and its waits."""

    credential: Credential = BASIC
    per_minute: int = NO_BUDGET
    clock: float = 0.0
    sent: list[tuple[float, str, str | None]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    concealed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(self.per_minute)
        self.executor = RequestExecutor(credential=self.credential, per_minute=self.per_minute, rng=Unhurried())

    def ask(self, *outcomes: Response | TransportFailure) -> Any:
        """Request event logs; the last outcome is repeated."""
        left, steps, outcome = list(outcomes), self.executor.logs({"limit": "10"}), None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                return stop.value
            outcome = None
            match step:
                case ReadClock():
                    outcome = self.clock
                case TakeTurn():
                    outcome = self.budget.take(self.clock)
                case HoldTurns():
                    self.budget.hold(self.clock, step.seconds)
                case Sleep():
                    self.clock += step.seconds
                    self.waits.append(step.seconds)
                case MaskSecret():
                    self.concealed.append(step.value)
                case Send():
                    assert len(self.sent) < 200, "it asks without end"
                    self.sent.append((self.clock, step.request.path, step.token))
                    outcome = left.pop(0) if len(left) > 1 else left[0]


def status(number: int, body: object = None, received: float = 0.0, **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=number, headers=names, body=json.dumps(body).encode(), received=received)


LOGS = status(200, {"data": [{"id": "a", "startTime": 1}], "warnings": [], "errors": []})

# Each row: the outcome of a try, the error it becomes, and the waits before further tries where it stays the same.
FAILURES: dict[str, tuple[Response | TransportFailure, type[CapillaryError], list[float]]] = {
    "401": (status(401), AuthenticationError, []),
    "403": (status(403), PermissionDeniedError, []),
    "404": (status(404), NotFoundError, []),
    "400": (status(400), ParametersRefusedError, []),
    "413": (status(413), ParametersRefusedError, []),
    "407": (status(407), RequestRefusedError, []),
    "418": (status(418), RequestRefusedError, []),
    "302": (status(302, location="http://elsewhere.invalid/"), RequestRefusedError, []),
    "a refusal inside a 200": (status(200, {"data": [], "errors": [{"code": 401}]}), AuthenticationError, []),
    "no reply, and none to come": (TransportFailure(what="a certificate that is not trusted", hint="", passing=False), TransportError, []),
    "no reply": (TransportFailure(what="a connection that broke", hint=""), TransportError, DOUBLING),
    "461": (status(461), ServerError, DOUBLING),
    "500": (status(500), ServerError, DOUBLING),
    "503": (status(503), ServerError, DOUBLING),
    "521": (status(521), ServerError, DOUBLING),
    "429": (status(429), ThrottledError, DOUBLING_WHERE_THROTTLED),
    "201": (status(201, {"data": []}), MalformedAnswerError, DOUBLING),
    "204": (status(204), MalformedAnswerError, DOUBLING),
    "200 without data": (status(200, {}), MalformedAnswerError, DOUBLING),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_that_stays_is_raised_after_its_retries(name):
    """The waits double up to a limit; where no retry helps, there is one request."""
    outcome, kind, waits = FAILURES[name]
    client = Client()
    with pytest.raises(CapillaryError) as caught:
        client.ask(outcome)
    assert type(caught.value) is kind
    assert caught.value.hint is not None
    assert client.waits == waits
    assert len(client.sent) == len(waits) + 1


@pytest.mark.parametrize("name", [name for name, (_, _, waits) in FAILURES.items() if waits])
def test_a_failure_that_passes_costs_one_retry(name):
    client = Client()
    assert len(client.ask(FAILURES[name][0], LOGS)) == 1
    assert client.waits == [0.5]
    assert client.executor.stats.retries.total() == 1


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
EPOCH_OF_DATE = 1_445_412_480.0
# Each row: a response with a ``Retry-After``, and the wait before the next try.
RETRY_AFTER: dict[str, tuple[Response, float]] = {
    "seconds": (status(429, retry_after="7"), 7.25),
    "seconds of a server error": (status(503, retry_after="7"), 7.25),
    "less than would be waited anyway": (status(429, retry_after="0"), 0.5),
    "absurd": (status(429, retry_after="31536000"), 60.25),
    "negative": (status(429, retry_after="-3"), 0.5),
    "no number": (status(429, retry_after="soon"), 0.5),
    "not a number": (status(429, retry_after="nan"), 0.5),
    "without end": (status(429, retry_after="inf"), 60.25),
    "a date": (status(429, retry_after=DATE, received=EPOCH_OF_DATE - 30), 30.25),
    "a date beside the server's own": (status(429, retry_after=DATE, date="Wed, 21 Oct 2015 07:27:50 GMT", received=5.0), 10.25),
    "a date of the past": (status(429, retry_after=DATE, received=EPOCH_OF_DATE + 30), 0.5),
    "of what no retry helps": (status(404, retry_after="7"), 0.0),
}


@pytest.mark.parametrize("name", RETRY_AFTER)
def test_retry_after_is_waited_for(name):
    """In both its forms. An absurd value is cut, an invalid one is ignored."""
    outcome, wait = RETRY_AFTER[name]
    client = Client()
    if wait:
        client.ask(outcome, LOGS)
    else:
        with pytest.raises(NotFoundError):
            client.ask(outcome, LOGS)
    assert client.waits == ([wait] if wait else [])


@pytest.mark.parametrize("text", ["-3", "-0.001", "soon", "nan", "", " ", "Wed, 21 Oct 2015 07:28:00", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_an_invalid_retry_after_is_ignored(text):
    """The error must not name a time in the past."""
    assert retry_after(status(429, retry_after=text, received=EPOCH_OF_DATE + 1)) is None


@pytest.mark.parametrize(
    ("date", "later", "clock", "behind"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 480.0, 0.0, 480.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", -300.0, 0.0, -300.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 0.0, None, math.inf),
        ("Tue, 20 Oct 2015 07:27:00 GMT", 0.0, None, math.inf),
        (None, 480.0, 480.0, 0.0),
    ],
)
def test_the_api_s_clock_is_the_date_of_its_responses(date, later, clock, behind):
    """Unless that is of another day. The clock is counted from the time of ``DATE``; ``None`` where it is not known."""
    client = Client()
    headers = {} if date is None else {"date": date}
    client.ask(status(200, json.loads(LOGS.body), received=EPOCH_OF_DATE + later, **headers))
    assert client.executor.answered_at == (0.0 if clock is None else EPOCH_OF_DATE + clock)
    assert client.executor.clock_behind == behind


def test_all_waits_of_one_request_together_are_limited():
    client = Client()
    with pytest.raises(ThrottledError) as caught:
        client.ask(status(429, retry_after="60"))
    assert client.waits == [60.25] * 4
    assert sum(client.waits) < RetryPlan().total
    assert caught.value.retry_after == 60
    assert "(5 tries)" in str(caught.value)


@pytest.mark.parametrize("per_minute", [1, 2, 7])
def test_no_minute_holds_more_requests_than_the_budget(per_minute):
    """Retries and token requests count too."""
    client = Client(credential=OAUTH, per_minute=per_minute)
    token = status(200, {"data": {"accessToken": "t", "ttlSeconds": 3600}})
    client.ask(token, status(500), status(500), LOGS)
    for _ in range(4):
        client.ask(LOGS)
    moments = [moment for moment, _, _ in client.sent]
    assert len(moments) == 8
    for first, later in zip(moments, moments[per_minute:], strict=False):
        assert later - first >= 60 - 1e-6
    assert client.executor.stats.requests == 8


def token(name: str, life: object = 3600) -> Response:
    return status(200, {"data": {"accessToken": name, "ttlSeconds": life}, "errors": None})


def paths(client: Client) -> list[tuple[str, str | None]]:
    short = {LOGS_PATH: "logs", TOKEN_PATH: "token"}
    return [(short[path], sent) for _, path, sent in client.sent]


def test_a_token_is_fetched_once_masked_and_sent():
    client = Client(credential=OAUTH)
    client.ask(token("t1"), LOGS)
    client.ask(LOGS)
    assert paths(client) == [("token", None), ("logs", "t1"), ("logs", "t1")]
    assert client.concealed == ["t1"]


# Each row: the life of a token, its age at the next request, both in seconds, and whether the token is renewed then.
@pytest.mark.parametrize(("life", "after", "renewed"), [(3600, 3500, False), (3600, 3541, True), (60, 29, False), (60, 31, True)])
def test_a_token_is_renewed_before_it_ends(life, after, renewed):
    client = Client(credential=OAUTH)
    client.ask(token("t1", life), LOGS)
    client.clock += after
    client.ask(*([token("t2", life)] if renewed else []), LOGS)
    assert paths(client)[2:] == ([("token", None), ("logs", "t2")] if renewed else [("logs", "t1")])


# Each row: a response that says that the token has ended.
@pytest.mark.parametrize("end", [status(498), status(401), status(200, {"data": [], "errors": [{"code": 498}]})])
def test_a_token_that_ends_early_is_fetched_anew_once(end):
    client = Client(credential=OAUTH)
    client.ask(token("t1"), end, token("t2"), LOGS)
    assert paths(client) == [("token", None), ("logs", "t1"), ("token", None), ("logs", "t2")]
    assert client.waits == []
    refused = Client(credential=OAUTH)
    with pytest.raises(AuthenticationError):
        refused.ask(token("t1"), end, token("t2"), end)
    assert len(refused.sent) == 4


# Each row: a response that refuses the key and secret.
@pytest.mark.parametrize(
    "refusal",
    [*map(status, (400, 401, 403, 422, 498)), status(200, {"data": None, "errors": [{"code": 320001, "message": "Invalid client key"}]})],
)
def test_a_key_that_is_refused_is_not_sent_again(refusal):
    client = Client(credential=OAUTH)
    with pytest.raises(AuthenticationError) as caught:
        client.ask(refusal)
    assert "key and secret" in str(caught.value)
    assert len(client.sent) == 1
    with pytest.raises(AuthenticationError):
        client.ask(refusal)
    assert len(client.sent) == 1
    client.clock += 10
    with pytest.raises(AuthenticationError):
        client.ask(refusal)
    assert len(client.sent) == 2
