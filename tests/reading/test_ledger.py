"""What is proved, and what answers are held until it is: values, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.reading.capacity import Capacity, Reach
from airflow_provider_capillary.reading.ledger import Ledger

# A deed, and the part that it is about: a span of some length with some records; an answer of some length; what is unconfirmed is
# dropped; or the part is split at some distance from its beginning.
DEEDS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "confirm", "drop", "split"]), st.integers(0, 3), st.integers(1, 30), st.integers(0, 12)),
    max_size=40,
)


@settings(deadline=None)
@given(DEEDS)
def test_spans_are_proved_by_later_and_longer_answers_alone(deeds: list[tuple[str, int, int, int]]) -> None:
    """Against the obvious model: each position of the interval is unread, has a whole answer, or is proved."""
    ledger = Ledger(0, 100)
    proved: set[int] = set()
    unconfirmed: list[tuple[int, int, int]] = []
    counts: list[int] = []
    for deed, number, length, count in deeds:
        part = ledger.parts[number % len(ledger.parts)]
        if deed == "add" and part.gap:
            low = max(part.low, part.answered_from - length)
            unconfirmed.append((low, part.answered_from, count))
            ledger.add(part, low, count=count, capacity=13)
        elif deed == "confirm":
            ledger.confirm(count, asked_after=ledger.added)
            while unconfirmed and unconfirmed[0][2] < count:
                low, high, fewer = unconfirmed.pop(0)
                proved |= set(range(low, high))
                counts.append(fewer)
        elif deed == "drop":
            ledger.drop_unconfirmed()
            unconfirmed = []
        elif deed == "split" and part.low < part.low + length < part.answered_from:
            low = part.low
            earlier = ledger.split(part, low + length)
            assert (earlier.low, earlier.high, part.low, earlier.gap) == (low, low + length, low + length, (low, low + length))
        whole = {at for low, high, _ in unconfirmed for at in range(low, high)}
        gaps = [part.gap for part in ledger.parts if part.gap]
        assert {at for low, high in gaps for at in range(low, high)} == set(range(100)) - proved - whole
        assert ledger.has_gaps is bool(gaps)
        assert ledger.covers_interval is (len(proved) == 100)
        assert ledger.proved_share == len(proved) / 100
        assert ledger.longest_unconfirmed == max([count for _, _, count in unconfirmed], default=0)
        assert ledger.unconfirmed_records == sum(count for _, _, count in unconfirmed)
        assert ledger.spans == len(counts)
        assert ledger.added - ledger.confirmed == len(unconfirmed)
        assert (ledger.longest.count if ledger.longest else None) == max(counts, default=None)
        assert [part.high for part in ledger.parts] == [100, *(part.low for part in ledger.parts[:-1])]
        for part in ledger.parts:
            low, high = ledger.proved_around(part)
            assert proved >= set(range(low, high))
            assert low - 1 not in proved
            assert high not in proved or high == low
            assert low <= part.proved_from
            assert high >= part.high


# A span that is none, or that nothing proves.
NO_PROOF = [(100, 3, 10), (101, 3, 10), (-1, 3, 10), (50, 10, 10), (50, 11, 10)]


@pytest.mark.parametrize(("low", "count", "capacity"), NO_PROOF)
def test_what_proves_nothing_is_refused(low: int, count: int, capacity: int) -> None:
    ledger = Ledger(0, 100)
    with pytest.raises(ValueError, match="do not prove"):
        ledger.add(ledger.parts[0], low, count=count, capacity=capacity)


@pytest.mark.parametrize("at", [0, 60, 70, 100])
def test_a_part_is_split_within_its_gap_alone(at: int) -> None:
    ledger = Ledger(0, 100)
    (part,) = ledger.parts
    ledger.add(part, 60, count=3, capacity=10)
    with pytest.raises(ValueError, match="is not within the gap"):
        ledger.split(part, at)


def test_an_answer_as_long_as_a_span_confirms_nothing() -> None:
    """It may itself have been cut to as many."""
    ledger = Ledger(0, 100)
    ledger.add(ledger.parts[0], 0, count=7, capacity=10)
    ledger.confirm(7, asked_after=1)
    assert not ledger.covers_interval
    ledger.confirm(8, asked_after=1)
    assert ledger.covers_interval
    assert ledger.longest is not None
    assert (ledger.longest.count, ledger.longest.capacity) == (7, 10)


@given(st.integers(1, 1000), st.lists(st.integers(0, 1000)))
def test_the_capacity_is_what_was_shown_and_never_less_than_what_is_documented(limit: int, counts: list[int]) -> None:
    capacity = Capacity(limit)
    for count in counts:
        capacity.show(min(count, limit))
    most = max([min(limit, 10), *(min(count, limit) for count in counts)])
    assert capacity.records == most
    assert not capacity.is_short(most)
    assert capacity.is_short(most - 1)
    capacity.fall(min(3, limit))
    assert capacity.records == min(limit, 10)
    capacity.show(most)
    assert capacity.records == most


def test_what_was_shown_under_a_larger_limit_does_not_count_under_a_smaller() -> None:
    capacity = Capacity(1000)
    capacity.show(700)
    capacity.change_limit(200)
    assert capacity.records == 200
    capacity.change_limit(5)
    assert (capacity.records, capacity.least) == (5, 5)


# What an answer shows of how long windows may be: the window, its records, and the lengths back from its end and on from its start.
REACH = [
    ((0, 100), [], (0, 0)),
    ((0, 100), [0], (100, 0)),
    ((0, 100), [100], (0, 100)),
    ((0, 100), [10, 80], (90, 80)),
    ((0, 100), [-50, 150], (0, 0)),
    ((0, 100), [-50, 50], (50, 50)),
]


@pytest.mark.parametrize(("window", "times", "shown"), REACH)
def test_a_record_shows_that_windows_reach_as_far(window: tuple[int, int], times: list[int], shown: tuple[int, int]) -> None:
    """Only one in its window; and both ends have to be shown."""
    reach = Reach()
    reach.show(*window, times)
    assert (reach.back, reach.ahead) == shown
    assert reach.length == min(shown)


def record(time: int, name: str) -> dict[str, Any]:
    return {"id": name, "startTime": time}


def test_an_answer_to_a_request_that_was_sent_before_a_span_was_added_does_not_prove_it() -> None:
    """Its answer may have been given before the API came to give less."""
    ledger = Ledger(0, 100)
    earlier = ledger.added
    (part,) = ledger.parts
    ledger.add(part, 60, count=9, capacity=20)
    ledger.confirm(15, asked_after=earlier)
    assert part.proved_from == 100
    ledger.confirm(15, asked_after=ledger.added)
    assert part.proved_from == 60
