"""Draws small worlds from a generator of random numbers: records, a server that takes options with them, and what is asked of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from bench.fake_api import FakeApi

from reading.splitting import why_not
from reading.worlds import Case

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAMILIES", "draw", "has_faults"]

NOW = 1_758_171_830_945
"""The newest of the documented records."""
TURNS = (1_761_440_400_000, 1_743_296_400_000)
"""2025-10-26T01:00:00Z and 2025-03-30T01:00:00Z, when the clocks of Europe are set back and forward."""
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SPANS = (MINUTE, HOUR, DAY, 7 * DAY, 90 * DAY)
COUNTS = (0, 1, 2, 3, 5, 8, 9, 10, 13, 20, 40, 80, 150, 150, 300, 300, 600, 600, 1200, 2500)
ZONES = ("+05:30", "-08:00", "+00:30", "+05:45", "Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
FINE_FORMATS = (("iso",), ("iso_z",), ("datetime",), ("epoch_ms",), ("epoch_ms", "iso"), ("epoch_ms", "iso_z", "iso", "datetime"))
OWN_FORMATS = ("%d/%m/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S.%fZ")
COARSE_FORMATS = (("date",), ("date", "iso"), ("%d.%m.%Y %H:%M",), ("%d/%m/%Y",))
LAGS = ((0, 500), (13, 504), (0, 5_000), (0, MINUTE), (1_000, MINUTE), (0, 5 * MINUTE - 1), (4 * MINUTE, 5 * MINUTE))
BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 8, 14, 20, 24, 26, 30, 28, 24, 24, 26, 30, 34, 30, 20, 10, 4, 2)
"""Parts of a day's events that fall into each of its hours."""
REDRAWN = 0.9
"""Share of the worlds that are drawn again until their windows can be split, so that something is demanded of most."""
MOST_WINDOWS = 30
FEW = 20
"""Records. Of so few, one at least is so old that a window around it need not end in the future."""


def has_faults(seed: int) -> bool:
    """Whether the world of this seed is read over a line with faults: one in six of each family."""
    return seed // len(FAMILIES) % 6 == 0


def draw(seed: int, family: str = "") -> Case:
    """A case that depends on its arguments alone.

    :param family: a name of ``FAMILIES``; left out, they take turns.
    """
    family = family or tuple(FAMILIES)[seed % len(FAMILIES)]
    rng = random.Random(f"{family} {seed}")
    insists = family != "hostile" and rng.random() < REDRAWN
    for _ in range(50):
        case = draw_once(rng, seed, family)
        if not insists or why_not(case, case.make_world()) is None:
            break
    return case


def draw_once(rng: random.Random, seed: int, family: str) -> Case:
    """One try."""
    # Coarse dates need few records for their time.
    span = rng.choice(SPANS[2:] if family == "coarse" else SPANS)
    base = NOW - rng.randrange(40 * DAY)
    if rng.random() < 0.2:
        base -= base % DAY
    if rng.random() < 0.1:
        base = rng.choice(TURNS) - rng.randrange(span + 2 * HOUR)
    times = draw_times(rng, base, span)
    slowest = rng.choice([500, 500, MINUTE])
    records = [
        {
            "id": f"{rng.getrandbits(48):012x}",
            "startTime": time,
            "eventName": rng.choice("eef"),
            "status": "EVENT_SUCCESS",
            "responseTime": rng.randrange(slowest + 1),
        }
        for time in times
    ]
    start, end = draw_interval(rng, times, base, span)
    options = draw_server(rng)
    settings: dict[str, Any] = {"page_size": rng.choice([1000, 1000, 1000, 200, 100, 50, 10])}
    FAMILIES[family](rng, options, end - start)
    if family not in ("kind", "by_writing", "unordered", "subset") and rng.random() < 0.3:
        FAMILIES[rng.choice(["by_writing", "unordered", "subset"])](rng, options, end - start)
    if family != "kind" and rng.random() < 0.05:
        # The connection names a format that the API reads; `auto` does not try it.
        options["date_format"] = (rng.choice(OWN_FORMATS),)
    if rng.random() < 0.4 or "%" in options["date_format"][0]:
        settings["date_format"] = options["date_format"][0]
    if family != "kind" and rng.random() < 0.25:
        settings["timezone"] = options["timezone"] = rng.choice(ZONES)
    if family == "at_present":
        written = FakeApi(records, seed=seed, **options).write_time
        least = 1 if len(times) > FEW else 2 * MINUTE
        present = max([base, *(written(record["id"]) for record in records)]) + max(least, rng.choice([1, 400, 5_000, MINUTE, 10 * MINUTE]))
        options["present"] = present
        end = present + rng.choice([5 * MINUTE, 1_000, 0, -1, -MINUTE, -5 * MINUTE])
        start = min(end - 1, rng.choice([start, end - HOUR, end - DAY, end - span]))
    skips = family == "hostile" and make_hostile(rng, options, settings)
    name = "e" if rng.random() < 0.15 else None
    lanes = rng.choice((1, 2, 3, 5, 16))
    if name is not None:
        options |= rng.choice([{}, {"names": "after"}, {"names": "after"}, {"named_cap": rng.choice([10, 20, 50])}])
    return Case(seed, options, records, start, end, settings=settings, event_name=name, skips=skips, family=family, lanes=lanes)


