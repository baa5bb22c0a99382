"""The link to the exported object, as each Airflow asks for it."""

from __future__ import annotations

import json

import pytest
from operators.support import ALL, export_task, instance, make_dag, run, verify_task

from airflow_provider_capillary.operators._links import ExportedObjectLink

S3_PAGE = "https://console.aws.amazon.com/s3/object/bucket?prefix=a%20b/dt%3D2025-09-17/x.jsonl"

# Each row: the receipt's path, the extra of the connection "store", and the link.
LINKS = [
    ("s3://store@bucket/a b/dt=2025-09-17/x.jsonl", {}, S3_PAGE),
    ("s3://store@bucket/a b/dt=2025-09-17/x.jsonl", {"endpoint_url": "http://minio:9000"}, ""),
    ("s3://store@bucket/x.jsonl", {"service_config": {"s3": {"endpoint_url": "http://minio:9000"}}}, ""),
    ("s3://store@bucket/x.jsonl", {"region_name": "us-gov-west-1"}, ""),
    ("s3://store@bucket/a b/dt=2025-09-17/x.jsonl", {"region_name": "eu-west-1"}, S3_PAGE),
    ("s3://unknown@bucket/x.jsonl", {}, ""),
    ("s3a://bucket/a b/dt=2025-09-17/x.jsonl", {}, S3_PAGE),
    ("gs://store@bucket/x?&.jsonl", {}, "https://console.cloud.google.com/storage/browser/_details/bucket/x%3F%26.jsonl"),
    ("abfs://store@container/x.jsonl", {}, ""),
    ("file:///data/x.jsonl", {}, ""),
    (None, {}, ""),
]


@pytest.mark.parametrize(("path", "extra", "link"), LINKS)
def test_the_link_is_the_object_s_page_or_nothing(monkeypatch, path, extra, link):
    connection = {"conn_type": "aws", "login": "key", "password": "s3cret-of-the-store", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(connection))
    task = export_task("/out/x.jsonl")
    task._receipt = {"path": path}
    assert ExportedObjectLink().get_link(task, ti_key=None) == link


def test_a_store_that_the_environment_names_has_no_page(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio:9000")
    task = export_task("/out/x.jsonl")
    task._receipt = {"path": "s3://bucket/x.jsonl"}
    assert ExportedObjectLink().get_link(task, ti_key=None) == ""


def test_airflow_shows_the_link_of_a_finished_task(api_of, airflow_db, s3_bucket, monkeypatch):
    """By the task as it comes out of the database, which is what the UI has."""
    from airflow_provider_capillary.operators import _links

    monkeypatch.setattr(_links, "_is_elsewhere", lambda _path: False)
    api_of()
    place = "s3://operator_tests_s3@events/{interval_start:%Y}/x.jsonl"
    with make_dag() as dag:
        export_task(place, **ALL) >> verify_task(place, **ALL)
    dag_run = run(dag)
    assert dag_run.state == "success"
    try:
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.utils.session import create_session

        with create_session() as session:
            stored = SerializedDagModel.get(dag.dag_id, session=session)
            shown = stored.dag
    except AttributeError:  # Airflow 2, whose tests have written no serialized DAG
        from airflow.serialization.serialized_objects import SerializedDAG

        shown = SerializedDAG.from_dict(SerializedDAG.to_dict(dag))
    for task_id in ("export", "verify"):
        task = shown.get_task(task_id)
        assert task.extra_links == ["Exported object"]
        link = task.get_extra_links(instance(dag_run, task_id), "Exported object")
        assert link == "https://console.aws.amazon.com/s3/object/events?prefix=2025/x.jsonl"
