"""As soon as failures appear, export them and act on them. Airflow 3.3 and later.

No task waits. The triggerer polls once for all watches and sensors on one connection, and a run starts within a minute of a new failure.
Several events may start one run; it exports the interval that holds the failures of all of them. If the triggerer is killed, no event is
lost; an event may come twice, and its run then writes the same object again. A refused credential or a wrong connection fails no task:
the triggerer logs an error until the credential or connection is corrected, and then reports what happened meanwhile.

To try it without a Capillary account, start the emulator with a new event log every five seconds, of which one in ten fails, and give
Airflow the connection that it prints:

    python -m airflow_provider_capillary.emulator --live 5
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset, ObjectStoragePath, task
from airflow.sdk import AssetWatcher

from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
from airflow_provider_capillary.triggers.capillary import CapillaryEventWatchTrigger

# One line away from object storage: "s3://my_aws_conn@my-bucket/capillary".
BASE = os.environ.get("CAPILLARY_EXPORTS", "file:///tmp/capillary-exports")

# The documented failures. For the watch alone the list would not be needed: by default it reports anything but a success.
FAILURES = [
    "EMF_PROCESSOR_FAILED",
    "INVALID_EVENT_NAME",
    "INVALID_GROUP_IDENTIFIER_PASSED",
    "INVALID_META_TRANSFORMER_MAPPINGS",
    "NO_CUSTOMER_DETAILS_PASSED",
    "NO_STATUS",
]

failures = Asset(
    name="capillary_failures",
    uri="capillary://event-logs/failures",
    watchers=[AssetWatcher(name="capillary", trigger=CapillaryEventWatchTrigger(statuses=FAILURES, poke_interval=45))],
)

# Of all the events that started the run.
EVENTS = "triggering_asset_events.values() | sum(start=[]) | map(attribute='extra.payload.{}') | {}"
START, END = EVENTS.format("start", "min"), EVENTS.format("end", "max")

with DAG(
    dag_id="capillary_on_failures",
    schedule=[failures],
    start_date=datetime(2025, 6, 1, tzinfo=UTC),
    catchup=False,
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    export = CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        # Both ends, to the microsecond, so that no two runs share a path; without colons, which some query engines refuse.
        destination=BASE + "/failures_as_they_appear/{interval_start:%Y-%m-%dT%H%M%S.%f}_{interval_end:%Y-%m-%dT%H%M%S.%f}.jsonl",
        start=f"{{{{ {START} }}}}",
        end=f"{{{{ {END} }}}}",
        statuses=FAILURES,
        # At once, not after five minutes: a failure that becomes visible late starts the next run.
        settle=timedelta(),
        retries=3,
    )

    @task
    def look_into(path: str) -> dict[str, int]:
        """Count the failures by status, from the object that was written."""
        import json

        counts: dict[str, int] = {}
        # Read through the filesystem: other methods of the path may return a cached, older object.
        stored = ObjectStoragePath(path)
        for line in stored.fs.cat_file(stored.path).splitlines():
            status = json.loads(line).get("status") or "NO_STATUS"
            counts[status] = counts.get(status, 0) + 1
        return counts

    export >> look_into("{{ ti.xcom_pull(task_ids='export')['path'] }}")
