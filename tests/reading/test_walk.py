"""Named servers, each with the outcome that its behaviour earns."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_capillary.emulator.world import World
from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ContinuityError, RequestRefusedError, TieError
from airflow_provider_capillary.reading.walk import Walk
from reading.driving import drive, make_reader, truth

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.pages import Page

DAY = 86_400_000
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""


def spread(count: int, *, seed: int = 1, over: int = 3 * DAY) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{"id": f"r{index:04}", "startTime": BASE - DAY + rng.randrange(over), "eventName": rng.choice("ab")} for index in range(count)]


def crowd(count: int, at: int = BASE + DAY // 2) -> list[dict[str, Any]]:
    return [{"id": f"c{index:04}", "startTime": at} for index in range(count)]


INTERVALS = [
    (BASE, BASE + DAY),
    (BASE + 1_234, BASE + DAY - 4_321),
    (BASE - 9 * DAY, BASE + 9 * DAY),
    (BASE + 5 * DAY, BASE + 6 * DAY),
]

READ_IN_FULL: list[tuple[str, dict[str, Any]]] = [
    ("as the two published examples", {}),
    ("oldest first", {"order": "oldest"}),
    ("a cap far below the limit", {"limit_cap": 7}),
    ("a cap far below the limit, oldest first", {"limit_cap": 7, "order": "oldest"}),
    ("a larger limit refused", {"limit_cap": 50, "over_limit": "refuse"}),
    ("a cap lowered half way", {"limit_cap": 40, "limit_cap_later": (8, 9)}),
    ("a larger limit refused from half way on", {"limit_cap": 1000, "limit_cap_later": (6, 20), "over_limit": "refuse"}),
    ("a larger limit refused from the second request on", {"limit_cap": 1000, "limit_cap_later": (1, 20), "over_limit": "refuse"}),
    ("exclusive bounds", {"limit_cap": 20, "from_bound": "exclusive", "to_bound": "exclusive"}),
    ("dates read to the second", {"limit_cap": 20, "precision": "s", "coarse_bound": "instant", "to_bound": "exclusive"}),
    ("dates read to the minute", {"limit_cap": 60, "precision": "minute", "coarse_bound": "instant", "to_bound": "exclusive"}),
    ("dates read to the minute, oldest first", {"limit_cap": 60, "precision": "minute", "order": "oldest", "from_bound": "exclusive"}),
    ("dates read to the day", {"limit_cap": 500, "precision": "day"}),
    ("dates read to the day, compared exactly", {"precision": "day", "coarse_bound": "instant"}),
    ("bare dates only", {"date_format": "date", "precision": "day", "limit_cap": 500}),
    ("ties in a new order each time", {"limit_cap": 20, "tie_order": "varying"}),
    ("windows of more than two days refused", {"limit_cap": 50, "max_span": 2 * 86_400, "over_span": "refuse"}),
    ("windows of more than five hours refused", {"limit_cap": 50, "max_span": 5 * 3_600, "over_span": "refuse"}),
    ("warnings beside the data", {"warnings": ("slow",)}),
]

FAILS: list[tuple[str, dict[str, Any], type[CapillaryError]]] = [
    ("in a fixed order without time", {"order": "unsorted", "limit_cap": 40}, ContinuityError),
    ("in a new order each time", {"order": "shuffled", "limit_cap": 40}, ContinuityError),
    ("any of the matching records, sorted", {"cut": "sample", "limit_cap": 100}, ContinuityError),
    ("others of the matching records each time, sorted", {"cut": "sample_random", "limit_cap": 100}, CapillaryError),
    ("both dates ignored", {"ignores": ("from_date", "to_date")}, CalibrationError),
    ("from_date ignored", {"ignores": ("from_date",)}, CalibrationError),
    ("to_date ignored", {"ignores": ("to_date",)}, CalibrationError),
    ("one record at a time", {"limit_cap": 1}, CapillaryError),
    ("a date format that has no name", {"date_format": "%d.%m.%Y %H:%M:%S"}, CalibrationError),
    ("every limit refused", {"limit_cap": 1, "over_limit": "refuse"}, RequestRefusedError),
]


@pytest.mark.parametrize("date_format", ["auto", "set"])
@pytest.mark.parametrize(("server", "liberties"), READ_IN_FULL, ids=[case[0] for case in READ_IN_FULL])
def test_it_is_read_in_full(server: str, liberties: dict[str, Any], date_format: str) -> None:
    """Every record of the interval, once, in every date format that the server reads."""
    for reads in [liberties["date_format"]] if "date_format" in liberties else ["epoch_ms", "iso", "iso_z", "datetime"]:
        world = World(spread(600), **liberties | {"date_format": reads})
        for start, end in INTERVALS:
            run = drive(make_reader(date_format="auto" if date_format == "auto" else reads), world, start, end)
            assert run.error is None, (server, reads, run.error)
            assert sorted(run.ids) == sorted(truth(world, start, end))


@pytest.mark.parametrize(("server", "liberties", "error"), FAILS, ids=[case[0] for case in FAILS])
def test_it_fails_and_says_why(server: str, liberties: dict[str, Any], error: type[CapillaryError]) -> None:
    """No records are better than some of them."""
    world = World(spread(600), **{"date_format": "iso"} | liberties)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert isinstance(run.error, error), (server, run.error)
    assert run.error.cure


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize(("ties", "cap"), [(8, 10), (9, 10), (10, 10), (11, 10), (500, 10)])
def test_an_instant_with_more_records_than_an_answer_is_never_skipped(ties: int, cap: int, order: str) -> None:
    """Fewer are read; as many, or more, are an error with the instant and the count."""
    world = World(spread(60) + crowd(ties), date_format="epoch_ms", limit_cap=cap, order=order)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    if ties < cap:
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), run.error
    else:
        assert isinstance(run.error, TieError)
        assert run.error.instant == BASE + DAY // 2
        assert run.error.count == cap


def test_a_crowded_instant_is_asked_for_with_a_larger_limit() -> None:
    """Where the API answers with more, the walk goes on."""
    world = World(spread(60) + crowd(40), date_format="epoch_ms")
    run = drive(make_reader(page_size=20), world, BASE, BASE + DAY)
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), run.error
    assert "200" in {asked["limit"] for asked in run.asked}


@pytest.mark.parametrize("over_span", ["clamp_from", "clamp_to", "empty"])
@pytest.mark.parametrize("hours", [1, 6, 20])
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("cap", [None, 5])
def test_windows_that_are_cut_in_silence_lose_nothing_in_silence(over_span: str, hours: int, order: str, cap: int | None) -> None:
    """An empty stretch is believed only of a length that is known to be answered."""
    few = [{"id": f"f{index}", "startTime": BASE + index * DAY // 4} for index in range(-8, 12)]
    world = World(few, date_format="epoch_ms", max_span=hours * 3_600, over_span=over_span, order=order, limit_cap=cap)
    for start, end in [
        (BASE, BASE + DAY),
        (BASE + 3 * DAY, BASE + 4 * DAY),
        (BASE - DAY, BASE + 3 * DAY),
        (BASE - 3 * DAY, BASE + 4 * DAY),
    ]:
        run = drive(make_reader(), world, start, end)
        assert run.error is not None or sorted(run.ids) == sorted(truth(world, start, end))


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("over_span", ["clamp_from", "clamp_to", "empty"])
def test_what_lies_beyond_a_cut_is_not_taken_for_nothing(over_span: str, order: str) -> None:
    """Records at both ends of an interval that is longer than any window which is answered, none between, none shown without dates."""
    ends = [{"id": f"e{day}{index}", "startTime": BASE + day * DAY + index * 60_000} for day in (0, 9) for index in range(5)]
    shown = [{"id": f"s{index}", "startTime": BASE + (30 if order == "newest" else -30) * DAY + index * 60_000} for index in range(4)]
    world = World(ends + shown, date_format="epoch_ms", limit_cap=4, max_span=86_400, over_span=over_span, order=order)
    for first, last in [(-1, 10), (-1, 5), (5, 10), (-2, 1), (8, 11), (1, 8)]:
        run = drive(make_reader(), world, BASE + first * DAY, BASE + last * DAY)
        assert isinstance(run.error, (CalibrationError, ContinuityError)) or sorted(run.ids) == sorted(
            truth(world, BASE + first * DAY, BASE + last * DAY)
        ), (first, last)


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_many_in_a_second_are_read_by_milliseconds_though_bounds_are_exclusive(order: str) -> None:
    """The seam asks for one millisecond more, not for a second that an answer can't hold."""
    dense = [{"id": f"d{index:04}", "startTime": BASE + index * 20} for index in range(-200, 400)]
    world = World(dense, date_format="epoch_ms", limit_cap=20, from_bound="exclusive", to_bound="exclusive", order=order)
    run = drive(make_reader(), world, BASE, BASE + 5000)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + 5000))


