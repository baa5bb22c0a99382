"""A refusal of the store is found before the API is read, with no more rights than an export needs; and a store that hangs is given up.

The rights are those of IAM users on a server that checks signatures and policies, as S3 does.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time

import pytest
from export.faulty_proxy import FaultyProxy, Rule
from export.support import export, make_records

from airflow_provider_capillary.errors import CapillaryError, DestinationConflictError, DestinationError, PublishError
from airflow_provider_capillary.export import object_store, time_limit
from airflow_provider_capillary.export.store_errors import refusal

COUNT = 60
WRITE, READ, ABORT, LIST, LIST_UPLOADS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:AbortMultipartUpload",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
)


def connect(monkeypatch, conn_id, endpoint, *, key="testing", secret="testing-secret", **config):
    """An Airflow connection; each test needs one of its own, since Airflow keeps the filesystem of each."""
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1", "config_kwargs": config}
    value = {"conn_type": "aws", "login": key, "password": secret, "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))
    return conn_id


class Reading:
    """Records, and how many of them were asked for."""

    def __init__(self, count=COUNT):
        self.asked = 0
        self._records = list(make_records(COUNT))[:count]

    def __iter__(self):
        for record in self._records:
            self.asked += 1
            yield record


class Users:
    """IAM users on the server, which checks nobody's rights but while :meth:`checking`."""

    def __init__(self, endpoint, bucket, monkeypatch):
        import boto3

        self._endpoint, self._bucket, self._monkeypatch = endpoint, bucket, monkeypatch
        self._iam = boto3.client(
            "iam", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing-secret"
        )

    def connection(self, *actions, prefix="x/", everywhere=False, key=None, secret=None):
        """A connection of a new user who may do these, to objects of one folder and to their bucket, or everywhere."""
        name = f"user-{self._bucket.name}"
        bucket = "*" if everywhere else f"arn:aws:s3:::{self._bucket.name}"
        objects = "*" if everywhere else f"{bucket}/{prefix}*"
        allowed = [{"Effect": "Allow", "Action": [name], "Resource": bucket if "Bucket" in name else objects} for name in actions]
        policy = {"Version": "2012-10-17", "Statement": allowed}
        self._iam.create_user(UserName=name)
        self._iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        made = self._iam.create_access_key(UserName=name)["AccessKey"]
        conn_id = f"capillary_{self._bucket.name.replace('-', '_')}"
        return connect(self._monkeypatch, conn_id, self._endpoint, key=key or made["AccessKeyId"], secret=secret or made["SecretAccessKey"])

    def checking(self):
        from moto import settings

        patch = pytest.MonkeyPatch()
        patch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        return patch


@pytest.fixture
def users(s3_server, bucket, monkeypatch):
    return Users(s3_server, bucket, monkeypatch)


def export_checked(users, records, uri, **options):
    patch = users.checking()
    try:
        return export(records, uri, **options)
    finally:
        patch.undo()


# Each row: rights that are enough for a first run and a rerun.
SUFFICIENT = [
    (WRITE, READ, ABORT, LIST_UPLOADS, LIST),
    (WRITE, READ, ABORT, LIST_UPLOADS),
    (WRITE, READ, ABORT),
    (WRITE, READ),
]


@pytest.mark.parametrize("actions", SUFFICIENT, ids="+".join)
def test_whoever_may_write_and_read_can_export(users, bucket, actions):
    uri = f"s3://{users.connection(*actions)}@{bucket.name}/x/events.jsonl"
    export_checked(users, Reading(40), uri)
    receipt = export_checked(users, Reading(), uri)
    manifest, key = bucket.keys()
    assert (manifest.startswith("x/_manifests/"), key) == (True, "x/events.jsonl")
    assert receipt["late_events"] == COUNT - 40
    assert bucket.unfinished_uploads() == []


def test_whoever_may_only_write_exports_once_and_replaces_nothing_unseen(users, bucket):
    uri = f"s3://{users.connection(WRITE)}@{bucket.name}/x/events.jsonl"
    export_checked(users, Reading(40), uri)
    with pytest.raises(DestinationConflictError):
        export_checked(users, Reading(), uri)
    assert bucket.read("x/events.jsonl").count(b"\n") == 40
    assert export_checked(users, Reading(), uri, on_vanished="drop")["late_events"] is None
    assert bucket.read("x/events.jsonl").count(b"\n") == COUNT


