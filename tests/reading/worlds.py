"""Readings of small worlds, and the one checker that judges them.

Where the windows of a world can be split (:mod:`reading.splitting`), only the whole truth will do. Elsewhere: the exact truth, or an
error that names something which this server does.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bench.dates import PRECISIONS
from bench.fake_api import FakeApi

from airflow_provider_capillary import errors
from airflow_provider_capillary.reading.lanes import Lanes
from reading.driving import Response, Run, TransportFailure, drive, make_reader
from reading.splitting import capacity, crowd, format_sent, in_future, unit_of, why_not

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOST", "NOT_WHOLE", "Case", "causes", "judge", "passing_faults"]

LOST = "records lost without an error"
NOT_WHOLE = "its windows can be split, and it is not read whole"
MOST_IN_A_ROW = 3
"""Faults that pass do so before any client gives up."""


class Skipping(FakeApi):
    """A world whose answers, where they are full, lack a record in their midst: its pages have holes."""

    def answer(self, params: Mapping[str, str]) -> tuple[int, Any]:
        """As any world, with a hole."""
        status, envelope = super().answer(params)
        data = envelope.get("data") or []
        if len(data) > 2 and len(data) >= self._limit(params.get("limit")):
            envelope = {**envelope, "data": [data[0], *data[2:]]}
        return status, envelope


@dataclass
class Case:
    """One reading of one world.

    :param family: which kind of world it was drawn as; empty where it was not drawn.
    :param skips: whether its pages have holes.
    :param lanes: how many windows are asked for side by side; the server decides on their answers in any order.
    """

    seed: int
    options: dict[str, Any]
    records: list[dict[str, Any]]
    start: int
    end: int
    settings: dict[str, Any] = field(default_factory=dict)
    event_name: str | None = None
    skips: bool = False
    family: str = ""
    lanes: int = 1

    def make_world(self) -> FakeApi:
        return (Skipping if self.skips else FakeApi)(self.records, seed=self.seed, **self.options)

    def read(self, *, faulty: bool = False) -> tuple[Run, FakeApi]:
        """Read it once."""
        world = self.make_world()
        fault = passing_faults(self.seed) if faulty else (lambda _number: None)
        reader = make_reader(seed=self.seed, lanes=self.lanes, **self.settings)
        rng = random.Random(self.seed)
        # However short the interval is.
        with patch.multiple(Lanes, worth_it=0, least_left=1):
            return drive(reader, world, self.start, self.end, event_name=self.event_name, fault=fault, latency=0.3, rng=rng), world

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        data = asdict(self)
        data["records"] = [[each["startTime"], each["id"], each["eventName"], each.get("responseTime", 0)] for each in self.records]
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Case:
        """From what :meth:`to_data` made."""
        records = [
            {"id": name, "startTime": time, "eventName": event, "status": "EVENT_SUCCESS", "responseTime": sum(taken)}
            for time, name, event, *taken in data["records"]
        ]
        return cls(**{**data, "records": records})


def passing_faults(seed: int) -> Any:
    """Faults of 15 % of the requests: 5xx, 429 in several forms, resets, cut-off bodies, HTML, nothing."""
    rng = random.Random(-seed)
    retry_after = ["1", "99999", "soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"]
    in_a_row = 0

    def fault(_number: int) -> Response | TransportFailure | None:
        nonlocal in_a_row
        if rng.random() > 0.15 or in_a_row == MOST_IN_A_ROW:
            in_a_row = 0
            return None
        in_a_row += 1
        return rng.choice(
            [
                TransportFailure(what="a connection that broke", hint="retry"),
                Response(status=rng.choice([500, 502, 503, 504, 520, 461]), headers={}, body=b""),
                Response(status=429, headers={"retry-after": rng.choice(retry_after)}, body=b""),
                Response(status=429, headers={}, body=b""),
                Response(status=200, headers={}, body=b'{"data":[{"id":'),
                Response(status=200, headers={"content-type": "text/html"}, body=b"<html>"),
                Response(status=200, headers={}, body=b""),
            ]
        )

    return fault


def causes(case: Case, world: FakeApi) -> set[str]:
    """The names of the errors that name something which this server does, where its windows can't be split."""
    does = case.options
    is_unread = format_sent(case) is None
    is_crowded = crowd(case, world) >= capacity(case, world)
    has_another_zone = does.get("timezone", "UTC") != case.settings.get("timezone", "UTC")
    ignores = set(does.get("ignores", ())) & {"from_date", "to_date"}
    is_coarse = PRECISIONS[unit_of(case)] > 1000
    max_span, over_span = does.get("max_span"), does.get("over_span", "refuse")
    any_of_the_matching = does.get("cut", "leading") != "leading" or does.get("order") in ("unsorted", "shuffled")
    named: list[tuple[str, object]] = [
        # Dates: the format, the zone, the precision, a filter that is ignored, a window that is cut.
        ("CalibrationError", is_unread or has_another_zone or is_coarse or ignores or does.get("strays") or max_span is not None),
        # An answer that is any of the matching may leave out the one record that is looked for.
        ("CalibrationError", is_crowded and (any_of_the_matching or does.get("filter_by") == "write_time")),
        # Records that were not there without dates, and then are with dates; or fewer at once than before.
        ("CalibrationError", does.get("late_share") or does.get("limit_cap_later") or case.skips),
        ("CalibrationError", in_future(case, world)),
        ("ParametersRefusedError", in_future(case, world)),
        ("ParametersRefusedError", max_span is not None and over_span == "refuse"),
        ("ParametersRefusedError", is_unread and does.get("unparsable_date") == "refuse"),
        # More at one time than an answer holds; or what is not of the window is in the place of what is.
        ("TieError", is_crowded or ignores or does.get("strays")),
        # Nothing that a date or a time could be blamed for: what the API gives at once, or to one window, has changed under the reading.
        ("CompletenessError", does.get("late_share") or does.get("limit_cap_later") or does.get("strays") or case.skips or ignores),
        ("CompletenessError", max_span is not None and over_span != "refuse"),
        # What only a reader that goes by order can say.
        ("ContinuityError", does.get("strays") or case.skips or any_of_the_matching or "write_time" in does.values()),
        ("ContinuityError", does.get("late_share") or does.get("limit_cap_later") or (max_span is not None and over_span != "refuse")),
        ("ContinuityError", has_another_zone or ignores),
    ]
    return {error for error, cause in named if cause}


