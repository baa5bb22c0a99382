"""Makes a world that is read wrongly as small as it can be while it still is, and keeps it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reading.worlds import Case, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEPT", "complaint", "kept_worlds", "shrink"]

KEPT = Path(__file__).with_name("kept_worlds.jsonl")
PATIENCE = 30.0
"""Seconds after which what was found so far is small enough."""


def complaint(case: Case, *, faulty: bool = False) -> tuple[str, str | None]:
    """How the reading of a world ends, and what is wrong with that."""
    try:
        run, world = case.read(faulty=faulty)
    except Exception as error:  # noqa: BLE001  # whatever comes out is the finding
        return type(error).__name__, f"not an error of this package: {type(error).__name__}"
    end = "in full" if run.error is None else type(run.error).__name__
    return end, judge(case, run, world)


def shrink(case: Case, *, faulty: bool = False) -> Case:
    """The smallest case found that has the complaint of this one."""
    _, said = complaint(case, faulty=faulty)
    smaller, until = True, time.monotonic() + PATIENCE
    while smaller:
        smaller = False
        for simpler in _simpler(case):
            if time.monotonic() > until:
                return case
            if complaint(simpler, faulty=faulty)[1] == said:
                case, smaller = simpler, True
                break
    return case


def _simpler(case: Case) -> Iterator[Case]:
    size = len(case.records)
    while size:
        for first in range(0, len(case.records), size):
            yield replace(case, records=case.records[:first] + case.records[first + size :])
        size //= 2
    for name in case.options:
        yield replace(case, options={each: value for each, value in case.options.items() if each != name})
    for name in case.settings:
        yield replace(case, settings={each: value for each, value in case.settings.items() if each != name})
    if case.event_name is not None:
        yield replace(case, event_name=None)
    if case.skips:
        yield replace(case, skips=False)


def kept_worlds() -> list[tuple[str, Case]]:
    """The worlds that were read wrongly once, and how."""
    rows = [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]
    return [(row.pop("was"), Case.from_data(row)) for row in rows]
