"""The hints for a DAG whose runs have no interval, and exports by the local day over both changes of the clock: by Airflow's timetables."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable
from operators.support import daily, make_dag

from airflow_provider_capillary.errors import IntervalError
from airflow_provider_capillary.export.interval import resolve_interval
from airflow_provider_capillary.export.placeholders import fill_placeholders

DAY = timedelta(days=1)
CHANGES = [
    # a zone, and the local days on which its clocks go forward and back
    ("Europe/London", (2025, 3, 30), (2025, 10, 26)),
    ("America/New_York", (2025, 3, 9), (2025, 11, 2)),
    ("Australia/Sydney", (2025, 10, 5), (2025, 4, 6)),
    ("UTC", (2025, 3, 30), (2025, 10, 26)),
]


def runs(timetable, first, count):
    """The data intervals of the first scheduled runs from a moment on, by Airflow's own arithmetic."""
    last, intervals = None, []
    restriction = TimeRestriction(earliest=pendulum.instance(first), latest=None, catchup=True)
    for _ in range(count):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        last = info.data_interval
        intervals.append((last.start, last.end))
    return intervals


def around(zone, day, days=7):
    """Midnight of some days before a local day."""
    return datetime(*day, tzinfo=ZoneInfo(zone)) - timedelta(days=days // 2)


def resolved(start, end, **options):
    return resolve_interval({"data_interval_start": start, "data_interval_end": end}, **options)


@pytest.mark.parametrize("change", [1, 2])
@pytest.mark.parametrize("row", CHANGES, ids=lambda row: row[0])
def test_an_export_by_the_local_day_has_no_gap_and_a_path_for_each_day(row, change):
    zone, day = row[0], row[change]
    intervals = [resolved(*each) for each in runs(CronDataIntervalTimetable("0 0 * * *", timezone=zone), around(zone, day), 7)]
    paths = [fill_placeholders("/d/{interval_start:%Y-%m-%d}.jsonl", interval, zone) for interval in intervals]
    assert paths == [f"/d/{around(zone, day) + timedelta(days=number):%Y-%m-%d}.jsonl" for number in range(7)]
    for one, following in itertools.pairwise(intervals):
        assert one.end == following.start
    for interval, path in zip(intervals, paths, strict=True):
        midnight = datetime.fromisoformat(path[3:13]).replace(tzinfo=ZoneInfo(zone))
        assert (interval.start, interval.end) == (midnight.astimezone(UTC), (midnight + DAY).astimezone(UTC))
    hours = {(interval.end - interval.start) // timedelta(hours=1) for interval in intervals}
    assert hours == ({24} if zone == "UTC" else {24, 23 if change == 1 else 25})


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Sydney"])
def test_in_utc_two_local_days_can_have_one_path(zone):
    """Why ``path_timezone`` is to be the timetable's zone: what this shows is what the store's manifest then refuses."""
    day = next(row for row in CHANGES if row[0] == zone)
    paths = [
        [
            fill_placeholders("/d/{interval_start:%Y-%m-%d}.jsonl", resolved(*each), path_zone)
            for change in day[1:]
            for each in runs(CronDataIntervalTimetable("0 0 * * *", timezone=zone), around(zone, change), 7)
        ]
        for path_zone in ("UTC", zone)
    ]
    assert len(set(paths[1])) == 14
    assert (len(set(paths[0])) < 14) is (zone == "Europe/London")


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York"])
def test_an_hourly_export_names_both_hours_of_the_night_when_clocks_go_back(zone):
    day = next(row for row in CHANGES if row[0] == zone)[2]
    intervals = [resolved(*each) for each in runs(CronDataIntervalTimetable("0 * * * *", timezone=zone), around(zone, day, 1), 25)]
    for one, following in itertools.pairwise(intervals):
        assert one.end == following.start
    named = {pattern: {fill_placeholders(f"/{{interval_start:{pattern}}}", each, zone) for each in intervals} for pattern in PATTERNS}
    assert [len(names) for names in named.values()] == [24, 25, 25]


PATTERNS = ("%Y-%m-%dT%H", "%Y-%m-%dT%H%z", "%Y-%m-%dT%H-%Z")


def test_a_fixed_length_leaves_an_hour_of_the_long_day_out():
    """Why neither ``lookback`` nor ``CronTriggerTimetable(interval=...)`` is proposed: shown on Airflow's own classes."""
    zone, day = "Europe/London", (2025, 10, 26)
    fixed = runs(CronTriggerTimetable("0 0 * * *", timezone=zone, interval=DAY), around(zone, day), 7)
    gaps = [(one[1], following[0]) for one, following in itertools.pairwise(fixed) if one[1] != following[0]]
    assert gaps == [(datetime(2025, 10, 25, 23, tzinfo=UTC), datetime(2025, 10, 26, 0, tzinfo=UTC))]


EMPTY = [
    # the DAG's schedule, its start date's zone, and the schedule that the hint proposes
    ("0 0 * * *", "UTC", "CronDataIntervalTimetable('0 0 * * *', timezone='UTC')"),
    ("@daily", "Europe/London", "CronDataIntervalTimetable('0 0 * * *', timezone='Europe/London')"),
    ("30 4 * * 1", "America/New_York", "CronDataIntervalTimetable('30 4 * * 1', timezone='America/New_York')"),
    ("@hourly", "Asia/Kolkata", "CronDataIntervalTimetable('0 * * * *', timezone='Asia/Kolkata')"),
    (CronTriggerTimetable, "UTC", "CronDataIntervalTimetable('15 3 * * *', timezone='Asia/Kolkata')"),
    (timedelta(hours=6), "UTC", "DeltaDataIntervalTimetable(timedelta(hours=6))"),
]


def context_of(schedule, zone, **options):
    if schedule is CronTriggerTimetable:
        schedule = cron_trigger()("15 3 * * *", timezone="Asia/Kolkata")
    dag = make_dag(schedule=schedule, start_date=pendulum.datetime(2025, 1, 1, tz=zone))
    return {"dag": dag, **options}


def cron_trigger():
    try:
        from airflow.sdk import CronTriggerTimetable as OfThisLine
    except ImportError:
        from airflow.timetables.trigger import CronTriggerTimetable as OfThisLine
    return OfThisLine


def cure_of(context, **options):
    with pytest.raises(IntervalError) as caught:
        resolve_interval(context, **options)
    assert "datetime.timedelta" not in str(caught.value)
    return caught.value.hint


NOON = datetime(2025, 9, 18, 12, tzinfo=UTC)
AT_NOON = {"data_interval_start": NOON, "data_interval_end": NOON}


def proposed_by(hint):
    """The schedule of the hint, made: it is code, so it has to run."""
    names = {each.__name__: each for each in (CronDataIntervalTimetable, DeltaDataIntervalTimetable, timedelta)} | {"pendulum": pendulum}
    code = re.search(r"schedule=(\w+\((?:[^()]|\([^()]*\))*\))", hint)[1]
    return code, eval(code, names)  # noqa: S307  # the hint's own text


@pytest.mark.parametrize(("schedule", "zone", "expected"), EMPTY)
def test_the_cure_for_an_empty_interval_is_the_dag_s_own_schedule_with_intervals(schedule, zone, expected):
    context = context_of(schedule, zone, **AT_NOON)
    if "DataInterval" in type(context["dag"].timetable).__name__:
        pytest.skip("on Airflow 2 the runs of this schedule have intervals")
    hint = cure_of(context)
    code, timetable = proposed_by(hint)
    # Airflow 3.2 keeps the name of a preset as it is written.
    assert code.replace("@daily", "0 0 * * *").replace("@hourly", "0 * * * *") == expected
    assert "CronTriggerTimetable" not in hint
    assert "lookback" not in hint
    assert f"airflow backfill create --dag-id {context['dag'].dag_id} --from-date ... --to-date 2025-09-18T12:00:00Z" in hint
    assert f"airflow dags backfill -s ... -e ... {context['dag'].dag_id}" in hint
    # Every run of it ends when the DAG's own schedule fires, and begins when it fired before.
    if "Cron" in code:
        cron, tz = timetable.serialize()["expression"], timetable.serialize()["timezone"]
        for day in ((2025, 3, 30), (2025, 10, 26)):
            own = [end for _, end in runs(CronTriggerTimetable(cron, timezone=tz), around(zone, day), 30)]
            intervals = runs(timetable, own[0], 29)
            assert intervals == list(itertools.pairwise(own))


def test_a_zone_without_a_name_is_written_as_code():
    context = context_of("0 0 * * *", "UTC", **AT_NOON)
    context["dag"] = SimpleNamespace(
        dag_id="d",
        timezone=None,
        timetable=SimpleNamespace(expression="0 0 * * *", timezone=pendulum.timezone(19800)),
    )
    code, timetable = proposed_by(cure_of(context))
    assert code == "CronDataIntervalTimetable('0 0 * * *', timezone=pendulum.timezone(19800))"
    assert runs(timetable, NOON, 1)[0][0] == datetime(2025, 9, 18, 18, 30, tzinfo=UTC)


WITHOUT = [
    # a schedule that gives no interval at all, and the zone of its DAG
    (None, "Europe/London"),
    ("@once", "UTC"),
]


@pytest.mark.parametrize(("schedule", "zone"), WITHOUT)
def test_a_dag_without_a_schedule_is_not_told_of_one_of_its_own(schedule, zone):
    hint = cure_of(context_of(schedule, zone, **AT_NOON))
    assert "start=... and end=..." in hint
    assert "lookback=" in hint
    assert f"CronDataIntervalTimetable('0 0 * * *', timezone='{zone}')" in hint
    assert "dags trigger" not in hint


def test_a_run_without_a_date_is_told_how_to_get_one_where_that_gives_it_an_interval():
    run_after = {"dag_run": SimpleNamespace(run_after=datetime(2025, 9, 18, 6, 30, 15, 123, tzinfo=UTC))}
    dated = "airflow dags trigger {} --logical-date 2025-09-18T06:30:15Z"
    with_intervals = context_of(daily(), "UTC", **run_after)
    hint = cure_of(with_intervals)
    assert dated.format(with_intervals["dag"].dag_id) in hint
    assert "schedule=" not in hint
    with_empty_ones = context_of(CronTriggerTimetable, "UTC", **run_after)
    hint = cure_of(with_empty_ones)
    assert dated.format(with_empty_ones["dag"].dag_id) in hint
    assert "CronDataIntervalTimetable('15 3 * * *', timezone='Asia/Kolkata')" in hint
    without = context_of(None, "UTC", **run_after)
    hint = cure_of(without)
    assert "dags trigger" not in hint
    assert "start=... and end=..." in hint
    assert "lookback=..." in hint
    assert "lookback=..." in cure_of({})
