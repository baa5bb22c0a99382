"""What an asset watcher reports while triggerers are killed, DAGs change and the API fails, on Airflow's own shared streams."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
from datetime import timedelta

import pytest
from bench import Late
from triggers.streams import Store, Triggerer, ids_of, until_stored
from triggers.support import SECRETS, failure, fire, iso, left_over, now, trigger, until

from airflow_provider_capillary.errors import ConfigurationError
from airflow_provider_capillary.polling.filters import EventFilter
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.triggers import _asset_watch, _shared_poller
from airflow_provider_capillary.triggers._watermark_store import WatermarkStore
from airflow_provider_capillary.triggers.capillary import CapillaryEventWatchTrigger

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
pytestmark = pytest.mark.skipif(AIRFLOW < (3, 3), reason="watches over assets need the shared streams of Airflow 3.3")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(_asset_watch, "SAVE_EVERY", 0.5)
    monkeypatch.setattr(_asset_watch, "FIRST_PAUSE", 0.3)
    yield
    assert not [pollers for pollers in _shared_poller._pollers.values() if pollers]


def watcher(**options):
    return CapillaryEventWatchTrigger(**({"poke_interval": 1} | options))


def test_it_reports_each_failure_once_until_it_is_stopped(api_of):
    api, stored, store = api_of(), {}, Store()
    api.add(failure("before", now() - 60_000))

    async def run():
        async with Triggerer(stored) as triggerer:
            triggerer.start("w", watcher(), store)
            await until(lambda: len(api.requests) >= 4)
            api.add(failure("a"))
            api.add(failure("good", status="EVENT_SUCCESS"))
            await until_stored(stored, "w", "a")
            api.add(failure("b"))
            api.add(failure("c", status=None))
            await until_stored(stored, "w", "b", "c")
        await until(lambda: not left_over())

    asyncio.run(run())
    assert sorted(ids_of(stored["w"])) == ["a", "b", "c"]
    last = stored["w"][-1]
    assert last["start"] <= last["first_start_time"] <= last["last_start_time"] < last["end"] <= last["watermark"]


def test_a_failure_that_shows_late_or_at_the_very_same_millisecond_is_reported(api_of):
    api, stored = api_of(), {}
    base = now()

    async def run():
        async with Triggerer(stored) as triggerer:
            triggerer.start("w", watcher(since=iso(base - 60_000)), Store())
            api.add(failure("a", base))
            await until_stored(stored, "w", "a")
            api.add(failure("same", base))
            api.add(failure("late", base - 50_000), late=Late(seconds=1.5))
            await until_stored(stored, "w", "same", "late")

    asyncio.run(run())
    assert sorted(ids_of(stored["w"])) == ["a", "late", "same"]


def test_watchers_that_share_a_poll_each_have_their_own_allowed_lateness(api_of):
    api, stored = api_of(), {}
    base = now()

    async def run():
        async with Triggerer(stored) as triggerer:
            for name, options in (("short", {}), ("long", {"allowed_lateness": 3600})):
                triggerer.start(name, watcher(since=iso(base - 7_200_000), **options), Store())
            api.add(failure("a", base))
            for name in ("short", "long"):
                await until_stored(stored, name, "a")
            api.add(failure("late", base - 1_800_000))
            await until_stored(stored, "long", "late")
            api.add(failure("b", base + 1))
            await until_stored(stored, "short", "b")

    asyncio.run(run())
    assert sorted(ids_of(stored["long"])) in (["a", "b", "late"], ["a", "late"])
    assert sorted(ids_of(stored["short"])) == ["a", "b"]


def test_a_watcher_that_an_older_version_stored_looks_back_five_minutes():
    kwargs = {
        "capillary_conn_id": "capillary_default",
        "statuses": None,
        "event_name": None,
        "poke_interval": 45.0,
        "since": None,
        "asset_name": None,
    }
    assert CapillaryEventWatchTrigger(**kwargs).serialize()[1] == kwargs | {"allowed_lateness": 300.0}


# Each row: when the first triggerer is killed; whether it had stored the event, and acknowledged it; how often the event is stored at last.
DEATHS = {
    "before the event is stored": (False, False, 1),
    "when it is stored, before that is known": (True, False, 2),
    "when all is done": (True, True, 1),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_triggerer_that_dies_loses_nothing(api_of, death):
    stores_events, says_so, times = DEATHS[death]
    api, stored, store = api_of(), {}, Store()

    async def run():
        async with Triggerer(stored, stores_events=stores_events, says_so=says_so) as first:
            first.start("w", watcher(), store)
            await until(lambda: len(api.requests) >= 4)
            api.add(failure("a"))
            await until(lambda: first.seen)
            if says_so:
                await until(lambda: len({json.loads(note) for note in store.notes.values()}) == 1 and "reported" in str(store.notes))
                await until(lambda: any(json.loads(json.loads(note))["reported"] for note in store.notes.values()))
        api.add(failure("meanwhile"))
        async with Triggerer(stored) as second:
            second.start("w", watcher(), store)
            await until_stored(stored, "w", "a", "meanwhile")
            api.add(failure("after"))
            await until_stored(stored, "w", "after")

    asyncio.run(run())
    ids = ids_of(stored["w"])
    assert (ids.count("a"), ids.count("meanwhile"), ids.count("after")) == (times, 1, 1)


def test_a_kill_before_the_first_poll_does_not_move_the_start(api_of):
    stored, store = {}, Store()

    async def run():
        api_of(faults=("http_503",))
        async with Triggerer(stored) as first:
            first.start("w", watcher(), store)
            await until(lambda: store.notes)
        meanwhile = failure("a")
        await asyncio.sleep(0.1)
        api_of().add(meanwhile)
        async with Triggerer(stored) as second:
            second.start("w", watcher(), store)
            await until_stored(stored, "w", "a")

    asyncio.run(run())


def test_the_watermark_is_saved_while_there_is_nothing_to_report(api_of):
    api, store = api_of(), Store()

    async def run():
        async with Triggerer({}) as triggerer:
            triggerer.start("w", watcher(), store)
            await until(lambda: store.notes)
            before = dict(store.notes)
            api.add(failure("good", now() + 1000, status="EVENT_SUCCESS"))
            await until(lambda: store.notes != before, 20)

    asyncio.run(run())


def test_watchers_and_sensors_on_one_connection_share_their_polls(api_of):
    api, stored = api_of(), {}

    async def run():
        async with Triggerer(stored) as triggerer:
            for number in range(10):
                triggerer.start(f"w{number}", watcher(statuses=[f"S{number % 5}"], event_name=f"E{number // 5}"), Store())
            waiting = asyncio.create_task(fire(trigger(statuses=["S3"])))
            await until(lambda: len(api.requests) >= 5)
            at = now()
            for number in range(10):
                api.add(failure(f"f{number}", at, status=f"S{number % 5}", event=f"E{number // 5}"))
            for number in range(10):
                await until_stored(stored, f"w{number}", f"f{number}")
            assert (await waiting)["outcome"] == "found"

    asyncio.run(run())
    assert {name: ids_of(payloads) for name, payloads in stored.items()} == {f"w{number}": [f"f{number}"] for number in range(10)}
    undated = [seen for seen in api.requests if "from_date" not in seen.params]
    assert len(undated) < 6  # of one session, and what a burst after a quiet start makes it ask again; eleven would ask for more


def test_a_watcher_that_leaves_before_its_event_is_stored_reports_it_when_it_is_back(api_of):
    api, stored, store = api_of(), {}, Store()

    async def run():
        async with Triggerer(stored, stores_events=False) as triggerer:
            triggerer.start("stays", watcher(statuses=["OTHER"]), Store())
            triggerer.start("leaves", watcher(), store)
            await until(lambda: len(api.requests) >= 4)
            api.add(failure("a"))
            await until(lambda: triggerer.seen)
            await triggerer.stop("leaves")
            await asyncio.sleep(0.2)
            triggerer.stores_events = True
            triggerer.start("leaves", watcher(), store)
            await until_stored(stored, "leaves", "a")

    asyncio.run(run())


def source_of(store, **options):
    event_filter = EventFilter()
    store = WatermarkStore(store, conn_id="capillary_default", event_filter=event_filter, asset_name=None)
    return _asset_watch.AssetEventSource(
        conn_id="capillary_default", event_filter=event_filter, since=now() - 60_000, interval=1, store=store, **options
    )


def test_a_new_allowed_lateness_applies_to_a_saved_watermark():
    async def run():
        store = Store()
        await source_of(store).save(Watermark.starting_at(5))
        return (await source_of(store, lateness=1)._first_watermark()).lateness, (
            await source_of(Store(), lateness=2)._first_watermark()
        ).lateness

    assert asyncio.run(run()) == (1, 2)


def test_an_event_is_not_stored_because_other_watchers_passed_it():
    """The event's own watcher has left; the other watchers of the connection pass events that are not theirs."""

    async def run():
        store = Store()
        made = source_of(store)
        left, taken = (_asset_watch.PendingEvent(made, {}, Watermark.starting_at(5)) for _ in range(2))
        await left.acknowledge(accepted=True)
        assert not await left.is_stored()
        assert not store.notes
        assert taken.claim(made)
        await taken.acknowledge(accepted=True)
        assert await taken.is_stored()
        assert store.notes

    asyncio.run(run())


