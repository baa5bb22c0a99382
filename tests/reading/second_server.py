"""A second stand-in, to check the first: from the API's page, with no code in common.

It takes ``from_date``, ``to_date`` (ISO, whole seconds, UTC), ``event_name`` and ``limit``, and gives at most 100 records. What the page
leaves open is drawn: which of two times the dates are compared with, whether the bounds count, and one of seven orders.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["ORDERS", "Day", "SecondServer", "all_days"]

ORDERS = ("start up", "start down", "written up", "written down", "by id", "mixed once", "mixed anew")
PER_ANSWER = 100
MIDNIGHT = 1_758_067_200_000
DAY = 24 * 3600 * 1000


@dataclass(frozen=True)
class Day:
    """What one server is, and so what one reading of 2,500 event logs a day is of.

    :param by_written: whether the dates are compared with the time of writing.
    :param slowest: the longest response, milliseconds.
    :param closed: whether a record at a bound is in the window.
    """

    seed: int
    order: str
    by_written: bool
    slowest: int
    closed: bool


def all_days(seeds: int) -> list[Day]:
    """So many of each of the 56 kinds."""
    return [
        Day(seed, order, by_written, slowest, closed)
        for seed in range(seeds)
        for order in ORDERS
        for by_written in (False, True)
        for slowest in (500, 60_000)
        for closed in (True, False)
    ]


class SecondServer:
    """Answers as the page says, and as the day has it."""

    def __init__(self, day: Day, *, per_day: int = 2_500) -> None:
        self.day = day
        self.present: int | None = None  # later than all dates
        chance = random.Random(repr(day))
        self._anew = random.Random(-day.seed)
        self.records: list[dict[str, Any]] = []
        # A day before and a day after too: there is no beginning and no end of the world at midnight.
        for _ in range(3 * per_day):
            self.records.append(
                {
                    "startTime": MIDNIGHT - DAY + chance.randrange(3 * DAY),
                    "responseTime": chance.randrange(13, day.slowest),
                    "orgId": 100737,
                    "status": "EVENT_SUCCESS",
                    "eventName": chance.choice(("Cart", "Visit")),
                    "id": f"{chance.getrandbits(128):032x}",
                }
            )
        self._drawn = {record["id"]: chance.random() for record in self.records}

    def truth(self, start: int, end: int) -> list[str]:
        """The ids of the event logs that started in ``[start, end)``."""
        return sorted(record["id"] for record in self.records if start <= record["startTime"] < end)

    def answer(self, params: dict[str, str]) -> tuple[int, Any]:
        """Status and envelope."""
        try:
            first, last = (_millis(params[name]) if name in params else None for name in ("from_date", "to_date"))
            limit = int(params.get("limit", "10"))
        except ValueError:
            return 400, {"warnings": [], "errors": [{"status": False, "code": 400, "message": "Invalid parameters"}]}
        found = [record for record in self.records if self._is_within(record, first, last)]
        if params.get("event_name"):
            found = [record for record in found if record["eventName"] == params["event_name"]]
        found = self._in_order(found)[: min(limit, PER_ANSWER)]
        return 200, {"data": found, "warnings": [], "errors": []}

    def _is_within(self, record: dict[str, Any], first: int | None, last: int | None) -> bool:
        time = record["startTime"] + (record["responseTime"] if self.day.by_written else 0)
        if self.day.closed:
            return (first is None or time >= first) and (last is None or time <= last)
        return (first is None or time > first) and (last is None or time < last)

    def _in_order(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        order = self.day.order
        if order == "mixed anew":
            return self._anew.sample(found, len(found))
        if order == "mixed once":
            return sorted(found, key=lambda record: self._drawn[record["id"]])
        if order == "by id":
            return sorted(found, key=lambda record: record["id"])
        written = order.startswith("written")
        return sorted(found, key=lambda r: r["startTime"] + (r["responseTime"] if written else 0), reverse=order.endswith("down"))


def _millis(text: str) -> int:
    # Strictly: an offset, a fraction or another form is none of this server's.
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1000
