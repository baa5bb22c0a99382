"""Named servers, each with the outcome that its behaviour earns."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from bench.fake_api import FakeApi, Late

from airflow_provider_capillary.errors import (
    CalibrationError,
    CapillaryError,
    CompletenessError,
    ContinuityError,
    RequestRefusedError,
    TieError,
)
from airflow_provider_capillary.reading.lanes import Lanes
from airflow_provider_capillary.reading.pending import PendingRecords
from reading.driving import drive, make_reader, truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_capillary.api.event_logs import EventLogs

DAY = 86_400_000
HOUR = 3_600_000
MINUTE = 60_000
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""


def spread(count: int, *, seed: int = 1, over: int = 3 * DAY) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{"id": f"r{index:04}", "startTime": BASE - DAY + rng.randrange(over), "eventName": rng.choice("ab")} for index in range(count)]


def spread_over_a_minute(count: int) -> list[dict[str, Any]]:
    rng = random.Random(5)
    return [{"id": f"m{index:04}", "startTime": BASE + DAY // 2 + rng.randrange(60_000)} for index in range(count)]


def crowd(count: int, at: int = BASE + DAY // 2) -> list[dict[str, Any]]:
    return [{"id": f"c{index:04}", "startTime": at} for index in range(count)]


def weeks_before(count: int = 200) -> list[dict[str, Any]]:
    """What lies far from every interval: the API has more than any of them holds."""
    return [{"id": f"w{index:04}", "startTime": BASE - 60 * DAY + index * DAY // 5, "eventName": "a"} for index in range(count)]


INTERVALS = [
    (BASE, BASE + DAY),
    (BASE + 1_234, BASE + DAY - 4_321),
    (BASE - 9 * DAY, BASE + 9 * DAY),
    (BASE + 5 * DAY, BASE + 6 * DAY),
]

BY_WRITING = {"order_by": "write_time", "write_lag": (0, 60_000)}
"""Sorted by a time up to a minute after ``startTime``."""

# A server, what it does, and nothing else than the whole interval will do.
READ_IN_FULL: list[tuple[str, dict[str, Any]]] = [
    ("as the two published examples", {}),
    ("oldest first", {"order": "oldest"}),
    ("a cap far below the limit", {"limit_cap": 12}),
    ("a cap far below the limit, oldest first", {"limit_cap": 12, "order": "oldest"}),
    ("the documented ten, whatever the limit", {"ignores": ("limit",)}),
    ("a larger limit refused", {"limit_cap": 50, "over_limit": "refuse"}),
    ("a cap lowered half way", {"limit_cap": 40, "limit_cap_later": (8, 12)}),
    ("a larger limit refused from half way on", {"limit_cap": 1000, "limit_cap_later": (6, 20), "over_limit": "refuse"}),
    ("a larger limit refused from the second request on", {"limit_cap": 1000, "limit_cap_later": (1, 20), "over_limit": "refuse"}),
    ("exclusive bounds", {"limit_cap": 20, "from_bound": "exclusive", "to_bound": "exclusive"}),
    ("dates read to the second", {"limit_cap": 20, "precision": "s", "coarse_bound": "instant", "to_bound": "exclusive"}),
    ("dates read to the minute", {"limit_cap": 60, "precision": "minute", "coarse_bound": "instant", "to_bound": "exclusive"}),
    ("dates read to the minute, oldest first", {"limit_cap": 60, "precision": "minute", "order": "oldest", "from_bound": "exclusive"}),
    ("dates read to the day", {"limit_cap": 500, "precision": "day"}),
    ("dates read to the day, compared exactly", {"precision": "day", "coarse_bound": "instant"}),
    ("bare dates only", {"date_format": "date", "precision": "day", "limit_cap": 300}),
    ("ties in a new order each time", {"limit_cap": 20, "tie_order": "varying"}),
    ("windows of more than two days refused", {"limit_cap": 50, "max_span": 2 * 86_400, "over_span": "refuse"}),
    ("windows of more than five hours refused", {"limit_cap": 50, "max_span": 5 * 3_600, "over_span": "refuse"}),
    ("only the end of windows of more than five hours", {"limit_cap": 50, "max_span": 5 * 3_600, "over_span": "clamp_from"}),
    ("only the start of windows of more than five hours", {"limit_cap": 50, "max_span": 5 * 3_600, "over_span": "clamp_to"}),
    ("nothing for windows of more than five hours", {"limit_cap": 50, "max_span": 5 * 3_600, "over_span": "empty"}),
    ("in a fixed order without time", {"order": "unsorted", "limit_cap": 40}),
    ("in a new order each time", {"order": "shuffled", "limit_cap": 40}),
    ("any of the matching records, sorted", {"cut": "sample", "limit_cap": 100}),
    ("others of the matching records each time, sorted", {"cut": "sample_random", "limit_cap": 100}),
    ("others of the matching records each time, in a new order", {"cut": "sample_random", "order": "shuffled", "limit_cap": 40}),
    ("the last of its order, newest first", {"cut": "trailing", "limit_cap": 40}),
    ("the last of its order, oldest first", {"cut": "trailing", "order": "oldest", "limit_cap": 40}),
    ("newest first by the time of writing", {"limit_cap": 40, **BY_WRITING}),
    ("oldest first by the time of writing", {"limit_cap": 40, "order": "oldest", **BY_WRITING}),
    ("dates compared with the time of writing", {"limit_cap": 40, "filter_by": "write_time", "write_lag": (0, 60_000)}),
    ("sorted by the time of writing and compared with it", {"limit_cap": 40, "filter_by": "write_time", **BY_WRITING}),
    ("written five minutes later", {"limit_cap": 40, "filter_by": "write_time", "write_lag": (299_000, 299_999)}),
    ("written later, any of the matching records", {"limit_cap": 40, "filter_by": "write_time", "cut": "sample_random", **BY_WRITING}),
    (
        "written later, windows cut in silence",
        {"limit_cap": 50, "filter_by": "write_time", "max_span": 5 * 3_600, "over_span": "clamp_from", **BY_WRITING},
    ),
]

# A server, what it does, and the error that says so.
FAILS: list[tuple[str, dict[str, Any], type[CapillaryError]]] = [
    ("both dates ignored", {"ignores": ("from_date", "to_date")}, CalibrationError),
    ("from_date ignored", {"ignores": ("from_date",)}, CalibrationError),
    ("to_date ignored", {"ignores": ("to_date",)}, CalibrationError),
    ("a date format that has no name", {"date_format": "%d.%m.%Y %H:%M:%S"}, CalibrationError),
    ("every limit refused", {"limit_cap": 1, "over_limit": "refuse"}, RequestRefusedError),
    ("windows of more than a second refused", {"limit_cap": 50, "max_span": 1}, CalibrationError),
    ("only the end of windows of more than a minute", {"limit_cap": 50, "max_span": 60, "over_span": "clamp_from"}, CalibrationError),
]


FORMATS = ["epoch_ms", "iso", "iso_z", "datetime"]


@pytest.mark.parametrize("date_format", ["auto", "set"])
@pytest.mark.parametrize(("server", "options"), READ_IN_FULL, ids=[case[0] for case in READ_IN_FULL])
def test_it_is_read_in_full(server: str, options: dict[str, Any], date_format: str) -> None:
    """Every record of the interval, once: each format found out from every second server, and set for every fourth."""
    formats = [options["date_format"]] if "date_format" in options else FORMATS
    turn = [row[0] for row in READ_IN_FULL].index(server) % len(formats)
    for reads in formats[turn % 2 :: 2] if date_format == "auto" else formats[turn : turn + 1]:
        world = FakeApi(spread(600) + weeks_before(), **options | {"date_format": reads})
        for start, end in INTERVALS:
            run = drive(make_reader(date_format="auto" if date_format == "auto" else reads), world, start, end)
            assert run.error is None, (server, reads, run.error)
            assert sorted(run.ids) == sorted(truth(world, start, end))


@pytest.mark.parametrize(("server", "options", "error"), FAILS, ids=[case[0] for case in FAILS])
def test_it_fails_and_says_why(server: str, options: dict[str, Any], error: type[CapillaryError]) -> None:
    """No records are better than some of them."""
    world = FakeApi(spread(600, over=30 * DAY), **{"date_format": "iso"} | options)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert isinstance(run.error, error), (server, run.error)
    assert run.error.hint


@pytest.mark.parametrize("order", ["newest", "oldest", "unsorted", "shuffled"])
@pytest.mark.parametrize(("ties", "cap"), [(8, 10), (9, 10), (10, 10), (11, 10), (500, 10)])
def test_an_instant_with_more_records_than_an_answer_is_never_skipped(ties: int, cap: int, order: str) -> None:
    """Fewer are read; as many, or more, are an error with the instant and the count."""
    world = FakeApi(spread(60) + crowd(ties), date_format="epoch_ms", limit_cap=cap, order=order)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    if ties < cap:
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), run.error
    else:
        assert isinstance(run.error, TieError)
        assert run.error.timestamp == BASE + DAY // 2
        assert run.error.count == cap


# A second with more records than an answer, in formats that the API reads; whether they can say times finely enough to split it.
CROWDED_SECONDS = [
    (("iso", "epoch_ms"), "refuse", True),
    (("iso", "epoch_ms"), "ignore", True),
    (("iso", "datetime"), "refuse", False),
    (("iso",), "ignore", False),
]


@pytest.mark.parametrize(("formats", "unparsable", "is_split"), CROWDED_SECONDS)
def test_finer_dates_are_found_where_they_are_needed(formats: tuple[str, ...], unparsable: str, is_split: bool) -> None:
    """Among the formats of ``auto``, of which the first that is read says times to the second; an API without finer ones is an error."""
    second = [{"id": f"s{index:03}", "startTime": BASE + DAY // 2 + index * 20} for index in range(50)]
    world = FakeApi(spread(60) + second, date_format=formats, unparsable_date=unparsable, limit_cap=20)
    reader = make_reader()
    run = drive(reader, world, BASE, BASE + DAY)
    if is_split:
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))
        assert reader.bounds.dates.name == "epoch_ms"
    else:
        assert isinstance(run.error, TieError)


def test_a_crowded_instant_is_asked_for_with_a_larger_limit() -> None:
    """Where the API answers with more, the reading goes on."""
    world = FakeApi(spread(60) + crowd(40), date_format="epoch_ms")
    run = drive(make_reader(page_size=20), world, BASE, BASE + DAY)
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), run.error
    assert "200" in {asked["limit"] for asked in run.asked}


@pytest.mark.parametrize("over_span", ["clamp_from", "clamp_to", "empty"])
@pytest.mark.parametrize("hours", [1, 6, 20])
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("cap", [None, 12])
def test_windows_that_are_cut_in_silence_lose_nothing_in_silence(over_span: str, hours: int, order: str, cap: int | None) -> None:
    """An empty stretch is believed only of a length that is known to be answered."""
    few = [{"id": f"f{index}", "startTime": BASE + index * DAY // 8 + 1_234_567} for index in range(-16, 24)]
    world = FakeApi(few, date_format="epoch_ms", max_span=hours * 3_600, over_span=over_span, order=order, limit_cap=cap)
    for start, end in [
        (BASE, BASE + DAY),
        (BASE + 3 * DAY, BASE + 4 * DAY),
        (BASE - DAY, BASE + 3 * DAY),
        (BASE - 3 * DAY, BASE + 4 * DAY),
    ]:
        run = drive(make_reader(), world, start, end)
        assert isinstance(run.error, CalibrationError) or sorted(run.ids) == sorted(truth(world, start, end))
        # Records lie three hours apart, so windows of six and more can be seen to be answered; below that it may be an error.
        assert run.error is None or hours == 1


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("over_span", ["clamp_from", "clamp_to", "empty"])
def test_what_lies_beyond_a_cut_is_not_taken_for_nothing(over_span: str, order: str) -> None:
    """Records at both ends of an interval that is longer than any window which is answered, none between, none shown without dates."""
    ends = [{"id": f"e{day}{index}", "startTime": BASE + day * DAY + index * 60_000} for day in (0, 9) for index in range(15)]
    shown = [{"id": f"s{index}", "startTime": BASE + (30 if order == "newest" else -30) * DAY + index * 60_000} for index in range(12)]
    world = FakeApi(ends + shown, date_format="epoch_ms", limit_cap=12, max_span=86_400, over_span=over_span, order=order)
    for first, last in [(-1, 10), (-1, 5), (5, 10), (-2, 1), (8, 11), (1, 8)]:
        run = drive(make_reader(), world, BASE + first * DAY, BASE + last * DAY)
        assert isinstance(run.error, CalibrationError) or sorted(run.ids) == sorted(truth(world, BASE + first * DAY, BASE + last * DAY)), (
            first,
            last,
        )


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_many_in_a_second_are_read_by_milliseconds_though_bounds_are_exclusive(order: str) -> None:
    """Twenty at once, fifty in a second: calibration has to have found that milliseconds are read."""
    dense = [{"id": f"d{index:04}", "startTime": BASE + index * 20} for index in range(-200, 400)]
    world = FakeApi(dense, date_format="epoch_ms", limit_cap=20, from_bound="exclusive", to_bound="exclusive", order=order)
    run = drive(make_reader(), world, BASE, BASE + 5000)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + 5000))


def test_an_order_that_turns_round_half_way_is_none_of_its_business() -> None:
    """Nothing is concluded from order."""

    class Turning(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope | {"data": envelope["data"][::-1]} if self.request_count > 10 else envelope

    world = Turning(spread(400), date_format="epoch_ms", limit_cap=20)
    run = drive(make_reader(date_format="epoch_ms"), world, BASE - 3 * DAY, BASE + 3 * DAY)
    assert world.request_count > 20
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE - 3 * DAY, BASE + 3 * DAY))


def test_a_record_that_is_shown_without_dates_only_is_an_error() -> None:
    """It is of the interval, so the dates do not show all of it."""

    class Hiding(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            hidden = "r0003" if "from_date" in params else None
            return status, envelope | {"data": [record for record in envelope["data"] if record["id"] != hidden]}

    world = Hiding(spread(30), date_format="iso")
    run = drive(make_reader(), world, BASE - 9 * DAY, BASE + 9 * DAY)
    assert isinstance(run.error, ContinuityError)


def test_an_api_that_shows_nothing_without_dates_is_asked_with_them() -> None:
    """An empty undated answer shows no date format; with dates, records may come all the same, and show it."""

    class Demanding(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope if "from_date" in params else envelope | {"data": []}

    world = Demanding(spread(30), date_format="iso")
    run = drive(make_reader(date_format="iso"), world, BASE - 9 * DAY, BASE + 9 * DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE - 9 * DAY, BASE + 9 * DAY))


def test_a_row_that_comes_twice_shows_no_longer_answers() -> None:
    """Every third answer repeats half of its rows. Were they counted, the next ones would seem to be short of full."""

    class Repeating(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            data = envelope["data"]
            return status, envelope | {"data": data + data[::2] * (self.request_count % 3 == 1)}

    for count in range(30, 130, 7):
        world = Repeating(spread(count), date_format="iso", limit_cap=20)
        run = drive(make_reader(date_format="iso"), world, BASE, BASE + DAY)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))


def test_a_row_that_comes_twice_makes_no_larger_limit_worth_it() -> None:
    """A reading that raised the limit again and again for such answers would not end."""

    class Doubling(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope | {"data": envelope.get("data", []) * 2}

    world = Doubling(spread(100) + crowd(30), date_format="iso", limit_cap=20)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert isinstance(run.error, TieError)
    assert {params.get("limit") for params in run.asked} == {"1000", "10000"}


def test_what_calibration_was_shown_has_to_be_in_a_whole_answer() -> None:
    """The first window is answered with a record that no later one is answered with."""

    class Forgetting(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            if self.request_count == 2:
                envelope["data"].append({"id": "gone", "startTime": envelope["data"][0]["startTime"]})
            return status, envelope

    run = drive(make_reader(date_format="iso"), Forgetting(spread(30), date_format="iso"), BASE - 9 * DAY, BASE + 9 * DAY)
    assert isinstance(run.error, ContinuityError)


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize(("most_unconfirmed", "most"), [(10_000, 5_000), (500, 1_000)])
def test_no_more_records_are_held_than_those_of_a_few_answers(most_unconfirmed: int, most: int, order: str) -> None:
    """Of 20,000 records, in answers of 100; where too many wait, a request shows that the API still gives as many."""
    world = FakeApi(spread(20_000), date_format="epoch_ms", limit_cap=100, order=order)
    reader, held = make_reader(), []

    class Watched(PendingRecords):
        def release(self, low: int, high: int) -> list[EventLogs]:
            held.append(len(self))
            return super().release(low, high)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_capillary.reading.reader.PendingRecords", Watched)
        patch.setattr("airflow_provider_capillary.reading.reader.MOST_UNCONFIRMED", most_unconfirmed)
        run = drive(reader, world, BASE - DAY, BASE + 2 * DAY)
    assert len(run.ids) == 20_000
    assert len(held) > 200
    # Without an order, the answers that show how long windows may be come from all of the interval.
    assert max(held) <= most + 3 * 100 * (order == "shuffled")


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_a_filter_that_dates_records_earlier_loses_none(order: str) -> None:
    """Its clock is two minutes slow: within the margin at both ends, and where spans join."""

    class Slow(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            late = {name: str(int(params[name]) + 120_000) for name in ("from_date", "to_date") if name in params}
            return super().answer({**params, **late})

    # Two minutes are several spans.
    dense = [{"id": f"d{index:04}", "startTime": BASE + index * 2_003} for index in range(-400, 1_200)]
    world = Slow(dense, date_format="epoch_ms", limit_cap=20, order=order)
    for start in (BASE, BASE + 2_003, BASE + 100 * 2_003 + 1):
        run = drive(make_reader(date_format="epoch_ms"), world, start, start + 1_500_000)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, start, start + 1_500_000))


@pytest.mark.parametrize("cap", [60, 1000])
@pytest.mark.parametrize("number", range(1, 20))
def test_a_limit_that_is_refused_at_any_request_hides_nothing(number: int, cap: int) -> None:
    """What was short of the cap before is not short of twenty; and in spans of seconds it is the limit, not the window."""
    dense = [{"id": f"x{index:03}", "startTime": BASE + index * 500} for index in range(400)]
    for start, end in INTERVALS:
        world = FakeApi(spread(600) + dense, date_format="iso", limit_cap=cap, limit_cap_later=(number, 20), over_limit="refuse")
        run = drive(make_reader(date_format="iso"), world, start, end)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, start, end))


@pytest.mark.parametrize("date_format", ["epoch_ms", "iso", "date"])
def test_all_of_time_is_read_in_a_few_requests(date_format: str) -> None:
    """And no date is sent that can't be written."""
    world = FakeApi(spread(200), date_format=date_format, limit_cap=None if date_format == "date" else 100)
    run = drive(make_reader(date_format=date_format), world, 0, 6 * 10**13)
    assert run.error is None
    assert len(run.ids) == 200
    assert len(run.asked) <= 20