def test_an_event_that_was_not_accepted_is_reported_again(api_of):
    api_of().add(failure("a"))

    async def run():
        made = source_of(Store())
        with made.running():
            for accepted in (False, False, True):
                event = await asyncio.wait_for(_asset_watch.queue_for("capillary_default").get(), 30)
                assert event.payload["ids"] == ["a"]
                event.claim(made)
                await event.acknowledge(accepted=accepted)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_asset_watch.queue_for("capillary_default").get(), 2.5)
        await until(lambda: not left_over())

    asyncio.run(run())


def test_a_watcher_with_other_statuses_continues_from_the_old_watermark(api_of):
    api, stored, store = api_of(), {}, Store()

    async def run():
        async with Triggerer(stored) as triggerer:
            triggerer.start("old", watcher(statuses=["A"]), store)
            await until(lambda: len(api.requests) >= 4)
            api.add(failure("a1", status="A"))
            await until_stored(stored, "old", "a1")
        api.add(failure("a2", status="A"))
        api.add(failure("b", status="B"))
        async with Triggerer(stored) as triggerer:
            triggerer.start("new", watcher(statuses=["A", "B"]), store)
            await until_stored(stored, "new", "a2", "b")

    asyncio.run(run())
    assert sorted(ids_of(stored["new"])) == ["a2", "b"]


