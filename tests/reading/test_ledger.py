"""What is proved, and what answers are held until it is: values, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.reading.capacity import Capacity, Reach
from airflow_provider_capillary.reading.ledger import Ledger

# A deed: a span of some length with some records; an answer of some length; or what is pending is forgotten.
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 30), st.integers(0, 12)),
        st.tuples(st.just("confirm"), st.integers(0, 12), st.just(0)),
        st.tuples(st.just("forget"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(DEEDS)
def test_spans_are_proved_from_the_end_by_later_and_longer_answers_alone(deeds: list[tuple[str, int, int]]) -> None:
    """Against the obvious model: a list of spans, each with its count."""
    ledger = Ledger(0, 100)
    pending: list[tuple[int, int]] = []
    proved: list[int] = []
    frontier = 100
    for deed, number, count in deeds:
        edge = pending[-1][0] if pending else frontier
        if deed == "add" and edge > 0:
            low = max(0, edge - number)
            ledger.add(low, count=count, capacity=13)
            pending.append((low, count))
        elif deed == "confirm":
            ledger.confirm(number, asked_after=ledger.added)
            while pending and pending[0][1] < number:
                frontier, fewer = pending.pop(0)
                proved.append(fewer)
        elif deed == "forget":
            ledger.drop_unconfirmed()
            pending = []
        edge = pending[-1][0] if pending else frontier
        assert ledger.frontier == frontier
        assert ledger.gap == ((0, edge) if edge > 0 else None)
        assert ledger.covers_interval is (frontier == 0)
        assert ledger.longest_unconfirmed == max([count for _, count in pending], default=0)
        assert ledger.unconfirmed_records == sum(count for _, count in pending)
        assert ledger.spans == len(proved)
        assert (ledger.longest.count if ledger.longest else None) == max(proved, default=None)


# A span that is none, or that nothing proves.
NO_PROOF = [(100, 3, 10), (101, 3, 10), (50, 10, 10), (50, 11, 10)]


@pytest.mark.parametrize(("low", "count", "capacity"), NO_PROOF)
def test_what_proves_nothing_is_refused(low: int, count: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="do not prove"):
        Ledger(0, 100).add(low, count=count, capacity=capacity)


def test_an_answer_as_long_as_a_span_confirms_nothing() -> None:
    """It may itself have been cut to as many."""
    ledger = Ledger(0, 100)
    ledger.add(0, count=7, capacity=10)
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
    ledger.add(60, count=9, capacity=20)
    ledger.confirm(15, asked_after=earlier)
    assert ledger.frontier == 100
    ledger.confirm(15, asked_after=ledger.added)
    assert ledger.frontier == 60
