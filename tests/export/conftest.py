from __future__ import annotations

import itertools
import json
import logging
import os

import pytest
from export.support import Place


@pytest.fixture(scope="session", autouse=True)
def airflow_has_set_up_logging():
    """What is imported first sets up logging anew, and with it takes away what records a test's logs; so not within a test."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath  # noqa: F401


class Bucket:
    """A fresh bucket on a real S3 server, and a client beside the one under test."""

    def __init__(self, client, name, conn_id):
        self.client, self.name, self.conn_id = client, name, conn_id

    def uri(self, key):
        return f"s3://{self.conn_id}@{self.name}/{key}"

    def keys(self):
        return sorted(item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", []))

    def contents(self):
        return {key: self.read(key) for key in self.keys()}

    def read(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key, content):
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def unfinished_uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server on loopback, and an Airflow connection to it in the environment."""
    from moto.server import ThreadedMotoServer

    # A line for each of thousands of requests costs more than the requests.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    name = "AIRFLOW_CONN_CAPILLARY_TESTS_S3"
    os.environ[name] = json.dumps(
        {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing-secret",
            "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
        }
    )
    yield endpoint
    del os.environ[name]
    server.stop()


@pytest.fixture(scope="session")
def new_bucket(s3_server):
    """Makes a fresh bucket at each call."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing-secret"
    )
    numbers = itertools.count()

    def make():
        name = f"export-{next(numbers)}"
        client.create_bucket(Bucket=name)
        return Bucket(client, name, "capillary_tests_s3")

    return make


@pytest.fixture
def bucket(new_bucket):
    return new_bucket()


@pytest.fixture(params=["file", "s3"])
def place(request, tmp_path):
    """A folder, and a bucket, addressed alike."""
    if request.param == "s3":
        return Place(bucket=request.getfixturevalue("bucket"))
    folder = tmp_path / "place"
    folder.mkdir()
    return Place(folder=folder)


@pytest.fixture
def temporary_directory(tmp_path, monkeypatch):
    """A temporary directory of the test's own, so that leftovers show."""
    import tempfile

    folder = tmp_path / "tmpdir"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def no_file_without_a_name(monkeypatch):
    """A disk whose folders have no files without a name: the object is built in the temporary directory, and copied."""
    from airflow_provider_capillary.export.tempdir import TempDir

    monkeypatch.setattr(TempDir, "file_in", lambda *_: None)
