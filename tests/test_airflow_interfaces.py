"""One test for each new, private or changing interface of Airflow that this package uses; its message says what broke.

All of them run against the installed Airflow. Each also states what the package does where the interface is absent.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import sys
from datetime import UTC, datetime, timedelta

import pytest
from operators.support import daily, instance, make_dag, run

from airflow_provider_capillary import _airflow
from airflow_provider_capillary.sensors._state import with_state_asset
from airflow_provider_capillary.triggers.capillary import CapillaryEventWatchTrigger

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
SINCE_33 = AIRFLOW >= (3, 3)
only_since_33 = pytest.mark.skipif(not SINCE_33, reason="the interface came with Airflow 3.3")
DAY = datetime(2026, 2, 18, tzinfo=UTC)


def run_task(work, *, days=0, dag_id="interfaces", **options):
    """Run a function in a real task, with the task's context; return the DAG run."""
    from airflow.providers.common.compat.sdk import BaseOperator

    class Task(BaseOperator):
        def execute(self, context):
            return work(context)

    with make_dag(dag_id=dag_id) as dag:
        Task(task_id="task", retry_delay=timedelta(), **options)
    return run(dag, logical_date=DAY + timedelta(days=days))


def test_only_airflow_from_3_3_on_asks_a_retry_policy():
    from airflow.providers.common.compat.sdk import BaseOperator

    has_policies = _airflow.has_retry_policies(BaseOperator(task_id="task"))
    assert has_policies == SINCE_33, "Operators have no `retry_policy`, so what no retry helps no longer fails at once."


@pytest.mark.skipif(AIRFLOW < (3, 1), reason="Airflow before 3.1 always asks the database")
def test_a_command_is_told_to_ask_the_database():
    """What it does then: ``readme/test_blocks.py``, with the command line."""
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    def backends():
        return {type(backend).__name__ for backend in ensure_secrets_backend_loaded()}

    outside = backends()
    assert "MetastoreBackend" not in outside, "Airflow asks the database without being told; `database_is_asked` can go."
    with _airflow.database_is_asked():
        assert "MetastoreBackend" in backends(), "Commands no longer find connections that are stored in Airflow's database."
    assert backends() == outside


@only_since_33
def test_airflow_asks_the_retry_policy(airflow_db):
    from airflow_provider_capillary.errors import AuthenticationError
    from airflow_provider_capillary.retry_policy import CapillaryRetryPolicy

    def fail(_context):
        raise AuthenticationError("no")

    dag_run = run_task(fail, dag_id="asks_policy", retries=2, retry_policy=CapillaryRetryPolicy())
    assert instance(dag_run, "task").try_number == 1, "Airflow no longer asks `retry_policy`, so it retries what no retry helps."


def test_a_task_has_a_state_store_that_outlives_a_try(airflow_db):
    found = []

    def work(context):
        store = _airflow.task_state_store(context)
        found.append(store and store.get("key"))
        if store and not found[-1]:
            store.set("key", "from the first try")
            raise RuntimeError("try again")
        if store:
            store.delete("key")
            found.append(store.get("key"))

    run_task(work, dag_id="task_state", retries=1)
    expected = [None, "from the first try", None] if SINCE_33 else [None]
    assert found == expected, "`task_state_store` does not outlive a try, so timeouts and reschedule pokes start again at each try."


def test_a_task_reads_and_writes_the_state_of_an_inlet(airflow_db):
    assert _airflow.has_asset_state() == SINCE_33, "Airflow's Context names no `asset_state_store`, so reports are kept in XCom only."
    found = []

    def work(context):
        for asset in with_state_asset(None) or [None]:
            store = _airflow.asset_state_store(context, asset)
            found.append(store and store.get("key"))
            if store:
                store.set("key", [{"run": len(found)}])

    for days in (0, 1):
        run_task(work, days=days, dag_id="asset_state", inlets=with_state_asset(None))
    expected = [None, [{"run": 1}]] if SINCE_33 else [None, None]
    assert found == expected, "The state of an inlet does not outlive a run, so reports are lost when XComs are cleaned."


@only_since_33
def test_the_asset_of_reports_is_what_airflow_makes_of_its_uri_and_costs_no_search_through_providers(monkeypatch):
    from airflow.sdk import Asset
    from airflow.sdk.definitions import asset as module

    from airflow_provider_capillary.sensors._state import ASSET_NAME

    as_airflow_makes_it = Asset(name=ASSET_NAME, uri="capillary://event-status-sensor")
    monkeypatch.setattr(module, "_get_uri_normalizer", lambda scheme: pytest.fail(f"Airflow looks for who normalizes {scheme}: URIs"))
    ours = _airflow.asset_without_providers(ASSET_NAME, "capillary://event-status-sensor/")
    assert ours == as_airflow_makes_it, "Airflow stores the URI in another form: reports would be kept under another asset."
    assert [ours] == with_state_asset(None)


