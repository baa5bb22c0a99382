"""Runs one case over real HTTP on loopback, and notes all that can be seen of it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import tempfile
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from bench import Emulator
from faults.clocks import Clock, QuietLoop, Today

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.export.destination import parse_destination
from airflow_provider_capillary.export.exporter import open_export
from airflow_provider_capillary.export.manifest import Subject
from airflow_provider_capillary.hooks import _driver as flow_driver
from airflow_provider_capillary.hooks import capillary as task_driver
from airflow_provider_capillary.hooks import capillary_async as loop_driver
from airflow_provider_capillary.hooks._session import ApiSession
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.hooks.capillary_async import CapillaryAsyncHook
from airflow_provider_capillary.sensors import capillary as sensors
from airflow_provider_capillary.timestamps import to_millis
from airflow_provider_capillary.triggers import _shared_poller
from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger

CONN = "AIRFLOW_CONN_CAPILLARY_DEFAULT"
START, END = datetime.fromisoformat("2025-09-01T00:00:00Z"), datetime.fromisoformat("2025-10-01T00:00:00Z")
LOW, HIGH = to_millis(START), to_millis(END)
WORLD = {"events": 36, "seed": 5, "limit_cap": 15, "drip_seconds": 0.01, "throttle_seconds": 7, "big_body_bytes": 200_000_000}
NEW_FAILURE = {"id": "new-failure", "startTime": HIGH - 1000, "status": "EMF_PROCESSOR_FAILED", "inputRequest": "canary-of-a-body"}
STEPS = ("first request", "calibration", "first page", "middle page", "last page", "token fetch", "poll")
DRIVERS = ("task", "event loop")
FOR_EVER = 10**6
POLLS = 2
"""So many polls of a sensor a fault outlasts that stays; then it is over, for a sensor would wait for ever."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as the driver sent it."""

    path: str
    params: tuple[tuple[str, str], ...]

    @property
    def of_token(self):
        return "oauth" in self.path

    def __str__(self):
        return " ".join(["POST" if self.of_token else "GET", self.path, *(f"{name}={value}" for name, value in self.params)])


@dataclass(kw_only=True)
class Seen:
    """What became of a run: what was asked, what arrived at the server, how it ended, and what stands in the store.

    :param plain: what the same run asks where nothing goes wrong; the fault befell the one at this ``place``.
    """

    asked: list[Asked] = field(default_factory=list)
    arrived: list = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    error: CapillaryError | None = None
    told: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    first_poll: int = 0
    log: str = ""
    place: int = 0
    plain: list[Asked] = field(default_factory=list)


@dataclass(kw_only=True)
class Fault:
    """One fault and when it befalls requests: from the one of this number on (of the steps of its kind, from 1), so many in a row."""

    row: object
    first: int
    last: int
    of_token: bool

    def befalls(self, asked, number):
        return asked.of_token == self.of_token and self.first <= number <= self.last

    @property
    def rules(self):
        return {"token_faults" if self.of_token else "faults": [f"{self.row.name}@{self.first}..{self.last}"]} if self.row.name else {}


