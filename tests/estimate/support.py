"""Runs the sampling against made-up APIs without sockets, and draws these."""

from __future__ import annotations

import random

from bench.fake_api import FakeApi
from reading.drawing import BY_HOUR
from reading.driving import BASIC, reply

from airflow_provider_capillary.api.date_formats import AUTO, DateFormat, zone_of
from airflow_provider_capillary.api.effects import ReadClock, Send, Sleep
from airflow_provider_capillary.api.executor import RequestExecutor
from airflow_provider_capillary.reading.client import EventLogsClient
from airflow_provider_capillary.reading.sampling import sample

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_726_617_600_000
"""2024-09-18T00:00:00Z."""
LATENCY = 0.3


def run_sampling(world, start, end, *, limit=1000, event_name=None, per_minute=10**9, sent=None):
    """The samples. Only pauses and requests move the clock."""
    client = EventLogsClient(RequestExecutor(credential=BASIC, per_minute=per_minute, rng=random.Random(0)), limit=limit)
    formats = [DateFormat(name, zone_of("UTC")) for name in AUTO]
    steps, outcome, clock = sample(client, formats, start, end, event_name=event_name), None, 0.0
    sent = [] if sent is None else sent
    try:
        while True:
            step = steps.send(outcome)
            outcome = None
            match step:
                case ReadClock():
                    outcome = clock
                case Sleep():
                    clock += step.seconds
                case Send():
                    sent.append(dict(step.request.params))
                    clock += LATENCY
                    outcome = reply(*world.answer(dict(step.request.params)))
    except StopIteration as ended:
        return ended.value


def draw_times(shape, count, days):
    """So many times over so many days."""
    rng = random.Random(f"{shape} {count} {days}")
    bursts = [rng.randrange(days * DAY - 5 * 60_000) for _ in range(10 * days)]
    draw = {
        "uniform": lambda: rng.randrange(days * DAY),
        "by hour": lambda: rng.randrange(days) * DAY + rng.choices(range(24), BY_HOUR)[0] * HOUR + rng.randrange(HOUR),
        "bursts": lambda: rng.choice(bursts) + rng.randrange(5 * 60_000) if rng.random() < 0.8 else rng.randrange(days * DAY),
    }[shape]
    return [START + draw() for _ in range(count)]


def make_world(shape, count, *, page, days=1, **options):
    """An API with so many records in the days from :data:`START` on, and some on the days beside."""
    rng = random.Random(count)
    times = draw_times(shape, count, days) + [START + where * DAY + rng.randrange(DAY) for where in (-1, days) for _ in range(150)]
    records = [
        {
            "id": f"{rng.getrandbits(64):016x}",
            "startTime": at,
            "responseTime": rng.randrange(13, 505),
            "eventName": rng.choice(["Rare", *["Common"] * 9]),
        }
        for at in times
    ]
    return FakeApi(records, limit_cap=page, **options)
