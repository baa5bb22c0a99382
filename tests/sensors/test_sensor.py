"""The sensor in real DAG runs: the same result in each mode, nothing reported twice or missed from run to run, and how errors end it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from bench import Late
from operators.support import daily, instance, instances, make_dag, run, xcoms
from triggers.support import SECRETS, failure, iso, now

from airflow_provider_capillary import _fail_fast
from airflow_provider_capillary.errors import AuthenticationError, CapillaryError, ConfigurationError, ServerError
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.sensors import _state
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor
from airflow_provider_capillary.triggers.capillary import failed_event

pytestmark = pytest.mark.usefixtures("airflow_db")
AIRFLOW_2 = importlib.metadata.version("apache-airflow").startswith("2.")
MODES = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


def sensor(**options):
    return CapillaryEventStatusSensor(**({"task_id": "wait", "poke_interval": 1, "timeout": 30, "retry_delay": timedelta()} | options))


def dag_with(**options):
    dag_options = {name: options.pop(name) for name in ("schedule", "dag_id") if name in options}
    with make_dag(**dag_options) as dag:
        sensor(**options)
    return dag


def result_of(dag_run, map_index=-1):
    return xcoms(dag_run)["wait", map_index, "return_value"]


@pytest.mark.parametrize("mode", MODES)
def test_the_result_is_the_same_in_each_mode(api_of, mode):
    api = api_of()
    base = now() - 60_000
    for number, status in enumerate(["EVENT_SUCCESS", "EMF_PROCESSOR_FAILED", None, "EVENT_SUCCESS"]):
        api.add(failure(f"f{number}", base + 3000 * number, status=status))
    # It becomes visible only after the first poll.
    api.add(failure("late", base + 2000), late=Late(request=8))
    dag_run = run(dag_with(since=iso(base), min_count=3, **MODES[mode]))
    assert dag_run.state == "success"
    result = result_of(dag_run)
    assert result.pop("watermark") > result["end"]
    assert sorted(result.pop("ids")) == ["f1", "f2", "late"]
    times = {name: datetime.fromisoformat(result.pop(name)).timestamp() * 1000 for name in ("start", "end", "since")}
    assert {name: round(timestamp) - base for name, timestamp in times.items()} == {"start": 2000, "end": 6001, "since": 0}
    result.pop("first_start_time")
    result.pop("last_start_time")
    assert result == {"count": 3, "ids_cut": False, "statuses": {"EMF_PROCESSOR_FAILED": 2, "NO_STATUS": 1}, "event_names": {"order": 3}}


@pytest.mark.parametrize("mode", MODES)
def test_no_run_reports_what_an_earlier_run_reported(api_of, mode):
    api = api_of()
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    base = now() - 30_000
    # dag.test() knows no timeout of a deferral, and a slow machine takes longer than that to begin one.
    dag = dag_with(schedule=daily(), timeout=30 if mode == "deferrable" else 0.1, soft_fail=True, **MODES[mode])

    def ids(days):
        dag_run = run(dag, logical_date=day + timedelta(days=days))
        return sorted(result_of(dag_run)["ids"]) if instance(dag_run, "wait").state == "success" else None

    if mode != "deferrable":
        assert ids(-3) is None
    api.add(failure("a", base))
    api.add(failure("good", base + 5, status="EVENT_SUCCESS"))
    assert ids(-2) == ["a"]
    api.add(failure("b", base))
    api.add(failure("c", base - 20_000))
    assert ids(-1) == ["b", "c"]
    api.add(failure("d", base + 6))
    assert ids(0) == ["d"]


# Each row: the sensor's arguments, and the ids that it finds of a failure that becomes visible half an hour late.
@pytest.mark.parametrize(("options", "expected"), [({}, None), ({"allowed_lateness": timedelta(hours=1)}, ["late"])])
def test_allowed_lateness_decides_how_late_a_failure_is_found(api_of, options, expected):
    api = api_of()
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    base = now()
    dag = dag_with(schedule=daily(), timeout=0.1, soft_fail=True, **options)
    api.add(failure("a", base))
    assert result_of(run(dag, logical_date=day - timedelta(days=1)))["ids"] == ["a"]
    api.add(failure("late", base - 1_800_000))
    dag_run = run(dag, logical_date=day)
    assert (result_of(dag_run)["ids"] if dag_run.get_task_instance("wait").state == "success" else None) == expected


def clean_database(*, tables=None):
    """``airflow db clean``, as an operator runs it, of everything up to now."""
    command = ["airflow", "db", "clean", "--yes", "--skip-archive", "--clean-before-timestamp", datetime.now(UTC).isoformat()]
    done = subprocess.run(
        [sys.executable, "-m", *command, *(["--tables", tables] if tables else [])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def documented_tables():
    return re.search(r"airflow db clean .* --tables (\S+)", CapillaryEventStatusSensor.__doc__)[1]


KEEPS_STATE = hasattr(CapillaryEventStatusSensor(task_id="any"), "retry_policy")  # Airflow 3.3


# Each row: which tables are cleaned between two runs, and whether the second run still knows what the first has reported.
CLEANED = {"everything": (None, KEEPS_STATE), "as documented": ("documented", True)}


@pytest.mark.parametrize("case", CLEANED)
def test_cleaning_the_database_between_two_runs_hides_no_failure(api_of, case):
    tables, is_known = CLEANED[case]
    api = api_of()
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # The runs of a cron schedule on Airflow 3: no interval, so that one without a report begins when it is created.
    options = {"timeout": 0.1, "soft_fail": True, "retries": 1}
    dag = dag_with(**options)
    with dag:
        CapillaryEventStatusSensor.partial(task_id="mapped", poke_interval=1, **options).expand(event_name=["order", "refund"])

    def ids(days):
        dag_run = run(dag, logical_date=day + timedelta(days=days))
        found = [dag_run.get_task_instance("wait"), *instances(dag_run, "mapped")]
        return [sorted(xcoms(dag_run)[ti.task_id, ti.map_index, "return_value"]["ids"]) if ti.state == "success" else None for ti in found]

    since = now() - 600_000
    first = dag_with(dag_id=dag.dag_id, since=iso(since), **options)
    with first:
        CapillaryEventStatusSensor.partial(task_id="mapped", poke_interval=1, since=iso(since), **options).expand(
            event_name=["order", "refund"]
        )
    dag, second = first, dag
    api.add(failure("a", now() - 60_000))
    api.add(failure("a-refund", now() - 60_000, event="refund"))
    assert ids(-2) == [["a", "a-refund"], ["a"], ["a-refund"]]
    api.add(failure("b", now() - 30_000))
    clean_database(tables=documented_tables() if tables else None)
    dag = second
    # A run that knows of no report begins when it was created, which in dag.test() of Airflow 2 is its logical date.
    forgotten = [["a", "a-refund", "b"], ["a", "b"], ["a-refund"]] if AIRFLOW_2 else [None, None, None]
    assert ids(-1) == ([["b"], ["b"], None] if is_known else forgotten)


def test_a_run_without_an_earlier_report_begins_with_its_interval(api_of):
    api = api_of()
    day = datetime(2026, 2, 18, tzinfo=UTC)  # a run by hand is of the interval that ended last
    millis = int((day - timedelta(days=1)).timestamp() * 1000)
    for name, timestamp in (("before", millis - 1), ("first", millis), ("after", millis + 90_000_000)):
        api.add(failure(name, timestamp))
    dag_run = run(dag_with(schedule=daily()), logical_date=day)
    result = result_of(dag_run)
    assert result["ids"] == ["after", "first"]
    assert result["since"] == "2026-02-17T00:00:00.000Z"


@pytest.mark.parametrize("mode", MODES)
def test_a_run_without_an_interval_begins_when_it_was_created(api_of, mode):
    api = api_of()
    api.add(failure("before", now() - 5000))
    api.add(failure("after", now() + 2000))
    assert result_of(run(dag_with(**MODES[mode])))["ids"] == ["after"]


def test_each_mapped_task_has_its_own_past(api_of):
    api = api_of()
    with make_dag(schedule=daily()) as dag:
        CapillaryEventStatusSensor.partial(task_id="wait", poke_interval=1, timeout=0.1, soft_fail=True).expand(event_name=["x", "y"])
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    base = now() - 30_000

    def ids(days):
        dag_run = run(dag, logical_date=day + timedelta(days=days))
        return [result_of(dag_run, ti.map_index)["ids"] if ti.state == "success" else None for ti in instances(dag_run, "wait")]

    api.add(failure("x1", base, event="x"))
    assert ids(-1) == [["x1"], None]
    api.add(failure("y1", base, event="y"))
    assert ids(0) == [None, ["y1"]]


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_credential_fails_the_task_at_once_with_a_hint(api_of, logged, mode):
    api = api_of(faults=("http_401",))
    dag_run = run(dag_with(retries=3, **MODES[mode]))
    assert dag_run.state == "failed"
    assert instance(dag_run, "wait").try_number == 1
    assert len(api.requests) == 1
    text = logged()
    assert "check login and password" in text
    assert not [secret for secret in SECRETS if secret in text]


# Each row: what is wrong, the sensor's arguments, the state in which the task ends and after how many tries, and what its log holds.
WRONG = {
    "refused, soft": ("http_401", {"soft_fail": True}, "failed", 1, "check login and password"),
    "forbidden, soft": ("http_403", {"soft_fail": True}, "failed", 1, "How to fix: "),
    "an empty connection, soft": ("connection", {"soft_fail": True}, "failed", 1, "login is missing"),
    "an argument, soft": ("argument", {"soft_fail": True}, "failed", 1, "`since`"),
    "refused, never": ("http_401", {"never_fail": True}, "skipped", 1, "check login and password"),
    "an empty connection, never": ("connection", {"never_fail": True}, "skipped", 1, "login is missing"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", WRONG)
def test_an_error_that_waiting_does_not_help_is_never_silent(api_of, logged, monkeypatch, mode, case):
    wrong, options, state, tries, says = WRONG[case]
    api_of(faults=(wrong,) if wrong.startswith("http_") else ())
    if wrong == "connection":
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", '{"conn_type": "capillary"}')
    since = "{{ 'yesterday' }}" if wrong == "argument" else None
    ti = instance(run(dag_with(retries=2, since=since, **options, **MODES[mode])), "wait")
    assert (ti.state, ti.try_number) == (state, tries)
    text = logged()
    # What fails is in the log by itself; a skip is one line at INFO.
    assert says in text if state == "failed" else re.search(rf"(?i)\berror\b.* because of an error: .*{re.escape(says)}", text)
    assert not [secret for secret in SECRETS if secret in text]


def chain_of(error):
    """An error and the errors behind it, as a log follows them."""
    chain = []
    while error is not None:
        assert error not in chain, "a log would follow it for ever"
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def end_of(made, method, kwargs):
    """How a deferred task ends when Airflow resumes it."""
    with pytest.raises(Exception, match=r".") as caught:
        made.resume_execution(method, json.loads(json.dumps(kwargs)), context_of())
    return caught.value


# Each row: the trigger's error, the sensor's arguments, and the errors that end the task: from Airflow 3.3 on, and before.
ENDS = {
    "no retry helps": (AuthenticationError, {}, ["AuthenticationError"], ["AirflowFailException", "AuthenticationError"]),
    "no retry helps, soft": (
        AuthenticationError,
        {"soft_fail": True},
        ["AuthenticationError"],
        ["AirflowFailException", "AuthenticationError"],
    ),
    "no retry helps, never": (AuthenticationError, {"never_fail": True}, *2 * [["AirflowSkipException", "AuthenticationError"]]),
    "a retry may help": (ServerError, {}, *2 * [["ServerError"]]),
    "a retry may help, soft": (ServerError, {"soft_fail": True}, *2 * [["ServerError"]]),
    "a retry may help, never": (ServerError, {"never_fail": True}, *2 * [["AirflowSkipException", "ServerError"]]),
}


@pytest.mark.parametrize("asks_policies", [True, False])
@pytest.mark.parametrize("case", ENDS)
def test_how_an_error_of_the_trigger_ends_the_task(monkeypatch, case, asks_policies):
    kind, options, *chains = ENDS[case]
    made = sensor(**options)
    monkeypatch.setattr(_fail_fast, "has_retry_policies", lambda _: asks_policies)
    event = failed_event(kind("no", request="GET /x", hint="do this"))
    chain = chain_of(end_of(made, "execute_complete", {"event": event}))
    assert [type(error).__name__ for error in chain] == chains[0 if asks_policies else 1]
    assert all("How to fix: do this" in str(error) for error in chain)
    assert chain[-1].request == "GET /x"


@pytest.mark.parametrize("asks_policies", [True, False])
def test_a_poke_ends_the_task_in_the_same_way(api_of, monkeypatch, asks_policies):
    """With ``silent_fail``, Airflow pokes on after any error but its own, so the sensor has to raise one of those."""
    api_of(faults=("http_401",))
    made = sensor(silent_fail=True, since=iso(now()))
    monkeypatch.setattr(_fail_fast, "has_retry_policies", lambda _: asks_policies)
    with pytest.raises(Exception, match="How to fix: ") as caught:
        made.execute(context_of())
    chain = ["AuthenticationError"] if asks_policies else ["AirflowFailException", "AuthenticationError"]
    assert [type(error).__name__ for error in chain_of(caught.value)] == chain


def test_the_sensor_has_the_retry_policy_of_the_operator():
    definitions = pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="retry policies came with Airflow 3.3")
    own = definitions.ExceptionRetryPolicy(rules=[])
    assert type(sensor().retry_policy).__name__ == "CapillaryRetryPolicy"
    assert sensor(retry_policy=own).retry_policy is own


# Each row: what Airflow passes on, the sensor's arguments, and which error then ends the task. Airflow 2 tells a failure by its traceback.
TIMEOUT = {"error": "any text"} if AIRFLOW_2 else {"error": "Trigger timeout"}
FAILURE = {"error": "any text", "traceback": None}
DEFERRALS = {
    "timeout": (TIMEOUT, {}, "AirflowSensorTimeout"),
    "timeout, soft": (TIMEOUT, {"soft_fail": True}, "AirflowSkipException"),
    "timeout, never": (TIMEOUT, {"never_fail": True}, "AirflowSkipException"),
    "a trigger that died": (FAILURE, {}, "TaskDeferralError"),
    "a trigger that died, soft": (FAILURE, {"soft_fail": True}, "TaskDeferralError"),
    "a trigger that died, never": (FAILURE, {"never_fail": True}, "AirflowSkipException"),
}


@pytest.mark.parametrize("case", DEFERRALS)
def test_how_a_deferral_without_an_event_ends_the_task(case):
    kwargs, options, kind = DEFERRALS[case]
    chain = chain_of(end_of(sensor(**options), "__fail__", kwargs))
    assert type(chain[0]).__name__ == kind
    assert ("AirflowSensorTimeout" in [type(error).__name__ for error in chain]) == (kwargs is TIMEOUT)


@pytest.mark.parametrize("mode", MODES)
def test_a_temporary_fault_is_waited_out(api_of, monkeypatch, mode):
    monkeypatch.setattr("airflow_provider_capillary.api.retries.RetryPlan.delay", lambda *_: 0.0)
    api = api_of(faults=("http_503@1..20",))
    api.add(failure("a"))
    assert result_of(run(dag_with(since=iso(now() - 60_000), **MODES[mode])))["ids"] == ["a"]
    assert len(api.requests) > 20


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize(("options", "state"), [({}, "failed"), ({"soft_fail": True}, "skipped"), ({"never_fail": True}, "skipped")])
def test_it_times_out(api_of, mode, options, state):
    api_of()
    ti = instance(run(dag_with(timeout=0.1, retries=2, **options, **MODES[mode])), "wait")
    assert (ti.state, ti.try_number) == (state, 1)


def test_log_and_xcom_hold_nothing_from_a_body(api_of, logged):
    api = api_of()
    api.add(failure("a"))
    dag_run = run(dag_with(since=iso(now() - 60_000), deferrable=True))
    text = logged() + json.dumps({str(key): value for key, value in xcoms(dag_run).items()}, default=str)
    assert "a" in result_of(dag_run)["ids"]
    assert not [secret for secret in SECRETS if secret in text]


class Store(dict):
    def set(self, key, value):
        json.dumps(value)
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


def context_of(*, store=None, try_number=1, max_tries=2, **run_fields):
    pushed = {}
    ti = SimpleNamespace(
        task_id="wait",
        map_index=-1,
        try_number=try_number,
        max_tries=max_tries,
        xcom_pull=lambda **_: None,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )
    context = {"ti": ti, "dag_run": SimpleNamespace(**({"run_after": datetime.now(UTC) - timedelta(minutes=1)} | run_fields))}
    return context | ({} if store is None else {"task_state_store": store})


def deferral(made, context):
    with pytest.raises(BaseException, match=None) as caught:  # noqa: PT011  # the class is Airflow's, and checked below
        made.execute(context)
    assert type(caught.value).__name__ == "TaskDeferred", caught.value
    return caught.value


def test_the_timeout_of_a_deferred_sensor_counts_from_its_first_try(api_of):
    api_of()
    store, made = Store(), sensor(deferrable=True, timeout=100, retries=2)
    assert 99 < deferral(made, context_of(store=store)).timeout.total_seconds() <= 100
    store[_state.KEY_FIRST_TRY] = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
    assert 59 < deferral(made, context_of(store=store, try_number=2)).timeout.total_seconds() <= 60
    # Cleared: a first try again, whatever was saved.
    assert 99 < deferral(made, context_of(store=store, try_number=3, max_tries=4)).timeout.total_seconds() <= 100
    store[_state.KEY_FIRST_TRY] = (datetime.now(UTC) - timedelta(seconds=101)).isoformat()
    with pytest.raises(Exception, match="timed out") as caught:
        made.execute(context_of(store=store, try_number=2))
    assert type(caught.value).__name__ == "AirflowSensorTimeout"


def test_what_it_defers_with(api_of):
    api = api_of()
    since = now() - 60_000
    made = sensor(deferrable=True, min_count=2, since=iso(since), exponential_backoff=True, max_wait=timedelta(minutes=2))
    path, kwargs = deferral(made, context_of()).trigger.serialize()
    assert path.endswith("CapillaryEventStatusTrigger")
    assert all(value is None or isinstance(value, str | int | float | bool) for value in kwargs.values())
    assert (kwargs["poke_interval"], kwargs["exponential_backoff"], kwargs["max_wait"], kwargs["min_count"]) == (1.0, True, 120.0, 2)
    assert json.loads(kwargs["state"])["memory"] == {"floor": since, "watermark": since, "reported": {}, "lateness": 300_000}
    assert not [secret for secret in SECRETS if secret in json.dumps(kwargs)]
    # Hundreds of deferred sensors share the triggerer's requests; none sends a request of its own.
    assert not api.requests


def test_a_new_allowed_lateness_applies_after_a_report():
    context = context_of()
    context["ti"].xcom_pull = lambda *, key, **_: Watermark.starting_at(5).to_json() if key == _state.KEY_SCHEDULED else None
    assert sensor(allowed_lateness=60)._first_state(context).watermark.lateness == 60_000
    assert sensor(allowed_lateness=60)._first_state(context_of()).watermark.lateness == 60_000
    assert sensor(allowed_lateness=60, since=iso(now()))._first_state(context).watermark.lateness == 60_000


def test_a_rescheduled_poke_continues_from_the_poke_before(api_of):
    api = api_of()
    store, made = Store(), sensor(mode="reschedule", min_count=2, since=iso(now() - 60_000))
    api.add(failure("a", now() - 50_000))
    assert not made.poke(context_of(store=store))
    api.add(failure("b", now() - 40_000))
    answer = sensor(mode="reschedule", min_count=2, since=made.since).poke(context_of(store=store))
    assert sorted(answer.xcom_value["ids"]) == ["a", "b"]
    assert not store
    api.add(failure("c", now() - 30_000))
    changed = sensor(mode="reschedule", min_count=2, statuses=["OTHER"], since=made.since)
    store.set(_state.KEY_PROGRESS, made._state.to_json())
    assert not changed.poke(context_of(store=store))


@pytest.mark.parametrize("event", [None, {}, {"outcome": "success"}, "found"])
def test_an_event_that_is_not_the_trigger_s_is_an_error(event):
    with pytest.raises(CapillaryError, match="The task was resumed by") as caught:
        sensor().execute_complete(context_of(), event)
    assert not caught.value.retryable


# Each row: a wrong argument, and what the error's text holds.
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"statuses": "EMF_PROCESSOR_FAILED"}, "statuses='EMF_PROCESSOR_FAILED'"),
        ({"statuses": []}, "statuses"),
        ({"statuses": [None]}, "statuses"),
        ({"event_name": 5}, "event_name=5"),
        ({"since": "2025-09-18"}, "`since`"),
        ({"since": datetime(2025, 9, 18)}, "`since`"),  # noqa: DTZ001  # the naive one that is refused
        ({"min_count": 0}, "min_count=0"),
        ({"min_count": True}, "min_count=True"),
        ({"allowed_lateness": "5 minutes"}, "`allowed_lateness` is '5 minutes'"),
        ({"allowed_lateness": timedelta(days=2)}, "`allowed_lateness` is 2 days, more than 1 day"),
        ({"capillary_conn_id": None}, "capillary_conn_id"),
    ],
)
def test_a_wrong_argument_is_named_while_the_dag_is_parsed(options, says):
    with pytest.raises(ConfigurationError, match=says):
        sensor(**options)


def test_templates_are_left_for_the_run():
    made = sensor(since="{{ params.x }}", statuses="{{ params.y }}", event_name="{{ params.z }}")
    assert set(made.template_fields) == {"statuses", "event_name", "since", "capillary_conn_id"}