def draw_times(rng: random.Random, base: int, span: int) -> list[int]:
    """The times of the records, from ``base`` on over about ``span``."""
    count = rng.choice(COUNTS)
    centres = [base + rng.randrange(span) for _ in range(max(3, count // 4))]
    step = rng.choice([1, 20, 1000, 600_000])

    def by_hour() -> int:
        (hour,) = rng.choices(range(24), BY_HOUR)
        day = base + rng.randrange(max(1, span // DAY)) * DAY
        return day - day % DAY + hour * HOUR + rng.randrange(HOUR)

    def burst(length: int) -> int:
        return rng.choice(centres[:3]) + rng.randrange(length) if rng.random() < 0.8 else base + rng.randrange(span)

    shapes: dict[str, Callable[[], list[int]]] = {
        "even": lambda: [base + rng.randrange(span) for _ in range(count)],
        "even too": lambda: [base + rng.randrange(span) for _ in range(count)],
        "by hour": lambda: [by_hour() for _ in range(count)],
        "ties": lambda: [rng.choice(centres) for _ in range(count)],
        "bursts of a second": lambda: [burst(2_000) for _ in range(count)],
        "bursts of minutes": lambda: [burst(5 * MINUTE) for _ in range(count)],
        "gaps": lambda: [rng.choice(centres[:3]) + rng.randrange(5 * MINUTE) for _ in range(count)],
        "seconds": lambda: [(base + rng.randrange(span)) // 1000 * 1000 for _ in range(count)],
        "one": lambda: [base] * min(count, 9),
        "dense": lambda: [base + index * step for index in range(count)],
        "tie at an end": lambda: [base] * min(count, 9) + [base + rng.choice([-1, 1]) * rng.randrange(span) for _ in range(count)],
    }
    return shapes[rng.choice(list(shapes))]()


def draw_interval(rng: random.Random, times: list[int], base: int, span: int) -> tuple[int, int]:
    """An interval: among the records, around them all, beside them, or with its ends at records."""
    start = base + rng.randrange(-span, span)
    end = start + rng.randrange(1, 2 * span + 2)
    kind = rng.random()
    if kind < 0.4:
        start, end = base - span, base + 2 * span
    elif kind < 0.6 and times:
        start = rng.choice(times) + rng.randrange(-1, 2)
        end = max(start + 1, rng.choice(times) + rng.randrange(-1, 2))
    elif kind < 0.7:
        start, end = start - start % 1000, end - end % -1000
    elif kind < 0.85:
        start, end = start - start % DAY, end - end % -DAY
    return start, end


def draw_server(rng: random.Random) -> dict[str, Any]:
    """What two servers like that of the published examples may differ in."""
    drawn: dict[str, Any] = {
        "limit_cap": rng.choice([None, 10, 12, 20, 25, 50, 100, 100, 250, 1000]),
        "date_format": rng.choice(FINE_FORMATS),
        "precision": rng.choice(["ms", "ms", "s"]),
        "coarse_bound": rng.choice(["unit", "instant"]),
        "unparsable_date": rng.choice(["refuse", "ignore", "empty"]),
        "from_bound": rng.choice(["inclusive", "exclusive"]),
        "to_bound": rng.choice(["inclusive", "exclusive"]),
        "tie_order": rng.choice(["stable", "varying"]),
        "fractions": rng.choice(["read", "drop", "refuse"]),
        "order": rng.choice(["newest", "newest", "oldest"]),
    }
    if rng.random() < 0.2:
        drawn["over_limit"] = "refuse"
    if rng.random() < 0.03:
        drawn["ignores"] = ("limit",)
    return drawn


ServerOptions = dict[str, Any]


def as_published(_rng: random.Random, _does: ServerOptions, _length: int) -> None:
    """Nothing further."""


def by_writing(rng: random.Random, does: ServerOptions, _length: int) -> None:
    """Sorted by the time of writing, compared with it, or both."""
    sorts, compares = rng.choice([(True, False), (False, True), (True, True), (True, True)])
    does |= {"order_by": "write_time"} if sorts else {}
    does |= {"filter_by": "write_time"} if compares else {}
    # Or the records' own response times.
    does["write_lag"] = rng.choice([None, None, *LAGS])


def unordered(rng: random.Random, does: ServerOptions, length: int) -> None:
    """In a fixed order without time, or in a new one each time."""
    does["order"] = rng.choice(["unsorted", "shuffled"])
    if rng.random() < 0.3:
        by_writing(rng, does, length)


def subset(rng: random.Random, does: ServerOptions, length: int) -> None:
    """Any of the matching, where there are more than the limit."""
    does["cut"] = rng.choice(["trailing", "sample", "sample_random"])
    if rng.random() < 0.3:
        (by_writing if rng.random() < 0.5 else unordered)(rng, does, length)


def coarse(rng: random.Random, does: ServerOptions, _length: int) -> None:
    """Dates read to the minute, the hour or the day, or that can't be written more finely."""
    does["limit_cap"] = rng.choice([None, 50, 100, 250, 1000])
    if rng.random() < 0.4:
        does["date_format"] = rng.choice(COARSE_FORMATS)
    else:
        does["precision"] = rng.choice(["minute", "hour", "day"])


def windows(rng: random.Random, does: ServerOptions, length: int) -> None:
    """Longer windows refused, cut, or answered with nothing."""
    does["over_span"] = rng.choice(["refuse", "clamp_from", "clamp_to", "empty"])
    least = (length + 20 * MINUTE) / 1000 / MOST_WINDOWS
    does["max_span"] = max(least, rng.choice([600, 3_600, 6 * 3_600, 86_400, 7 * 86_400, length / 1000 * rng.choice([0.2, 0.6, 1, 1.01])]))


def lowering(rng: random.Random, does: ServerOptions, _length: int) -> None:
    """The cap falls half way, and stays."""
    does["limit_cap_later"] = (rng.choice([1, 2, 3, 4, 6, 8, 12, 20, 40]), rng.choice([10, 11, 15, 20, 50, 100]))


def late(rng: random.Random, does: ServerOptions, _length: int) -> None:
    """Some records show while the others are read."""
    does["late_share"] = rng.choice([0.02, 0.1, 0.3, 0.9])
    does["late_request"] = rng.choice([2, 3, 4, 5, 7, 10, 15, 30])


def at_present(rng: random.Random, does: ServerOptions, length: int) -> None:
    """The interval ends about now, and what the API makes of the future differs; its other options are any family's."""
    does["future"] = rng.choice(["read", "refuse", "refuse", "empty", "present"])
    if rng.random() < 0.5:
        # Dates that are read coarsely do not reach the present.
        kinds = [by_writing, unordered, subset, lowering, late] + [coarse] * (does["future"] != "present")
        rng.choice(kinds)(rng, does, length)


def hostile(rng: random.Random, does: ServerOptions, length: int) -> None:
    """Any of the others; what makes it hostile is :func:`make_hostile`'s."""
    if rng.random() < 0.5:
        rng.choice([coarse, windows, lowering, late])(rng, does, length)


FAMILIES: dict[str, Callable[[random.Random, ServerOptions, int], None]] = {
    "kind": as_published,
    "by_writing": by_writing,
    "unordered": unordered,
    "subset": subset,
    "coarse": coarse,
    "windows": windows,
    "lowering": lowering,
    "late": late,
    "at_present": at_present,
    "hostile": hostile,
}
"""What sets the worlds of each family apart."""


def make_hostile(rng: random.Random, does: ServerOptions, settings: dict[str, Any]) -> bool:
    """Take what no promise covers; return whether its pages have holes."""
    kind = rng.choice(["dates", "dates", "strays", "zone", "zone", "holes", "format"])
    if kind == "dates":
        does["ignores"] = rng.choice([("from_date",), ("to_date",), ("from_date", "to_date")])
    elif kind == "strays":
        does["strays"] = rng.choice([1, 2])
    elif kind == "zone":
        does["timezone"] = rng.choice(ZONES)
        if rng.random() < 0.3:
            settings["timezone"] = rng.choice(ZONES)
    elif kind == "format":
        does["date_format"] = (rng.choice(OWN_FORMATS),)
        settings["date_format"] = "auto"
    elif kind == "holes":
        # One fewer than the cap is still the documented ten, refused limits or not.
        does["limit_cap"] = max(20, does["limit_cap"] or 0)
        does.pop("ignores", None)
        settings["page_size"] = max(50, settings["page_size"])
        if "limit_cap_later" in does:
            does["limit_cap_later"] = (does["limit_cap_later"][0], max(20, does["limit_cap_later"][1]))
    return kind == "holes"
