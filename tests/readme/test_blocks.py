"""Every block of the README and of the pages runs as it is printed, on the Airflow that it is for.

A test gives a block what stands outside of it: an emulator of the API and an S3 server behind the connections that it names, an Airflow
home. Nothing in its text is changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from operators.support import receipt_of, run
from readme.blocks import PAGES, README, block, blocks, documents, headings
from readme.week import WEEK

from airflow_provider_capillary import __version__
from airflow_provider_capillary.emulator import Emulator

# What shows that each block works: a function of this file, or where else it is run.
SHOWN_BY = {
    ("Quick start", "sh", 1): "the script of checks, literally, from a fresh clone",
    ("Quick start", "sh", 2): "the script of checks, literally, from a fresh clone",
    ("Install", "bash", 1): "test_what_is_installed_exists",
    ("Connection", "bash", 1): "test_the_connection_of_the_command_line_is_stored_and_checked",
    ("Connection", "bash", 2): "test_the_connection_of_the_command_line_is_stored_and_checked",
    ("The daily export", "python", 1): "test_the_daily_export_writes_its_day",
    ("Waiting for failures", "python", 1): "test_the_sensor_alerts",
    ("Documentation", "bash", 1): "test_site.py",
    ("Backfills", "bash", 1): "test_the_cost_of_a_backfill_is_estimated",
    ("Late records", "python", 1): "test_days_are_read_again",
    ("Late records", "bash", 1): "test_missed_days_get_runs_with_their_intervals",
    ("In the environment or a secrets backend", "bash", 1): "test_the_connection_of_the_environment_is_read",
    ("Try the connection", "bash", 1): "test_a_connection_is_tried",
    ("Check what the API does", "bash", 1): "tests/check/test_command.py",
    ("Deploying", "text", 1): "test_what_is_installed_exists",
    ("Deploying", "json", 1): "test_the_secret_is_a_connection",
    ("Docker", "docker", 1): "test_what_is_installed_exists",
    ("Helm", "yaml", 1): "nothing: no Kubernetes here; it follows the documentation of the chart",
    ("Helm", "bash", 1): "nothing: no Kubernetes here; it follows the documentation of kubectl",
    ("After the deployment", "bash", 1): "test_the_provider_is_listed",
    ("On Airflow 2.11, 3.0 and 3.1", "python", 1): "test_the_daily_export_writes_its_day",
    ("On Airflow 2.11, 3.0 and 3.1", "bash", 1): "test_missed_days_are_exported_by_airflow_2",
    ("Days of local time", "python", 1): "test_local_days_meet_neither_in_time_nor_in_place",
    ("Permissions at the store", "json", 1): "test_permissions.py",
    ("Encrypted buckets", "json", 1): "nothing: no service of keys here; it follows the documentation of AWS",
    ("Privacy", "python", 1): "test_the_redacted_export_holds_no_phone_number",
    ("To erase one customer", "bash", 1): "test_the_records_of_a_customer_are_found",
    ("Reading the objects", "python", 1): "test_reading.py",
    ("Reading the objects", "python", 2): "test_reading.py",
    ("Reading the objects", "python", 3): "test_reading.py",
    ("Reading the objects", "python", 4): "test_reading.py",
    ("Reading the objects", "sql", 1): "nothing: no such engine here; its columns by test_tables.py",
    ("Reading the objects", "sql", 2): "test_reading.py",
    ("Reading the objects", "sql", 3): "nothing: no such engine here; its columns by test_tables.py",
    ("Reading the objects", "sql", 4): "test_reading.py",
    ("Reading the objects", "sql", 5): "test_reading.py",
    ("Reading the objects", "sql", 6): "nothing: no such engine here; its columns by test_tables.py",
    ("In your own code and tests", "python", 1): "test_the_hook_yields_all_records",
    ("A DAG test with pytest", "python", 1): "test_the_test_of_a_dag_passes",
    ("An Airflow with an API that is alive", "bash", 1): "tests/emulator/test_command.py",
    ("Verifying what was published", "python", 1): "test_an_object_is_verified_after_a_week",
    (
        "The watch",
        "python",
        1,
    ): "test_the_watch_is_a_dag_of_its_asset, and started by a real event in example_dags/test_together.py",
}
DAILY = [block("The daily export", "python"), block("On Airflow 2.11, 3.0 and 3.1", "python")]
HANGS = 1800
"""Seconds after which a command counts as one that hangs. One of Airflow's takes some ten seconds of a processor, and on a machine with
much else to do, and no compiled modules, has taken four minutes."""


def only(*keys):
    """The tests of these blocks are for the Airflow that they are for."""
    fitting = any(block(*key).is_for_this_airflow for key in keys)
    return pytest.mark.skipif(not fitting, reason=f"the README has {keys[0][0]!r} for another Airflow")


def test_every_block_is_shown_to_work_and_none_else():
    assert [each.key for each in blocks()] == list(SHOWN_BY)
    for shown_by in SHOWN_BY.values():
        for name in re.findall(r"test_\w+$|test_\w+(?=,)", shown_by):
            assert name in globals(), name


# Lead paragraph, and whether the block is for this Airflow; the last column is of the versions that it names.
@pytest.mark.parametrize(
    ("lead", "fits"),
    [
        ("Anything:", lambda _: True),
        ("On Airflow 3.2 and later, x:", lambda version: version >= (3, 2)),
        ("On Airflow 3.2 and later ([before that](#x), y):", lambda version: version >= (3, 2)),
        ("z, on Airflow 3:", lambda version: version[0] == 3),
        ("Days on Airflow 2.11:", lambda version: version == (2, 11)),
        ("x. On Airflow 2.11, 3.0 and 3.1:", lambda version: version in {(2, 11), (3, 0), (3, 1)}),
    ],
)
def test_the_lead_says_for_which_airflow(lead, fits, monkeypatch):
    for version in [(2, 11), (3, 0), (3, 1), (3, 2), (3, 3), (3, 10)]:
        monkeypatch.setattr("readme.blocks.AIRFLOW", version)
        assert type(DAILY[0])(section="", language="", number=1, text="", lead=lead).is_for_this_airflow == fits(version), version


def test_there_is_one_daily_export_for_each_airflow():
    assert [each.is_for_this_airflow for each in DAILY].count(True) == 1
    # The same DAG but for the two imports.
    first, second = ([line for line in each.text.splitlines() if "import" not in line] for each in DAILY)
    assert first == second


def anchor_of(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_no_heading_is_in_two_documents():
    """Blocks and tables are found by their heading."""
    titles = [title for document in documents() for title in headings(document)]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(README.parent).as_posix())
def test_the_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)]+)\)", document.read_text())
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        if anchor:
            assert anchor in {anchor_of(title) for title in headings(target)}, link


def test_every_page_is_linked_from_the_list_of_pages_and_most_from_the_readme():
    pages = {path.name for path in PAGES.glob("*.md")} - {"README.md", "index.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", (PAGES / "README.md").read_text())) == pages
    assert set(re.findall(r"/docs/([\w-]+\.md)", README.read_text())) == pages | {"README.md"}


# ---- shell


@pytest.fixture
def shell(empty_airflow_db, tmp_path):
    """Run shell commands in an Airflow home of their own; returns what they printed."""
    home = tmp_path / "airflow"
    (home / "dags").mkdir(parents=True)
    shutil.copy(empty_airflow_db, home / "airflow.db")

    def execute(script, **environment):
        names = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, **names, **environment},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    execute.home = home
    return execute


def rows(shell, query):
    with closing(sqlite3.connect(shell.home / "airflow.db")) as database:
        return database.execute(query).fetchall()


READ_SETTINGS = """python -c '
import json
from airflow_provider_capillary.hooks.capillary import CapillaryHook
settings = CapillaryHook().settings
print(json.dumps([settings.base_url, settings.login, settings.password, settings.page_size, settings.date_format]))
'"""


