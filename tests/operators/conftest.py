from __future__ import annotations

import json

import pytest

from airflow_provider_capillary.emulator import Emulator


@pytest.fixture
def api_of(monkeypatch):
    """An emulator that runs until the test ends, as the connection ``capillary_default``."""
    running = []

    def start(*, extras=None, conn_id="capillary_default", **options):
        api = Emulator(**options).start()
        running.append(api)
        # A budget that no test reaches: waiting for it is the reading's business, and tried there.
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", api.connection_json(**({"requests_per_minute": 6000} | (extras or {}))))
        return api

    yield start
    for api in running:
        api.stop()


@pytest.fixture
def logged(capfd, caplog):
    """Everything that was logged since the last call: Airflow 3 writes a task's log to the terminal, Airflow 2 to loggers."""
    caplog.set_level("DEBUG", logger="airflow_provider_capillary")
    caplog.set_level("INFO")

    def take():
        text = "".join(capfd.readouterr()) + caplog.text
        caplog.clear()
        return text

    return take


@pytest.fixture(scope="session")
def s3_endpoint():
    """A real S3 server on loopback, and the connection ``operator_tests_s3`` to it: Airflow keeps one filesystem for each connection."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing-secret",
        "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OPERATOR_TESTS_S3", json.dumps(connection))
        yield endpoint
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint):
    """A bucket named ``events`` without any object, seen by a client beside the one under test."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing-secret"
    )
    client.create_bucket(Bucket="events")
    yield client
    for item in client.list_objects_v2(Bucket="events").get("Contents", []):
        client.delete_object(Bucket="events", Key=item["Key"])
    client.delete_bucket(Bucket="events")
