"""What many deferred sensors cost: requests of one and of two hundred, and how long five hundred on a slow API hold up the event loop.

Run by hand, with the seconds to count requests for: python tests/benchmarks/waiting_triggers.py [120]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger


async def wait_for(trigger: CapillaryEventStatusTrigger) -> None:
    async for _event in trigger.run():
        raise AssertionError("nothing is there to be found")


@contextlib.asynccontextmanager
async def waiting(count: int):
    since = datetime.now(UTC) - timedelta(minutes=1)
    triggers = [
        CapillaryEventStatusTrigger(statuses=[f"NONE_{number % 7}"], since=since.isoformat(), poke_interval=5.0) for number in range(count)
    ]
    tasks = [asyncio.create_task(wait_for(trigger)) for trigger in triggers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def requests_of(api: Emulator, count: int, seconds: float) -> int:
    before = len(api.requests)
    async with waiting(count):
        await asyncio.sleep(seconds)
    return len(api.requests) - before


async def stalls_of(count: int, seconds: float) -> list[float]:
    stalls = []
    async with waiting(count):
        await asyncio.sleep(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            stalls.append(time.monotonic() - before - 0.05)
    return sorted(stalls, reverse=True)


def connect(api: Emulator) -> None:
    settings = json.loads(api.connection_json())
    settings["extra"] = {**settings.get("extra", {}), "requests_per_minute": 1_000_000}
    os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = json.dumps(settings)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    with Emulator(events=50) as api:
        connect(api)
        one = asyncio.run(requests_of(api, 1, seconds))
        many = asyncio.run(requests_of(api, 200, seconds))
    sys.stdout.write(f"requests in {seconds:g} s: 1 trigger {one}, 200 triggers {many}, ratio {many / one:.2f}\n")
    with Emulator(events=50, faults=lambda _number, _params: time.sleep(2.0)) as api:
        connect(api)
        stalls = asyncio.run(stalls_of(500, 20))
    sys.stdout.write(f"500 triggers, 2 s an answer: longest stalls of the loop {', '.join(f'{stall:.3f}' for stall in stalls[:3])} s\n")


if __name__ == "__main__":
    main()
