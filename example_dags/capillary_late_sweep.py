"""Every morning, look for event logs that became visible late in the last seven days, and export their days again.

For each day, a mapped task reads the API again and compares with the object that ``capillary_daily_export`` has written. It writes nothing,
and reports what differs (XCom). The days that lack event logs are then exported again, each object replaced whole. A day without an object
is skipped.

The run fails where a day can't be verified, or can't be exported again. The other days are done before that.

**What it costs.** Each day is read once more, with as many requests as its export took; a day that lacks event logs is read twice more. The
days are read one after another: Capillary counts all tasks that use one key together.

A manual run can name other days: ``{"days": 30}``, or ``{"days": 2, "until": "2025-09-19T00:00:00Z"}`` for the 17th and the 18th.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
from airflow_provider_capillary.operators.verification import CapillaryEventLogsVerificationOperator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # Airflow 2
    from airflow.timetables.interval import CronDataIntervalTimetable

# One line away from object storage: "s3://my_aws_conn@my-bucket/capillary".
BASE = os.environ.get("CAPILLARY_EXPORTS", "file:///tmp/capillary-exports")
# As in the daily export. Where that has an event_name, statuses or redact, the task `export_again` needs the same.
DESTINATION = BASE + "/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz"

with DAG(
    dag_id="capillary_late_sweep",
    # In the morning, when the export of the day before has long ended.
    schedule=CronDataIntervalTimetable("0 6 * * *", timezone="UTC"),
    start_date=datetime(2025, 6, 1, tzinfo=UTC),
    catchup=False,
    # Two runs at once would write the same objects.
    max_active_runs=1,
    params={"days": 7, "until": ""},
    tags=["capillary"],
    doc_md=__doc__,
) as dag:

    @task
    def last_days(params: dict[str, Any], dag_run: Any) -> list[dict[str, str]]:  # noqa: ANN401  # of another class in each version
        """The days before the run, each as an interval."""
        from datetime import datetime, timedelta

        until = params["until"] or dag_run.data_interval_end or dag_run.run_after
        until = datetime.fromisoformat(until) if isinstance(until, str) else until
        midnight = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        ends = [midnight - timedelta(days=number) for number in range(params["days"])]
        return [{"start": (end - timedelta(days=1)).isoformat(), "end": end.isoformat()} for end in ends]

    @task(trigger_rule="all_done")
    def days_that_lack_event_logs(found: list[dict[str, Any]] | None) -> list[dict[str, str]]:
        """The intervals of the objects that lack event logs which the API shows; Airflow 2 gives ``None`` where all days were skipped."""
        return [{"start": each["start"], "end": each["end"]} for each in found or () if each["late_events"] or each["missing_events"]]

    @task(trigger_rule="none_failed")
    def sum_up(found: list[dict[str, Any]] | None) -> dict[str, int]:
        """How many event logs were late, missing, surplus or changed, over all days; fails with the tasks before it."""
        kinds = ("late_events", "missing_events", "surplus_events", "changed_events")
        return {kind: sum(each[kind] for each in found or ()) for kind in kinds}

    verify = CapillaryEventLogsVerificationOperator.partial(
        task_id="verify",
        destination=DESTINATION,
        on_difference="report",
        on_no_object="skip",
        max_active_tis_per_dagrun=1,
        retries=3,
    ).expand_kwargs(last_days())

    export_again = CapillaryEventLogsToObjectStorageOperator.partial(
        task_id="export_again",
        destination=DESTINATION,
        max_active_tis_per_dagrun=1,
        retries=3,
    ).expand_kwargs(days_that_lack_event_logs(verify.output))

    export_again >> sum_up(verify.output)