def test_a_single_record_and_an_empty_api() -> None:
    """The least that there can be."""
    for records in ([], spread(1)):
        for options in ({}, {"to_bound": "exclusive", "from_bound": "exclusive"}, {"unparsable_date": "ignore"}, {"precision": "s"}):
            world = FakeApi(records, date_format="iso", **options)
            run = drive(make_reader(), world, BASE - 9 * DAY, BASE + 9 * DAY)
            assert run.error is None
            assert len(run.ids) == len(records)


def test_an_event_name_is_asked_of_the_api() -> None:
    """The API filters; the hook checks."""
    world = FakeApi(spread(300), date_format="iso", limit_cap=20)
    run = drive(make_reader(), world, BASE, BASE + DAY, event_name="a")
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY, "a"))


def test_other_events_are_not_taken_for_a_window_that_is_cut() -> None:
    """The one page of an event holds the newest record of all; among those of other events, its oldest does not fit into an answer."""
    others = [{"id": f"o{index:03}", "startTime": BASE + 60_000 * index, "eventName": "other"} for index in range(600)]
    rare = [{"id": f"e{index:03}", "startTime": BASE + 60_000 * index + 7, "eventName": "rare"} for index in (0, 300, 599)]
    world = FakeApi(others + rare, date_format="epoch_ms", limit_cap=100)
    run = drive(make_reader(), world, BASE - 3 * DAY, BASE + 9 * DAY, event_name="rare")
    assert run.error is None
    assert len(run.ids) == 3


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("request_number", [3, 6, 12, 24])
def test_records_that_appear_while_it_reads_hide_none_that_were_there(request_number: int, order: str) -> None:
    """They may be among those that are read or not, each of them once at most."""
    late = {f"r{index:04}": Late(request=request_number) for index in range(0, 600, 9)}
    world = FakeApi(spread(600), date_format="epoch_ms", limit_cap=50, order=order, late=late)
    run = drive(make_reader(), world, BASE - DAY, BASE + 2 * DAY)
    assert run.error is None
    assert len(set(run.ids)) == len(run.ids)
    assert truth(world, BASE - DAY, BASE + 2 * DAY).keys() - late.keys() <= set(run.ids)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_records_that_appear_in_what_is_read_are_no_error(order: str, lanes: int) -> None:
    """A window begins a step of the dates before its span, perhaps in what is read; with finer dates the next one does not."""
    dense = [{"id": f"d{index:04}", "startTime": BASE + index * 20} for index in range(1_200)]
    for number in range(3, 30):
        late = {record["id"]: Late(request=number) for record in dense[::3]}
        world = FakeApi(dense, date_format=("epoch_ms", "iso"), limit_cap=100, order=order, late=late)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lanes, "worth_it", 0)
            patch.setattr(Lanes, "least_left", 1)
            run = drive(make_reader(lanes=lanes), world, BASE - DAY, BASE + DAY)
        assert run.error is None
        assert len(set(run.ids)) == len(run.ids)
        assert truth(world, BASE - DAY, BASE + DAY).keys() - late.keys() <= set(run.ids)


