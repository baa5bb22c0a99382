"""What every test runs in: an Airflow of its own in a temporary folder, nothing of the user's, nothing of the network's.

Airflow reads its settings when it is first imported, so all of this happens while pytest loads this file, before any test
module does. Nothing here imports Airflow unless a test asks for :func:`airflow_db`.
"""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

# Folders and files whose tests are marked slow, and what takes their time. Those of a whole Airflow come first: with several workers,
# what takes longest has to begin first. A single slow test of another file carries the mark itself.
SLOW = {
    "live": "a whole Airflow, whose triggerer is killed",
    "example_dags/test_together.py": "a whole Airflow, with all examples",
    "readme/test_blocks.py": "Airflow's command line, a process for each command",
    "example_dags/test_examples.py": "the examples as DAG runs, and the quick start as a process",
    "canaries": "DAG runs with each fault, and a dump of the database after each",
    "export/test_kill.py": "dozens of killed processes",
    "export/test_store_faults.py": "a hundred exports through a proxy that breaks calls",
    "export/test_store_access.py": "stores that do not answer, until the time is up",
    "faults": "a thousand readings, each with a server of its own",
    "triggers": "polls a second apart",
    "sensors/test_sensor.py": "polls a second apart, and DAG runs",
    "reading/test_worlds.py": "hundreds of drawn servers, read to the end",
    "reading/test_tampered_pages.py": "hundreds of readings",
    "reading/test_survey.py": "a hundred drawn servers, surveyed and read",
    "reading/test_calibration.py": "hundreds of calibrations and readings",
    "reading/test_reader.py": "hundreds of readings",
    "hooks/test_turns.py": "processes that wait for their turns",
    "hooks/test_metrics.py": "an export that is throttled, and polls",
    "hooks/test_lanes.py": "requests that hang",
    "hooks/test_both_drivers.py": "each reading twice",
    "hooks/test_proxies.py": "proxies, and a process for each setting",
    "estimate": "drawn servers, sampled and read",
    "operators/test_lineage.py": "DAG runs",
    "operators/test_links.py": "DAG runs",
    "operators/test_redact.py": "DAG runs, and exports in each format",
    "operators/test_runs.py": "DAG runs",
    "operators/test_none.py": "DAG runs",
    "operators/test_rendering.py": "DAG runs",
    "export/test_publish.py": "dozens of exports",
    "export/test_replacing.py": "dozens of exports, each rerun",
    "readme/test_permissions.py": "exports under each policy",
    "check/test_command.py": "a process for some of the commands, and Airflow's command line",
    "emulator/test_command.py": "a process for each command",
    "test_import.py": "an interpreter for each list of modules",
    "browser": "a browser",
    "clouds": "emulators of stores, as processes",
}
WITHOUT_AIRFLOW = (
    "api",
    "bench",
    "emulator",
    "estimate/test_sampling.py",
    "mutations",
    "polling/test_poll_state.py",
    "reading",
    "redaction/test_apply.py",
    "redaction/test_detectors.py",
    "redaction/test_hashing.py",
    "test_layout.py",
    "test_timestamps.py",
)
"""Folders and files whose tests import nothing of Airflow."""
BESIDE_AIRFLOW = (
    "check",
    "estimate",
    "export/test_comparison.py",
    "export/test_engines.py",
    "export/test_erasure.py",
    "export/test_formats.py",
    "export/test_kill.py",
    "export/test_manifest.py",
    "export/test_replacing.py",
    "export/test_spool.py",
    "export/test_store_access.py",
    "export/test_store_faults.py",
    "faults",
    "hooks/test_both_drivers.py",
    "hooks/test_interrupt.py",
    "hooks/test_lanes.py",
    "hooks/test_proxies.py",
    "hooks/test_turns.py",
    "hooks/test_wire.py",
    "readme/test_permissions.py",
    "readme/test_reading.py",
    "readme/test_site.py",
    "test_import.py",
)
"""Those of HTTP, stores, disks, formats and commands. Like the ones above they run the same on every Airflow: `.ci/run` runs both once."""
AIRFLOW_ITSELF = ("example_dags/test_together.py",)
"""A whole Airflow with all examples, which takes a minute of a processor. On the oldest Airflow `.ci/run` has one in tests/live, and each
example as a DAG run; `.ci/versions` runs this everywhere."""
ONCE = (*WITHOUT_AIRFLOW, *BESIDE_AIRFLOW, *AIRFLOW_ITSELF)
EACH = {
    "example_dags/test_together.py": "a whole Airflow, with all examples",
    "check/test_command.py": "a connection of Airflow's, and Airflow's command line, which takes commands of providers from 3.2 on",
    "estimate/test_command.py": "a connection of Airflow's, and Airflow's command line",
    "hooks/test_both_drivers.py": "connections and masking as a task has them and as a triggerer has them",
    "hooks/test_interrupt.py": "requests and urllib3 in the versions of that Airflow's time",
    "readme/test_permissions.py": "an export as a task, over that Airflow's paths of objects",
    "test_import.py": "what is loaded beside Airflow's own modules, and the refusal of an older Airflow",
}
"""What of these does depend on Airflow, but so little that `.ci/run` runs it once, and in which way. `.ci/versions` runs it in each row."""
LIVE = ("tests/live/", "tests/example_dags/test_together.py")
"""One worker runs both, one after the other: two Airflows at once would wait for each other's processor."""
TOGETHER_BEGINS = 210.0
"""Seconds after which the second of the two begins. In the first five minutes of an hour it waits until they are over, for records that
become visible late; so it goes first where it would begin then, and the hour is not over yet."""
BEGAN = "CAPILLARY_TESTS_BEGAN"
"""When the run began, for its workers, which have to order the tests alike."""
LONG = 5.0
"""Seconds. A test that takes longer and is not marked is named at the end of the run."""


