"""Secrets and personal data that could turn up anywhere, and one scan of everything that every path leaves behind.

The API of these tests knows canaries: a password, an OAuth secret, and records in which a mobile number, an e-mail address and free text
stand in each field that has held such. Where a fault spoils an answer, the spoilt answer holds them too. They may be in the object that is
exported, and nowhere else: in no log, no row of Airflow's database (XCom, rendered fields, triggers), no manifest, no exception, no
``repr`` and no pickle. ``dag.test()`` masks nothing, so what is looked at is what the package itself says.

What a live scheduler and triggerer leave behind is scanned in ``tests/live``.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import itertools
import os
import pickle
import sqlite3
import traceback
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from operators.support import ALL, export_task, make_dag, run
from triggers.support import iso, now

from airflow_provider_capillary.emulator import FAULTS, Emulator
from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.hooks.capillary_async import CapillaryAsyncHook
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor
from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger, CapillaryEventWatchTrigger

pytestmark = pytest.mark.usefixtures("airflow_db")

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
PASSWORD, CLIENT_SECRET = "canary-of-the-password", "canary-of-the-client-secret"
MD5 = hashlib.md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
PERSONAL = {"mobile": "919800canary", "email": "canary@example.invalid", "text": "a canary wrote this", "webhook": "canary0000webhook"}
# What must not leave the process at all, by what it is: credentials, and what is derived from them.
SECRET = {
    "password": PASSWORD,
    "md5": MD5,
    "header": b64encode(f"store.server:{MD5}".encode()).decode(),
    "client secret": CLIENT_SECRET,
    "token": "emulator-token-",
}
CANARIES = SECRET | PERSONAL
SLOW = {"hang", "slow_drip", "big_body", "throttled_absurd"}
"""They hold what any other does, and are tried where time is what they are about."""
QUICK = [fault for fault in FAULTS if fault not in SLOW]


def record(number, timestamp, status="EMF_PROCESSOR_FAILED"):
    return {
        "id": f"known-{number}",
        "startTime": timestamp,
        "status": status,
        "eventName": "order",
        "inputRequest": f'{{"mobile":"{PERSONAL["mobile"]}","email":"{PERSONAL["email"]}"}}',
        "message": PERSONAL["text"],
        "webhookId": PERSONAL["webhook"],
        "orgId": 1,
    }


@pytest.fixture
def api_of(monkeypatch):
    monkeypatch.setattr("airflow_provider_capillary.api.retries.RetryPlan.delay", lambda *_: 0.0)
    running = []

    def start(*, auth_type="basic", conn_id="capillary_default", **options):
        made = Emulator(auth_type=auth_type, password=PASSWORD, client_secret=CLIENT_SECRET, documented=False, **options).start()
        running.append(made)
        for number in range(6):
            made.add(record(number, 1758000000000 + number * 3_600_000, "EVENT_SUCCESS" if number == 3 else "EMF_PROCESSOR_FAILED"))
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", made.connection_json(requests_per_minute=60_000, date_format="iso"))
        return made

    yield start
    for made in running:
        made.stop()


@pytest.fixture
def left(capfd, caplog, tmp_path):
    """Everything that was left since the test began, but for the objects that are to hold the records."""
    caplog.set_level("DEBUG")

    def take(*more):
        home = Path(os.environ["AIRFLOW_HOME"])
        with sqlite3.connect(home / "airflow.db") as database:
            rows = "\n".join(database.iterdump())
        logs = "".join(path.read_text(errors="replace") for path in (home / "logs").rglob("*") if path.is_file())
        outputs = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("_manifests/*"))
        names = "\n".join(str(path) for path in tmp_path.rglob("*"))
        return "\n".join(["".join(capfd.readouterr()), caplog.text, rows, logs, outputs, names, *map(str, more)])

    return take


def check_clean(text, *, holds=()):
    """No canary in it; and it is a text in which one would be seen."""
    for sign in holds:
        assert sign in text, sign
    found = {what: text[max(0, at - 200) : at + 60] for what, canary in CANARIES.items() if (at := text.find(canary)) >= 0}
    assert not found


def test_the_scan_sees_a_canary(left, capfd):
    print(PERSONAL["text"])  # noqa: T201  # as a task would
    with pytest.raises(AssertionError):
        check_clean(left())


# Each way to authenticate, for a format written as text and one written as columns.
@pytest.mark.parametrize("auth_type", ["basic", "oauth"])
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_an_export(api_of, left, tmp_path, auth_type, ending):
    api_of(auth_type=auth_type)
    with make_dag() as dag:
        export_task(f"file://{tmp_path}/out/events.{ending}", **ALL)
    for _ in range(2):  # the second has a manifest to read
        assert run(dag).state == "success"
    check_clean(left(), holds=['"sha256"', "EMF_PROCESSOR_FAILED"])


# At which requests each fault occurs: from the first or the third on, one fault the one and the next the other; and at two alone, after
# which the export succeeds.
@pytest.mark.parametrize("steps", [("@1..", "@3.."), ("@3,5",)], ids=["calibration or page", "page, then it goes on"])
def test_exports_that_meet_each_fault_at_a_step(api_of, left, tmp_path, steps):
    with make_dag() as dag:
        for fault, step in zip(QUICK, itertools.cycle(steps), strict=False):
            api_of(faults=(f"{fault}{step}",), limit_cap=10, conn_id=f"canary_{fault}")
            export_task(f"file://{tmp_path}/{fault}/events.jsonl", task_id=fault, capillary_conn_id=f"canary_{fault}", **ALL)
    dag_run = run(dag)
    assert {instance.state for instance in dag_run.get_task_instances()} <= {"success", "failed"}
    check_clean(left(), holds=["Request: GET /v2/events/logs"])


def test_a_try_that_fails_and_the_next_that_does_not(api_of, left, tmp_path):
    api_of(faults=("http_503@3..11",), limit_cap=10)
    with make_dag() as dag:
        export_task(f"file://{tmp_path}/out/events.jsonl", retries=1, **ALL)
    assert run(dag).state == "success"
    check_clean(left(), holds=["HTTP 503"])


# What the token endpoint answers in place of a token.
@pytest.mark.parametrize("token_fault", ["http_401", "http_500", "truncated_gzip", "html_200", "null"])
def test_a_token_that_can_not_be_had(api_of, left, tmp_path, token_fault):
    api_of(auth_type="oauth", token_faults=(token_fault,))
    with make_dag() as dag:
        export_task(f"file://{tmp_path}/out/events.jsonl", **ALL)
    assert run(dag).state == "failed"
    check_clean(left(), holds=["export"])


def test_a_store_that_refuses(api_of, left, tmp_path):
    api_of()
    (tmp_path / "out").write_text("a file where a folder should be")
    with make_dag() as dag:
        export_task(f"file://{tmp_path}/out/events.jsonl", **ALL)
    assert run(dag).state == "failed"
    check_clean(left(), holds=["How to fix: "])


# Each mode of the sensor, at an API that works, fails for a while, refuses the credential, or sends JSON that is not allowed.
@pytest.mark.parametrize("options", [{}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"])
@pytest.mark.parametrize("faults", [(), ("http_503@2..12",), ("http_401@2..",), ("duplicate_keys@1..12",)], ids=str)
def test_a_sensor(api_of, left, options, faults):
    api = api_of(faults=faults)
    api.add(record("new", now() - 5000))
    with make_dag() as dag:
        CapillaryEventStatusSensor(task_id="wait", poke_interval=1, timeout=4, since=iso(now() - 60_000), **options)
    run(dag)
    check_clean(left(), holds=["wait"])


def test_a_settle_that_is_waited_for(api_of, left, tmp_path):
    api = api_of()
    api.add(record("new", now() - 5000))
    with make_dag() as dag:
        export_task(
            f"file://{tmp_path}/out/events.jsonl", start=iso(now() - 60_000), end=iso(now()), settle=timedelta(seconds=1), deferrable=True
        )
    assert run(dag).state == "success"
    check_clean(left(), holds=["export"])


# Each fault at the second request and all after it, read through the hook alone.
@pytest.mark.parametrize("fault", QUICK)
def test_an_exception_and_all_that_stands_behind_it(api_of, fault):
    api_of(faults=(f"{fault}@2..",))
    hook = CapillaryHook()
    try:
        list(hook.iter_event_logs(**ALL))
    except CapillaryError as error:
        said = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
        check_clean(said + repr(error) + repr(error.__dict__) + repr(pickle.dumps(error)), holds=[type(error).__name__])


def public_objects():
    hook = CapillaryHook()
    list(hook.iter_event_logs(**ALL))
    yield hook
    sensor = CapillaryEventStatusSensor(task_id="wait")
    sensor.hook.test_connection()
    yield sensor
    yield export_task("file:///nowhere/events.jsonl", **ALL)
    yield CapillaryEventStatusTrigger(since=iso(now()))
    if AIRFLOW >= (3, 3):
        yield CapillaryEventWatchTrigger()


# Each way to authenticate, for every object that a user can hold.
@pytest.mark.parametrize("auth_type", ["basic", "oauth"])
def test_no_public_object_shows_or_pickles_a_secret(api_of, auth_type):
    api_of(auth_type=auth_type)
    for made in public_objects():
        check_clean(repr(made) + str(made) + repr(pickle.dumps(made)), holds=[type(made).__name__])


def test_settings_are_shown_without_secrets_and_not_pickled(api_of):
    api_of()
    settings = CapillaryHook().settings
    check_clean(repr(settings), holds=["store.server"])
    with pytest.raises(TypeError, match="pickle the hook"):
        pickle.dumps(settings)


def test_the_hook_on_an_event_loop(api_of, left):
    api_of(auth_type="oauth", limit_cap=10)

    async def read():
        async with CapillaryAsyncHook() as hook:
            found = [record["id"] async for records in hook.read(1757000000000, 1759000000000) for record in records]
            return repr(hook), found

    shown, found = asyncio.run(read())
    assert len(found) == 6
    check_clean(left(shown), holds=["CapillaryAsyncHook"])
