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
    st.lists(st.tuples(st.integers(-5, 25), st.integers(0, 3)), unique=True, max_size=40), st.randoms(use_true_random=False), st.booleans()
)
def test_each_record_of_the_interval_is_released_once(keys: list[tuple[int, int]], rng: Any, is_forwards: bool) -> None:
    """Whatever the order and the number of answers that held it, and whichever end of the interval is read first."""
    records = [record(time, f"{time}-{number}") for time, number in keys]
    pending, released = PendingRecords(0, 20), []
    for position in sorted({rng.randrange(20) for _ in range(4)} | {-3}, reverse=True):
        # Any answers, with records before and after the span; then a whole one with all records from here to the end read first.
        low, high = (-9, 20 - position) if is_forwards else (position, 29)
        pending.add(EventLogs.of(rng.sample(records, rng.randrange(len(records) + 1))))
        whole = [each for each in records if low <= each["startTime"] < high]
        pending.add_proved(EventLogs.of(rng.sample(whole, len(whole))), span_start=position)
        found = pending.release(low, high)
        assert all(each.pairs() == sorted(each.pairs()) and low <= each.times[0] <= each.times[-1] < high for each in found)
        assert [each.times[-1] for each in found] == sorted((each.times[-1] for each in found), reverse=True)
        released.append([record for each in reversed(found) for record in each])
    in_order = [each["startTime"] for part in (released if is_forwards else reversed(released)) for each in part]
    assert in_order == sorted(in_order)
    assert sorted(each["id"] for part in released for each in part) == sorted(each["id"] for each in records if 0 <= each["startTime"] < 20)
    assert len(pending) == 0


def test_a_record_of_no_whole_answer_is_an_error() -> None:
    """The others of its time are not released, either."""
    pending = PendingRecords(0, 100)
    pending.add(EventLogs.of([record(50, "a"), record(60, "b")]))
    pending.add_proved(EventLogs.of([record(60, "b")]), span_start=55)
    assert len(pending) == 2
    assert [list(each) for each in pending.release(55, 100)] == [[record(60, "b")]]
    with pytest.raises(ContinuityError, match="1 records of the interval"):
        pending.release(40, 100)


@pytest.mark.parametrize(("frontier", "is_trusted"), [(25, True), (26, False)])
def test_a_record_of_a_distrusted_answer_needs_another_one(frontier: int, is_trusted: bool) -> None:
    """Its span begins before the frontier."""
    pending = PendingRecords(0, 100)
    pending.add_proved(EventLogs.of([record(30, "c")]), span_start=25)
    pending.distrust_spans_before(frontier)
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


@pytest.mark.parametrize(("frontier", "is_trusted"), [(28, True), (29, False)])
def test_a_record_of_two_whole_answers_needs_one_of_them(frontier: int, is_trusted: bool) -> None:
    """It is released once, with the records that came with it first."""
    pending = PendingRecords(0, 100)
    pending.add_proved(EventLogs.of([record(30, "c")]), span_start=25)
    pending.add_proved(EventLogs.of([record(50, "e"), record(30, "c")]), span_start=28)
    pending.distrust_spans_before(frontier)
    if is_trusted:
        assert [list(each) for each in pending.release(0, 100)] == [[record(50, "e")], [record(30, "c")]]
    else:
        with pytest.raises(ContinuityError, match="2 records"):
            pending.release(0, 100)
