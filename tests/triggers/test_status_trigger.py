"""The status trigger: when it fires and with what, alone and among hundreds; its requests; which errors end it and which do not."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
from datetime import UTC, datetime

import pytest
from bench import Late
from triggers.support import SECRETS, failure, fire, found_by, iso, left_over, now, trigger, until, waiting

from airflow_provider_capillary.errors import AuthenticationError, CapillaryError, ConfigurationError, PermissionDeniedError, ThrottledError
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.triggers import _shared_poller
from airflow_provider_capillary.triggers.capillary import (
    CapillaryEventStatusTrigger,
    CapillaryEventWatchTrigger,
    failed_event,
    state_from_event,
)

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert not [pollers for pollers in _shared_poller._pollers.values() if pollers]


def test_arguments_are_scalars_and_survive_the_database():
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
    # Written out: a newer version has to continue a deferral that an older one stored.
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


def polls_of(api):
    """The polls so far, each by the second up to which it asked, which lies ahead; what is asked before the first is about the past."""
    past = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    return {until for seen in api.requests if (until := seen.params.get("to_date", "")) > past}


def test_it_fires_with_counts_ids_and_times_of_matching_events_only(api_of):
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
            before = polls_of(api)
            result = state_from_event(await task).result()
            # By the poll that begins next; one may have been under way that had not asked for anything.
            assert len(polls_of(api) - before) <= 2
            await asyncio.sleep(0)
            assert not left_over()
        return result

    result = asyncio.run(run())
    assert (result["count"], sorted(result["ids"])) == (2, ["first", "second"])
    assert (result["statuses"], result["event_names"]) == ({"EMF_PROCESSOR_FAILED": 2}, {"order": 2})


def test_it_continues_from_a_state_and_starts_there_again_after_a_kill(api_of):
    api = api_of()
    api.add(failure("old"))
    state = state_from_event(asyncio.run(fire(trigger())))
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
        first = state_from_event(await fire_after(failure("a", base)))
        state = PollState.begin(first.event_filter, first.watermark).to_json()
        api.add(failure("same", base))
        api.add(failure("late", base - 40_000), late=Late(seconds=1.5))
        return await found_by(trigger(state=state, min_count=2))

    async def fire_after(record):
        api.add(record)
        return await fire(trigger())

    assert sorted(asyncio.run(run())["ids"]) == ["late", "same"]


def requests_of(api, count, *, polls):
    async def run():
        requests, before = len(api.requests), polls_of(api)
        async with waiting(
            *[trigger(since=iso(now() - 60_000 - number), statuses=[f"NONE_{number % 7}"]) for number in range(count)]
        ) as tasks:
            await until(lambda: len(polls_of(api) - before) >= polls, 60)
            assert not [task for task in tasks if task.done()]
        return len(api.requests) - requests

    return asyncio.run(run())


def test_two_hundred_triggers_cost_no_more_requests_than_one(api_of):
    api = api_of(events=50)
    # By how much exactly is measured, not tested: tests/benchmarks/waiting_triggers.py.
    one, many = requests_of(api, 1, polls=3), requests_of(api, 200, polls=3)
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


def test_a_new_subscriber_that_is_far_behind_catches_up_in_a_read_of_its_own(api_of):
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


def test_an_api_that_is_down_or_throttles_is_polled_again_later(api_of, monkeypatch, caplog):
    monkeypatch.setattr("airflow_provider_capillary.api.retries.RetryPlan.delay", lambda *_: 0.01)
    monkeypatch.setattr(_shared_poller, "LONGEST_PAUSE", 1.0)
    api = api_of(faults=("http_503@3..14", "throttled_absent@15..24", "reset_before_headers@25..29"))
    caplog.set_level(logging.WARNING)

    async def run():
        async with waiting(trigger(), trigger(poke_interval=1.5)) as tasks:
            await until(lambda: len(api.requests) > 12, 20)
            api.add(failure("a"))
            payloads = await asyncio.wait_for(asyncio.gather(*tasks), 60)
        return [state_from_event(payload).result()["ids"] for payload in payloads]

    assert asyncio.run(run()) == [["a"], ["a"]]
    assert "HTTP 503" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


# Each row: how the API refuses the credential from the sixth request on, and the error that every waiting task gets.
@pytest.mark.parametrize(("fault", "kind"), [("http_401", AuthenticationError), ("http_403", PermissionDeniedError)])
def test_a_credential_that_is_revoked_while_waiting_ends_the_trigger_with_a_hint(api_of, fault, kind):
    api = api_of(faults=(f"{fault}@6..",))

    async def run():
        return await asyncio.gather(*[fire(trigger()) for _ in range(3)])

    for payload in asyncio.run(run()):
        with pytest.raises(kind, match="How to fix: ") as caught:
            state_from_event(payload)
        assert caught.value.request_id
    assert len(api.requests) == 6


def test_a_connection_is_looked_up_again_after_an_error(api_of, monkeypatch):
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
            return state_from_event(await task).result()

    assert asyncio.run(run())["count"] == 30


# Each row: what the task is resumed with, and what the error's text holds.
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
def test_an_unknown_event_is_an_error(event, says):
    with pytest.raises(CapillaryError, match=says) as caught:
        state_from_event(event)
    assert type(caught.value) is CapillaryError


def test_an_event_of_the_first_version_is_read():
    found = {"wanted": {"statuses": ["A"], "event_name": None}, "memory": {"floor": 1, "watermark": 5, "reported": {"abc": 4}}, "since": 1}
    found["found"] = {"count": 1, "statuses": {"A": 1}, "event_names": {"e": 1}, "newest": [[4, "id"]], "first": 4, "last": 4}
    state = state_from_event({"outcome": "found", "hunt": json.dumps(found)})
    assert (state.result()["ids"], state.watermark.lateness) == (["id"], 300_000)
    event = {"outcome": "failed", "error": "PermissionDeniedError", "problem": "p", "asked": "GET", "answered": "403", "cure": "widen it"}
    with pytest.raises(PermissionDeniedError) as caught:
        state_from_event(event | {"request_id": None, "retryable": False})
    assert (caught.value.request, caught.value.response, caught.value.hint) == ("GET", "403", "widen it")


def test_an_error_goes_through_an_event():
    error = PermissionDeniedError("problem", request="request", response="response", request_id="id", hint="hint")
    with pytest.raises(PermissionDeniedError) as caught:
        state_from_event(json.loads(json.dumps(failed_event(error))))
    assert str(caught.value) == str(error)


# Each row: a schedule, and its interval after each of three polls.
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
def test_backing_off_means_fewer_polls(options, intervals):
    schedule, had = _shared_poller.PollSchedule(**({"interval": 5} | options)), []
    for _ in intervals:
        schedule.slow_down()
        had.append(schedule.interval)
    assert had == intervals


def test_each_poll_slows_down_a_subscriber_that_backs_off(api_of):
    api_of()

    async def run():
        state = trigger()._first_state()
        schedule = _shared_poller.PollSchedule(interval=1, doubles=True)
        async with _shared_poller.subscribe("capillary_default", state, schedule=schedule, warn=print) as subscriber:
            await subscriber.poll()
        return schedule.interval, subscriber.due_at - asyncio.get_running_loop().time()

    interval, left = asyncio.run(run())
    assert interval == 2
    assert 1 < left <= 2


def test_the_next_poll_waits_as_long_as_the_api_says():
    async def run(retry_after):
        state = trigger()._first_state()
        poller = _shared_poller.SharedPoller("capillary_default", {})
        subscriber = _shared_poller.Subscriber(poller, state, schedule=_shared_poller.PollSchedule(interval=1), warn=print)
        poller.add(subscriber)
        subscriber.is_waiting = True
        poller._failures = 1
        poller._postpone(ThrottledError("throttled", retry_after=retry_after))
        return subscriber.due_at - asyncio.get_running_loop().time()

    assert 499 < asyncio.run(run(500.0)) <= 500
    assert asyncio.run(run(None)) <= 1


def test_the_last_subscriber_leaves_nothing_running(api_of):
    """A poll that is under way is ended, and its session closed, before the triggerer goes on."""
    api = api_of()

    async def run():
        state = trigger()._first_state()
        async with _shared_poller.subscribe(
            "capillary_default", state, schedule=_shared_poller.PollSchedule(interval=1), warn=print
        ) as subscriber:
            polling = asyncio.create_task(subscriber.poll())
            await until(lambda: api.requests)
            polling.cancel()
        return [task.get_name() for task in left_over() if task is not polling]

    assert asyncio.run(run()) == []


@pytest.mark.skipif(AIRFLOW >= (3, 3), reason="Airflow 3.3 has what the watch needs")
def test_a_watch_says_which_airflow_it_needs_while_the_dag_is_parsed():
    with pytest.raises(ConfigurationError, match=r"needs Airflow 3\.3 or later.*CapillaryEventStatusSensor"):
        CapillaryEventWatchTrigger()
