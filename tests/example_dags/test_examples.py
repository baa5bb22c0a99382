"""Each example runs against the emulator as it stands in its file; and the daily export as the script of the quick start."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
import logging
import math
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from operators.support import export_task, instances, names_in, receipt_of, run, xcoms

from airflow_provider_capillary.emulator import Emulator, documented_records

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
FILES = sorted(EXAMPLES.glob("capillary_*.py"))
AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
IDS = {record["id"] for record in documented_records()}


@pytest.fixture
def load(monkeypatch, tmp_path):
    """The DAG of an example, whose exports go to the test's own folder."""
    monkeypatch.setenv("CAPILLARY_EXPORTS", f"file://{tmp_path}")

    def read(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.dag

    return read


@pytest.fixture
def api(monkeypatch):
    with Emulator() as running:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", running.connection_json(requests_per_minute=6000))
        yield running


def test_there_are_six():
    assert [path.stem for path in FILES] == [
        "capillary_backfill_year",
        "capillary_daily_export",
        "capillary_export_failures",
        "capillary_late_sweep",
        "capillary_on_failures",
        "capillary_wait_for_failures",
    ]


@pytest.mark.usefixtures("airflow_db")
def test_airflow_reads_the_examples_as_dags_and_the_quick_start_s_own_code_not():
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    read = {Path(stat.file).name for stat in DagBag(EXAMPLES).dagbag_stats}
    assert read == {path.name for path in FILES}


@pytest.mark.usefixtures("airflow_db")
def test_the_daily_export_writes_the_day_before(load, api, tmp_path):
    receipt = receipt_of(run(load("capillary_daily_export"), logical_date=datetime(2025, 9, 19, tzinfo=UTC)))
    assert (receipt["start"], receipt["end"], receipt["events"]) == ("2025-09-18T00:00:00.000Z", "2025-09-19T00:00:00.000Z", 1)
    assert receipt["path"] == f"file://{tmp_path}/event_logs/dt=2025-09-18/events.jsonl.gz"


@pytest.mark.usefixtures("airflow_db")
def test_the_daily_export_takes_another_interval_by_hand(load, api, tmp_path):
    conf = {"start": "2025-06-27T00:00:00Z", "end": "2025-09-18T06:00:00Z"}
    assert receipt_of(run(load("capillary_daily_export"), conf=conf))["events"] == 10
    lines = gzip.decompress((tmp_path / "event_logs" / "dt=2025-06-27" / "events.jsonl.gz").read_bytes()).splitlines()
    assert {json.loads(line)["id"] for line in lines} == IDS


@pytest.mark.usefixtures("airflow_db")
def test_the_backfill_writes_the_same_objects_as_the_daily_export(load, api, tmp_path):
    day = datetime(2025, 9, 13, tzinfo=UTC)
    daily, backfill = load("capillary_daily_export"), load("capillary_backfill_year")
    first, second = receipt_of(run(daily, logical_date=day)), receipt_of(run(backfill, logical_date=day))
    assert first["events"] == 1
    assert {key: first[key] for key in ("path", "start", "end", "sha256")} == {
        key: second[key] for key in ("path", "start", "end", "sha256")
    }
    assert second["late_events"] == 0


def test_the_backfill_is_of_one_year_and_one_run_at_a_time(load):
    dag = load("capillary_backfill_year")
    runs = list(days_of(dag))
    assert len(runs) == 365
    assert dag.catchup
    assert dag.max_active_runs == 1


def days_of(dag):
    """The starts of the intervals that the timetable gives between the DAG's start and end."""
    day = dag.start_date
    while day <= dag.end_date:
        yield day
        day += timedelta(days=1)


def test_what_the_backfill_says_it_costs_is_what_its_formula_gives(load):
    text = load("capillary_backfill_year").doc_md
    factor, rest = re.search(r"at most ``([\d.]+) \* ceil\(N / p\) \+ (\d+)`` requests", text).groups()
    numbers = re.search(r"([\d,]+) records a day and p = (\d+) that is (\d+) requests a day, ([\d,]+) for a year", text)
    records, page, a_day, a_year = (int(each.replace(",", "")) for each in numbers.groups())
    assert math.ceil(float(factor) * math.ceil(records / page) + int(rest)) == a_day
    assert a_day * 365 == a_year
    assert 7.5 < a_year / 60 / 60 < 8
    # The factors are those that the benchmark of the reading's cost holds the reader to.
    benchmark = (EXAMPLES.parent / "tests" / "benchmarks" / "reading_cost.py").read_text()
    assert f"{factor} ceil(N / p) + {rest}" in benchmark
    in_bursts = re.search(r"up to\s+``([\d.]+) ", text)[1]
    assert f"{in_bursts} ceil(N / p) + {rest}" in benchmark


@pytest.mark.usefixtures("airflow_db")
def test_the_sweep_exports_the_days_again_that_lack_event_logs_and_no_other(load, api, tmp_path, monkeypatch):
    """Four days: as it was, with a late event log, without an object, and without a manifest. Then the first two once more."""
    from airflow_provider_capillary.export import published_object

    monkeypatch.setattr(published_object, "_PAUSES", (0.01,))
    exported = {}
    for day in (17, 16, 14):
        start = datetime(2025, 9, day, tzinfo=UTC)
        place = f"file://{tmp_path}/event_logs/dt={start:%Y-%m-%d}/events.jsonl.gz"
        exported[day] = export_task(place, start=start, end=start + timedelta(days=1), manifest=day != 14).execute({})
    api.add(documented_records()[0] | {"id": "late", "startTime": int(datetime(2025, 9, 16, 12, tzinfo=UTC).timestamp() * 1000)})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    dag_run = run(load("capillary_late_sweep"), conf={"days": 4, "until": "2025-09-18T06:00:00Z"})
    assert [(ti.state, ti.try_number) for ti in instances(dag_run, "verify")] == [
        ("success", 1),
        ("success", 1),
        ("skipped", 1),
        ("failed", 1),
    ]
    left = xcoms(dag_run)
    found = left["verify", 1, "return_value"]
    assert (found["late_events"], found["ids"], found["exported_at"]) == (1, {"late": ["late"]}, exported[16]["proof"]["shown_at"])
    assert [ti.state for ti in instances(dag_run, "export_again")] == ["success"]
    receipt = left["export_again", 0, "return_value"]
    assert (receipt["start"], receipt["late_events"]) == ("2025-09-16T00:00:00.000Z", 1)
    lines = gzip.decompress((tmp_path / "event_logs" / "dt=2025-09-16" / "events.jsonl.gz").read_bytes()).splitlines()
    assert "late" in {json.loads(line)["id"] for line in lines}
    changed = {path for path, content in before.items() if path.read_bytes() != content}
    assert {path.relative_to(tmp_path / "event_logs").parts[0] for path in changed} == {"dt=2025-09-16"}
    assert all("inputRequest" not in json.dumps(value) for value in left.values())
    # What could not be verified does not keep the rest from being done, and the run fails all the same.
    assert instances(dag_run, "sum_up")[0].state == "upstream_failed"
    assert dag_run.state == "failed"

    again = run(load("capillary_late_sweep"), conf={"days": 2, "until": "2025-09-18T06:00:00Z"})
    assert again.state == "success"
    assert [ti.state for ti in instances(again, "export_again")] == ["skipped"]
    assert set(xcoms(again)["sum_up", -1, "return_value"].values()) == {0}


def test_the_sweep_is_of_the_seven_days_before_its_run(load):
    last_days = load("capillary_late_sweep").get_task("last_days").python_callable
    params = load("capillary_late_sweep").params.dump()
    dates = SimpleNamespace(data_interval_end=datetime(2025, 9, 19, 6, tzinfo=UTC), run_after=None)
    days = last_days(params, dates)
    assert [each["start"][:10] for each in days] == [f"2025-09-{day}" for day in range(18, 11, -1)]
    assert all(datetime.fromisoformat(each["end"]) - datetime.fromisoformat(each["start"]) == timedelta(days=1) for each in days)
    undated = SimpleNamespace(data_interval_end=None, run_after=datetime(2025, 9, 19, 0, tzinfo=UTC))
    assert last_days(params, undated) == days


def commands_in(text):
    """The commands that a docstring shows, each as a list of words."""
    shown = re.findall(r"(?:^    .+\n)+", text, re.MULTILINE)
    return [shlex.split(command) for block in shown for command in block.replace("\\\n", " ").splitlines()]


def test_the_estimate_that_the_backfill_shows_runs_and_is_of_its_year(load, api, capsys, caplog):
    from airflow_provider_capillary.commands import main

    caplog.set_level(logging.CRITICAL)
    dag = load("capillary_backfill_year")
    (python, flag, module, *arguments), *_ = commands_in(dag.doc_md)
    assert (python, flag, module) == ("python", "-m", "airflow_provider_capillary")
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"{dag.start_date:%Y-%m-%dT%H:%M:%SZ} to {dag.end_date + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}, 365 runs of 1 day" in text
    assert "Runs at once" in text
    assert len(api.requests) <= 20


def test_airflow_takes_the_other_commands_that_the_backfill_shows(load):
    from airflow.cli.cli_parser import get_parser

    dag = load("capillary_backfill_year")
    _, pool, create, backfill = commands_in(dag.doc_md)
    assert pool[:4] == ["airflow", "pools", "set", "capillary"]
    assert (create[1:3], backfill[1:3]) == (["backfill", "create"], ["dags", "backfill"])
    for command in (pool, backfill if AIRFLOW < (3, 0) else create):
        options = vars(get_parser().parse_args(command[1:]))
        if command is not pool:
            first, last = (options.get(name) for name in (("from_date", "to_date") if AIRFLOW >= (3, 0) else ("start_date", "end_date")))
            assert (first.date(), last.date()) == (dag.start_date.date(), dag.end_date.date())


def test_the_backfill_takes_its_pool_from_the_environment(load, monkeypatch):
    assert load("capillary_backfill_year").get_task("export").pool == "default_pool"
    monkeypatch.setenv("CAPILLARY_POOL", "capillary")
    assert load("capillary_backfill_year").get_task("export").pool == "capillary"


@pytest.mark.usefixtures("airflow_db")
def test_the_failures_of_an_hour_and_no_object_for_an_hour_without(load, api, tmp_path):
    dag = load("capillary_export_failures")
    # 12:49 on the 17th saw a failure, 05:03 on the 18th a success.
    receipt = receipt_of(run(dag, logical_date=datetime(2025, 9, 17, 13, tzinfo=UTC)))
    assert (receipt["events"], receipt["failures"]) == (1, 1)
    assert receipt["path"] == f"file://{tmp_path}/failures/dt=2025-09-17/12.jsonl"
    receipt = receipt_of(run(dag, logical_date=datetime(2025, 9, 18, 6, tzinfo=UTC)))
    assert receipt["events"] == 0
    assert names_in(tmp_path / "failures" / "dt=2025-09-18") == []


@pytest.mark.usefixtures("airflow_db")
def test_what_woke_the_sensor_is_exported_and_read(load, api, tmp_path):
    failures = {record["id"] for record in documented_records() if record.get("status") != "EVENT_SUCCESS"}
    dag_run = run(load("capillary_wait_for_failures"), conf={"since": "2025-06-27T00:00:00Z"})
    assert dag_run.state == "success"
    left = xcoms(dag_run)
    assert left["wait", -1, "return_value"]["count"] == left["export", -1, "return_value"]["events"] == len(failures) > 1
    (path,) = (tmp_path / "new_failures").glob("[!_]*")
    assert {json.loads(line)["id"] for line in path.read_text().splitlines()} == failures
    assert sum(left["look_into", -1, "return_value"].values()) == len(failures)


@pytest.mark.usefixtures("airflow_db")
def test_a_changed_password_fails_the_example_that_waits_for_failures(load, api, monkeypatch, capfd, caplog):
    connection = json.loads(api.connection_json()) | {"password": "changed"}
    connection["extra"]["password_format"] = "plain"
    monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", json.dumps(connection))
    dag_run = run(load("capillary_wait_for_failures"))
    assert dag_run.state == "failed"
    assert {ti.task_id: ti.state for ti in dag_run.get_task_instances()} == {
        "wait": "failed",
        "export": "upstream_failed",
        "look_into": "upstream_failed",
    }
    assert "check login and password" in "".join(capfd.readouterr()) + caplog.text


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="watches over assets need Airflow 3.3")
def test_what_woke_a_run_is_the_stretch_of_all_its_events(load):
    """That it then runs, and starts at all, is tested with a real scheduler and triggerer."""
    payloads = [
        {"start": "2025-09-18T05:00:00.500Z", "end": "2025-09-18T05:00:00.501Z"},
        {"start": "2025-09-18T04:59:00.000Z", "end": "2025-09-18T04:59:30.000Z"},
    ]
    events = {"asset": [SimpleNamespace(extra={"from_trigger": True, "payload": payload}) for payload in payloads]}
    export = load("capillary_on_failures").get_task("export")
    export.render_template_fields({"triggering_asset_events": events})
    assert (export.start, export.end) == ("2025-09-18T04:59:00.000Z", "2025-09-18T05:00:00.501Z")
    assert str(export.destination).endswith("/failures_as_they_appear/2025-09-18T045900.000000_2025-09-18T050000.501000.jsonl")


