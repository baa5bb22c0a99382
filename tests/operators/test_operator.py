"""The operator by itself: arguments while a DAG is parsed, deferral and resumption, being killed, retry decisions."""

from __future__ import annotations

import inspect
import itertools
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest
from operators.support import ALL, export_task, make_dag, names_in

from airflow_provider_capillary import errors
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.errors import CapillaryError, ConfigurationError, ReadingStoppedError
from airflow_provider_capillary.export.destination import with_connection

# Each row: arguments that are wrong as written, words of the problem, and words of the hint.
REFUSED = [
    ({"destination": "file:///out/events.csv"}, "destination='file:///out/events.csv'", ".jsonl.gz"),
    ({"destination": "s3://b/{{ ds }}/events.json"}, "s3://b/{{ ds }}/events.json", ".jsonl"),
    ({"destination": "file:///out/.jsonl"}, "file:///out/.jsonl", ".parquet"),
    ({"destination": "s3://b/{interval_start}/x.jsonl"}, "'{interval_start}' with no format", "{interval_start:%Y-%m-%d}"),
    ({"destination": "s3://b/{{ ds }}/{day}/x.jsonl"}, "'{day}', which is no placeholder", "{interval_start:%Y-%m-%d}"),
    ({"path_timezone": "Europe/Lodnon"}, "path_timezone='Europe/Lodnon'", "path_timezone='Europe/London'"),
    ({"path_timezone": None}, "path_timezone=None", "IANA"),
    ({"destination": None}, "destination=None", "NoneType"),
    ({"destination": 7}, "destination=7", "neither an ObjectStoragePath nor its URI"),
    ({"destination": "s3://a@b/x.jsonl", "object_storage_conn_id": "c"}, "'a'", "object_storage_conn_id='c'"),
    ({"statuses": "EVENT_SUCCESS"}, "statuses='EVENT_SUCCESS'", 'statuses=["EMF_PROCESSOR_FAILED"'),
    ({"statuses": [1]}, "statuses=[1]", "list"),
    ({"statuses": {"A": 1}}, "statuses={'A': 1}", "dict"),
    ({"statuses": []}, "statuses=[]", "leave it out"),
    ({"on_empty": "ignore"}, "on_empty='ignore'", "write, skip, fail"),
    ({"on_vanished": None}, "on_vanished=None", "fail, keep, drop"),
    ({"settle": timedelta(seconds=-1)}, "`settle`", "negative"),
    ({"settle": 300}, "`settle` is 300", "timedelta"),
    ({"settle": None}, "`settle` is None", "timedelta"),
    ({"lookback": timedelta()}, "`lookback`", "less than 0.001 seconds"),
    ({"lookback": "1d"}, "`lookback` is '1d'", "timedelta"),
    ({"lookback": 86400}, "`lookback` is 86400 (of type int)", "timedelta"),
    ({"partition_duration": timedelta(days=-1)}, "`partition_duration`", "negative"),
    ({"start": "2025-09-18", "end": "{{ x }}"}, "`start` is '2025-09-18'", "date without a time"),
    ({"start": "{{ x }}", "end": datetime(2025, 9, 18)}, "`end` is 2025-09-18T00:00:00", "without an offset"),  # noqa: DTZ001
    ({"start": "2025-09-18T00:00:00Z"}, "`start` is given and `end` is not", "leave out both"),
    ({"end": "2025-09-18T00:00:00Z"}, "`end` is given and `start` is not", "leave out both"),
    ({"start": "2025-09-18T00:00:00Z", "end": "2025-09-18T05:30:00+05:30"}, "the interval is empty", "later than"),
    ({"event_name": 3}, "event_name=3", "text"),
    ({"capillary_conn_id": ""}, "capillary_conn_id=''", "Airflow connection"),
    ({"capillary_conn_id": None}, "capillary_conn_id=None", "text"),
    ({"object_storage_conn_id": 5}, "object_storage_conn_id=5", "text"),
]


@pytest.mark.parametrize(("options", "value", "hint"), REFUSED)
def test_a_wrong_argument_is_refused_while_the_dag_is_parsed(options, value, hint):
    with pytest.raises(ConfigurationError) as caught:
        export_task(**({"destination": "/out/x.jsonl"} | options))
    assert value in str(caught.value)
    assert hint in str(caught.value)
    assert caught.value.hint


