"""Draws small worlds from a generator of random numbers: records, a server that takes liberties with them, and what is asked of it."""

from __future__ import annotations

import random
from typing import Any

from reading.worlds import Case

__all__ = ["draw"]

NOW = 1_758_171_830_945
"""The newest of the documented records."""
TURN = 1_761_440_400_000
"""2025-10-26T01:00:00Z, when the clocks of Europe are set back."""
DAY = 86_400_000
OFFSETS = ("+05:30", "-08:00", "+00:30", "+05:45", "Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
FINE_FORMATS = (("iso",), ("iso_z",), ("datetime",), ("epoch_ms",), ("epoch_ms", "iso"), ("epoch_ms", "iso_z", "iso", "datetime"))
OWN_FORMATS = ("%d/%m/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S.%fZ", "%d.%m.%Y %H:%M")


def draw(seed: int, *, wild: bool) -> Case:
    """A case that depends on the seed alone.

    A *kind* world behaves as the two published examples do: newest first, the limit honoured or lowered, dates read to a second or finer.
    A *wild* one takes any liberty.
    """
    rng = random.Random(seed)
    times, base, span = draw_times(rng)
    records = [
        {"id": f"{index:04}-{rng.randrange(10**6):06}", "startTime": time, "eventName": rng.choice("eef"), "status": "EVENT_SUCCESS"}
        for index, time in enumerate(times)
    ]
    liberties = draw_kind(rng)
    settings: dict[str, Any] = {"page_size": rng.choice([1000, 1000, 50, 10]), "date_format": "auto"}
    if rng.random() < 0.4:
        settings["date_format"] = liberties["date_format"][0]
    if wild:
        liberties |= draw_wild(rng, span)
        if rng.random() < 0.1:
            # The connection names a format that the API reads; `auto` does not try it.
            settings["date_format"] = rng.choice(OWN_FORMATS)
            liberties["date_format"] = (settings["date_format"],)
        if "timezone" in liberties and rng.random() < 0.6:
            settings["timezone"] = liberties["timezone"]
    start, end = draw_interval(rng, times, base, span)
    if "max_span" in liberties:
        # An interval of thousands of windows would be read, some other day.
        liberties["max_span"] = max(liberties["max_span"], (end - start) / 30_000)
    return Case(
        seed=seed,
        liberties=liberties,
        records=records,
        start=start,
        end=end,
        settings=settings,
        event_name="e" if rng.random() < 0.15 else None,
        skips=wild and rng.random() < 0.06,
    )


def draw_times(rng: random.Random) -> tuple[list[int], int, int]:
    """Times, the earliest possible of them, and over how long they are spread."""
    count = rng.choice([0, 1, 2, 3, 5, 8, 13, 20, 40, 80, 150])
    span = rng.choice([1_000, 60_000, 3_600_000, DAY, 30 * DAY])
    base = NOW - rng.randrange(40 * DAY)
    if rng.random() < 0.2:
        base -= base % DAY
    if rng.random() < 0.1:
        base = TURN - rng.randrange(span + 7_200_000)
    centres = [base + rng.randrange(span) for _ in range(max(3, count // 4))]
    step = rng.choice([1, 2, 1000, 600_000])
    times = {
        "even": lambda: [base + rng.randrange(span) for _ in range(count)],
        "ties": lambda: [rng.choice(centres) for _ in range(count)],
        "burst": lambda: [base + rng.randrange(2000 if rng.random() < 0.6 else span) for _ in range(count)],
        "gaps": lambda: [rng.choice(centres[:3]) + rng.randrange(5000) for _ in range(count)],
        "seconds": lambda: [(base + rng.randrange(span)) // 1000 * 1000 for _ in range(count)],
        "one": lambda: [base] * min(count, 4),
        "dense": lambda: [base + index * step for index in range(count)],
        "tie at an end": lambda: [base] * min(count, 6) + [base + rng.choice([-1, 1]) * rng.randrange(span) for _ in range(count)],
    }
    return times[rng.choice(list(times))](), base, span


def draw_interval(rng: random.Random, times: list[int], base: int, span: int) -> tuple[int, int]:
    """An interval: among the records, around them all, beside them, or with its ends at records."""
    start = base + rng.randrange(-span, span)
    end = start + rng.randrange(1, 2 * span + 2)
    kind = rng.random()
    if kind < 0.25:
        start, end = base - span, base + 2 * span
    elif kind < 0.45 and times:
        start = rng.choice(times) + rng.randrange(-1, 2)
        end = max(start + 1, rng.choice(times) + rng.randrange(-1, 2))
    elif kind < 0.6:
        start, end = start - start % 1000, end - end % -1000
    elif kind < 0.7:
        start, end = start - start % DAY, end - end % -DAY
    return start, end


def draw_kind(rng: random.Random) -> dict[str, Any]:
    """What two servers like that of the published examples may differ in."""
    return {
        "limit_cap": rng.choice([None, None, 2, 3, 4, 5, 8, 10, 25, 60]),
        "date_format": rng.choice(FINE_FORMATS),
        "precision": rng.choice(["ms", "ms", "s"]),
        "coarse_bound": rng.choice(["unit", "instant"]),
        "unparsable_date": rng.choice(["refuse", "ignore", "empty"]),
        "from_bound": rng.choice(["inclusive", "exclusive"]),
        "to_bound": rng.choice(["inclusive", "exclusive"]),
        "tie_order": rng.choice(["stable", "varying"]),
        "fractions": rng.choice(["read", "drop", "refuse"]),
    }


def draw_wild(rng: random.Random, span: int) -> dict[str, Any]:
    """Any liberty, some at once."""
    drawn: dict[str, Any] = {}
    over_span = rng.choice(["refuse", "clamp_from", "clamp_to", "empty"])
    liberties: list[tuple[float, dict[str, Any]]] = [
        (0.4, {"order": rng.choice(["oldest", "oldest", "oldest", "unsorted", "shuffled"])}),
        (0.1, {"cut": rng.choice(["sample", "sample_random"])}),
        (0.2, {"over_limit": "refuse"}),
        (0.2, {"limit_cap_later": (rng.randrange(1, 12), rng.choice([1, 2, 3, 4, 6]))}),
        (0.03, {"limit_cap": 1}),
        (0.2, {"precision": rng.choice(["minute", "hour", "day"])}),
        (0.15, {"date_format": rng.choice([("date",), ("date", "iso"), ("%d/%m/%Y %H:%M:%S",)])}),
        (0.2, {"timezone": rng.choice(OFFSETS)}),
        (0.2, {"max_span": span / 1000 * rng.choice([0.01, 0.1, 0.5, 1, 2, 3]), "over_span": over_span}),
        (0.08, {"ignores": rng.choice([("from_date",), ("to_date",), ("limit",), ("from_date", "to_date")])}),
        (0.08, {"strays": rng.choice([1, 2])}),
        (0.15, {"late_share": rng.choice([0.05, 0.2, 1.0]), "late_request": rng.randrange(1, 15)}),
    ]
    for share, liberty in liberties:
        if rng.random() < share:
            drawn |= liberty
    return drawn
