"""What a sensor keeps: which reports count as earlier, how many are kept, what happens where saving fails, and where a first run starts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.polling.filters import EventFilter
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.sensors import _state
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor

T0 = 1_758_171_600_000


class State(dict):
    """The state of one asset."""

    is_down = False

    def get(self, key, default=None):
        return json.loads(super().get(key)) if key in self else default

    def set(self, key, value):
        if self.is_down:
            raise RuntimeError("server123")
        self[key] = json.dumps(value)


@pytest.fixture
def context(monkeypatch):
    """The context of a run at an hour: with a logical date or only a time from which it could run, and with one asset's state."""
    monkeypatch.setattr(_state, "_state_asset", lambda: "the asset")
    state = State()

    def make(hour, *, dated=True, map_index=-1, run_id=None, xcoms=None):
        moment = datetime.fromtimestamp(T0 / 1000, UTC) + timedelta(hours=hour)
        pull = (xcoms or {}).get
        return {
            "ti": SimpleNamespace(
                dag_id="d", task_id="t", map_index=map_index, xcom_pull=lambda *, key, **_: pull(key), xcom_push=lambda **_: None
            ),
            "dag_run": SimpleNamespace(
                run_id=run_id or f"run {hour}", logical_date=moment if dated else None, run_after=moment + timedelta(minutes=dated)
            ),
            "logical_date": moment if dated else None,
            "asset_state_store": {"the asset": state},
        }

    make.state = state
    return make


def watermark(minute, *names):
    timestamp = T0 + minute * 60_000
    return Watermark(not_before=T0, seen_until=timestamp, reported=dict.fromkeys(names, timestamp - 1))


# Each row: the hours of the runs that have reported, in this order; the hour of another run; the hour of the latest report that it knows.
EARLIER = {
    "the first": ([], 1, None),
    "the next": ([1], 2, 1),
    "one after many": ([1, 2, 3], 4, 3),
    "one that is cleared": ([1, 2, 3], 2, 1),
    "the first, cleared": ([1, 2], 1, None),
    "after one that was cleared": ([1, 2, 3, 1], 4, 3),
    "between two": ([1, 3], 2, 1),
    "after more than are kept": (list(range(1, 15)), 20, 14),
    "cleared, of longer ago than is kept": (list(range(1, 15)), 3, None),
}


@pytest.mark.parametrize("name", EARLIER)
def test_which_reports_count_as_earlier(context, name):
    hours, own, expected = EARLIER[name]
    for hour in hours:
        _state.save_watermark(context(hour), watermark(60 * hour))
    found = _state.load_watermark(context(own))
    assert (found and (found.seen_until - T0) / 3_600_000) == expected


def test_runs_with_a_date_and_without_one_are_in_one_order(context):
    _state.save_watermark(context(1), watermark(60))
    _state.save_watermark(context(2, dated=False), watermark(120))
    assert _state.load_watermark(context(3)).seen_until == watermark(120).seen_until
    assert _state.load_watermark(context(3, dated=False)).seen_until == watermark(120).seen_until
    assert _state.load_watermark(context(2, run_id="another")).seen_until == watermark(120).seen_until


def test_reports_of_runs_side_by_side_and_of_xcom_are_joined(context):
    _state.save_watermark(context(1), watermark(60, "a"))
    _state.save_watermark(context(2), watermark(61, "b"))
    xcoms = {_state.KEY_SCHEDULED: watermark(62, "c").to_json(), _state.KEY_UNDATED: watermark(63, "d").to_json()}
    found = _state.load_watermark(context(3, xcoms=xcoms))
    assert (sorted(found.reported), found.seen_until) == (["a", "b", "c", "d"], watermark(63).seen_until)


def test_what_xcom_alone_holds_is_read_whichever_kind_of_run_has_left_it(context):
    """Before Airflow 3.3, and what an earlier version of this package left."""
    for dated, undated in ((60, 61), (61, 60)):
        xcoms = {_state.KEY_SCHEDULED: watermark(dated, "a").to_json(), _state.KEY_UNDATED: watermark(undated, "b").to_json()}
        found = _state.load_watermark(context(3, xcoms=xcoms) | {"asset_state_store": None})
        assert (sorted(found.reported), found.seen_until) == (["a", "b"], watermark(61).seen_until)