# Arguments that are right, or may become right when their templates are rendered.
ALLOWED = [
    {"destination": "{{ params.path }}"},
    {"destination": "s3://b/{{ ds }}.jsonl.gz"},
    {"destination": "s3://b/x{{ '.jsonl' }}"},
    {"destination": "s3://b/{{ params.team }}/dt={interval_start:%Y-%m-%d}/x.jsonl", "path_timezone": "Asia/Kolkata"},
    {"destination": "s3://a@b/x.jsonl", "object_storage_conn_id": "a"},
    {"destination": "s3://a@b/x.jsonl", "object_storage_conn_id": "{{ var.value.conn }}"},
    {"start": "{{ x }}", "end": "2025-09-18T00:00:00Z"},
    {"start": "", "end": None},
    {"start": "{{ x }}", "end": ""},
    {"statuses": "{{ params.statuses }}"},
    {"statuses": {"NO_STATUS"}},
    {"settle": timedelta()},
    {"lookback": timedelta(days=1), "partition_duration": timedelta(hours=1)},
]


@pytest.mark.parametrize("options", ALLOWED)
def test_an_argument_that_may_be_right_stays_as_it_was_given(options):
    task = export_task(**({"destination": "/out/x.jsonl"} | options))
    for name, value in options.items():
        assert getattr(task, name) is value


def test_the_result_of_another_task_is_not_checked_while_the_dag_is_parsed():
    from airflow.providers.common.compat.sdk import task

    with make_dag():

        @task
        def choose():
            return "x.jsonl"

        chosen = choose()
        export = export_task("/out/x.jsonl")
        every = dict.fromkeys(("destination", "start", "end", "event_name", "statuses", "capillary_conn_id"), chosen)
        from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

        other = CapillaryEventLogsToObjectStorageOperator(task_id="other", **every)
    assert other.upstream_task_ids == {"choose"}
    assert other.destination is chosen
    assert export.upstream_task_ids == set()


def test_making_an_operator_looks_up_no_connection(monkeypatch):
    from airflow.providers.common.compat.sdk import BaseHook

    monkeypatch.setattr(BaseHook, "get_connection", lambda *_args: pytest.fail("asked for a connection"))
    task = export_task("s3://conn@bucket/x.jsonl", object_storage_conn_id="conn")
    assert "hook" not in task.__dict__


@pytest.mark.parametrize(
    ("destination", "conn_id", "expected"),
    [
        ("s3://b/k.jsonl", None, "s3://b/k.jsonl"),
        ("s3://b/k.jsonl", "", "s3://b/k.jsonl"),
        ("s3://b/k.jsonl", "c", "s3://c@b/k.jsonl"),
        ("s3://c@b/k@x.jsonl", "c", "s3://c@b/k@x.jsonl"),
        ("s3://b/k@x.jsonl", "c", "s3://c@b/k@x.jsonl"),
        ("file:///k.jsonl", "c", "file:///k.jsonl"),
        ("/k.jsonl", "c", "/k.jsonl"),
    ],
)
def test_a_connection_beside_the_uri_is_put_into_it(destination, conn_id, expected):
    assert with_connection(destination, conn_id) == expected


def test_the_receipt_and_execute_take_a_plain_context(api_of, tmp_path):
    api_of()
    receipt = export_task(tmp_path / "x.jsonl", **ALL).execute({})
    assert receipt["events"] == 10


def recent(tmp_path, **options):
    """A task whose interval ended a second ago, and when it did."""
    end = datetime.now(UTC) - timedelta(seconds=1)
    start = end - timedelta(hours=1)
    return export_task(tmp_path / "x.jsonl", start=start.isoformat(), end=end.isoformat(), **options), end


