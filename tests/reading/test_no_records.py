"""An API that holds no record has no date that could be misread, and is asked with dates all the same."""

from __future__ import annotations

import pytest
from bench.fake_api import FakeApi

from reading.driving import drive, make_reader

HOUR = 3_600_000
DAY = 24 * HOUR
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""


@pytest.mark.parametrize("longest", [30 * HOUR, 2 * HOUR])
@pytest.mark.parametrize("date_format", ["auto", "iso"])
def test_an_api_without_records_may_refuse_long_windows(date_format: str, longest: int) -> None:
    """A shorter window, up to the interval's end, takes the place of the interval's."""
    run = drive(make_reader(date_format=date_format), FakeApi([], date_format="iso", max_span=longest // 1000), BASE, BASE + 9 * DAY)
    assert run.error is None
    assert run.ids == []


@pytest.mark.parametrize("unparsable_date", ["empty", "refuse"])
def test_a_format_that_is_refused_for_the_length_of_windows_is_tried_with_shorter_ones(unparsable_date: str) -> None:
    """Though another format is answered, with nothing, because the API can't read it. Records are found then, or it is an error."""
    records = [{"id": f"r{index}", "startTime": BASE + index * HOUR, "responseTime": 20} for index in range(48)]
    options = {"unparsable_date": unparsable_date, "max_span": 50 * 3600, "undated_days": 2, "present": BASE + 30 * DAY}
    world = FakeApi(records, date_format="iso", limit_cap=100, **options)
    run = drive(make_reader(date_format="auto"), world, BASE, BASE + 3 * DAY)
    assert run.seen
    assert run.error is not None or len(run.ids) == 48


@pytest.mark.parametrize("future", ["read", "refuse", "empty", "present"])
@pytest.mark.parametrize("date_format", ["auto", "iso"])
def test_a_poll_of_an_api_without_records_is_no_error(date_format: str, future: str) -> None:
    """As of a new organisation. A poll ends five minutes after the present."""
    world = FakeApi([], date_format="iso", present=BASE, future=future)
    run = drive(make_reader(date_format=date_format), world, BASE - HOUR, BASE + HOUR // 12)
    assert run.error is None
    assert run.ids == []
