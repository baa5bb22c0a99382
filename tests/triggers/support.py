"""An emulator, the triggers that wait on it, and a judge of what they say."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time

from airflow_provider_capillary.timestamps import from_millis
from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger, state_from_event

CANARY = "canary-of-a-body"
SECRETS = ("server123", "8a16a6b70505eb1f1ff7cdc0cd5559a7", "emulator-secret", "emulator-token", CANARY, "inputRequest")
_numbers = itertools.count()


def now():
    return int(time.time() * 1000)


def iso(millis):
    return from_millis(millis).isoformat()


def failure(name=None, instant=None, status="EMF_PROCESSOR_FAILED", event="order"):
    return {
        "id": name or f"failure-{next(_numbers)}",
        "startTime": now() if instant is None else instant,
        "status": status,
        "eventName": event,
        "inputRequest": CANARY,
        "message": CANARY,
    }


def trigger(**options):
    """As it comes out of the database."""
    made = CapillaryEventStatusTrigger(**({"since": iso(now() - 60_000), "poke_interval": 1.0} | options))
    path, kwargs = made.serialize()
    assert path == "airflow_provider_capillary.triggers.capillary.CapillaryEventStatusTrigger"
    return CapillaryEventStatusTrigger(**json.loads(json.dumps(kwargs)))


async def fire(made):
    """The one event; nothing secret in it."""
    async with asyncio.timeout(40):
        payloads = [event.payload async for event in made.run()]
    (payload,) = payloads
    text = json.dumps(payload)
    assert not [secret for secret in SECRETS if secret in text], text
    return payload


async def found_by(made):
    return state_from_event(await fire(made)).result()


@contextlib.asynccontextmanager
async def waiting(*triggers):
    """Tasks that wait, cancelled in the end if they still do."""
    tasks = [asyncio.create_task(fire(made)) for made in triggers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition, seconds=10.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"
        await asyncio.sleep(0.02)


def left_over():
    """Tasks other than this one that still run."""
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
