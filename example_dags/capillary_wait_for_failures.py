"""Once failures appear, export them, and do something about them.

Every hour a run begins to wait, in the triggerer, where all that wait on one connection share their looks at the API. It goes on within a
minute of the first failure that no earlier run has reported; where an hour sees none, it is skipped at the hour's end, and the next run
goes on from where the last report ended. From the first report on, nothing between two runs is missed.

Only an hour without failures is skipped. A refused credential or a wrong connection fails the run, so that an alert on failed runs tells
of it: give the DAG an ``on_failure_callback``.

Only an hour without failures is skipped. A refused credential or a wrong connection fails the run, so that an alert on failed runs tells
of it: give the DAG an ``on_failure_callback``.

What is exported is the stretch from the first to the last failure that was found, so that the object holds each of them.

To see it without an API, start the stand-in, in which an event log happens every five seconds and one in ten fails, and give Airflow the
connection that it prints:

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

# The documented ones. The sensor alone could do without: by default it waits for anything but a success.
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
    # Two runs that wait at the same time would report the same failure.
    max_active_runs=1,
    params={"since": ""},
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    wait = CapillaryEventStatusSensor(
        task_id="wait",
        statuses=FAILURES,
        # Empty but where a run by hand says otherwise: what is new since the last report.
        since="{{ params.since }}",
        deferrable=True,
        poke_interval=45,
        timeout=timedelta(minutes=55),
        # Skips at the timeout alone; errors fail.
        soft_fail=True,
        # Airflow itself fails a deferred task now and then, when two of its events arrive in the wrong order.
        retries=3,
    )
    export = CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        # By both ends, since the next failures may begin at the same instant; and without colons, which some query engines refuse.
        destination=BASE + "/new_failures/{interval_start:%Y-%m-%dT%H%M%S.%f}_{interval_end:%Y-%m-%dT%H%M%S.%f}.jsonl",
        start=f"{{{{ {FOUND}.start }}}}",
        end=f"{{{{ {FOUND}.end }}}}",
        statuses=FAILURES,
        # Now, not in five minutes: a failure that becomes visible late wakes the next run.
        settle=timedelta(),
        retries=3,
    )

    @task
    def look_into(path: str) -> dict[str, int]:
        """Count the failures by event, from the object that was written."""
        import json

        counts: dict[str, int] = {}
        # By the filesystem itself: the shorthands of a path may see what was there before.
        stored = ObjectStoragePath(path)
        for line in stored.fs.cat_file(stored.path).splitlines():
            name = json.loads(line).get("eventName") or "without a name"
            counts[name] = counts.get(name, 0) + 1
        return counts

    wait >> export >> look_into("{{ ti.xcom_pull(task_ids='export')['path'] }}")