def _isolate_environment() -> None:
    """Forget the user's Airflow, and give this process and its children one of their own."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
        del os.environ[name]
    # Beside that of the process that started this one, not in it: the name of a socket may have no more than 107 bytes.
    outside = os.environ.setdefault("CAPILLARY_TESTS_TMPDIR", tempfile.gettempdir())
    home = tempfile.mkdtemp(prefix="capillary-tests-", dir=outside)
    owner = os.getpid()  # a forked task runs the same exit handlers; only the process that made the folder removes it
    atexit.register(lambda: shutil.rmtree(home, ignore_errors=True) if os.getpid() == owner else None)
    os.environ["AIRFLOW_HOME"] = home
    # Processes of one machine share a budget of requests through the temporary folder; those of another session are not to.
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="", dir=home)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(TESTS / "dags")
    # Servers of the tests listen on loopback; a proxy of the user's would answer in their place.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


def _make_package_importable() -> None:
    """Test the installed package where there is one, else the tree, in this process and in those that a test starts."""
    try:
        importlib.metadata.distribution("airflow-provider-capillary")
    except importlib.metadata.PackageNotFoundError:
        sys.path.insert(0, str(ROOT))
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), inherited] if inherited else [str(ROOT)])


def _make_tracebacks_plain() -> None:
    """Airflow 3.0 leaves structlog at its defaults in ``dag.test()``: tracebacks in boxes, wrapped, with the local variables."""
    if importlib.metadata.version("apache-airflow").startswith("3.0."):
        import structlog

        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(
            processors=[*structlog.get_config()["processors"][:-1], renderer],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )


_isolate_environment()
_make_package_importable()
_make_tracebacks_plain()


MASKERS = (
    "airflow.utils.log.secrets_masker",  # 2.11
    "airflow.sdk.execution_time.secrets_masker",  # 3.0
    "airflow._shared.secrets_masker.secrets_masker",
    "airflow.sdk._shared.secrets_masker.secrets_masker",
)
"""Modules of Airflow's versions that hold what is masked."""


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """Airflow masks secrets for the rest of the process, 2.11 of any length: the password ``p`` of one test, in every path of the next."""
    yield
    for module in filter(None, map(sys.modules.get, MASKERS)):
        masker = module._secrets_masker() if hasattr(module, "_secrets_masker") else None
        if hasattr(masker, "patterns"):
            masker.patterns.clear()
            masker.replacer = None