def test_what_the_first_version_stored_is_read(context):
    """Written out, without ``lateness``: the XCom, the asset's state and the progress of a run."""
    report = {"floor": T0, "watermark": T0 + 60_000, "reported": {"abc": T0 + 59_999}}
    xcoms = {"capillary_reported": json.dumps(report)}
    context.state.set("d/t/-1", [{"run_id": "run 1", "moment": T0 + 3_600_000, "memory": report | {"reported": {"def": T0 + 59_998}}}])
    found = _state.load_watermark(context(3, xcoms=xcoms))
    assert (sorted(found.reported), found.seen_until, found.lateness) == (["abc", "def"], T0 + 60_000, 300_000)
    empty = {"count": 0, "statuses": {}, "event_names": {}, "newest": [], "first": None, "last": None}
    progress = {"wanted": {"statuses": None, "event_name": None}, "memory": report, "since": T0, "found": empty}
    fresh = PollState.begin(EventFilter(), Watermark.starting_at(T0))
    loaded = _state.load_progress({"task_state_store": {"capillary_progress": json.dumps(progress)}}, fresh)
    assert loaded.watermark.seen_until == T0 + 60_000


def test_each_mapped_task_has_its_own(context):
    _state.save_watermark(context(1, map_index=0), watermark(60))
    assert _state.load_watermark(context(2, map_index=1)) is None
    assert _state.load_watermark(context(2, map_index=0)) is not None


def test_few_large_reports_are_kept(context):
    names = [f"{number:012}" for number in range(2000)]
    for hour in range(1, 6):
        _state.save_watermark(context(hour), watermark(60 * hour, *names))
    (note,) = context.state.values()
    assert [report["run_id"] for report in json.loads(note)] == ["run 4", "run 5"]


def test_a_state_that_can_not_be_written_is_a_warning(context, caplog):
    context.state.is_down = True
    _state.save_watermark(context(1), watermark(60))
    assert "RuntimeError" in caplog.text
    assert "server123" not in caplog.text


@pytest.mark.parametrize("note", [5, {}, ["x"], [{"run_id": "r"}], [{"run_id": "r", "moment": 1.5}], [{"run_id": "r", "moment": 1}]])
def test_reports_that_this_package_did_not_write_are_an_error(context, note):
    context.state.set("d/t/-1", note)
    with pytest.raises(CapillaryError, match="unreadable"):
        _state.load_watermark(context(1))


def test_a_task_without_the_asset_uses_xcom_only(context):
    taken = context(1) | {"asset_state_store": {}}
    _state.save_watermark(taken, watermark(60))
    assert _state.load_watermark(taken) is None


# Each row: a run's data interval in hours, and the hour at which the run starts without an earlier report; it could run from hour 5 on.
BEGINNINGS = {
    "an interval": ((1, 2), 1),
    "an empty interval": ((1, 1), 5),
    "none": (None, 5),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_where_a_run_without_an_earlier_report_begins(name):
    interval, expected = BEGINNINGS[name]

    def at(hour):
        return datetime.fromtimestamp(T0 / 1000, UTC) + timedelta(hours=hour)

    ends = {} if interval is None else dict(zip(("data_interval_start", "data_interval_end"), map(at, interval), strict=True))
    assert _state.first_start(ends | {"dag_run": SimpleNamespace(run_after=at(5))}) == T0 + expected * 3_600_000


@pytest.mark.skipif(_state._state_asset() is None, reason="before Airflow 3.3 tasks have no state of assets")
def test_a_sensor_has_the_asset_among_its_inlets_once():
    from airflow.sdk import Asset

    own = Asset("own")
    for made in (
        CapillaryEventStatusSensor(task_id="t", inlets=[own]),
        CapillaryEventStatusSensor(task_id="t", inlets=[own, *CapillaryEventStatusSensor(task_id="u").inlets]),
        CapillaryEventStatusSensor.partial(task_id="v", inlets=own).expand(event_name=["a"]),
    ):
        assert [asset.name for asset in made.inlets] == ["own", "capillary_event_status_sensor"]
