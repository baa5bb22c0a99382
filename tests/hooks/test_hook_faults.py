"""Every fault at every step of a reading, over HTTP: everything once, or the right error; how often it was asked, how long waited."""

from __future__ import annotations

import random

import pytest
from hooks.support import check_error, check_whole, hook_of, read

from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.emulator.faults import FAULTS
from airflow_provider_capillary.errors import (
    AuthenticationError,
    MalformedAnswerError,
    NotFoundError,
    ParametersRefusedError,
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
    ThrottledError,
    TransportError,
)

WORLD = {"events": 60, "seed": 5, "limit_cap": 20, "hang_seconds": 5, "drip_seconds": 0.02, "big_body_bytes": 200_000}
HARMLESS = ("errors_blank_item", "errors_null", "slow_drip")

FATAL = {
    "redirect_301": RequestRefusedError,
    "redirect_302": RequestRefusedError,
    "redirect_307": RequestRefusedError,
    "redirect_308": RequestRefusedError,
    "http_401": AuthenticationError,
    "http_403": PermissionDeniedError,
    "http_403_html": PermissionDeniedError,
    "http_404": NotFoundError,
    "http_498": AuthenticationError,
    "big_body": TransportError,
}
"""What no retry cures: asked once."""

PASSING = {
    **dict.fromkeys(["throttled_seconds", "throttled_date", "throttled_absurd", "throttled_absent"], ThrottledError),
    **dict.fromkeys(["http_461", "http_500", "http_502", "http_503", "http_504", "http_520", "http_521"], ServerError),
    **dict.fromkeys(
        ["html_200", "empty_200", "null", "no_data", "data_null", "data_not_a_list", "errors_beside_data"], MalformedAnswerError
    ),
    **dict.fromkeys(["created_201_errors", "invalid_utf8", "duplicate_keys", "huge_start_time", "huge_digits"], MalformedAnswerError),
    **dict.fromkeys(["cut_json", "nan", "truncated_gzip", "length_too_short"], MalformedAnswerError),
    **dict.fromkeys(["reset_before_headers", "reset_in_headers", "reset_in_body", "hang", "length_too_long"], TransportError),
}
"""What another try may cure, and the error that it is when it does not."""

UNANSWERED = ("reset_before_headers", "reset_in_headers", "reset_in_body", "hang", "length_too_long", "big_body")
"""No whole answer, so no request id to report."""


@pytest.fixture(autouse=True)
def _small_answers(monkeypatch):
    monkeypatch.setattr("airflow_provider_capillary.hooks.session.LARGEST_ANSWER", 100_000)


@pytest.fixture(scope="module")
def length():
    """How many requests the reading takes where nothing goes wrong; the steps of the table are numbers up to it."""
    with pytest.MonkeyPatch.context() as patch, Emulator(**WORLD) as api:
        check_whole(read(hook_of(patch, api, date_format="iso")), api)
        assert len(api.requests) >= 6
        return len(api.requests)


