"""What the trigger says and when, alone and among hundreds; what it costs; what it rides out and what it does not."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
import time

import pytest
from bench import Late
from triggers.support import SECRETS, failure, fire, found_by, iso, left_over, now, trigger, until, waiting

from airflow_provider_capillary.errors import AuthenticationError, CapillaryError, ConfigurationError, PermissionDeniedError, ThrottledError
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.triggers import _events as events
from airflow_provider_capillary.triggers import _shared_poller
from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger, CapillaryEventWatchTrigger

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert not [watches for watches in _shared_poller._watches.values() if watches]


def test_its_arguments_are_scalars_and_come_back():
    made = CapillaryEventStatusTrigger(
        since=iso(now()), statuses={"B", "A"}, event_name="e", min_count=2, poke_interval=5, exponential_backoff=True, max_wait=60.0
    )
    _, kwargs = made.serialize()
    assert all(value is None or isinstance(value, str | int | float | bool) for value in kwargs.values())
    assert CapillaryEventStatusTrigger(**json.loads(json.dumps(kwargs))).serialize() == made.serialize()
    assert json.loads(kwargs["statuses"]) == ["A", "B"]


def test_arguments_of_the_first_version_are_accepted(api_of):
    api = api_of()
    api.add(failure("a"))
    # Written down, not made: a deferral that an older version stored has to go on with a newer one.
    kwargs = {
        "capillary_conn_id": "capillary_default",
        "since": iso(now() - 60_000),
        "statuses": '["EMF_PROCESSOR_FAILED"]',
        "event_name": None,
        "min_count": 1,
        "poke_interval": 1.0,
        "exponential_backoff": False,
        "max_wait": None,
        "state": None,
    }
    assert asyncio.run(found_by(CapillaryEventStatusTrigger(**kwargs)))["ids"] == ["a"]
    assert asyncio.run(found_by(CapillaryEventStatusTrigger(since=kwargs["since"])))["ids"] == ["a"]


def test_it_waits_for_its_own_and_says_counts_ids_and_times(api_of):
    api = api_of()

    async def run():
        made = trigger(statuses=["EMF_PROCESSOR_FAILED"], event_name="order", min_count=2)
        async with waiting(made) as (task,):
            api.add(failure("good", status="EVENT_SUCCESS"))
            api.add(failure("other", event="refund"))
            api.add(failure("first"))
            await until(lambda: len(api.requests) >= 6)
            assert not task.done()
            api.add(failure("second", instant=now() - 30_000))
            added = time.monotonic()
            result = events.state_of(await task).result()
            assert time.monotonic() - added < 3
            await asyncio.sleep(0)
            assert not left_over()
        return result

    result = asyncio.run(run())
    assert (result["count"], sorted(result["ids"])) == (2, ["first", "second"])
    assert (result["statuses"], result["event_names"]) == ({"EMF_PROCESSOR_FAILED": 2}, {"order": 2})


def test_it_goes_on_from_a_state_and_begins_again_from_it(api_of):
    api = api_of()
    api.add(failure("old"))
    state = events.state_of(asyncio.run(fire(trigger())))
    state = PollState.begin(state.event_filter, state.watermark).to_json()
    api.add(failure("new"))

    async def die_and_start_anew():
        async with waiting(trigger(state=state, min_count=2)) as (task,):
            await until(lambda: len(api.requests) > 8)
            assert not task.done()
        api.add(failure("meanwhile", instant=now() - 30_000, status=None))
        return await found_by(trigger(state=state, min_count=2))

    assert sorted(asyncio.run(die_and_start_anew())["ids"]) == ["meanwhile", "new"]


def test_late_and_simultaneous_failures_are_found(api_of):
    api = api_of()
    base = now()

    async def run():
        first = events.state_of(await fire_after(failure("a", base)))
        state = PollState.begin(first.event_filter, first.watermark).to_json()
        api.add(failure("same", base))
        api.add(failure("late", base - 40_000), late=Late(seconds=1.5))
        return await found_by(trigger(state=state, min_count=2))

    async def fire_after(record):
        api.add(record)
        return await fire(trigger())

    assert sorted(asyncio.run(run())["ids"]) == ["late", "same"]


def requests_of(api, count, seconds):
    async def run():
        before = len(api.requests)
        async with waiting(
            *[trigger(since=iso(now() - 60_000 - number), statuses=[f"NONE_{number % 7}"]) for number in range(count)]
        ) as tasks:
            await asyncio.sleep(seconds)
            assert not [task for task in tasks if task.done()]
        return len(api.requests) - before

    return asyncio.run(run())


def test_two_hundred_ask_no_more_than_one(api_of):
    api = api_of(events=50)
    # By how much exactly is measured, not tested: tests/benchmarks/waiting_triggers.py.
    one, many = requests_of(api, 1, 4), requests_of(api, 200, 4)
    assert one >= 5
    assert many <= one * 3


def test_each_of_many_gets_its_own(api_of):
    api = api_of()
    start = now() - 100_000
    records = [failure(f"f{number}", start + number * 1000, status=f"S{number % 3}", event=f"E{number % 2}") for number in range(60)]
    for record in records:
        api.add(record)

    async def run():
        event_filter = [(since, status, event) for since in (0, 17, 44) for status in (None, "S1", "S2") for event in (None, "E1")]
        made = [
            trigger(since=iso(start + since * 1000), statuses=None if status is None else [status], event_name=event)
            for since, status, event in event_filter
        ]
        return list(zip(event_filter, await asyncio.gather(*map(found_by, made)), strict=True))

    for (since, status, event), result in asyncio.run(run()):
        expected = [
            record["id"] for record in records[since:] if status in (None, record["status"]) and event in (None, record["eventName"])
        ]
        assert sorted(result["ids"]) == sorted(expected)
        assert result["since"].startswith(iso(start + since * 1000)[:19])
    assert len([seen for seen in api.requests if "from_date" in seen.params]) <= 6


def test_a_newcomer_from_long_ago_catches_up_once_and_holds_up_nobody(api_of):
    api = api_of()
    day = 86_400_000
    for number in range(40):
        api.add(failure(f"old{number}", now() - day + number * 60_000))

    async def run():
        async with waiting(trigger(min_count=2)) as (patient,):
            await until(lambda: len(api.requests) >= 4)
            before = len(api.requests)
            results = await asyncio.gather(*[found_by(trigger(since=iso(now() - 2 * day + number))) for number in range(20)])
            assert not patient.done()
            return results, len(api.requests) - before

    results, requests = asyncio.run(run())
    assert {result["count"] for result in results} == {40}
    assert requests <= 12


def test_an_api_that_is_down_or_throttles_is_waited_out(api_of, monkeypatch, caplog):
    monkeypatch.setattr("airflow_provider_capillary.api.retries.RetryPlan.delay", lambda *_: 0.01)
    monkeypatch.setattr(_shared_poller, "LONGEST_PAUSE", 1.0)
    api = api_of(faults=("http_503@3..14", "throttled_absent@15..24", "reset_before_headers@25..29"))
    caplog.set_level(logging.WARNING)

    async def run():
        async with waiting(trigger(), trigger(poke_interval=1.5)) as tasks:
            await until(lambda: len(api.requests) > 12, 20)
            api.add(failure("a"))
            payloads = await asyncio.wait_for(asyncio.gather(*tasks), 60)
        return [events.state_of(payload).result()["ids"] for payload in payloads]

    assert asyncio.run(run()) == [["a"], ["a"]]
    assert "HTTP 503" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize(("fault", "kind"), [("http_401", AuthenticationError), ("http_403", PermissionDeniedError)])
def test_a_credential_that_is_revoked_while_waiting_ends_it_with_the_cure(api_of, fault, kind):
    api = api_of(faults=(f"{fault}@6..",))

    async def run():
        return await asyncio.gather(*[fire(trigger()) for _ in range(3)])

    for payload in asyncio.run(run()):
        with pytest.raises(kind, match="How to fix: ") as caught:
            events.state_of(payload)
        assert caught.value.request_id
    assert len(api.requests) == 6


def test_a_connection_that_is_mended_is_looked_up_anew(api_of, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", '{"conn_type": "capillary"}')

    async def run():
        with pytest.raises(CapillaryError, match="capillary_default"):
            await found_by(trigger())
        api_of().add(failure("a"))
        return await found_by(trigger())

    assert asyncio.run(run())["ids"] == ["a"]


def test_a_burst_after_a_quiet_start_is_found(api_of):
    api = api_of()

    async def run():
        async with waiting(trigger(min_count=30)) as (task,):
            await until(lambda: len(api.requests) >= 4)
            instant = now()
            for number in range(30):
                api.add(failure(instant=instant + number))
            return events.state_of(await task).result()

    assert asyncio.run(run())["count"] == 30


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (None, "NoneType"),
        ({}, "no event"),
        ("found", "str"),
        ({"outcome": "success"}, "success"),
        ({"outcome": "found"}, "found"),
        ({"outcome": "found", "hunt": "{}"}, "unreadable"),
        ({"outcome": "failed", "error": "SystemExit", "problem": "p"}, "p"),
        ({"outcome": "failed", "error": "__all__", "problem": "p"}, "p"),
    ],
)
def test_an_event_that_is_none_of_its_own_is_an_error(event, says):
    with pytest.raises(CapillaryError, match=says) as caught:
        events.state_of(event)
    assert type(caught.value) is CapillaryError


def test_an_error_goes_through_an_event():
    error = PermissionDeniedError("problem", request="asked", response="answered", request_id="id", hint="hint")
    with pytest.raises(PermissionDeniedError) as caught:
        events.state_of(json.loads(json.dumps(events.failed(error))))
    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("options", "intervals"),
    [
        ({}, [5, 5, 5]),
        ({"doubles": True}, [10, 20, 40]),
        ({"doubles": True, "longest": 15}, [10, 15, 15]),
        ({"interval": 0.1}, [1, 1, 1]),
        ({"interval": 50_000, "doubles": True}, [86_400, 86_400, 86_400]),
    ],
)
def test_backing_off_means_fewer_looks(options, intervals):
    schedule, had = _shared_poller.PollSchedule(**({"interval": 5} | options)), []
    for _ in intervals:
        schedule.slow_down()
        had.append(schedule.interval)
    assert had == intervals


def test_each_look_slows_down_one_that_backs_off(api_of):
    api_of()

    async def run():
        state = trigger()._state()
        schedule = _shared_poller.PollSchedule(interval=1, doubles=True)
        async with _shared_poller.subscribe("capillary_default", state, schedule=schedule, tell=print) as subscriber:
            await subscriber.poll()
        return schedule.interval, subscriber.due - asyncio.get_running_loop().time()

    interval, left = asyncio.run(run())
    assert interval == 2
    assert 1 < left <= 2


def test_the_next_look_waits_as_long_as_the_api_says():
    async def run(retry_after):
        state = trigger()._state()
        watched = _shared_poller.SharedPoller("capillary_default", {})
        subscriber = _shared_poller.Subscriber(watched, state, schedule=_shared_poller.PollSchedule(interval=1), tell=print)
        watched.join(subscriber)
        subscriber.is_asking = True
        watched._failures = 1
        watched._postpone(ThrottledError("throttled", retry_after=retry_after))
        return subscriber.due - asyncio.get_running_loop().time()

    assert 499 < asyncio.run(run(500.0)) <= 500
    assert asyncio.run(run(None)) <= 1


def test_who_leaves_last_leaves_nothing_running(api_of):
    """A look that is under way is ended, and its session closed, before the triggerer goes on."""
    api = api_of()

    async def run():
        state = trigger()._state()
        async with _shared_poller.subscribe(
            "capillary_default", state, schedule=_shared_poller.PollSchedule(interval=1), tell=print
        ) as subscriber:
            looking = asyncio.create_task(subscriber.poll())
            await until(lambda: api.requests)
            looking.cancel()
        return [task.get_name() for task in left_over() if task is not looking]

    assert asyncio.run(run()) == []


@pytest.mark.skipif(AIRFLOW >= (3, 3), reason="Airflow 3.3 has what the watch needs")
def test_a_watch_says_which_airflow_it_needs_while_the_dag_is_parsed():
    with pytest.raises(ConfigurationError, match=r"needs Airflow 3\.3 or later.*CapillaryEventStatusSensor"):
        CapillaryEventWatchTrigger()
