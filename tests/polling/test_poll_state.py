"""Which events a poll reports as new: tables of polls, and generated histories in which each event has to be reported once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.polling import poll_state
from airflow_provider_capillary.polling.filters import EventFilter, EventRef
from airflow_provider_capillary.polling.matches import OTHERS
from airflow_provider_capillary.polling.poll_state import AHEAD, PollState
from airflow_provider_capillary.polling.watermark import LOOKBACK, Watermark

T0 = 1_758_171_830_945
S, M = 1000, 60_000


def failure(name, timestamp, status="EMF_PROCESSOR_FAILED", event="order"):
    return {"id": name, "startTime": timestamp, "status": status, "eventName": event, "inputRequest": "personal", "message": "personal"}


def poll(state, now, records):
    """One poll of an API that returns every record."""
    poll = state.poll(now)
    start, end = poll.window
    events = [EventRef.of(record) for record in records if start <= record["startTime"] < end]
    for part in (events[::2], events[1::2]):
        poll.add(state.event_filter.select(part), newest=max((event.timestamp for event in part), default=0))
    return poll.finish()


def again(state):
    """The state at the start of the next run, through JSON."""
    return PollState.begin(state.event_filter, Watermark.from_data(json.loads(json.dumps(state.watermark.to_data()))))


def begun(since=T0, lateness=LOOKBACK, **event_filter):
    return PollState.begin(EventFilter(**event_filter), Watermark.starting_at(since, lateness=lateness))


# Each row: polls in turn, each with its time after the start, the records that the API holds then (id and time), and the ids reported.
STEPS = {
    "nothing yet": [(0, [], [])],
    "at since itself": [(S, [("a", 0)], ["a"])],
    "before since": [(S, [("a", -1)], [])],
    "each once": [(S, [("a", 0)], ["a"]), (2 * S, [("a", 0)], []), (3 * S, [("a", 0), ("b", 2 * S)], ["b"])],
    "same millisecond as the watermark": [(S, [("a", 500)], ["a"]), (2 * S, [("a", 500), ("b", 500)], ["b"])],
    "out of order": [(9 * M, [("b", 8 * M)], ["b"]), (10 * M, [("a", 4 * M), ("b", 8 * M)], ["a"])],
    "as late as may be": [(9 * M, [("b", 8 * M)], ["b"]), (10 * M, [("a", 3 * M + 1), ("b", 8 * M)], ["a"])],
    "later than that": [(9 * M, [("b", 8 * M)], ["b"]), (10 * M, [("a", 3 * M), ("b", 8 * M)], [])],
    "late, but from before since": [(2 * M, [("b", M)], ["b"]), (3 * M, [("a", -1), ("b", M)], [])],
    "from a clock that is ahead": [(0, [("a", 4 * M)], ["a"]), (S, [("a", 4 * M), ("b", S)], ["b"])],
    "from the far future": [(0, [("x", 900 * M)], []), (S, [("x", 900 * M), ("a", 500)], ["a"])],
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("runs", [False, True])
def test_which_events_a_poll_reports(name, runs):
    state, known = begun(), 0
    for now, records, expected in STEPS[name]:
        state = poll(state, T0 + now, [failure(each, T0 + at) for each, at in records])
        assert sorted(state.result()["ids"]) == sorted(expected) if runs else state.found.count == known + len(expected)
        known += len(expected)
        if runs:
            state = again(state)


# Each row: a filter, and the ids of the records that match it.
@pytest.mark.parametrize(
    ("event_filter", "expected"),
    [
        ({}, ["failed", "named", "none", "null"]),
        ({"statuses": frozenset({"NO_STATUS"})}, ["none", "null"]),
        ({"statuses": frozenset({"EVENT_SUCCESS"})}, ["good"]),
        ({"event_name": "other"}, ["named"]),
        ({"statuses": frozenset({"NO_STATUS"}), "event_name": "other"}, []),
    ],
)
def test_which_records_match(event_filter, expected):
    records = [
        failure("good", T0, "EVENT_SUCCESS"),
        failure("failed", T0),
        failure("named", T0, event="other"),
        failure("null", T0, None),
        {"id": "none", "startTime": T0},
    ]
    assert sorted(poll(begun(**event_filter), T0 + S, records).result()["ids"]) == expected


def test_successes_move_the_watermark_too():
    state = poll(begun(), T0 + 60 * M, [failure("good", T0 + 59 * M, "EVENT_SUCCESS")])
    assert state.found.count == 0
    assert state.poll(T0 + 61 * M).window == (T0 + 59 * M + 1 - LOOKBACK, T0 + 61 * M + AHEAD)


def test_the_result_holds_counts_ids_and_times_alone():
    state = poll(begun(), T0 + M, [failure("a", T0 + 5), failure("b", T0 + 7, None), failure("s", T0 + 9, "EVENT_SUCCESS")])
    assert state.result() == {
        "count": 2,
        "statuses": {"EMF_PROCESSOR_FAILED": 1, "NO_STATUS": 1},
        "event_names": {"order": 2},
        "ids": ["b", "a"],
        "ids_cut": False,
        "first_start_time": "2025-09-18T05:03:50.950Z",
        "last_start_time": "2025-09-18T05:03:50.952Z",
        "start": "2025-09-18T05:03:50.950Z",
        "end": "2025-09-18T05:03:50.953Z",
        "since": "2025-09-18T05:03:50.945Z",
        "watermark": "2025-09-18T05:03:50.955Z",
    }
    assert "personal" not in state.to_json()


def test_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(poll_state, "MOST_REMEMBERED", 50)
    records = [failure(f"i{n}", T0 + n, status=f"S{n % 300}", event=f"E{n % 300}") for n in range(1000)]
    state = poll(begun(), T0 + M, records)
    result = state.result()
    assert result["count"] == sum(result["statuses"].values()) == sum(result["event_names"].values()) == 1000
    assert len(result["statuses"]) == len(result["event_names"]) == 101
    assert result["statuses"][OTHERS] > 0
    assert result["ids"] == [f"i{n}" for n in range(999, 899, -1)]
    assert len(state.watermark.reported) == 50
    assert state.lookback_was_shortened(begun())
    # What is no longer remembered is no longer asked for: nothing is reported twice.
    after = poll(again(state), T0 + 2 * M, [*records, failure("new", T0 + 999)])
    assert after.result()["ids"] == ["new"]


def test_the_watermarks_of_two_tasks_are_merged():
    one = poll(begun(), T0 + M, [failure("a", T0 + 10 * S)])
    two = poll(begun(), T0 + M, [failure("a", T0 + 10 * S), failure("b", T0 + 20 * S)])
    for joined in (one.watermark.merge(two.watermark), two.watermark.merge(one.watermark)):
        assert set(joined.reported) == {EventRef.of(failure(name, T0)).id_digest for name in "ab"}
        assert joined.seen_until == two.watermark.seen_until
    assert one.watermark.merge(None) == one.watermark


# Each row: a text that this package did not store.
@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '{"wanted":{}}', '{"wanted":{},"memory":{"floor":1.5,"watermark":2,"reported":{}}}', None, 5],
)
def test_a_foreign_text_is_refused(text):
    with pytest.raises(CapillaryError, match="unreadable"):
        PollState.from_json(text)


def test_it_goes_through_json():
    state = poll(begun(statuses=frozenset({"B", "A"}), event_name="e"), T0 + M, [failure("a", T0, "A", "e")])
    assert state.found.count == 1
    assert not state.lookback_was_shortened(begun())
    assert PollState.from_json(state.to_json()) == state


events = st.lists(
    st.tuples(
        st.integers(0, 40 * M),  # when it happened
        st.one_of(st.just(0), st.integers(0, 1000), st.just(1000)),  # how late it is visible, in thousandths of what is allowed
        st.booleans(),  # a failure
    ),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(
    events=events,
    polls=st.lists(st.tuples(st.integers(1, 8 * M), st.booleans()), min_size=1, max_size=25),
    skew=st.integers(-20 * M, 20 * M),
    lateness=st.sampled_from([0, 1, LOOKBACK, 30 * M]),
)
def test_everything_that_is_visible_in_time_is_reported_once(events, polls, skew, lateness):
    records = [
        (T0 + at + late * lateness // 1000, failure(f"e{n}", T0 + at, "FAILED" if bad else "EVENT_SUCCESS"))
        for n, (at, late, bad) in enumerate(events)
    ]
    state, reported, now = begun(lateness=lateness), [], T0
    # The API's clock is the truth; this machine's is off by the skew. The last poll comes after everything, even by a slow clock.
    for step, next_run in [*polls, (2 * 60 * M, True)]:
        now += step
        before = state.found.count
        state = poll(state, now + skew, [record for visible, record in records if visible <= now])
        if next_run or state.found.count == before:
            reported += state.result()["ids"] if next_run else []
            state = again(state) if next_run else PollState.from_json(state.to_json())
    assert sorted(reported) == sorted(record["id"] for _, record in records if record["status"] == "FAILED")


# Each row: how far back each of three runs goes, in minutes; then of the failures that become visible before the third, all at minutes
# behind the watermark of the first two, those that it reports. The two behind which "old" stands were reported by the first run.
FURTHER = {
    "as before": ((5, 5, 5), ["new1"]),
    "further from now on": ((5, 5, 60), ["new1"]),
    "further since the second": ((5, 60, 60), ["new1"]),
    "further from the start": ((60, 60, 60), ["new1", "new30"]),
    "less far": ((60, 60, 5), ["new1"]),
    "not at all": ((60, 60, 0), []),
}


@pytest.mark.parametrize("name", FURTHER)
def test_a_changed_lateness_reports_nothing_twice(name):
    (first, second, third), expected = FURTHER[name]
    at = {"old30": -30 * M, "old1": -M, "newest": 0}
    late = {"new1": -M, "new30": -30 * M}
    known = [failure(each, T0 + offset) for each, offset in at.items()]
    state = again(poll(begun(T0 - 120 * M, first * M), T0 + M, known))
    state = again(poll(PollState.begin(state.event_filter, state.watermark.keeping(second * M)), T0 + 2 * M, known))
    assert state.found.count == 0
    state = PollState.begin(state.event_filter, state.watermark.keeping(third * M))
    state = poll(state, T0 + 3 * M, [*known, *[failure(each, T0 + offset) for each, offset in late.items()]])
    assert sorted(state.result()["ids"]) == expected


def test_a_longer_time_counts_in_full_once_it_has_gone_by():
    state = again(poll(begun(T0 - 120 * M), T0 + M, [failure("a", T0)]))
    state = PollState.begin(state.event_filter, state.watermark.keeping(60 * M))
    state = again(poll(state, T0 + 59 * M, [failure("b", T0 + 58 * M)]))
    assert poll(state, T0 + 60 * M, [failure("late", T0 + M), failure("b", T0 + 58 * M)]).result()["ids"] == ["late"]


def test_two_that_go_back_differently_forget_nothing_that_either_reported():
    records = [failure("old", T0 - 30 * M), failure("a", T0)]
    short = poll(begun(T0 - 120 * M), T0 + M, records)
    long = poll(begun(T0 - 120 * M, 60 * M), T0 + 2 * M, [failure("b", T0 + M)])
    for joined in (short.watermark.merge(long.watermark), long.watermark.merge(short.watermark)):
        assert joined.lateness == 60 * M
        found = poll(PollState.begin(EventFilter(), joined), T0 + 3 * M, [*records, failure("b", T0 + M), failure("late", T0 - 4 * M)])
        assert found.result()["ids"] == ["late"]


def test_a_note_of_the_first_version_goes_back_five_minutes():
    noted = Watermark.from_json(json.dumps({"floor": 1, "watermark": T0, "reported": {}}))
    assert (noted.lateness, noted.lookback_start) == (5 * M, T0 - 5 * M)


def test_a_record_that_is_read_twice_is_reported_once():
    poll = begun().poll(T0 + M)
    event = EventRef.of(failure("a", T0 + S))
    poll.add([event], newest=event.timestamp)
    poll.add([event], newest=event.timestamp)
    assert poll.finish().found.count == 1


def test_only_ids_within_the_lookback_are_remembered():
    state = poll(begun(), T0 + M, [failure("a", T0), failure("b", T0 + 30 * S)])
    state = poll(state, T0 + 20 * M, [failure("c", T0 + 5 * M + 20 * S)])
    assert set(state.watermark.reported.values()) == {T0 + 30 * S, T0 + 5 * M + 20 * S}


def test_the_watermark_stays_where_the_newest_record_is_gone_again():
    state = poll(begun(), T0 + 10 * M, [failure("a", T0 + 9 * M)])
    state = poll(state, T0 + 11 * M, [])
    assert state.watermark.seen_until == T0 + 9 * M + 1


def test_a_record_from_a_clock_that_is_ahead_does_not_shorten_the_lookback():
    state = poll(begun(T0 - 60 * M), T0, [failure("ahead", T0 + AHEAD - 1)])
    assert state.watermark.seen_until == T0
    late = failure("late", T0 - 4 * M)
    assert poll(again(state), T0 + S, [late]).result()["ids"] == ["late"]


def test_a_poll_that_fails_half_way_has_counted_nothing():
    state = begun()
    state.poll(T0 + M).add([EventRef.of(failure("a", T0 + S))], newest=T0 + S)
    assert state.found.count == 0
    assert poll(state, T0 + M, [failure("a", T0 + S)]).result()["ids"] == ["a"]


def test_two_tasks_at_once_remember_what_either_reported():
    one = poll(begun(), T0 + M, [failure("a", T0 + 10 * S)])
    two = poll(begun(), T0 + M, [failure("b", T0 + 20 * S)])
    joined = PollState.begin(EventFilter(), one.watermark.merge(two.watermark))
    assert poll(joined, T0 + 2 * M, [failure("a", T0 + 10 * S), failure("b", T0 + 20 * S)]).found.count == 0


def test_a_later_run_says_that_it_starts_at_its_lookback():
    state = again(poll(begun(T0 - 60 * M), T0 + M, [failure("a", T0)]))
    assert state.started_at == T0 + 1 - LOOKBACK
    state = poll(state, T0 + 30 * M, [failure("b", T0 + 20 * M)])
    assert PollState.from_json(state.to_json()).started_at == T0 + 1 - LOOKBACK


def test_records_before_the_window_are_not_new():
    poll = begun().poll(T0 + M)
    poll.add([EventRef.of(failure("before", T0 - 1)), EventRef.of(failure("at", T0))], newest=T0)
    assert poll.finish().result()["ids"] == ["at"]
