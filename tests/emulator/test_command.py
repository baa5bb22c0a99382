"""``python -m airflow_provider_capillary.emulator`` as a user starts it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import json
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from airflow_provider_capillary.emulator import FaultSettings, ServerOptions
from airflow_provider_capillary.emulator.__main__ import _parser, main
from airflow_provider_capillary.emulator.auth import Authenticator

COMMAND = [sys.executable, "-m", "airflow_provider_capillary.emulator"]


@contextlib.contextmanager
def running(*arguments):
    """Start the command; give the process and the connection that it prints."""
    process = subprocess.Popen([*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first, second = process.stdout.readline(), process.stdout.readline()
        assert re.fullmatch(r"Listening on http://127\.0\.0\.1:\d+ with \d+ event logs; Ctrl-C stops it\.\n", first), process.stderr.read()
        word, assignment = shlex.split(second)
        name, _, value = assignment.partition("=")
        assert (word, name) == ("export", "AIRFLOW_CONN_CAPILLARY_DEFAULT")
        assert json.loads(value)["host"] in first
        yield process, json.loads(value), first
    finally:
        process.kill()
        process.communicate()


def read(connection, query=""):
    pair = f"{connection['login']}:{connection['password']}".encode()
    header = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    with urllib.request.urlopen(
        urllib.request.Request(f"{connection['host']}/v2/events/logs{query}", headers=header), timeout=10
    ) as answer:
        return json.load(answer)["data"]


def test_event_logs_happen_while_it_is_asked():
    with running("--live", "0.05") as (_, connection, _):
        begun, deadline = time.time() * 1000, time.monotonic() + 30
        while len(records := read(connection, "?limit=100")) < 13:
            assert time.monotonic() < deadline
        newest = [record["startTime"] for record in records[:3]]
        assert newest == sorted(newest, reverse=True)
        assert begun - 5000 < newest[2] <= newest[0] <= time.time() * 1000
        assert len({record["id"] for record in records}) == len(records)


def test_a_pace_that_is_none_is_refused(capsys):
    assert main(["--port", "0", "--live", "0"]) == 2
    assert "live=0.0 is not possible" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_by_the_connection_that_it_prints_and_stops_cleanly(number):
    with running("--events", "30", "--limit-cap", "20", "--order", "oldest", "--verbose") as (process, connection, first):
        assert "with 40 event logs" in first
        records = read(connection, "?limit=100")
        assert len(records) == 20
        assert records[0]["startTime"] == 1751007732555
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out == "Stopped.\n"
    assert err == "GET /v2/events/logs?limit=100: 200\n"


def test_a_signal_releases_a_hanging_answer():
    with running("--fault", "hang", "--hang-seconds", "600") as (process, connection, _):
        client = http.client.HTTPConnection(connection["host"].removeprefix("http://"))
        with contextlib.closing(client):
            client.request("GET", "/v2/events/logs")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
    assert process.returncode == 0


def test_signals_that_arrive_at_any_moment_stop_it():
    for _ in range(5):
        with running() as (process, _connection, _first):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                process.send_signal(number)
            process.communicate(timeout=10)
        assert process.returncode == 0


def test_a_taken_port_is_an_error_in_one_line():
    with running() as (_, connection, _first):
        port = connection["host"].rpartition(":")[2]
        second = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 2
    assert re.fullmatch(r"error: .*in use.*\n", second.stderr)


# Impossible options, and what the error says.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "http_5000"], ["http_5000", "http_500"]),
        (["--timezone", "Mars"], ["timezone='Mars'"]),
        (["--limit-cap", "0"], ["limit_cap=0"]),
        (["--events", "-3"], ["count=-3"]),
        (["--events", "3", "--end", "2020-01-01"], ["exchange"]),
    ],
)
def test_impossible_values_are_an_error_in_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_every_option_of_the_emulator_is_an_option_of_the_command():
    text = _parser().format_help()
    for kind in (ServerOptions, Authenticator, FaultSettings):
        for item in dataclasses.fields(kind):
            if item.name != "clock":
                assert f"--{item.name.replace('_', '-')} " in text


def test_a_list_and_a_value_with_a_sign_are_read():
    options = vars(_parser().parse_args(["--date-format", "iso,epoch_ms", "--timezone=-03:00", "--fault", "hang@3", "--fault", "null"]))
    assert options == {
        "port": 8642,
        "verbose": False,
        "live": None,
        "date_format": ("iso", "epoch_ms"),
        "timezone": "-03:00",
        "faults": ["hang@3", "null"],
    }


def test_it_imports_neither_airflow_nor_requests():
    code = "import sys, airflow_provider_capillary.emulator.__main__; print(sorted({'airflow', 'requests', 'pendulum'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True).stdout
    assert out == "[]\n"