# Guesses of where the next window begins: all that is left, the least that there is, anywhere.
GUESSES: list[tuple[str, Callable[[random.Random, int, int], int]]] = [
    ("all", lambda _, low, __: low),
    ("the least", lambda _, __, high: high - 1),
    ("any", lambda rng, low, high: rng.randrange(low, high)),
]


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize(("what", "guess"), GUESSES, ids=[row[0] for row in GUESSES])
def test_a_bad_guess_costs_requests_and_proves_nothing(what: str, guess: Callable[[random.Random, int, int], int], order: str) -> None:
    """And the reading goes on all the same: a span that was too wide is not asked for again."""
    world = FakeApi(spread(120, over=2 * DAY) + spread_over_a_minute(60), date_format="iso", limit_cap=20, order=order)
    start, end = BASE + DAY // 2, BASE + DAY // 2 + 60_000
    with pytest.MonkeyPatch.context() as patch:
        rng = random.Random(7)
        patch.setattr("airflow_provider_capillary.reading.reader.MOST_UNCONFIRMED", 30)
        patch.setattr("airflow_provider_capillary.reading.sizing.Sizer.start_of", lambda _, low, high: guess(rng, low, high))
        run = drive(make_reader(date_format="iso"), world, start, end)
    assert run.error is None, what
    assert sorted(run.ids) == sorted(truth(world, start, end))


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_where_the_compared_time_lags_by_more_than_was_known_nothing_is_lost(order: str) -> None:
    """One record in five was written up to a quarter of an hour late, some at both ends of the day. Early and late releases of records.

    Only a record that was written later than any that an answer showed before its window may be missing, if that is over five minutes.
    """
    failed = 0
    for seed in (*range(12), 26, 91, 104):
        rng = random.Random(seed)
        times = [BASE + rng.randrange(-5 * HOUR, DAY + 5 * HOUR) for _ in range(600)]
        records = [
            {"id": f"r{index}", "startTime": time, "responseTime": rng.randrange(15 * MINUTE) if rng.random() < 0.2 else 100}
            for index, time in enumerate(times)
        ]
        world = FakeApi(records, date_format="iso", limit_cap=50, order=order, filter_by="write_time")
        with pytest.MonkeyPatch.context() as patch:
            if seed % 2:
                patch.setattr("airflow_provider_capillary.reading.reader.MOST_UNCONFIRMED", 0)
                patch.setattr("airflow_provider_capillary.reading.reader.FULL_UNCONFIRMED", 2)
            reader = make_reader()
            run = drive(reader, world, BASE, BASE + DAY)
        failed += run.error is not None
        if run.error is None:
            missing = set(truth(world, BASE, BASE + DAY)) - set(run.ids)
            allowed = max(5 * MINUTE, reader.bounds.lag)
            assert not [record for record in records if record["id"] in missing and record["responseTime"] <= allowed], seed
            assert len(missing) < 2
        else:
            assert isinstance(run.error, CompletenessError), seed
    assert failed < 10


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("kept", ["start", "end"])
def test_a_refused_future_does_not_hide_that_windows_are_cut(kept: str, order: str) -> None:
    """Beyond six hours, without saying so. A window that is refused because it ends in the future shows nothing of its length."""
    now = BASE + DAY

    class Cutting(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            if (date := params.get("from_date", "")).lstrip("-").isdigit():
                low, high = int(date), int(params["to_date"])
                if high > now:
                    return 400, {"data": [], "errors": [{"code": 400, "message": "to_date lies in the future"}], "warnings": []}
                length = min(6 * HOUR, high - low)
                low, high = (high - length, high) if kept == "end" else (low, low + length)
                params = params | {"from_date": str(low), "to_date": str(high)}
            return super().answer(params)

    start = BASE - 2 * DAY
    records = [{"id": f"r{index}", "startTime": start - DAY + index * HOUR // 2} for index in range(140)]
    world = Cutting(records, date_format="epoch_ms", limit_cap=50, order=order)
    run = drive(make_reader(date_format="epoch_ms"), world, start, start + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, start, start + DAY))


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_cap_that_falls_at_any_request_loses_nothing(order: str) -> None:
    """Also right after a long answer has shown how long windows may be: it shows nothing of the answers after it."""
    few = [{"id": f"f{index}", "startTime": BASE + DAY // 2 + index * DAY // 20} for index in range(9)]
    records = spread(400, over=DAY + DAY // 2) + few
    for requests in range(3, 40):
        world = FakeApi(records, date_format="iso", limit_cap=40, limit_cap_later=(requests, 12), order=order)
        run = drive(make_reader(date_format="iso"), world, BASE, BASE + DAY)
        assert run.error is None, requests
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), requests


def test_an_interval_without_records_takes_two_requests_after_any_other() -> None:
    """However many records the first one held, and so whichever of its answers was the longest."""
    for count in range(12, 240, 3):
        world = FakeApi(spread(count), date_format="iso", limit_cap=40)
        reader = make_reader(date_format="iso")
        assert drive(reader, world, BASE, BASE + DAY).error is None
        assert len(drive(reader, world, BASE - 3 * DAY, BASE - 2 * DAY).asked) == 2, count


def test_a_second_reading_needs_no_second_calibration() -> None:
    """What was found out about the dates serves the next interval."""
    world = FakeApi(spread(600), date_format="epoch_ms", limit_cap=100)
    reader = make_reader(date_format="epoch_ms")
    first = drive(reader, world, BASE, BASE + DAY)
    second = drive(reader, world, BASE, BASE + DAY)
    assert sorted(first.ids) == sorted(second.ids)
    # The first reading's request without dates, and its window around one of the records.
    assert len(second.asked) == len(first.asked) - 2
    assert all("from_date" in asked for asked in second.asked)
    # Nor is it asked again how long windows may be.
    longer = [[asked for asked in run.asked if int(asked.get("to_date", 0)) > BASE + 2 * DAY] for run in (first, second)]
    assert [len(asked) for asked in longer] == [1, 0]


def test_a_record_past_the_interval_is_none_of_its_business() -> None:
    """Though the window holds it, for it is read to the second."""
    records = [{"id": str(time), "startTime": BASE + time} for time in (1_353, 2_514, 3_173)]
    world = FakeApi(records, date_format="iso_z", precision="s", limit_cap=10)
    run = drive(make_reader(), world, BASE + 744, BASE + 999)
    assert run.error is None
    assert run.ids == []


def test_a_filter_that_compares_a_later_time_hides_no_end_of_a_window_that_is_cut() -> None:
    """A record a little farther from the end of its window than the API answers, by ``startTime``, shows less than it seems to."""
    for seed in range(40):
        rng = random.Random(seed)
        lags = [(rng.randrange(4 * MINUTE) if rng.random() < 0.1 else rng.randrange(MINUTE)) for _ in range(1_500)]
        records = [
            {"id": f"r{index}", "startTime": BASE - 2 * DAY + rng.randrange(5 * DAY), "responseTime": lag} for index, lag in enumerate(lags)
        ]
        options = {"max_span": 6 * 3600, "over_span": rng.choice(["clamp_to", "clamp_from"]), "order": rng.choice(["newest", "oldest"])}
        world = FakeApi(records, date_format="iso", precision="minute", filter_by="write_time", limit_cap=1000, **options)
        run = drive(make_reader(date_format="iso"), world, BASE, BASE + DAY)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), seed
