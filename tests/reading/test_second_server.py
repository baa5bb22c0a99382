"""Days of 2,500 event logs, read from servers of every order, of which the reader can't know which it has before it.

A few of them here; all 448, some minutes of them, by hand: ``python tests/reading/test_second_server.py [seeds of each kind]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    TESTS = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from reading.driving import drive, make_reader
from reading.second_server import DAY, MIDNIGHT, ORDERS, Day, SecondServer, all_days


def ending(day: Day, *, per_day: int = 2_500) -> str:
    """How the reading of a day ends."""
    server = SecondServer(day, per_day=per_day)
    run = drive(make_reader(), server, MIDNIGHT, MIDNIGHT + DAY)
    if run.error is not None:
        return type(run.error).__name__
    return "whole" if sorted(run.ids) == server.truth(MIDNIGHT, MIDNIGHT + DAY) else "WRONG"


@pytest.mark.parametrize("slowest", [500, 60_000])
@pytest.mark.parametrize("by_written", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_a_day_is_read_whole_in_any_order(order: str, by_written: bool, slowest: int) -> None:
    """Each with bounds that count, or not, in turn."""
    day = Day(7, order, by_written, slowest, closed=(ORDERS.index(order) + by_written) % 2 == 0)
    assert ending(day, per_day=900) == "whole"


def test_an_incomplete_day_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that the server never shows."""
    day = Day(7, "start down", by_written=False, slowest=500, closed=True)
    answer = SecondServer.answer

    def hiding(self: SecondServer, params: dict[str, str]) -> tuple[int, dict]:
        status, envelope = answer(self, params)
        hidden = min(record["id"] for record in self.records if MIDNIGHT <= record["startTime"] < MIDNIGHT + DAY)
        return status, envelope | {"data": [record for record in envelope.get("data", ()) if record["id"] != hidden]}

    assert ending(day, per_day=100) == "whole"
    monkeypatch.setattr(SecondServer, "answer", hiding)
    assert ending(day, per_day=100) != "whole"


def main() -> int:
    """Print how many of the days of each kind were read whole, and how the others ended."""
    days = all_days(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
    ends = {day: ending(day) for day in days}
    for order in ORDERS:
        for by_written in (False, True):
            of_kind = [end for day, end in ends.items() if (day.order, day.by_written) == (order, by_written)]
            others = {end: of_kind.count(end) for end in sorted(set(of_kind) - {"whole"})}
            compared = "written" if by_written else "start"
            sys.stdout.write(
                f"{order:<13} compared with {compared:<8} {of_kind.count('whole'):>4} of {len(of_kind)} whole {others or ''}\n"
            )
    wrong = [day for day, end in ends.items() if end != "whole"]
    sys.stdout.write(f"{len(days) - len(wrong)} of {len(days)} whole\n" + "".join(f"{ends[day]}: {day}\n" for day in wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
