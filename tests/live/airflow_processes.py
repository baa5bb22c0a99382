"""A whole Airflow in a folder of its own: its processes, which can be killed and started one by one, and its database, to read.

Nothing is needed but the Airflow that runs the tests. It shares nothing with another: folder, database, ports and settings are its own.
Each process leads a session of its own, so that its children can be found, and killed, by the id of that session when it is dead itself.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["AIRFLOW", "DEADLINE", "Airflow", "free_port"]

T = TypeVar("T")
AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
DEADLINE = float(os.environ.get("CAPILLARY_LIVE_DEADLINE", "120"))
"""Seconds. Nothing that is waited for takes a quarter of it, unless the machine is busy with something else; then set a longer one."""

_SETTINGS = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "6",
    # Without a key nothing is encrypted, so that a scan of the database reads the arguments of triggers.
    "CORE__FERNET_KEY": "",
    "API_AUTH__JWT_SECRET": "one-for-all-processes-of-this-airflow-which-is-gone-in-a-minute",
    # A triggerer that was killed counts as dead after this many seconds; before, nobody else takes its triggers.
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "3",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    # When files are read, under the names of Airflow 3 and of Airflow 2.
    "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "SCHEDULER__DAG_DIR_LIST_INTERVAL": "1",
    "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "30",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}


class Airflow:
    """All processes of one Airflow. Use it in a ``with`` statement.

    :param home: an empty folder.
    :param database: a migrated one, without anything in it; it is copied.
    :param environment: what its processes get beside the settings: connections.
    """

    def __init__(self, home: Path, *, database: Path, environment: dict[str, str]) -> None:
        self.dags = home / "dags"
        self.logs = home / "logs"
        self.outputs = home / "outputs"
        self.database = home / "airflow.db"
        for folder in (self.dags, self.logs, self.outputs):
            folder.mkdir()
        shutil.copy(database, self.database)
        port = free_port()
        self._api = f"http://127.0.0.1:{port}/execution/"
        own = {
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__EXECUTION_API_SERVER_URL": self._api,
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}?timeout=60",
            "LOGGING__BASE_LOG_FOLDER": str(self.logs),
        }
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
        self._environment |= {f"AIRFLOW__{name}": value for name, value in (_SETTINGS | own).items()}
        # Airflow 2 runs several tasks at once on sqlite only where this is set; one after the other, each in a new process, takes minutes.
        self._environment |= {"AIRFLOW_HOME": str(home), "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1", **environment}
        self._commands = {
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "triggerer": ["triggerer", "--skip-serve-logs"],
        }
        if AIRFLOW >= (3, 0):
            self._commands["dag-processor"] = ["dag-processor"]
            self._commands["api-server"] = f"api-server --apps execution --host 127.0.0.1 --port {port} --workers 1".split()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._launched = 0

    def __enter__(self) -> Self:
        try:
            with contextlib.closing(sqlite3.connect(self.database)) as database:
                database.execute("PRAGMA journal_mode=WAL")  # as Airflow 3 does itself: those who read and those who write don't wait
            for name in self._commands:
                self.launch(name)
            if "api-server" in self._commands:
                self.until(self._api_answers)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def launch(self, name: str) -> None:
        """Start one process."""
        assert name not in self._running
        self._launched += 1
        with (self.outputs / f"{self._launched:02d}-{name}.log").open("wb") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *self._commands[name]],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """``kill -9`` one process and all its children, as if its machine had lost power."""
        process = self._running.pop(name)
        _kill_session(process)

    def end(self) -> None:
        """Kill whatever runs."""
        for name in list(self._running):
            self.kill(name)

    def dead(self) -> list[str]:
        """The processes that ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def command(self, *arguments: str) -> str:
        """Run one command of Airflow's, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database; it can't be changed that way."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def until(self, condition: Callable[..., T], *arguments: object) -> T:
        """Wait until a condition holds, and return what it gave; where it does not come, tell all there is to know."""
        ends = time.monotonic() + DEADLINE
        while not (value := condition(*arguments)):
            assert time.monotonic() < ends, f"{condition.__qualname__} {arguments} did not come in {DEADLINE:.0f} s.\n{self.tell()}"
            time.sleep(0.05)
        return value

    def tell(self) -> str:
        """What there is to know when something did not happen."""
        lines = [f"Processes that ended: {self.dead()}"]
        with contextlib.suppress(sqlite3.Error):
            lines += [str(row) for row in self.rows("SELECT dag_id, run_id, task_id, state, try_number FROM task_instance")[-20:]]
            lines += [str(row) for row in self.rows("SELECT id, classpath, triggerer_id FROM trigger")]
        for path in sorted(self.outputs.iterdir()):
            lines += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join(lines)

    def _api_answers(self) -> bool:
        assert not self.dead(), self.tell()
        try:
            with urllib.request.urlopen(f"{self._api}health", timeout=5) as answer:
                return answer.status == 200
        except OSError:  # nobody listens yet, or an error of HTTP
            return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started: what is in groups of its own too, and what was being started meanwhile."""
    while members := _living(session=process.pid):
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        time.sleep(0.01)
    # Only now: as long as its leader was not waited for, no other process can get the session's id.
    process.wait()


def _living(*, session: int) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        # One that has just ended, or that nobody will wait for, is none.
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.getsid(pid) == session and (process := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