# Each block that installs the package; whether it names the version.
@pytest.mark.parametrize(
    ("section", "language", "has_version"), [("Install", "bash", False), ("Deploying", "text", True), ("Docker", "docker", True)]
)
def test_what_is_installed_exists(section, language, has_version):
    project = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]
    extras, version = re.search(rf"{project['name']}\[([\w,]+)\](?:==([\w.]+))?", block(section, language).text).groups()
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert version == (__version__ if has_version else None)


def test_the_secret_is_a_connection():
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_capillary.connection.settings import Settings

    assert Settings.from_connection(Connection(conn_id="c", **json.loads(block("Deploying", "json").text))).login == "till.user"


def test_the_provider_is_listed(shell):
    assert "airflow-provider-capillary" in shell(block("After the deployment", "bash").text)


def test_the_connection_of_the_environment_is_read(shell):
    printed = shell(block("In the environment or a secrets backend", "bash").text + READ_SETTINGS)
    assert json.loads(printed.splitlines()[-1])[:4] == [
        "https://eu.api.capillarytech.com",
        "till.user",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        1000,
    ]


def test_the_connection_of_the_command_line_is_stored_and_checked(shell):
    """The check has to find it in Airflow's database, in no environment variable."""
    with Emulator(login="till.user", password="secret", events=300, limit_cap=100) as api:
        shell(block("Connection", "bash", 1).text, TILL_PASSWORD_MD5=hashlib.md5(b"secret").hexdigest())  # noqa: S324  # as the API wants it
        (stored,) = rows(shell, "SELECT conn_type, host, login FROM connection WHERE conn_id = 'capillary_default'")
        assert stored == ("capillary", "https://eu.api.capillarytech.com", "till.user")
        with closing(sqlite3.connect(shell.home / "airflow.db")) as database, database:
            # As fast as the machine can: a request a second would prove no more.
            query = "UPDATE connection SET host = ?, extra = ?, is_extra_encrypted = 0"
            database.execute(query, [api.url, json.dumps({"requests_per_minute": 6000})])
        assert f"reachable and authorised at {api.url}" in shell(block("Connection", "bash", 2).text)


