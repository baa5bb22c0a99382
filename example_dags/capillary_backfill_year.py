r"""A year of event logs, one object a day, within the API's rate limit.

**1. Look at the cost**, before anything is queued. This samples the API in at most 20 requests, and prints how many event logs there are,
about, and the requests, time, bytes and disk that exporting them takes:

    python -m airflow_provider_capillary estimate capillary_default \
        --start 2024-09-18T00:00:00Z --end 2025-09-18T00:00:00Z --every 1d

**2. Share the rate limit.** Capillary counts all tasks that use one key together. The tasks of one user on one machine share the budget,
the connection's ``requests_per_minute``, by themselves. With several workers, give every task that reads through the connection the same
pool, ``pool="capillary"``; this DAG takes it from the environment variable ``CAPILLARY_POOL``. Make the pool as large as the "Runs at
once" of the estimate:

    airflow pools set capillary 1 "one reader at a time"

**3. Run it.** Set the year below, then ``airflow dags unpause capillary_backfill_year``: ``catchup`` creates a run for each day, and
``max_active_runs`` makes the runs read one after another. Clear the days that fail; days that succeeded need not be read again. If
your daily export writes the same paths, it can do it without this DAG. On Airflow 3:

    airflow backfill create --dag-id capillary_daily_export --from-date 2024-09-18 --to-date 2025-09-17 \
        --max-active-runs 1 --reprocess-behavior failed

On Airflow 2.11, with the ``max_active_runs`` of the DAG:

    airflow dags backfill --start-date 2024-09-18 --end-date 2025-09-17 --pool capillary --rerun-failed-tasks capillary_daily_export

**What it costs.** A day of N records takes at most ``1.35 * ceil(N / p) + 8`` requests, where p is the most records that the API gives
at once: the connection's ``page_size``, or less. With 50,000 records a day and p = 1000 that is 76 requests a day, 27,740 for a year; at
the default budget of 60 a minute, a little under eight hours. Where most of a day's records lie within a few minutes, it is up to
``2.2 * ceil(N / p) + 8``. The estimate is a command and not a task: a task would send its requests again in each of the 365 runs.


**Watch it.** The grid, or ``airflow dags list-runs capillary_backfill_year --state failed`` (on Airflow 2 with ``-d`` before the name).
The log of a task says every ten seconds how many requests and records there were, how far the reading has come, and how long it waited.
Metrics: ``capillary.requests``, ``capillary.event_logs``, ``capillary.throttled_seconds`` and others that the README lists.
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
# A task whose pool does not exist is never started, so this is the pool of every Airflow until you have created the one above.
POOL = os.environ.get("CAPILLARY_POOL", "default_pool")

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
        pool=POOL,
        retries=5,
        retry_delay=timedelta(minutes=5),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(hours=1),
    )