@pytest.mark.parametrize("name", ["capillary_export_failures", "capillary_on_failures", "capillary_wait_for_failures"])
def test_the_failures_are_every_documented_status_but_success(name):
    from airflow_provider_capillary.emulator import synthetic_records

    statuses = {record.get("status") or "NO_STATUS" for record in [*documented_records(), *synthetic_records(5000)]} - {"EVENT_SUCCESS"}
    text = (EXAMPLES / f"{name}.py").read_text()
    assert set(re.findall(r'^ +"([A-Z_]+)",$', text, re.MULTILINE)) == statuses


@pytest.fixture
def script(tmp_path):
    """A copy of the examples in a clone of nothing else, to be run as a script beside another Airflow's settings."""
    folder = tmp_path / "a clone" / "example_dags"
    folder.mkdir(parents=True)
    for path in [*FILES, EXAMPLES / "_quickstart.py", EXAMPLES / ".airflowignore"]:
        (folder / path.name).write_bytes(path.read_bytes())
    others = tmp_path / "others-airflow"
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(others),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{others}/theirs.db",
        "AIRFLOW_CONN_CAPILLARY_DEFAULT": '{"conn_type": "capillary", "host": "http://127.0.0.1:9", "login": "x", "password": "theirs"}',
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    environment.pop("CAPILLARY_EXPORTS", None)
    return folder, environment, others


