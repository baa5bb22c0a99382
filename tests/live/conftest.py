"""One Airflow for all live tests: it takes half a minute to start."""

from __future__ import annotations

import pytest
from live.happenings import FIGURES
from live.waiting import Live


# Until the last test of this module, not of the session: an idle Airflow takes a third of a processor from the tests after it.
@pytest.fixture(scope="module")
def live(tmp_path_factory, empty_airflow_db):
    """An Airflow with every DAG of this folder, each of them waiting for failures."""
    with Live(tmp_path_factory.mktemp("live"), database=empty_airflow_db) as running:
        yield running


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("measured with a real Airflow, not judged")
        for line in FIGURES:
            terminalreporter.line(line)
