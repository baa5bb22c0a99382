"""What happens at the API while an Airflow waits on it, and what of that arrives in its tasks."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bench import Emulator, Late

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["CANARIES", "DRIP", "FIGURES", "MATCHING", "Api", "Arrival", "Story", "arrivals_of", "canaries_of"]

MATCHING = ("EMF_PROCESSOR_FAILED", None)
"""Statuses that are waited for; None stands for a record without one."""
OTHERS = ("EVENT_SUCCESS", "INVALID_EVENT_NAME")
"""Statuses that nobody waits for."""

FIGURES: list[str] = []
"""What was measured and is not judged; shown at the end of the test run."""

DRIP = 4.0
"""Seconds that a slow answer takes."""

CANARIES = {
    "the password": "canary-pass-7f31",
    "inputRequest": "canary-input-request-88e0",
    "message": "canary-message-19c4",
}
"""What must not be written down anywhere, by what it is a part of."""


class Api:
    """An emulator for one connection, whose weather changes while it runs.

    Where it is stopped and started, it keeps its port and its records.
    """

    def __init__(self, port: int) -> None:
        self.fault: str | None = None
        self.asked = 0
        self._emulator = Emulator(
            port=port, login="live.till", password=CANARIES["the password"], faults=self._weather, drip_seconds=DRIP, throttle_seconds=1
        )

    def _weather(self, number: int, _params: Mapping[str, str]) -> str | None:
        self.asked = number
        return self.fault

    @property
    def emulator(self) -> Emulator:
        """The emulator itself."""
        return self._emulator

    def met(self, fault: str) -> int:
        """How many requests met a fault."""
        return sum(seen.fault == fault for seen in self._emulator.requests)

    def answers(self, *, after: int) -> int:
        """How many questions about a stretch of time were answered that came after request ``after``."""
        return sum(seen.number > after and seen.status == 200 and "from_date" in seen.params for seen in self._emulator.requests)

    def refused(self) -> int:
        """How many requests were refused for their credential."""
        return sum(seen.status == 401 for seen in self._emulator.requests)

    @contextlib.contextmanager
    def revoked(self) -> Iterator[None]:
        """The credential is refused."""
        self._emulator.authenticator.password = "another one"
        try:
            yield
        finally:
            self._emulator.authenticator.password = CANARIES["the password"]


class Arrival(NamedTuple):
    """One delivery to one task of one run."""

    by: str
    run: str
    ids: tuple[str, ...]
    begun: float


def arrivals_of(path: Path) -> list[Arrival]:
    """What the tasks have noted so far."""
    found = []
    text = path.read_text() if path.exists() else ""
    # What follows the last end of a line is being written.
    for line in text[: text.rfind("\n") + 1].splitlines():
        noted = json.loads(line)
        assert len(noted["ids"]) == noted["count"]
        found.append(Arrival(noted["by"], noted["run"], tuple(noted["ids"]), noted["begun"]))
    return found


def canaries_of(apis: Iterable[Api]) -> dict[str, str]:
    """All canaries, with what is derived from the password."""
    found = dict(CANARIES)
    for api in apis:
        found["the password's md5"] = json.loads(api.emulator.connection_json())["password"]
        found["the header"] = api.emulator.authenticator.basic_header.removeprefix("Basic ")
    return found


@dataclass
class Story:
    """All that happened at one API."""

    api: Api
    posted: dict[str, float] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._chance = random.Random(7)
        self._lock = threading.Lock()

    def post(self, status: str | None = MATCHING[0], *, late: float = 0.0) -> str:
        """Let an event happen; return its id.

        :param late: seconds after which it begins to show.
        """
        with self._lock:
            name, now = f"happened-{next(self._numbers):05d}", time.time()
            record = {"id": name, "startTime": int(now * 1000), "eventName": "order"}
            record |= {"status": status} if status is not None else {}
            record |= {"inputRequest": json.dumps({"text": CANARIES["inputRequest"]}), "message": CANARIES["message"]}
            self.api.emulator.add(record, late=Late(seconds=late) if late else None)
            if status in MATCHING:
                self.posted[name] = now + late
            else:
                self.others.add(name)
        return name

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Events of all kinds happen by themselves, some of them visible late."""
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(self._chance.uniform(0.5, 3.0)):
                self.post(self._chance.choice(MATCHING + OTHERS), late=self._chance.choice((0.0, 0.0, 1.0, 4.0)))

        thread = threading.Thread(target=run, name="happenings")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def missing(self, by: str, arrivals: Iterable[Arrival]) -> set[str]:
        """What did not arrive at one DAG; nothing else may."""
        came = self._came(by, arrivals)
        assert not set(came) - set(self.posted), "something arrived that does not match, or never happened"
        return set(self.posted) - set(came)

    def twice(self, by: str, arrivals: Iterable[Arrival]) -> dict[str, int]:
        """What arrived at one DAG more than once, and how often."""
        return {name: count for name, count in self._came(by, arrivals).items() if count > 1}

    @staticmethod
    def _came(by: str, arrivals: Iterable[Arrival]) -> Counter[str]:
        return Counter(name for arrival in arrivals if arrival.by == by for name in arrival.ids)
