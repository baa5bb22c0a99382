"""One request until it is answered: the budget, the token, and every retry."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_capillary.api.budget import lanes_for
from airflow_provider_capillary.api.effects import HoldTurns, MaskSecret, ReadClock, Request, Response, Send, Sleep, TakeTurn
from airflow_provider_capillary.api.responses import Page, codes_of, errors_in, read_json, read_page
from airflow_provider_capillary.api.retries import RetryPlan, failure_of, request_id, sent_at
from airflow_provider_capillary.errors import AuthenticationError, MalformedAnswerError, RequestError, ServerError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_capillary.api.effects import Flow, TransportFailure
    from airflow_provider_capillary.api.usual_pages import ListDecoder

T = TypeVar("T")

__all__ = ["LOGS_PATH", "TOKEN_PATH", "Credential", "RequestExecutor", "RequestStats"]

LOGS_PATH = "/v2/events/logs"
TOKEN_PATH = "/v3/oauth/token/generate"  # noqa: S105  # a path, no token

TOKEN_LIFE = 60 * 60.0
"""Seconds; the longest life in the documentation, used where a response names none."""
TOKEN_MARGIN = 60.0
"""Seconds before its end at which a token is renewed, or at half its life where that is sooner."""
KEY_REFUSALS = frozenset({400, 401, 403, 422, 498})
"""Statuses of a token request that mean a wrong key or secret. The documentation does not say which one the API sends."""
LEAST_WAIT = 0.001
"""Seconds; long enough to move any clock."""
KEY_PAUSE = 10.0
"""Seconds in which a key that was refused is not sent again: other requests under way learn only one by one that their token has ended."""
TOKEN_POLL = 0.05
"""Seconds between two looks at whether another flow has fetched the token."""
LATEST_WEIGHT = 0.2
"""Weight of the last answer in the latency."""
CLOCKS_APART = 86_400.0
"""A ``Date`` that is farther from this machine's clock, seconds, is not taken for the API's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The key and secret for a token; without ``oauth`` the session sends Basic authentication by itself.

    :param described: the credential in words, for errors.
    :param hint: how to fix a credential that the API refuses.
    :param key_hint: how to fix a ``key`` and ``secret`` for which the API gives no token.
    """

    oauth: bool
    described: str
    hint: str = "check login and password of the connection"
    key_hint: str = "check login (the key) and password (the secret) of the connection, or set `auth_type` to `basic`"
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


@dataclass(slots=True)
class RequestStats:
    """The cost of the requests so far: ``waited`` in seconds, ``retries`` by the name of the error.

    Seconds in which several requests waited at once count once.
    """

    requests: int = 0
    waited: float = 0.0
    retries: Counter[str] = field(default_factory=Counter)
    warnings: int = 0


@dataclass(slots=True)
class _TokenRequest:
    """A request for a token. Others wait for it: one token serves all of them, and a refused key is sent once."""

    began_at: float = -math.inf
    is_over: bool = False
    error: RequestError | None = None


class RequestExecutor:
    """Sends requests to one API with one token, also for several flows at once.

    The budget of requests is the driver's: retries and token requests take turns from it as well.

    :param per_minute: the driver's budget.
    :ivar answered_at: the API's clock, epoch seconds: the latest ``Date`` of a response, or when it was received, where it has none; 0.0
        before the first response.
    :ivar clock_behind: seconds that the API's clock is behind this machine's, at most: a ``Date`` leaves out parts of a second, and a
        response takes its time; infinite before the first response.
    :ivar decode: asked first for the records of an answer; see :func:`.responses.read_page`.
    """

    def __init__(self, *, credential: Credential, per_minute: int, plan: RetryPlan | None = None, rng: random.Random | None = None) -> None:
        self._credential = credential
        self._per_minute = per_minute
        self._latency: float | None = None
        self._waited_until = 0.0
        self._plan = plan or RetryPlan()
        self._rng = rng or random.Random()  # noqa: S311  # jitter
        self._token: str | None = None
        self._renew_at = 0.0
        self._token_request = _TokenRequest(is_over=True)
        self.stats = RequestStats()
        self.answered_at = 0.0
        self.clock_behind = math.inf
        self.decode: ListDecoder | None = None

    @property
    def lanes(self) -> int:
        """How many requests it pays to have under way at once."""
        return lanes_for(self._per_minute, self._latency or 0.0)

    def logs(self, params: Mapping[str, str]) -> Flow[Page]:
        """Request event logs, with retries.

        :raises RequestError: at once where no retry helps, otherwise once the plan's attempts or its total waiting are used up.
        """
        request = Request(method="GET", path=LOGS_PATH, params=tuple(params.items()))
        page = yield from self._with_retries(
            request, lambda response: read_page(response, str(request), self.decode), needs_token=self._credential.oauth
        )
        self.stats.warnings += page.warnings
        return page

    def refresh_token(self) -> Flow[str]:
        """The token; a new one where there is none yet or the present one ends soon.

        :raises AuthenticationError: the API refuses the key.
        """
        return (yield from self._valid_token())

    def _with_retries(self, request: Request, read: Callable[[Response], T], *, needs_token: bool) -> Flow[T]:
        patience, attempt, is_new = self._plan.total, 0, False
        while True:
            attempt += 1
            # For each try: a token may end during a pause.
            token = (yield from self._valid_token()) if needs_token else None
            outcome = yield from self._send(Send(request=request, token=token))
            error = _refused_key_of(outcome, str(request)) if request.path == TOKEN_PATH else None
            error = error or failure_of(outcome, str(request))
            if error is None:
                try:
                    return read(outcome)  # type: ignore[arg-type]  # a transport failure is an error above
                except RequestError as unreadable:
                    error = unreadable
            if isinstance(error, AuthenticationError) and needs_token and not is_new and attempt < self._plan.attempts:
                # A token can end early (498, or 401 once it is revoked). A new token that is refused stays refused. Another flow may
                # have fetched a new one meanwhile.
                self._token, is_new = None if self._token == token else self._token, True
                self.stats.retries[type(error).__name__] += 1
                continue
            is_new = False
            if isinstance(error, AuthenticationError):
                self._explain(error, is_key=request.path == TOKEN_PATH)
            if not error.retryable:
                raise error
            delay = self._plan.delay(attempt, error, self._rng)
            if attempt >= self._plan.attempts or delay > patience:
                error.problem = f"{error.problem} ({attempt} tries)"
                raise error
            patience -= delay
            self.stats.retries[type(error).__name__] += 1
            if isinstance(error, ThrottledError | ServerError):
                # It would fail the other requests as well.
                yield HoldTurns(delay)
            yield from self._wait(delay, f"{type(error).__name__} at try {attempt} of {self._plan.attempts}: {error.response}")

    def _explain(self, error: AuthenticationError, *, is_key: bool) -> None:
        """Add to the error which credential was refused, and how to fix it."""
        if is_key:
            error.hint = self._credential.key_hint
        else:
            error.problem, error.hint = f"{error.problem}, {self._credential.described}", self._credential.hint

    def _send(self, send: Send) -> Flow[Response | TransportFailure]:
        while delay := (yield TakeTurn()):
            # By the clock, because a pause may take longer than asked for, and the budget counts from its end.
            yield from self._wait(max(delay, LEAST_WAIT), "the budget of requests a minute is spent")
        self.stats.requests += 1
        sent = yield ReadClock()
        outcome: Response | TransportFailure = yield send
        took = (yield ReadClock()) - sent
        if isinstance(outcome, Response):
            self._note_clock(sent_at(outcome), outcome.received)
            self._latency = took if self._latency is None else self._latency + LATEST_WEIGHT * (took - self._latency)
        return outcome

    def _note_clock(self, sent: float, received: float) -> None:
        """The API's own responses are the latest, and the least behind; a cache's are older. A ``Date`` of another day is no clock's."""
        if abs(sent - received) > CLOCKS_APART:
            return
        self.answered_at = max(self.answered_at, sent)
        self.clock_behind = min(self.clock_behind, received - sent)

    def _wait(self, seconds: float, reason: str) -> Flow[None]:
        now = yield ReadClock()
        self.stats.waited += max(0.0, now + seconds - max(now, self._waited_until))
        self._waited_until = max(self._waited_until, now + seconds)
        yield Sleep(seconds, reason)

    def _valid_token(self) -> Flow[str]:
        while True:
            now = yield ReadClock()
            if self._token is not None and now < self._renew_at:
                return self._token
            if (others := self._token_request).is_over:
                if isinstance(others.error, AuthenticationError) and now < others.began_at + KEY_PAUSE:
                    raise others.error
                return (yield from self._fetch_token(now))
            while not others.is_over:
                yield Sleep(TOKEN_POLL, "another request fetches the token")
            if others.error is not None:
                raise others.error

    def _fetch_token(self, now: float) -> Flow[str]:
        self._token_request = mine = _TokenRequest(began_at=now)
        body = {"key": self._credential.key, "secret": self._credential.secret}
        request = Request(method="POST", path=TOKEN_PATH, body=body)
        try:
            token, life = yield from self._with_retries(request, lambda response: _read_token(response, str(request)), needs_token=False)
            yield MaskSecret(token)
            self._token, self._renew_at = token, now + max(life - TOKEN_MARGIN, life / 2)
        except RequestError as error:
            mine.error = error
            raise
        finally:
            mine.is_over = True
        return token


