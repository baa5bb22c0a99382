"""Real runs: what lands, what is returned, what fails at once, what is tried again, and what is told to whom."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from export.support import manifest_name, unpack
from operators.support import ALL, DAY, daily, export_task, fails, instance, instances, make_dag, names_in, receipt_of, run, xcoms

from airflow_provider_capillary.emulator import documented_records

pytestmark = pytest.mark.usefixtures("airflow_db")

RECEIPT = {
    "path",
    "uri",
    "start",
    "end",
    "events",
    "failures",
    "statuses",
    "first_start_time",
    "last_start_time",
    "bytes",
    "sha256",
    "events_read",
    "requests",
    "late_events",
    "vanished_events",
    "proof",
    "manifest",
}
IDS = {record["id"] for record in documented_records()}


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_a_run_leaves_the_interval_in_one_object_and_its_receipt_alone_in_xcom(api_of, tmp_path, ending):
    api = api_of()
    with make_dag() as dag:
        export_task(f"file://{tmp_path}/out/events{ending}", **ALL)
    dag_run = run(dag)
    assert dag_run.state == "success"
    content = (tmp_path / "out" / f"events{ending}").read_bytes()
    assert {record["id"] for record in unpack(content, ending)} == IDS
    assert names_in(tmp_path / "out") == [manifest_name(f"events{ending}"), f"events{ending}"]
    left = xcoms(dag_run)
    receipt = left.pop(("export", -1, "return_value"))
    # Airflow 3 leaves the link to the object beside it, which a local file has not.
    assert left in ({}, {("export", -1, "_link_ExportedObjectLink"): ""})
    assert set(receipt) == RECEIPT
    assert receipt["events"] == 10
    assert receipt["failures"] == 9
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest()
    assert receipt["requests"] == len(api.requests)


def test_the_run_s_own_interval_is_used_and_named_in_the_path(api_of, tmp_path):
    api_of()
    with make_dag(schedule=daily()) as dag:
        export_task(f"file://{tmp_path}/dt={{{{ data_interval_start | ds }}}}/events.jsonl")
    receipt = receipt_of(run(dag, logical_date=DAY))
    assert (receipt["start"], receipt["end"]) == ("2025-09-17T00:00:00.000Z", "2025-09-18T00:00:00.000Z")
    assert receipt["events"] == 1
    assert Path(receipt["path"].removeprefix("file://")) == tmp_path / "dt=2025-09-17" / "events.jsonl"


@pytest.mark.parametrize(
    ("destination", "options"),
    [
        ("s3://operator_tests_s3@events/deep/{{ params.name }}.jsonl.gz", {}),
        ("s3://events/deep/{{ params.name }}.jsonl.gz", {"object_storage_conn_id": "{{ params.conn }}"}),
    ],
)
def test_s3_by_a_connection_in_the_uri_or_beside_it(api_of, s3_bucket, destination, options):
    api_of()
    with make_dag(params={"name": "x", "conn": "operator_tests_s3"}) as dag:
        export_task(destination, **ALL, **options)
    receipt = receipt_of(run(dag))
    assert receipt["path"] == "s3://operator_tests_s3@events/deep/x.jsonl.gz"
    content = s3_bucket.get_object(Bucket="events", Key="deep/x.jsonl.gz")["Body"].read()
    assert {record["id"] for record in unpack(content, ".jsonl.gz")} == IDS


def test_a_destination_may_be_an_object_storage_path_with_a_template_in_it(api_of, tmp_path):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    api_of()
    with make_dag(params={"name": "rendered"}) as dag:
        task = export_task("file:///x.jsonl", **ALL)
        task.destination = ObjectStoragePath(f"file://{tmp_path}") / "{{ params.name }}.jsonl"
    assert run(dag).state == "success"
    assert names_in(tmp_path) == [manifest_name("rendered.jsonl"), "rendered.jsonl"]


def test_statuses_and_event_names_are_kept_as_asked(api_of, tmp_path):
    api_of()
    with make_dag(params={"statuses": ["NO_STATUS", "EVENT_SUCCESS"], "none": ""}, render_template_as_native_obj=True) as dag:
        export_task(tmp_path / "by_status.jsonl", **ALL, statuses="{{ params.statuses }}", event_name="{{ params.none }}")
        export_task(tmp_path / "by_name.jsonl", task_id="by_name", **ALL, event_name="Group_User_Event")
    dag_run = run(dag)
    assert receipt_of(dag_run)["statuses"] == {"EVENT_SUCCESS": 1, "NO_STATUS": 1}
    expected = sum(record.get("eventName") == "Group_User_Event" for record in documented_records())
    assert 0 < receipt_of(dag_run, "by_name")["events"] == expected < 10


def test_an_empty_interval_fails_at_once_and_says_which_line_to_change(api_of, tmp_path, logged):
    api = api_of()
    # What a plain cron schedule gives each run on Airflow 3, and a manual run of an unscheduled DAG on both lines.
    with make_dag() as dag:
        export_task(tmp_path / "out.jsonl", retries=3)
    fails(run(dag, logical_date=DAY), logged, tries=1, saying=["data interval is empty", "schedule=CronDataIntervalTimetable("])
    assert api.requests == []
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "case",
    [
        ({}, "http_401", ["AuthenticationError", "HTTP 401", "password_format"]),
        ({}, "http_403", ["PermissionDeniedError", "HTTP 403"]),
        ({"capillary_conn_id": "not_there"}, (), ["There is no Airflow connection 'not_there'"]),
        ({"statuses": "{{ 'EVENT_SUCCESS' }}"}, (), ["statuses='EVENT_SUCCESS'", "not a list of statuses"]),
        ({"start": "{{ '2025-09-18' }}"}, (), ["`start` is '2025-09-18'", "a date without a time of day"]),
        ({"destination": "{{ 'file:///x.csv' }}"}, (), ["destination='file:///x.csv'", ".parquet"]),
        ({"destination": "gs://bucket/x.jsonl"}, (), ["pip install 'airflow-provider-capillary[gcs]'"]),
    ],
)
def test_what_no_retry_cures_fails_on_the_first_try(api_of, tmp_path, logged, case):
    options, faults, saying = case
    api = api_of(faults=faults)
    with make_dag() as dag:
        export_task(**({"destination": tmp_path / "out.jsonl", "retries": 3} | ALL | options))
    fails(run(dag), logged, tries=1, saying=saying)
    assert len(api.requests) <= 1
    assert names_in(tmp_path) == []


def test_a_mapped_task_fails_on_the_first_try_as_well(api_of, tmp_path):
    api_of(faults="http_401")
    with make_dag() as dag:
        from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

        CapillaryEventLogsToObjectStorageOperator.partial(task_id="export", retries=2, retry_delay=timedelta(), **ALL).expand(
            destination=[f"{tmp_path}/x.jsonl"]
        )
    assert instance(run(dag)).try_number == 1


def test_a_passing_fault_is_tried_again_and_then_all_is_there(api_of, tmp_path, monkeypatch):
    from airflow_provider_capillary.api import executor
    from airflow_provider_capillary.api.retries import RetryPlan

    # Whatever the reading would survive by itself, the first try of the task does not.
    plan = RetryPlan(attempts=1)
    monkeypatch.setattr(executor, "RetryPlan", lambda *_args, **_options: plan)
    api = api_of(faults="http_503@3")
    with make_dag() as dag:
        export_task(tmp_path / "out.jsonl", retries=2, **ALL)
    dag_run = run(dag)
    assert dag_run.state == "success"
    assert instance(dag_run).try_number == 2
    receipt = receipt_of(dag_run)
    assert receipt["events"] == 10
    assert receipt["requests"] == len(api.requests) - 3  # those of the try that counts
    assert names_in(tmp_path) == [manifest_name("out.jsonl"), "out.jsonl"]


def test_a_task_that_is_run_twice_in_one_process_reads_anew(api_of, tmp_path):
    with make_dag():
        task = export_task(tmp_path / "out.jsonl", on_vanished="drop", **ALL)
    for late_events, documented in ((None, True), (0, False)):
        api = api_of(documented=documented)
        receipt = task.execute({})
        assert receipt["requests"] == len(api.requests) > 0
        assert receipt["late_events"] == late_events


def test_mapped_tasks_write_an_object_each(api_of, tmp_path):
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

    api_of()
    days = [datetime(2025, 9, day, tzinfo=UTC) for day in (16, 17, 18)]
    with make_dag() as dag:
        CapillaryEventLogsToObjectStorageOperator.partial(task_id="pairs", on_empty="skip").expand_kwargs(
            [
                {
                    "destination": f"file://{tmp_path}/{day:%d}.jsonl",
                    "start": day.isoformat(),
                    "end": (day + timedelta(days=1)).isoformat(),
                }
                for day in days
            ]
        )
        CapillaryEventLogsToObjectStorageOperator.partial(
            task_id="names", destination=f"{tmp_path}/{{{{ ti.map_index }}}}.jsonl", **ALL
        ).expand(event_name=["Group_User_Event", "nobody's"])
    dag_run = run(dag)
    assert dag_run.state == "success"
    assert [ti.map_index for ti in instances(dag_run, "pairs")] == [0, 1, 2]
    found = xcoms(dag_run)
    assert [found["pairs", index, "return_value"]["events"] for index in range(3)] == [0, 1, 1]
    assert found["names", 0, "return_value"]["events"] > found["names", 1, "return_value"]["events"] == 0
    assert [name for name in names_in(tmp_path) if not name.startswith("_")] == ["0.jsonl", "1.jsonl", "17.jsonl", "18.jsonl"]


@pytest.mark.parametrize("deferrable", [True, False])
def test_reading_begins_when_the_interval_has_settled(api_of, tmp_path, logged, deferrable):
    end = datetime.now(UTC) - timedelta(seconds=1)
    settle = timedelta(seconds=5)
    record = documented_records()[0] | {"startTime": int(end.timestamp() * 1000) - 500}
    asked_at = []
    api = api_of(records=[record], documented=False, faults=lambda _number, _params: asked_at.append(datetime.now(UTC)))
    with make_dag() as dag:
        start = end - timedelta(hours=1)
        export_task(tmp_path / "out.jsonl", start=start.isoformat(), end=end.isoformat(), settle=settle, deferrable=deferrable)
    dag_run = run(dag)
    assert dag_run.state == "success"
    assert receipt_of(dag_run)["events"] == 1
    assert len(asked_at) == len(api.requests) > 0
    assert asked_at[0] >= end + settle
    out = logged()
    assert "Waiting " in out
    assert "5 seconds after its end" in out
    assert ("Trigger completed" in out or "running trigger in line" in out) is deferrable


def test_neither_log_holds_a_secret_or_anything_of_the_records(api_of, tmp_path, logged):
    import base64

    forbidden = {"inputRequest"}
    for record in documented_records():
        try:
            forbidden |= {str(value) for value in json.loads(record["inputRequest"]).values() if len(str(value)) > 6}
        except (ValueError, AttributeError):
            forbidden.add(record["inputRequest"])
    forbidden = {each for each in forbidden if each != "Group_User_Event" and each.strip()}
    assert len(forbidden) > 3
    for faults, state, known in (
        ((), "success", "Wrote"),
        ("html_200@4..", "failed", "Traceback"),
        ("http_401@3..", "failed", "HTTP 401"),
    ):
        api = api_of(faults=faults, extras={"read_timeout": 1})
        login, password = (json.loads(api.connection_json())[name] for name in ("login", "password"))
        secrets = {api.authenticator.password, password, base64.b64encode(f"{login}:{password}".encode()).decode()}
        with make_dag() as dag:
            export_task(tmp_path / "out.jsonl", **ALL)
        with pytest.MonkeyPatch.context() as patch:
            from airflow_provider_capillary.api import executor
            from airflow_provider_capillary.api.retries import RetryPlan

            plan = RetryPlan(attempts=1)
            patch.setattr(executor, "RetryPlan", lambda *_args, plan=plan, **_options: plan)
            assert run(dag).state == state
        out = logged()
        assert known in out
        for each in secrets | forbidden:
            assert each not in out, f"{each!r} in the log of a run that ended as {state}"
