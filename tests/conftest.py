"""What every test runs in: an Airflow of its own in a temporary folder, nothing of the user's, nothing of the network's.

Airflow reads its settings when it is first imported, so all of this happens while pytest loads this file, before any test
module does. Nothing here imports Airflow unless a test asks for :func:`airflow_db`.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


def _isolate_environment() -> None:
    """Forget the user's Airflow, and give this process and its children one of their own."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="capillary-tests-")
    owner = os.getpid()  # a forked task runs the same exit handlers; only the process that made the folder removes it
    atexit.register(lambda: shutil.rmtree(home, ignore_errors=True) if os.getpid() == owner else None)
    os.environ["AIRFLOW_HOME"] = home
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


_isolate_environment()
_make_package_importable()


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """Airflow 2.11 masks secrets of any length, for the rest of the process: the password ``p`` of one test, in every path of the next."""
    yield
    if (module := sys.modules.get("airflow.utils.log.secrets_masker")) and hasattr(module, "_secrets_masker"):
        masker = module._secrets_masker()
        if hasattr(masker, "patterns"):
            masker.patterns.clear()
            masker.replacer = None


@pytest.fixture(scope="session")
def empty_airflow_db() -> Path:
    """A copy of :func:`airflow_db` before anything was in it."""
    from airflow.utils.db import initdb

    initdb()
    home = Path(os.environ["AIRFLOW_HOME"])
    # What is still in the log of writes is copied too.
    with closing(sqlite3.connect(home / "airflow.db")) as database, closing(sqlite3.connect(home / "empty.db")) as copy:
        database.backup(copy)
    return home / "empty.db"


@pytest.fixture(scope="session")
def airflow_db(empty_airflow_db: Path) -> None:
    """A migrated metadata database; some seconds, once, for the tests that run a DAG."""
