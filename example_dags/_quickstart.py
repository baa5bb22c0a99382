"""Run an example DAG as a script: in an Airflow of its own, once, against the emulator.

Airflow reads its settings when it is first imported, so there are two functions: :func:`prepare`, to call before that, and
:func:`run`, to call once the DAG exists. This is no DAG: ``.airflowignore`` keeps Airflow from reading this file as one.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.emulator import Emulator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

_EXPORTS = "CAPILLARY_EXPORTS"
_TASK_LOGGERS = ("airflow.task.operators", "airflow.task.hooks")


def prepare(file: str) -> None:
    """Give this process, and nothing else, an Airflow of its own.

    Settings, connections and secrets backends of another Airflow in the environment are removed from this process, so that the
    quick start can't touch that Airflow or its database. Airflow's own files go to a folder that is removed at exit. Exports go to
    ``.airflow/exports`` beside the folder of the DAG file, unless the environment variable ``CAPILLARY_EXPORTS`` names another place.

    :param file: the DAG file. Its folder becomes the DAGs folder.
    """
    print("Setting up an Airflow of its own and running the DAG; this takes less than a minute.", flush=True)
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
        del os.environ[name]
    folder = Path(file).resolve().parent
    files = folder.parent / ".airflow"
    files.mkdir(exist_ok=True)
    home = tempfile.mkdtemp(prefix="home-", dir=files)
    owner = os.getpid()  # a forked process runs the same exit handlers
    atexit.register(lambda: shutil.rmtree(home, ignore_errors=True) if os.getpid() == owner else None)
    # Not as_uri(): object storage takes a path literally, so %20 would stay %20.
    os.environ.setdefault(_EXPORTS, f"file://{files / 'exports'}")
    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(folder)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    # With the default syntax, Airflow 3 logs a deprecation warning of a library for each .airflowignore that it reads.
    os.environ["AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX"] = "regexp"
    # Only the task's log is of interest here, not how Airflow creates its database.
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    os.environ["AIRFLOW__LOGGING__NAMESPACE_LEVELS"] = " ".join(f"{name}=INFO" for name in _TASK_LOGGERS)
    warnings.simplefilter("ignore")
    # The emulator listens on loopback, which a proxy could not reach.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


def run(dag: DAG, *, task_id: str, start: str, end: str) -> int:
    """Run the DAG once against the emulator, and print the object's path, its count by status, and the receipt.

    :param dag: a DAG with the params ``start`` and ``end``.
    :param task_id: the task whose receipt to print.
    :param start: with ``end`` the interval of the run, ISO text.
    :return: the exit code: 0, or 1 if the run failed.
    """
    from airflow.utils.db import initdb

    initdb()
    for name in _TASK_LOGGERS:  # Airflow 2 has no log levels by namespace
        logging.getLogger(name).setLevel(logging.INFO)
    with Emulator() as api:
        os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = api.connection_json()
        dag_run: Any = dag.test(run_conf={"start": start, "end": end})
    if dag_run.state != "success":
        print(f"\nThe run ended as {dag_run.state}; the log above says why.")
        return 1
    receipt = dag_run.get_task_instance(task_id).xcom_pull(task_ids=task_id, map_indexes=-1)
    print(f"\n{receipt['path']}\n")
    for status, count in receipt["statuses"].items():
        print(f"{count:6d} {status}")
    print(f"{receipt['events']:6d} event logs\n")
    print(json.dumps(receipt, indent=2))
    return 0
