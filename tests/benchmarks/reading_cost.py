"""What it costs, in requests, to read an interval whole. Run by hand:

    python tests/benchmarks/reading_cost.py [--date-format epoch_ms] [--filter-by write_time] [--order shuffled] ...

A line a day of N records in answers of at most p, and how they lie in the day; the floor is ceil(N / p) requests. Each is read with the
date format set and with ``auto``, from a reader that knows nothing of the API; only the day without records is read by one that has read
another day before. Beside each the most that it may cost, where there is such a bound; ends with 1 where one is passed, or a reading
fails.

=========== ===================================================================== =====================
shape       the records of the day                                                at most
=========== ===================================================================== =====================
uniform     at any time alike                                                     1.35 ceil(N / p) + 8
by hour     as people are awake: 34 in its busiest hour for 1 in its emptiest     1.35 ceil(N / p) + 8
bursts      4 of 5 in ten bursts of five minutes                                  2.2 ceil(N / p) + 8
ties        20 in one millisecond, at any time alike                              no bound
none        N = 0: records on other days only                                     2
=========== ===================================================================== =====================
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from bench.fake_api import FakeApi  # noqa: E402  # found by the path that is set above
from bench.options import TIMES  # noqa: E402  # found by the line above
from reading.drawing import BY_HOUR  # noqa: E402  # found by the path that is set above
from reading.driving import drive, make_reader  # noqa: E402  # found by the path that is set above

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400_000
HOUR = DAY // 24
START = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""
COUNTS = (0, 9, 700, 2_500, 20_000, 60_000)
PAGES = (100, 1_000)
BURSTS = 10
BURST = 5 * 60_000
TIED = 20
BESIDE = 300
"""Records on the days before and after, so that the interval is not all there is."""
MOST = 20_000


def draw_times(shape: str, count: int) -> list[int]:
    """So many times within the day."""
    rng = random.Random(f"{shape} {count}")
    bursts = [rng.randrange(DAY - BURST) for _ in range(BURSTS)]
    tied = [rng.randrange(DAY) for _ in range(math.ceil(count / TIED))]
    shapes: dict[str, Callable[[int], int]] = {
        "uniform": lambda _: rng.randrange(DAY),
        "by hour": lambda _: rng.choices(range(24), BY_HOUR)[0] * HOUR + rng.randrange(HOUR),
        "bursts": lambda _: rng.choice(bursts) + rng.randrange(BURST) if rng.random() < 0.8 else rng.randrange(DAY),
        "ties": lambda index: tied[index // TIED],
    }
    return [START + shapes[shape](index) for index in range(count)]


SHAPES: dict[str, float | None] = {"uniform": 1.35, "by hour": 1.35, "bursts": 2.2, "ties": None}
"""By how much the requests may exceed the floor."""


def make_world(shape: str, count: int, page: int, options: argparse.Namespace) -> FakeApi:
    rng = random.Random(count)
    times = draw_times(shape, count)
    times += [START + rng.choice((-1, 1)) * DAY + rng.randrange(DAY) for _ in range(BESIDE)]
    records = [{"id": f"{rng.getrandbits(64):016x}", "startTime": at, "responseTime": rng.randrange(13, 505)} for at in times]
    options = {name: getattr(options, name) for name in ("date_format", "order", "order_by", "filter_by", "cut", "from_bound", "to_bound")}
    return FakeApi(records, limit_cap=page, **options)


def requests_for(world: FakeApi, date_format: str, *, is_empty: bool) -> int | str:
    """How many requests it took, or how it failed."""
    reader = make_reader(date_format=date_format)
    if is_empty:
        before = drive(reader, world, START - DAY, START, most=MOST)
        if before.error is not None:
            return type(before.error).__name__
    run = drive(reader, world, START, START + DAY, most=MOST)
    if run.error is not None:
        return type(run.error).__name__
    wanted = sorted(record["id"] for record in world.records if START <= record["startTime"] < START + DAY)
    return len(run.asked) if sorted(run.ids) == wanted else "not whole"


def bound(shape: str, count: int, page: int) -> float | None:
    if count == 0:
        return 2
    factor = SHAPES[shape]
    return None if factor is None else factor * math.ceil(count / page) + 8


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--date-format", default="iso", help="that the server reads")
    parser.add_argument("--order", default="newest")
    parser.add_argument("--order-by", default="start_time", choices=TIMES)
    parser.add_argument("--filter-by", default="start_time", choices=TIMES)
    parser.add_argument("--cut", default="leading")
    parser.add_argument("--from-bound", default="inclusive")
    parser.add_argument("--to-bound", default="inclusive")
    options = parser.parse_args()
    begun, passed = time.monotonic(), 0
    sys.stdout.write(f"{'shape':<9}{'N':>7}{'p':>6}{'floor':>7}{'format set':>16}{'auto':>16}{'at most':>9}\n")
    for shape in SHAPES:
        for count in COUNTS:
            for page in PAGES:
                if count == 0 and shape != "uniform":
                    continue
                world = make_world(shape, count, page, options)
                floor, most = math.ceil(count / page), bound(shape, count, page)
                cells, marks = [], ""
                for date_format in (options.date_format, "auto"):
                    taken = requests_for(world, date_format, is_empty=count == 0)
                    is_bad = isinstance(taken, str) or (most is not None and taken > most)
                    passed += is_bad
                    marks += "  <-- too many" if is_bad and not isinstance(taken, str) else "  <-- failed" if is_bad else ""
                    ratio = f" ({taken / floor:.2f})" if isinstance(taken, int) and floor else ""
                    cells.append(f"{taken}{ratio}")
                shown = "-" if most is None else f"{most:.0f}"
                name = shape if count else "none"
                sys.stdout.write(f"{name:<9}{count:>7,}{page:>6,}{floor:>7}{cells[0]:>16}{cells[1]:>16}{shown:>9}{marks}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{time.monotonic() - begun:.0f} s; {passed or 'no'} reading(s) past a bound, or failed\n")
    return 1 if passed else 0


if __name__ == "__main__":
    sys.exit(main())
