"""How dates are found out, at what cost, and what is said where none fit."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.api.date_formats import AUTO, DAY, HOUR, MINUTE, SECOND, DateFormat, zone_of
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.api.executor import RequestExecutor
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.bounds import MARGIN
from airflow_provider_capillary.reading.calibration import _Probes, calibrate
from airflow_provider_capillary.reading.client import EventLogsClient
from airflow_provider_capillary.reading.precision import calibrate_closely
from reading.dating import NAMES, Server
from reading.driving import BASIC, Loop, drive, make_reader, reply

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.bounds import Bounds

BASE = 1_758_171_830_945


def records(count: int = 40, over: int = 90 * DAY) -> list[dict[str, Any]]:
    rng = random.Random(3)
    return [{"id": f"r{index}", "startTime": BASE - rng.randrange(over)} for index in range(count)]


def calibrated(world: FakeApi, formats: tuple[str, ...] = AUTO, zone: str = "UTC") -> tuple[Bounds | None, int]:
    client = EventLogsClient(RequestExecutor(credential=BASIC, per_minute=10**9), limit=1000)
    return outcome_of(calibrate(client, [DateFormat(name, zone_of(zone)) for name in formats]), world), world.request_count


def outcome_of(steps: Any, world: FakeApi) -> Any:
    return Loop(lambda params: reply(*world.answer(params))).run(steps)


def test_an_api_that_shows_no_record_is_asked_once_more() -> None:
    """One empty answer may come from a server that has just restarted."""

    class Restarted(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope | {"data": []} if self.request_count == 1 else envelope

    bounds, _ = calibrated(Restarted(records(), date_format="iso"), ("iso",))
    assert bounds is not None


@pytest.mark.parametrize("unparsable", ["refuse", "ignore", "empty"])
@pytest.mark.parametrize("reads", ["epoch_ms", "iso_z", "iso", "datetime", "date"])
def test_auto_finds_the_format_in_a_few_requests(reads: str, unparsable: str) -> None:
    """Whatever the API does with the formats that it does not read; two where the format is set, and three where it writes days alone."""
    world = FakeApi(records(), date_format=reads, unparsable_date=unparsable)
    bounds, asked = calibrated(world)
    assert bounds is not None
    assert bounds.dates.name == reads
    # Days are tried last: an API that answers other formats with nothing may read them in another zone, which is asked for first.
    assert asked <= (24 if (reads, unparsable) == ("date", "empty") else 9 if reads == "date" else 8)
    bounds, asked = calibrated(FakeApi(records(), date_format=reads, unparsable_date=unparsable), (reads,))
    assert bounds is not None
    assert asked == 2 + (reads == "date")


@pytest.mark.parametrize(("precision", "unit"), [("ms", SECOND), ("s", SECOND), ("minute", MINUTE), ("hour", HOUR), ("day", DAY)])
def test_a_window_that_is_widened_shows_the_precision(precision: str, unit: int) -> None:
    """To the second at first; finer only where a second can't be read (:func:`calibrate_closely`)."""
    dense = [{"id": f"r{index}", "startTime": BASE - index * 400} for index in range(900)]
    bounds, _ = calibrated(FakeApi(dense, date_format="epoch_ms", precision=precision))
    assert bounds is not None
    assert bounds.unit <= unit
    # What it asks for holds the interval, however the API floors and compares.
    start, end = BASE - 200_000, BASE - 100_001
    for bound in ("inclusive", "exclusive"):
        for compared in ("unit", "instant"):
            world = FakeApi(dense, date_format="epoch_ms", precision=precision, coarse_bound=compared, from_bound=bound, to_bound=bound)
            found, _ = calibrated(world)
            assert found is not None
            low, high = found.window(found.floor(start), found.ceil(end))
            _, answer = world.answer({"from_date": str(low), "to_date": str(high), "limit": "1000"})
            held = {record["id"] for record in answer["data"]}
            assert held >= {record["id"] for record in dense if start <= record["startTime"] < end}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize(("precision", "unit"), [("hour", HOUR), ("day", DAY)])
