"""Estimates against drawn APIs, whose truth is known: records, requests, and how many requests the sampling may take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from estimate.support import DAY, HOUR, LATENCY, START, make_world, run_sampling
from reading.driving import drive, make_reader

from airflow_provider_capillary.errors import CalibrationError, CapillaryError
from airflow_provider_capillary.estimate.cost import estimate
from airflow_provider_capillary.reading.sampling import MOST_REQUESTS, Sample, Samples

RECORDS_FACTOR = 1.2
"""By so much the estimate may differ from the truth, either way, where records lie uniformly or by the hours of the day."""
REQUESTS_FACTOR = 1.5
"""By so much the estimated requests may be more or less than those of a reading, beside those that every reading needs."""
BESIDE = 4

# Each row: how the records lie, how many, how many come at once, over how many days, and the order of answers.
DRAWN = [
    *(("uniform", count, page, 1, "newest") for count in (9, 700, 2_500, 20_000) for page in (100, 1_000)),
    *(("by hour", count, page, 1, "newest") for count in (9, 700, 2_500, 20_000) for page in (100, 1_000)),
    ("uniform", 60_000, 1_000, 1, "newest"),
    ("by hour", 60_000, 1_000, 1, "newest"),
    ("by hour", 20_000, 100, 30, "newest"),
    ("uniform", 20_000, 100, 365, "newest"),
    ("by hour", 60_000, 1_000, 365, "newest"),
    ("by hour", 20_000, 1_000, 1, "oldest"),
    ("by hour", 20_000, 100, 1, "shuffled"),
]


@pytest.mark.parametrize(("shape", "count", "page", "days", "order"), DRAWN)
def test_records_and_requests_are_near_the_truth(shape, count, page, days, order):
    world = make_world(shape, count, page=page, days=days, order=order)
    sent = []
    samples = run_sampling(world, START, START + days * DAY, sent=sent)
    assert len(sent) == len(samples.latencies) <= MOST_REQUESTS
    cost = estimate(samples, per_minute=60)
    assert count / RECORDS_FACTOR <= cost.records <= count * RECORDS_FACTOR
    assert cost.least <= count <= cost.most
    reading = drive(make_reader(), world, START, START + days * DAY)
    assert reading.error is None
    needed = len(reading.asked)
    assert needed / REQUESTS_FACTOR - BESIDE <= cost.requests <= needed * REQUESTS_FACTOR + BESIDE


# Each row: how many records come in bursts of five minutes, and how many come at once.
BURSTS = [(700, 100), (2_500, 100), (2_500, 1_000), (20_000, 100), (20_000, 1_000), (60_000, 1_000)]


@pytest.mark.parametrize(("count", "page"), BURSTS)
@pytest.mark.parametrize("order", ["newest", "shuffled"])
def test_of_bursts_the_range_holds_or_the_report_says_that_bursts_may_lie_between_the_windows(count, page, order):
    samples = run_sampling(make_world("bursts", count, page=page, order=order), START, START + DAY)
    assert len(samples.latencies) <= MOST_REQUESTS
    cost = estimate(samples, per_minute=60)
    assert cost.least <= count
    assert cost.most is None or count <= cost.most or samples.covered < 0.95


def test_where_most_windows_hold_bursts_the_estimate_is_called_rough():
    cost = estimate(run_sampling(make_world("bursts", 20_000, page=1_000), START, START + DAY), per_minute=60)
    assert cost.is_rough
    assert not estimate(run_sampling(make_world("by hour", 20_000, page=1_000), START, START + DAY), per_minute=60).is_rough


def test_windows_of_a_long_interval_lie_at_other_hours_and_all_over_it():
    samples = run_sampling(make_world("by hour", 20_000, page=100, days=60), START, START + 60 * DAY).samples
    middles = sorted((each.start + each.end) / 2 for each in samples)
    assert len({int(middle % DAY // (2 * HOUR)) for middle in middles}) >= 11
    assert [int((middle - START) // (5 * DAY)) for middle in middles] == list(range(12))


def test_few_records_are_counted_and_not_estimated():
    samples = run_sampling(make_world("uniform", 80, page=100), START, START + DAY)
    assert samples.is_counted
    assert samples.samples == [Sample(START, START + DAY, 80)]
    cost = estimate(samples, every=HOUR, per_minute=60)
    assert (cost.records, cost.least, cost.most, cost.runs) == (80, 80, 80, 24)


def test_an_api_without_records_costs_what_asking_costs():
    samples = run_sampling(make_world("uniform", 0, page=100), START + 5 * DAY, START + 6 * DAY)
    cost = estimate(samples, per_minute=60)
    assert (cost.records, cost.requests) == (0, 8)


def test_an_interval_without_records_at_its_start_is_estimated_with_that():
    """As after the API has dropped old event logs."""
    samples = run_sampling(make_world("uniform", 5_000, page=100, days=10), START - 30 * DAY, START + 10 * DAY)
    cost = estimate(samples, per_minute=60)
    assert cost.least <= 5_000 <= cost.most
    assert 5_000 / 2 < cost.records < 5_000 * 2


def test_an_api_that_refuses_long_windows_is_sampled_by_shorter_ones():
    samples = run_sampling(
        make_world("uniform", 5_000, page=100, days=10, max_span=2 * 3600.0, over_span="refuse"), START, START + 10 * DAY
    )
    cost = estimate(samples, per_minute=60)
    assert not samples.is_counted
    assert 5_000 / 1.5 < cost.records < 5_000 * 1.5


def test_only_the_named_events_count():
    world = make_world("uniform", 4_000, page=100)
    cost = estimate(run_sampling(world, START, START + DAY, event_name="Rare"), per_minute=60)
    rare = sum(record["eventName"] == "Rare" and START <= record["startTime"] < START + DAY for record in world.records)
    assert rare / 1.3 < cost.records < rare * 1.3


def test_named_answers_show_how_many_come_at_once():
    """Without dates, this API gives its newest five alone."""

    class FewWithoutDates:
        def __init__(self):
            self.whole = make_world("uniform", 4_000, page=100)

        def answer(self, params):
            return self.whole.answer(params if "from_date" in params else params | {"limit": "5"})

    assert run_sampling(FewWithoutDates(), START, START + DAY, event_name="Rare").capacity == 100


def test_an_api_that_ignores_dates_gives_no_estimate():
    with pytest.raises(CalibrationError):
        run_sampling(make_world("uniform", 5_000, page=100, ignores=("from_date", "to_date")), START, START + DAY)


def test_where_the_dates_take_all_requests_the_error_says_so():
    world = make_world("uniform", 5_000, page=100, date_format="datetime")
    sent = []
    with pytest.raises(CapillaryError, match=r"could not be found out in 20 requests.*run the command `check`"):
        run_sampling(Failing(world), START, START + DAY, sent=sent)
    assert len(sent) == MOST_REQUESTS


class Failing:
    """Answers one of eight requests."""

    def __init__(self, world):
        self._world = world
        self._asked = 0

    def answer(self, params):
        self._asked += 1
        return (503, {}) if self._asked % 8 else self._world.answer(params)


SAMPLES = Samples(
    start=START,
    end=START + 10 * DAY,
    samples=[Sample(START + day * DAY, START + day * DAY + HOUR, 100) for day in range(10)],
    capacity=1_000,
    latencies=[LATENCY] * 14,
    records=1_000,
    json_bytes=460_000,
    gzip_bytes=46_000,
)

# Each row: what differs from these samples or the connection, and what follows for the cost of runs of a day each.
COSTS = [
    ({}, {}, {"runs": 10, "records": 24_000, "requests": 13, "seconds": 13.0, "runs_at_once": 1}),
    ({}, {}, {"json_bytes": 1_104_000, "object_bytes": 110_400, "spool_bytes": 1_435_200}),
    ({}, {"per_minute": 600}, {"seconds": 13 * LATENCY, "runs_at_once": 3}),
    ({"capacity": 100}, {"every": None, "per_minute": 600}, {"requests": 332, "seconds": 33.2, "runs_at_once": 1}),  # side by side
    ({}, {"every": None}, {"runs": 1, "requests": 41, "json_bytes": 11_040_000}),
    ({}, {"every": 4 * DAY}, {"runs": 3, "requests": 19}),
    ({"capacity": 100}, {}, {"requests": 41}),
    ({"records": 0}, {}, {"json_bytes": None, "object_bytes": None, "spool_bytes": None}),
    ({"samples": [Sample(START, START + HOUR, 100, is_full=True)] * 3}, {}, {"most": None, "is_rough": True}),
    ({"samples": [Sample(START, START + HOUR, 100)]}, {}, {"least": 100, "most": None}),
]


@pytest.mark.parametrize(("differs", "options", "expected"), COSTS)
def test_the_cost_follows_from_the_samples(differs, options, expected):
    cost = estimate(replace(SAMPLES, **differs), **{"every": DAY, "per_minute": 60} | options)
    assert {name: getattr(cost, name) for name in expected} == pytest.approx(expected)
