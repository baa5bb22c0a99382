"""Drives the reading core against a world without sockets, and judges how it ends."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.api.budget import Budget
from airflow_provider_capillary.api.effects import (
    HoldTurns,
    Join,
    MaskSecret,
    ReadClock,
    Records,
    Response,
    Send,
    Sleep,
    Start,
    TakeTurn,
    TransportFailure,
)
from airflow_provider_capillary.api.executor import Credential, RequestExecutor
from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.reading.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.fake_api import FakeApi

    from airflow_provider_capillary.api.effects import Flow

BASIC = Credential(oauth=False, described="sent as Basic")


@dataclass
class Run:
    """What one reading did.

    :ivar ids: what it handed on.
    :ivar seen: the ids in all answers.
    :ivar took: seconds by the loop's clock.
    :ivar sent: when each request was sent, by that clock.
    """

    ids: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    slept: float = 0.0
    took: float = 0.0
    sent: list[float] = field(default_factory=list)
    error: CapillaryError | None = None


class Executor(RequestExecutor):
    """With so many lanes, whatever the clock shows; ``None`` for as many as the rate and the latency ask for."""

    def __init__(self, lanes: int | None, **settings: Any) -> None:
        super().__init__(**settings)
        self.fixed_lanes = lanes

    @property
    def lanes(self) -> int:
        return super().lanes if self.fixed_lanes is None else self.fixed_lanes


def make_reader(*, per_minute: int = 10**9, seed: int = 0, lanes: int | None = None, **settings: Any) -> Reader:
    executor = Executor(lanes, credential=BASIC, per_minute=per_minute, rng=random.Random(seed))
    return Reader(executor, **settings)


@dataclass
class _Flow:
    """A flow of which the next effect has its outcome at a time."""

    steps: Flow[Any]
    ready_at: float
    outcome: Any = None
    request: dict[str, str] | None = None
    joined: _Flow | None = None
    end: Any = None
    is_over: bool = False


class Loop:
    """Carries out flows side by side, with a clock that moves only while all of them wait.

    :param answer: makes an outcome of the parameters of a request, halfway between its sending and its answer.
    :param latency: seconds from a request to its answer; with an ``rng``, from half of that to one and a half.
    :ivar sent: when each request was sent.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, str]], Response | TransportFailure],
        *,
        per_minute: int = 10**9,
        latency: float = 0.0,
        rng: random.Random | None = None,
    ) -> None:
        self.answer, self.latency, self.rng = answer, latency, rng
        self.budget = Budget(per_minute)
        self.now = 1_000.0
        self.slept = 0.0
        self.sent: list[float] = []
        self.flows: list[_Flow] = []
        self.records: list[dict[str, Any]] = []

    def run(self, steps: Flow[Any]) -> Any:
        """Carry out a flow and all that it starts; raises what it raises."""
        main = _Flow(steps, self.now)
        self.flows.append(main)
        while not main.is_over:
            able = [flow for flow in self.flows if flow.joined is None]
            self.now = max(self.now, min(flow.ready_at for flow in able))
            able = [flow for flow in able if flow.ready_at <= self.now]
            self._advance(self.rng.choice(able) if self.rng else able[0])
        for flow in self.flows:
            flow.steps.close()
        if isinstance(main.end, Exception):
            raise main.end
        return main.end

    def _advance(self, flow: _Flow) -> None:
        if flow.request is not None:
            # The server decides now; the answer is on its way for as long again.
            flow.outcome, flow.request = self.answer(flow.request), None
            flow.ready_at = self.now + self._half()
            return
        outcome, flow.outcome = flow.outcome, None
        try:
            effect = flow.steps.send(outcome)
        except Exception as error:  # noqa: BLE001  # whatever ends a flow is its outcome
            flow.end, flow.is_over = error.value if isinstance(error, StopIteration) else error, True
            self.flows.remove(flow)
            for waiting in self.flows:
                if waiting.joined is flow:
                    waiting.joined, waiting.outcome, waiting.ready_at = None, flow.end, self.now
            return
        self._perform(flow, effect)

    def _perform(self, flow: _Flow, effect: Any) -> None:  # noqa: C901  # a case for each effect
        match effect:
            case ReadClock():
                flow.outcome = self.now
            case TakeTurn():
                flow.outcome = self.budget.take(self.now)
            case HoldTurns():
                self.budget.hold(self.now, effect.seconds)
            case Sleep():
                self.slept += effect.seconds
                flow.ready_at = self.now + effect.seconds
            case Records():
                self.records += effect.records
            case Send():
                self.sent.append(self.now)
                flow.request = dict(effect.request.params)
                flow.ready_at = self.now + self._half()
            case Start():
                flow.outcome = _Flow(effect.flow, self.now)
                self.flows.append(flow.outcome)
            case Join():
                joined: Any = effect.started
                if joined.is_over:
                    flow.outcome = joined.end
                else:
                    flow.joined = joined
            case MaskSecret():
                raise AssertionError("nothing to conceal with Basic")

    def _half(self) -> float:
        return self.latency * (self.rng.uniform(0.25, 0.75) if self.rng else 0.5)


def drive(
    reader: Reader,
    world: FakeApi,
    start: int,
    end: int,
    *,
    event_name: str | None = None,
    fault: Callable[[int], Response | TransportFailure | None] = lambda _number: None,
    most: int = 5000,
    **options: Any,
) -> Run:
    """Carry out the steps of one reading. What it yields is filtered by the name, as the hook does.

    :param options: of the :class:`Loop`.
    """
    run = Run()

    def answer(params: dict[str, str]) -> Response | TransportFailure:
        run.asked.append(params)
        assert len(run.asked) <= most, "the reading does not end"
        outcome = fault(len(run.asked))
        if outcome is None:
            if present is not None:
                world.present = present + int((loop.now - begun) * 1000)
            status, body = world.answer(params)
            run.seen.update(record["id"] for record in body.get("data") or ())
            outcome = reply(status, body, received=(world.present or 0) / 1000)
        return outcome

    loop = Loop(answer, **options)
    begun, present = loop.now, world.present
    try:
        loop.run(reader.read(start, end, event_name=event_name))
    except CapillaryError as error:
        run.error = error
    run.slept, run.sent = loop.slept, loop.sent
    run.took = loop.now - begun
    run.ids = [record["id"] for record in loop.records if event_name in (None, record.get("eventName"))]
    return run


def reply(status: int, body: Any, *, received: float = 0.0) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode(), received=received)


def truth(world: FakeApi, start: int, end: int, event_name: str | None = None) -> Counter[str]:
    """The ids of the interval's records, late ones included."""
    inside = (record for record in world.records if start <= record["startTime"] < end)
    return Counter(record["id"] for record in inside if event_name in (None, record.get("eventName")))