def test_it_defers_to_airflow_s_own_trigger_before_anything_is_asked(api_of, tmp_path):
    from airflow.providers.common.compat.sdk import TaskDeferred

    api = api_of()
    task, end = recent(tmp_path, settle=timedelta(hours=1), deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        task.execute({})
    path, kwargs = caught.value.trigger.serialize()
    assert path.startswith("airflow.")
    assert path.endswith(".triggers.temporal.DateTimeTrigger")
    assert kwargs["moment"] == end + timedelta(hours=1)
    assert caught.value.method_name == "execute_complete"
    assert api.requests == []


@pytest.mark.parametrize(("settle", "age"), [(timedelta(), timedelta(seconds=1)), (timedelta(minutes=5), timedelta(minutes=6))])
def test_the_task_does_not_wait_for_an_interval_that_has_settled(api_of, tmp_path, settle, age):
    api_of(documented=False)
    end = datetime.now(UTC) - age
    task = export_task(
        tmp_path / "x.jsonl", start=(end - timedelta(hours=1)).isoformat(), end=end.isoformat(), settle=settle, deferrable=True
    )
    assert task.execute({})["events"] == 0


@pytest.mark.parametrize(("behind", "is_over"), [(timedelta(), True), (timedelta(minutes=2), True), (timedelta(minutes=7), False)])
def test_the_interval_has_to_be_over_by_the_api_s_clock_too(api_of, tmp_path, monkeypatch, behind, is_over):
    """What the API dates by its own clock, once the reading is over, would be in no object."""
    api_of()
    there = formatdate((datetime.now(UTC) - behind).timestamp(), usegmt=True)
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: there)
    end = datetime.now(UTC) - timedelta(minutes=6)
    interval = {"start": "2025-09-18T00:00:00Z", "end": end.isoformat()}
    task = export_task(tmp_path / "x.jsonl", **interval)
    if is_over:
        assert task.execute({})["events"] == 1
        return
    with pytest.raises(Exception, match=r"(6 minutes \d+ seconds|7 minutes) behind this machine's, the interval was not over"):
        task.execute({})
    assert list(tmp_path.iterdir()) == []
    assert export_task(tmp_path / "x.jsonl", settle=timedelta(), **interval).execute({})["events"] == 1


def test_an_end_in_the_future_is_waited_for_unless_settle_is_zero(api_of, tmp_path, logged):
    from airflow.providers.common.compat.sdk import TaskDeferred

    api_of()
    end = datetime.now(UTC) + timedelta(days=2)
    interval = {"start": "2025-09-18T00:00:00Z", "end": end.isoformat()}
    with pytest.raises(TaskDeferred) as caught:
        export_task(tmp_path / "x.jsonl", deferrable=True, **interval).execute({})
    assert caught.value.trigger.serialize()[1]["moment"] == end + timedelta(minutes=5)
    task = export_task(tmp_path / "x.jsonl", settle=timedelta(), **interval)
    assert task.execute({})["events"] == 1
    assert "ends in the future" in logged()


def test_a_settle_past_the_end_of_time_is_an_error_of_its_own(api_of, tmp_path):
    api_of()
    task = export_task(tmp_path / "x.jsonl", start="2025-09-18T00:00:00Z", end="9999-12-31T00:00:00Z", settle=timedelta(days=3))
    with pytest.raises(Exception, match="`settle` is"):
        task.execute({})


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, "soon", 5, True])
def test_the_task_refuses_to_resume_with_anything_but_a_moment(api_of, tmp_path, event):
    api = api_of()
    task = export_task(tmp_path / "x.jsonl", **ALL)
    with pytest.raises(Exception, match="is no moment") as caught:
        task.execute_complete({}, event)
    assert isinstance(caught.value, CapillaryError) or isinstance(caught.value.__cause__, CapillaryError)
    assert api.requests == []
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("event", [datetime(2025, 9, 18, 6, 5, tzinfo=UTC), "2025-09-18T06:05:00+00:00"])
def test_the_task_resumes_with_the_moment_of_its_trigger(api_of, tmp_path, event):
    api_of()
    assert export_task(tmp_path / "x.jsonl", **ALL).execute_complete({}, event)["events"] == 10


