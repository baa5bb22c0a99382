"""A long interval is asked for first of all; what its answer shows, and what it doesn't."""

from __future__ import annotations

from typing import Any

import pytest
from bench.fake_api import FakeApi

from reading.driving import drive, make_reader, truth

HOUR = 3_600_000
DAY = 24 * HOUR
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""
RECORDS = [{"id": f"r{index:04}", "startTime": BASE - 2 * DAY + index * 8 * DAY // 2_000 + 1_234} for index in range(2_000)]
"""Over eight days, so that some 250 lie in each."""

# The length of the interval, what the server does, which requests are the first three: with dates or without, and how many there may be.
FIRST: list[tuple[str, int, dict[str, Any], list[str], int]] = [
    ("the interval, a probe, the interval's end", DAY, {}, ["dates", "dates", "dates"], 8),
    ("a format that is refused", DAY, {"date_format": "datetime"}, ["dates", "dates", "none"], 12),
    ("a short interval", HOUR // 2, {}, ["none", "dates", "dates"], 5),
    ("a limit that is refused", DAY, {"over_limit": "refuse"}, ["dates", "none", "none"], 16),
    ("records from elsewhere", DAY, {"ignores": ("from_date", "to_date")}, ["dates", "none", "dates"], 20),
]


@pytest.mark.parametrize(("length", "server", "first", "most"), [row[1:] for row in FIRST], ids=[row[0] for row in FIRST])
def test_a_long_interval_is_asked_for_at_once(length: int, server: dict[str, Any], first: list[str], most: int) -> None:
    """An answer without dates is asked for where the interval's own shows no records that could be asked around."""
    world = FakeApi(RECORDS, **{"limit_cap": 100, "date_format": "iso"} | server)
    settings = {} if server.get("date_format") else {"date_format": "iso"}
    run = drive(make_reader(**settings), world, BASE, BASE + length)
    assert ["dates" if "from_date" in asked else "none" for asked in run.asked[:3]] == first
    assert len(run.asked) <= most
    if "ignores" in server:
        assert run.error is not None
    else:
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + length))


@pytest.mark.parametrize("over_span", ["clamp_from", "clamp_to", "empty"])
@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_an_answer_to_dates_that_are_ignored_does_not_show_how_long_a_window_may_be(order: str, over_span: str) -> None:
    """The API ignores epoch milliseconds, and cuts the windows of the dates that it reads to six hours without saying so."""
    sparse = [{"id": f"r{index:04}", "startTime": BASE + index * DAY // 300 + 1_234} for index in range(300)]
    options: dict[str, Any] = {"date_format": "iso", "unparsable_date": "ignore", "max_span": 6 * 3600, "over_span": over_span}
    world = FakeApi(sparse, order=order, **options)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))


@pytest.mark.parametrize("longest", [30 * HOUR, 2 * HOUR])
@pytest.mark.parametrize("date_format", ["auto", "iso"])
def test_an_api_without_records_may_refuse_long_windows(date_format: str, longest: int) -> None:
    """A shorter window, up to the interval's end, takes the place of the interval's."""
    run = drive(make_reader(date_format=date_format), FakeApi([], date_format="iso", max_span=longest // 1000), BASE, BASE + 9 * DAY)
    assert run.error is None
    assert run.ids == []


def test_an_answer_without_dates_shows_the_capacity_where_the_interval_holds_less() -> None:
    """All records of the interval lie within one second, and are fewer than the API gives at once."""
    tied = [{"id": f"t{index:02}", "startTime": BASE + 12 * HOUR + 7_654} for index in range(60)]
    others = [{"id": f"r{index:03}", "startTime": BASE + (2 + index) * DAY} for index in range(100)]
    world = FakeApi(tied + others, date_format="iso", limit_cap=100)
    run = drive(make_reader(date_format="iso"), world, BASE, BASE + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))


def test_a_format_that_is_refused_for_the_length_of_the_interval_is_tried_again() -> None:
    """The API reads epoch milliseconds alone, refuses windows beyond an hour, and ignores dates that it can't read."""
    inside = [{"id": f"r{index:03}", "startTime": BASE + index * DAY // 96 + 1_234} for index in range(96)]
    world = FakeApi(inside, date_format="epoch_ms", unparsable_date="ignore", max_span=3600, limit_cap=50)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))