@only_since_33
def test_an_asset_that_is_no_inlet_has_no_store(airflow_db):
    from airflow.sdk import Asset

    found = []
    run_task(lambda context: found.append(_airflow.asset_state_store(context, Asset("another"))), dag_id="no_inlet", inlets=[Asset("own")])
    assert found == [None], "Airflow no longer raises KeyError for an asset that is no inlet, so a sensor without the asset fails."


def test_the_latest_xcom_of_earlier_runs_is_one_value(airflow_db):
    found = []

    def work(context):
        found.append(_airflow.latest_xcom(context["ti"], "key"))
        context["ti"].xcom_push(key="key", value=f"of run {len(found)}")

    for days in range(3):
        run_task(work, days=days, dag_id="prior_dates")
    expected = [None, "of run 1", "of run 2"]
    assert found == expected, "`include_prior_dates` no longer returns the latest earlier value, so a run reports what was reported."


def test_the_first_try_is_told_by_max_tries(airflow_db):
    from airflow.utils.session import create_session

    retries, found = 2, []

    def work(context):
        found.append((context["ti"].try_number, _airflow.first_try_number(context["ti"], retries)))
        raise RuntimeError("try again")

    ti = instance(run_task(work, dag_id="max_tries", retries=retries), "task")
    assert found == [(1, 1), (2, 1), (3, 1)], "`max_tries` is no longer the first try plus retries, so a deferral's timeout is wrong."
    from airflow.models.taskinstance import TaskInstance, clear_task_instances

    with create_session() as session:
        rows = session.query(TaskInstance).filter_by(dag_id=ti.dag_id, task_id="task").all()
        for row in rows:
            row.task = None
        options = {"dag": None} if "dag" in inspect.signature(clear_task_instances).parameters else {}
        clear_task_instances(rows, session, **options)
        (row,) = rows
        first = _airflow.first_try_number(row, row.max_tries - row.try_number)
    assert first == 4, "Clearing a task no longer raises `max_tries` from its last try on, so a cleared sensor times out at once."


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 looks the time of the first poke up in the database")
def test_a_rescheduled_sensor_gets_the_time_of_its_first_poke(airflow_db):
    from airflow.providers.common.compat.sdk import BaseSensorOperator

    as_passed_on, dates = [], []

    class Sensor(BaseSensorOperator):
        def poke(self, context):
            as_passed_on.append(context["ti"].get_first_reschedule_date(context))
            _airflow.parse_first_reschedule_date(context["ti"])
            dates.append(context["ti"].get_first_reschedule_date(context))
            return len(dates) == 2

    with make_dag(dag_id="rescheduled") as dag:
        Sensor(task_id="task", mode="reschedule", poke_interval=0)
    assert run(dag).state == "success"
    assert dates[0] is None
    since_then = datetime.now(UTC) - dates[1]
    assert timedelta() < since_then < timedelta(minutes=5), "A sensor in mode reschedule no longer knows when it first ran."
    if AIRFLOW >= (3, 1):
        assert as_passed_on == dates, "Airflow passes on text again, as 3.0 does: rescheduled sensors fail in `dag.test()`."
    else:
        assert isinstance(as_passed_on[1], str), "Airflow 3.0 passes on a datetime: `parse_first_reschedule_date` can go."


def deferred(dag_id):
    """A task instance that waits for a trigger in the database, and the trigger's id."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    ti = instance(run_task(lambda _context: None, dag_id=dag_id), "task")
    with create_session() as session:
        trigger = Trigger(classpath="a.B", kwargs={})
        session.add(trigger)
        session.flush()
        row = session.merge(ti)
        row.state, row.trigger_id = "deferred", trigger.id
        row.trigger_timeout = datetime.now(UTC) - timedelta(minutes=1)
        return row.dag_id, trigger.id


def resumed(dag_id):
    """What a sensor raises when Airflow resumes that task, with all that Airflow passes on."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.providers.common.compat.sdk import BaseSensorOperator
    from airflow.utils.session import create_session

    with create_session() as session:
        (row,) = session.query(TaskInstance).filter_by(dag_id=dag_id, task_id="task").all()
        method, kwargs = row.next_method, row.next_kwargs
        row.state = "failed"
    if not isinstance(kwargs.get("error"), str):  # Airflow 3 stores it serialized
        from airflow.sdk.serde import deserialize

        kwargs = deserialize(kwargs)
    with pytest.raises(Exception, match=r".") as caught:
        BaseSensorOperator(task_id="task").resume_execution(method, kwargs, {})
    return caught.value, method, kwargs