def test_hours_are_told_from_days_wherever_days_begin(precision: str, unit: int, zone: str) -> None:
    """By two windows of a few hours, which can't both hold the beginning of a day; one of nearly a day could hold any."""
    world = FakeApi(records(400), date_format="epoch_ms", precision=precision, timezone=zone, from_bound="exclusive", to_bound="exclusive")
    bounds, _ = calibrated(world, ("epoch_ms",))
    assert bounds is not None
    assert bounds.unit == unit


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize(
    ("zone", "offset"), [("+05:30", "+05:30"), ("-08:00", "-08:00"), ("Asia/Kathmandu", "+05:45"), ("+00:30", "+00:30")]
)
def test_a_wrong_zone_is_named(zone: str, offset: str, order: str) -> None:
    """The error says which offset would fit; with it set, the reading succeeds."""
    world = FakeApi(records(), date_format="iso", timezone=zone, order=order)
    run = drive(make_reader(), world, BASE - DAY, BASE)
    assert isinstance(run.error, CalibrationError)
    assert f"`{offset}`" in str(run.error.hint)
    assert drive(make_reader(timezone=offset), world, BASE - DAY, BASE + 1).error is None


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_wrong_zone_is_named_though_records_lie_where_it_shifts_the_window_to(order: str) -> None:
    """Every ten minutes one: the window around each holds another in the zone that the API reads."""
    grid = [{"id": f"r{index:04}", "startTime": BASE - index * 600_000} for index in range(1500)]
    run = drive(make_reader(date_format="iso"), FakeApi(grid, date_format="iso", timezone="+05:30", order=order), BASE - DAY, BASE)
    assert isinstance(run.error, CalibrationError)
    assert "`+05:30`" in str(run.error.hint)


@pytest.mark.parametrize(("precision", "bounds"), [("s", "inclusive"), ("s", "exclusive"), ("minute", "inclusive")])
def test_a_wrong_zone_is_named_though_dates_are_read_coarsely(precision: str, bounds: str) -> None:
    """The window by which the zone is tried is wider than any unit below a quarter of an hour."""
    world = FakeApi(records(), date_format="iso", timezone="+05:30", precision=precision, from_bound=bounds, to_bound=bounds)
    run = drive(make_reader(date_format="iso"), world, BASE - DAY, BASE)
    assert isinstance(run.error, CalibrationError)
    assert "`+05:30`" in str(run.error.hint)


@pytest.mark.parametrize("reads", ["iso_z", "iso", "datetime"])
def test_auto_is_not_deceived_where_all_records_lie_together(reads: str) -> None:
    """An API that ignores dates which it can't read gives the same answer to any window; one elsewhere shows it."""
    together = [{"id": f"r{index}", "startTime": BASE + index} for index in range(5)]
    world = FakeApi(together, date_format=reads, unparsable_date="ignore")
    bounds, _ = calibrated(world)
    assert bounds is not None
    assert bounds.dates.name == reads


@pytest.mark.parametrize("filter_by", ["start_time", "write_time"])
@pytest.mark.parametrize("order", ["newest", "oldest", "unsorted", "shuffled"])
@pytest.mark.parametrize("precision", ["ms", "s", "minute"])
def test_dates_are_found_out_in_any_order(precision: str, order: str, filter_by: str) -> None:
    """Read to the unit that the API reads, or finer than is asked, in a few requests."""
    server = {"date_format": "epoch_ms", "precision": precision, "order": order, "filter_by": filter_by, "write_lag": (0, 20_000)}
    bounds, asked = calibrated(FakeApi(records(400), limit_cap=100, **server))
    assert bounds is not None
    assert bounds.unit <= {"ms": SECOND, "s": SECOND, "minute": MINUTE}[precision]
    assert asked <= 4


