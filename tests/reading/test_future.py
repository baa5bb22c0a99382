"""What an API makes of a ``to_date`` after its own clock, and of a request without dates. Nothing documents either."""

from __future__ import annotations

import random
from typing import Any

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.errors import CalibrationError, CompletenessError
from reading.driving import drive, make_reader, truth

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_758_171_830_945
"""2025-09-18T05:03:50.945Z, by the clock of the API."""


def up_to(last: int, count: int, *, over: int) -> list[dict[str, Any]]:
    return [{"id": f"r{index:04}", "startTime": last - index * over // count, "eventName": "e"} for index in range(count)]


# What the API makes of a window that ends in the future, and how finely it reads dates.
FUTURES = [(future, precision) for future in ("read", "refuse", "empty", "present") for precision in ("ms", "s", "minute")]


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize(("future", "precision"), FUTURES)
def test_what_is_read_up_to_the_present_is_whole(future: str, precision: str, order: str) -> None:
    """As a poll does: the last hour, and five minutes of the future. Up to the unit in which the API reads dates."""
    options = {"date_format": "iso", "present": NOW, "future": future, "precision": precision, "order": order, "limit_cap": 50}
    for count, over in ((2_000, 5 * HOUR), (40, 5 * HOUR), (40, 5 * DAY)):
        world = FakeApi(up_to(NOW - 61_000, count, over=over), **options)
        reader = make_reader()
        for start in (NOW - HOUR, NOW - 2 * HOUR):
            run = drive(reader, world, start, NOW + 5 * MINUTE)
            assert run.error is None
            assert sorted(run.ids) == sorted(truth(world, start, NOW)), (count, over)


def test_it_is_found_out_once_what_an_api_makes_of_the_future() -> None:
    """Later polls ask for no more than before."""
    reader = make_reader(date_format="iso")
    world = FakeApi(up_to(NOW - 61_000, 40, over=5 * HOUR), date_format="iso", present=NOW)
    drive(reader, world, NOW - HOUR, NOW + 5 * MINUTE)
    past, now = (drive(reader, world, end - HOUR, end).asked for end in (NOW - HOUR, NOW + 5 * MINUTE))
    assert len(now) == len(past)


@pytest.mark.parametrize("future", ["refuse", "empty"])
def test_an_interval_of_the_future_holds_nothing_yet(future: str) -> None:
    """And is no error."""
    world = FakeApi(up_to(NOW - 61_000, 40, over=5 * HOUR), date_format="iso", present=NOW, future=future)
    run = drive(make_reader(date_format="iso"), world, NOW + HOUR, NOW + 2 * HOUR)
    assert (run.error, run.ids) == (None, [])


def test_dates_by_the_hour_and_a_future_without_answers_are_an_error() -> None:
    """What is read has to reach a day beyond the interval, for the zone of such dates does not show. There, each answer is empty."""
    world = FakeApi(
        up_to(NOW - HOUR, 200, over=9 * DAY),
        date_format="iso",
        precision="hour",
        from_bound="exclusive",
        to_bound="exclusive",
        present=NOW,
        future="empty",
    )
    run = drive(make_reader(date_format="iso"), world, NOW - DAY - NOW % HOUR, NOW - NOW % HOUR)
    assert isinstance(run.error, CalibrationError)
    assert "`settle`" in str(run.error)
    assert run.ids == []
    old = drive(make_reader(date_format="iso"), world, NOW - 4 * DAY - NOW % HOUR, NOW - 3 * DAY - NOW % HOUR)
    assert old.error is None
    assert sorted(old.ids) == sorted(truth(world, NOW - 4 * DAY - NOW % HOUR, NOW - 3 * DAY - NOW % HOUR))


@pytest.mark.parametrize("kept", ["clamp_from", "clamp_to"])
@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_a_future_that_is_read_as_the_present_does_not_hide_that_windows_are_cut(order: str, kept: str) -> None:
    """To three days, without saying so. A window that ends in the future seems to be longer than it is."""
    options = {"present": NOW, "future": "present", "max_span": 3 * 86_400.0, "over_span": kept, "order": order, "limit_cap": 100}
    start = NOW - 31 * DAY
    records = up_to(NOW - HOUR, 40, over=31 * DAY)
    for days in (6, 31):
        world = FakeApi(records, date_format="iso", undated_days=days, **options)
        run = drive(make_reader(date_format="iso"), world, start, start + 28 * DAY)
        if days == 6:
            assert run.error is None
        # Else an answer without dates seems to be as long as answers can be. It shows what those with dates lack.
        assert run.error is not None or sorted(run.ids) == sorted(truth(world, start, start + 28 * DAY))


def test_how_long_windows_may_be_is_not_taken_on_trust_from_full_answers() -> None:
    """What is older than the records of an answer without dates may be anything, and windows are cut to a week without saying so."""
    options = {"present": NOW, "future": "present", "max_span": 7 * 86_400.0, "over_span": "clamp_from", "limit_cap": 20}
    few = [{"id": f"f{index}", "startTime": NOW - (11 + 5 * index) * DAY} for index in range(6)]
    world = FakeApi(up_to(NOW - HOUR, 60, over=6 * DAY) + few, date_format="iso", **options)
    run = drive(make_reader(date_format="iso"), world, NOW - 45 * DAY, NOW - 8 * DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, NOW - 45 * DAY, NOW - 8 * DAY))


@pytest.mark.parametrize("unparsable", ["refuse", "ignore", "empty"])
@pytest.mark.parametrize(
    ("reads", "precision"), [("iso", "ms"), ("datetime", "s"), ("epoch_ms", "minute"), ("iso_z", "hour"), ("date", "day")]
)
def test_records_that_show_with_dates_only_are_found(reads: str, precision: str, unparsable: str) -> None:
    """Without dates, the API looks through its last week."""
    options = {"date_format": reads, "precision": precision, "unparsable_date": unparsable, "present": NOW, "undated_days": 7}
    world = FakeApi(up_to(NOW - 20 * DAY, 40, over=5 * DAY), **options)
    start = NOW - 22 * DAY
    run = drive(make_reader(), world, start, start + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, start, start + DAY))
    assert run.ids


