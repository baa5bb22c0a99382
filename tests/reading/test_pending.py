"""What answers are held until the reading may yield it: values, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.errors import ContinuityError
from airflow_provider_capillary.reading.pending import PendingRecords


def record(time: int, name: str) -> dict[str, Any]:
    return {"id": name, "startTime": time}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 25), st.integers(0, 3)), unique=True, max_size=40),
    st.lists(st.tuples(st.integers(-8, 28), st.integers(1, 12)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_each_record_of_the_interval_is_released_once(keys: list[tuple[int, int]], spans: list[tuple[int, int]], rng: Any) -> None:
    """Whatever the order and the number of answers that held it, and in whatever order the spans of the interval are released."""
    records = [record(time, f"{time}-{number}") for time, number in keys]
    pending, released = PendingRecords(0, 20), []
    for number, (low, length) in enumerate([*spans, (-9, 40)]):
        high = low + length
        # Any answers, with records before and after the span; then a whole one with all records of the span.
        pending.add(EventLogs.of(rng.sample(records, rng.randrange(len(records) + 1))))
        whole = [each for each in records if low <= each["startTime"] < high]
        pending.add_proved(EventLogs.of(rng.sample(whole, len(whole))), number=number)
        found = pending.release(low, high)
        assert all(each.pairs() == sorted(each.pairs()) and low <= each.times[0] <= each.times[-1] < high for each in found)
        assert [each.times[-1] for each in found] == sorted((each.times[-1] for each in found), reverse=True)
        released += [record for each in found for record in each]
        assert pending.release(high, low) == []
    assert sorted(each["id"] for each in released) == sorted(each["id"] for each in records if 0 <= each["startTime"] < 20)
    assert len(pending) == 0


def test_a_record_of_no_whole_answer_is_an_error() -> None:
    """The others of its time are not released, either."""
    pending = PendingRecords(0, 100)
    pending.add(EventLogs.of([record(50, "a"), record(60, "b")]))
    pending.add_proved(EventLogs.of([record(60, "b")]), number=0)
    assert len(pending) == 2
    assert [list(each) for each in pending.release(55, 100)] == [[record(60, "b")]]
    with pytest.raises(ContinuityError, match="1 records of the interval"):
        pending.release(40, 100)


@pytest.mark.parametrize(("first", "is_trusted"), [(4, True), (3, False)])
def test_a_record_of_a_distrusted_answer_needs_another_one(first: int, is_trusted: bool) -> None:
    """Its span has the number of the first one that is distrusted."""
    pending = PendingRecords(0, 100)
    pending.add_proved(EventLogs.of([record(30, "c")]), number=3)
    pending.distrust(first)
    if not is_trusted:
        with pytest.raises(ContinuityError):
            pending.release(0, 100)
    else:
        assert [list(each) for each in pending.release(0, 100)] == [[record(30, "c")]]


def test_one_id_with_two_times_is_an_error() -> None:
    pending = PendingRecords(0, 100)
    pending.add(EventLogs.of([record(50, "a")]))
    with pytest.raises(ContinuityError, match="two times, 50 and 51"):
        pending.add(EventLogs.of([record(51, "a")]))


@pytest.mark.parametrize(("first", "is_trusted"), [(2, True), (1, False)])
def test_a_record_of_two_whole_answers_stays_with_the_first(first: int, is_trusted: bool) -> None:
    """It is released once, and is as good as that answer is."""
    pending = PendingRecords(0, 100)
    pending.add_proved(EventLogs.of([record(70, "g")]), number=0)
    pending.add_proved(EventLogs.of([record(30, "c")]), number=1)
    pending.add_proved(EventLogs.of([record(30, "c")]), number=4)
    pending.distrust(first)
    if is_trusted:
        assert [list(each) for each in pending.release(0, 100)] == [[record(70, "g")], [record(30, "c")]]
    else:
        with pytest.raises(ContinuityError, match="1 records"):
            pending.release(0, 100)


def test_what_was_released_is_known() -> None:
    pending = PendingRecords(0, 100)
    pending.release(100, 120)
    assert not pending.has_released
    pending.release(90, 120)
    assert pending.has_released
