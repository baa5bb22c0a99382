"""The metrics, as a statsd server on loopback receives them from Airflow's own client."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections import Counter

import pytest
from bench import Emulator
from hooks.support import PASSWORD, UNPACED
from operators.support import ALL, export_task
from triggers.support import found_by, trigger

from airflow_provider_capillary import _airflow
from airflow_provider_capillary.api.executor import RequestStats
from airflow_provider_capillary.hooks import _metrics
from airflow_provider_capillary.hooks.capillary import CapillaryHook
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor

CONN = "AIRFLOW_CONN_CAPILLARY_DEFAULT"


def configure(monkeypatch, **settings):
    """Configure Airflow's statsd, and let Airflow make its client anew; both end with the test."""
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", str(value))
    from airflow.providers.common.compat.sdk import Stats

    module = sys.modules[Stats.__module__]
    if hasattr(module, "_factory"):  # Airflow 3.3: as in a process of the triggerer
        monkeypatch.setattr(module, "_factory", None)
        monkeypatch.setattr(module, "_backend", None)
    elif hasattr(Stats, "initialize"):  # Airflow 3.2: as above
        monkeypatch.setattr(Stats, "factory", None)
        monkeypatch.setattr(Stats, "instance", None)
    elif "ON" in settings:
        from airflow.metrics import statsd_logger

        monkeypatch.setattr(Stats, "instance", None)
        monkeypatch.setattr(type(Stats), "factory", statsd_logger.get_statsd_logger, raising=False)


