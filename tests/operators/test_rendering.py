"""Templated arguments in real runs: the placeholders of the path, names that a run lacks, and None that became text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from operators.support import ALL, DAY, daily, export_task, fails, instance, make_dag, names_in, receipt_of, rendered_fields, run

pytestmark = pytest.mark.usefixtures("airflow_db")


def airflow_3():
    from airflow import __version__

    return not __version__.startswith("2.")


def paths_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jsonl"))


PLACES = [
    # how the destination is written, and the path of the local 17th of September in London
    ("dt={interval_start:%Y-%m-%d}/x.jsonl", "dt=2025-09-17/x.jsonl"),
    ("{{ params.team }}/{interval_start:%Y/%m}/{interval_end:%d}.jsonl", "crm/2025/09/18.jsonl"),
    ("{{ params.pattern }}", "dt=2025-09-17/y.jsonl"),
]


@pytest.mark.parametrize("as_path", [False, True])
@pytest.mark.parametrize(("written", "expected"), PLACES)
def test_the_placeholders_are_filled_in_and_shown_as_the_rendered_destination(api_of, tmp_path, written, expected, as_path):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    api_of()
    destination = f"file://{tmp_path}/{written}"
    with make_dag(schedule=daily("Europe/London"), params={"team": "crm", "pattern": "dt={interval_start:%Y-%m-%d}/y.jsonl"}) as dag:
        export_task(ObjectStoragePath(destination) if as_path else destination, path_timezone="Europe/London")
    dag_run = run(dag, logical_date=datetime(2025, 9, 17, 23, tzinfo=UTC))
    receipt = receipt_of(dag_run)
    assert (receipt["start"], receipt["end"]) == ("2025-09-16T23:00:00.000Z", "2025-09-17T23:00:00.000Z")
    assert paths_in(tmp_path) == [expected]
    shown = rendered_fields(dag_run)["destination"]
    assert (shown["path"] if isinstance(shown, dict) else shown) == f"file://{tmp_path}/{expected}"


def test_they_follow_start_and_end_rather_than_the_run_s_own_interval(api_of, tmp_path):
    api_of()
    with make_dag(schedule=daily(), params={"start": "2025-06-27T00:00:00Z"}) as dag:
        export_task(f"{tmp_path}/{{interval_start:%Y-%m-%d}}.jsonl", start="{{ params.start }}", end=ALL["end"])
    dag_run = run(dag, logical_date=DAY)
    assert paths_in(tmp_path) == ["2025-06-27.jsonl"]
    assert rendered_fields(dag_run)["destination"] == f"{tmp_path}/2025-06-27.jsonl"


def test_a_run_without_a_date_has_them_by_lookback(api_of, tmp_path):
    api_of(documented=False)
    with make_dag() as dag:
        # On Airflow 2, where it has a date, of length zero.
        export_task(f"{tmp_path}/{{interval_end:%Y-%m-%d}}.jsonl", lookback=timedelta(days=1), settle=timedelta())
    dag_run = run(dag, undated=airflow_3())
    assert dag_run.state == "success"
    assert paths_in(tmp_path) == [f"{receipt_of(dag_run)['end'][:10]}.jsonl"]


def test_each_mapped_task_fills_in_its_own(api_of, tmp_path):
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

    api_of()
    with make_dag(schedule=daily()) as dag:
        CapillaryEventLogsToObjectStorageOperator.partial(task_id="by_name", path_timezone="Asia/Kolkata").expand(
            destination=[f"{tmp_path}/{name}/{{interval_start:%Y-%m-%d}}.jsonl" for name in "ab"]
        )
        CapillaryEventLogsToObjectStorageOperator.partial(
            task_id="by_day", destination=f"{tmp_path}/{{{{ params.c }}}}/{{interval_start:%Y-%m-%dT%H%z}}.jsonl"
        ).expand_kwargs([{"start": f"2025-09-{day}T00:00:00Z", "end": f"2025-09-{day + 1}T00:00:00Z"} for day in (15, 16)])
        dag.params["c"] = "c"
    dag_run = run(dag, logical_date=DAY)
    assert dag_run.state == "success"
    expected = ["a/2025-09-17.jsonl", "b/2025-09-17.jsonl", "c/2025-09-15T00+0000.jsonl", "c/2025-09-16T00+0000.jsonl"]
    assert paths_in(tmp_path) == expected
    assert rendered_fields(dag_run, "by_name", 1)["destination"] == f"{tmp_path}/{expected[1]}"
    assert rendered_fields(dag_run, "by_day", 0)["destination"] == f"{tmp_path}/{expected[2]}"


def test_a_task_that_is_executed_without_airflow_fills_them_in_as_well(api_of, tmp_path):
    api_of()
    task = export_task(f"{tmp_path}/{{interval_start:%Y-%m-%d}}.jsonl", **ALL)
    task.execute({})
    assert paths_in(tmp_path) == ["2025-06-27.jsonl"]


def test_a_task_that_waited_goes_on_to_the_same_path(api_of, tmp_path):
    api_of(documented=False)
    end = datetime.now(UTC) - timedelta(seconds=1)
    with make_dag() as dag:
        export_task(
            f"{tmp_path}/{{interval_end:%Y%m%dT%H%M%S}}.jsonl",
            start=(end - timedelta(hours=1)).isoformat(),
            end=end.isoformat(),
            settle=timedelta(seconds=3),
            deferrable=True,
        )
    assert run(dag).state == "success"
    assert paths_in(tmp_path) == [f"{end:%Y%m%dT%H%M%S}.jsonl"]


def test_a_placeholder_that_a_template_gives_wrongly_fails_on_the_first_try(api_of, tmp_path, logged):
    api = api_of()
    with make_dag(params={"path": f"{tmp_path}/{{nope}}.jsonl"}) as dag:
        export_task("{{ params.path }}", retries=3, **ALL)
    fails(run(dag), logged, tries=1, saying=["'{nope}', which is no placeholder", "{interval_start:%Y-%m-%d}"])
    assert api.requests == []
    assert names_in(tmp_path) == []


UNDATED = [
    # arguments of a task in a run without a date, and what its log says besides the name of the parameter
    ({"destination": "{{ data_interval_start | ds }}.jsonl"}, ["`destination`", "no data_interval_start", "{interval_start:%Y-%m-%d}"]),
    ({"destination": "{{ data_interval_start.strftime('%H') }}.jsonl"}, ["no data_interval_start", "{interval_start:%Y-%m-%d}"]),
    ({"destination": "{{ macros.ds_add(ds, 1) }}-{{ ts }}.jsonl"}, ["`destination`", "no ds and ts", "{interval_start:%Y-%m-%d}"]),
    ({"start": "{{ data_interval_start }}", "end": ALL["end"]}, ["`start`", "leave out `start` and `end`", "--logical-date"]),
    ({"start": ALL["start"], "end": "{{ data_interval_end }}"}, ["`end`", "leave out `start` and `end`", "--logical-date"]),
    ({"event_name": "e-{{ logical_date }}", **ALL}, ["`event_name`", "no logical_date", "dag_run.run_after"]),
    ({"statuses": ["{{ ds_nodash }}"], **ALL}, ["`statuses`", "no ds_nodash", "dag_run.run_after"]),
    ({"destination": "{interval_start:%Y-%m-%d}.jsonl"}, ["The run has no data interval", "lookback="]),
]


@pytest.mark.skipif("not airflow_3()", reason="on Airflow 2 every run has a date")
@pytest.mark.parametrize(("options", "saying"), UNDATED)
def test_a_name_that_a_run_without_a_date_lacks_fails_on_the_first_try(api_of, tmp_path, logged, options, saying):
    api = api_of()
    destination = f"{tmp_path}/{options.get('destination', 'x.jsonl')}"
    with make_dag(schedule=daily()) as dag:
        export_task(**({"retries": 3} | options | {"destination": destination}))
    fails(run(dag, undated=True), logged, tries=1, saying=saying)
    assert api.requests == []
    assert names_in(tmp_path) == []


@pytest.mark.skipif("not airflow_3()", reason="on Airflow 2 every run has a date")
def test_a_template_that_gets_along_without_a_date_is_left_alone(api_of, tmp_path):
    api_of()
    with make_dag(schedule=daily()) as dag:
        export_task(f"{tmp_path}/{{{{ ds | default('no-date') }}}}.jsonl", **ALL)
    assert run(dag, undated=True).state == "success"
    assert paths_in(tmp_path) == ["no-date.jsonl"]


def test_what_else_is_wrong_with_a_template_is_airflow_s_to_report(api_of, tmp_path, logged):
    api_of()
    with make_dag() as dag:
        export_task(f"{tmp_path}/{{{{ nobody_knows }}}}.jsonl", **ALL, retries=1)
    dag_run = run(dag)
    assert instance(dag_run).try_number == 2
    assert "'nobody_knows' is undefined" in logged()