KEYS_OF_THE_FIRST_VERSION = {"capillary_watch:b23594c121d28cd2", "capillary_watch:bca4c567da5a6dd4"}
"""Of a watcher of status A on ``capillary_default``: its own, and that of the watermark that any watcher saved last."""


def store_of(store, *statuses):
    return WatermarkStore(store, conn_id="capillary_default", event_filter=EventFilter(statuses=frozenset(statuses)), asset_name=None)


def test_the_keys_of_a_watermark_are_those_of_the_first_version():
    async def run():
        store = Store()
        await store_of(store, "A").write(Watermark.starting_at(1000))
        return set(store.notes)

    assert asyncio.run(run()) == KEYS_OF_THE_FIRST_VERSION


def test_each_of_two_watchers_of_one_asset_continues_from_its_own_watermark():
    async def run():
        store = Store()
        await store_of(store, "A").write(Watermark.starting_at(1000))
        await store_of(store, "B").write(Watermark.starting_at(2000))
        return (await store_of(store, "A").read()).seen_until, (await store_of(store, "B").read()).seen_until

    assert asyncio.run(run()) == (1000, 2000)


def test_two_watchers_of_one_asset_skip_nothing_of_one_another(api_of):
    """One dies with its event on the way, while the other reports something later; no look-back finds anything."""
    api, stored, store = api_of(), {}, Store()

    began = iso(now() - 60_000)

    def watch_of(status):
        return watcher(statuses=[status], since=began, allowed_lateness=0)

    async def run():
        async with Triggerer(stored, stores_events=False) as first:
            first.start("a", watch_of("A"), store)
            api.add(failure("a1", now() - 30_000, status="A"))
            await until(lambda: first.seen, 30)
            await first.stop("a")
            first.stores_events = True
            first.start("b", watch_of("B"), store)
            later = now() - 10_000
            api.add(failure("b1", later, status="B"))
            await until_stored(stored, "b", "b1")
            await until(lambda: any(json.loads(json.loads(note))["watermark"] > later for note in store.notes.values()))
        async with Triggerer(stored) as second:
            second.start("b", watch_of("B"), store)
            second.start("a", watch_of("A"), store)
            await until_stored(stored, "a", "a1")

    asyncio.run(run())
    assert (ids_of(stored["a"]), ids_of(stored["b"])) == (["a1"], ["b1"])


