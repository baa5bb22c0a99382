"""The policy that the README prints is enough for all that an export does at the store, and nothing in it is there for nothing.

The S3 server asks each request what it may, as moto understands it: by action and by resource.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from operators.support import export_task
from readme.blocks import block

from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.errors import CapillaryError

POLICY = json.loads(block("Permissions at the store", "json").text)
ACTIONS = [action for statement in POLICY["Statement"] for action in statement["Action"]]
KEY, EMPTY = "event_logs/dt=2025-09-17/events.jsonl.gz", "event_logs/dt=2025-09-19/events.jsonl.gz"
# On AWS, HEAD of a bucket is permitted by s3:ListBucket; moto calls it by its own name.
AS_MOTO_NAMES_IT = {"s3:ListBucket": ["s3:ListBucket", "s3:HeadBucket"]}
_users = itertools.count()


class Refusals(logging.Handler):
    """The requests for this bucket that the server refused. An upload that another test gave up may still go on, to another one."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, entry):
        if " 403 " in entry.getMessage() and "/my-bucket" in entry.getMessage():
            self.lines.append(entry.getMessage())


@pytest.fixture
def refusals():
    handler = Refusals()
    log = logging.getLogger("werkzeug")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture
def may(store, bucket, monkeypatch):
    """Give a user of the store some actions of the policy, as a connection; from then on the store asks who comes."""
    import boto3
    from moto import settings
    from moto.core.responses import ActionAuthenticatorMixin

    def make(actions):
        place = {"endpoint_url": store.meta.endpoint_url, "region_name": "us-east-1"}
        iam = boto3.client("iam", aws_access_key_id="testing", aws_secret_access_key="testing-secret", **place)
        name = f"readme_user_{next(_users)}"
        iam.create_user(UserName=name)
        statements = [
            each | {"Action": [name for action in each["Action"] if action in actions for name in AS_MOTO_NAMES_IT.get(action, [action])]}
            for each in POLICY["Statement"]
        ]
        policy = POLICY | {"Statement": [each for each in statements if each["Action"]]}
        iam.put_user_policy(UserName=name, PolicyName="export", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        connection = {"conn_type": "aws", "login": key["AccessKeyId"], "password": key["SecretAccessKey"], "extra": place}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        # For all servers of this process, until the test ends.
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        monkeypatch.setattr(ActionAuthenticatorMixin, "request_count", 0)
        return name

    yield make
    monkeypatch.undo()


def exports(conn_id, monkeypatch):
    """All that an export may do at a store: write, compare and replace, abort what a killed upload left, remove."""
    with Emulator() as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000))

        def export(*, key=KEY, **options):
            interval = {"start": "2025-06-27T00:00:00Z", "end": "2025-09-18T06:00:00Z"}
            return export_task(f"s3://{conn_id}@my-bucket/{key}", **interval, **options).execute({})

        assert export()["events"] == 10
        api.add({"id": "late", "startTime": api.records[3]["startTime"] + 1, "status": "EVENT_SUCCESS"})
        assert export()["late_events"] == 1
        assert export(event_name="of no event", key=EMPTY)["events"] == 0
        export(event_name="of no event", key=EMPTY, on_empty="skip")


@pytest.fixture
def left_by_a_killed_run(bucket):
    upload = bucket.create_multipart_upload(Bucket="my-bucket", Key=KEY)["UploadId"]
    bucket.upload_part(Bucket="my-bucket", Key=KEY, PartNumber=1, UploadId=upload, Body=b"half")


@pytest.mark.usefixtures("left_by_a_killed_run")
def test_the_policy_is_enough(may, refusals, bucket, monkeypatch):
    exports(may(ACTIONS), monkeypatch)
    monkeypatch.undo()
    assert refusals == []
    assert not [item for item in bucket.list_objects_v2(Bucket="my-bucket")["Contents"] if item["Key"].startswith(EMPTY)]
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket="my-bucket")


@pytest.mark.usefixtures("left_by_a_killed_run")
@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_is_asked_for(may, refusals, monkeypatch, action):
    # Some are refused quietly: what is not permitted is then not done.
    with contextlib.suppress(CapillaryError, AirflowException, AssertionError):
        exports(may([each for each in ACTIONS if each != action]), monkeypatch)
    monkeypatch.undo()
    assert refusals


def test_a_verification_needs_no_more_than_to_list_and_to_read(may, refusals, monkeypatch):
    from airflow_provider_capillary.operators.verification import CapillaryEventLogsVerificationOperator

    interval = {"start": "2025-06-27T00:00:00Z", "end": "2025-09-18T06:00:00Z"}
    with Emulator() as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000))
        export_task(f"s3://my_aws_conn@my-bucket/{KEY}", **interval).execute({})
        conn_id = may(["s3:ListBucket", "s3:GetObject"])
        task = CapillaryEventLogsVerificationOperator(task_id="verify", destination=f"s3://{conn_id}@my-bucket/{KEY}")
        assert task.execute({})["is_equal"]
    monkeypatch.undo()
    assert refusals == []


def test_nothing_is_permitted_outside_of_the_folder(may, monkeypatch):
    conn_id = may(ACTIONS)
    with Emulator() as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000))
        with pytest.raises(Exception, match=r"Access Denied|Forbidden"):
            export_task(
                f"s3://{conn_id}@my-bucket/elsewhere/events.jsonl", start="2025-09-17T00:00:00Z", end="2025-09-18T00:00:00Z"
            ).execute({})