def test_a_cap_that_is_lowered_while_dates_are_found_out_names_no_wrong_zone() -> None:
    """Records that the first answer held no longer fit; they are found among what the API shows now."""
    dense = [{"id": f"r{index:04}", "startTime": BASE - index * 40} for index in range(200)]
    for after in range(1, 8):
        world = FakeApi(dense, date_format="datetime", limit_cap=100, limit_cap_later=(after, 30))
        bounds, _ = calibrated(world)
        assert bounds is not None
        assert bounds.dates.name == "datetime"


def test_a_date_that_carries_its_zone_needs_no_setting() -> None:
    """The zone of the API does not matter to epoch milliseconds."""
    world = FakeApi(records(), date_format=("iso", "epoch_ms"), timezone="Asia/Kolkata")
    run = drive(make_reader(), world, BASE - 30 * DAY, BASE + 1)
    assert run.error is None
    assert run.ids


def test_a_strftime_format_is_used() -> None:
    """For a cluster that reads none of the named formats."""
    world = FakeApi(records(), date_format="%d/%m/%Y %H:%M:%S")
    run = drive(make_reader(date_format="%d/%m/%Y %H:%M:%S"), world, BASE - 30 * DAY, BASE + 1)
    assert run.error is None
    assert run.ids


def test_the_error_says_what_was_tried_and_holds_no_record() -> None:
    """Formats with what came of each, and the hint."""
    world = FakeApi([record | {"inputRequest": "canary"} for record in records()], date_format="%m-%d-%Y")
    error = drive(make_reader(), world, BASE - DAY, BASE).error
    assert isinstance(error, CalibrationError)
    for name in AUTO:
        assert f"{name}: refused" in str(error)
    assert "date_format" in str(error.hint)
    assert "canary" not in str(error)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_nothing_is_lost_in_the_hour_that_happens_twice(zone: str) -> None:
    """Where clocks are set back, a date without an offset means two instants; none in that hour is sent."""
    turn = {"Europe/Berlin": 1_761_440_400_000, "America/New_York": 1_762_063_200_000, "Australia/Lord_Howe": 1_743_865_200_000}[zone]
    held = [{"id": f"r{index}", "startTime": turn + index * 300_000 + 37_123} for index in range(-60, 60)]
    world = FakeApi(held, date_format="iso", timezone=zone, limit_cap=40)
    for start in range(turn - 3 * 3_600_000, turn + 3 * 3_600_000, 700_000):
        run = drive(make_reader(timezone=zone), world, start, start + 3_600_000)
        assert run.error is None
        assert sorted(run.ids) == sorted(record["id"] for record in held if start <= record["startTime"] < start + 3_600_000)


