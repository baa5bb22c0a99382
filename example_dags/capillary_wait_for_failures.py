"""Wait for failures, then export them and act on them.

Every hour a run starts to wait, in the triggerer, where all sensors on one connection share their polls. It continues within a minute of
the first failure that no earlier run has reported. A run without such a failure is skipped at the end of its hour, and the next run
continues where the last report ended. From the first report on, no failure between two runs is missed.

Only an hour without failures is skipped. A refused credential or a wrong connection fails the run: give the DAG an
``on_failure_callback`` to hear of it.

The export covers the interval from the first to the last failure that the sensor found, so the object holds each of them.

To try it without a Capillary account, start the emulator with a new event log every five seconds, of which one in ten fails, and give
Airflow the connection that it prints:

    python -m airflow_provider_capillary.emulator --live 5
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task

from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor

# One line away from object storage: "s3://my_aws_conn@my-bucket/capillary".
BASE = os.environ.get("CAPILLARY_EXPORTS", "file:///tmp/capillary-exports")

FOUND = "ti.xcom_pull(task_ids='wait')"

# The documented failures. For the sensor alone the list would not be needed: by default it waits for anything but a success.
FAILURES = [
    "EMF_PROCESSOR_FAILED",
    "INVALID_EVENT_NAME",
    "INVALID_GROUP_IDENTIFIER_PASSED",
    "INVALID_META_TRANSFORMER_MAPPINGS",
    "NO_CUSTOMER_DETAILS_PASSED",
    "NO_STATUS",
]

with DAG(
    dag_id="capillary_wait_for_failures",
    schedule="0 * * * *",
    start_date=datetime(2025, 6, 1, tzinfo=UTC),
    catchup=False,
    # Two runs that wait at the same time would both report the same failure.
    max_active_runs=1,
    params={"since": ""},
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    wait = CapillaryEventStatusSensor(
        task_id="wait",
        statuses=FAILURES,
        # Empty, that is everything new since the last report, unless a manual run names a time.
        since="{{ params.since }}",
        deferrable=True,
        poke_interval=45,
        timeout=timedelta(minutes=55),
        # A timeout skips the task; an error fails it.
        soft_fail=True,
        # Airflow itself sometimes fails a deferred task, when two of its events arrive in the wrong order.
        retries=3,
    )
    export = CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        # Both ends, since the next failures may begin at the same time; without colons, which some query engines refuse.
        destination=BASE + "/new_failures/{interval_start:%Y-%m-%dT%H%M%S.%f}_{interval_end:%Y-%m-%dT%H%M%S.%f}.jsonl",
        start=f"{{{{ {FOUND}.start }}}}",
        end=f"{{{{ {FOUND}.end }}}}",
        statuses=FAILURES,
        # At once, not after five minutes: a failure that becomes visible late is the next run's.
        settle=timedelta(),
        retries=3,
    )

    @task
    def look_into(path: str) -> dict[str, int]:
        """Count the failures by event, from the object that was written."""
        import json

        counts: dict[str, int] = {}
        # Read through the filesystem: other methods of the path may return a cached, older object.
        stored = ObjectStoragePath(path)
        for line in stored.fs.cat_file(stored.path).splitlines():
            name = json.loads(line).get("eventName") or "without a name"
            counts[name] = counts.get(name, 0) + 1
        return counts

    wait >> export >> look_into("{{ ti.xcom_pull(task_ids='export')['path'] }}")
