"""When an API is taken to read dates more finely than was known, and when not."""

from __future__ import annotations

from datetime import UTC
from types import SimpleNamespace
from typing import Any

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE, SECOND, DateFormat
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.api.executor import RequestExecutor
from airflow_provider_capillary.api.responses import Page
from airflow_provider_capillary.errors import ParametersRefusedError
from airflow_provider_capillary.reading.bounds import Bounds
from airflow_provider_capillary.reading.client import EventLogsClient, WindowRefusedError
from airflow_provider_capillary.reading.precision import _cuts_within, calibrate_closely
from reading.driving import BASIC, Loop, reply

MIDNIGHT = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""


class Scripted:
    """Answers with so many records in turn, all at the window's start and ``away`` from it."""

    def __init__(self, counts: list[int], away: int = 0) -> None:
        self.counts = list(counts)
        self.away = away
        self.capacity = SimpleNamespace(is_short=lambda count: count < 10)

    def fetch_window_at_any_limit(self, _dates: DateFormat, from_date: int, _to_date: int) -> Any:
        if not self.counts:
            raise WindowRefusedError(ParametersRefusedError(""))
        yield from ()
        records = [{"id": str(number), "startTime": from_date + self.away} for number in range(self.counts.pop(0))]
        return Page(EventLogs.of(records))


# How many records answer the window, a part of it (twice, where it is empty), and the window again; and whether that shows finer dates.
COUNTS: list[tuple[str, list[int], int, bool]] = [
    ("fewer in a part", [5, 3, 5], 0, True),
    ("fewer in a part, and more records since", [5, 3, 9], 0, True),
    ("none in a part, twice", [5, 0, 0, 5], 0, True),
    ("none in a part at first", [5, 0, 5, 5], 0, False),
    ("none in the window", [0], 0, False),
    ("fewer from now on: records that vanished, or a cap that fell", [5, 3, 3, 3, 3], 0, False),
    ("as many in each part", [5, 5, 5], 0, False),
    ("as many as an answer holds, fewer in an eighth", [10, 10, 10, 7, 10], 0, True),
    ("from six minutes earlier: another zone", [5, 3, 5], -6 * MINUTE, False),
    ("from six minutes later: another zone", [5, 3, 5], 7 * MINUTE, False),
    ("dated three minutes too early by the filter", [5, 3, 5], 3 * MINUTE, True),
    ("written four minutes later", [5, 3, 5], -4 * MINUTE, True),
    ("windows that are refused", [], 0, False),
]


@pytest.mark.parametrize(("what", "counts", "away", "is_shown"), COUNTS, ids=[row[0] for row in COUNTS])
def test_a_part_with_fewer_records_shows_finer_dates(what: str, counts: list[int], away: int, is_shown: bool) -> None:
    """The window is answered with more before the part and after it."""
    flow = _cuts_within(Scripted(counts, away), DateFormat("iso", UTC), SECOND, MIDNIGHT, MIDNIGHT + MINUTE)  # type: ignore[arg-type]  # scripted in place of a client
    with pytest.raises(StopIteration) as stop:
        next(flow)
    assert stop.value.value is is_shown, what


