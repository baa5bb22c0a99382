"""Every hour, the event logs that failed. An hour without failures gets no object.

The API has no parameter for statuses, so this costs as many requests as an export of all event logs. If the daily export runs anyway,
filtering its objects is cheaper.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # Airflow 2
    from airflow.timetables.interval import CronDataIntervalTimetable

# One line away from object storage: "s3://my_aws_conn@my-bucket/capillary".
BASE = os.environ.get("CAPILLARY_EXPORTS", "file:///tmp/capillary-exports")

# A DAG with schedule=[Asset("capillary://exports/failures")] runs after each object; `extra` of the event has the counts. The asset of
# capillary_on_failures is another one: its events come from the API, before anything is exported.
FAILURES = Asset("capillary://exports/failures")

with DAG(
    dag_id="capillary_export_failures",
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=datetime(2025, 6, 1, tzinfo=UTC),
    catchup=False,
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        destination=BASE + "/failures/dt={interval_start:%Y-%m-%d}/{interval_start:%H}.jsonl",
        # The documented failures. Add each status that Capillary adds; "NO_STATUS" stands for records without a status.
        statuses=[
            "EMF_PROCESSOR_FAILED",
            "INVALID_EVENT_NAME",
            "INVALID_GROUP_IDENTIFIER_PASSED",
            "INVALID_META_TRANSFORMER_MAPPINGS",
            "NO_CUSTOMER_DETAILS_PASSED",
            "NO_STATUS",
        ],
        on_empty="skip",
        outlets=[FAILURES],
        retries=3,
    )
