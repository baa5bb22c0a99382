"""Real runs over the object of an earlier one: what they leave alone, what they say, and whom they tell nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from export.support import manifest_name, unpack
from operators.support import ALL, DAY, daily, export_task, instance, instances, make_dag, names_in, receipt_of, run, xcoms

from airflow_provider_capillary.emulator import documented_records

pytestmark = pytest.mark.usefixtures("airflow_db")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


def records_at(*moments):
    model = documented_records()[0]
    return [model | {"id": f"{moment:%d-%H}", "startTime": int(moment.timestamp() * 1000)} for moment in moments]


def midnight_in_london():
    try:
        from airflow.sdk import CronDataIntervalTimetable
    except ImportError:
        from airflow.timetables.interval import CronDataIntervalTimetable
    return CronDataIntervalTimetable("0 0 * * *", timezone="Europe/London")


def test_two_local_days_under_one_path_when_the_clocks_change(api_of, tmp_path, logged):
    hours = [datetime(2025, 3, 30, tzinfo=UTC) + timedelta(hours=hour) for hour in range(48)]
    api = api_of(records=records_at(*hours), documented=False)
    with make_dag(schedule=midnight_in_london()) as dag:
        export_task(f"file://{tmp_path}/dt={{{{ data_interval_start | ds }}}}/events.jsonl", retries=3)
    first = run(dag, logical_date=datetime(2025, 3, 31, 1, tzinfo=UTC))
    assert receipt_of(first)["events"] == 23
    before, asked = contents(tmp_path), len(api.requests)
    logged()
    second = run(dag, logical_date=datetime(2025, 4, 1, 1, tzinfo=UTC))
    assert second.state == "failed"
    assert instance(second).try_number == 1
    assert contents(tmp_path) == before
    assert len(api.requests) == asked
    out = logged()
    assert "stands for [2025-03-30T00:00:00.000Z, 2025-03-30T23:00:00.000Z)" in out
    assert "is for [2025-03-30T23:00:00.000Z, 2025-03-31T23:00:00.000Z)" in out
    assert "{interval_start:%Y-%m-%dT%H%M}" in out
    assert f"rm -- {tmp_path}/dt=2025-03-30/events.jsonl {tmp_path}/dt=2025-03-30/{manifest_name('events.jsonl')}" in out


@pytest.mark.parametrize("of_each", [{"event_name": ["Group_User_Event", "nobody's"]}, {"statuses": [["EVENT_SUCCESS"], ["NO_STATUS"]]}])
def test_mapped_tasks_with_one_destination(api_of, tmp_path, of_each):
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

    api_of()
    with make_dag() as dag:
        CapillaryEventLogsToObjectStorageOperator.partial(task_id="export", destination=f"{tmp_path}/x.jsonl", **ALL).expand(**of_each)
    dag_run = run(dag)
    assert sorted(ti.state for ti in instances(dag_run)) == ["failed", "success"]
    (won,) = (ti.map_index for ti in instances(dag_run) if ti.state == "success")
    receipt = xcoms(dag_run)["export", won, "return_value"]
    assert len(unpack((tmp_path / "x.jsonl").read_bytes(), ".jsonl")) == receipt["events"]
    ((name, values),) = of_each.items()
    assert json.loads((tmp_path / manifest_name("x.jsonl")).read_bytes())["stands_for"][name] == values[won]


@pytest.mark.parametrize("on_empty", ["write", "skip", "fail"])
@pytest.mark.parametrize("left", [0, 3])
def test_a_day_whose_logs_the_api_has_dropped(api_of, tmp_path, logged, on_empty, left):
    hours = [DAY - timedelta(hours=hour + 1) for hour in range(24)]
    api = api_of(records=records_at(*hours), documented=False)
    with make_dag(schedule=daily()) as dag:
        export_task(tmp_path / "events.jsonl.gz", retries=2, on_empty=on_empty)
    assert receipt_of(run(dag, logical_date=DAY))["events"] == 24
    before = contents(tmp_path)
    api.stop()
    api_of(records=records_at(DAY + timedelta(hours=1), *hours[:left]), documented=False)
    logged()
    again = run(dag, logical_date=DAY)
    assert again.state == "failed"
    assert instance(again).try_number == 1 or (left == 0 and on_empty == "fail")
    assert contents(tmp_path) == before
    if left or on_empty != "fail":
        out = logged()
        assert f"{24 - left} of the 24 records" in out
        assert "on_vanished='keep'" in out
        assert "on_vanished='drop'" in out


def test_a_rerun_says_how_many_were_late(api_of, tmp_path, logged):
    api_of(records=records_at(*(DAY - timedelta(hours=hour + 1) for hour in range(5))), documented=False).stop()
    with make_dag(schedule=daily()) as dag:
        export_task(tmp_path / "events.jsonl")
    for count in (5, 12):
        api = api_of(records=records_at(*(DAY - timedelta(hours=hour + 1) for hour in range(count))), documented=False)
        logged()
        receipt = receipt_of(run(dag, logical_date=DAY))
        api.stop()
    assert receipt["late_events"] == 7
    assert f"7 of 12 records are late: the object of the earlier run lacks them ({tmp_path}/events.jsonl)" in logged()


@pytest.mark.parametrize("holds", [True, False])
def test_without_an_object_there_is_no_asset_event(api_of, tmp_path, holds):
    """The task succeeds, its receipt says that there is nothing, what comes after it runs, and no consumer of the asset is woken."""
    from airflow.providers.common.compat.sdk import Asset, AssetAlias
    from airflow.utils.session import create_session

    try:
        from airflow.models.asset import AssetEvent
        from airflow.providers.standard.operators.empty import EmptyOperator
    except ImportError:
        from airflow.models.dataset import DatasetEvent as AssetEvent
        from airflow.operators.empty import EmptyOperator

    api_of(records=records_at(DAY - timedelta(hours=1 if holds else 30)), documented=False)
    with make_dag(schedule=daily()) as dag:
        outlets = [Asset(f"capillary://{dag.dag_id}/events"), AssetAlias(f"{dag.dag_id}-alias")]
        export_task(tmp_path / "events.jsonl", on_empty="skip", outlets=outlets) >> EmptyOperator(task_id="after")
    dag_run = run(dag, logical_date=DAY)
    assert dag_run.state == "success"
    assert instance(dag_run, "after").state == "success"
    receipt = receipt_of(dag_run)
    with create_session() as session:
        events = session.query(AssetEvent).filter_by(source_dag_id=dag.dag_id).count()
    assert events == (2 if holds else 0), "one of the asset, and one of the asset behind the alias"
    assert (receipt["path"] is not None) == (receipt["uri"] is not None) == holds
    assert names_in(tmp_path) == ([manifest_name("events.jsonl"), "events.jsonl"] if holds else [])
    assert len(dag.get_task("export").outlets) == 2, "the task of the DAG has lost its outlets, not the run's copy"