def is_one_of(error: errors.CapillaryError, names: set[str]) -> bool:
    """By name, since not every one of these classes exists at all times; the root of them all stands for itself alone."""
    if "CompletenessError" in names and type(error) is errors.CompletenessError:
        return True
    kinds = [getattr(errors, name, None) for name in names - {"CompletenessError"}]
    return isinstance(error, tuple(kind for kind in kinds if kind is not None))


def judge(case: Case, run: Run, world: FakeApi) -> str | None:
    """What is wrong with how a reading ended, ``None`` where nothing is."""
    if run.error is not None:
        why = why_not(case, world)
        if why is None:
            return f"{NOT_WHOLE}: {type(run.error).__name__}"
        return None if is_one_of(run.error, causes(case, world)) else f"the wrong cause: {type(run.error).__name__}, and it is: {why}"
    inside = [record for record in world.records if case.start <= record["startTime"] < case.end]
    wanted = {record["id"] for record in inside if case.event_name in (None, record["eventName"])}
    got = Counter(run.ids)
    if any(number != 1 or name not in wanted for name, number in got.items()):
        return "a record twice, or one from outside of the interval"
    # What begins to show while it is read may be among them or not; what showed at its beginning must be.
    late = {name for name, (_, request) in world._late.items() if request > 1}
    return LOST if wanted - got.keys() - late else None
