"""Every day, the event logs of the day before, complete, in one object.

In Airflow, with a connection ``capillary_default``: put this file into your DAGs folder. Without anything, as a script, against a
stand-in for the API that holds the ten records of Capillary's documentation:

    python example_dags/capillary_daily_export.py
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

if __name__ == "__main__":
    # A script: an Airflow of its own, which has to be set up before Airflow is imported. A DAGs folder does not come here.
    from airflow_provider_capillary.emulator import quickstart

    quickstart.prepare(__file__)

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # Airflow 2
    from airflow.timetables.interval import CronDataIntervalTimetable

# One line away from object storage: "s3://my_aws_conn@my-bucket/capillary".
BASE = os.environ.get("CAPILLARY_EXPORTS", "file:///tmp/capillary-exports")

with DAG(
    dag_id="capillary_daily_export",
    # Not schedule="0 0 * * *": on Airflow 3 that gives each run an interval of length zero, and so nothing to export. With this
    # timetable the run of the 18th, which starts when the 17th has ended, has the 17th as its interval.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2025, 6, 1, tzinfo=UTC),
    # Days that were missed while the scheduler or the DAG stood still are not made up for. With True they are, from start_date on.
    catchup=False,
    # A run that is triggered by hand can name another interval, as {"start": "2025-06-27T00:00:00Z", "end": "2025-06-28T00:00:00Z"}.
    params={"start": "", "end": ""},
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        start="{{ params.start }}",
        end="{{ params.end }}",
        # By the interval, never by the time of the run: a rerun replaces the object that it has to replace.
        destination=BASE + "/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
        retries=3,
    )

if __name__ == "__main__":
    raise SystemExit(quickstart.run(dag, task_id="export", start="2025-06-27T00:00:00Z", end="2025-09-18T06:00:00Z"))