@pytest.mark.once  # a reader of the README gets the newest Airflow
def test_the_quick_start_prints_path_counts_and_receipt_and_touches_no_other_airflow(script):
    folder, environment, others = script
    done = subprocess.run(
        [sys.executable, str(folder / "capillary_daily_export.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    path = folder.parent / ".airflow" / "exports" / "event_logs" / "dt=2025-06-27" / "events.jsonl.gz"
    assert {json.loads(line)["id"] for line in gzip.decompress(path.read_bytes()).splitlines()} == IDS
    *_, last = done.stdout.partition(f"\nfile://{path}\n")
    assert re.match(r"\n( +\d+ [A-Z_]+\n){5} +10 event logs\n\n\{", last)
    receipt = json.loads(last[last.index("{") :])
    assert (receipt["path"], receipt["events"]) == (f"file://{path}", 10)
    assert sum(receipt["statuses"].values()) == 10
    assert [entry.name for entry in (folder.parent / ".airflow").iterdir()] == ["exports"]
    assert not others.exists()
    assert "inputRequest" not in done.stdout + done.stderr
    assert "GitWildMatch" not in done.stdout + done.stderr


@pytest.mark.usefixtures("airflow_db")
def test_the_quick_start_fails_with_a_code_where_the_run_does(monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    import _quickstart

    monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", "set by the quick start")
    asked = []

    def ended_as_failed(*, run_conf):
        asked.append(run_conf)
        return SimpleNamespace(state="failed")

    assert _quickstart.run(SimpleNamespace(test=ended_as_failed), task_id="export", start="a", end="b") == 1
    assert asked == [{"start": "a", "end": "b"}]
    assert "The run ended as failed" in capsys.readouterr().out
