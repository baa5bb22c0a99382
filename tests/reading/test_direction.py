"""Times and positions: values, without a server."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_capillary.api.date_formats import DateFormat
from airflow_provider_capillary.reading.bounds import Bounds
from airflow_provider_capillary.reading.direction import BACKWARDS, FORWARDS, Direction, is_newest_first

BOUNDS = Bounds(dates=DateFormat("iso", UTC), unit=60_000)
TIMES = st.integers(-(10**7), 10**7)


@given(st.sampled_from([BACKWARDS, FORWARDS]), TIMES, TIMES, TIMES)
def test_a_position_is_in_a_span_as_its_time_is(direction: Direction, time: int, low: int, high: int) -> None:
    """And a span that is translated twice is the same again."""
    (position,) = direction.positions([time])
    first, last = direction.span(low, high)
    assert (first <= position < last) == (low <= time < high)
    assert direction.span(first, last) == (low, high)


@given(st.sampled_from([BACKWARDS, FORWARDS]), TIMES)
def test_spans_end_where_dates_can_be_written(direction: Direction, position: int) -> None:
    """The nearest such positions: of a reading forwards, too."""
    floor, ceil = direction.floor(BOUNDS, position), direction.ceil(BOUNDS, position)
    assert position - 60_000 < floor <= position <= ceil < position + 60_000
    assert floor % 60_000 == ceil % 60_000 == 0


# Times in the order of an answer, and whether the newest come first by and large.
ORDERS = [([9, 8, 7, 6, 5], True), ([8, 9, 7, 5, 6], True), ([5, 6, 7, 8, 9], False), ([7, 1, 8, 2, 9], False), ([5, 5], True), ([5], True)]


@pytest.mark.parametrize(("times", "expected"), ORDERS, ids=[str(row[0]) for row in ORDERS])
def test_the_order_of_an_answer_is_recognised(times: list[int], expected: bool) -> None:
    """Equal times are newest first and oldest first."""
    assert is_newest_first(times) is expected
