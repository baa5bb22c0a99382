"""Every day, the event logs of the day before, complete, in one object.

To use it, put this file into your DAGs folder and add a connection ``capillary_default``. To try it without an Airflow and without a
Capillary account, run it as a script: an emulator of the API holds the ten records of Capillary's documentation.

    python example_dags/capillary_daily_export.py
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

if __name__ == "__main__":
    # Only as a script, never in a DAGs folder: set up an Airflow of its own, which has to happen before Airflow is imported.
    import _quickstart

    _quickstart.prepare(__file__)

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
    # Not schedule="0 0 * * *": on Airflow 3 that gives each run an interval of length zero, with nothing to export. With this
    # timetable, the run that starts at midnight of the 18th has the 17th as its interval.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2025, 6, 1, tzinfo=UTC),
    # Days that passed while the DAG was paused get no run. With True they do, from start_date on.
    catchup=False,
    # A manual run can name another interval, as {"start": "2025-06-27T00:00:00Z", "end": "2025-06-28T00:00:00Z"}.
    params={"start": "", "end": ""},
    tags=["capillary"],
    doc_md=__doc__,
) as dag:
    CapillaryEventLogsToObjectStorageOperator(
        task_id="export",
        start="{{ params.start }}",
        end="{{ params.end }}",
        # The path depends on the interval, never on the time of the run, so that a rerun replaces its own object.
        destination=BASE + "/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
        retries=3,
    )

if __name__ == "__main__":
    raise SystemExit(_quickstart.run(dag, task_id="export", start="2025-06-27T00:00:00Z", end="2025-09-18T06:00:00Z"))
