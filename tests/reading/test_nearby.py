"""An API whose clocks change with the season, and a connection whose ``timezone`` says otherwise: right where the dates were calibrated."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE
from airflow_provider_capillary.errors import CapillaryError, CompletenessError
from airflow_provider_capillary.reading.capacity import ZoneShown
from reading.driving import Run, drive, make_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

WINTER, SUMMER = (int(datetime(2025, month, 10, tzinfo=UTC).timestamp() * 1000) for month in (1, 7))
NEXT_WINTER, NEXT_SUMMER = (int(datetime(year, month, 10, tzinfo=UTC).timestamp() * 1000) for year, month in ((2025, 12), (2026, 7)))

# The API's zone, the connection's, the day that is read, and a day of the other season, of which the newest records are. There the two
# zones agree; on the day they are an hour apart, one way or the other.
MISREAD = [
    ("Europe/London", "UTC", SUMMER, NEXT_WINTER),
    ("Europe/London", "+01:00", WINTER, NEXT_SUMMER),
    ("UTC", "Europe/London", SUMMER, NEXT_WINTER),
    ("America/New_York", "-05:00", SUMMER, NEXT_WINTER),
    ("Australia/Lord_Howe", "+11:00", SUMMER, NEXT_WINTER),
]
BUSY = 800
"""Records around the newest one, so that calibration finds one alone in its minute, and others beside it."""


def around(rng: random.Random, day: int, count: int) -> list[int]:
    """Times from two days before a day to two days after it; so many of them on a day."""
    return [day - 2 * DAY + rng.randrange(5 * DAY) for _ in range(5 * count)]


def world_of(times: list[int], *, zone: str, seed: int = 0, date_format: str = "iso") -> FakeApi:
    rng = random.Random(seed)
    records = [{"id": f"{rng.getrandbits(64):016x}", "startTime": at, "responseTime": rng.randrange(13, 505)} for at in times]
    return FakeApi(records, limit_cap=100, date_format=date_format, timezone=zone)


def wanted(world: FakeApi, day: int) -> list[str]:
    return sorted(record["id"] for record in world.records if day <= record["startTime"] < day + DAY)


@pytest.mark.parametrize("count", [1, 3, 30, 300])
@pytest.mark.parametrize(("api", "connection", "day", "newest"), MISREAD)
def test_an_hour_is_never_lost_in_silence(api: str, connection: str, day: int, newest: int, count: int) -> None:
    refused = 0
    for seed in range(20):
        rng = random.Random(f"{api} {count} {seed}")
        world = world_of(around(rng, day, count) + around(rng, newest, BUSY), zone=api, seed=seed)
        run = drive(make_reader(date_format="iso", timezone=connection), world, day, day + DAY)
        if run.error is None:
            assert sorted(run.ids) == wanted(world, day)
        else:
            assert isinstance(run.error, CompletenessError)
            refused += "timezone" in str(run.error)
    # Where few records show it, the error names the extra; of one record on a day, there is none on some days. Where many do, it may seem
    # that the filter compares a time up to an hour later, and the reading reaches as far beyond the interval.
    assert refused >= {1: 10, 3: 18}.get(count, 0)


@pytest.mark.parametrize("count", [0, 1, 3, 30, 300])
@pytest.mark.parametrize("zone", ["Europe/London", "UTC", "Asia/Kolkata"])
def test_the_right_zone_is_read_whole_in_any_season(zone: str, count: int) -> None:
    for seed in range(5):
        rng = random.Random(f"{zone} {count} {seed}")
        world = world_of(around(rng, SUMMER, count) + around(rng, NEXT_WINTER, BUSY), zone=zone, seed=seed)
        run = drive(make_reader(date_format="iso", timezone=zone), world, SUMMER, SUMMER + DAY)
        assert run.error is None
        assert sorted(run.ids) == wanted(world, SUMMER)


@pytest.mark.parametrize("zone", ["Europe/London", "UTC"])
def test_a_rare_name_among_many_records_is_read(zone: str) -> None:
    """No answer to the name shows the zone, and about each of its records there are more of other names than an answer holds."""
    rng = random.Random(zone)
    times = around(rng, SUMMER, 10_000) + around(rng, NEXT_WINTER, BUSY)
    names = ["rare" if number % 5_000 == 0 else "ab"[number % 2] for number in range(len(times))]
    records = [{"id": f"{number:05}", "startTime": time, "eventName": names[number]} for number, time in enumerate(times)]
    world = FakeApi(records, limit_cap=30, date_format="iso", timezone=zone)
    run = drive(make_reader(date_format="iso", timezone=zone), world, SUMMER, SUMMER + DAY, event_name="rare")
    assert run.error is None
    rare = [record for record in records if record["eventName"] == "rare"]
    assert sorted(run.ids) == [record["id"] for record in rare if SUMMER <= record["startTime"] < SUMMER + DAY]
    assert len(run.ids) > 0
    assert len(run.asked) < 15


# Records on the day, the date format, whether the newest records are of another season, and how many requests more that costs.
COSTS = [
    (0, "iso", True, 1),  # none by a reader that knows how long windows may be: the second look is the longer one
    (3, "iso", True, 1),
    (3, "iso", False, 0),
    (3, "iso_z", True, 0),
    (1_500, "iso", True, 0),
]


@pytest.mark.parametrize(("count", "date_format", "is_far", "more"), COSTS)
def test_it_costs_a_request_where_few_records_show_it(
    count: int, date_format: str, is_far: bool, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def requests() -> int:
        rng = random.Random(count)
        newest = around(rng, NEXT_WINTER if is_far else SUMMER + 5 * DAY, BUSY)
        day = [SUMMER + HOUR + rng.randrange(22 * HOUR) for _ in range(count)]
        world = world_of(day + newest, zone="UTC", date_format=date_format)
        run = drive(make_reader(date_format=date_format), world, SUMMER, SUMMER + DAY)
        assert run.error is None
        assert sorted(run.ids) == wanted(world, SUMMER)
        return len(run.asked)

    with_check = requests()
    monkeypatch.setattr(ZoneShown, "holds_at", lambda *_: True)
    assert with_check - requests() == more


class ForgetfulOnce(FakeApi):
    """Answers the first window in the interval with nothing."""

    is_due = True

    def answer(self, params: Mapping[str, str]) -> tuple[int, Any]:
        if self.is_due and params.get("from_date", "").startswith("2025-07"):
            self.is_due = False
            return super().answer({**params, "from_date": "1999-01-01T00:00:00", "to_date": "1999-01-01T00:00:01"})
        return super().answer(params)


@pytest.mark.parametrize("over_span", ["refuse", "empty", "clamp_to"])
def test_no_records_are_believed_the_second_time_where_a_longer_window_is_not_answered(over_span: str) -> None:
    """The interval's own window may be asked for, and one that is two hours longer on both sides may not."""
    rng = random.Random(1)
    records = world_of([SUMMER + 23 * HOUR, *around(rng, NEXT_WINTER, BUSY)], zone="UTC").records
    world = ForgetfulOnce(records, limit_cap=100, date_format="iso", max_span=25 * 3600, over_span=over_span)
    run = drive(make_reader(date_format="iso"), world, SUMMER, SUMMER + DAY)
    assert run.error is None
    assert sorted(run.ids) == wanted(world, SUMMER)
    assert len(run.ids) == 1


