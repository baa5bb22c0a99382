"""What a run reports beside its object: asset events, Airflow's lineage collector, OpenLineage."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from datetime import UTC, datetime, timedelta
from functools import partialmethod
from types import ModuleType, SimpleNamespace

import pytest
from operators.support import ALL, export_task, make_dag, receipt_of, run, verify_task

from airflow_provider_capillary.operators._lineage import asset_uri_of

KEEPS_EXTRAS = importlib.metadata.version("apache-airflow") >= "3.1"
"""Before, and in the first 3.1, Airflow hashes the values of an alias's events."""
AIRFLOW_3_2 = importlib.metadata.version("apache-airflow").startswith("3.2.")
CONN_ID = "operator_tests_s3"
ON_EVENTS = ("path", "uri", "start", "end", "events", "failures", "statuses", "bytes", "late_events", "vanished_events")


def asset_events(dag):
    """The asset events of a DAG's tasks: URI of the asset, and extra."""
    from airflow.utils.session import create_session

    try:
        from airflow.models.asset import AssetEvent
    except ImportError:
        from airflow.models.dataset import DatasetEvent as AssetEvent
    with create_session() as session:
        events = session.query(AssetEvent).filter_by(source_dag_id=dag.dag_id).all()
        return sorted(((event.asset if hasattr(event, "asset") else event.dataset).uri, dict(event.extra)) for event in events)


def test_the_events_of_outlets_carry_the_counts(api_of, airflow_db, tmp_path, s3_bucket):
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    api_of()
    with make_dag() as dag:
        outlets = [Asset(f"capillary://{dag.dag_id}/events"), AssetAlias(f"{dag.dag_id}-alias")]
        destination = f"s3://{CONN_ID}@events/{{{{ dag.dag_id }}}}/dt={{interval_start:%Y-%m-%d}}/x.jsonl"
        export_task(destination, outlets=outlets, **ALL)
        export_task(tmp_path / "no_outlets.jsonl", task_id="other", **ALL)
    dag_run = run(dag)
    receipt = receipt_of(dag_run)
    extra = {name: receipt[name] for name in ON_EVENTS}
    of_alias = extra if KEEPS_EXTRAS else extra | {"statuses": json.dumps(extra["statuses"])}
    assert asset_events(dag) == [(f"capillary://{dag.dag_id}/events", extra), (f"s3://events/{dag.dag_id}", of_alias)]
    assert "inputRequest" not in json.dumps(extra)


class Events:
    """Like Airflow's `outlet_events`, for one outlet. Not every Airflow can hash assets."""

    def __init__(self):
        added = []
        self._only = SimpleNamespace(extra={}, added=added, add=lambda asset, extra: added.append((asset.uri, extra)))

    def __getitem__(self, _outlet):
        return self._only


def test_the_partition_of_a_run_is_on_its_events(api_of, tmp_path):
    from airflow.providers.common.compat.sdk import Asset

    api_of()
    events, asset = Events(), Asset("capillary://a/b")
    export_task(tmp_path / "x.jsonl", outlets=[asset], **ALL).execute({"outlet_events": events, "partition_key": "2025-09-17"})
    assert events[asset].extra["partition_key"] == "2025-09-17"
    assert events[asset].extra["events"] == 10


