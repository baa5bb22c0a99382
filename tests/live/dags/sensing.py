"""Sensors that wait in the triggerer. Each task that they wake notes what woke it, and when it began."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor

BEGUN = datetime.fromisoformat(os.environ["CAPILLARY_LIVE_BEGUN"])


@task
def note(found: dict[str, object], dag_run=None) -> None:
    """Add a line to the file of arrivals."""
    begun = time.time()
    line = json.dumps({"by": dag_run.dag_id, "run": dag_run.run_id, "ids": found["ids"], "count": found["count"], "begun": begun})
    with open(os.environ["CAPILLARY_LIVE_ARRIVALS"], "a") as arrivals:  # noqa: PTH123
        arrivals.write(line + "\n")


def sensing(dag_id: str, schedule: str, **options: object) -> None:
    """Make a DAG of a sensor and a task that it wakes."""
    with DAG(dag_id=dag_id, schedule=schedule, start_date=BEGUN, max_active_runs=1, is_paused_upon_creation=False):
        wait = CapillaryEventStatusSensor(task_id="wait", deferrable=True, poke_interval=2, timeout=timedelta(hours=2), **options)
        note(wait.output)


# A run after the other: each reports what none before it has reported. With retries, as its documentation asks for: Airflow fails a
# deferred task now and then.
sensing(
    "sensor",
    "@continuous",
    statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"],
    capillary_conn_id="capillary_shared",
    retries=2,
    retry_delay=timedelta(),
)
# What it waits for never happens.
sensing("sensor_of_others", "@once", statuses=["INVALID_GROUP_IDENTIFIER_PASSED"], capillary_conn_id="capillary_shared")
sensing("sensor_revoked", "@once", capillary_conn_id="capillary_sensor_revoked", retries=3, retry_delay=timedelta())
