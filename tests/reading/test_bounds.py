"""Which dates hold a span, whatever the API does with them: against a model of the server's reading, without a server."""

from __future__ import annotations

import itertools
from datetime import UTC

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.api.date_formats import AUTO, DAY, HOUR, MINUTE, PRECISIONS, SECOND, DateFormat, zone_of
from airflow_provider_capillary.reading.bounds import ELSEWHERE, LONGEST_DAY, MARGIN, Bounds
from reading.dating import Server

ZONES = (
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "+00:30",
    "-08:00",
)
TURNS = (1_761_440_400_000, 1_743_296_400_000, 1_762_063_200_000, 1_743_865_200_000, 1_758_067_200_000, 1_745_532_000_000)
"""When clocks are set back, forward, back in New York, back by half an hour; a midnight; and one that Cairo's clocks leave out."""
TIMES = st.builds(lambda turn, away: turn + away, st.sampled_from(TURNS), st.integers(-3 * DAY, 3 * DAY))
UNITS = st.sampled_from(PRECISIONS)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Bounds, Server, list[int]]:
    """Bounds that are true of a server, and times at which spans begin or end."""
    zone = draw(st.sampled_from(ZONES))
    dates = DateFormat(draw(st.sampled_from((*AUTO, "%d.%m.%Y %H:%M"))), zone_of(zone))
    bounds = Bounds(dates=dates, unit=draw(UNITS))
    unit = draw(st.sampled_from([unit for unit in PRECISIONS if unit <= bounds.step]))
    # What carries its zone may be read by the days and hours of any.
    server = Server(unit, draw(st.sampled_from(ZONES)) if dates.carries_zone else zone, *(draw(st.booleans()) for _ in range(3)))
    step = draw(st.sampled_from([1, 20, SECOND, 17 * MINUTE, HOUR, DAY]))
    points = sorted(draw(st.sampled_from([bounds.floor, bounds.ceil]))(draw(TIMES) // step * step) for _ in range(4))
    return bounds, server, sorted(set(points))


@settings(max_examples=300, deadline=None)
@given(cases())
@example(  # days of India, which begin within the days of UTC
    (
        Bounds(dates=DateFormat("epoch_ms", UTC), unit=DAY),
        Server(DAY, "Asia/Kolkata", has_from=False, has_to=False, by_unit=True),
        [TURNS[4] - DAY, TURNS[4], TURNS[4] + DAY],
    )
)
@example(  # the last hour of a day of 25
    (
        Bounds(dates=DateFormat("iso_z", UTC), unit=DAY),
        Server(DAY, "Atlantic/Azores", has_from=False, has_to=False, by_unit=True),
        [TURNS[0] - HOUR, TURNS[0] - HOUR + DAY, TURNS[0] - HOUR + 2 * DAY],
    )
)
def test_windows_of_neighbouring_spans_join_and_hold_all_between(case: tuple[Bounds, Server, list[int]]) -> None:
    """To the end of the last but what :attr:`Bounds.margin` allows for where days begin at an unknown hour."""
    bounds, server, points = case
    assume(len(points) > 1)
    spans = list(itertools.pairwise(points))
    matching = [server.matching(*bounds.window(low, high)) for low, high in spans]
    assert matching[0][0] <= points[0]
    for before, after in itertools.pairwise(matching):
        assert after[0] <= before[1], "a gap"
    short = bounds.margin - MARGIN
    assert matching[-1][1] >= points[-1] - short
    if not bounds.dates.carries_zone or bounds.step < HOUR:
        for (low, high), (first, last) in zip(spans, matching, strict=True):
            assert first <= low
            assert last >= high


@settings(max_examples=200, deadline=None)
@given(cases())
@example(  # up to the end of the hour that happens twice
    (
        Bounds(dates=DateFormat("iso", zone_of("America/New_York")), unit=SECOND),
        Server(SECOND, "America/New_York", has_from=True, has_to=True, by_unit=True),
        [TURNS[2] - HOUR, TURNS[2] + HOUR],
    )
)
@example(  # up to the end of half an hour that happens twice
    (
        Bounds(dates=DateFormat("iso", zone_of("Australia/Lord_Howe")), unit=HOUR),
        Server(HOUR, "Australia/Lord_Howe", has_from=True, has_to=True, by_unit=True),
        [1_743_861_600_000, 1_743_867_000_000],
    )
)
def test_windows_of_whole_units_hold_their_spans_and_no_more(case: tuple[Bounds, Server, list[int]]) -> None:
    """Where the API gives the whole unit that begins at both dates: units with units, both ends included, in this unit."""
    bounds, server, points = case
    assume(len(points) > 1 and bounds.step >= SECOND and not (bounds.dates.carries_zone and bounds.step >= HOUR))
    bounds = Bounds(dates=bounds.dates, unit=bounds.unit, whole_units=True)
    server = Server(bounds.step, server.zone, has_from=True, has_to=True, by_unit=True)
    for low, high in itertools.pairwise(points):
        first, last = server.matching(*bounds.window(low, high))
        assert first <= low
        assert last >= high
        assert first == low
        assert last <= high + bounds.step + HOUR
        if server.zone == "UTC":
            assert last == high


@settings(max_examples=200, deadline=None)
@given(cases(), TIMES)
@example(
    (Bounds(dates=DateFormat("iso", zone_of("Europe/Berlin")), unit=SECOND), Server(SECOND, "Europe/Berlin", True, True, True), []),
    TURNS[0],
)
@example(
    (Bounds(dates=DateFormat("iso", zone_of("Africa/Cairo")), unit=DAY), Server(DAY, "Africa/Cairo", True, True, True), []), TURNS[5] - 1
)
def test_spans_begin_and_end_where_a_date_can_be_written(case: tuple[Bounds, Server, list[int]], time: int) -> None:
    """At or before, at or after; and what was rounded is not rounded again."""
    bounds, _, _ = case
    low, high = bounds.floor(time), bounds.ceil(time)
    assert low <= time <= high
    assert bounds.floor(low) == low
    assert bounds.ceil(high) == high
    assert high - low <= 2 * bounds.step + 3 * HOUR
    if not bounds.dates.carries_zone:
        for each in (low, high):
            local = bounds.dates._local(each)
            assert local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset()


# What an answer shows, and what the bounds are after it.
SEEN = [
    ([0, 5_000], 0),
    ([-1], 1),
    ([-250_000, 10], 250_000),
    ([-HOUR], HOUR),
    ([-HOUR - 1], 0),
    ([], 0),
]


@pytest.mark.parametrize(("times", "lag"), SEEN)
def test_the_margin_grows_with_the_lag_that_was_seen(times: list[int], lag: int) -> None:
    """Twice as much; what is further off than an hour is no lag."""
    before = Bounds(dates=DateFormat("iso", UTC), unit=SECOND)
    after = before.saw(0, times)
    assert after.lag == lag
    assert after.margin == max(MARGIN, 2 * lag)
    assert after.saw(0, [-1]).lag == max(lag, 1)


@pytest.mark.parametrize("unit", [HOUR, DAY])
def test_coarse_dates_are_read_a_day_further(unit: int) -> None:
    """They do not show whether the zone is the right one."""
    assert Bounds(dates=DateFormat("iso", UTC), unit=unit).margin == MARGIN + DAY
    assert Bounds(dates=DateFormat("date", UTC), unit=1).margin == MARGIN + DAY


def test_a_record_of_a_day_of_another_zone_is_not_from_elsewhere() -> None:
    bounds = Bounds(dates=DateFormat("iso_z", UTC), unit=DAY)
    assert not bounds.is_elsewhere(-ELSEWHERE, 0, DAY)
    assert bounds.is_elsewhere(-ELSEWHERE - 1, 0, DAY)
    assert not bounds.is_elsewhere(DAY + ELSEWHERE, 0, DAY)
    assert bounds.is_elsewhere(DAY + ELSEWHERE + 1, 0, DAY)
    assert ELSEWHERE >= LONGEST_DAY
