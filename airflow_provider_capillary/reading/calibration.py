"""Finds out how this API reads dates, from its own records, before any answer to a window is believed.

An undated request gives records whose times are known. A window around one of them must return it: a window within a minute at first,
then within a quarter of an hour, within a day, and of days. And the window must not return the others: an API that does not read a date
may ignore it.

**Which precisions are ruled out.** An API may floor dates to a unit (a minute, a day) and leave out its bounds. It then answers a window
within one such unit with nothing, whichever time of a record it compares. So an answer with records to a window within one unit rules out
that unit and all coarser ones. Where the window holds the beginning of a unit, a second window at another time of the hour or day decides.
Where no second window does, the API is taken to read dates to that unit, until :mod:`.precision` shows that it reads them more finely.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE, PRECISIONS, QUARTER, SECOND
from airflow_provider_capillary.errors import ParametersRefusedError
from airflow_provider_capillary.reading.bounds import MARGIN, Bounds
from airflow_provider_capillary.reading.diagnosis import NOTHING, OTHERS, REFUSED, explain, wrong_zone
from airflow_provider_capillary.reading.precision import cell_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow, Record
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.responses import Page
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["calibrate"]

CANDIDATES: Final = 50
"""How many of the known records are weighed as the one to ask around."""


def calibrate(
    client: EventLogsClient, formats: Sequence[DateFormat], *, known: EventLogs | None = None, may_repeat: bool = True
) -> Flow[Bounds | None]:
    """Find the first of ``formats`` that this API reads to the second, or else to the minute, the hour, the day.

    :param known: records of the API; left out, it is asked for some without dates.
    :param may_repeat: whether to begin again, once, where the API has come to answer with less.
    :returns: ``None`` where two requests without dates, which can't be misread, show no record; :mod:`.no_records` then asks with dates.
    :raises CalibrationError: where none fits; says what was asked, what came back, and the offset that would fit.
    """
    for _ in range(2):
        known = known or (yield from client.fetch_undated()).records
    if not known:
        return None
    search = _Search(client, known, may_choose=len(formats) > 1)
    for unit in (SECOND, MINUTE):
        bounds = yield from search.any_of(formats, unit)
        if bounds is not None:
            return bounds
    if may_repeat:
        # The API may have come to answer with fewer records, or to refuse the limit, since the first answer.
        limit = client.limit
        now = yield from client.fetch_undated()
        if client.limit < limit or 0 < len(now) < len(known):
            client.capacity.fall(len(now))
            return (yield from calibrate(client, formats, may_repeat=False))
    error = yield from wrong_zone(client, search.tried, known)
    if error is not None:
        raise error
    for unit in (HOUR, DAY):
        bounds = yield from search.any_of(formats, unit)
        if bounds is not None:
            return bounds
    raise explain(search.tried, known)


def _inside(dates: DateFormat, unit: int, time: int) -> tuple[int, int] | None:
    """The longest window around ``time`` that rules out every unit coarser than ``unit``; ``None`` where there is none."""
    if unit >= DAY or (unit == HOUR and dates.carries_zone):
        # The API's days may begin at any hour.
        return None
    first, last = dates.floor(time, DAY), dates.ceil(time + 1, DAY)
    if unit < HOUR:
        first = time - time % cell_length(unit)
        last = first + cell_length(unit)
    low, high = dates.ceil(first + unit), dates.floor(last - unit)
    return (low, high) if low < time < high else None


class _Search:
    """Looks for known records by their dates.

    :param may_choose: whether there is another format to turn to.
    :ivar tried: what came of each format.
    """

    def __init__(self, client: EventLogsClient, known: EventLogs, *, may_choose: bool) -> None:
        self._client = client
        self._known = known
        self._may_choose = may_choose
        self._ignores = False
        self.tried: dict[DateFormat, str] = {}

    def any_of(self, formats: Iterable[DateFormat], unit: int) -> Flow[Bounds | None]:
        """Look with windows of one unit, in each format that can write it, unless it was refused or answered with other records."""
        for dates in formats:
            if dates.resolution <= unit and self.tried.get(dates, NOTHING) == NOTHING:
                bounds = yield from self.around(dates, unit)
                if bounds is not None:
                    return bounds
        return None

    def around(self, dates: DateFormat, unit: int) -> Flow[Bounds | None]:
        """Look around one record; ``None``, with the reason in ``tried``, where it is not found, or others are."""
        probes = _Probes(dates, unit, self._known, now=self._client.now)
        probe = probes.best
        if self._ignores and not (yield from self._excludes(probe)):
            self.tried[dates] = OTHERS
            return None
        try:
            answer = yield from self._client.fetch_window(dates, probe.low, probe.high)
        except ParametersRefusedError:
            self.tried[dates] = REFUSED
            return None
        if any(probe.bounds.is_elsewhere(time, probe.low, probe.high) for time in answer.records.times):
            self.tried[dates] = OTHERS
            return None
        if not probe.is_shown_by(answer):
            self.tried[dates] = NOTHING
            return None
        if self._is_in_doubt(probe, answer) and not self._ignores and not (yield from self._excludes(probe)):
            # From now on `_excludes` is asked before the probe: an API that ignores one date that it cannot read ignores them all.
            self._ignores = True
            self.tried[dates] = OTHERS
            return None
        return Bounds(dates=dates, unit=(yield from self._unit_of(probes)))

    def _unit_of(self, probes: _Probes) -> Flow[int]:
        """The coarsest unit that is not ruled out."""
        if not probes.best.held:
            return probes.unit
        if (other := probes.apart_from_best) is not None:
            answer = yield from self._client.fetch_window(probes.dates, other.low, other.high)
            if other.is_shown_by(answer):
                return probes.unit
        return probes.best.held[-1]

    def _is_in_doubt(self, probe: _Probe, answer: Page) -> bool:
        """Whether an API that ignores the dates could have answered the same: with others than the window's, or with all that are known.

        Not where the format is set and read finely: there is no other to choose, and records from outside of a window are an error.
        """
        if not self._may_choose and probe.bounds.step <= MINUTE:
            return False
        shown = set(answer.records.ids)
        others = any(not probe.is_near(time) for time in answer.records.times)
        return others or all(name in shown or probe.is_near(time) for time, name in self._known.pairs())

    def _excludes(self, probe: _Probe) -> Flow[bool]:
        """Whether a window as long as the probe, days before its record, keeps out what lies outside of it."""
        dates = probe.bounds.dates
        low, high = dates.floor(probe.low - 4 * DAY), dates.ceil(probe.high - 4 * DAY)
        try:
            answer = yield from self._client.fetch_window(dates, low, high)
        except ParametersRefusedError:
            return False
        return not any(probe.bounds.is_elsewhere(time, low, high) for time in answer.records.times)


class _Probe:
    """A window around a record.

    :ivar ends_in_future: whether the window ends after the API's clock.
    :ivar room: how much later than its record's ``startTime`` the filter may date it, milliseconds.
    :ivar held: the units of which it holds a beginning, finest first; it does not rule them out.
    """

    def __init__(self, dates: DateFormat, unit: int, record: Record, *, now: int) -> None:
        self.record = record
        self.bounds = Bounds(dates=dates, unit=unit)
        inside = _inside(dates, unit, record["startTime"])
        # Most of what the filter dates later than startTime is found as well.
        later = unit if unit < MINUTE else MARGIN
        if unit >= HOUR and dates.carries_zone:
            # The API's unit may begin up to one unit before the date that is sent, and the window end there.
            later += unit
        span = self.bounds.floor(record["startTime"]), self.bounds.ceil(record["startTime"] + 1 + later)
        self.low, self.high = inside or self.bounds.window(*span)
        # An API may refuse a window that ends in the future, or answer it with nothing.
        self.ends_in_future = 0 < now < self.high
        if self.ends_in_future and inside and (present := self.bounds.floor(now)) > record["startTime"]:
            self.high, self.ends_in_future = present, False
        self.room = min(self.high - record["startTime"], MARGIN)
        self.held = [coarser for coarser in PRECISIONS if coarser > unit and self._holds_beginning(coarser)]

    def is_near(self, time: int) -> bool:
        """Whether the window explains a record at ``time``, whichever of its times the API compares."""
        return self.low - MARGIN <= time <= self.high + self.bounds.step

    def is_shown_by(self, answer: Page) -> bool:
        """Whether the API has read the window: its record is there, or others are, and all of them from around it."""
        times = answer.records.times
        return (bool(times) and all(map(self.is_near, times))) or self.record["id"] in answer.records.ids

    def _holds_beginning(self, unit: int) -> bool:
        if unit == DAY and not self.bounds.dates.carries_zone:
            # The API's own days, for what is written is what it reads.
            return self.bounds.dates.ceil(self.low + 1, DAY) <= self.high
        grid = min(unit, QUARTER)
        return self.high // grid > self.low // grid


class _Probes:
    """Windows of one unit around the known records, by how much they rule out."""

    def __init__(self, dates: DateFormat, unit: int, known: EventLogs, *, now: int) -> None:
        self.dates = dates
        self.unit = unit
        by_time = sorted(range(len(known)), key=known.times.__getitem__)
        step = max(1, len(by_time) // CANDIDATES)
        self._all = [_Probe(dates, unit, known[place], now=now) for place in by_time[::step]]
        times = sorted(known.times)

        def worth(index: int) -> tuple[float, ...]:
            probe = self._all[index]
            crowd = bisect_right(times, probe.high) - bisect_left(times, probe.low)
            took = _response_time(probe.record)
            return probe.ends_in_future, len(probe.held), probe.room < 2 * took, crowd, took - probe.room, abs(2 * index - len(self._all))

        self.best = self._all[min(range(len(self._all)), key=worth)]

    @property
    def apart_from_best(self) -> _Probe | None:
        """A window that can't hold the same beginning of a unit as the best one, at whatever time of the unit that is."""
        unit, best = self.best.held[0], self.best
        for probe in self._all:
            distance = (probe.low - best.low) % unit
            if best.high - best.low < distance < unit - (probe.high - probe.low):
                return probe
        return None


def _response_time(record: Record) -> float:
    """The filter may compare the time at which processing has ended: the shorter that took, the closer it is to ``startTime``."""
    took = record.get("responseTime")
    return abs(took) if isinstance(took, int | float) else 0
