"""The pauses after failures in a row."""

from __future__ import annotations

import random

import pytest

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.api.retries import RetryPlan
from airflow_provider_capillary.errors import ServerError, ThrottledError


class Edge:
    """Jitter at one of its ends."""

    def __init__(self, end):
        self._end = end

    def uniform(self, low, high):
        return (low, high)[self._end]


# Each row: the first and the longest pause, and the pauses after 1, 2, 3, ... failures where jitter takes nothing from them.
PAUSES = [
    (0.5, 15.0, [0.5, 1, 2, 4, 8, 15, 15]),
    (60.0, 60.0, [60, 60]),
    (20.0, 15.0, [15, 15]),
    (1.0, 1e9, [1, 2, 4]),
]


@pytest.mark.parametrize(("first", "longest", "pauses"), PAUSES)
def test_a_pause_doubles_up_to_the_longest(first, longest, pauses):
    backoff = Backoff(first=first, longest=longest)
    assert [backoff.delay(failures, Edge(1)) for failures in range(1, len(pauses) + 1)] == pauses
    assert [backoff.delay(failures, Edge(0)) for failures in range(1, len(pauses) + 1)] == [pause / 2 for pause in pauses]
    assert backoff.delay(100_000, Edge(1)) <= longest


def test_jitter_lies_between_half_a_pause_and_all_of_it():
    drawn = [Backoff(first=8.0, longest=8.0).delay(1) for _ in range(200)]
    assert 4 <= min(drawn) < 5
    assert 7 < max(drawn) <= 8
    assert Backoff(first=8.0, longest=8.0).delay(1, random.Random(1)) == Backoff(first=8.0, longest=8.0).delay(1, random.Random(1))


# Each row: the error of a try, and the pauses of the plan after 1, 2, 3, ... of them.
PLANS = [
    (ServerError("x"), [0.5, 1, 2, 4, 8, 15, 15, 15]),
    (ThrottledError("x"), [0.5, 1, 2, 4, 8, 16, 32, 60]),
    (ThrottledError("x", retry_after=10.0), [10.25, 10.25, 10.25, 10.25, 10.25, 16, 32, 60]),
]


@pytest.mark.parametrize(("error", "pauses"), PLANS)
def test_the_retries_of_a_request_wait_by_it(error, pauses):
    assert [RetryPlan().delay(attempt, error, Edge(1)) for attempt in range(1, len(pauses) + 1)] == pauses
