r"""A year of event logs, a day in each object, at a pace that the API allows.

**Run it.** Set the year below, then ``airflow dags unpause capillary_backfill_year``: ``catchup`` creates a run for each day, and
``max_active_runs`` lets one at a time read. Days that fail stay failed and can be cleared; days that succeeded need not be read again.
If your daily export writes the same paths, Airflow 3 can do it without a DAG of its own:

    airflow backfill create --dag-id capillary_daily_export --from-date 2024-09-18 --to-date 2025-09-17 \
        --max-active-runs 1 --reprocess-behavior failed

**What it costs.** A day of N records takes at most ``c + ceil(N / (p - k)) + 4`` requests, where p is the connection's ``page_size``, k
the largest number of records in one instant, and c what it takes to find out how the API reads dates: 8 at most, 2 with the connection's
``date_format`` set (the manifest of any export says which it is; set it before a backfill). With 50,000 records a day, p = 1000 and
k = 10 that is 2 + 51 + 4 = 57 requests a day, 20,805 for a year; at the default budget of 60 a minute a little under six hours.

**The limit.** The budget, the connection's ``requests_per_minute``, holds for each task that runs, and Capillary counts all of them
together. While this runs, put whatever else reads through the same connection into one pool with it, by ``pool="capillary"`` on each
task, after ``airflow pools set capillary 1 "one reader at a time"``.

**Watch it.** ``airflow dags list-runs capillary_backfill_year --state failed`` (on Airflow 2 with ``-d`` before the name), the grid, and
in the log of a task every ten seconds how many requests and records there were, how far back, and how long it waited. Metrics:
``capillary.requests``, ``capillary.event_logs``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # Airflow 2
    from airflow.timetables.interval import CronDataIntervalTimetable

# One line away from object storage: "s3://my_aws_conn@my-bucket/capillary".
BASE = os.environ.get("CAPILLARY_EXPORTS", "file:///tmp/capillary-exports")

with DAG(
    dag_id="capillary_backfill_year",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    # The first and the last day, both included.
    start_date=datetime(2024, 9, 18, tzinfo=UTC),
    end_date=datetime(2025, 9, 17, tzinfo=UTC),
    catchup=True,
    max_active_runs=1,
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        destination=BASE + "/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
        retries=5,
        retry_delay=timedelta(minutes=5),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(hours=1),
    )
