"""One page of a walk: asked for, and checked to be what was asked for before anything is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CalibrationError, ContinuityError
from airflow_provider_capillary.reading.dates import SECOND
from airflow_provider_capillary.reading.order import Order

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.calibration import Wire
    from airflow_provider_capillary.reading.questions import Questions
    from airflow_provider_capillary.reading.steps import Record, Steps

__all__ = ["Page", "Pages", "TurnedRoundError"]


class TurnedRoundError(Exception):
    """The first answer that shows an order shows the other one: start again in that direction."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The records of one window, in the order of the walk.

    :param near: the bound from which the walk comes, as it was sent.
    :param far: the bound towards which it goes.
    :param count: how many records the answer held.
    """

    near: int
    far: int
    count: int
    records: list[Record] = field(repr=False)

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of its records."""
        return frozenset(record["id"] for record in self.records)

    @property
    def first(self) -> int:
        """The time of its first record."""
        return int(self.records[0]["startTime"])

    @property
    def last(self) -> int:
        """The time of its last record."""
        return int(self.records[-1]["startTime"])


class Pages:
    """Asks for the pages of one walk."""

    def __init__(self, questions: Questions, wire: Wire, order: Order, *, sure: bool, event_name: str | None) -> None:
        self._questions = questions
        self._wire = wire
        self._order = order
        self._decided = sure
        self._event_name = event_name

    def ask(self, near: int, far: int) -> Steps[Page]:
        """Ask for what lies between two bounds.

        :raises WindowRefusedError: where the API refuses the window.
        :raises CalibrationError: where the answer holds records from outside of it.
        :raises ContinuityError: where the answer is out of order.
        """
        low, high = (far, near) if self._order is Order.NEWEST_FIRST else (near, far)
        if low > high:
            # Beyond the end of the walk; some APIs refuse a window that ends before it begins.
            return Page(near=near, far=far, count=0, records=[])
        answer = yield from self._questions.steady_window(self._wire.dates, low, high, event_name=self._event_name)
        self._reject_strays(answer.records, low, high)
        self._reject_disorder(answer.records)
        # A record from beyond the far bound is true, but what lies before it may have been left out: not a step of the walk.
        edge = self._order.position(far)
        kept = [record for record in answer.records if self._order.position(record["startTime"]) <= edge]
        return Page(near=near, far=far, count=len(answer), records=kept)

    def _reject_strays(self, records: list[Record], low: int, high: int) -> None:
        dates, unit = self._wire.dates, max(self._wire.unit, SECOND)
        first, beyond = dates.down(low, unit), dates.down(high, unit) + unit
        strays = sum(not first <= record["startTime"] < beyond for record in records)
        if strays:
            raise CalibrationError(
                f"{strays} of {len(records)} records lie outside of the window that was asked for, by more than the precision seen before",
                asked=f"from_date={dates.text(low)} to_date={dates.text(high)}",
                cure="set the extra `date_format` to what this cluster reads",
            )

    def _reject_disorder(self, records: list[Record]) -> None:
        if not self._order.follows(records):
            try:
                shown = Order.of(records)
            except ValueError:
                shown = None
            if shown is not None and not self._decided:
                raise TurnedRoundError
            raise ContinuityError(
                f"A page of {len(records)} records is not {self._order}",
                cure="retry; if it stays so, the API's answers cannot be read on past their limit",
            )
        # Once records are handed on, turning round would hand them on twice.
        self._decided = self._decided or bool(records)
