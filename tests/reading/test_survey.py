"""What a survey finds out, against servers whose settings are known: a table, and drawn servers of which nothing false may be said."""

from __future__ import annotations

import random

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.api.executor import RequestExecutor
from airflow_provider_capillary.reading.client import EventLogsClient
from airflow_provider_capillary.reading.survey import IGNORED, MOST_REQUESTS, PLAN, READ, REFUSED, START_TIME, WRITE_TIME, survey
from reading.driving import BASIC, Loop, drive, make_reader, reply, truth

DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
T0 = 1_758_153_600_000  # 2025-09-18T00:00:00Z


def surveyed(world, **settings):
    """The findings, and how many requests they took."""
    executor = RequestExecutor(credential=BASIC, per_minute=10**9, rng=random.Random(0))
    flow = survey(EventLogsClient(executor, limit=settings.pop("page_size", 1000)), **settings)
    return Loop(lambda params: reply(*world.answer(params))).run(flow), world.request_count


def records(count=1500, *, days=3, took=400, whole=0.02, longest=20, seed=1):
    """Event logs over some days; each takes up to ``took`` ms, one of them ``longest`` times that, and some bear a whole minute."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        start = T0 + rng.randrange(days * DAY)
        start -= start % MINUTE if rng.random() < whole else 0
        made.append({"id": f"i{number}", "startTime": start, "responseTime": rng.randrange(1, took), "status": "EVENT_SUCCESS"})
    made[count // 2]["responseTime"] = longest * took
    return made


def test_throttling_is_waited_for_and_counted():
    """An API that allows eight requests a minute names the pause; nothing less is found out, and the pauses are in the report."""
    loop = Loop(lambda params: reply(*world.answer(params)))
    world = FakeApi(records(), rate_limit=8, clock=lambda: loop.now)
    executor = RequestExecutor(credential=BASIC, per_minute=10**9, rng=random.Random(0), plan=PLAN)
    findings = loop.run(survey(EventLogsClient(executor, limit=1000)))
    assert findings.error is None
    assert findings.filter_by == START_TIME
    assert findings.from_inclusive is not None
    assert executor.stats.retries["ThrottledError"] > 0
    assert loop.slept > 0


TABLE = {
    # what the server does, and what has to be found out of it
    "as published": ({}, {"order": "newest first by startTime", "timezone": "UTC", "filter_by": START_TIME, "is_cut": False}),
    "a cap": ({"limit_cap": 100}, {"capacity": 100, "is_cut": True}),
    "a cap that is refused": ({"limit_cap": 300, "over_limit": "refuse"}, {"limit": 200, "capacity": 200, "is_cut": True}),
    "oldest first": ({"order": "oldest", "limit_cap": 100}, {"order": "oldest first by startTime"}),
    "no order": ({"order": "shuffled"}, {"order": "none that startTime or responseTime explain"}),
    "by the time of writing": (
        {"filter_by": "write_time", "order_by": "write_time"},
        {"filter_by": WRITE_TIME, "order": "newest first by the end of processing"},
    ),
    "exclusive": ({"from_bound": "exclusive", "to_bound": "exclusive"}, {"from_inclusive": False, "to_inclusive": False}),
    "half open": ({"to_bound": "exclusive"}, {"from_inclusive": True, "to_inclusive": False}),
    "to the minute": ({"precision": "minute"}, {"filter_by": START_TIME, "from_inclusive": True, "to_inclusive": True}),
    "two formats": (
        {"date_format": ("iso_z", "epoch_ms")},
        {"formats": {"epoch_ms": READ, "iso_z": READ, "iso": REFUSED, "datetime": REFUSED, "date": REFUSED}},
    ),
    "formats that are ignored": (
        {"date_format": "datetime", "unparsable_date": "ignore", "limit_cap": 100},
        {"formats": {"datetime": READ, "iso": IGNORED, "iso_z": IGNORED, "epoch_ms": IGNORED, "date": IGNORED}},
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_found_out(name):
    options, expected = TABLE[name]
    findings, requests = surveyed(FakeApi(records(), **options))
    assert findings.error is None
    assert {key: getattr(findings, key) for key in expected} == expected
    assert requests <= MOST_REQUESTS


# Each row: how finely a server reads dates, what has to be found out of it, and which of these times may be named. No record takes longer
# than 0.4 s.
PRECISIONS = {
    "to the millisecond": ({}, 1000, {START_TIME}),
    "to the second": ({"precision": "s"}, 1000, {START_TIME}),
    "to the minute": ({"precision": "minute"}, MINUTE, {START_TIME, None}),
    "to the minute, by the time of writing": ({"precision": "minute", "filter_by": "write_time"}, MINUTE, {WRITE_TIME, None}),
    "to the minute, exclusive": ({"precision": "minute", "from_bound": "exclusive", "to_bound": "exclusive"}, MINUTE, {START_TIME, None}),
    "to the hour": ({"precision": "hour"}, HOUR, {None}),
    "by the time of writing": ({"filter_by": "write_time"}, 1000, {WRITE_TIME}),
}


@pytest.mark.parametrize("name", PRECISIONS)
def test_how_finely_dates_are_read_and_with_what_they_are_compared(name):
    options, step, filter_by = PRECISIONS[name]
    findings, requests = surveyed(FakeApi(records(longest=1), limit_cap=100, **options))
    assert (findings.error, findings.bounds.step) == (None, step)
    assert findings.filter_by in filter_by
    assert requests <= MOST_REQUESTS


def test_a_wrong_zone_is_told_and_the_right_one_is_used():
    findings, requests = surveyed(FakeApi(records(), timezone="Asia/Kolkata", limit_cap=100), timezone="UTC")
    assert (findings.timezone, findings.bounds.dates.name) == ("+05:30", "iso")
    assert findings.formats["iso"] == READ
    assert requests <= MOST_REQUESTS


def test_an_api_without_records_and_one_that_refuses():
    empty, requests = surveyed(FakeApi([]))
    assert (empty.error, empty.newest, empty.bounds, requests) == (None, None, None, 1)

    class Refusing(FakeApi):
        def answer(self, params):
            super().answer(params)
            return 401, {}

    refused, requests = surveyed(Refusing(records()))
    assert type(refused.error).__name__ == "AuthenticationError"
    assert requests == 1


def test_dates_that_nothing_reads():
    findings, requests = surveyed(FakeApi(records(), date_format="%d/%m/%Y %H:%M", limit_cap=100))
    assert findings.bounds is None
    assert type(findings.error).__name__ in ("CalibrationError", "ParametersRefusedError")
    assert requests <= MOST_REQUESTS


def drawn(seed):
    rng = random.Random(seed)
    options = {
        "date_format": tuple(rng.sample(["iso", "iso_z", "datetime", "epoch_ms"], rng.randrange(1, 4))),
        "unparsable_date": rng.choice(["refuse", "ignore", "empty"]),
        "precision": rng.choice(["ms", "ms", "s", "minute"]),
        "coarse_bound": rng.choice(["unit", "instant"]),
        "from_bound": rng.choice(["inclusive", "exclusive"]),
        "to_bound": rng.choice(["inclusive", "exclusive"]),
        "filter_by": rng.choice(["start_time", "write_time"]),
        "order": rng.choice(["newest", "oldest", "shuffled", "unsorted"]),
        "order_by": rng.choice(["start_time", "write_time"]),
        "limit_cap": rng.choice([None, 50, 100, 500]),
        "over_limit": rng.choice(["clamp", "refuse"]),
        "timezone": rng.choice(["UTC", "UTC", "Asia/Kolkata", "+02:00"]),
    }
    took = rng.choice([50, 500, 5000])
    return FakeApi(records(rng.randrange(200, 2000), took=took, seed=seed), seed=seed, **options), options


def wrong_claims(findings, options):
    """The findings that are not so."""
    truths = {
        "from_inclusive": {None, options["from_bound"] == "inclusive"},
        "to_inclusive": {None, options["to_bound"] == "inclusive"},
        "filter_by": {None, START_TIME if options["filter_by"] == "start_time" else WRITE_TIME},
        "timezone": {None, options["timezone"], {"Asia/Kolkata": "+05:30"}.get(options["timezone"])},
    }
    wrong = [(name, getattr(findings, name)) for name, values in truths.items() if getattr(findings, name) not in values]
    cap = options["limit_cap"]
    if findings.is_cut and cap is not None and not (findings.capacity <= cap):
        wrong.append(("capacity", findings.capacity))
    if findings.bounds is not None and findings.bounds.step < {"minute": MINUTE}.get(options["precision"], 1):
        wrong.append(("precision", findings.bounds.step))
    wrong += [(name, said) for name, said in findings.formats.items() if said == READ and name not in options["date_format"]]
    return wrong


def test_nothing_false_is_said_of_drawn_servers_and_the_extras_make_exports_succeed():
    ended = {"good": 0, "whole": 0}
    for seed in range(60):
        world, options = drawn(seed)
        findings, requests = surveyed(world, timezone="UTC")
        assert requests <= MOST_REQUESTS, (seed, options)
        assert wrong_claims(findings, options) == [], (seed, options)
        if findings.bounds is None:
            continue
        ended["good"] += 1
        extras = {"date_format": findings.bounds.dates.name, "timezone": findings.timezone or "UTC", "page_size": findings.capacity}
        run = drive(make_reader(**extras), world, T0 + DAY, T0 + 2 * DAY)
        if run.error is None:
            assert sorted(run.ids) == sorted(truth(world, T0 + DAY, T0 + 2 * DAY)), (seed, options)
            ended["whole"] += 1
    assert ended["good"] >= 55, ended
    assert ended["whole"] >= 0.95 * ended["good"], ended
