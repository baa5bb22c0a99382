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
