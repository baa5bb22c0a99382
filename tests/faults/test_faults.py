"""Each fault of the table, at each step; through the two drivers in turns."""

from __future__ import annotations

import pytest
from faults.bench import DRIVERS, FOR_EVER, POLLS, STEPS
from faults.checker import check
from faults.table import TABLE, row_of

from airflow_provider_capillary.emulator import FAULTS


def cases():
    """What passes befalls one request of each step, and all from one on at some; what does not pass, each step for good.

    Sensor and trigger poll by code of their own, so each poll has both drivers. All other steps are taken by one flow that either
    driver runs: where a fault comes once and for long, each driver has one of the two; else the next step has the other driver.
    """
    for number, fault in enumerate(TABLE):
        for place, step in enumerate(STEPS):
            passing = row_of(fault, step).verdict == "passing"
            kinds = ["once"] if passing else []
            if not passing or step in {"calibration", "middle page", "token fetch", "poll"}:
                kinds.append("for long")
            for turn, how_long in enumerate(kinds, number + place):
                for driver in DRIVERS if step == "poll" else [DRIVERS[turn % 2]]:
                    yield fault, step, how_long, driver


@pytest.mark.parametrize(("fault", "step", "how_long", "driver"), list(cases()))
def test_a_fault(run, fault, step, how_long, driver):
    row, poll = row_of(fault, step), step == "poll"
    # A sensor would wait for ever, so a fault that passes is over at some time.
    longer = 0 if how_long == "once" else POLLS if poll else 1
    length = 1 if how_long == "once" else POLLS * row.tries if poll and row.verdict == "passing" else FOR_EVER
    seen = run(driver, step, row, length)
    check(seen, row=row, poll=poll, longer=longer, writes=driver == "task" and not poll)


def test_every_fault_of_the_stand_in_is_in_the_table():
    assert {row_of(fault, "first page").name for fault in TABLE} == {*FAULTS, None} - {"http_400"}