def test_two_assets_that_share_a_trigger_share_its_watermark(api_of):
    api, stored = api_of(), {}

    class Stores:
        def __init__(self):
            self._by_name = {"one": Store(), "two": Store()}
            self._by_uri = {}

    stores = Stores()

    async def run():
        async with Triggerer(stored) as triggerer:
            triggerer.start("w", watcher(), stores)
            await until(lambda: len(api.requests) >= 4)
            api.add(failure("a"))
            await until_stored(stored, "w", "a")
            await until(lambda: stores._by_name["one"].notes == stores._by_name["two"].notes)
        async with Triggerer(stored) as triggerer:
            triggerer.start("w", watcher(), stores._by_name["two"])
            await until(lambda: len(api.requests) >= 12)

    asyncio.run(run())
    assert ids_of(stored["w"]) == ["a"]


def watermarks(store):
    return [note for key, note in store.notes.items() if not key.startswith("capillary_watch_problem")]


def test_why_a_connection_is_not_polled_stands_with_the_asset_until_it_is(api_of, monkeypatch):
    monkeypatch.setattr(_asset_watch, "FIRST_PAUSE", 1.0)
    api = api_of(faults=("http_401@8..8",))
    store, problems = Store(), []
    # As an earlier triggerer left it, which has died meanwhile.
    store.notes["capillary_watch_problem:capillary_default"] = json.dumps("old")

    def problem():
        problems.append(json.loads(store.notes["capillary_watch_problem:capillary_default"]))
        return problems[-1]

    async def run():
        async with Triggerer({}) as triggerer:
            triggerer.start("w", watcher(), store)
            await until(lambda: problem() == "", 30)
            await until(problem, 30)
            await until(lambda: problem() == "", 30)

    asyncio.run(run())
    assert len(api.requests) > 8
    (broken,) = {each for each in problems if each} - {"old"}
    assert broken.startswith("Not polled since 20")
    assert "How to fix: check login and password" in broken
    assert not [secret for secret in SECRETS if secret in broken]


def test_faults_of_api_and_store_end_no_watcher(api_of, monkeypatch, caplog):
    monkeypatch.setattr("airflow_provider_capillary.api.retries.RetryPlan.delay", lambda *_: 0.01)
    monkeypatch.setattr(_shared_poller, "LONGEST_PAUSE", 1.0)
    api = api_of(faults=("http_503@5..13", "throttled_absent@14..22", "http_401@30..31"))
    stored, store = {}, Store()
    caplog.set_level(logging.WARNING)

    async def run():
        async with Triggerer(stored) as triggerer:
            store.is_down = True
            triggerer.start("w", watcher(since=iso(now() - 60_000)), store)
            await until(lambda: "RuntimeError" in caplog.text)
            assert not api.requests  # it does not begin anywhere else because it can't read where it was
            store.is_down = False
            await until(lambda: len(api.requests) > 8, 30)
            api.add(failure("a"))
            await until_stored(stored, "w", "a")
            store.is_down = True
            api.add(failure("b"))
            await until_stored(stored, "w", "b")
            store.is_down = False
            await until(lambda: len(api.requests) > 34, 30)
            api.add(failure("c"))
            await until_stored(stored, "w", "c")
            await until(lambda: any(len(json.loads(json.loads(note))["reported"]) == 3 for note in watermarks(store)))

    asyncio.run(run())
    assert ids_of(stored["w"]) == ["a", "b", "c"]
    assert "HTTP 503" in caplog.text
    assert "check login and password" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


