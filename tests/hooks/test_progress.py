"""The lines that say how far a reading is, and the one that says what it was."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.api.executor import RequestStats
from airflow_provider_capillary.hooks import _progress as progress_module
from airflow_provider_capillary.hooks._progress import Progress

HOUR = 3_600_000
START = 1_758_153_600_000  # 2025-09-18T00:00:00Z
NOON = datetime(2025, 9, 18, 12, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def said(monkeypatch):
    """The progress of a reading of ten hours, its clock, its stats, and its lines."""
    clock, stats, lines = Clock(), RequestStats(requests=5, waited=60.0), []
    monkeypatch.setattr(progress_module, "time", clock)

    class ReadClock(datetime):
        @classmethod
        def now(cls, _zone):
            return NOON

    monkeypatch.setattr(progress_module, "datetime", ReadClock)
    made = Progress(lambda text, *args: lines.append(text % args), stats, start=START, end=START + 10 * HOUR)
    return made, clock, stats, lines


def at(*hours):
    return EventLogs.of([{"id": str(hour), "startTime": START + int(hour * HOUR)} for hour in hours])


# The share of the interval that is read after each answer, 40 s apart; what the last line says of how far it is.
SHARES = {
    "a quarter": ([0.1, 0.25], "25 % of the interval, about 4 minutes to go (until 12:04:00 UTC), 5 requests"),
    "more than half, at once": ([0.6], "60 % of the interval, about 27 seconds to go (until 12:00:2"),
    "a twentieth": ([0.05], "5 % of the interval, about 13 minutes to go"),
    "hardly begun": ([0.001], "0 % of the interval, 5 requests"),
    "nothing": ([0.0], "2 event logs so far, 5 requests"),
}


@pytest.mark.parametrize("name", SHARES)
def test_a_line_says_how_much_is_done_and_when_it_ends(said, name):
    made, clock, stats, lines = said
    shares, expected = SHARES[name]
    stats.requests += 5
    for share in shares:
        clock.now += 40
        made.found(at(1, 2), share=share)
    assert len(lines) == len(shares)
    assert expected in lines[-1]
    assert lines[-1].startswith(f"{2 * len(shares)} event logs so far, ")
    assert "timedelta" not in lines[-1]


def test_lines_are_some_seconds_apart(said):
    made, clock, _, lines = said
    for _ in range(30):
        clock.now += 1
        made.found(at(5), share=0.5)
    assert len(lines) == 3


def test_the_last_line_begins_with_the_count_and_names_what_it_cost(said):
    made, clock, stats, lines = said
    made.found(at(1, 2, 3), share=1.0)
    clock.now += 75.24
    stats.requests += 4
    made.say_last(3)
    stats.waited += 12.34
    stats.retries = Counter(ServerError=2)
    made.say_last(1)
    interval = "[2025-09-18T00:00:00Z, 2025-09-18T10:00:00Z)"
    cost = "4 requests, waited 12.3 s for the API, retries after ServerError 2"
    assert lines == [
        f"Read 3 event logs of {interval}: 4 requests, 1 minute 15.2 seconds",
        f"Read 3 event logs of {interval}: kept 1, {cost}, 1 minute 15.2 seconds",
    ]