def _refused_key_of(outcome: Response | TransportFailure, request: str) -> RequestError | None:
    if isinstance(outcome, Response) and outcome.status in KEY_REFUSALS:
        return _refused_key(request, f"HTTP {outcome.status}", outcome)
    return None


def _read_token(response: Response, request: str) -> tuple[str, float]:
    try:
        body = read_json(response)
    except ValueError as error:
        raise _no_token(request, str(error), response) from None
    envelope: dict[str, Any] = body if isinstance(body, dict) else {}
    if errors := errors_in(envelope):
        raise _refused_key(request, f"HTTP 200 with {len(errors)} errors, codes {codes_of(errors)}", response)
    data: Any = envelope.get("data")
    data = data if isinstance(data, dict) else {}
    token = data.get("accessToken")
    if not isinstance(token, str) or not token.strip() or not (token.isascii() and token.isprintable()):
        raise _no_token(request, "JSON without data.accessToken", response)
    return token.strip(), _life_of(data.get("ttlSeconds"))


def _life_of(seconds: Any) -> float:  # noqa: ANN401  # any JSON
    try:
        life = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return TOKEN_LIFE
    return life if 0 < life <= TOKEN_LIFE * 24 else TOKEN_LIFE


def _no_token(request: str, problem: str, response: Response) -> RequestError:
    return MalformedAnswerError(
        "The API answered a request for an OAuth token without a token",
        request=request,
        response=problem,
        request_id=request_id(response.headers),
        hint="if it happens again, check that the connection's host is the API",
    )


def _refused_key(request: str, problem: str, response: Response) -> AuthenticationError:
    return AuthenticationError(
        "The API refuses the OAuth client key and secret",
        request=request,
        response=problem,
        request_id=request_id(response.headers),
        hint="check login (the key) and password (the secret) of the connection, or set `auth_type` to `basic`",
    )
