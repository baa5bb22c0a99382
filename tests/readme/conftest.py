from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pytest
from readme.week import WEEK, day_of

from airflow_provider_capillary.emulator import Emulator


@pytest.fixture(scope="session")
def store():
    """A real S3 server on loopback, as the connection that the README names, and a client that sees its buckets."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    options = {"region_name": "us-east-1", "endpoint_url": endpoint}
    connection = {"conn_type": "aws", "login": "testing", "password": "testing-secret", "extra": options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MY_AWS_CONN", json.dumps(connection))
        yield boto3.client("s3", aws_access_key_id="testing", aws_secret_access_key="testing-secret", **options)
    server.stop()


@pytest.fixture
def bucket(store):
    """The bucket that the README names, without any object."""
    store.create_bucket(Bucket="my-bucket")
    yield store
    for item in store.list_objects_v2(Bucket="my-bucket").get("Contents", []):
        store.delete_object(Bucket="my-bucket", Key=item["Key"])
    store.delete_bucket(Bucket="my-bucket")


@pytest.fixture
def api(monkeypatch):
    """An emulator with event logs in each hour of a week, as the connection that the README names."""
    with Emulator(documented=False, events=700, start=WEEK[0], end=WEEK[-1] + timedelta(days=1)) as running:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", running.connection_json(requests_per_minute=6000, date_format="iso"))
        yield running


@pytest.fixture
def expected(api):
    """How many event logs the emulator holds, by day and status."""
    return Counter((day_of(record), record.get("status")) for record in api.records)