def test_an_unreadable_watermark_is_an_error_and_not_skipped(api_of, caplog):
    api, store = api_of(), Store()

    async def run():
        async with Triggerer({}) as triggerer:
            triggerer.start("w", watcher(), store)
            await until(lambda: store.notes)
        for key in store.notes:
            store.notes[key] = '"rubbish"'
        before = len(api.requests)
        async with Triggerer({}) as triggerer:
            triggerer.start("w", watcher(), store)
            await until(lambda: "unreadable" in caplog.text)
        return len(api.requests) - before

    assert asyncio.run(run()) == 0


def test_an_event_is_bounded_and_says_where_to_read_the_rest(api_of):
    api, stored = api_of(limit_cap=1000), {}

    async def run():
        async with Triggerer(stored) as triggerer:
            start = now() - 30_000
            for number in range(700):
                api.add(failure(f"f{number}", start + number, status=f"S{number}" + "x" * 200, event=f"E{number}" + "y" * 200))
            triggerer.start("w", watcher(since=iso(start)), Store())
            await until(lambda: stored.get("w"), 30)

    asyncio.run(run())
    (payload,) = stored["w"]
    assert (payload["count"], len(payload["ids"]), payload["ids_cut"]) == (700, 100, True)
    assert "newest 100 of 700" in payload["rest"]
    assert sum(payload["statuses"].values()) == 700
    assert len(json.dumps(payload)) < 40_000


def test_arguments_are_scalars_and_equal_at_each_parse():
    from airflow.triggers.base import BaseEventTrigger

    options = {"statuses": {"B", "A", "C"}, "event_name": "e", "poke_interval": 5, "since": "2025-09-18T00:00:00+02:00"}
    options |= {"asset_name": "f", "allowed_lateness": timedelta(minutes=10)}
    path, kwargs = watcher(**options).serialize()
    assert all(value is None or isinstance(value, str | int | float | bool) for value in kwargs.values())
    again = CapillaryEventWatchTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (path, kwargs)
    assert BaseEventTrigger.hash(path, kwargs) == BaseEventTrigger.hash(*watcher(**options).serialize())
    assert watcher(statuses=["X"]).shared_stream_key() == watcher(event_name="y").shared_stream_key()
    assert watcher().shared_stream_key() != watcher(capillary_conn_id="other").shared_stream_key()


# Each row: a wrong argument, and what the error's text holds.
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"statuses": "EMF_PROCESSOR_FAILED"}, "statuses='EMF_PROCESSOR_FAILED'"),
        ({"statuses": []}, "statuses"),
        ({"event_name": 5}, "event_name=5"),
        ({"since": "2025-09-18"}, "`since`"),
        ({"poke_interval": 0}, "`poke_interval` is 0 seconds, less than 1 second"),
        ({"poke_interval": "60"}, "`poke_interval` is '60'"),
        ({"allowed_lateness": -1}, "`allowed_lateness` is -1 second, negative"),
        ({"capillary_conn_id": None}, "capillary_conn_id=None"),
        ({"asset_name": 5}, "asset_name=5"),
    ],
)
def test_a_wrong_argument_is_named_while_the_dag_is_parsed(options, says):
    with pytest.raises(ConfigurationError, match=says):
        watcher(**options)


def test_without_an_asset_watcher_it_says_how_to_use_it():
    async def run():
        return [event async for event in watcher().run()]

    with pytest.raises(ConfigurationError, match="AssetWatcher"):
        asyncio.run(run())
