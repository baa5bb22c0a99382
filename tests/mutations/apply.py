"""Breaks the package in each way of the tables, and runs the tests that have to notice.

.. code-block:: sh

    python tests/mutations/apply.py                  # all of them, on all processors
    python tests/mutations/apply.py --only "tie"     # those whose description or file holds the word
    python tests/mutations/apply.py --jobs 1         # one after the other

Each mutation is applied to a copy of the tree in a temporary folder; the tree itself is only read. First all these tests run once on a
copy that is not broken and have to pass. Ends with a table by file, and with 1 where a mutation survives, where its tests do not end, or
where they fail to run at all.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from mutations.tables import MUTATIONS  # noqa: E402  # found by the line above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mutations.mutation import Mutation

COPIED = ("airflow_provider_capillary", "example_dags", "tests", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
LONGEST = 900
"""Seconds for one run of tests; a mutation that makes them endless counts as not caught."""
PASSED, FAILED = 0, 1
"""What pytest ends with; anything else means that it ran no test."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one run.

    :param ended: what pytest ended with, ``None`` where it had to be stopped.
    :param first: the first test that failed.
    """

    ended: int | None
    first: str
    seconds: float
    printed: str

    @property
    def is_caught(self) -> bool:
        """Whether a test failed; that none ran, or none ended, proves nothing."""
        return self.ended == FAILED and bool(self.first)


def run(tests: tuple[str, ...], mutation: Mutation | None = None, *, jobs: int = 1) -> Outcome:
    """Run tests in a copy of the tree, up to the first that fails."""
    with tempfile.TemporaryDirectory(prefix="capillary-mutation-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                # What was compiled elsewhere could be taken for the broken source, which may have its size and second.
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, copy / name)
        if mutation is not None:
            broken = copy / mutation.path
            broken.write_text(mutation.applied_to(broken.read_text(encoding="utf-8")), encoding="utf-8")
        # The copy comes before a package that is installed.
        environment = os.environ | {"PYTHONPATH": str(copy)}
        # With this set, each of the hundreds of processes would compile its libraries anew.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        several = ["-n", str(jobs)] if jobs > 1 else ["-p", "no:xdist"]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *several, *tests]
        begun = time.monotonic()
        try:
            done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired:
            return Outcome(ended=None, first="", seconds=time.monotonic() - begun, printed="")
        first = re.search(r"^FAILED (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
        return Outcome(
            ended=done.returncode, first=first[1] if first else "", seconds=time.monotonic() - begun, printed=done.stdout + done.stderr
        )


def judged(outcome: Outcome) -> str:
    """What to say of a mutation's tests."""
    if outcome.ended is None:
        return "DOES NOT END"
    if outcome.ended == PASSED:
        return "SURVIVES"
    return outcome.first if outcome.is_caught else f"DID NOT RUN (pytest ended with {outcome.ended})"


def unbroken_tests(mutations: Sequence[Mutation]) -> tuple[str, ...]:
    """All tests that the mutations name, each once; of a file of which ``-k`` chooses some, all."""
    names = {each.caught_by[0] for each in mutations}
    # A test whose file is there, too, would run twice.
    return tuple(sorted(name for name in names if "::" not in name or name.partition("::")[0] not in names))


def print_table(mutations: Sequence[Mutation], outcomes: Sequence[Outcome]) -> None:
    """A line for each file: how many of its mutations are caught, and what that took."""
    by_file: dict[str, list[Outcome]] = {}
    for each, outcome in zip(mutations, outcomes, strict=True):
        by_file.setdefault(each.file, []).append(outcome)
    print(f"\n{'file':<32}{'mutations':>10}{'caught':>8}{'seconds':>9}")
    for file, group in by_file.items():
        print(f"{file:<32}{len(group):>10}{sum(each.is_caught for each in group):>8}{sum(each.seconds for each in group):>9.0f}")


def main() -> int:
    """Print one line for each mutation, a table, and the survivors again at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="those whose description or file holds this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once; as many as there are processors")
    options = parser.parse_args()
    chosen = [each for each in MUTATIONS if options.only.lower() in f"{each.file}: {each.breaks}".lower()]
    begun = time.monotonic()
    whole = run(unbroken_tests(chosen), jobs=options.jobs)
    print(f"not broken: {'passes' if whole.ended == PASSED else 'FAILS'} | {whole.seconds:.1f} s", flush=True)
    if whole.ended != PASSED:
        print(whole.printed)
        return 1
    print("\nfile: what is broken | caught by | seconds")
    outcomes, lost = [], []
    with ThreadPoolExecutor(options.jobs) as pool:
        for each, outcome in zip(chosen, pool.map(lambda each: run(each.caught_by, each), chosen), strict=True):
            line = f"{each.file}: {each.breaks} | {judged(outcome)} | {outcome.seconds:.1f}"
            print(line, flush=True)
            outcomes.append(outcome)
            if not outcome.is_caught:
                lost.append(line)
    print_table(chosen, outcomes)
    print(f"\n{len(chosen) - len(lost)} of {len(chosen)} mutations are caught ({time.monotonic() - begun:.0f} s)")
    print(*lost, sep="\n")
    return 1 if lost or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
