"""Stores that refuse, in runs on real Airflow: nothing is asked of the API, and nothing is tried again that can't help."""

from __future__ import annotations

import json
import socket

import pytest
from operators.support import ALL, export_task, instance, make_dag, run

pytestmark = pytest.mark.usefixtures("airflow_db")


@pytest.fixture
def unreachable(monkeypatch):
    """A connection to a port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1", "config_kwargs": {"retries": {"max_attempts": 0}}}
        value = {"conn_type": "aws", "login": "testing", "password": "testing-secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_OPERATOR_TESTS_UNREACHABLE", json.dumps(value))
        yield "operator_tests_unreachable"


def test_a_bucket_that_does_not_exist_fails_on_the_first_try_without_one_request(api_of, s3_endpoint, logged):
    api = api_of()
    with make_dag() as dag:
        export_task("s3://operator_tests_s3@missing/{{ ds }}.jsonl", retries=2, **ALL)
    assert instance(run(dag)).try_number == 1
    assert api.requests == []
    said = logged()
    assert "The bucket or container of s3://operator_tests_s3@missing/" in said
    assert "does not exist" in said
    assert "testing-secret" not in said


def test_an_endpoint_that_cannot_be_reached_is_tried_again_without_one_request(api_of, unreachable, logged):
    api = api_of()
    with make_dag() as dag:
        export_task(f"s3://{unreachable}@events/{{{{ ds }}}}.jsonl", retries=1, **ALL)
    assert instance(run(dag)).try_number == 2
    assert api.requests == []
    assert "The store did not say whether s3://operator_tests_unreachable@events/" in logged()


@pytest.mark.parametrize("rendered", ["s3:/events/x.jsonl", "out/x.jsonl", "s3://events//x.jsonl"])
def test_what_a_template_makes_wrong_fails_on_the_first_try_without_one_request(api_of, logged, tmp_path, monkeypatch, rendered):
    monkeypatch.chdir(tmp_path)
    api = api_of()
    with make_dag(params={"where": rendered}) as dag:
        export_task("{{ params.where }}", retries=2, **ALL)
    assert instance(run(dag)).try_number == 1
    assert api.requests == []
    assert f"destination='{rendered}'" in logged()
    assert list(tmp_path.iterdir()) == []
