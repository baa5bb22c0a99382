"""Reads thousands of drawn worlds, prints how each family of them ends, shrinks what is read wrongly, and keeps it.

.. code-block:: sh

    python tests/reading/worlds_by_hand.py --worlds 9000 --seed 1
    python tests/reading/worlds_by_hand.py --worlds 1000 --seed 1 --family by_writing --keep

Takes some minutes for 9,000. Of what is read wrongly, the first of each kind and family are printed with their seeds and, shrunk, as the
lines of ``kept_worlds.jsonl`` from which ``test_worlds.py`` reads them ever after; ``--keep`` adds them there, ``--out`` to another file.
Ends with 1 if there was any.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from reading.drawing import FAMILIES, draw, has_faults  # noqa: E402  # found by the line above
from reading.shrinking import KEPT, complaint, shrink  # noqa: E402  # found by the path that is set above
from reading.splitting import why_not  # noqa: E402  # found by the path that is set above

BATCH = 90
SEEDS_SHOWN = 8


def read_batch(seeds: range, family: str) -> list[tuple[int, str, bool, str, str | None]]:
    """For the world of each seed: its family, whether its windows can be split, how it ends, and what is wrong with that."""
    found = []
    for seed in seeds:
        case = draw(seed, family)
        can_be_split = why_not(case, case.make_world()) is None
        found.append((seed, case.family, can_be_split, *complaint(case, faulty=has_faults(seed))))
    return found


def print_table(results: list[tuple[int, str, bool, str, str | None]]) -> None:
    """A line a family: how many there are, of how many the whole is demanded, and how they end; errors that are right in brackets."""
    print(f"{'family':<12}{'worlds':>8}{'demanded':>10}{'of them whole':>15}   ends (right / wrong)")
    for family in FAMILIES:
        rows = [row for row in results if row[1] == family]
        if not rows:
            continue
        demanded = [row for row in rows if row[2]]
        whole = sum(row[4] is None for row in demanded)
        ends = Counter((row[3], row[4] is None) for row in rows)
        right = ", ".join(f"{end} {number}" for (end, is_right), number in ends.most_common() if is_right)
        wrong = ", ".join(f"{end} {number}" for (end, is_right), number in ends.most_common() if not is_right)
        share = f"{whole} ({100 * whole / len(demanded):.1f} %)" if demanded else "-"
        print(f"{family:<12}{len(rows):>8}{len(demanded):>10}{share:>15}   {right} / {wrong or 'none'}")


def main() -> int:
    """Print how the worlds ended, and what was read wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=9_000)
    parser.add_argument("--seed", type=int, default=1, help="the first one; each world has the next")
    parser.add_argument("--family", choices=tuple(FAMILIES), default="", help="worlds of this family alone")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shrunk", type=int, default=2, help="how many of each kind of wrong and family to shrink")
    parser.add_argument("--keep", action="store_true", help="add what was shrunk to the kept worlds")
    parser.add_argument("--out", type=Path, help="add what was shrunk to this file")
    options = parser.parse_args()
    begun, last = time.monotonic(), options.seed + options.worlds
    batches = [range(first, min(first + BATCH, last)) for first in range(options.seed, last, BATCH)]
    with ProcessPoolExecutor(options.jobs) as pool:
        results = list(chain.from_iterable(pool.map(read_batch, batches, [options.family] * len(batches))))
    print_table(results)
    print(f"{options.worlds} worlds from seed {options.seed} in {time.monotonic() - begun:.0f} s")
    wrong = defaultdict(list)
    for seed, family, _, _, said in results:
        if said is not None:
            wrong[family, said].append(seed)
    for (family, said), seeds in sorted(wrong.items()):
        shown = " ".join(map(str, seeds[:SEEDS_SHOWN])) + (" ..." if len(seeds) > SEEDS_SHOWN else "")
        print(f"\n{family}: {said}: {len(seeds)}, seeds {shown}")
        for seed in seeds[: options.shrunk]:
            case = shrink(draw(seed, options.family), faulty=has_faults(seed))
            line = json.dumps({"was": said, **case.to_data()})
            print(line)
            for file in [KEPT] * options.keep + [options.out] * (options.out is not None):
                with file.open("a", encoding="utf-8") as opened:
                    opened.write(line + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