@pytest.mark.parametrize("cap", [3, 4])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_an_order_that_calibration_does_not_show_is_found_by_the_walk(order: str, cap: int) -> None:
    """All records of the undated answer are of one instant."""
    outermost = BASE + (40 if order == "newest" else -40) * DAY
    world = World(spread(200) + crowd(3, outermost), date_format="epoch_ms", limit_cap=3, order=order)
    world = World(world.records, date_format="epoch_ms", limit_cap=3, limit_cap_later=(2, cap), order=order)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))


def test_an_order_that_turns_round_once_records_were_handed_on_is_an_error() -> None:
    """To start again would hand them on twice."""

    class Turning(World):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope | {"data": envelope["data"][::-1]} if self.asked > 40 else envelope

    world = Turning(spread(200) + crowd(3, BASE + 40 * DAY), date_format="epoch_ms", limit_cap=3)
    run = drive(make_reader(date_format="epoch_ms"), world, BASE - 3 * DAY, BASE + 3 * DAY)
    assert isinstance(run.error, ContinuityError)
    assert len(set(run.ids)) == len(run.ids) > 0


def test_a_record_that_is_shown_without_dates_only_is_an_error() -> None:
    """It is of the interval, so the dates do not show all of it."""

    class Hiding(World):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            hidden = "r0003" if "from_date" in params else None
            return status, envelope | {"data": [record for record in envelope["data"] if record["id"] != hidden]}

    world = Hiding(spread(30), date_format="epoch_ms")
    run = drive(make_reader(), world, BASE - 9 * DAY, BASE + 9 * DAY)
    assert isinstance(run.error, ContinuityError)


