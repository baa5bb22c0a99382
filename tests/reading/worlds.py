"""Readings of small worlds, and the one checker that judges them: the exact truth, or an error that names the right cause."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.emulator.world import World
from airflow_provider_capillary.errors import (
    CalibrationError,
    CapillaryError,
    ContinuityError,
    ParametersRefusedError,
    TieError,
)
from airflow_provider_capillary.reading.dates import AUTO
from airflow_provider_capillary.reading.questions import SMALLER_LIMITS
from airflow_provider_capillary.reading.steps import NoReply, Reply
from airflow_provider_capillary.reading.walk import FEW
from reading.driving import Run, drive, make_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Case", "judge", "passing_faults"]

UNITS = {"ms": 1, "s": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}


class Skipping(World):
    """A world whose answers, where they are full, lack a record in their midst: its pages have holes."""

    def answer(self, params: Mapping[str, str]) -> tuple[int, Any]:
        """As any world, with a hole."""
        status, envelope = super().answer(params)
        data = envelope.get("data") or []
        if len(data) > 2 and len(data) >= min(int(params.get("limit", "10")), self.liberties.limit_cap or 10**9):
            envelope = {**envelope, "data": [data[0], *data[2:]]}
        return status, envelope


@dataclass
class Case:
    """One reading of one world.

    :param skips: whether its pages have holes.
    """

    seed: int
    liberties: dict[str, Any]
    records: list[dict[str, Any]]
    start: int
    end: int
    settings: dict[str, Any] = field(default_factory=dict)
    event_name: str | None = None
    skips: bool = False

    def read(self, *, faulty: bool = False) -> tuple[Run, World]:
        """Read it once."""
        world = (Skipping if self.skips else World)(self.records, seed=self.seed, **self.liberties)
        fault = passing_faults(self.seed) if faulty else (lambda _number: None)
        reader = make_reader(seed=self.seed, **self.settings)
        return drive(reader, world, self.start, self.end, event_name=self.event_name, fault=fault), world

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        data = asdict(self)
        data["records"] = [[record["startTime"], record["id"], record["eventName"]] for record in self.records]
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Case:
        """From what :meth:`to_data` made."""
        records = [{"id": name, "startTime": time, "eventName": event, "status": "EVENT_SUCCESS"} for time, name, event in data["records"]]
        return cls(**{**data, "records": records})

    @property
    def page(self) -> int:
        """How many records an answer may hold at the most."""
        caps = [self.liberties.get("limit_cap"), (self.liberties.get("limit_cap_later") or [None, None])[1]]
        asked = 10 if "limit" in self.liberties.get("ignores", ()) else self.settings.get("page_size", 1000)
        most = min([asked, *(cap for cap in caps if cap)])
        if self.liberties.get("over_limit") == "refuse" and most < asked:
            most = max([1, *(limit for limit in SMALLER_LIMITS if limit <= most)])
        return most

    @property
    def instant(self) -> int:
        """The API's precision as far as dates of the format that is used can reach it, milliseconds."""
        formats, setting = self.liberties.get("date_format", ("iso",)), self.settings.get("date_format", "auto")
        coarse = setting not in ("auto", "epoch_ms") or "epoch_ms" not in formats
        written = 1000 if coarse else 1
        if "date" in (setting, *formats):
            written = UNITS["day"]
        elif "%M" in setting and "%S" not in setting:
            written = UNITS["minute"]
        return max(written, UNITS[self.liberties.get("precision", "ms")])

    @property
    def crowd(self) -> int:
        """The most records that lie within one instant, and on the far side of its end."""
        times = sorted(record["startTime"] for record in self.records)
        unit = self.instant
        return max((sum(each <= other <= each // unit * unit + unit for other in times) for each in times), default=0)

    @property
    def is_crowded(self) -> bool:
        """Whether a window that holds an instant, in any reading of its bounds, may hold as many records as the longest answer."""
        times, unit = sorted(record["startTime"] for record in self.records), self.instant
        if self.settings.get("timezone") or self.liberties.get("timezone"):
            # The hour that happens twice is one instant to dates without an offset; in a wrong zone, a day may be.
            unit = max(unit, UNITS["hour"] if unit == 1000 else UNITS["day"])
        crowd = max(
            (sum(each // unit * unit - unit <= other < each // unit * unit + 2 * unit for other in times) for each in times), default=0
        )
        return crowd >= min(self.page - self.skips, len(times))

    @property
    def is_one_instant(self) -> bool:
        """Whether the API shows nothing but several records of one instant: then no answer tells whether there are more of them."""
        return len(self.records) > 1 and len({record["startTime"] // 1000 for record in self.records}) <= 2

    def most_requests(self, count: int) -> int:
        """What reading so many records may cost."""
        times = Counter(record["startTime"] // self.instant for record in self.records if self.start <= record["startTime"] < self.end)
        calibration = 8 if self.settings.get("date_format", "auto") == "auto" else 2
        return math.ceil(count / (self.page - max(times.values(), default=0))) + 4 + calibration


def passing_faults(seed: int) -> Any:
    """Faults of 15 % of the requests: 5xx, 429 in several forms, resets, cut-off bodies, HTML, nothing."""
    rng = random.Random(-seed)
    retry_after = ["1", "99999", "soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"]

    def fault(_number: int) -> Reply | NoReply | None:
        if rng.random() > 0.15:
            return None
        return rng.choice(
            [
                NoReply(what="a connection that broke", cure="retry"),
                Reply(status=rng.choice([500, 502, 503, 504, 520, 461]), headers={}, body=b""),
                Reply(status=429, headers={"retry-after": rng.choice(retry_after)}, body=b""),
                Reply(status=429, headers={}, body=b""),
                Reply(status=200, headers={}, body=b'{"data":[{"id":'),
                Reply(status=200, headers={"content-type": "text/html"}, body=b"<html>"),
                Reply(status=200, headers={}, body=b""),
            ]
        )

    return fault


def causes(case: Case) -> set[type[CapillaryError]]:
    """The errors that name something which this server does."""
    does = case.liberties
    reads, written = does.get("date_format", ("iso",)), case.settings.get("date_format", "auto")
    unread = not set(reads).intersection(AUTO if written == "auto" else (written,))
    refuses = "refuse" in (does.get("over_limit"), does.get("over_span"))
    is_one_at_a_time = case.page < 2
    named: list[tuple[type[CapillaryError], object]] = [
        # Dates: the format, the zone, the precision, a filter that is ignored, a window that is cut.
        (CalibrationError, unread),
        (CalibrationError, does.get("timezone", "UTC") != case.settings.get("timezone", "UTC")),
        (CalibrationError, does.get("precision") in ("minute", "hour", "day") or case.instant > 1000),
        (CalibrationError, set(does.get("ignores", ())) & {"from_date", "to_date"}),
        (CalibrationError, does.get("strays")),
        (CalibrationError, does.get("max_span") is not None or (does.get("limit_cap_later") and does.get("unparsable_date") == "ignore")),
        (CalibrationError, does.get("limit_cap_later") and does.get("cut", "leading") != "leading"),
        # Records that were not there without dates, and then are with dates.
        (CalibrationError, does.get("late_share")),
        (CalibrationError, does.get("order") == "shuffled" or does.get("cut") == "sample_random" or case.skips or is_one_at_a_time),
        (ParametersRefusedError, does.get("over_span") == "refuse" and does.get("max_span") is not None),
        (ParametersRefusedError, refuses and (is_one_at_a_time or does.get("limit_cap_later"))),
        (ParametersRefusedError, unread and does.get("unparsable_date") == "refuse"),
        (ContinuityError, does.get("order") in ("unsorted", "shuffled") or does.get("strays")),
        (ContinuityError, does.get("max_span") is not None and does.get("over_span", "refuse") != "refuse"),
        (ContinuityError, does.get("timezone") and case.instant >= UNITS["minute"]),
        (ContinuityError, does.get("cut", "leading") != "leading" or case.skips),
        (ContinuityError, does.get("late_share") or does.get("limit_cap_later") or is_one_at_a_time),
        (TieError, does.get("limit_cap_later") or case.is_crowded or case.page <= 2),
        # So few that an answer with one more is as long as any.
        (TieError, does.get("late_share") and len(case.records) <= 4),
        # What is not there is in the place of what is.
        (TieError, does.get("ignores") or does.get("strays") or does.get("cut") == "sample_random"),
    ]
    return {error for error, cause in named if cause}


def judge(case: Case, run: Run, world: World) -> str | None:
    """What is wrong with how a reading ended, ``None`` where nothing is."""
    if run.error is not None:
        return None if isinstance(run.error, tuple(causes(case))) else f"the wrong cause: {type(run.error).__name__}"
    inside = [record for record in world.records if case.start <= record["startTime"] < case.end]
    wanted = {record["id"] for record in inside if case.event_name in (None, record["eventName"])}
    got = Counter(run.ids)
    if any(number != 1 or name not in wanted for name, number in got.items()):
        return "a record twice, or one from outside of the interval"
    # What begins to show while it is read may be among them or not; what showed at its beginning must be.
    late = {name for name, (_, request) in world._late.items() if request > 1}
    missing = wanted - got.keys() - late
    return "records lost without an error" if missing and not is_beyond_proof(case, run) else None


def is_beyond_proof(case: Case, run: Run) -> bool:
    """Whether the world differs in no answer from one in which nothing is lost, or only after the first pages; the README names both."""
    does = case.liberties
    has_holes = case.skips or does.get("cut", "leading") != "leading"
    return bool(
        # An API that only ever shows one and the same record can't be told from one that holds no other ...
        (case.page < 2 and len(run.seen) <= 1)
        # ... nor can holes within one instant be seen by any window, or those that come about later.
        or (has_holes and (case.is_crowded or does.get("limit_cap_later")))
        # Pages of two or three look sorted by chance, now and then eight in a row.
        or (does.get("order") in ("unsorted", "shuffled") and case.page <= FEW)
    )