def test_the_scheduler_s_timeout_of_a_deferral_is_told_from_other_failures(airflow_db):
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    dag_id, _ = deferred("timed_out")
    runner = SchedulerJobRunner(job=Job())
    runner.check_trigger_timeouts()
    assert _airflow.is_deferral_timeout(*resumed(dag_id)), "A timeout in the triggerer is no longer recognized, so the sensor is retried."


def test_a_trigger_that_failed_is_told_from_a_timeout(airflow_db):
    from airflow.models.trigger import Trigger

    for error in (RuntimeError("no"), None):
        dag_id, trigger_id = deferred(f"trigger_failed_{error is None}")
        Trigger.submit_failure(trigger_id, exc=error)
        ended = resumed(dag_id)
        assert type(ended[0]).__name__ == "TaskDeferralError"
        assert not _airflow.is_deferral_timeout(*ended), "A trigger's failure is taken for a timeout, so the sensor is not retried."


def test_shared_streams():
    assert _airflow.has_shared_streams() == SINCE_33, "Triggers have no shared streams, so asset watchers can't be used."
    assert (_airflow.SharedStreamProducer is object) == (not SINCE_33), "The producer's base class moved, so watchers get no events."
    with pytest.raises(AttributeError):
        _ = _airflow.another_name


@only_since_33
def test_a_producer_of_shared_streams_is_told_what_was_stored():
    from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

    from airflow_provider_capillary.triggers._asset_watch import AssetEventProducer

    abstract = getattr(_airflow.SharedStreamProducer, "__abstractmethods__", ())
    assert {"open_stream", "advance"} >= set(abstract), f"A producer has to define more: {set(abstract)}."
    for method in ("open_stream", "advance", "get_advance_lane"):
        theirs = list(inspect.signature(getattr(_airflow.SharedStreamProducer, method)).parameters)
        ours = list(inspect.signature(getattr(AssetEventProducer, method)).parameters)
        assert ours == theirs, f"Airflow calls a producer's `{method}` with other arguments, so no event is acknowledged."
    has_fields = {"broker_payload", "outcome"} <= set(AdvanceItem._fields) and hasattr(AdvanceOutcome, "is_clean")
    assert has_fields, "An `AdvanceItem` no longer says whether its event was stored, so watchers report it again and again."


@only_since_33
def test_the_stores_of_all_watched_assets_are_found():
    from airflow.sdk import Asset
    from airflow.sdk.definitions.asset import AssetUriRef
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor, AssetStateStoreAccessors

    stores = AssetStateStoreAccessors(inlets=[Asset("one"), Asset("two"), AssetUriRef("capillary://three")])
    found = _airflow.stores_of_watched_assets(stores, None)
    expected = [AssetStateStoreAccessor(name="one"), AssetStateStoreAccessor(name="two"), AssetStateStoreAccessor(uri="capillary://three")]
    assert found == expected, "The private `_by_name` and `_by_uri` changed, so a trigger of several assets saves no progress."
    found = _airflow.stores_of_watched_assets(stores, "four")
    assert found == [AssetStateStoreAccessor(name="four")], "An asset's store can't be made from its name, so `asset_name` has no effect."
    assert _airflow.stores_of_watched_assets(None, None) == [], "A trigger without an asset has a store."
    has_store = hasattr(CapillaryEventWatchTrigger(), "asset_state_store")
    assert has_store, "Airflow gives a trigger no `asset_state_store`, so watchers save no progress."


class OldStore(dict):
    """What Airflow 3.3.0 and 3.3.1 give a trigger: no method for an event loop."""

    def set(self, key, value):
        self[key] = value


def test_a_store_without_methods_for_an_event_loop_is_used_in_a_thread():
    async def use():
        store = OldStore()
        await _airflow.write_asset_state(store, "key", "value")
        return await _airflow.read_asset_state(store, "key")

    assert asyncio.run(use()) == "value", "A store with `get` and `set` only can't be used from a trigger, so 3.3.0 saves no progress."


@only_since_33
def test_a_store_is_used_by_key_and_value():
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

    for read, write in (("aget", "aset"), ("get", "set")):
        if not hasattr(AssetStateStoreAccessor, read):  # 3.3.0 and 3.3.1 have no `aget`
            continue
        inspect.signature(getattr(AssetStateStoreAccessor, read)).bind(None, "key")
        inspect.signature(getattr(AssetStateStoreAccessor, write)).bind(None, "key", "value")
        is_async = inspect.iscoroutinefunction(getattr(AssetStateStoreAccessor, write))
        assert is_async == (write == "aset"), f"`{write}` of an asset's store changed, so watchers save no progress."


