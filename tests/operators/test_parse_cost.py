"""What a task of this package costs while its DAG file is parsed, beside a task of Airflow's HTTP provider, in calls of functions.

Calls are the same on every machine, where time is not; ``tests/benchmarks/parse_time.py`` measures the time. An assignment to an attribute
of a task is two calls, and takes about as long as four others.
"""

from __future__ import annotations

import gc
import sys

import pytest
from benchmarks.parse_time import FILE, PAIRS

TASKS = 50

# Each row: a pair of the benchmark, and the most calls of ours by theirs. The first versions of the checks took 1.5 to 2 times theirs.
MOST = [("least", 1.15), ("usual", 1.3), ("templates", 1.15), ("sensor", 1.075)]


def calls_of(line, arguments):
    source = compile(FILE.format(line=line, name="cost", tasks=TASKS, arguments=arguments), "cost.py", "exec")
    exec(source, {})  # noqa: S102  # once for what is imported and cached
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    was = sys.getprofile()
    # What is collected meanwhile may be other tests' and call functions, too.
    gc.collect()
    gc.disable()
    sys.setprofile(count)
    try:
        exec(source, {})  # noqa: S102  # as Airflow does with a DAG file
    finally:
        sys.setprofile(was)
        gc.enable()
    return calls / TASKS


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("pair", "most"), MOST)
def test_a_task_costs_about_as_many_calls_as_one_of_the_http_provider(pair, most):
    our_import, our_arguments, their_import, their_arguments = PAIRS[pair]
    ours, theirs = calls_of(our_import, our_arguments), calls_of(their_import, their_arguments)
    assert theirs > 100
    assert ours < most * theirs