class Bench:
    """One emulator and one driver.

    :param world: of the emulator, and ``extras`` of the connection, where they differ from those of the table.
    :param poll: whether a sensor polls, twice, where otherwise an interval is read.
    :param after: after how many requests the failure appears for which the sensor waits; left out, after the first poke.
    """

    def __init__(
        self, monkeypatch, folder, *, driver, oauth=False, poll=False, after=None, fault=None, elsewhere=None, world=None, **extras
    ):
        self._patch, self._folder, self._fault = monkeypatch, folder, fault
        self._driver, self._poll, self._after = driver, poll, after
        options = {
            **WORLD,
            **(world or {}),
            "auth_type": "oauth" if oauth else "basic",
            "redirect_to": elsewhere or "http://elsewhere.invalid/",
        }
        self._api = Emulator(**options | (fault.row.options | fault.rules if fault else {}))
        self._extras = {"date_format": "iso", "requests_per_minute": 10**9, "read_timeout": 30} | extras
        self._clock, self._seen = Clock(), Seen()

    def run(self):
        seen = self._seen
        with self._in_place():
            seen.before = listing(self._folder)
            try:
                if self._poll:
                    {"task": self._poke, "event loop": self._trigger}[self._driver]()
                else:
                    {"task": self._export, "event loop": self._read}[self._driver]()
            except CapillaryError as error:
                seen.error = error
        seen.after, seen.arrived, seen.pauses = listing(self._folder), self._api.requests, self._clock.pauses
        inside = [record for record in self._api.records if LOW <= record["startTime"] < HIGH]
        seen.expected = [record["id"] for record in inside if not self._poll or record.get("status") != "EVENT_SUCCESS"]
        return seen

    @contextlib.contextmanager
    def _in_place(self):
        """The emulator runs, the drivers have the clock, and each request is noted where it leaves the driver."""
        send, observe = ApiSession.send, self._observe

        async def sleep(seconds):
            self._clock.note(seconds)
            await asyncio.sleep(seconds)

        def observed(session, step):
            observe(session, step.request)
            return send(session, step)

        with self._api, self._patch.context() as patch, tempfile.TemporaryDirectory() as scratch:
            self._url = self._api.url
            patch.setattr(ApiSession, "send", observed)
            for driver in (flow_driver, task_driver, sensors, _shared_poller):
                patch.setattr(driver, "time", self._clock)
            patch.setattr(loop_driver, "_sleep", sleep)
            patch.setattr(sensors, "datetime", Today)
            patch.setenv(CONN, self._api.connection_json(**self._extras))
            patch.setattr(tempfile, "tempdir", scratch)
            yield
            left = [path for path in Path(scratch).iterdir() if not path.name.startswith("airflow-capillary-")]
            assert not left, "what was spooled is gone, however it ended"

    def _observe(self, session, request):
        asked = Asked(path=request.path, params=request.params)
        self._seen.asked.append(asked)
        number = sum(each.of_token == asked.of_token for each in self._seen.asked)
        if number == (self._after or 0) + 1 > 1:
            self._api.add(NEW_FAILURE)
        befallen = self._fault is not None and self._fault.befalls(asked, number)
        if self._fault is not None and self._fault.row.name is None:
            self._be_there(there=not befallen)
        if self._fault is not None and self._fault.row.patience:
            # Only of those requests that are to end so: on a busy machine, any other may take its time.
            _be_patient(session, self._fault.row.patience if befallen else 30)

    def _be_there(self, *, there):
        """Listen at the same port, or do not."""
        host, port = self._url.removeprefix("http://").split(":")
        if not there:
            self._api.stop()
        elif self._api._server is None:
            self._api._address = (host, int(port))
            self._api.start()

    def _export(self):
        hook = CapillaryHook()
        export(
            hook.iter_event_logs(START, END),
            self._folder,
            requests=lambda: hook.requests_made,
            bounds=lambda: hook.bounds,
            proof=lambda: hook.proof,
        )
        written = (self._folder / "events.jsonl").read_text().splitlines()
        self._seen.ids = [json.loads(line)["id"] for line in written]

    def _read(self):
        async def read():
            async with CapillaryAsyncHook() as hook:
                async for records in hook.read(LOW, HIGH):
                    self._seen.ids += [record["id"] for record in records]

        self._run(read)

    def _run(self, work):
        with asyncio.Runner(loop_factory=lambda: QuietLoop(self._clock)) as runner:
            return runner.run(work())

    def _sensor(self):
        wanted = sum(record.get("status") != "EVENT_SUCCESS" for record in self._api.records if LOW <= record["startTime"] < HIGH) + 1
        return sensors.CapillaryEventStatusSensor(task_id="wait", since=START, min_count=wanted, poke_interval=60)

    def _poke(self):
        sensor = self._sensor()
        with _as_its_cause():
            for _ in range(1 + POLLS + 1):
                if answer := sensor.poke(CONTEXT):
                    self._seen.ids = answer.xcom_value["ids"]
                    assert answer.xcom_value["count"] == len(self._seen.ids)
                    return
                if self._after is None:
                    self._after = self._seen.first_poll = len(self._seen.asked)
        raise AssertionError("the sensor polled too often")

    def _trigger(self):
        """As it comes out of the database, and what it says goes back into the sensor."""
        sensor = self._sensor()
        _, arguments = CapillaryEventStatusTrigger(since=START, min_count=sensor.min_count, poke_interval=60).serialize()
        trigger = CapillaryEventStatusTrigger(**json.loads(json.dumps(arguments)))

        async def fire():
            return [event.payload async for event in trigger.run()]

        (payload,) = self._run(fire)
        self._seen.told.append(json.dumps(payload))
        with _as_its_cause():
            result = sensor.execute_complete(CONTEXT, json.loads(json.dumps(payload)))
        self._seen.ids = result["ids"]
        assert result["count"] == len(result["ids"])


CONTEXT = {"ti": SimpleNamespace(task_id="wait", xcom_push=lambda **_: None, xcom_pull=lambda **_: None)}


@contextlib.contextmanager
def _as_its_cause():
    """A sensor fails by ``AirflowFailException``, so that no retry follows, with the error's text and the error behind it."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    try:
        yield
    except AirflowFailException as failure:
        cause = failure.__cause__
        is_same = str(failure) == str(cause)
        raise (cause if is_same else AssertionError(f"{failure} because of {cause}")) from None


def _be_patient(session, seconds):
    session._settings = replace(session._settings, read_timeout=seconds)
    session.requests._defaults["timeout"] = (session._settings.connect_timeout, seconds)
    session._time_limit._longest_sleep = min(seconds, 1.0)  # as of a session with this read timeout


def place_of(step, plain):
    """Which request a step is: its place in a run without a fault."""
    last = len(plain.asked) - 1
    return {
        "first request": 0,
        "calibration": 1,
        "first page": 2,
        "middle page": (2 + last) // 2,
        "last page": last,
        "token fetch": 0,
        "poll": plain.first_poll,
    }[step]


def export(records, folder, *, requests=int, bounds=dict, proof=dict):
    """Publish records as the operator does."""
    destination, log = parse_destination(f"file://{folder}/events.jsonl"), logging.getLogger("tests.faults")
    with open_export(destination, Subject(start=START, end=END), log=log, on_vanished="drop") as opened:
        opened.add_all(records)
        opened.publish(events_read=0, requests=requests(), bounds=bounds(), proof=proof())


def listing(folder):
    """Every file, its content and when it was written."""
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
