"""Real DAG runs of in-memory DAGs, on both Airflow lines, and what became of them."""

from __future__ import annotations

import inspect
import itertools
import os
from datetime import UTC, datetime, timedelta

_numbers = itertools.count()

DAY = datetime(2025, 9, 18, tzinfo=UTC)
"""A logical date of the tests: one documented record lies in the day before, one in it."""
ALL = {"start": "2025-06-27T00:00:00Z", "end": "2025-09-18T06:00:00Z"}
"""The interval that holds the ten documented records."""


def make_dag(*, schedule=None, **options):
    """A DAG of no schedule with an id of its own, unless told otherwise."""
    from airflow.providers.common.compat.sdk import DAG

    defaults = {"dag_id": f"capillary_test_{next(_numbers)}", "start_date": datetime(2025, 1, 1, tzinfo=UTC)}
    return DAG(schedule=schedule, **(defaults | options))


def export_task(destination, **options):
    """The operator with defaults for what a test does not care about."""
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

    return CapillaryEventLogsToObjectStorageOperator(
        **(
            {
                "task_id": "export",
                "destination": str(destination) if isinstance(destination, os.PathLike) else destination,
                "retry_delay": timedelta(),
            }
            | options
        )
    )


def verify_task(destination, **options):
    """The operator that verifies an object, with defaults as above."""
    from airflow_provider_capillary.operators.verification import CapillaryEventLogsVerificationOperator

    return CapillaryEventLogsVerificationOperator(**({"task_id": "verify", "destination": str(destination)} | options))


def daily(timezone="UTC"):
    """The timetable whose runs have an interval, on either line."""
    try:
        from airflow.sdk import CronDataIntervalTimetable
    except ImportError:
        from airflow.timetables.interval import CronDataIntervalTimetable
    return CronDataIntervalTimetable("0 0 * * *", timezone=timezone)


def run(dag, *, logical_date=None, undated=False, conf=None):
    """One run by ``dag.test()``, each task with its retries, each trigger inline.

    :param undated: without a logical date, as ``airflow dags trigger`` makes one on Airflow 3.
    """
    _register(dag)
    date_name = "logical_date" if "logical_date" in inspect.signature(dag.test).parameters else "execution_date"
    return dag.test(**({date_name: logical_date} if logical_date or undated else {}), run_conf=conf)


def _register(dag):
    """Tell the database of the DAG, which a DAG file's would be told of by the scheduler."""
    try:
        from airflow.models.dagbundle import DagBundleModel
    except ImportError:
        type(dag).bulk_write_to_db([dag])
        return
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    lazy, bulk_write_to_db = _as_sent(dag)
    with create_session() as session:
        session.merge(DagBundleModel(name="capillary-tests"))
        session.flush()
        bulk_write_to_db("capillary-tests", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="capillary-tests", session=session)


def _as_sent(dag):
    """The DAG as the process that parses DAG files sends it, and what takes note of it: in Airflow 3, somewhere else in each version."""
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    try:  # Airflow 3.2
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG
    if hasattr(SerializedDAG, "bulk_write_to_db") and hasattr(LazyDeserializedDAG, "from_dag"):
        return LazyDeserializedDAG.from_dag(dag), SerializedDAG.bulk_write_to_db
    from airflow.models.dag import DAG  # Airflow 3.0

    data = SerializedDAG.to_dict(dag)
    data["dag"].setdefault("relative_fileloc", None)
    return LazyDeserializedDAG(data=data), DAG.bulk_write_to_db  # noqa: AIR311  # as above


def instances(dag_run, task_id="export"):
    """The task instances of a run, by map index."""
    return sorted((ti for ti in dag_run.get_task_instances() if ti.task_id == task_id), key=lambda ti: ti.map_index)


def instance(dag_run, task_id="export"):
    (ti,) = instances(dag_run, task_id)
    return ti


def xcoms(dag_run):
    """Everything that the tasks of a run left in XCom: key to value; a key of several tasks is an error."""
    from airflow.utils.session import create_session

    try:
        from airflow.models.xcom import XComModel
    except ImportError:
        from airflow.models.xcom import XCom as XComModel
    with create_session() as session:
        rows = (
            session.query(XComModel.key, XComModel.task_id, XComModel.map_index)
            .filter_by(dag_id=dag_run.dag_id, run_id=dag_run.run_id)
            .all()
        )
    return {
        (task_id, map_index, key): dag_run.get_task_instance(task_id, map_index=map_index).xcom_pull(
            task_ids=task_id, map_indexes=map_index, key=key
        )
        for key, task_id, map_index in rows
    }


def receipt_of(dag_run, task_id="export"):
    """The receipt that the task returned."""
    return xcoms(dag_run)[task_id, -1, "return_value"]


def rendered_fields(dag_run, task_id="export", map_index=-1):
    """What Airflow shows of the task's templated arguments."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.utils.session import create_session

    with create_session() as session:
        row = session.query(RenderedTaskInstanceFields).filter_by(
            dag_id=dag_run.dag_id, run_id=dag_run.run_id, task_id=task_id, map_index=map_index
        )
        return row.one().rendered_fields


def fails(dag_run, logged, *, tries, saying):
    """The task failed on this try, and its log says all of this."""
    assert dag_run.state == "failed"
    assert instance(dag_run).try_number == tries
    out = logged()
    for each in saying:
        assert each in out


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