def closer(world: FakeApi, bounds: Bounds, times: list[int]) -> Bounds | None:
    low = bounds.floor(times[len(times) // 2])
    client = EventLogsClient(RequestExecutor(credential=BASIC, per_minute=10**9), limit=1000)
    flow = calibrate_closely(client, bounds, low, bounds.ceil(low + 1), times)
    return Loop(lambda params: reply(*world.answer(params))).run(flow)


def every(step: int, *, over: int = DAY, at: int = MIDNIGHT) -> list[int]:
    return list(range(at, at + over, step))


BY_WRITING = {"filter_by": "write_time", "write_lag": (240_000, 299_999)}
INDIA = {"timezone": "Asia/Kolkata"}

# The format, the unit that is known, what the server does, where the records lie, and the unit that is found out; None where it is none.
FOUND: list[tuple[str, int, dict[str, Any], list[int], int | None]] = [
    ("epoch_ms", SECOND, {}, every(20, over=2 * SECOND), 1),
    ("epoch_ms", SECOND, {"precision": "s"}, every(20, over=2 * SECOND), None),
    ("epoch_ms", SECOND, {"precision": "s", "coarse_bound": "instant"}, every(20, over=2 * SECOND), None),
    ("iso", DAY, {}, every(7 * SECOND), SECOND),
    ("iso", DAY, {}, every(1, over=5), SECOND),
    ("iso", DAY, BY_WRITING, every(7 * SECOND), SECOND),
    ("iso", DAY, BY_WRITING, every(1, over=5), SECOND),
    ("iso", DAY, {"precision": "minute"}, every(7 * SECOND), MINUTE),
    ("iso", DAY, {"precision": "minute", **BY_WRITING}, every(7 * SECOND), MINUTE),
    ("iso", DAY, {"precision": "hour"}, every(5 * MINUTE), HOUR),
    ("iso", DAY, {"precision": "day"}, every(MINUTE), None),
    ("iso", DAY, {"precision": "day", "coarse_bound": "instant"}, every(MINUTE), None),
    ("iso", DAY, {"precision": "day", "coarse_bound": "instant"}, every(1, over=5), None),
    # Dates in another zone than the server's show no precision below the hour, and the margin for the zone stays.
    ("iso", DAY, INDIA, every(7 * SECOND, over=2 * DAY, at=MIDNIGHT - DAY // 2), HOUR),
    ("epoch_ms", DAY, {"precision": "hour", **INDIA}, every(5 * MINUTE), HOUR),
    ("epoch_ms", DAY, {"precision": "day", **INDIA}, every(MINUTE), None),
    ("epoch_ms", DAY, {"precision": "day", **INDIA, "coarse_bound": "instant"}, every(MINUTE, at=MIDNIGHT - DAY // 2), None),
]


@pytest.mark.parametrize(("sent", "known", "server", "times", "unit"), FOUND)
def test_closer_bounds_are_those_of_the_server(sent: str, known: int, server: dict[str, Any], times: list[int], unit: int | None) -> None:
    """No finer than the server reads dates, and as fine where its records can show it."""
    held = [{"id": f"r{number}", "startTime": time} for number, time in enumerate(times)]
    bounds = Bounds(dates=DateFormat(sent, UTC), unit=known)
    found = closer(FakeApi(held, date_format=sent, limit_cap=100, **server), bounds, times)
    assert (None if found is None or found.unit == known else found.unit) == unit


# The server that `iso` is sent to, where its records lie, and whether a window from a second to the same second holds all of it.
WHOLE: list[tuple[str, dict[str, Any], list[int], bool]] = [
    ("seconds with seconds", {"precision": "s"}, every(20, over=SECOND), True),
    ("seconds with seconds, from_date left out", {"precision": "s", "from_bound": "exclusive"}, every(20, over=SECOND), False),
    ("times with times: the beginning of the second alone", {}, [*[MIDNIGHT] * 12, *every(20, over=SECOND)], False),
]


@pytest.mark.parametrize(("what", "server", "times", "is_whole"), WHOLE, ids=[row[0] for row in WHOLE])
def test_whole_units_are_shown_by_a_record_of_their_end(what: str, server: dict[str, Any], times: list[int], is_whole: bool) -> None:
    """Else the windows would leave out what lies behind the beginning of their last unit."""
    held = [{"id": f"r{number}", "startTime": time} for number, time in enumerate(times)]
    bounds = Bounds(dates=DateFormat("iso", UTC), unit=SECOND)
    found = closer(FakeApi(held, date_format="iso", to_bound="inclusive", **server), bounds, times)
    assert (found is not None and found.whole_units) is is_whole, what