def test_a_connection_is_tried(shell, api):
    """What it says of a wrong credential: ``tests/hooks/test_button.py``."""
    assert "Connection success!" in shell(block("Try the connection", "bash").text)


def test_the_cost_of_a_backfill_is_estimated(shell, api):
    assert "365 runs of 1 day" in shell(block("Backfills", "bash").text)


# ---- DAGs


@pytest.fixture
def load(tmp_path, airflow_db):
    """The DAG of a block, read by Airflow from a file that holds nothing else."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    def read(found):
        folder = tmp_path / "dags"
        folder.mkdir(exist_ok=True)
        (folder / "block.py").write_text(found.text)
        bag = DagBag(folder)
        assert not bag.import_errors
        (dag,) = bag.dags.values()
        return dag

    return read


def stored(bucket, prefix):
    """The ids in each object below a prefix, manifests apart."""
    found = {}
    for item in bucket.list_objects_v2(Bucket="my-bucket", Prefix=prefix).get("Contents", []):
        if not item["Key"].rpartition("/")[2].startswith("_") and "/_" not in item["Key"]:
            content = bucket.get_object(Bucket="my-bucket", Key=item["Key"])["Body"].read()
            found[item["Key"]] = {json.loads(line)["id"] for line in gzip.decompress(content).splitlines()}
    return found


def happened(api, start, end):
    """The ids of what happened in an interval."""
    return {each["id"] for each in api.records if start.timestamp() * 1000 <= each["startTime"] < end.timestamp() * 1000}


def test_the_daily_export_writes_its_day(load, api, bucket):
    (found,) = [each for each in DAILY if each.is_for_this_airflow]
    dag = load(found)
    day = WEEK[2]
    assert run(dag, logical_date=day + timedelta(days=1)).state == "success"
    ids = happened(api, day, day + timedelta(days=1))
    assert ids
    assert stored(bucket, "event_logs/") == {f"event_logs/dt={day:%Y-%m-%d}/events.jsonl.gz": ids}


def test_the_sensor_alerts(load, monkeypatch, capfd):
    with Emulator() as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000))
        ended = threading.Event()

        def fail_again_and_again():
            number = 0
            while not ended.wait(0.2):
                number += 1
                now = datetime.now(UTC).timestamp() * 1000
                api.add({"id": f"failure {number}", "startTime": int(now), "status": "EMF_PROCESSOR_FAILED", "eventName": "E"})

        failing = threading.Thread(target=fail_again_and_again)
        failing.start()
        try:
            dag_run = run(load(block("Waiting for failures", "python", 1)))
        finally:
            ended.set()
            failing.join()
    assert dag_run.state == "success"
    assert re.search(r"\d+ \{'EMF_PROCESSOR_FAILED': \d+\} \['failure \d+'", capfd.readouterr().out)


@only(("The watch", "python", 1))
def test_the_watch_is_a_dag_of_its_asset(load):
    """An event of the real watch starts it in a real Airflow: ``example_dags/test_together.py``."""
    dag = load(block("The watch", "python", 1))
    assert "capillary_new_failures" in str(dag.timetable.asset_condition)
    assert dag.task_ids == ["alert"]


@only(("Late records", "python", 1))
def test_days_are_read_again(load, api, bucket):
    daily, again = load(block("The daily export", "python")), load(block("Late records", "python"))
    ends = WEEK[-1] + timedelta(days=1)
    day = ends - timedelta(days=2)
    run(daily, logical_date=day + timedelta(days=1))
    late = {"id": "late", "startTime": int(day.timestamp() * 1000) + 5, "status": "EVENT_SUCCESS", "eventName": "E"}
    api.add(late)
    dag_run = run(again, logical_date=ends)
    assert dag_run.state == "success"
    receipt = receipt_of(dag_run, "after_1_days")
    assert receipt["late_events"] == 1
    assert "late" in stored(bucket, "event_logs/")[f"event_logs/dt={day:%Y-%m-%d}/events.jsonl.gz"]
    assert receipt_of(dag_run, "after_7_days")["start"] == f"{ends - timedelta(days=8):%Y-%m-%d}T00:00:00.000Z"


@only(("Verifying what was published", "python", 1))
def test_an_object_is_verified_after_a_week(load, api, bucket):
    run(load(block("The daily export", "python")), logical_date=WEEK[2] + timedelta(days=1))
    dag_run = run(load(block("Verifying what was published", "python")), logical_date=WEEK[2] + timedelta(days=8))
    receipt = receipt_of(dag_run, "verify")
    assert (receipt["is_equal"], receipt["start"]) == (True, f"{WEEK[2]:%Y-%m-%d}T00:00:00.000Z")
    assert receipt["events"] == len(happened(api, WEEK[2], WEEK[2] + timedelta(days=1))) > 0


@only(("Days of local time", "python", 1))
def test_local_days_meet_neither_in_time_nor_in_place(load, monkeypatch, bucket):
    dag = load(block("Days of local time", "python"))
    # Run by run over both changes of the clock: the date at whose local midnight it starts, and its hours.
    days = {"2025-03-29": 24, "2025-03-30": 23, "2025-03-31": 24, "2025-10-25": 24, "2025-10-26": 25, "2025-10-27": 24}
    with Emulator(documented=False, events=900, start=datetime(2025, 3, 28, tzinfo=UTC), end=datetime(2025, 10, 29, tzinfo=UTC)) as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000, date_format="iso"))
        ends = None
        for day, hours in days.items():
            dag_run = run(dag, logical_date=midnight_after(day))
            receipt = receipt_of(dag_run)
            start, end = (datetime.fromisoformat(receipt[name]) for name in ("start", "end"))
            assert (end - start) == timedelta(hours=hours), day
            assert receipt["path"].endswith(f"/london/dt={day}/events.jsonl.gz")
            if ends is not None and (start - ends) < timedelta(days=2):
                assert start == ends, day
            ends = end
            assert stored(bucket, f"london/dt={day}/")[f"london/dt={day}/events.jsonl.gz"] == happened(api, start, end)
    assert len(stored(bucket, "london/")) == len(days)


@only(("Privacy", "python", 1))
def test_the_redacted_export_holds_no_phone_number(load, monkeypatch, bucket):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", "made by openssl rand -hex 32")
    with Emulator() as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000, date_format="iso"))
        run(load(block("Privacy", "python")), logical_date=datetime(2025, 9, 19, tzinfo=UTC))
    body = bucket.get_object(Bucket="my-bucket", Key="redacted/dt=2025-09-18/events.jsonl.gz")["Body"].read()
    (record,) = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    assert "message" not in record
    assert re.fullmatch("[0-9a-f]{64}", json.loads(record["inputRequest"])["customer"])


def test_the_records_of_a_customer_are_found(load, monkeypatch, bucket, capsys):
    import shlex

    from airflow_provider_capillary.commands import main

    (found,) = [each for each in DAILY if each.is_for_this_airflow]
    dag = load(found)
    record = {"id": "a", "startTime": int(WEEK[2].timestamp() * 1000), "inputRequest": '{"mobile": 919800012345}'}
    with Emulator(documented=False, records=[record, record | {"id": "b", "inputRequest": "{}"}]) as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000, date_format="iso"))
        assert run(dag, logical_date=WEEK[2] + timedelta(days=1)).state == "success"
    _, _, package, *arguments = shlex.split(block("To erase one customer", "bash").text)
    assert package == "airflow_provider_capillary"
    for options, words, ids in ((arguments, "would erase 1 of 2", {"a", "b"}), (arguments[:-1], "erased 1 of 2", {"b"})):
        assert main(options) == 0
        assert words in capsys.readouterr().out
        assert list(stored(bucket, "event_logs/").values()) == [ids]


def midnight_after(day):
    from zoneinfo import ZoneInfo

    return (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=ZoneInfo("Europe/London")).astimezone(UTC)


@only(("Late records", "bash", 1))
def test_missed_days_get_runs_with_their_intervals(shell):
    (found,) = [each for each in DAILY if each.is_for_this_airflow]
    (shell.home / "dags" / "event_logs.py").write_text(found.text)
    shell("airflow dags reserialize")
    shell(block("Late records", "bash").text)
    runs = rows(shell, "SELECT run_type, data_interval_start, data_interval_end FROM dag_run WHERE dag_id = 'event_logs' ORDER BY 1, 2")
    assert [(kind, start[:16], end[:16]) for kind, start, end in runs] == [
        ("backfill", f"2025-09-{day} 00:00", f"2025-09-{day + 1} 00:00") for day in (15, 16, 17)
    ]


@only(("On Airflow 2.11, 3.0 and 3.1", "bash", 1))
def test_missed_days_are_exported_by_airflow_2(shell, api, bucket):
    (found,) = [each for each in DAILY if each.is_for_this_airflow]
    (shell.home / "dags" / "event_logs.py").write_text(found.text)
    shell(block("On Airflow 2.11, 3.0 and 3.1", "bash").text)
    days = [datetime(2025, 9, day, tzinfo=UTC) for day in (15, 16, 17)]
    assert stored(bucket, "event_logs/") == {
        f"event_logs/dt={day:%Y-%m-%d}/events.jsonl.gz": happened(api, day, day + timedelta(days=1)) for day in days
    }


# ---- the hook


def test_the_hook_yields_all_records(tmp_path):
    (tmp_path / "block.py").write_text(block("In your own code and tests", "python").text)
    done = subprocess.run([sys.executable, "block.py"], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) == 510


def test_the_test_of_a_dag_passes(tmp_path, monkeypatch):
    names = {}
    exec(compile(block("A DAG test with pytest", "python").text, "testing.md", "exec"), names)  # noqa: S102  # what the test is for
    names["test_the_export_has_every_event_log"](tmp_path, monkeypatch)