def test_a_task_that_cannot_succeed_does_not_wait(api_of, tmp_path, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", raising=False)
    api_of(conn_id="other")
    for options in ({"destination": tmp_path / "x.csv{{ '' }}"}, {"capillary_conn_id": "other", "statuses": "{{ x }}"}):
        task, _ = recent(tmp_path, settle=timedelta(hours=1), deferrable=True)
        for name, value in options.items():
            setattr(task, name, str(value))
        with pytest.raises(Exception, match=r"destination|statuses"):
            task.execute({})


def killed_while_executing(task, *, once):
    """Run the task here; once the condition holds, kill it from another thread. Seconds from the kill to the end."""
    killed = []

    def kill():
        deadline = time.monotonic() + 20
        while not once() and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.append(time.monotonic())
        task.on_kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with pytest.raises(ReadingStoppedError):
        task.execute({})
    ended = time.monotonic()
    assert once()
    thread.join(timeout=20)
    return ended - killed[0]


@pytest.mark.parametrize("fault", ["hang@3", "slow_drip@4", "throttled_seconds@3"])
def test_a_kill_ends_the_reading_at_once_and_nothing_is_published(api_of, tmp_path, fault):
    api = api_of(faults=fault, hang_seconds=30, drip_seconds=30, throttle_seconds=30)
    (tmp_path / "x.jsonl").write_bytes(b"of yesterday\n")
    task = export_task(tmp_path / "x.jsonl", on_vanished="drop", **ALL)
    assert killed_while_executing(task, once=lambda: any(seen.fault for seen in api.requests)) < 10
    assert names_in(tmp_path) == ["x.jsonl"]
    assert (tmp_path / "x.jsonl").read_bytes() == b"of yesterday\n"


def test_a_kill_ends_the_wait_for_settle(api_of, tmp_path):
    api = api_of()
    task, _ = recent(tmp_path, settle=timedelta(hours=1))
    assert killed_while_executing(task, once=lambda: "settings" in task.hook.__dict__) < 10
    assert api.requests == []


def test_a_kill_between_reading_and_publishing_publishes_nothing(api_of, tmp_path, monkeypatch):
    from airflow_provider_capillary.export import exporter

    api_of()
    task = export_task(tmp_path / "x.jsonl", **ALL)
    build = exporter.Export._build

    def killed_while_building(*args):
        task.on_kill()
        return build(*args)

    monkeypatch.setattr(exporter.Export, "_build", killed_while_building)
    with pytest.raises(ReadingStoppedError):
        task.execute({})
    assert names_in(tmp_path) == []


def test_a_reading_that_is_left_half_way_is_closed_at_once(api_of, tmp_path, monkeypatch):
    """Not when it is collected as garbage: it may hold a connection to the API."""
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    api_of()
    reading = (EventLogs.of([{"id": "a", "startTime": 10**20}]) for _ in itertools.count())
    monkeypatch.setattr(CapillaryHook, "iter_pages", lambda *_, **__: reading)
    with pytest.raises(errors.MalformedAnswerError):
        export_task(tmp_path / "x.jsonl", **ALL).execute({})
    assert inspect.getgeneratorstate(reading) == inspect.GEN_CLOSED
    assert names_in(tmp_path) == []


# Each row: an error of the task, the decision of the retry policy, and the delay.
DECISIONS = [
    (errors.ThrottledError("x", retry_after=90.0), "retry", timedelta(seconds=90)),
    (errors.ServerError("x", retry_after=0.5), "retry", timedelta(seconds=0.5)),
    (errors.ThrottledError("x", retry_after=1e12), "retry", timedelta(hours=24)),
    (errors.ThrottledError("x"), "default", None),
    (errors.TransportError("x"), "default", None),
    (errors.PublishError("x"), "default", None),
    (errors.AuthenticationError("x"), "fail", None),
    (errors.AuthenticationError("x", retry_after=5.0), "fail", None),
    (errors.IntervalError("x"), "fail", None),
    (errors.CalibrationError("x"), "fail", None),
    (RuntimeError("x"), "default", None),
]


@pytest.mark.parametrize(("error", "action", "delay"), DECISIONS)
def test_the_retry_policy_decides_by_class_and_fields(error, action, delay):
    pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="retry policies came with Airflow 3.3")
    from airflow_provider_capillary.retry_policy import CapillaryRetryPolicy

    policy = CapillaryRetryPolicy.deserialize(CapillaryRetryPolicy().serialize())
    decision = policy.evaluate(error, 1, 3)
    assert (decision.action.value, decision.retry_delay) == (action, delay)


def test_a_retry_policy_of_the_user_s_wins():
    definitions = pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="retry policies came with Airflow 3.3")
    from airflow_provider_capillary.retry_policy import CapillaryRetryPolicy

    own = definitions.ExceptionRetryPolicy(rules=[])
    assert export_task("/out/x.jsonl", retry_policy=own).retry_policy is own
    with make_dag(default_args={"retry_policy": own}):
        assert export_task("/out/x.jsonl").retry_policy is own
    assert isinstance(export_task("/out/x.jsonl").retry_policy, CapillaryRetryPolicy)


def test_without_retry_policies_an_error_keeps_its_text_and_is_the_cause(tmp_path):
    from airflow.providers.common.compat.sdk import AirflowFailException

    from airflow_provider_capillary._fail_fast import fail_fast

    without = SimpleNamespace()
    error = errors.AuthenticationError("No", hint="renew it")
    with pytest.raises(AirflowFailException) as caught, fail_fast(without):
        raise error
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is error
    passing = errors.ServerError("Later")
    with pytest.raises(errors.ServerError) as caught, fail_fast(without):
        raise passing
    with pytest.raises(errors.AuthenticationError), fail_fast(SimpleNamespace(retry_policy=None)):
        raise error
