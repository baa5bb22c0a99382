"""The command, as a user runs it: against the emulator, over a connection of Airflow's."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from estimate.support import DAY, START, make_world, run_sampling
from hooks.support import Clock

from airflow_provider_capillary.commands import main
from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.estimate.report import Report
from airflow_provider_capillary.hooks.capillary import CapillaryHook

INTERVAL = ("--start", "2025-06-01T00:00:00Z", "--end", "2025-06-11T00:00:00Z")


@pytest.fixture
def api_of(monkeypatch):
    """Starts an emulator, and makes it the default connection."""
    started = []
    # The emulator runs in this process, where Airflow 3 prints what is logged.
    monkeypatch.setattr(logging.getLogger("airflow_provider_capillary.emulator.server"), "disabled", True)

    def start(**options):
        interval = {"start": datetime(2025, 6, 1, tzinfo=UTC), "end": datetime(2025, 6, 11, tzinfo=UTC)}
        api = Emulator(**{"events": 3000, "documented": False, "limit_cap": 100} | interval | options).start()
        started.append(api)
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=10_000))
        return api

    yield start
    for api in started:
        api.stop()


def printed(capsys, *arguments):
    status = main(["estimate", *arguments])
    return status, capsys.readouterr().out


def test_it_prints_records_requests_time_and_bytes_in_plain_text(api_of, capsys):
    api = api_of()
    status, text = printed(capsys, *INTERVAL, "--every", "1d")
    assert status == 0
    assert len(api.requests) <= 20
    names = [line.split("  ")[0] for line in text.partition("\n\n")[0].splitlines()]
    assert names == ["Interval", "Event logs", "Requests", "Time", "Object", "Temporary disk", "Runs at once"]
    assert "2025-06-01T00:00:00Z to 2025-06-11T00:00:00Z, 10 runs of 1 day" in text
    assert f"{len(api.requests)} of at most 20 requests" in text
    assert "\033" not in text
    assert text.isascii()


def test_json_says_the_same(api_of, capsys):
    api = api_of()
    status, text = printed(capsys, *INTERVAL, "--every", "1d", "--json")
    data = json.loads(text)
    assert (status, data["ok"], data["runs"], data["records_at_once"]) == (0, True, 10, 100)
    assert data["sampling"]["requests"] == len(api.requests) <= 20
    assert 3000 / 1.3 < data["records"]["estimate"] < 3000 * 1.3
    assert data["requests"]["total"] == 10 * data["requests"]["per_run"]
    lines = sum(len(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()) + 1 for record in api.records)
    assert lines / 1.5 < data["bytes"]["total"]["json"] < lines * 1.5
    assert data["bytes"]["total"]["object"] < data["bytes"]["total"]["json"] / 2


def test_few_event_logs_are_counted(api_of, capsys):
    api_of(events=40)
    status, text = printed(capsys, *INTERVAL)
    assert status == 0
    assert "Event logs      40, counted" in text
    assert "a run" not in text.partition("\n\n")[0]


def test_an_export_takes_about_what_was_estimated(api_of, capsys):
    api = api_of(events=6000)
    _, text = printed(capsys, *INTERVAL, "--json")
    estimated = json.loads(text)["requests"]["total"]
    asked = len(api.requests)
    assert len(list(CapillaryHook().iter_event_logs(INTERVAL[1], INTERVAL[3]))) == 6000
    needed = len(api.requests) - asked
    assert needed / 1.5 - 4 < estimated < needed * 1.5 + 4


@pytest.mark.parametrize("fault", ["throttled_absent", "throttled_seconds"])
def test_a_minute_of_throttling_is_waited_for(api_of, monkeypatch, fault):
    """As the command ``check`` does, whether the API names the rest of the minute or not."""
    clock = Clock()
    monkeypatch.setattr("airflow_provider_capillary.hooks._driver.time", clock)
    ends = clock.now + 60
    api_of(faults=lambda number, _params: fault if number > 2 and clock.now < ends else None)
    samples = CapillaryHook().sample(INTERVAL[1], INTERVAL[3])
    assert samples.error is None
    assert clock.now >= ends


# Each row: what differs in the command line, and words of the error; each ends with 2.
WRONG = [
    (("--start", "2025-06-01", "--end", "2025-06-11T00:00:00Z"), "a date without a time of day"),
    (("--start", "2025-06-01T00:00:00", "--end", "2025-06-11T00:00:00Z"), "without an offset"),
    (("--start", "2025-06-11T00:00:00Z", "--end", "2025-06-01T00:00:00Z"), "does not lie before"),
    ((*INTERVAL, "--every", "daily"), "--every 1d, 6h"),
    ((*INTERVAL, "--every", "0d"), "--every 1d, 6h"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_a_wrong_argument_ends_with_2_before_anything_is_asked(api_of, capsys, arguments, words):
    api = api_of()
    status, text = printed(capsys, *arguments)
    assert status == 2
    assert words in text
    assert not api.requests


def test_a_missing_argument_ends_with_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["estimate", "--start", "2025-06-01T00:00:00Z"])
    assert ended.value.code == 2
    assert "--end" in capsys.readouterr().err


def test_a_refused_credential_or_a_missing_connection_ends_with_1(api_of, capsys):
    api_of()
    connection = json.loads(os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"]) | {"login": "nobody"}
    os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = json.dumps(connection)
    status, text = printed(capsys, *INTERVAL)
    assert (status, text.startswith("FAILED Estimate  ")) == (1, True)
    status, text = printed(capsys, *INTERVAL, "--json")
    assert (status, json.loads(text)["error"]["class"]) == (1, "AuthenticationError")
    status, text = printed(capsys, "capillary_that_nobody_made", *INTERVAL)
    assert status == 1
    assert "capillary_that_nobody_made" in text


def test_nothing_personal_or_secret_is_printed(api_of, capsys):
    api = api_of()
    _, text = printed(capsys, *INTERVAL)
    _, data = printed(capsys, *INTERVAL, "--json")
    bodies = [str(record[name]) for record in api.records for name in ("inputRequest", "message", "id") if record.get(name)]
    assert len(bodies) > 1000
    assert not [body for body in bodies if body in text + data]
    assert json.loads(os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"])["password"] not in text + data


def report_of(samples, *, now=2_000_000_000_000, per_minute=60):
    return Report(samples, SimpleNamespace(requests_per_minute=per_minute), every=None, now=now)


# Each row: how the records lie, how many, how many come at once, and what the report has to say of its own limits.
NOTES = [
    ("uniform", 20_000, 100, "A burst of event logs between two windows is in no sample"),
    ("bursts", 20_000, 1_000, "the estimate is rough"),
    ("uniform", 80, 100, "were counted"),
]


@pytest.mark.parametrize(("shape", "count", "page", "note"), NOTES)
def test_the_report_says_what_it_cannot_know(shape, count, page, note):
    report = report_of(run_sampling(make_world(shape, count, page=page), START, START + DAY))
    assert note in report.to_text()
    assert any(note in each for each in report.to_data()["notes"])
    assert "ends in the future" not in report.to_text()


def test_of_the_future_the_report_says_that_it_is_not_in_the_numbers():
    samples = run_sampling(make_world("uniform", 80, page=100), START, START + DAY)
    assert "ends in the future" in report_of(samples, now=START + DAY // 2).to_text()


def test_in_a_terminal_names_are_bold():
    samples = run_sampling(make_world("uniform", 80, page=100), START, START + DAY)
    assert "\033[1mRequests" in report_of(samples).to_text(colour=True)


def test_the_module_is_a_command(api_of):
    api_of()
    command = [sys.executable, "-m", "airflow_provider_capillary", "estimate", "capillary_default", *INTERVAL, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]


def test_airflow_has_the_command_where_it_takes_commands_of_providers(api_of):
    """Airflow 3.2 and later."""
    from airflow import providers_manager

    if not hasattr(providers_manager.ProvidersManager, "initialize_providers_cli_command"):
        pytest.skip("this Airflow takes no commands of providers")
    api_of()
    command = [sys.executable, "-m", "airflow", "capillary", "estimate", *INTERVAL, "--every", "1d", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"ok": true' in done.stdout