# Each row: the rights, what else is wrong, and words of the error.
REFUSED = {
    "a key that the store does not know": ((WRITE, READ), {"key": "AKIAUNKNOWN"}, "rejects the credential"),
    "a secret that is not the key's": ((WRITE, READ), {"secret": "another"}, "rejects the credential"),
    "a bucket that does not exist": ((WRITE, READ), {"bucket": "missing", "everywhere": True}, "does not exist"),
    "a right to read alone": ((READ, LIST, ABORT), {}, "may not write"),
    "a right to read alone, which cannot even list": ((READ, ABORT), {}, "may not write"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_refused_in_the_end_is_refused_before_anything_is_read(users, bucket, case):
    actions, options, saying = REFUSED[case]
    target = options.get("bucket", bucket.name)
    options = {name: value for name, value in options.items() if name != "bucket"}
    uri = f"s3://{users.connection(*actions, **options)}@{target}/x/events.jsonl"
    reading = Reading()
    with pytest.raises(DestinationError, match=saying) as caught:
        export_checked(users, reading, uri)
    assert uri in str(caught.value)
    assert caught.value.hint
    assert not caught.value.retryable
    assert bucket.keys() == []
    assert bucket.unfinished_uploads() == []
    assert reading.asked == 0


def test_where_the_credential_may_not_abort_no_upload_is_begun_to_find_out(users, bucket):
    uri = f"s3://{users.connection(READ, LIST)}@{bucket.name}/x/events.jsonl"
    reading = Reading()
    with pytest.raises(PublishError, match="could not be written") as caught:
        export_checked(users, reading, uri)
    assert reading.asked == COUNT
    assert not caught.value.retryable, "another try would read everything again, for nothing"
    assert bucket.unfinished_uploads() == []


def test_without_any_credential_nothing_is_read(bucket, s3_server, monkeypatch):
    conn_id = "capillary_no_credential"
    value = {"conn_type": "aws", "extra": {"endpoint_url": s3_server, "region_name": "us-east-1", "profile_name": "nobody"}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))
    reading = Reading()
    with pytest.raises(CapillaryError) as caught:
        export(reading, f"s3://{conn_id}@{bucket.name}/x.jsonl")
    assert reading.asked == 0
    assert isinstance(caught.value, DestinationError)


def test_an_endpoint_that_cannot_be_reached_fails_before_reading_and_may_be_tried_again(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        uri = f"s3://{connect(monkeypatch, 'capillary_unreachable', endpoint, retries={'max_attempts': 0})}@bucket/x.jsonl"
        reading = Reading()
        with pytest.raises(PublishError, match=re.escape(uri)) as caught:
            export(reading, uri)
    assert reading.asked == 0
    assert caught.value.retryable


class Silent:
    """Accepts every connection, and never answers."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.endpoint = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self._connections.append(self._server.accept()[0])
            except OSError:
                return

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._connections:
            connection.close()


HELD_UP = 20.0
"""Seconds that a machine with much else to do may hold a run up. A store that is not given up is waited for by its client for minutes."""


@pytest.fixture
def short_limits(monkeypatch):
    monkeypatch.setattr(time_limit, "ANSWER_LIMIT", 2.6)
    monkeypatch.setattr(time_limit, "_WARN_EVERY", 1.0)
    monkeypatch.setattr(time_limit, "_SLOWEST", 10**9)


@pytest.fixture
def silent():
    server = Silent()
    yield server
    server.close()


def test_a_store_that_never_answers_is_given_up_and_said_to_keep_the_run_waiting(silent, monkeypatch, short_limits, caplog):
    # The client by itself would wait for minutes.
    uri = f"s3://{connect(monkeypatch, 'capillary_silent', silent.endpoint)}@bucket/x.jsonl"
    reading, began = Reading(), time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(PublishError, match=r"has not answered for \d+ s while asking for") as caught:
        export(reading, uri)
    assert time.monotonic() - began < time_limit.ANSWER_LIMIT + HELD_UP
    assert uri in str(caught.value)
    assert caught.value.retryable
    assert reading.asked == 0
    warnings = [record.getMessage() for record in caplog.records if "has not answered" in record.getMessage()]
    assert len(warnings) == 2
    for warning in warnings:
        assert re.fullmatch(rf"The store has not answered for \d s, and is given up at 3 s: asking for {re.escape(uri)}", warning)


# Each row: the call that is never answered, the size of the object, and what the error says the run was doing.
HANGING = [
    ("uploads", "small", "looking for unfinished uploads of"),
    ("put", "small", "writing"),
    ("create", "parts", "writing"),
    ("part", "parts", "writing"),
    ("complete", "parts", "writing"),
    ("manifest", "small", "writing"),
]
SIZES = {"small": COUNT, "parts": 600}
PART = 64 * 1024


@pytest.mark.parametrize("case", HANGING, ids=lambda case: case[0])
@pytest.mark.usefixtures("short_limits")
def test_a_store_that_hangs_in_the_end_is_given_up_once(s3_server, bucket, monkeypatch, caplog, case):
    call, size, doing = case
    from moto.s3 import models

    monkeypatch.setattr(object_store, "_PART", PART)
    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", PART)
    with FaultyProxy(s3_server) as proxy:
        uri = f"s3://{connect(monkeypatch, f'capillary_hanging_{call}', proxy.endpoint)}@{bucket.name}/x.jsonl"
        export(make_records(COUNT, seed=1), uri)
        before = bucket.contents()
        # Nor would it answer what is cleaned up afterwards.
        cleaning = [] if call in ("uploads", "manifest") else [Rule("hang", "uploads", first=2)]
        proxy.break_calls(bucket.name, Rule("hang", call), *cleaning)
        began = time.monotonic()
        with caplog.at_level(logging.WARNING), pytest.raises(PublishError, match=rf"has not answered for \d+ s while {doing}"):
            export(make_records(SIZES[size], seed=2), uri, on_vanished="drop")
        assert time.monotonic() - began < time_limit.ANSWER_LIMIT + HELD_UP
        assert proxy.calls[bucket.name].count(call) >= 1
        # One limit, not one more for what would be cleaned up: asked for before each upload alone, of the object and of the manifest.
        assert proxy.calls[bucket.name].count("uploads") == (2 if call == "manifest" else 1)
    assert f"given up at 3 s: {doing}" in caplog.text
    after = bucket.contents()
    assert (after["x.jsonl"] != before["x.jsonl"]) == (call == "manifest")


def test_an_upload_that_goes_on_is_not_given_up(s3_server, bucket, monkeypatch, short_limits):
    """However long it takes: each part that arrives counts as a sign of life."""
    from moto.s3 import models

    monkeypatch.setattr(object_store, "_PART", PART)
    monkeypatch.setattr(object_store, "_PARTS_AT_ONCE", 1)
    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", PART)
    with FaultyProxy(s3_server) as proxy:
        passed_on = proxy.pass_on

        def slowly(method, path, headers, body):
            if "partNumber" in path:
                time.sleep(0.9)
            return passed_on(method, path, headers, body)

        proxy.pass_on = slowly
        uri = f"s3://{connect(monkeypatch, 'capillary_slow', proxy.endpoint)}@{bucket.name}/x.jsonl"
        began = time.monotonic()
        receipt = export(make_records(SIZES["parts"]), uri)
    assert receipt["events"] == SIZES["parts"]
    assert time.monotonic() - began > time_limit.ANSWER_LIMIT, "it took no longer than what is waited for"


def test_what_was_given_up_ends_at_its_next_sign_of_life(monkeypatch, short_limits):
    """So that an upload in parts which nobody waits for any more does not end in an object after all."""
    goes_on, ended = threading.Event(), threading.Event()

    def call(is_alive):
        try:
            goes_on.wait(10)
            is_alive()
        except BaseException:
            ended.set()
            raise

    with pytest.raises(PublishError, match="has not answered for 3 s while trying"):
        time_limit.run_limited(call, doing="trying", log=logging.getLogger("tests.export"), hint="")
    goes_on.set()
    assert ended.wait(10)


def test_what_a_call_raises_and_returns_is_passed_on():
    def fail(_):
        raise KeyError("x")

    options = {"doing": "trying", "log": logging.getLogger("tests.export"), "hint": ""}
    assert time_limit.run_limited(lambda _: 7, **options) == 7
    with pytest.raises(KeyError, match="x"):
        time_limit.run_limited(fail, **options)


# Each row: an error of a store's client, by class name and fields, and the error that the export raises before reading, if any.
OTHER_STORES = [
    ("HttpError", {"code": 401}, DestinationError),
    ("HttpError", {"code": "401"}, DestinationError),
    ("HttpError", {"code": 503}, None),
    ("RefreshError", {}, DestinationError),
    ("RefreshError", {"retryable": True}, None),
    ("DefaultCredentialsError", {}, DestinationError),
    ("ClientAuthenticationError", {"error_code": "AuthenticationFailed"}, DestinationError),
    ("HttpResponseError", {"error_code": "AuthorizationPermissionMismatch"}, None),
    ("ResourceNotFoundError", {"error_code": "ContainerNotFound"}, DestinationError),
    ("ResourceNotFoundError", {"error_code": "BlobNotFound"}, None),
    ("ClientError", {"response": {"Error": {"Code": "InvalidAccessKeyID"}}}, DestinationError),
    ("ClientError", {"response": {"Error": {"Code": "RequestTimeTooSkewed"}}}, PublishError),
    ("ClientError", {"response": {"Error": {"Code": "AccessDenied"}}}, None),
    ("ClientError", {"response": {"Error": {"Code": "403"}}}, None),
    ("ClientError", {"response": None}, None),
    ("NoCredentialsError", {}, DestinationError),
]


@pytest.mark.parametrize(("name", "fields", "expected"), OTHER_STORES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_refusal_is_told_apart_from_a_lack_of_rights(name, fields, expected, wrapped):
    error = type(name, (Exception,), fields)("told")
    if wrapped:  # as the filesystems do, or by raising in an except clause
        outer = OSError("translated")
        outer.__context__ = error
        error = outer
    refused = refusal(error, "s3://b/x.jsonl")
    assert type(refused) is (expected or type(None))
    assert refused is None or (refused.hint and refused.retryable == (expected is PublishError))
