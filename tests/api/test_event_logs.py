"""Event logs of an answer in order, in each form in which an answer is decoded."""

from __future__ import annotations

import json

import pytest

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.api.usual_pages import decode_records

LATEST = 6 * 10**13


def by_msgspec(body, monkeypatch):
    """The second answer of a layout is decoded into rows."""
    del monkeypatch
    decode_records(body, LATEST)
    return decode_records(body, LATEST)


def plainly(body, monkeypatch):
    monkeypatch.setattr(fast, "optional", lambda _name: None)
    return decode_records(body, LATEST)


def one_by_one(body, monkeypatch):
    return EventLogs.of(list(plainly(body, monkeypatch)))


# The times and ids of the records as they come; each record also has its place.
@pytest.mark.parametrize(
    "pairs",
    [
        [(9, "a"), (8, "b"), (7, "c")],
        [(9, "a"), (8, "b"), (8, "c"), (8, "a2"), (7, "d"), (6, "f"), (6, "e")],
        [(5, "b"), (5, "c"), (5, "a")],
        [(9, "a"), (8, "b"), (8, "b"), (7, "c")],
        [(8, "c"), (8, "b"), (8, "c"), (7, "c")],
        [(7, "a"), (9, "b"), (8, "c"), (8, "a2")],
        [(7, "a"), (8, "b"), (8, "c")],
        [(8, "é"), (8, "z"), (8, "\U0001f600"), (8, "\uffee")],
    ],
)
@pytest.mark.parametrize("decode", [by_msgspec, plainly, one_by_one])
def test_records_are_put_in_order_with_all_that_belongs_to_them(decode, pairs, monkeypatch):
    """Of equal keys, the first record is kept."""
    sent = [{"startTime": time, "id": name, "place": place} for place, (time, name) in enumerate(pairs)]
    body = json.dumps({"data": sent}, separators=(",", ":"), ensure_ascii=False).encode()
    records = decode(body, monkeypatch)
    first: dict[tuple[int, str], dict[str, object]] = {}
    for record in sent:
        first.setdefault((record["startTime"], record["id"]), record)
    expected = [first[key] for key in sorted(first)]
    ordered = records.ordered()
    assert ordered.is_ordered
    assert ordered.pairs() == sorted(first)
    assert ordered.column("place") == [record["place"] for record in expected]
    assert list(map(json.loads, ordered.texts())) == expected
    assert list(map(json.loads, ordered.lines().splitlines())) == expected
    assert list(map(dict, ordered)) == expected
    assert records.pairs() == pairs


# Each row: an interval, and the ids of its records among those of the times 3, 5, 7 and 9. The ways to the answer differ: all, none, some.
@pytest.mark.parametrize(
    ("start", "end", "ids"),
    [
        (3, 10, "badc"),
        (3, 9, "bad"),
        (4, 10, "bac"),
        (5, 9, "ba"),
        (5, 7, "a"),
        (6, 7, ""),
        (0, 3, ""),
        (0, 4, "d"),
        (9, 12, "c"),
        (10, 12, ""),
    ],
)
def test_an_interval_has_its_start_and_not_its_end(start, end, ids):
    records = EventLogs.of([{"startTime": time, "id": name} for time, name in [(7, "b"), (5, "a"), (3, "d"), (9, "c")]])
    within = records.within(start, end)
    assert "".join(within.ids) == ids
    assert [record["id"] for record in within] == within.ids
    assert len(records) == 4


def test_an_answer_without_records_has_none_within_an_interval():
    assert not EventLogs.of([]).within(0, 9)
