"""Windows that are asked for ahead: what they prove, how much of the budget a reading uses, and what it costs."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.api.effects import Response
from airflow_provider_capillary.errors import ThrottledError
from airflow_provider_capillary.reading.lanes import Lanes
from airflow_provider_capillary.reading.ledger import Ledger
from reading.drawing import BY_HOUR
from reading.driving import drive, make_reader, truth

HOUR = 3_600_000
DAY = 24 * HOUR
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""


def at_random(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{"id": f"r{index:05}", "startTime": BASE + rng.randrange(DAY), "responseTime": 0} for index in range(count)]


def read(records: list[dict[str, Any]], *, per_minute: int, lanes: int | None = None, latency: float = 0.3, **options: Any) -> Any:
    world = FakeApi(records, **{"date_format": "iso", "limit_cap": 100} | options.pop("server", {}))
    reader = make_reader(date_format="iso", per_minute=per_minute, lanes=lanes)
    run = drive(reader, world, BASE, BASE + DAY, per_minute=per_minute, latency=latency, rng=random.Random(1), **options)
    run.whole = sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))
    return run


def test_an_answer_confirms_no_span_that_was_added_after_it_was_asked_for() -> None:
    """The API may have come to give less between the two."""
    ledger = Ledger(0, 100)
    (part,) = ledger.parts
    ledger.add(part, 60, count=7, capacity=10)
    asked_after = ledger.added
    ledger.add(part, 30, count=5, capacity=10)
    ledger.confirm(9, asked_after=0)
    assert part.proved_from == 100
    ledger.confirm(9, asked_after=asked_after)
    assert part.proved_from == 60
    ledger.confirm(9, asked_after=ledger.added)
    assert part.proved_from == 30


# Each row: requests a minute, the lanes (as the latency asks for, or one), and the least and the most share of the budget that is used.
SHARES = [(600, None, 0.9, 1.0), (600, 1, 0.3, 0.36), (60, None, 0.9, 1.05)]


@pytest.mark.parametrize(("per_minute", "lanes", "least", "most"), SHARES)
def test_how_much_of_the_budget_a_reading_uses(per_minute: int, lanes: int | None, least: float, most: float) -> None:
    """At 300 ms an answer, with a clock that only waiting moves."""
    run = read(at_random(30_000 if per_minute == 600 else 4_000), per_minute=per_minute, lanes=lanes)
    assert run.error is None
    assert run.whole
    assert least <= len(run.sent) / (per_minute / 60 * run.took) <= most
    for first, later in zip(run.sent, run.sent[per_minute:], strict=False):
        assert later - first >= 60 - 1e-6


def test_sixty_a_minute_open_no_second_lane_and_do_not_burst() -> None:
    run = read(at_random(4_000), per_minute=60)
    assert run.whole
    assert sum(at < run.sent[0] + 10 for at in run.sent) <= 15


def by_the_hour(count: int) -> list[dict[str, Any]]:
    """As people are awake: the density changes each hour."""
    rng = random.Random(1)
    hours = rng.choices(range(24), BY_HOUR, k=count)
    return [
        {"id": f"r{index:05}", "startTime": BASE + hour * HOUR + rng.randrange(HOUR), "responseTime": 0} for index, hour in enumerate(hours)
    ]


# Each row: the records, in answers of a hundred at most; the most requests for each answer that a reading needs, and for all; the least
# share of the budget that is used, where it is long enough for lanes.
COSTS = [
    (at_random(2_000), 1.35, 8, 0),
    (at_random(20_000), 1.35, 8, 0.85),
    (at_random(60_000), 1.35, 8, 0.95),
    (by_the_hour(20_000), 1.4, 8, 0.85),
    (by_the_hour(40_000), 1.38, 8, 0.9),
]


@pytest.mark.parametrize(("records", "factor", "more", "share"), COSTS, ids=lambda value: len(value) if isinstance(value, list) else value)
def test_lanes_cost_few_requests_and_a_short_reading_none(records: list[dict[str, Any]], factor: float, more: int, share: float) -> None:
    """However the density changes, the budget sets the pace."""
    run = read(records, per_minute=600)
    assert run.whole
    assert len(run.asked) <= factor * math.ceil(len(records) / 100) + more
    assert len(run.sent) / (10 * run.took) >= share
    if not share:
        assert len(run.asked) == len(read(records, per_minute=600, lanes=1).asked)


# Each row: what the server does, beside giving a hundred at once.
SERVERS: list[dict[str, Any]] = [
    {"order": "oldest"},
    {"order": "shuffled", "cut": "sample_random"},
    {"limit_cap_later": (30, 60)},
    {"limit_cap_later": (41, 60)},
    {"limit_cap_later": (31, 50), "over_limit": "refuse", "limit_cap": 1000},
    {"filter_by": "write_time", "write_lag": (0, 299_000)},
    {"precision": "minute"},
    {"max_span": 3_600},
]


@pytest.mark.parametrize("server", SERVERS, ids=str)
@pytest.mark.parametrize("lanes", [2, 16])
def test_a_day_is_read_whole_side_by_side(server: dict[str, Any], lanes: int) -> None:
    with patch.multiple(Lanes, worth_it=0, least_left=1):
        run = read(at_random(3_000), per_minute=10**9, lanes=lanes, server=server)
    assert run.error is None
    assert run.whole


@pytest.mark.parametrize("number", range(40, 80, 3))
@pytest.mark.parametrize("order", ["newest", "shuffled"])
def test_a_cap_that_falls_while_parts_are_under_way_loses_nothing(number: int, order: str) -> None:
    """It is found out between the request for a span of one part and its answer, and spans behind that one are read again."""
    with patch.multiple(Lanes, worth_it=0, least_left=1), patch("airflow_provider_capillary.reading.reader.MOST_UNCONFIRMED", 200):
        run = read(at_random(4_000), per_minute=10**9, lanes=5, server={"limit_cap_later": (number, 60), "order": order})
    assert run.error is None
    assert run.whole


@pytest.mark.parametrize("number", [*range(20, 30), *range(88, 95)])
def test_a_cap_that_rises_while_parts_are_under_way_loses_nothing(number: int) -> None:
    """An answer as long as the cap was is full, though another part has shown meanwhile that the API gives more."""
    times = [BASE + index // 30 * 700_000 + random.Random(index).randrange(60_000) for index in range(3_600)]
    records = [{"id": f"b{index:04}", "startTime": time, "responseTime": 0} for index, time in enumerate(times)]
    with patch.multiple(Lanes, worth_it=0, least_left=1):
        run = read(records, per_minute=10**9, lanes=8, server={"limit_cap": 20, "limit_cap_later": (number, 100)})
    assert run.error is None
    assert run.whole


def test_a_throttled_request_holds_all_of_them_back() -> None:
    """As long as the API asks for, once, whichever lane it was that was throttled."""
    times: list[float] = []

    def fault(number: int) -> Response | None:
        return Response(status=429, headers={"retry-after": "20"}, body=b"") if number == 100 else None

    run = read(at_random(20_000), per_minute=600, fault=fault)
    assert run.whole
    times = sorted(run.sent)
    (pause,) = [later - first for first, later in pairwise(times) if later - first > 5]
    assert 19.5 <= pause <= 21


def test_an_api_that_throttles_for_ever_is_given_up_on() -> None:
    """With the error of one request, in the time of one."""

    def fault(number: int) -> Response | None:
        return Response(status=429, headers={}, body=b"") if number >= 100 else None

    run = read(at_random(20_000), per_minute=600, fault=fault)
    assert isinstance(run.error, ThrottledError)
    assert run.took < 400
