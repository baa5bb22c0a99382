"""Small worlds, drawn by seed: records, and a server that takes liberties with them.

A *kind* world behaves as the two published examples do (newest first, the limit honoured or lowered, dates read to a second or finer), and
must be read in full. A *wild* one takes any liberty, and must be read in full or end in an error of this package.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_capillary.emulator.world import World
from airflow_provider_capillary.reading.steps import NoReply, Reply
from reading.driving import Run, drive, make_reader, truth

NOW = 1_758_171_830_945
"""The newest of the documented records."""


@dataclass
class Case:
    """One reading of one world."""

    seed: int
    liberties: dict[str, Any]
    records: list[dict[str, Any]]
    start: int
    end: int
    settings: dict[str, Any] = field(default_factory=dict)

    def read(self, *, faulty: bool = False) -> tuple[Run, World]:
        world = World(self.records, seed=self.seed, **self.liberties)
        fault = passing_faults(self.seed) if faulty else (lambda _number: None)
        return drive(make_reader(seed=self.seed, **self.settings), world, self.start, self.end, fault=fault), world

    @property
    def page(self) -> int:
        return min(self.settings["page_size"], self.liberties.get("limit_cap") or 10**9)

    @property
    def instant(self) -> int:
        """The API's precision as far as dates of the format that is used can reach it, milliseconds."""
        formats = self.liberties["date_format"]
        coarse = self.settings["date_format"] not in ("auto", "epoch_ms") or "epoch_ms" not in formats
        return 1000 if coarse or self.liberties["precision"] == "s" else 1

    @property
    def crowd(self) -> int:
        """The most records that lie within one instant, and on the far side of its end."""
        times = sorted(record["startTime"] for record in self.records)
        unit = self.instant
        return max((sum(each <= other <= each // unit * unit + unit for other in times) for each in times), default=0)

    @property
    def is_one_instant(self) -> bool:
        """Whether the API shows nothing but several records of one instant: then no answer tells whether there are more of them."""
        return len(self.records) > 1 and len({record["startTime"] // 1000 for record in self.records}) <= 2

    def most_requests(self, count: int) -> int:
        times = Counter(record["startTime"] // self.instant for record in self.records if self.start <= record["startTime"] < self.end)
        calibration = 8 if self.settings["date_format"] == "auto" else 2
        return math.ceil(count / (self.page - max(times.values(), default=0))) + 4 + calibration


def draw(seed: int, *, wild: bool) -> Case:
    rng = random.Random(seed)
    times, base, span = draw_times(rng)
    records = [
        {"id": f"{index:04}-{rng.randrange(10**6):06}", "startTime": time, "status": "EVENT_SUCCESS", "eventName": "e"}
        for index, time in enumerate(times)
    ]
    start = base + rng.randrange(-span, span)
    end = start + rng.randrange(1, 2 * span + 2)
    if rng.random() < 0.25:
        start, end = base - span, base + 2 * span
    if rng.random() < 0.3:
        start, end = start - start % 1000, end - end % -1000
    liberties = draw_kind(rng)
    settings: dict[str, Any] = {"page_size": rng.choice([1000, 1000, 50, 10]), "date_format": "auto"}
    if rng.random() < 0.4:
        settings["date_format"] = liberties["date_format"][0]
    if wild:
        liberties |= draw_wild(rng, span)
        if "timezone" in liberties and rng.random() < 0.6:
            settings["timezone"] = liberties["timezone"]
    return Case(seed, liberties, records, start, end, settings)


def draw_times(rng: random.Random) -> tuple[list[int], int, int]:
    count = rng.choice([0, 1, 2, 3, 5, 8, 13, 20, 40, 80, 150])
    span = rng.choice([1_000, 60_000, 3_600_000, 86_400_000, 30 * 86_400_000])
    base = NOW - rng.randrange(40 * 86_400_000)
    if rng.random() < 0.2:
        base -= base % 86_400_000
    centres = [base + rng.randrange(span) for _ in range(max(3, count // 4))]
    step = rng.choice([1, 2, 1000])
    times = {
        "even": lambda: [base + rng.randrange(span) for _ in range(count)],
        "ties": lambda: [rng.choice(centres) for _ in range(count)],
        "burst": lambda: [base + rng.randrange(2000 if rng.random() < 0.6 else span) for _ in range(count)],
        "gaps": lambda: [rng.choice(centres[:3]) + rng.randrange(5000) for _ in range(count)],
        "seconds": lambda: [(base + rng.randrange(span)) // 1000 * 1000 for _ in range(count)],
        "one": lambda: [base] * min(count, 4),
        "dense": lambda: [base + index * step for index in range(count)],
    }
    return times[rng.choice(list(times))](), base, span


def draw_kind(rng: random.Random) -> dict[str, Any]:
    return {
        "limit_cap": rng.choice([None, None, 2, 3, 4, 5, 8, 10, 25, 60]),
        "date_format": rng.choice(
            [("iso",), ("iso_z",), ("datetime",), ("epoch_ms",), ("epoch_ms", "iso"), ("epoch_ms", "iso_z", "iso", "datetime")]
        ),
        "precision": rng.choice(["ms", "ms", "s"]),
        "coarse_bound": rng.choice(["unit", "instant"]),
        "unparsable_date": rng.choice(["refuse", "ignore", "empty"]),
        "from_bound": rng.choice(["inclusive", "exclusive"]),
        "to_bound": rng.choice(["inclusive", "exclusive"]),
        "tie_order": rng.choice(["stable", "varying"]),
        "fractions": rng.choice(["read", "drop", "refuse"]),
    }


def draw_wild(rng: random.Random, span: int) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    liberties: list[tuple[float, dict[str, Any]]] = [
        (0.35, {"order": rng.choice(["oldest", "oldest", "unsorted", "shuffled"])}),
        (0.15, {"cut": rng.choice(["sample", "sample_random"])}),
        (0.25, {"over_limit": "refuse"}),
        (0.2, {"limit_cap_later": (rng.randrange(1, 12), rng.choice([2, 3, 4, 6]))}),
        (0.25, {"precision": rng.choice(["minute", "hour", "day"])}),
        (0.2, {"date_format": rng.choice([("date",), ("date", "iso")])}),
        (0.2, {"timezone": rng.choice(["+05:30", "-08:00", "Asia/Kolkata", "America/New_York", "+00:30", "Europe/Berlin"])}),
        (
            0.2,
            {
                "max_span": span / 1000 * rng.choice([0.1, 0.5, 1, 2, 3]),
                "over_span": rng.choice(["refuse", "clamp_from", "clamp_to", "empty"]),
            },
        ),
        (0.1, {"ignores": rng.choice([("from_date",), ("to_date",), ("limit",), ("from_date", "to_date")])}),
        (0.1, {"strays": rng.choice([1, 2])}),
        (0.1, {"late_share": 0.2, "late_request": rng.randrange(1, 15)}),
    ]
    for share, liberty in liberties:
        if rng.random() < share:
            drawn |= liberty
    return drawn


def passing_faults(seed: int) -> Any:
    """Faults of 15 % of the requests: 5xx, 429 in several forms, resets, cut-off bodies, HTML, nothing."""
    rng = random.Random(-seed)
    retry_after = ["1", "99999", "soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"]

    def fault(_number: int) -> Reply | NoReply | None:
        if rng.random() > 0.15:
            return None
        return rng.choice(
            [
                NoReply(what="a connection that broke", cure="retry"),
                Reply(status=rng.choice([500, 502, 503, 504, 520, 461]), headers={}, body=b""),
                Reply(status=429, headers={"retry-after": rng.choice(retry_after)}, body=b""),
                Reply(status=429, headers={}, body=b""),
                Reply(status=200, headers={}, body=b'{"data":[{"id":'),
                Reply(status=200, headers={"content-type": "text/html"}, body=b"<html>"),
                Reply(status=200, headers={}, body=b""),
            ]
        )

    return fault


def judge(case: Case, run: Run, world: World) -> str | None:
    """What is wrong with how a reading ended, ``None`` where nothing is: it has every record of the interval once, or it has failed."""
    if run.error is not None:
        return None
    wanted, got = truth(world, case.start, case.end), Counter(run.ids)
    # A record that begins to show while it is read may be among them or not.
    late = set(world._late)
    if any(number != 1 or name not in wanted for name, number in got.items()):
        return "a record twice, or one from outside of the interval"
    missing = [name for name in wanted if name not in got and name not in late]
    return f"{len(missing)} of {len(wanted)} records lost without an error" if missing else None
