"""All examples and the README's watch in one DAGs folder of a real Airflow, unpaused together: each does its work.

Takes a minute, more on a busy machine; up to five minutes more in the first five minutes of an hour, in which the export of the hour
before waits for records that become visible late.
"""

from __future__ import annotations

import gzip
import json
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from live.airflow_processes import AIRFLOW, Airflow
from readme.blocks import block

from airflow_provider_capillary.emulator import Emulator

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
WATCHES = AIRFLOW >= (3, 3)
ASSETS = {"capillary_failures", "capillary_new_failures"} if WATCHES else set()
"""Those that are watched."""
SETTLE = timedelta(minutes=5)


def record(name, when, status="EMF_PROCESSOR_FAILED"):
    return {"id": name, "startTime": int(when.timestamp() * 1000), "status": status, "eventName": "E", "inputRequest": "{}"}


class Everything:
    """An Airflow with the examples, and what they have written."""

    def __init__(self, home, database, exports):
        self.exports = exports
        now = datetime.now(UTC)
        self.hour = now.replace(minute=0, second=0, microsecond=0)
        self.day = self.hour.replace(hour=0)
        records = [
            record("of the backfill's first day", datetime(2024, 9, 18, 12, tzinfo=UTC)),
            record("of yesterday", self.day - timedelta(hours=12), "EVENT_SUCCESS"),
            record("of the last hour", self.hour - timedelta(minutes=30)),
            record("of the last hour, a success", self.hour - timedelta(minutes=29), "EVENT_SUCCESS"),
        ]
        self.api = Emulator(documented=False, records=records)
        self.environment = {"CAPILLARY_EXPORTS": f"file://{exports}", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False"}
        self.home, self.database = home, database

    def __enter__(self):
        self.api.start()
        try:
            self.environment["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = self.api.connection_json(requests_per_minute=6000)
            airflow = Airflow(self.home, database=self.database, environment=self.environment)
            for path in EXAMPLES.iterdir():
                if path.is_file() and (path.stem != "capillary_on_failures" or WATCHES):
                    shutil.copy(path, airflow.dags)
            if WATCHES:
                (airflow.dags / "alert_at_once.py").write_text(block("The watch", "python").text)
            self.airflow = airflow.__enter__()
        except BaseException:
            self.api.stop()
            raise
        return self

    def __exit__(self, *_):
        self.airflow.end()
        self.api.stop()

    def ids(self, pattern):
        """The ids in each object whose path fits."""
        found = {}
        for path in self.exports.glob(pattern):
            content = path.read_bytes()
            lines = (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()
            found[str(path.relative_to(self.exports))] = {json.loads(line)["id"] for line in lines}
        return found

    def states(self, dag_id, task_id):
        return {
            state for (state,) in self.airflow.rows("SELECT state FROM task_instance WHERE dag_id = ? AND task_id = ?", dag_id, task_id)
        }

    def done(self, dag_id, task_id):
        return "success" in self.states(dag_id, task_id)

    def waits(self):
        """Whether the sensor waits in the triggerer, and the watches have noted where they begin."""
        subscribe = set()
        if WATCHES:
            noted = "SELECT DISTINCT asset.name FROM asset_state_store JOIN asset ON asset.id = asset_state_store.asset_id"
            subscribe = {name for (name,) in self.airflow.rows(noted)}
        return subscribe >= ASSETS and "deferred" in self.states("capillary_wait_for_failures", "wait")


@pytest.fixture(scope="module")
def everything(tmp_path_factory, empty_airflow_db):
    with Everything(tmp_path_factory.mktemp("airflow"), empty_airflow_db, tmp_path_factory.mktemp("exports")) as running:
        yield running


def test_all_do_their_work_side_by_side(everything):
    airflow = everything.airflow
    expected = {path.stem for path in airflow.dags.glob("[!_]*.py")}
    airflow.until(lambda: expected <= {dag_id for (dag_id,) in airflow.rows("SELECT dag_id FROM dag WHERE NOT is_paused")})
    # Among them: an asset that a DAG can't have, since another has its URI under another name.
    assert airflow.rows("SELECT dag_id, message FROM dag_warning") == []
    if AIRFLOW >= (3, 0):
        # There, a DAG of a plain cron schedule begins at the next hour.
        airflow.command("dags", "trigger", "capillary_wait_for_failures")
        airflow.until(everything.waits)
    failed = record("as everything waits", datetime.now(UTC))
    everything.api.add(failed)

    airflow.until(everything.done, "capillary_backfill_year", "export")
    assert everything.ids("event_logs/dt=2024-09-18/*.gz") == {"event_logs/dt=2024-09-18/events.jsonl.gz": {"of the backfill's first day"}}

    time.sleep(max(0.0, (everything.hour + SETTLE - datetime.now(UTC)).total_seconds()))
    airflow.until(everything.done, "capillary_daily_export", "export")
    yesterday = f"event_logs/dt={everything.day - timedelta(days=1):%Y-%m-%d}"
    ids = {each["id"] for each in everything.api.records if day_of(each) == everything.day - timedelta(days=1)}
    assert everything.ids(f"{yesterday}/*.gz") == {f"{yesterday}/events.jsonl.gz": ids}
    assert "of yesterday" in ids

    airflow.until(everything.done, "capillary_export_failures", "export")
    last_hour = f"failures/dt={everything.hour - timedelta(hours=1):%Y-%m-%d/%H}.jsonl"
    assert everything.ids("failures/dt=*/*.jsonl")[last_hour] == {"of the last hour"}

    airflow.until(everything.done, "capillary_wait_for_failures", "look_into")
    assert failed["id"] in set().union(*everything.ids("new_failures/*.jsonl").values()) or AIRFLOW < (3, 0)
    if WATCHES:
        airflow.until(everything.done, "capillary_on_failures", "look_into")
        assert list(everything.ids("failures_as_they_appear/*.jsonl").values()) == [{failed["id"]}]
        airflow.until(everything.done, "alert_at_once", "alert")
        logs = "".join(path.read_text() for path in airflow.logs.glob("dag_id=alert_at_once/**/*.log"))
        assert "1 {'EMF_PROCESSOR_FAILED': 1}" in logs

    assert airflow.rows("SELECT filename, stacktrace FROM import_error") == []
    assert logs_of_failed_tasks(airflow) == {}
    assert airflow.dead() == []


def logs_of_failed_tasks(airflow):
    """The logs of all tries of the tasks that have failed, or wait to be retried.

    Not of tasks without a line in any log on Airflow 3.0: on a busy machine, it ends some tries before they begin, and retries them.
    """
    failed = airflow.rows("SELECT dag_id, task_id, run_id, state FROM task_instance WHERE state IN ('failed', 'up_for_retry')")
    found = {
        task: [path.read_text() for path in airflow.logs.glob(f"dag_id={task[0]}/run_id={task[2]}/task_id={task[1]}/**/*.log")]
        for task in failed
    }
    return {task: logs for task, logs in found.items() if any(logs) or AIRFLOW >= (3, 1)}


def day_of(each):
    return datetime.fromtimestamp(each["startTime"] / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.mark.skipif(not WATCHES, reason="watches over assets need Airflow 3.3")
def test_what_one_example_exports_does_not_wake_another(everything):
    airflow = everything.airflow
    airflow.until(
        lambda: airflow.rows(
            "SELECT 1 FROM asset_event JOIN asset ON asset.id = asset_event.asset_id WHERE asset.uri LIKE '%exports/failures'"
        )
    )
    causes = airflow.rows(
        """SELECT DISTINCT asset.uri FROM dag_run JOIN dagrun_asset_event ON dagrun_asset_event.dag_run_id = dag_run.id
        JOIN asset_event ON asset_event.id = dagrun_asset_event.event_id JOIN asset ON asset.id = asset_event.asset_id
        WHERE dag_run.dag_id = 'capillary_on_failures'"""
    )
    assert causes == [("capillary://event-logs/failures",)]
