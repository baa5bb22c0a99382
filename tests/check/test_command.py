"""The command, as a user runs it: against the emulator, over a connection of Airflow's."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

import pytest

from airflow_provider_capillary.commands import main
from airflow_provider_capillary.emulator import Emulator


@pytest.fixture
def api_of(monkeypatch):
    """Starts an emulator, and makes it the default connection."""
    started = []
    # The emulator runs in this process, where Airflow 3 prints what is logged.
    monkeypatch.setattr(logging.getLogger("airflow_provider_capillary.emulator.server"), "disabled", True)

    def start(*, extras=None, **options):
        api = Emulator(**{"events": 2000} | options).start()
        started.append(api)
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=10_000, **extras or {}))
        return api

    yield start
    for api in started:
        api.stop()


def printed(capsys, *arguments):
    status = main(["check", *arguments])
    return status, capsys.readouterr().out


def test_it_prints_findings_and_extras_in_plain_text(api_of, capsys):
    api = api_of(limit_cap=100)
    status, text = printed(capsys)
    assert status == 0
    assert f"reachable and authorised at {api.url}" in text
    for line in (
        "100: a larger one is accepted",
        "newest first by startTime",
        "iso read",
        "epoch_ms refused",
        "not shown by these records",
    ):
        assert line in text
    assert re.search(r"Z, \d+ \w+( \d+ minutes?)? before this machine's clock", text)
    assert text.endswith("Put these extras into the connection:\n  date_format: iso\n  page_size: 100\n")
    assert len(api.requests) <= 20


def test_json_says_the_same(api_of, capsys):
    api_of(limit_cap=100, timezone="Asia/Kolkata", extras={"timezone": "UTC"})
    status, text = printed(capsys, "--json")
    data = json.loads(text)
    assert (status, data["ok"], data["timezone"]) == (0, True, "+05:30")
    assert data["extras"] == {"date_format": "iso", "timezone": "+05:30", "page_size": 100}
    assert data["requests"] <= 20


FAILS = [
    # Each row: what the server does or the connection says, the error, and its hint, which the report must hold as the task's log does.
    ({"login": "another"}, "AuthenticationError", "How to fix: check login and password of the connection"),
    (
        {"date_format": "%d.%m.%y %H:%M"},
        "CalibrationError",
        "and `timezone`, until `python -m airflow_provider_capillary check` passes.",
    ),
]


@pytest.mark.parametrize(("options", "error", "hint"), FAILS)
def test_a_connection_over_which_exports_fail_ends_with_1(api_of, capsys, options, error, hint):
    api_of(**options)
    if "login" in options:
        conn = json.loads(os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"]) | {"login": "nobody"}
        os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = json.dumps(conn)
    status, text = printed(capsys)
    assert status == 1
    assert "FAILED" in text
    assert hint in text
    status, text = printed(capsys, "--json")
    data = json.loads(text)
    assert (status, data["error"]["class"]) == (1, error)
    assert hint in data["error"]["text"]


def test_a_survey_that_runs_out_of_requests_shows_the_hint_of_its_own_error(api_of, capsys, monkeypatch):
    monkeypatch.setattr("airflow_provider_capillary.reading.survey.MOST_REQUESTS", 2)
    api_of()
    status, text = printed(capsys)
    assert status == 1
    assert "could not be found out in 2 requests. How to fix: set the extras `date_format` and `timezone`" in text


def test_a_connection_that_is_wrong_or_missing_ends_with_1_and_says_why(monkeypatch, capsys):
    status, text = printed(capsys, "capillary_that_nobody_made")
    assert status == 1
    assert "capillary_that_nobody_made" in text
    monkeypatch.setenv(
        "AIRFLOW_CONN_CAPILLARY_DEFAULT", json.dumps({"conn_type": "capillary", "host": "http://x", "extra": {"page_sise": 1}})
    )
    status, text = printed(capsys, "--json")
    assert status == 1
    assert "page_sise" in json.loads(text)["error"]["text"]


def test_nothing_personal_or_secret_is_printed(api_of, capsys):
    api = api_of()
    _, text = printed(capsys)
    _, data = printed(capsys, "--json")
    bodies = [str(record[name]) for record in api.records for name in ("inputRequest", "message", "id") if record.get(name)]
    assert len(bodies) > 1000
    assert not [body for body in bodies if body in text + data]
    assert json.loads(os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"])["password"] not in text + data


def test_the_module_is_a_command(api_of):
    api_of()
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_capillary", "check", "--json"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
    wrong = subprocess.run([sys.executable, "-m", "airflow_provider_capillary", "chek"], capture_output=True, timeout=60, check=False)
    assert wrong.returncode == 2


def test_airflow_has_the_command_where_it_takes_commands_of_providers(api_of):
    """Airflow 3.2 and later."""
    from airflow import providers_manager

    if not hasattr(providers_manager.ProvidersManager, "initialize_providers_cli_command"):
        pytest.skip("this Airflow takes no commands of providers")
    api_of()
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "capillary", "check", "--json"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"ok": true' in done.stdout