def test_airflow_tells_which_filesystems_are_installed():
    assert _airflow.has_filesystem("s3"), "Airflow's has_fs does not know s3: every export to S3 fails with advice to install what is there"
    assert not _airflow.has_filesystem("nosuch"), "Airflow's has_fs knows everything: a misspelt scheme is not refused while parsing"


def test_a_path_tells_its_connection():
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    assert _airflow.connection_id_of(ObjectStoragePath("file://my_conn@/d/x.jsonl")) == "my_conn", (
        "ObjectStoragePath keeps its connection id elsewhere: a missing connection is replaced by the worker's own credentials"
    )
    assert _airflow.connection_id_of(ObjectStoragePath("file:///d/x.jsonl")) is None


def test_a_path_is_rebuilt_with_another_text_and_its_connection():
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    filled = _airflow.with_path(ObjectStoragePath("file://my_conn@/d/{x}.jsonl"), str(ObjectStoragePath("file://my_conn@/d/1.jsonl")))
    assert (type(filled), str(filled)) == (ObjectStoragePath, str(ObjectStoragePath("file://my_conn@/d/1.jsonl"))), (
        "ObjectStoragePath serializes in another way: placeholders in a path object are not filled in"
    )
    assert _airflow.connection_id_of(filled) == "my_conn", "a path with placeholders loses its connection"


@pytest.mark.parametrize("sent_before", [False, True])
def test_airflow_s_metrics_client_is_set_up_and_takes_tags(monkeypatch, sent_before):
    """As in the process that runs triggers, before and after somebody has sent a metric that was dropped."""
    from airflow.providers.common.compat.sdk import Stats

    if AIRFLOW >= (3, 2):
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        owner, names = (sys.modules[Stats.__module__], ("_factory", "_backend")) if SINCE_33 else (Stats, ("factory", "instance"))
        for name in names:
            monkeypatch.setattr(owner, name, None)
        if sent_before:
            Stats.incr("sent.before")
    stats = _airflow.airflow_stats()
    stats.incr("capillary.requests", 1.5, tags={"conn_id": "a"})
    if AIRFLOW >= (3, 2):
        assert getattr(owner, names[0]).__name__ == "get_statsd_logger", (
            "Nobody sets up the metrics of Airflow's SDK in the triggerer, so they are dropped in silence."
        )


def test_an_alias_takes_an_event_with_a_dict(airflow_db):
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    alias = AssetAlias("interfaces_alias")

    def work(context):
        extra = {"statuses": {"EVENT_SUCCESS": 1}, "events": 1}
        _airflow.add_alias_event(context["outlet_events"][alias], Asset("capillary://interfaces/alias"), extra)

    dag_run = run_task(work, dag_id="alias_event", outlets=[alias])
    assert dag_run.state == "success", "Airflow refuses the event of an alias, so each export with an alias among its outlets fails."


def timetables():
    """A timetable, settings that it has, its zone, and whether its runs have a data interval."""
    try:
        from airflow.sdk import CronTriggerTimetable, DeltaDataIntervalTimetable
    except ImportError:
        from airflow.timetables.interval import DeltaDataIntervalTimetable
        from airflow.timetables.trigger import CronTriggerTimetable
    return [
        (CronTriggerTimetable("0 3 * * *", timezone="Europe/London"), {"expression": "0 3 * * *"}, "Europe/London", False),
        (CronTriggerTimetable("0 3 * * *", timezone="UTC", interval=timedelta(days=1)), {"interval": timedelta(days=1)}, "UTC", True),
        (DeltaDataIntervalTimetable(timedelta(hours=6)), {"delta": timedelta(hours=6)}, None, True),
        (daily("Europe/London"), {"expression": "0 0 * * *"}, "Europe/London", True),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_timetable_tells_what_it_was_made_with(number):
    timetable, expected, zone, with_intervals = timetables()[number]
    settings = _airflow.timetable_settings(timetable)
    assert expected.items() <= settings.items(), (
        "timetables keep their settings elsewhere: the error of a run without an interval does not show the DAG's own schedule"
    )
    shown = settings.get("timezone")
    assert getattr(shown, "name", shown) == zone, "timetables keep their zone elsewhere: the error shows the schedule with a wrong zone"
    assert _airflow.has_data_intervals(timetable) == with_intervals, (
        "timetables with data intervals have other names: the error proposes a schedule that the DAG has already, or does not propose one"
    )
