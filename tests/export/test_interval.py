"""Every form of a run's context, on both major versions of Airflow, and the interval or the error that follows from it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_provider_capillary.errors import IntervalError
from airflow_provider_capillary.export.interval import Interval, resolve_interval
from airflow_provider_capillary.export.schedule import as_written

DAY = timedelta(days=1)
INDIA = timezone(timedelta(hours=5, minutes=30))
SEP_17, SEP_18, SEP_19 = (datetime(2025, 9, day, tzinfo=UTC) for day in (17, 18, 19))
NOON = datetime(2025, 9, 18, 12, tzinfo=UTC)


def run(*, run_after=NOON, **context):
    return {"dag_run": SimpleNamespace(run_after=run_after), **context}


def run_on_airflow_3_2(key):
    return {"dag_run": SimpleNamespace(run_after=NOON, partition_key=key)}


# On Airflow 3 the keys of the data interval are absent, not None, where a run has no logical date.
BY_HAND = run(partition_key=None, partition_date=None)
PARTITIONED = run(partition_key="2025-09-18", partition_date=SEP_18)
EMPTY = run(data_interval_start=SEP_18, data_interval_end=SEP_18, partition_date=None)
FULL = run(data_interval_start=SEP_17, data_interval_end=SEP_18, partition_date=None)
AIRFLOW_2_BY_HAND = {"dag_run": SimpleNamespace(), "data_interval_start": SEP_18, "data_interval_end": SEP_18}

EXPLICIT = "start and end of the task"

# Each row: a context, the arguments, start and end of the interval, and words of its source; or None, None and words of the error.
RESOLVED = [
    pytest.param(FULL, {"start": NOON, "end": SEP_19}, NOON, SEP_19, EXPLICIT, id="explicit before everything"),
    pytest.param(
        PARTITIONED, {"start": NOON, "end": SEP_19, "partition_duration": DAY}, NOON, SEP_19, EXPLICIT, id="explicit before partition"
    ),
    pytest.param({}, {"start": "2025-09-18T00:00:00Z", "end": "2025-09-19T00:00:00Z"}, SEP_18, SEP_19, EXPLICIT, id="iso with Z"),
    pytest.param({}, {"start": "2025-09-18 00:00:00+00:00", "end": " 2025-09-19T00:00+00 "}, SEP_18, SEP_19, EXPLICIT, id="as rendered"),
    pytest.param({}, {"start": "20250918", "end": ""}, None, None, "`start` is given and `end` is not", id="only start"),
    pytest.param(FULL, {"start": None, "end": SEP_19}, None, None, "`end` is given and `start` is not", id="only end"),
    pytest.param(FULL, {"start": "", "end": SEP_19, "lookback": DAY}, None, None, "give `start` as well", id="only end and lookback"),
    pytest.param({}, {"start": datetime(2025, 9, 18, 5, 30, tzinfo=INDIA), "end": SEP_19}, SEP_18, SEP_19, EXPLICIT, id="another zone"),
    pytest.param(FULL, {"start": "", "end": "  "}, SEP_17, SEP_18, "the run's data interval", id="empty text is left out"),
    pytest.param(PARTITIONED, {"partition_duration": DAY}, SEP_18, SEP_19, "partition date", id="partition"),
    pytest.param(
        PARTITIONED, {"partition_duration": DAY, "lookback": DAY / 2}, SEP_18, SEP_19, "partition date", id="partition before lookback"
    ),
    pytest.param(
        {**FULL, "partition_date": SEP_18},
        {"partition_duration": DAY},
        SEP_18,
        SEP_19,
        "partition date",
        id="partition before data interval",
    ),
    pytest.param({**FULL, "partition_date": SEP_18}, {}, SEP_17, SEP_18, "the run's data interval", id="data interval of a partition"),
    pytest.param(PARTITIONED, {}, None, None, "partition_duration=timedelta(days=1)", id="partition without duration"),
    pytest.param(
        PARTITIONED, {"lookback": DAY}, None, None, "partition of 2025-09-18T00:00:00Z", id="lookback does not stand in for a duration"
    ),
    pytest.param(
        run_on_airflow_3_2("2025-09-18"),
        {"partition_duration": DAY, "lookback": DAY},
        None,
        None,
        "the partition '2025-09-18', and Airflow gives the task no date",
        id="partition on Airflow 3.2",
    ),
    pytest.param(
        run_on_airflow_3_2("2025-09-18"), {"start": NOON, "end": SEP_19}, NOON, SEP_19, EXPLICIT, id="explicit partition on Airflow 3.2"
    ),
    pytest.param(run_on_airflow_3_2(None), {"lookback": DAY}, NOON - DAY, NOON, "before the run's run_after", id="by hand on Airflow 3.2"),
    pytest.param(FULL, {}, SEP_17, SEP_18, "the run's data interval", id="data interval"),
    pytest.param(FULL, {"lookback": DAY * 7}, SEP_17, SEP_18, "the run's data interval", id="data interval before lookback"),
    pytest.param(FULL, {"partition_duration": DAY * 7}, SEP_17, SEP_18, "the run's data interval", id="duration without a partition"),
    pytest.param(
        EMPTY, {"lookback": DAY}, SEP_17, SEP_18, "before the end of the run's data interval", id="lookback from an empty interval"
    ),
    pytest.param(
        AIRFLOW_2_BY_HAND, {"lookback": DAY}, SEP_17, SEP_18, "before the end of the run's data interval", id="lookback on Airflow 2"
    ),
    pytest.param(BY_HAND, {"lookback": DAY}, NOON - DAY, NOON, "before the run's run_after", id="lookback from run_after"),
    pytest.param(
        run(data_interval_start=None, data_interval_end=None),
        {"lookback": DAY},
        NOON - DAY,
        NOON,
        "before the run's run_after",
        id="None as absent",
    ),
    pytest.param(EMPTY, {}, None, None, "The run's data interval is empty", id="empty interval"),
    pytest.param(AIRFLOW_2_BY_HAND, {}, None, None, "The run's data interval is empty", id="empty interval on Airflow 2"),
    pytest.param(BY_HAND, {}, None, None, "The run has no data interval", id="no interval"),
    pytest.param({}, {}, None, None, "The run has no data interval", id="no context at all"),
    pytest.param({}, {"lookback": DAY}, None, None, "The run has no data interval", id="nothing to look back from"),
    pytest.param(BY_HAND, {"partition_duration": DAY}, None, None, "The run has no data interval", id="duration and no partition"),
    pytest.param({}, {"start": SEP_18, "end": SEP_18}, None, None, "the interval is empty", id="start is end"),
    pytest.param(
        {}, {"start": SEP_19, "end": SEP_18}, None, None, "`start` is 2025-09-19T00:00:00Z and `end` is 2025-09-18", id="wrong way round"
    ),
    pytest.param(
        {},
        {"start": SEP_18 + DAY / 86_400_000_000, "end": SEP_18 + DAY / 86_400_000},
        None,
        None,
        "the interval is empty",
        id="within a millisecond",
    ),
    pytest.param({}, {"start": datetime(2025, 9, 18), "end": SEP_19}, None, None, "`start` is 2025-09-18T00:00:00", id="naive"),  # noqa: DTZ001
    pytest.param({}, {"start": SEP_18, "end": "2025-09-19T00:00:00"}, None, None, "`end` is '2025-09-19T00:00:00'", id="naive text"),
    pytest.param({}, {"start": date(2025, 9, 18), "end": SEP_19}, None, None, "`start` is 2025-09-18 (of type date)", id="date"),
    pytest.param({}, {"start": SEP_18, "end": "2025-09-19"}, None, None, "a date without a time of day", id="date as text"),
    pytest.param({}, {"start": "None", "end": SEP_19}, None, None, "or ''", id="a template of nothing"),
    pytest.param({}, {"start": SEP_18, "end": 1758240000000}, None, None, "`end` is 1758240000000 (of type int)", id="a number"),
    pytest.param(BY_HAND, {"lookback": DAY * 10**6}, None, None, "`lookback` is", id="lookback before the calendar"),
]


@pytest.mark.parametrize(("context", "arguments", "start", "end", "words"), RESOLVED)
def test_a_run_has_this_interval_or_this_error(context, arguments, start, end, words):
    if start is None:
        with pytest.raises(IntervalError) as caught:
            resolve_interval(context, **arguments)
        assert words in str(caught.value)
        assert caught.value.hint
        return
    interval = resolve_interval(context, **arguments)
    assert (interval.start, interval.end) == (start, end)
    assert (type(interval.start), interval.start.tzinfo) == (datetime, UTC)
    assert (type(interval.end), interval.end.tzinfo) == (datetime, UTC)
    assert words in interval.source


def test_a_length_is_written_as_in_a_dag_in_a_cure_and_in_words_elsewhere():
    for written in ("timedelta(days=1)", "timedelta(hours=1, minutes=30)", "timedelta(days=-1)", "timedelta(0)", "timedelta(seconds=3)"):
        assert as_written(eval(written)) == written.replace("timedelta(days=-1)", "-timedelta(days=1)")  # noqa: S307  # the rows above
    assert as_written(timedelta(days=1, microseconds=5)) == "timedelta(days=1, microseconds=5)"
    interval = resolve_interval(BY_HAND, lookback=timedelta(days=1, hours=12))
    assert interval.source == "1 day 12 hours before the run's run_after"


def test_pendulum_s_datetimes_across_a_change_of_clocks_are_exact():
    import pendulum

    start = pendulum.datetime(2025, 10, 26, tz="Europe/Berlin")
    interval = resolve_interval({"data_interval_start": start, "data_interval_end": start.add(days=1)})
    assert interval == Interval(
        start=datetime(2025, 10, 25, 22, tzinfo=UTC), end=datetime(2025, 10, 26, 23, tzinfo=UTC), source="the run's data interval"
    )
    assert type(interval.start) is datetime
    assert interval.end - interval.start == timedelta(hours=25)


def test_an_interval_tells_itself_to_the_log():
    interval = Interval(start=SEP_17, end=NOON + timedelta(milliseconds=1), source="start and end of the task")
    assert str(interval) == "[2025-09-17T00:00:00Z, 2025-09-18T12:00:00.001000Z), start and end of the task"