def step_numbers(length):
    return {"first request": 1, "calibration": 2, "first page": 3, "middle": (length + 3) // 2, "last page": length}


def run(monkeypatch, faults, read_timeout=5.0, **options):
    with Emulator(**{**WORLD, **options}, faults=faults) as api:
        end = read(hook_of(monkeypatch, api, read_timeout=read_timeout, date_format="iso"))
        return api, end


def test_every_fault_is_in_the_tables():
    assert {*HARMLESS, *FATAL, *PASSING, "http_400"} == set(FAULTS)


@pytest.mark.parametrize("step", step_numbers(10))
@pytest.mark.parametrize("fault", [*PASSING, *HARMLESS])
def test_one_fault_that_passes_costs_at_most_one_more_request(monkeypatch, clock, length, fault, step):
    if fault == "hang" and step != "middle":
        step = "first page"
    number = step_numbers(length)[step]
    api, end = run(monkeypatch, [f"{fault}@{number}"], read_timeout=0.4 if fault == "hang" else 5.0)
    check_whole(end, api)
    assert [seen.fault for seen in api.requests if seen.fault] == [fault]
    assert len(api.requests) == length + (fault not in HARMLESS)
    if fault not in HARMLESS:
        again = api.requests[number - 1 : number + 1]
        assert again[0].params == again[1].params, "a retry asks the same"


@pytest.mark.parametrize("step", step_numbers(10))
@pytest.mark.parametrize("fault", FATAL)
def test_what_no_retry_cures_is_asked_once(monkeypatch, clock, length, fault, step):
    number = step_numbers(length)[step]
    api, end = run(monkeypatch, [f"{fault}@{number}.."])
    check_error(end.error, FATAL[fault], request_id=fault not in UNANSWERED)
    assert not end.error.retryable
    assert len(api.requests) == number


@pytest.mark.parametrize("step", step_numbers(10))
def test_a_refused_question_is_never_asked_again(monkeypatch, clock, length, step):
    number = step_numbers(length)[step]
    api, end = run(monkeypatch, [f"http_400@{number}.."])
    assert end.error is not None
    assert not end.ids or step != "first request"
    asked = [tuple(seen.params.items()) for seen in api.requests[number - 1 :]]
    assert len(set(asked)) == len(asked), "each of the questions was another: a smaller limit, another format"
    assert clock.slept == []
    if step == "first request":
        check_error(end.error, ParametersRefusedError, answered="HTTP 400")
        assert [seen.params for seen in api.requests] == [{"limit": "1000"}, {}], "with the limit, and once without"


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_stays_ends_in_its_error_after_bounded_tries_and_waiting(monkeypatch, clock, fault):
    api, end = run(monkeypatch, [f"{fault}@4.."], read_timeout=0.1 if fault == "hang" else 5.0)
    check_error(end.error, PASSING[fault], request_id=fault not in UNANSWERED)
    assert end.error.retryable
    tries = len(api.requests) - 3
    assert tries == (5 if fault == "throttled_absurd" else 9)
    assert f"({tries} tries)" in end.error.problem
    assert 20 < sum(clock.slept) <= 300 + 60  # and what the budget of requests a minute may add


@pytest.mark.parametrize(
    ("fault", "low", "high"),
    [("throttled_seconds", 7.0, 7.5), ("throttled_date", 5.5, 8.5), ("throttled_absurd", 60.0, 60.5), ("throttled_absent", 0.25, 0.5)],
)
def test_retry_after_is_waited_for(monkeypatch, clock, fault, low, high):
    api, end = run(monkeypatch, [f"{fault}@3"], throttle_seconds=7)
    check_whole(end, api)
    assert low <= sum(clock.slept) <= high


@pytest.mark.parametrize("seed", range(100))
def test_a_server_that_fails_15_percent_of_its_requests_is_read_in_full(monkeypatch, clock, seed):
    chance = random.Random(seed)
    kinds = [
        *["http_500", "http_502", "http_503", "throttled_seconds", "throttled_absent", "reset_before_headers", "reset_in_headers"],
        *["reset_in_body", "cut_json", "truncated_gzip", "length_too_long"],
    ]

    def fault(number, _params, seed=seed):
        lot = random.Random(f"{seed}/{number}")
        return lot.choice(kinds) if lot.random() < 0.15 else None

    with Emulator(
        events=chance.randrange(0, 120),
        seed=seed,
        limit_cap=chance.choice([None, 20, 40]),
        over_limit=chance.choice(["clamp", "refuse"]),
        precision=chance.choice(["ms", "s"]),
        tie_share=0.02,
        burst_share=0.02,
        faults=fault,
    ) as api:
        check_whole(read(hook_of(monkeypatch, api, date_format=chance.choice(["auto", "iso"]))), api)


@pytest.mark.parametrize("fault", [*PASSING, "redirect_302", "http_404"])
def test_faults_of_the_token_fetch(monkeypatch, clock, fault):
    with Emulator(**WORLD, auth_type="oauth", token_faults=[f"{fault}@1"]) as api:
        end = read(hook_of(monkeypatch, api, read_timeout=0.4 if fault == "hang" else 5.0, date_format="iso"))
        fetches = [seen for seen in api.requests if "oauth" in seen.path]
    if fault in FATAL:
        check_error(end.error, FATAL[fault])
        assert len(api.requests) == 1
        assert "oauth" in end.error.asked
    else:
        check_whole(end, api)
        unchanged = fault in ("no_data", "data_null", "data_not_a_list", "errors_beside_data", "created_201_errors", "invalid_utf8")
        unchanged = unchanged or fault in ("duplicate_keys", "huge_start_time", "huge_digits", "cut_json", "nan")
        assert len(fetches) == (1 if unchanged else 2)  # a fault of event logs has nothing to change in a token