def july(time: int, **server: Any) -> tuple[FakeApi, Run]:
    """A day whose only record is at a time, in UTC where the API has the time of London and the newest records are of the winter."""
    records = world_of([time, *around(random.Random(1), NEXT_WINTER, BUSY)], zone="UTC").records
    world = FakeApi(records, limit_cap=100, date_format="iso", timezone="Europe/London", **server)
    return world, drive(make_reader(date_format="iso", timezone="UTC"), world, SUMMER, SUMMER + DAY)


@pytest.mark.parametrize("over_span", ["refuse", "empty", "clamp_to", "clamp_from"])
@pytest.mark.parametrize("at", [SUMMER + 5 * MINUTE, SUMMER + DAY - 30 * MINUTE])
def test_the_ends_are_looked_at_where_longer_windows_are_not_answered(over_span: str, at: int) -> None:
    _, run = july(at, max_span=25 * 3600, over_span=over_span)
    assert run.ids or "timezone" in str(run.error)


# The connection's zone, the months at the interval's ends, where the newest records are, and when the zone is wrong.
# Of the last interval, both ends are in winter.
LONG = [
    ("UTC", (10, 12), NEXT_WINTER, "2025-10-"),
    ("+01:00", (9, 12), NEXT_SUMMER, "2025-1"),
    ("UTC", (1, 12), NEXT_WINTER, "2025-0"),
]


