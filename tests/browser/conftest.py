"""A browser, and an Airflow that serves its connection form; nothing here is collected unless it is asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from live.airflow_processes import free_port

# A browser is large, and not from PyPI; test_form.py says how to run it.
collect_ignore_glob = [] if os.environ.get("CAPILLARY_TEST_BROWSER") else ["test_*.py"]

DEADLINE = 120.0
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--window-size=1100,1800",
    # Otherwise the browser talks to its makers.
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Site:
    """The web server of one Airflow, and its command line."""

    def __init__(self, home, database):
        self.home, self.url = home, f"http://127.0.0.1:{free_port()}"
        self.database = home / "airflow.db"
        shutil.copy(database, self.database)
        (home / "dags").mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}?timeout=60",
        }
        self.process = None

    def command(self, *arguments):
        """Run ``airflow ...``; its exit code and what it says."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
        return done.returncode, done.stdout + done.stderr

    def __enter__(self):
        port = self.url.rpartition(":")[2]
        with (self.home / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", port, "--workers", "1"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        ends = time.monotonic() + DEADLINE
        while not self._answers():
            assert self.process.poll() is None, (self.home / "server.log").read_text()
            assert time.monotonic() < ends, (self.home / "server.log").read_text()
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/version", timeout=5) as answer:
                return answer.status == 200
        except OSError:  # nobody listens yet
            return False


@pytest.fixture(scope="session")
def site(tmp_path_factory, empty_airflow_db):
    with Site(tmp_path_factory.mktemp("site"), empty_airflow_db) as running:
        yield running


@pytest.fixture
def browser(tmp_path):
    from selenium import webdriver

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary, "chromium is not on the PATH"
    assert driver, "chromedriver is not on the PATH"
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(flag)
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield running
    running.quit()
