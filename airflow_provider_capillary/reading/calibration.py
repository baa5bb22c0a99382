"""How this API reads dates, found out from its own records before anything it says about a window is believed.

An undated request gives records whose times are known. A dated request around one of them must return it, and must not return the
others: that settles the format, the zone, the precision, and that the filter is not ignored, in two requests where the format is
known and in at most eight where it is not.

**Which readings are ruled out.** An API may floor a date to a unit (a second, a day) and compare exclusively. The window asked for is so
tight that such a reading would have lost the record, unless the record happens to lie beside a boundary of the unit; so each unit
for which the answer would also have come about is kept as possible, and the walk asks for as much more at each end as the coarsest of
them needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import ContinuityError, ParametersRefusedError
from airflow_provider_capillary.reading.dates import DAY, LADDER, MINUTE, SECOND
from airflow_provider_capillary.reading.diagnosis import NOTHING, OTHERS, REFUSED, explain, wrong_zone
from airflow_provider_capillary.reading.order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_capillary.reading.answers import Answer
    from airflow_provider_capillary.reading.dates import DateFormat
    from airflow_provider_capillary.reading.questions import Questions
    from airflow_provider_capillary.reading.steps import Record, Steps

__all__ = ["Wire", "calibrate"]

CANDIDATES = 20
"""How many of the known records are weighed as the one to ask around."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What is known of how this API reads dates and orders its answers.

    :param dates: the format that it reads.
    :param unit: the unit to which it was seen to extend a window, milliseconds; 1 where none was seen.
    :param least: the unit below which dates are surely cut down: a window of less found nothing.
    :param upper_unit: the coarsest unit to which it may cut ``to_date`` down.
    :param lower_unit: the same for ``from_date``.
    :param order: of its answers; ``None`` where all times were equal.
    :param oldest: the least time that the undated answer held.
    :param newest: the greatest.
    """

    dates: DateFormat
    unit: int
    least: int
    upper_unit: int
    lower_unit: int
    order: Order | None
    oldest: int
    newest: int

    @property
    def instant(self) -> int:
        """What counts as one instant for this API, as far as is known: milliseconds."""
        return max(self.unit, self.least, self.dates.resolution)

    def upper(self, end: int) -> int:
        """The least ``to_date`` whose window surely holds every record before ``end``."""
        beyond = DAY if self.upper_unit >= MINUTE else 0
        return self.dates.up(self.dates.up(end, self.upper_unit) + beyond)

    def lower(self, start: int) -> int:
        """The greatest ``from_date`` whose window surely holds every record from ``start`` on."""
        beyond = DAY if self.lower_unit >= MINUTE else 0
        return self.dates.down(self.dates.down(start, self.lower_unit) - 1 - beyond)

    def described(self) -> dict[str, str | int]:
        """For the manifest."""
        return {
            "date_format": self.dates.name,
            "timezone": getattr(self.dates.zone, "name", str(self.dates.zone)),
            "precision_ms": self.instant,
            "order": str(self.order or "unknown"),
        }


@dataclass(frozen=True, slots=True)
class _Around:
    """A window around a record, and what an API that reads dates to a ``unit`` may answer to it."""

    dates: DateFormat
    low: int
    high: int
    unit: int = 1

    def reach(self, unit: int) -> tuple[int, int]:
        return self.dates.down(self.low, unit), self.dates.down(self.high, unit) + unit

    def holds(self, instant: int, unit: int) -> bool:
        first, beyond = self.reach(unit)
        return first <= instant < beyond

    def upper_unit(self, last: int) -> int:
        """The coarsest unit to which the API may cut ``to_date`` down and still have returned a record at ``last``."""
        return max(unit for unit in LADDER if unit <= self.dates.resolution or self.dates.down(self.high, unit) >= last)

    def lower_unit(self, first: int) -> int:
        """The coarsest unit whose first one the API may pass over and still have returned a record at ``first``."""
        return max(unit for unit in LADDER if unit <= self.dates.resolution or self.dates.down(self.low, unit) + unit <= first)


def calibrate(questions: Questions, formats: Sequence[DateFormat], *, may_repeat: bool = True) -> Steps[Wire | None]:
    """Find the first of ``formats`` that this API reads, and how.

    :param may_repeat: whether to begin again, once, where the API has come to answer with less.
    :returns: ``None`` where the API holds no record at all: an undated request, asked twice, has no date that could be misread.
    :raises CalibrationError: where none fits; says what was asked, what came back, and the offset that would fit.
    :raises ContinuityError: where the answers have no order in time.
    """
    known = (yield from questions.undated()).records
    if not known:
        known = (yield from questions.undated()).records
    if not known:
        return None
    search = _Search(questions, known, _order_of(known), may_choose=len(formats) > 1)
    for dates in formats:
        wire = yield from search.tight(dates)
        if wire is not None:
            return wire
    if may_repeat:
        # The API may have come to answer with fewer records, or to refuse the limit, since the first answer.
        limit = questions.limit
        now = yield from questions.undated()
        if questions.limit < limit or len(now) < len(known):
            questions.has_shrunk(len(now))
            return (yield from calibrate(questions, formats, may_repeat=False))
    error = yield from wrong_zone(questions, search.tried, known, search.order)
    if error is not None:
        raise error
    for dates in [dates for dates, said in search.tried.items() if said == NOTHING]:
        # An API that reads a full date only to the day answers a tight window with nothing.
        wire = yield from search.coarse(dates)
        if wire is not None:
            return wire
    raise explain(search.tried, known)


def _tight_around(dates: DateFormat, instant: int) -> _Around:
    return _Around(dates, dates.down(dates.down(instant) - 1), dates.up(instant + 1))


def _unit_around(unit: int) -> Callable[[DateFormat, int], _Around]:
    def around(dates: DateFormat, instant: int) -> _Around:
        whole = dates.down(instant, unit)
        return _Around(dates, dates.down(whole - 1), dates.up(whole + unit), unit)

    return around


class _Search:
    """Looks for known records by their dates.

    :param may_choose: whether there is another format to turn to.
    :ivar tried: what came of each format.
    """

    def __init__(self, questions: Questions, known: list[Record], order: Order | None, *, may_choose: bool) -> None:
        self._questions = questions
        self.order = order
        self._known = known
        self._may_choose = may_choose
        self._ignores = False
        self.tried: dict[DateFormat, str] = {}

    def tight(self, dates: DateFormat) -> Steps[Wire | None]:
        """Look with the tightest window that the format can write, then with one of seconds."""
        wire = yield from self.around(dates, _tight_around)
        if wire is None and self.tried[dates] == NOTHING and dates.resolution < SECOND:
            wire = yield from self.around(dates, _unit_around(SECOND))
        return wire

    def coarse(self, dates: DateFormat) -> Steps[Wire | None]:
        """Look with windows of a minute, an hour and a day."""
        for unit in LADDER:
            if unit > max(SECOND, dates.resolution):
                wire = yield from self.around(dates, _unit_around(unit))
                if wire is not None or self.tried[dates] != NOTHING:
                    return wire
        return None

    def around(self, dates: DateFormat, around_of: Callable[[DateFormat, int], _Around]) -> Steps[Wire | None]:
        """Look around one record; ``None``, with the reason in ``tried``, where it is not found, or others are."""
        anchor, around = _choose(self._known, dates, around_of)
        if self._ignores and not (yield from self._excludes(anchor, around)):
            self.tried[dates] = OTHERS
            return None
        try:
            answer = yield from self._questions.window(dates, around.low, around.high)
        except ParametersRefusedError:
            self.tried[dates] = REFUSED
            return None
        unit = _unit_of(answer, around)
        if unit is None or not self._shows(anchor, answer, tight=unit <= max(SECOND, dates.resolution)):
            near = not answer.records or (unit is not None and unit <= SECOND)
            self.tried[dates] = NOTHING if near else OTHERS
            return None
        if self._is_in_doubt(around, unit) and not self._ignores and not (yield from self._excludes(anchor, around)):
            # From now on it is asked first: an API that ignores one date that it cannot read ignores them all.
            self._ignores = True
            self.tried[dates] = OTHERS
            return None
        times = [record["startTime"] for record in answer.records]
        known_times = [record["startTime"] for record in self._known]
        return Wire(
            dates=dates,
            unit=unit,
            least=around.unit,
            upper_unit=around.upper_unit(max(times)),
            lower_unit=around.lower_unit(min(times)),
            order=self.order,
            oldest=min(known_times),
            newest=max(known_times),
        )

    def _shows(self, anchor: Record, answer: Answer, *, tight: bool) -> bool:
        # More records around the anchor than one answer holds may crowd it out; that all of them lie in so tight a window shows as much.
        crowded = tight and len(answer) >= len(self._known)
        return crowded or any(record["id"] == anchor["id"] for record in answer.records)

    def _is_in_doubt(self, around: _Around, unit: int) -> bool:
        """Whether an API that ignores the dates would have answered the same, because no known record lies outside of the window.

        Not where the format is set and read finely: there is no other to choose, and the walk itself rejects records from outside
        of its windows.
        """
        if not all(around.holds(record["startTime"], unit) for record in self._known):
            return False
        return self._may_choose or unit > max(SECOND, around.dates.resolution)

    def _excludes(self, anchor: Record, around: _Around) -> Steps[bool]:
        """Whether a window days before the anchor keeps out what lies outside of it."""
        dates, instant = around.dates, anchor["startTime"]
        beside = _Around(dates, dates.down(instant - 3 * DAY), dates.up(instant - 2 * DAY))
        try:
            answer = yield from self._questions.window(dates, beside.low, beside.high)
        except ParametersRefusedError:
            return False
        return all(beside.holds(record["startTime"], DAY) for record in answer.records)


def _choose(known: list[Record], dates: DateFormat, around_of: Callable[[DateFormat, int], _Around]) -> tuple[Record, _Around]:
    """The record whose window rules out the most readings, holds the fewest others, and has known records on both sides."""

    def worth(index: int) -> tuple[int, int, int]:
        instant = known[index]["startTime"]
        around = around_of(dates, instant)
        possible = around.upper_unit(instant) + around.lower_unit(instant)
        crowd = sum(around.low <= record["startTime"] <= around.high for record in known)
        return possible, crowd, abs(2 * index - len(known))

    step = max(1, len(known) // CANDIDATES)
    best = min(range(0, len(known), step), key=worth)
    return known[best], around_of(dates, known[best]["startTime"])


def _unit_of(answer: Answer, around: _Around) -> int | None:
    """The finest unit whose reading of the window explains every record of the answer; ``None`` where none does, or nothing came."""
    fits = (
        unit
        for unit in LADDER
        if unit >= around.dates.resolution and all(around.holds(record["startTime"], unit) for record in answer.records)
    )
    return next(fits, None) if answer.records else None


def _order_of(known: list[Record]) -> Order | None:
    try:
        return Order.of(known)
    except ValueError:
        raise ContinuityError(
            f"The API gives its records in no order of time: {len(known)} of them, asked for without dates",
            cure="such an answer cannot be read on past its limit; tell Capillary's support",
        ) from None