@pytest.fixture
def statsd(monkeypatch):
    """A statsd server; call it for the sums of what has arrived, by metric with its tags."""
    pytest.importorskip("statsd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        configure(monkeypatch, ON=True, HOST="127.0.0.1", PORT=server.getsockname()[1], PREFIX="airflow", INFLUXDB_ENABLED=True)

        def sums():
            found = Counter()
            while True:
                try:
                    line = server.recv(4096).decode()
                except BlockingIOError:
                    return found
                name, count = re.fullmatch(r"airflow\.(\S+):([\d.]+)\|c", line).groups() if ".capillary." in line else ("", "0")
                if name:
                    found[name] += float(count)

        yield sums


@pytest.fixture
def api_of(monkeypatch):
    running = []

    def start(**options):
        api = Emulator(**options).start()
        running.append(api)
        monkeypatch.setenv(CONN, api.connection_json(**UNPACED))
        return api

    yield start
    for api in running:
        api.stop()


def test_an_export_counts_what_it_cost_and_what_it_wrote(api_of, statsd, tmp_path):
    api = api_of(faults=("throttled_seconds@3", "http_503@5"), throttle_seconds=1)
    receipt = export_task(tmp_path / "x.jsonl", statuses=["EVENT_SUCCESS"], **ALL).execute({})
    sums = statsd()
    throttled = sums.pop("capillary.throttled_seconds,conn_id=capillary_default")
    assert throttled >= 1
    assert sums == {
        "capillary.requests,conn_id=capillary_default": len(api.requests),
        "capillary.event_logs,conn_id=capillary_default": receipt["events_read"],
        "capillary.retries,conn_id=capillary_default,error=ThrottledError": 1,
        "capillary.retries,conn_id=capillary_default,error=ServerError": 1,
        "capillary.bytes,conn_id=capillary_default": (tmp_path / "x.jsonl").stat().st_size,
    }


# What polls, each until it has failed: a sensor, and a trigger, whose polls are the watch's polls.
POLLERS = {
    "sensor": lambda: CapillaryEventStatusSensor(task_id="wait", since="2025-09-17T00:00:00Z").poke({}),
    "trigger": lambda: asyncio.run(found_by(trigger())),
}


@pytest.mark.parametrize("poller", POLLERS)
def test_a_failed_poll_is_counted_once_with_its_error(api_of, statsd, poller):
    api = api_of(faults=("http_401@1..",))
    with pytest.raises(Exception, match=r"credential|refuse"):
        POLLERS[poller]()
    assert statsd() == {
        "capillary.poll_failures,conn_id=capillary_default,error=AuthenticationError": 1,
        "capillary.requests,conn_id=capillary_default": len(api.requests),
    }


def test_a_poll_that_failed_before_another_one_succeeded_is_counted(api_of, statsd, monkeypatch):
    monkeypatch.setattr("airflow_provider_capillary.api.retries.RetryPlan.delay", lambda *_: 0.001)
    api_of(faults=("http_503@1..9",))
    assert asyncio.run(found_by(trigger(since="2025-09-17T00:00:00Z")))["count"]
    sums = statsd()
    assert sums["capillary.poll_failures,conn_id=capillary_default,error=ServerError"] == 1
    assert sums["capillary.retries,conn_id=capillary_default,error=ServerError"] == 8


def test_a_poll_in_the_triggerer_counts_and_sends_outside_the_event_loop(api_of, statsd, monkeypatch):
    api = api_of()
    threads = []
    client = _airflow.airflow_stats
    monkeypatch.setattr(_metrics, "airflow_stats", lambda: threads.append(threading.current_thread()) or client())
    asyncio.run(found_by(trigger(since="2025-09-17T00:00:00Z")))
    sums = statsd()
    assert sums["capillary.requests,conn_id=capillary_default"] == len(api.requests)
    assert sums["capillary.event_logs,conn_id=capillary_default"] > 0
    assert threads
    assert threading.main_thread() not in threads


def test_a_long_reading_sends_while_it_runs(statsd, monkeypatch):
    stats = RequestStats()
    metrics = _metrics.ReadingMetrics(stats, conn_id="a")
    stats.requests = 3
    metrics.send_when_due()
    assert not statsd()
    monkeypatch.setattr(_metrics, "EVERY", 0.0)
    metrics.send_when_due()
    metrics.add(7)
    stats.requests, stats.retries = 5, Counter(ServerError=1)
    metrics.send()
    metrics.send()
    expected = {"capillary.requests,conn_id=a": 5, "capillary.event_logs,conn_id=a": 7}
    assert statsd() == expected | {"capillary.retries,conn_id=a,error=ServerError": 1}


@pytest.mark.parametrize("problem", ["no client", "a client that fails"])
def test_metrics_that_cannot_be_sent_fail_no_task(api_of, tmp_path, monkeypatch, caplog, problem):
    def fail(*_args, **_kwargs):
        raise ValueError(PASSWORD)

    api_of()
    _metrics._warn_once.cache_clear()
    monkeypatch.setattr(_metrics, "airflow_stats", fail if problem == "no client" else lambda: type("Client", (), {"incr": fail}))
    assert export_task(tmp_path / "x.jsonl", **ALL).execute({})["events"] == 10
    warnings = [record.getMessage() for record in caplog.records if "metrics client" in record.getMessage()]
    assert len(warnings) == 1
    assert "ValueError" in warnings[0]
    assert PASSWORD not in caplog.text


def test_nothing_is_sent_where_the_user_has_no_metrics(api_of, tmp_path, monkeypatch):
    configure(monkeypatch)
    monkeypatch.setattr(socket.socket, "sendto", lambda *_: pytest.fail("something was sent"))
    api_of()
    assert list(CapillaryHook().iter_event_logs(ALL["start"], ALL["end"]))


def test_tags_name_the_connection_and_the_error_alone(monkeypatch):
    told = []
    monkeypatch.setattr(_metrics, "airflow_stats", lambda: type("Client", (), {"incr": lambda *args, **tags: told.append((args, tags))}))
    stats = RequestStats()
    metrics = _metrics.ReadingMetrics(stats, conn_id="a")
    stats.requests, stats.waited, stats.retries = 1, 0.25, Counter(ServerError=1)
    metrics.add(2)
    metrics.send()
    _metrics.count_bytes(9, conn_id="a")
    _metrics.count_bytes(None, conn_id="a")
    _metrics.count_failed_poll(ValueError(PASSWORD), conn_id="a")
    assert {name for (name, _), _ in told} == set(_metrics.METRICS)
    assert {key for _, keywords in told for key in keywords["tags"]} == {"conn_id", "error"}
    assert PASSWORD not in json.dumps(told)
