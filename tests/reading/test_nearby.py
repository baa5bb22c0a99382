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
from reading.driving import drive, make_reader

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
    # Where a record shows it, the error names the extra. Of one record on a day, there is none on some days.
    assert refused >= (10 if count == 1 else 18)


@pytest.mark.parametrize("count", [0, 1, 3, 30, 300])
@pytest.mark.parametrize("zone", ["Europe/London", "UTC", "Asia/Kolkata"])
def test_the_right_zone_is_read_whole_in_any_season(zone: str, count: int) -> None:
    for seed in range(5):
        rng = random.Random(f"{zone} {count} {seed}")
        world = world_of(around(rng, SUMMER, count) + around(rng, NEXT_WINTER, BUSY), zone=zone, seed=seed)
        run = drive(make_reader(date_format="iso", timezone=zone), world, SUMMER, SUMMER + DAY)
        assert run.error is None
        assert sorted(run.ids) == wanted(world, SUMMER)


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
    monkeypatch.setattr(ZoneShown, "is_near", lambda *_: True)
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


# The connection's zone, where the newest records are, and which end of the interval, October and November, is in another season.
ENDS = [("UTC", NEXT_WINTER, "2025-10-0"), ("+01:00", NEXT_SUMMER, "2025-11-")]


@pytest.mark.parametrize(("zone", "newest", "refused"), ENDS)
def test_a_long_interval_is_checked_at_both_ends(zone: str, newest: int, refused: str) -> None:
    start, end = (int(datetime(2025, month, 1, tzinfo=UTC).timestamp() * 1000) for month in (10, 12))
    rng = random.Random(1)
    sparse = [start + 2 * HOUR, *(start + DAY + rng.randrange(58 * DAY) for _ in range(30)), end - 2 * HOUR]
    world = world_of(sparse + around(rng, newest, BUSY), zone="Europe/London")
    run = drive(make_reader(date_format="iso", timezone=zone), world, start, end)
    assert isinstance(run.error, CapillaryError)
    assert f"about {refused}" in str(run.error)


@pytest.mark.parametrize(
    ("times", "is_shown"),
    [
        ([], False),
        ([5 * MINUTE, 85 * MINUTE], True),
        ([21 * MINUTE, 85 * MINUTE], False),
        ([5 * MINUTE, 69 * MINUTE], False),
        ([85 * MINUTE, 5 * MINUTE], True),
    ],
)
def test_records_close_to_both_ends_of_a_window_show_the_zone(times: list[int], is_shown: bool) -> None:
    shown = ZoneShown()
    shown.show(0, 90 * MINUTE, times)
    assert shown.is_near(0) == is_shown
    assert not shown.is_near(15 * DAY)