def test_airflow_puts_the_partition_of_a_run_on_its_events(api_of, airflow_db, tmp_path, monkeypatch):
    """In a run as the scheduler makes one for a partition; ``dag.test()`` alone makes none."""
    timetables = pytest.importorskip("airflow.sdk", reason="partitions came with Airflow 3.2")
    if not hasattr(timetables, "CronPartitionTimetable"):
        pytest.skip("partitions came with Airflow 3.2")
    from airflow.models.asset import AssetEvent
    from airflow.providers.common.compat.sdk import Asset, AssetAlias
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.utils.session import create_session

    partition = {"partition_key": "2025-09-17", "partition_date": datetime(2025, 9, 17, tzinfo=UTC)}
    monkeypatch.setattr(SerializedDAG, "create_dagrun", partialmethod(SerializedDAG.create_dagrun, **partition))
    api_of()
    with make_dag(schedule=timetables.CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%Y-%m-%d")) as dag:
        outlets = [Asset(f"capillary://{dag.dag_id}/events"), AssetAlias(f"{dag.dag_id}-alias")]
        # On Airflow 3.2 a task learns the key alone.
        explicit = {"start": "{{ dag_run.partition_key }}T00:00:00Z", "end": "2025-09-18T00:00:00Z"}
        interval = explicit if AIRFLOW_3_2 else {"partition_duration": timedelta(days=1)}
        export_task(f"{tmp_path}/{{interval_start:%Y-%m-%d}}.jsonl", outlets=outlets, **interval)
    dag_run = run(dag, undated=True)
    assert receipt_of(dag_run)["uri"] == f"file://{tmp_path}/2025-09-17.jsonl"
    with create_session() as session:
        events = session.query(AssetEvent).filter_by(source_dag_id=dag.dag_id).all()
        found = [(event.partition_key, event.extra["partition_key"], event.extra["events"]) for event in events]
    assert found == [("2025-09-17", "2025-09-17", 1)] * 2


def test_an_alias_gets_an_asset_that_airflow_takes(api_of, tmp_path):
    from airflow.providers.common.compat.sdk import AssetAlias

    api_of()
    events, alias = Events(), AssetAlias("alias")
    export_task(tmp_path / "Umsätze" / "x.jsonl", outlets=[alias], **ALL).execute({"outlet_events": events})
    ((uri, extra),) = events[alias].added
    assert uri == f"file://{tmp_path}/Ums%C3%A4tze/x.jsonl"
    assert extra["uri"] == f"file://{tmp_path}/Umsätze/x.jsonl"


# Each row: the destination as written, the URI of its object, and the URI of the asset.
ASSETS = [
    ("s3://c@b/logs/dt={interval_start:%Y}/h={interval_end:%H}/x.jsonl", "s3://b/logs/dt=2025/h=01/x.jsonl", "s3://b/logs"),
    ("s3://b/logs/x-{interval_start:%Y}.jsonl", "s3://b/logs/x-2025.jsonl", "s3://b/logs"),
    ("s3://c@b/{interval_start:%Y}.jsonl", "s3://b/2025.jsonl", "s3://b"),
    ("s3://c@b-{interval_start:%Y}/x.jsonl", "s3://b-2025/x.jsonl", "s3://b-2025/x.jsonl"),
    ("abfs://c@b/a@b/{interval_start:%Y}.jsonl", "abfs://b/a@b/2025.jsonl", "abfs://b/a@b"),
    ("file:///data/logs/{interval_start:%Y}.jsonl", "file:///data/logs/2025.jsonl", "file:///data/logs"),
    ("/data/{interval_start:%Y}.jsonl", "file:///data/2025.jsonl", "file:///data"),
    ("/{interval_start:%Y}.jsonl", "file:///2025.jsonl", "file:///2025.jsonl"),
    ("s3://c@b/newest.jsonl", "s3://b/newest.jsonl", "s3://b/newest.jsonl"),
]


@pytest.mark.parametrize(("written", "uri", "asset"), ASSETS)
def test_the_asset_is_the_folder_before_the_first_placeholder(written, uri, asset):
    assert asset_uri_of(written, uri) == asset


def test_api_and_object_are_named_to_the_lineage_collector_without_a_connection(api_of, tmp_path, s3_bucket, monkeypatch):
    from airflow.providers.common.compat.lineage import hook as lineage_hook

    added = []
    collector = SimpleNamespace(
        add_output_asset=lambda **told: added.append(("output", told["context"], told["uri"])),
        add_input_asset=lambda **told: added.append(("input", told["context"], told["uri"])),
    )
    monkeypatch.setattr(lineage_hook, "get_hook_lineage_collector", lambda: collector)
    api = api_of()
    for destination, uri in (
        (tmp_path / "x.jsonl", f"file://{tmp_path}/x.jsonl"),
        (f"s3://{CONN_ID}@events/a/x.jsonl", "s3://events/a/x.jsonl"),
    ):
        task = export_task(destination, **ALL)
        task.execute({})
        assert added == [("input", task, f"{api.url}/v2/events/logs"), ("output", task, uri)]
        added.clear()
        verification = verify_task(destination)
        verification.execute({})
        assert added == [("input", verification, f"{api.url}/v2/events/logs"), ("input", verification, uri)]
        added.clear()
    export_task(tmp_path / "y.jsonl", event_name="nobody's", on_empty="skip", **ALL).execute({})
    assert added == []


def test_airflow_s_own_collector_takes_it(api_of, tmp_path):
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    api = api_of()
    export_task(tmp_path / "töld.jsonl", **ALL).execute({})
    lineage = get_hook_lineage_collector().collected_assets
    if not lineage.outputs:
        assert type(get_hook_lineage_collector()).__name__ == "NoOpCollector"  # nobody reads lineage here, and nothing broke
        return
    assert [told.asset.uri for told in lineage.outputs][-1] == f"file://{tmp_path}/t%C3%B6ld.jsonl"
    assert [told.asset.uri for told in lineage.inputs][-1] == f"{api.url}/v2/events/logs"


class Named(SimpleNamespace):
    """Stands in for a class of OpenLineage."""


class OperatorLineage(SimpleNamespace):
    def __init__(self, inputs=(), outputs=()):
        super().__init__(inputs=list(inputs), outputs=list(outputs))


@pytest.fixture
def openlineage(monkeypatch):
    """Stand-ins for two modules of the OpenLineage provider, where it is not installed."""
    try:
        import airflow.providers.openlineage.extractors  # noqa: F401
    except ImportError:
        extractors = ModuleType("airflow.providers.openlineage.extractors")
        extractors.OperatorLineage = OperatorLineage
        facet = ModuleType("airflow.providers.common.compat.openlineage.facet")
        facet.Dataset = facet.OutputDataset = facet.OutputStatisticsOutputDatasetFacet = Named
        for module in (ModuleType("airflow.providers.openlineage"), extractors, facet):
            monkeypatch.setitem(sys.modules, module.__name__, module)


def test_openlineage_is_told_of_api_and_object_with_counts(api_of, openlineage, tmp_path, s3_bucket):
    api = api_of()
    expected = {
        f"file://{tmp_path}/x.jsonl": ("file", f"{tmp_path}/x.jsonl"),
        f"s3a://{CONN_ID}@events/a/x.jsonl": ("s3://events", "a/x.jsonl"),
    }
    for destination, names in expected.items():
        task = export_task(destination, **ALL)
        assert task.get_openlineage_facets_on_complete(None) == type(task.get_openlineage_facets_on_complete(None))()
        receipt = task.execute({})
        lineage = task.get_openlineage_facets_on_complete(None)
        assert [(each.namespace, each.name) for each in lineage.inputs] == [(api.url, "/v2/events/logs")]
        assert [(each.namespace, each.name) for each in lineage.outputs] == [names]
        statistics = lineage.outputs[0].outputFacets["outputStatistics"]
        assert (statistics.rowCount, statistics.size, statistics.fileCount) == (10, receipt["bytes"], 1)
        assert CONN_ID not in repr(lineage)
        verification = verify_task(destination)
        assert verification.get_openlineage_facets_on_complete(None) == type(lineage)()
        verification.execute({})
        lineage = verification.get_openlineage_facets_on_complete(None)
        assert [(each.namespace, each.name) for each in lineage.inputs] == [(api.url, "/v2/events/logs"), names]
        assert lineage.outputs == []
        assert CONN_ID not in repr(lineage)
    skipped = export_task(tmp_path / "y.jsonl", event_name="nobody's", on_empty="skip", **ALL)
    skipped.execute({})
    assert skipped.get_openlineage_facets_on_complete(None).outputs == []