@pytest.mark.parametrize(("zone", "months", "newest", "refused"), LONG)
def test_a_long_interval_is_checked_every_two_weeks(zone: str, months: tuple[int, int], newest: int, refused: str) -> None:
    start, end = (int(datetime(2025, month, 1, tzinfo=UTC).timestamp() * 1000) for month in months)
    rng = random.Random(1)
    thin = [start + 2 * HOUR, *(start + DAY + rng.randrange(end - start - 2 * DAY) for _ in range(60)), end - 2 * HOUR]
    world = world_of(thin + around(rng, newest, BUSY), zone="Europe/London")
    run = drive(make_reader(date_format="iso", timezone=zone), world, start, end)
    assert isinstance(run.error, CapillaryError)
    assert f"about {refused}" in str(run.error)


@pytest.mark.parametrize("count", [3, 12, 60])
@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe"])
def test_the_day_on_which_clocks_are_set_back_is_read(zone: str, count: int) -> None:
    day = {"Europe/London": (2025, 10, 26), "America/New_York": (2025, 11, 2), "Australia/Lord_Howe": (2025, 4, 5)}[zone]
    start = int(datetime(*day, tzinfo=UTC).timestamp() * 1000)
    for seed in range(20):
        rng = random.Random(f"{zone} {count} {seed}")
        world = world_of(around(rng, start, count) + around(rng, start + 70 * DAY, BUSY), zone=zone, seed=seed)
        run = drive(make_reader(date_format="iso", timezone=zone), world, start, start + DAY)
        assert run.error is None
        assert sorted(run.ids) == wanted(world, start)


def to_the_present(days: int) -> Run:
    """An interval of so many days up to the present in summer, at an API that shows the oldest records first, of the winter."""
    present = SUMMER + DAY
    start = present - days * DAY
    records = world_of([start + 30 * MINUTE, *around(random.Random(3), WINTER, BUSY)], zone="UTC").records
    world = FakeApi(records, limit_cap=100, date_format="iso", timezone="Europe/London", order="oldest", present=present)
    return drive(make_reader(date_format="iso", timezone="UTC"), world, start, present + 5 * MINUTE)


def test_an_interval_that_ends_in_the_present_is_checked_at_its_start() -> None:
    assert "timezone" in str(to_the_present(10).error)


def test_a_poll_of_a_quiet_api_costs_two_requests() -> None:
    """Its newest event log may be months old."""
    records = world_of(around(random.Random(3), WINTER, BUSY), zone="UTC").records
    world = FakeApi(records, limit_cap=100, date_format="iso", present=SUMMER)
    reader = make_reader(date_format="iso")
    for requests in (None, 2, 2):
        run = drive(reader, world, SUMMER - 2 * HOUR, SUMMER + 5 * MINUTE)
        assert run.error is None
        assert requests in (None, len(run.asked))


def test_a_window_from_one_season_into_the_other_shows_no_zone() -> None:
    """Else the week after it, whose first hour is at stake, would count as shown."""
    start, end = (int(datetime(2025, month, 20, tzinfo=UTC).timestamp() * 1000) for month in (9, 12))
    for seed in range(10):
        rng = random.Random(seed)
        times = [start + 2 * MINUTE, *(start + rng.randrange(end - start) for _ in range(60)), end - 2 * MINUTE]
        after = [end + 10 * MINUTE, *(end + rng.randrange(7 * DAY) for _ in range(20))]
        world = world_of(times + after + around(rng, NEXT_SUMMER, BUSY), zone="Europe/London", seed=seed)
        reader = make_reader(date_format="iso", timezone="+01:00")
        drive(reader, world, start, end)
        run = drive(reader, world, end, end + DAY)
        assert run.error is not None or sorted(run.ids) == wanted(world, end)


@pytest.mark.parametrize(
    ("times", "is_shown"),
    [
        ([], False),
        ([5 * MINUTE, 85 * MINUTE], True),
        ([21 * MINUTE, 85 * MINUTE], False),
        ([5 * MINUTE, 69 * MINUTE], False),
        ([85 * MINUTE, 5 * MINUTE], True),
        ([5 * MINUTE, 95 * MINUTE], False),
    ],
)
def test_records_close_to_both_ends_of_a_window_show_the_zone(times: list[int], is_shown: bool) -> None:
    shown = ZoneShown()
    shown.show(0, 90 * MINUTE, times)
    assert shown.holds_at(0) == is_shown
    assert not shown.holds_at(15 * DAY)


def test_a_window_of_days_shows_no_zone() -> None:
    shown = ZoneShown()
    shown.show(0, 3 * DAY, [MINUTE, 3 * DAY - MINUTE])
    assert not shown.holds_at(0)