def test_an_api_that_shows_nothing_without_dates_is_asked_with_them() -> None:
    """An empty undated answer shows no date format; with dates, records may come all the same."""

    class Demanding(World):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope if "from_date" in params else envelope | {"data": []}

    run = drive(make_reader(date_format="iso"), Demanding(spread(30), date_format="iso"), BASE - 9 * DAY, BASE + 9 * DAY)
    assert isinstance(run.error, CalibrationError)


def test_an_api_that_shows_one_record_at_a_time_is_an_error_even_where_nothing_is_left_out() -> None:
    """Only where it never shows another is there one."""
    world = World(spread(2), date_format="epoch_ms", limit_cap=1)
    times = [record["startTime"] for record in world.records]
    run = drive(make_reader(), world, times[0], times[0] + 1)
    assert isinstance(run.error, TieError)


def test_no_more_ids_are_held_than_those_of_a_few_pages() -> None:
    """Of 20,000 records, in pages of 100."""
    world = World(spread(20_000), date_format="epoch_ms", limit_cap=100)
    reader, held = make_reader(), []

    class Watched(Walk):
        def _forget_before(self, page: Page) -> None:
            super()._forget_before(page)
            held.append(len(self._known) + len(self._owed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_capillary.reading.reader.Walk", Watched)
        run = drive(reader, world, BASE - DAY, BASE + 2 * DAY)
    assert len(run.ids) == 20_000
    assert max(held) <= 1000


def test_a_single_record_and_an_empty_api() -> None:
    """The least that there can be."""
    for records in ([], spread(1)):
        for liberties in ({}, {"to_bound": "exclusive", "from_bound": "exclusive"}, {"unparsable_date": "ignore"}, {"precision": "s"}):
            world = World(records, date_format="iso", **liberties)
            run = drive(make_reader(), world, BASE - 9 * DAY, BASE + 9 * DAY)
            assert run.error is None
            assert len(run.ids) == len(records)


def test_an_event_name_is_asked_of_the_api() -> None:
    """The API filters; the hook checks."""
    world = World(spread(300), date_format="iso", limit_cap=20)
    run = drive(make_reader(), world, BASE, BASE + DAY, event_name="a")
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY, "a"))


def test_other_events_are_not_taken_for_a_window_that_is_cut() -> None:
    """The one page of an event holds the newest record of all; among those of other events, its oldest does not fit into an answer."""
    others = [{"id": f"o{index:03}", "startTime": BASE + 60_000 * index, "eventName": "other"} for index in range(600)]
    rare = [{"id": f"e{index:03}", "startTime": BASE + 60_000 * index + 7, "eventName": "rare"} for index in (0, 300, 599)]
    world = World(others + rare, date_format="epoch_ms", limit_cap=100)
    run = drive(make_reader(), world, BASE - 3 * DAY, BASE + 9 * DAY, event_name="rare")
    assert run.error is None
    assert len(run.ids) == 3


def test_a_record_that_appears_where_was_read_is_an_error() -> None:
    """It may be one of several; a retry reads them all."""
    world = World(spread(600), date_format="epoch_ms", limit_cap=50, late_share=0.1, late_request=6)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert isinstance(run.error, ContinuityError)
    assert run.error.retryable


def test_a_second_reading_needs_no_second_calibration() -> None:
    """What was found out about the dates serves the next interval."""
    world = World(spread(600), date_format="epoch_ms", limit_cap=100)
    reader = make_reader()
    first = drive(reader, world, BASE, BASE + DAY)
    second = drive(reader, world, BASE, BASE + DAY)
    assert sorted(first.ids) == sorted(second.ids)
    assert len(second.asked) == len(first.asked) - 2
    assert all("from_date" in asked for asked in second.asked)


def test_a_record_past_the_interval_is_none_of_its_business() -> None:
    """The bound of a seam near the interval's end must not reach beyond what was asked for at first."""
    records = [{"id": str(time), "startTime": BASE + time} for time in (1_353, 2_514, 3_173)]
    world = World(records, date_format="iso_z", precision="s", limit_cap=10)
    run = drive(make_reader(), world, BASE + 744, BASE + 999)
    assert run.error is None
    assert run.ids == []
