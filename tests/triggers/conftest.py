from __future__ import annotations

import pytest
from bench import Emulator


@pytest.fixture
def api_of(monkeypatch):
    """An emulator that runs until the test ends, as the connection ``capillary_default``."""
    running = []

    def start(*, extras=None, conn_id="capillary_default", **options):
        api = Emulator(**options).start()
        running.append(api)
        defaults = {"requests_per_minute": 6000, "date_format": "iso"}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", api.connection_json(**(defaults | (extras or {}))))
        return api

    yield start
    for api in running:
        api.stop()
