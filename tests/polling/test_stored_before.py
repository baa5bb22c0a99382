"""What an earlier version stored is read, and what is stored today has the same text. The literals were written by version 0.1.0."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.triggers import BaseEventTrigger
from export.support import export

from airflow_provider_capillary import __version__
from airflow_provider_capillary.errors import AuthenticationError, ConfigurationError, DestinationConflictError
from airflow_provider_capillary.polling.filters import EventFilter, EventRef
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor
from airflow_provider_capillary.triggers._watermark_store import WatermarkStore

HAS_ASSET_STATE = hasattr(BaseEventTrigger, "create_shared_stream_producer")
T0 = 1_758_171_600_000
FIVE = datetime(2025, 9, 18, 5, tzinfo=UTC)
FAILURES = EventFilter(statuses=frozenset({"EMF_PROCESSOR_FAILED", "NO_STATUS"}), event_name="order")

BEGUN = (
    '{"found":{"count":0,"event_names":{},"first":null,"last":null,"newest":[],"statuses":{}},'
    '"memory":{"floor":1758171600000,"lateness":600000,"reported":{},"watermark":1758171600000},'
    '"since":1758171600000,"wanted":{"event_name":"order","statuses":["EMF_PROCESSOR_FAILED","NO_STATUS"]}}'
)
POLLED = (
    '{"found":{"count":2,"event_names":{"order":2},"first":1758171601000,"last":1758171660000,'
    '"newest":[[1758171601000,"a"],[1758171660000,"b"]],"statuses":{"EMF_PROCESSOR_FAILED":1,"NO_STATUS":1}},'
    '"memory":{"floor":1758171600000,"lateness":600000,'
    '"reported":{"EVM0m7c4/O1Q":1758171601000,"GlgfDiIQw9si":1758171660000},"watermark":1758171661001},'
    '"since":1758171600000,"wanted":{"event_name":"order","statuses":["EMF_PROCESSOR_FAILED","NO_STATUS"]}}'
)
REPORTED = (
    '{"floor":1758171600000,"watermark":1758171661001,"reported":{"EVM0m7c4/O1Q":1758171601000,"GlgfDiIQw9si":1758171660000},'
    '"lateness":600000}'
)
FIRST_REPORTED = '{"floor":1758171600000,"watermark":1758171600000,"reported":{},"lateness":300000}'
RESULT = {
    "count": 2,
    "statuses": {"EMF_PROCESSOR_FAILED": 1, "NO_STATUS": 1},
    "event_names": {"order": 2},
    "ids": ["b", "a"],
    "ids_cut": False,
    "first_start_time": "2025-09-18T05:00:01.000Z",
    "last_start_time": "2025-09-18T05:01:00.000Z",
    "start": "2025-09-18T05:00:01.000Z",
    "end": "2025-09-18T05:01:00.001Z",
    "since": "2025-09-18T05:00:00.000Z",
    "watermark": "2025-09-18T05:01:01.001Z",
}
FAILED = {
    "outcome": "failed",
    "error": "AuthenticationError",
    "problem": "The API does not accept the credential",
    "retryable": False,
    "asked": "GET /v2/events/logs",
    "answered": "HTTP 401",
    "request_id": "r-1",
    "cure": "check login and password of the connection",
}
REPORTS = [
    {"run_id": "scheduled__2025-09-18T05:00:00+00:00", "moment": 1758171600000, "memory": json.loads(REPORTED)},
    {"run_id": "asset__1", "moment": 1758175200000, "memory": json.loads(FIRST_REPORTED)},
]
WATCH_NOTES = {
    "capillary_watch:04b58b2d25020797": REPORTED,
    "capillary_watch:86a448e2b5466b04": FIRST_REPORTED,
    "capillary_watch:37378e9ed044e9c6": FIRST_REPORTED,
}
OBJECT = (
    '{"id":"a","startTime":1758171601000,"status":"EMF_PROCESSOR_FAILED","eventName":"order"}\n'
    '{"id":"b","startTime":1758171661000,"status":"EVENT_SUCCESS","eventName":"order"}\n'
)
MANIFEST = (
    '{"manifest_version":2,"provider":"airflow-provider-capillary","provider_version":"0.1.0",'
    '"object":{"name":"events.jsonl","bytes":171,"sha256":"68e078a4f4d6144229241aa7f6458545157baba63ea299018e15dd8399d40e69","etag":null},'
    '"stands_for":{"start":"2025-09-18T05:00:00.000Z","end":"2025-09-18T06:00:00.000Z","event_name":"order","statuses":null,'
    '"redact":null,"capillary_conn_id":"cap"},'
    '"ids_sha256":"93673eeac3ba29d37bfe2e48ef9c85b53530e582f0bffc276f82776983aac2d2",'
    '"receipt":{"path":"DIR/events.jsonl","uri":"file://DIR/events.jsonl","start":"2025-09-18T05:00:00.000Z",'
    '"end":"2025-09-18T06:00:00.000Z","events":2,"failures":1,"statuses":{"EMF_PROCESSOR_FAILED":1,"EVENT_SUCCESS":1},'
    '"first_start_time":"2025-09-18T05:00:01.000Z","last_start_time":"2025-09-18T05:01:01.000Z","bytes":171,'
    '"sha256":"68e078a4f4d6144229241aa7f6458545157baba63ea299018e15dd8399d40e69","events_read":2,"requests":3,"late_events":null,'
    '"vanished_events":null,"proof":{"spans":1,"longest_answer":2,"capacity":10,"shown_at":"2025-09-18T06:05:00Z"},'
    '"manifest":"DIR/_manifests/manifest-of-events-2a803041"},"bounds":{"date_format":"iso"}}\n'
)
MANIFEST_NAME = "_manifests/manifest-of-events-2a803041"

# Each row: the path and the keyword arguments that a trigger left in the database of Airflow.
TRIGGERS = {
    "a sensor's, under way": (
        "airflow_provider_capillary.triggers.capillary.CapillaryEventStatusTrigger",
        {
            "capillary_conn_id": "cap",
            "since": None,
            "statuses": None,
            "event_name": None,
            "min_count": 2,
            "poke_interval": 30,
            "exponential_backoff": True,
            "max_wait": 600.0,
            "state": BEGUN,
        },
    ),
    "a user's own": (
        "airflow_provider_capillary.triggers.capillary.CapillaryEventStatusTrigger",
        {
            "capillary_conn_id": "capillary_default",
            "since": "2025-09-18T05:00:00Z",
            "statuses": '["A", "B"]',
            "event_name": None,
            "min_count": 1,
            "poke_interval": 60.0,
            "exponential_backoff": False,
            "max_wait": None,
            "state": None,
        },
    ),
    "an asset's watch": (
        "airflow_provider_capillary.triggers.capillary.CapillaryEventWatchTrigger",
        {
            "capillary_conn_id": "cap",
            "statuses": '["A", "B"]',
            "event_name": "order",
            "poke_interval": 60.0,
            "since": "2025-09-18T05:00:00Z",
            "allowed_lateness": 600.0,
            "asset_name": "failures",
        },
    ),
    "an asset's watch, by default": (
        "airflow_provider_capillary.triggers.capillary.CapillaryEventWatchTrigger",
        {
            "capillary_conn_id": "capillary_default",
            "statuses": None,
            "event_name": None,
            "poke_interval": 60.0,
            "since": None,
            "allowed_lateness": 300.0,
            "asset_name": None,
        },
    ),
}


class Store(dict):
    """A state store of Airflow 3.3, as far as this package calls it."""

    def set(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


def begun():
    return PollState.begin(FAILURES, Watermark.starting_at(T0, lateness=600_000))


def polled():
    poll = begun().poll(T0 + 120_000)
    records = [
        {"id": "a", "startTime": T0 + 1_000, "status": "EMF_PROCESSOR_FAILED", "eventName": "order"},
        {"id": "b", "startTime": T0 + 60_000, "status": None, "eventName": "order"},
        {"id": "c", "startTime": T0 + 61_000, "status": "EVENT_SUCCESS", "eventName": "order"},
    ]
    poll.add(FAILURES.select(map(EventRef.of, records)), newest=T0 + 61_000)
    return poll.finish()


def context(*, xcoms=None, task_state=None):
    """The context of a run at 07:00, after those that left their notes."""
    pull = (xcoms or {}).get
    ti = SimpleNamespace(
        dag_id="d",
        task_id="t",
        map_index=-1,
        try_number=2,
        max_tries=1,
        xcom_pull=lambda *, key, **_: pull(key),
        xcom_push=lambda **_: None,
    )
    return {
        "ti": ti,
        "dag_run": SimpleNamespace(run_id="scheduled__7", logical_date=FIVE + timedelta(hours=2), run_after=FIVE + timedelta(hours=2)),
        "logical_date": FIVE + timedelta(hours=2),
        "task_state_store": Store(task_state or {}),
    }


# Each row: a stored text, and the state that it has to be read as and that has to be written as that text.
@pytest.mark.parametrize(("text", "state"), [(BEGUN, begun), (POLLED, polled)], ids=["begun", "polled"])
def test_the_state_of_a_poll_is_read_and_written_as_it_was(text, state):
    assert PollState.from_json(text) == state()
    assert state().to_json() == text


def test_a_watermark_is_read_and_written_as_it_was():
    assert Watermark.from_json(REPORTED) == polled().watermark
    assert polled().watermark.to_json() == REPORTED


def test_the_result_that_users_template_is_written_as_it_was():
    assert polled().result() == polled().event() == RESULT


class StateOfAssets(dict):
    """What a task finds under ``asset_state_store``: the same store for each asset."""

    def __missing__(self, asset):
        return self["store"]


def sensor(**options):
    return CapillaryEventStatusSensor(
        task_id="t",
        statuses=["NO_STATUS", "EMF_PROCESSOR_FAILED"],
        event_name="order",
        min_count=2,
        allowed_lateness=600,
        capillary_conn_id="cap",
        **options,
    )


def deferred_state(context):
    """The state that a sensor which defers in this context gives to its trigger."""
    with pytest.raises(BaseException, match=r".*") as caught:
        sensor(deferrable=True).execute(context)
    assert type(caught.value).__name__ == "TaskDeferred", caught.value
    return PollState.from_json(caught.value.trigger.state)


# Each row: the key under which a run with a logical date, or without one, left its note in XCom.
@pytest.mark.parametrize("key", ["capillary_reported", "capillary_reported_undated"])
def test_a_sensor_goes_on_from_the_note_in_xcom(key):
    assert deferred_state(context(xcoms={key: REPORTED})) == PollState.begin(FAILURES, polled().watermark.keeping(600_000))


@pytest.mark.skipif(not HAS_ASSET_STATE, reason="assets have a state since Airflow 3.3")
def test_a_sensor_goes_on_from_the_reports_in_the_state_of_the_asset():
    assets = StateOfAssets(store=Store({"d/t/-1": REPORTS}))
    state = deferred_state(context() | {"asset_state_store": assets})
    assert state == PollState.begin(FAILURES, polled().watermark.keeping(600_000))


def test_a_sensor_in_reschedule_mode_goes_on_from_its_own_progress():
    class Hook:
        def iter_event_logs(self, *_, **__):
            return iter(())

    waiting = sensor(mode="reschedule", deferrable=False, since="2025-09-18T05:00:00Z")
    waiting.__dict__["hook"] = Hook()
    assert waiting.poke(context(task_state={"capillary_progress": POLLED})).xcom_value == RESULT


def test_the_timeout_of_a_deferred_sensor_counts_from_the_first_try_that_was_noted():
    ago = datetime.now(UTC) - timedelta(days=8)
    with pytest.raises(Exception, match="timed out"):
        sensor(deferrable=True, retries=1).execute(context(task_state={"capillary_first_try": ago.isoformat()}))


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_of_the_database_is_made_and_written_as_it_was(name):
    path, kwargs = TRIGGERS[name]
    module, _, kind = path.rpartition(".")
    make = getattr(importlib.import_module(module), kind)
    if kind == "CapillaryEventWatchTrigger" and not HAS_ASSET_STATE:
        with pytest.raises(ConfigurationError, match=r"needs Airflow 3\.3 or later"):  # before, no database holds one
            make(**kwargs)
        return
    assert make(**kwargs).serialize() == (path, kwargs)


def test_the_event_of_a_trigger_is_read():
    assert sensor(deferrable=True).execute_complete(context(), {"outcome": "found", "hunt": POLLED}) == RESULT


# The second row is what today's version writes: fields of an error that were renamed since.
@pytest.mark.parametrize("renamed", [{}, {"asked": "request", "answered": "response", "cure": "hint"}], ids=["before", "today"])
def test_the_event_of_an_error_is_read_by_its_old_and_its_new_names(renamed):
    with pytest.raises(Exception, match="does not accept") as caught:
        sensor(deferrable=True).execute_complete(context(), {renamed.get(name, name): value for name, value in FAILED.items()})
    error = caught.value if isinstance(caught.value, AuthenticationError) else caught.value.__cause__
    assert isinstance(error, AuthenticationError)
    assert (error.problem, error.request, error.response, error.request_id, error.hint, error.retryable) == (
        "The API does not accept the credential",
        "GET /v2/events/logs",
        "HTTP 401",
        "r-1",
        "check login and password of the connection",
        False,
    )


# Each row: a watch, and the note of the asset from which it goes on: its own, or where it is new the latest of the connection.
@pytest.mark.parametrize(
    ("event_filter", "note"),
    [
        (EventFilter(), FIRST_REPORTED),
        (EventFilter(statuses=frozenset({"A", "B"}), event_name="order"), REPORTED),
        (EventFilter(event_name="new to the asset"), FIRST_REPORTED),
    ],
    ids=["of every failure", "of two statuses", "of another name"],
)
def test_a_watch_goes_on_from_its_note_in_the_state_of_the_asset(event_filter, note):
    store = WatermarkStore(Store(WATCH_NOTES), conn_id="cap", event_filter=event_filter, asset_name=None)
    assert asyncio.run(store.read()) == Watermark.from_json(note)


def export_again(folder, *more, **options):
    records = [json.loads(line) for line in OBJECT.splitlines()]
    of_the_manifest = {"start": FIVE, "end": FIVE + timedelta(hours=1), "event_name": "order", "capillary_conn_id": "cap"}
    return export([*records, *more], f"{folder}/events.jsonl", **(of_the_manifest | options))


@pytest.fixture
def exported(tmp_path):
    """The object and the manifest of an earlier version."""
    (tmp_path / "_manifests").mkdir()
    (tmp_path / "events.jsonl").write_text(OBJECT)
    (tmp_path / MANIFEST_NAME).write_text(MANIFEST.replace("DIR", str(tmp_path)))
    return tmp_path


def test_a_manifest_tells_what_its_object_stands_for_and_holds(exported, caplog):
    with pytest.raises(DestinationConflictError, match="event_name='order'"):
        export_again(exported, event_name="another")
    with caplog.at_level(logging.INFO):
        receipt = export_again(exported, {"id": "late", "startTime": T0, "status": "EVENT_SUCCESS", "eventName": "order"})
    assert (receipt["late_events"], receipt["vanished_events"]) == (1, 0)
    assert "cannot be read" not in caplog.text


def test_receipt_and_manifest_are_written_as_they_were(tmp_path):
    receipt = export_again(tmp_path)
    before = json.loads(MANIFEST.replace("DIR", str(tmp_path))) | {"provider_version": __version__}
    today = json.loads((tmp_path / MANIFEST_NAME).read_text())
    assert today["receipt"] == receipt
    # What a reading says of itself is passed through; here, the helper that exports makes it up.
    told = {name: before["receipt"][name] for name in ("events_read", "requests", "proof")}
    assert receipt | told == before["receipt"]
    assert today | {"receipt": before["receipt"], "bounds": before["bounds"]} == before
    assert (tmp_path / "events.jsonl").read_text() == OBJECT
