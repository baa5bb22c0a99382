"""Readings as they can be followed, request by request; and the example in the reader's own documentation."""

from __future__ import annotations

import random
import re
from textwrap import dedent
from typing import Any

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.errors import CapillaryError, TieError
from airflow_provider_capillary.reading import reader as reader_module
from reading.driving import drive, make_reader, truth

MINUTE = 60_000
DAY = 1_440 * MINUTE
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""
CAP = 100
Line = tuple[str, str, int]
"""``from_date``, ``to_date``, and how many records came."""


def evenly(count: int, *, prefix: str = "r", at: int = BASE, over: int = DAY) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{index:04}", "startTime": at + (2 * index + 1) * over // (2 * count) + 1_234} for index in range(count)]


WEEKS_BEFORE = evenly(120, prefix="w", at=BASE - 120 * DAY, over=30 * DAY + 7 * MINUTE)
"""So that there is something to find out about dates, and answers that are full, on a quiet day too."""


class Traced(FakeApi):
    """Keeps each request with what it was answered, in words."""

    def __init__(self, records: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(records, **{"date_format": "iso", "limit_cap": CAP} | options)
        self.lines: list[Line] = []
        self.limits: list[str] = []

    def answer(self, params: Any) -> tuple[int, Any]:
        status, envelope = super().answer(params)
        self.lines.append((params.get("from_date", "(none)"), params.get("to_date", "(none)"), len(envelope.get("data", ()))))
        self.limits.append(params.get("limit", "none"))
        return status, envelope


def trace(world: Traced) -> tuple[list[Line], list[str], CapillaryError | None, dict[str, int] | None]:
    """The lines of a day's reading by a reader that knows the dates, the ids, the error, and the proof."""
    reader = make_reader(date_format="iso")
    assert drive(reader, world, BASE - 90 * DAY, BASE - 89 * DAY).error is None
    world.lines.clear()
    world.limits.clear()
    run = drive(reader, world, BASE, BASE + DAY)
    return world.lines, run.ids, run.error, reader.proof


def with_meanings(lines: list[Line], limits: list[str]) -> list[str]:
    """As a table, each answer with what it proves by the one rule."""
    most, longest, asked, table = CAP, 0, set(), ["from_date            to_date              answer"]
    for (first, last, count), limit in zip(lines, limits, strict=True):
        if limit != "1000":
            meaning = f"no more with a limit of {limit}"
        elif (first, last) in asked and count:
            meaning = f"more than {longest}, so nothing was cut" if count > longest else f"no more than {longest}: all is read again"
            most, longest = count, 0
        elif (first, last) in asked:
            meaning = "empty twice, so whole"
        elif not count and any(first < before[0] and before[1] < last for before in asked):
            meaning = "empty, and two hours on either side: whole, whatever the season"
        elif count >= max(10, most):
            meaning = "full"
        else:
            meaning = "whole" if count else "empty"
            longest = max(longest, count)
        asked.add((first, last))
        table.append(f"{first}  {last}  {count:3}: {meaning}")
    return table


# A name, the records of the day, what the server does, each request with what its answer proves, and the error if any.
TRACES: list[tuple[str, list[dict[str, Any]], dict[str, Any], str, type[CapillaryError] | None]] = [
    (
        "a quiet day",
        [],
        {},
        """
        from_date            to_date              answer
        2025-09-16T23:54:59  2025-09-18T00:05:00    0: empty
        2025-09-16T21:54:59  2025-09-18T02:05:00    0: empty, and two hours on either side: whole, whatever the season
        """,
        None,
    ),
    (
        "a dense day",
        evenly(700),
        {},
        """
        from_date            to_date              answer
        2025-09-16T23:54:59  2025-09-18T00:05:00  100: full
        2025-09-17T20:39:26  2025-09-18T00:05:00   98: whole
        2025-09-17T17:51:44  2025-09-17T20:39:27   82: whole
        2025-09-17T15:00:39  2025-09-17T17:51:45   83: whole
        2025-09-17T12:07:57  2025-09-17T15:00:40   84: whole
        2025-09-17T09:14:38  2025-09-17T12:07:58   84: whole
        2025-09-17T06:20:47  2025-09-17T09:14:39   85: whole
        2025-09-17T03:26:56  2025-09-17T06:20:48   84: whole
        2025-09-17T00:32:46  2025-09-17T03:26:57   85: whole
        2025-09-16T23:54:59  2025-09-17T00:32:47   16: whole
        2025-09-16T23:54:59  2025-09-18T00:05:00  100: more than 98, so nothing was cut
        """,
        None,
    ),
    (
        "a burst",
        evenly(60) + evenly(150, prefix="b", at=BASE + DAY // 2, over=5 * MINUTE),
        {},
        """
        from_date            to_date              answer
        2025-09-16T23:54:59  2025-09-18T00:05:00  100: full
        2025-09-17T12:02:46  2025-09-18T00:05:00   98: whole
        2025-09-17T09:43:07  2025-09-17T12:02:47   89: whole
        2025-09-16T23:54:59  2025-09-17T09:43:08   24: whole
        2025-09-16T23:54:59  2025-09-18T00:05:00  100: more than 98, so nothing was cut
        """,
        None,
    ),
    (
        "a cap that falls half way",
        evenly(400),
        {"limit_cap_later": (11, 60)},
        """
        from_date            to_date              answer
        2025-09-16T23:54:59  2025-09-18T00:05:00  100: full
        2025-09-17T18:09:01  2025-09-18T00:05:00   98: whole
        2025-09-17T13:15:32  2025-09-17T18:09:02   82: whole
        2025-09-17T08:16:07  2025-09-17T13:15:33   83: whole
        2025-09-17T03:13:52  2025-09-17T08:16:08   84: whole
        2025-09-16T23:54:59  2025-09-17T03:13:53   54: whole
        2025-09-16T23:54:59  2025-09-18T00:05:00   60: no more than 98: all is read again
        2025-09-17T19:00:23  2025-09-18T00:05:00   60: full
        2025-09-17T20:29:25  2025-09-18T00:05:00   59: whole
        2025-09-17T17:45:02  2025-09-17T20:29:26   46: whole
        2025-09-17T14:56:22  2025-09-17T17:45:03   47: whole
        2025-09-17T12:05:58  2025-09-17T14:56:23   47: whole
        2025-09-17T09:14:11  2025-09-17T12:05:59   48: whole
        2025-09-17T06:22:16  2025-09-17T09:14:12   48: whole
        2025-09-17T03:30:40  2025-09-17T06:22:17   47: whole
        2025-09-17T00:38:05  2025-09-17T03:30:41   48: whole
        2025-09-16T23:54:59  2025-09-17T00:38:06   11: whole
        2025-09-17T19:00:23  2025-09-18T00:05:00   60: more than 59, so nothing was cut
        """,
        None,
    ),
    (
        "a tie",
        evenly(60) + [{"id": f"t{index:03}", "startTime": BASE + DAY // 2 + 7_654} for index in range(CAP)],
        {},
        """
        from_date            to_date              answer
        2025-09-16T23:54:59  2025-09-18T00:05:00  100: full
        2025-09-17T12:12:01  2025-09-18T00:05:00   30: whole
        2025-09-16T23:54:59  2025-09-17T12:12:02  100: full
        2025-09-17T12:12:00  2025-09-17T12:12:02    1: whole
        2025-09-16T23:54:59  2025-09-17T12:12:01  100: full
        2025-09-17T12:00:52  2025-09-17T12:12:01    0: empty
        2025-09-17T12:00:52  2025-09-17T12:12:01    0: empty twice, so whole
        2025-09-16T23:54:59  2025-09-17T12:00:53  100: full
        2025-09-17T12:00:10  2025-09-17T12:00:53    0: empty
        2025-09-17T12:00:10  2025-09-17T12:00:53    0: empty twice, so whole
        2025-09-16T23:54:59  2025-09-17T12:00:11  100: full
        2025-09-17T12:00:07  2025-09-17T12:00:11  100: full
        2025-09-17T12:00:08  2025-09-17T12:00:11    0: empty
        2025-09-17T12:00:08  2025-09-17T12:00:11    0: empty twice, so whole
        2025-09-16T23:54:59  2025-09-17T12:00:09  100: full
        2025-09-17T12:00:07  2025-09-17T12:00:09  100: full
        2025-09-17T12:00:08  2025-09-17T12:00:08    0: empty
        2025-09-17T12:00:07  2025-09-17T12:00:09  100: no more with a limit of 10000
        """,
        TieError,
    ),
]


@pytest.mark.parametrize(("name", "records", "server", "requests", "error"), TRACES, ids=[row[0] for row in TRACES])
def test_a_reading_goes_by_these_requests(
    name: str, records: list[dict[str, Any]], server: dict[str, Any], requests: str, error: type[CapillaryError] | None
) -> None:
    """And yields the day, or says why it can't."""
    world = Traced(records + WEEKS_BEFORE, **server)
    lines, ids, raised, _ = trace(world)
    assert with_meanings(lines, world.limits) == dedent(requests).strip().splitlines(), name
    if error is None:
        assert raised is None
        assert sorted(ids) == sorted(truth(world, BASE, BASE + DAY))
    else:
        assert isinstance(raised, error)


def test_the_example_of_the_documentation_is_true() -> None:
    """Its world, its requests, its counts, and what it concludes from them."""
    example = re.findall(r"^ +(\S+T\S+) +(\S+T\S+) +(\d+): (.*)$", str(reader_module.__doc__), re.MULTILINE)
    assert len(example) == 5
    world = Traced(evenly(250) + WEEKS_BEFORE)
    lines, ids, error, proof = trace(world)
    assert error is None
    assert sorted(ids) == sorted(truth(world, BASE, BASE + DAY))
    assert [(first, last, int(count)) for first, last, count, _ in example] == lines
    meanings = [meaning.partition(";")[0] for *_, meaning in example]
    counts = [count for *_, count in lines]
    assert meanings[:4] == ["full", "whole", "whole", "whole"]
    assert meanings[4] == f"more than {max(counts[1:4])}, so nothing was cut"
    assert f"the last {100 / 250 * 24:.1f} hours" in example[0][3]
    assert proof == {"spans": 3, "longest_answer": max(counts[1:4]), "capacity": CAP}


def batches(number: int, size: int) -> list[dict[str, Any]]:
    """Every quarter of an hour, within half a second."""
    return [
        {"id": f"b{batch}-{index}", "startTime": BASE + batch * 15 * MINUTE + 97_654 + index * 400 // size}
        for batch in range(number)
        for index in range(size)
    ]


def bursts() -> list[dict[str, Any]]:
    """Two hundred within five minutes, ten times, and 500 at any time: 2.2 requests for each 100 of them, and 8, are 63."""
    rng = random.Random(7)
    starts = [rng.randrange(DAY - 5 * MINUTE) for _ in range(10)]
    times = [start + rng.randrange(5 * MINUTE) for start in starts for _ in range(200)] + [rng.randrange(DAY) for _ in range(500)]
    return [{"id": f"u{index}", "startTime": BASE + time} for index, time in enumerate(times)]


# Worlds in which a poor next window costs a request for each step of the dates; and the most requests that a reading may take.
COSTS: list[tuple[str, list[dict[str, Any]], dict[str, Any], int]] = [
    ("batches of half of an answer, each within the step of dates", batches(96, CAP // 2), {}, 300),
    ("ten at once, in batches of five", batches(31, 5), {"limit_cap": 10}, 200),
    ("ten at once, in batches of nine", batches(31, 9), {"limit_cap": 10}, 170),
    ("ten at once, in batches of nine, oldest first", batches(31, 9), {"limit_cap": 10, "order": "oldest"}, 170),
    ("bursts, newest first", bursts(), {}, 63),
    ("bursts, oldest first", bursts(), {"order": "oldest"}, 63),
    ("bursts, in no order", bursts(), {"order": "shuffled"}, 80),
    ("bursts, one burst after the other", bursts(), {"order": "unsorted"}, 120),
    ("windows cut in silence to half an hour", evenly(96), {"max_span": 1800, "over_span": "clamp_from"}, 100),
    ("a limit refused half way", evenly(400), {"limit_cap": 1000, "limit_cap_later": (4, 50), "over_limit": "refuse"}, 24),
    ("windows refused beyond an hour", evenly(96), {"max_span": 3600}, 52),
    ("a batch too large for an answer", evenly(60) + batches(1, CAP), {}, 12),
]


@pytest.mark.parametrize(("name", "records", "server", "most"), COSTS, ids=[row[0] for row in COSTS])
def test_a_reading_goes_on(name: str, records: list[dict[str, Any]], server: dict[str, Any], most: int) -> None:
    """It does not come back to what it knows."""
    world = Traced(records + WEEKS_BEFORE, **server)
    run = drive(make_reader(date_format="iso"), world, BASE, BASE + DAY)
    if run.error is None:
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))
    assert len(run.asked) <= most, name
