"""The client's own budget: no minute holds more than it allows, requests come evenly, and a pause that the API asks for counts for all."""

from __future__ import annotations

import random

import pytest

from airflow_provider_capillary.api.budget import Budget, lanes_for


def sent_by(per_minute: int, seconds: float, *, eagerness: float = 0.0, holds: tuple[tuple[float, float], ...] = ()) -> list[float]:
    """When a client sends that asks for its turn at once, or late by up to ``eagerness`` seconds, with pauses that the API asks for."""
    budget, rng, now, sent, holds = Budget(per_minute), random.Random(per_minute), 1_000.0, [], list(holds)
    while now < 1_000.0 + seconds:
        while holds and now >= 1_000.0 + holds[0][0]:
            budget.hold(now, holds.pop(0)[1])
        wait = budget.take(now)
        if wait == 0.0:
            sent.append(now)
        now += max(wait, 1e-6) + rng.uniform(0.0, eagerness)
    return sent


# Each row: requests a minute, and the most seconds by which the client is late.
RATES = [(1, 0), (3, 0), (7, 0.5), (60, 0), (60, 2), (100, 0.1), (600, 0), (600, 0.2), (6000, 0.01)]


@pytest.mark.parametrize(("per_minute", "late"), RATES)
def test_no_minute_holds_more_requests_than_the_budget(per_minute: int, late: float) -> None:
    sent = sent_by(per_minute, 200, eagerness=late)
    assert len(sent) > per_minute
    for first, later in zip(sent, sent[per_minute:], strict=False):
        assert later - first >= 60 - 1e-6


# Each row: requests a minute, the share of them that a client that is always ready sends, and how many come at once at first.
USED = [(1, 0.99, 1), (12, 0.9, 1), (60, 0.92, 5), (100, 0.95, 5), (600, 0.98, 12), (6000, 0.98, 120)]


@pytest.mark.parametrize(("per_minute", "share", "burst"), USED)
def test_the_budget_is_used_and_does_not_come_at_once(per_minute: int, share: float, burst: int) -> None:
    sent = sent_by(per_minute, 600)
    assert share * per_minute * 10 <= len(sent) <= per_minute * 10
    assert sum(at < sent[0] + 0.5 * 60 / per_minute for at in sent) == burst


def test_sixty_a_minute_come_one_a_second() -> None:
    """After the first five."""
    gaps = [later - first for first, later in zip(sent_by(60, 60), sent_by(60, 60)[1:], strict=False)][5:]
    assert len(gaps) > 40
    assert all(gap == pytest.approx(60 / 56, abs=1e-3) for gap in gaps)


def test_a_pause_holds_every_request_back_and_is_followed_by_no_burst() -> None:
    sent = sent_by(600, 60, holds=((10.0, 20.0),))
    assert not [at for at in sent if 1_010.01 < at < 1_030.0]
    after = [at for at in sent if at >= 1_030.0]
    assert after[0] == pytest.approx(1_030.0, abs=0.11)
    assert sum(at < 1_031.0 for at in after) <= 11


# Each row: requests a minute, seconds from a request to its answer, and how many to have under way.
LANES = [
    (60, 0.0, 1),
    (60, 0.3, 1),
    (60, 2.0, 3),
    (600, 0.05, 1),
    (600, 0.3, 5),
    (600, 1.0, 15),
    (600, 3.0, 16),
    (100, 0.3, 1),
    (10**9, 0.0, 1),
    (10**9, 0.019, 1),
    (10**9, 0.02, 16),
]


@pytest.mark.parametrize(("per_minute", "latency", "lanes"), LANES)
def test_as_many_lanes_as_the_budget_can_use(per_minute: int, latency: float, lanes: int) -> None:
    assert lanes_for(per_minute, latency) == lanes