def test_records_of_one_day_that_show_with_dates_only_are_found() -> None:
    """Where the API reads dates to the day and leaves out both, an hour's window holds none."""
    options = {"date_format": "iso", "precision": "day", "from_bound": "exclusive", "to_bound": "exclusive"}
    world = FakeApi(up_to(NOW - 20 * DAY, 9, over=HOUR), present=NOW, undated_days=7, **options)
    run = drive(make_reader(), world, NOW - 20 * DAY - HOUR, NOW - 20 * DAY + HOUR)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, NOW - 20 * DAY - HOUR, NOW - 20 * DAY + HOUR))
    assert run.ids


@pytest.mark.parametrize("future", ["read", "refuse", "empty", "present"])
def test_where_all_known_records_are_of_this_minute_the_windows_around_them_end_in_it(future: str) -> None:
    """A window around one of them, to show how the API reads dates, would end in the future otherwise."""
    world = FakeApi(up_to(NOW - 1_500, 4_500, over=10 * MINUTE), date_format="iso", present=NOW, future=future, limit_cap=300)
    run = drive(make_reader(date_format="iso"), world, NOW - 2 * MINUTE, NOW)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, NOW - 2 * MINUTE, NOW))


@pytest.mark.parametrize("future", ["read", "refuse", "empty", "present"])
def test_a_lag_that_shows_near_the_present_is_not_followed_into_the_future(future: str) -> None:
    """The reading reaches farther beyond its end then, and that may be the future. Windows that end there are answered as they are."""
    for seed in range(30):
        rng = random.Random(seed)
        lags = {f"r{index}": rng.randrange(33 * MINUTE) if rng.random() < 0.3 else 20 for index in range(160)}
        records = [
            {"id": name, "startTime": NOW - 45 * MINUTE - rng.randrange(6 * HOUR), "responseTime": lag} for name, lag in lags.items()
        ]
        records = [record for record in records if record["startTime"] + record["responseTime"] < NOW]
        world = FakeApi(records, date_format="iso", present=NOW, future=future, filter_by="write_time", limit_cap=50)
        run = drive(make_reader(date_format="iso"), world, NOW - 5 * HOUR, NOW - 20 * MINUTE)
        if run.error is None:
            assert sorted(run.ids) == sorted(truth(world, NOW - 5 * HOUR, NOW - 20 * MINUTE))
        else:
            assert isinstance(run.error, CompletenessError)
