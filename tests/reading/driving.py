"""Drives the reading core against a world without sockets, and judges how it ends."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.api.effects import MaskSecret, ReadClock, Records, Response, Send, Sleep, TransportFailure
from airflow_provider_capillary.api.executor import Credential, RequestExecutor
from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.reading.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.fake_api import FakeApi

BASIC = Credential(oauth=False, described="sent as Basic")


@dataclass
class Run:
    """What one reading did.

    :ivar ids: what it handed on.
    :ivar seen: the ids in all answers.
    """

    ids: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    slept: float = 0.0
    error: CapillaryError | None = None


def make_reader(*, per_minute: int = 10**9, seed: int = 0, **settings: Any) -> Reader:
    return Reader(RequestExecutor(credential=BASIC, per_minute=per_minute, rng=random.Random(seed)), **settings)


def drive(
    reader: Reader,
    world: FakeApi,
    start: int,
    end: int,
    *,
    event_name: str | None = None,
    fault: Callable[[int], Response | TransportFailure | None] = lambda _number: None,
    most: int = 5000,
) -> Run:
    """Carry out the steps of one reading with a clock that only waiting moves."""
    run, clock, outcome = Run(), 1_000.0, None
    steps = reader.read(start, end, event_name=event_name)
    try:
        while True:
            step = steps.send(outcome)
            outcome = None
            match step:
                case ReadClock():
                    outcome = clock
                case Sleep():
                    clock += step.seconds
                    run.slept += step.seconds
                case Records():
                    run.ids.extend(record["id"] for record in step.records)
                case Send():
                    run.asked.append(dict(step.request.params))
                    assert len(run.asked) <= most, "the reading does not end"
                    outcome = fault(len(run.asked))
                    if outcome is None:
                        status, body = world.answer(dict(step.request.params))
                        run.seen.update(record["id"] for record in body.get("data") or ())
                        outcome = reply(status, body)
                case MaskSecret():
                    raise AssertionError("nothing to conceal with Basic")
    except StopIteration:
        return run
    except CapillaryError as error:
        run.error = error
        return run


def reply(status: int, body: Any) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode())


def truth(world: FakeApi, start: int, end: int, event_name: str | None = None) -> Counter[str]:
    """The ids of the interval's records, late ones included."""
    inside = (record for record in world.records if start <= record["startTime"] < end)
    return Counter(record["id"] for record in inside if event_name in (None, record.get("eventName")))
