"""The checks of arguments, one of each kind, and that everything which takes such an argument means the same by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_capillary.errors import ConfigurationError, IntervalError
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
from airflow_provider_capillary.polling.filters import EventFilter, lateness_of
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor
from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger
from airflow_provider_capillary.validation import check_choice, duration_of, is_known, is_unset, statuses_of, text_of

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
START, END = "2025-09-18T00:00:00Z", "2025-09-19T00:00:00Z"

# Each row: a value, and whether an argument of that value is left out.
LEFT_OUT = [(None, True), ("", True), (" \t\n", True), ("x", False), ("None", False), (0, False), ([], False), (False, False)]


@pytest.mark.parametrize(("value", "unset"), LEFT_OUT)
def test_what_is_left_out(value, unset):
    assert is_unset(value) is unset


class Reference:
    """What a task will return."""

    def resolve(self, context):
        raise NotImplementedError


# Each row: a value, and whether it is final while the DAG is parsed.
KNOWN = [
    ("x", True),
    ("{{ x }}", False),
    ("a{% if x %}b{% endif %}", False),
    ("a{# comment #}", False),
    ("{interval_start:%Y}", True),
    (["x", "{{ y }}"], False),
    ({"x"}, True),
    (Reference(), False),
    (["x", Reference()], False),
    (None, True),
]


@pytest.mark.parametrize(("value", "known"), KNOWN)
def test_what_is_known_while_the_dag_is_parsed(value, known):
    assert is_known(value) is known


# Each row: what is written for `statuses`, and which statuses that means; None for all.
STATUSES = [
    (None, None),
    ("", None),
    ("null", None),
    (["A"], ["A"]),
    (("A", "B"), ["A", "B"]),
    ({"A"}, ["A"]),
    ({"A": 1}.keys(), ["A"]),
    ('["A", "NO_STATUS"]', ["A", "NO_STATUS"]),
]
# Each row: what is written for `statuses`, and what the error says of it.
NO_STATUSES = [
    ("A", "is not a list of statuses"),
    (b"A", "is not a list of statuses"),
    ({"A": 1}, "is not a list of statuses"),
    (5, "is not a list of statuses"),
    ([None], "holds something that is no status"),
    (["A", ""], "holds something that is no status"),
    (["\ud800"], "holds something that is no status"),
    ([], "is empty"),
    ("[]", "is empty"),
]
# Each row: a name, and what it is that takes statuses.
TAKES_STATUSES = {
    "the function": lambda statuses: statuses_of(statuses, without="all"),
    "a filter of polls": lambda statuses: EventFilter.of(statuses, None),
    "the hook": lambda statuses: CapillaryHook().iter_event_logs(START, END, statuses=statuses),
    "the operator": lambda statuses: CapillaryEventLogsToObjectStorageOperator(task_id="x", destination="/x.jsonl", statuses=statuses),
    "the sensor": lambda statuses: CapillaryEventStatusSensor(task_id="x", statuses=statuses),
    "the trigger": lambda statuses: CapillaryEventStatusTrigger(since=START, statuses=statuses),
}


@pytest.mark.parametrize(("written", "statuses"), STATUSES)
def test_which_statuses_are_meant(written, statuses):
    assert statuses_of(written, without="all") == statuses
    for take in TAKES_STATUSES.values():
        take(written)


@pytest.mark.parametrize("name", TAKES_STATUSES)
@pytest.mark.parametrize(("written", "problem"), NO_STATUSES)
def test_no_statuses_are_refused_alike_everywhere(name, written, problem):
    with pytest.raises(ConfigurationError) as caught:
        TAKES_STATUSES[name](written)
    assert caught.value.problem == f"statuses={written!r} (of type {type(written).__name__}) {problem}" + (
        ", so that nothing would match" if problem == "is empty" else ""
    )
    assert 'write statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"]' in caught.value.hint


# Each row: a text argument, whether it is required, and what it means.
TEXTS = [("x", False, "x"), ("x", True, "x"), (" x ", True, " x "), (None, False, None), ("", False, None), (" ", False, None)]
# Each row: a text argument, whether it is required, and what the error says of it.
NO_TEXTS = [
    (5, False, "name=5 (of type int) is not text"),
    (b"x", False, "name=b'x' (of type bytes) is not text"),
    ("\ud800", False, "name='\\ud800' (of type str) is not text"),
    (None, True, "name=None (of type NoneType) is not text"),
    ("", True, "name='' is empty"),
    (" ", True, "name=' ' is empty"),
]


@pytest.mark.parametrize(("value", "required", "text"), TEXTS)
def test_which_text_is_meant(value, required, text):
    assert text_of("name", value, required=required) == text


@pytest.mark.parametrize(("value", "required", "problem"), NO_TEXTS)
def test_what_is_no_text_is_named(value, required, problem):
    with pytest.raises(ConfigurationError) as caught:
        text_of("name", value, required=required)
    assert caught.value.problem == problem
    assert caught.value.hint


# Each row: what is written for a duration that also may be a number of seconds, and how many seconds that is.
DURATIONS = [(timedelta(minutes=5), 300), (timedelta(), 0), (300, 300), (0.5, 0.5), (300.0, 300), (DAY, 86_400), (0, 0)]
# Each row: what is written, the options of the check, and what the error says of it.
NO_DURATIONS = [
    (None, {}, "`name` is None (of type NoneType), not a timedelta"),
    ("5", {"takes_seconds": True}, "`name` is '5' (of type str), neither a timedelta nor a number of seconds"),
    (300, {}, "`name` is 300 (of type int), not a timedelta"),
    (True, {"takes_seconds": True}, "`name` is True (of type bool), neither a timedelta nor a number of seconds"),
    (float("nan"), {"takes_seconds": True}, "`name` is nan (of type float), neither a timedelta nor a number of seconds"),
    (float("inf"), {"takes_seconds": True}, "`name` is inf (of type float), neither a timedelta nor a number of seconds"),
    (-SECOND, {}, "`name` is -1 second, negative"),
    (-1, {"takes_seconds": True}, "`name` is -1 second, negative"),
    (timedelta(), {"least": timedelta(milliseconds=1)}, "`name` is 0 seconds, less than 0.001 seconds"),
    (0, {"least": SECOND, "takes_seconds": True}, "`name` is 0 seconds, less than 1 second"),
    (DAY + SECOND, {"most": DAY}, "`name` is 1 day 1 second, more than 1 day"),
    (86_401, {"most": DAY, "takes_seconds": True}, "`name` is 1 day 1 second, more than 1 day"),
    (1e300, {"most": DAY, "takes_seconds": True}, "more than 1 day"),
    (-1e300, {"takes_seconds": True}, "negative"),
]


@pytest.mark.parametrize(("value", "seconds"), DURATIONS)
def test_how_long_a_duration_is(value, seconds):
    assert duration_of("name", value, most=DAY, takes_seconds=True) == timedelta(seconds=seconds)
    assert lateness_of(value) == seconds * 1_000


@pytest.mark.parametrize("error", [ConfigurationError, IntervalError])
@pytest.mark.parametrize(("value", "options", "problem"), NO_DURATIONS)
def test_what_is_no_duration_is_named(error, value, options, problem):
    with pytest.raises(ConfigurationError) as caught:
        duration_of("name", value, error=error, **options)
    assert caught.value.problem.endswith(problem)
    assert type(caught.value) is error
    assert caught.value.hint == "write name=timedelta(minutes=5)"


@pytest.mark.parametrize("name", ["on_empty", "on_vanished"])
def test_a_choice_is_one_of_those_that_are_known(name):
    check_choice(name, "fail")
    for wrong in ("ignore", None, ["fail"]):
        with pytest.raises(ConfigurationError, match=rf"^{name}=.* is not known\. How to fix: use one of .*fail"):
            check_choice(name, wrong)