@pytest.fixture(autouse=True)
def _no_requests_of_other_tests() -> None:
    """Readings of one login at one address share a budget through a file; another test's server may have had the same port."""
    shutil.rmtree(Path(tempfile.gettempdir(), f"airflow-capillary-{os.getuid()}"), ignore_errors=True)


@pytest.fixture(scope="session")
def empty_airflow_db() -> Path:
    """A copy of :func:`airflow_db` before anything was in it."""
    from airflow.utils.db import initdb

    initdb()
    _share_in_process_api()
    home = Path(os.environ["AIRFLOW_HOME"])
    # What is still in the log of writes is copied too.
    with closing(sqlite3.connect(home / "airflow.db")) as database, closing(sqlite3.connect(home / "empty.db")) as copy:
        database.backup(copy)
    return home / "empty.db"


def _share_in_process_api() -> None:
    """Let all DAG runs of this process use one execution API, as Airflow 3.3 does.

    Earlier ones make another for each task. On 3.2 that takes six seconds.
    """
    try:
        from airflow.sdk.execution_time import supervisor
    except ImportError:  # Airflow 2 has none
        return
    make = getattr(supervisor, "in_process_api_server", None)
    if make is not None and not hasattr(make, "cache_info"):
        supervisor.in_process_api_server = functools.cache(make)


@pytest.fixture(scope="session")
def airflow_db(empty_airflow_db: Path) -> None:
    """A migrated metadata database; some seconds, once, for the tests that run a DAG."""


def pytest_configure() -> None:
    """Refuse a table that has not followed a file that was renamed: its tests would be no longer slow."""
    if missing := [name for name in (*SLOW, *ONCE, *EACH) if not (TESTS / name).exists()]:
        raise pytest.UsageError(f"tests/conftest.py: its tables name what is not there: {', '.join(missing)}")
    os.environ.setdefault(BEGAN, str(time.time()))


def together_goes_first(began: float) -> bool:
    """Whether an hour begins before the second of the tests with a whole Airflow would, as epoch seconds tell."""
    return began // 3600 < (began + TOGETHER_BEGINS) // 3600


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what the tables above name. A worker of pytest-xdist begins with it."""
    marked = {}
    for item in items:
        path = item.path.relative_to(TESTS)
        names = [path.as_posix(), *(parent.as_posix() for parent in path.parents)]
        place = next((number for number, name in enumerate(SLOW) if name in names), None)
        if place is not None:
            item.add_marker(pytest.mark.slow)
        if not set(names).isdisjoint(ONCE):
            item.add_marker(pytest.mark.once)
        if not set(names).isdisjoint(EACH):
            item.add_marker(pytest.mark.each)
        marked[item] = len(SLOW) if place is None else place
        if path.as_posix() in AIRFLOW_ITSELF and together_goes_first(float(os.environ[BEGAN])):
            marked[item] = -1
    if hasattr(config, "workerinput"):
        items.sort(key=marked.__getitem__)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With several workers, one runs all tests of a file: they share what its fixtures start."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return LIVE[0] if nodeid.startswith(LIVE) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # else the files with few tests, which take longest, would begin last
    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that should be marked as slow, and are not."""
    passed = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    if long := [report for report in passed if report.duration > LONG and "slow" not in report.keywords]:
        terminalreporter.section(f"took over {LONG:.0f} s and are not marked slow")
        for report in sorted(long, key=lambda report: -report.duration):
            terminalreporter.line(f"{report.duration:.1f} s {report.nodeid}")
