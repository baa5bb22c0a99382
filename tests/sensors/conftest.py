from __future__ import annotations

import pytest
from bench import Emulator


@pytest.fixture
def api_of(monkeypatch):
    """An emulator that runs until the test ends, as the connection ``capillary_default``."""
    running = []

    def start(*, extras=None, **options):
        api = Emulator(**options).start()
        running.append(api)
        defaults = {"requests_per_minute": 6000, "date_format": "iso"}
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(**(defaults | (extras or {}))))
        return api

    yield start
    for api in running:
        api.stop()


@pytest.fixture
def logged(capfd, caplog):
    """Everything that was logged since the last call: Airflow 3 writes a task's log to the terminal, Airflow 2 to loggers."""
    caplog.set_level("INFO")

    def take():
        text = "".join(capfd.readouterr()) + caplog.text
        caplog.clear()
        return text

    return take
