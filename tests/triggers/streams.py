"""Airflow's own shared streams, with this test in the place of the triggerer: it stores events, or dies before or after."""

from __future__ import annotations

import asyncio
import contextlib
import json

from triggers.support import SECRETS, until

from airflow_provider_capillary.triggers.capillary import CapillaryEventWatchTrigger


class Store:
    """The state store of one asset, which outlives every triggerer."""

    def __init__(self):
        self.notes = {}
        self.is_down = False

    async def aget(self, key, default=None):
        self._check()
        return json.loads(self.notes[key]) if key in self.notes else default

    async def aset(self, key, value):
        self._check()
        self.notes[key] = json.dumps(value)

    def _check(self):
        if self.is_down:
            raise RuntimeError("no answer from a backend whose message may hold server123")


class Triggerer:
    """Runs watch triggers until it is left, which is how it dies: what it has not stored is forgotten.

    :param stored: the metadata database, which outlives it: the payloads of each watch.
    :param stores_events: whether events get there.
    :param says_so: whether the streams hear of it.
    """

    def __init__(self, stored, *, stores_events=True, says_so=True):
        from airflow.triggers.shared_stream import SharedStreamManager

        self.manager = SharedStreamManager(ack_timeout=600)
        self.stored = stored
        self.stores_events = stores_events
        self.says_so = says_so
        self.seen = []
        self._tasks = {}

    def start(self, name, trigger, store):
        path, kwargs = trigger.serialize()
        assert path.endswith(".CapillaryEventWatchTrigger")
        made = CapillaryEventWatchTrigger(**json.loads(json.dumps(kwargs)))
        made.asset_state_store = store
        self._tasks[name] = asyncio.create_task(self._run(name, made, number=len(self._tasks)))

    async def stop(self, *names):
        for name in names:
            self._tasks[name].cancel()
        await asyncio.wait([self._tasks.pop(name) for name in names])

    async def _run(self, name, trigger, number):
        key = trigger.shared_stream_key()
        stream = trigger.filter_shared_stream(self.manager.subscribe(trigger_id=number, trigger=trigger, key=key))
        try:
            async for event in stream:
                seq = self.manager.bind_pending_event(trigger_id=number, key=key)
                text = json.dumps(event.payload)
                assert not [secret for secret in SECRETS if secret in text], text
                self.seen.append((name, event.payload))
                if self.stores_events:
                    self.stored.setdefault(name, []).append(event.payload)
                    if self.says_so:
                        self.manager.confirm_persisted([seq])
        finally:
            await self.manager.unsubscribe(number, key)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        with contextlib.suppress(ValueError):
            await self.stop(*self._tasks)


def ids_of(payloads):
    return [name for payload in payloads for name in sorted(payload["ids"])]


async def until_stored(stored, name, *ids):
    await until(lambda: set(ids) <= set(ids_of(stored.get(name, []))), 30)
