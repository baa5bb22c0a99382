"""Reads thousands of drawn worlds, shrinks each that is read wrongly, and keeps it.

.. code-block:: sh

    python tests/reading/worlds_by_hand.py --worlds 10000 --seed 1
    python tests/reading/worlds_by_hand.py --worlds 10000 --seed 1 --keep

Takes some minutes for 10,000. A world that is read wrongly is printed with its seed and, shrunk, as the line of ``kept_worlds.jsonl``
from which ``test_worlds.py`` reads it ever after; ``--keep`` adds it there. Ends with 1 if there was any.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from reading.drawing import draw  # noqa: E402  # found by the line above
from reading.shrinking import KEPT, complaint, shrink  # noqa: E402

BATCH = 250


def read_batch(seeds: range) -> tuple[Counter[str], list[tuple[int, str]]]:
    """How the worlds of these seeds end, and those that are read wrongly."""
    ends: Counter[str] = Counter()
    wrong = []
    for seed in seeds:
        # One in four is kind, and half of those have faults that pass.
        case, faulty = draw(seed, wild=seed % 4 > 0), seed % 8 == 0
        end, said = complaint(case, faulty=faulty)
        ends[end] += 1
        if said is not None:
            wrong.append((seed, said))
    return ends, wrong


def main() -> int:
    """Print how the worlds ended, and what was read wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the first one; each world has the next")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true", help="add what is read wrongly to the kept worlds")
    options = parser.parse_args()
    begun, last = time.monotonic(), options.seed + options.worlds
    batches = [range(first, min(first + BATCH, last)) for first in range(options.seed, last, BATCH)]
    with ProcessPoolExecutor(options.jobs) as pool:
        results = list(pool.map(read_batch, batches))
    ends = sum((each for each, _ in results), Counter())
    print(f"{options.worlds} worlds from seed {options.seed} in {time.monotonic() - begun:.0f} s:", dict(ends.most_common()))
    wrong = list(chain.from_iterable(each for _, each in results))
    for seed, said in wrong:
        case = shrink(draw(seed, wild=seed % 4 > 0), faulty=seed % 8 == 0)
        line = json.dumps({"was": said, **case.to_data()})
        print(f"\nseed {seed}: {said}\n{line}")
        if options.keep:
            with KEPT.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