# Where records lie: anywhere, or within half a second from the beginning of some unit on.
PATTERNS = [
    ("anywhere", lambda rng: BASE - rng.randrange(3 * DAY)),
    ("beginnings of seconds", lambda rng: (BASE - rng.randrange(3 * DAY)) // SECOND * SECOND),
    ("beginnings of minutes", lambda rng: (BASE - rng.randrange(3 * DAY)) // MINUTE * MINUTE + rng.randrange(500)),
    ("around beginnings of minutes", lambda rng: (BASE - rng.randrange(3 * DAY)) // MINUTE * MINUTE + rng.randrange(-SECOND, SECOND)),
    ("beginnings of quarters", lambda rng: (BASE - rng.randrange(3 * DAY)) // (15 * MINUTE) * 15 * MINUTE + rng.randrange(500)),
    ("beginnings of hours", lambda rng: (BASE - rng.randrange(3 * DAY)) // HOUR * HOUR + rng.randrange(500)),
    ("beginnings of days", lambda rng: (BASE - rng.randrange(3 * DAY)) // DAY * DAY + rng.randrange(500)),
    ("days of India", lambda rng: (BASE - rng.randrange(3 * DAY)) // DAY * DAY - 330 * MINUTE + rng.randrange(500)),
]


@pytest.mark.parametrize(
    ("reads", "filter_by"), [("epoch_ms", "start_time"), ("epoch_ms", "write_time"), ("iso_z", "write_time"), ("iso", "start_time")]
)
@pytest.mark.parametrize(("where", "draw"), PATTERNS, ids=[row[0] for row in PATTERNS])
def test_nothing_is_taken_for_shown_that_is_not_so(where: str, draw: Any, filter_by: str, reads: str) -> None:
    """Of every server: windows of neighbouring spans join, by what is known at first and by what is found out closely."""
    rng = random.Random(11)
    held = [{"id": f"r{index:04}", "startTime": draw(rng)} for index in range(60)]
    found = 0
    for unit, name in NAMES.items():
        for zone in ("UTC", "Asia/Kolkata") if reads != "iso" else ("UTC",):
            for has_from, has_to, by_unit in itertools.product([False, True], repeat=3):
                server = Server(unit, zone, has_from=has_from, has_to=has_to, by_unit=by_unit)
                world = FakeApi(
                    held,
                    date_format=reads,
                    precision=name,
                    timezone=zone,
                    coarse_bound="unit" if by_unit else "instant",
                    from_bound="inclusive" if has_from else "exclusive",
                    to_bound="inclusive" if has_to else "exclusive",
                    filter_by=filter_by,
                    write_lag=(0, 2_000),
                )
                client = EventLogsClient(RequestExecutor(credential=BASIC, per_minute=10**9), limit=1000)
                try:
                    bounds = outcome_of(calibrate(client, [DateFormat(reads, zone_of("UTC"))]), world)
                except CalibrationError:
                    continue
                found += 1
                assert_joined(bounds, server)
                for record in held[:2]:
                    low = bounds.floor(record["startTime"])
                    high = bounds.ceil(low + 1)
                    times = sorted(each["startTime"] for each in held if low <= each["startTime"] < high)
                    closer = outcome_of(calibrate_closely(client, bounds, low, high, times), world)
                    if closer is not None:
                        assert_joined(closer, server)
    assert found > 20, where


def assert_joined(bounds: Bounds, server: Server) -> None:
    """Windows of three neighbouring spans, a few steps long, from many times on."""
    for start in range(BASE - DAY, BASE + DAY, 11 * HOUR + 7_654_321 % HOUR):
        points = [bounds.floor(start)]
        for steps in (1, 2, 1):
            points.append(bounds.ceil(points[-1] + steps * bounds.step))
        spans = [server.matching(*bounds.window(low, high)) for low, high in itertools.pairwise(points)]
        assert spans[0][0] <= points[0], (bounds, server)
        assert all(after[0] <= before[1] for before, after in itertools.pairwise(spans)), (bounds, server)
        assert spans[-1][1] >= points[-1] - (bounds.margin - MARGIN), (bounds, server)


@pytest.mark.parametrize(
    ("unit", "best", "other", "is_apart"),
    [
        # Windows of seconds that hold the beginning of a minute, one of them a second later in its own.
        (SECOND, 59_500, 7 * MINUTE + 200, False),
        # The same for minutes and the beginning of an hour, which is at any quarter: near one quarter, and at another of the hour.
        (MINUTE, 15 * MINUTE - 30_000, 2 * HOUR + 15 * MINUTE + 200, False),
        (MINUTE, 15 * MINUTE - 30_000, 2 * HOUR + 45 * MINUTE + 200, True),
    ],
)
def test_another_window_decides_only_where_it_can_t_hold_the_same_beginning(unit: int, best: int, other: int, is_apart: bool) -> None:
    """Else an API that cuts dates down to that unit could have answered both."""
    midnight = BASE - BASE % DAY
    known = [{"id": "best", "startTime": midnight + best}, {"id": "other", "startTime": midnight + other, "responseTime": 10**6}]
    probes = _Probes(DateFormat("epoch_ms", zone_of("UTC")), unit, EventLogs.of(known), now=0)
    assert probes.best.held
    assert probes.best.record["id"] == "best"
    found = probes.apart_from_best
    assert (found is not None and found.record["id"] == "other") is is_apart
