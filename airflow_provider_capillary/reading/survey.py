"""Ask one API what its documentation leaves open, in at most :data:`MOST_REQUESTS` requests.

Every finding is something that an answer has shown. What no answer could show (a server whose records all took a few milliseconds does not
show which of their times it compares) stays ``None``, and the report says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import AUTO, DAY, HOUR, MINUTE, QUARTER, SECOND, DateFormat, zone_of
from airflow_provider_capillary.api.effects import Send
from airflow_provider_capillary.api.retries import RetryPlan
from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ParametersRefusedError
from airflow_provider_capillary.reading.bounds import MARGIN, Bounds
from airflow_provider_capillary.reading.calibration import calibrate
from airflow_provider_capillary.reading.diagnosis import finds_record, offset_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_capillary.api.effects import Flow, Record
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["IGNORED", "MOST_REQUESTS", "NOT_FOUND", "PLAN", "READ", "REFUSED", "SHIFTED", "START_TIME", "WRITE_TIME", "Findings", "survey"]

MOST_REQUESTS: Final = 20
PLAN: Final = RetryPlan(total=150.0)
"""For its requests: tries that span the minute of a limit, of which the API may name the rest in ``Retry-After`` or not."""
LARGE_LIMIT: Final = 10_000
"""Records; where the API gives all that a ``limit`` asks for, this many are asked for once."""

FURTHER: Final = 30 * DAY
"""Milliseconds before the oldest known record: where an API with more records than it gave at once has others."""
AROUND: Final = 15 * MINUTE
"""Milliseconds; a window reaches so far before and after a record to show whether a format is read, and in which zone."""
LARGEST_SHIFT: Final = 26 * HOUR

READ: Final = "read"
SHIFTED: Final = "read in another zone"
REFUSED: Final = "refused"
IGNORED: Final = "ignored, or read as another time"
NOT_FOUND: Final = "not read as meant"

START_TIME: Final = "startTime"
WRITE_TIME: Final = "a later time, such as the end of processing"


@dataclass(slots=True, kw_only=True)
class Findings:
    """What the answers have shown.

    :ivar error: why the survey ended early; ``None`` where it went through.
    :ivar newest: the newest ``startTime`` that was seen, UTC epoch milliseconds.
    :ivar records: how many records the first answer held.
    :ivar limit: the largest ``limit`` that was accepted.
    :ivar capacity: the most records in one answer.
    :ivar is_cut: whether the API has more records than it gave at once, so that ``capacity`` is its cap.
    :ivar formats: by name, what became of dates in each format that was tried.
    :ivar bounds: the format, precision and zone that a reading would use; ``None`` where none fits.
    :ivar timezone: the zone of dates without an offset; ``None`` where no such format was read.
    :ivar from_inclusive: whether a record exactly at ``from_date`` is in the answer; ``to_inclusive`` the same for ``to_date``.
    :ivar filter_by: the time of a record that the dates are compared with.
    :ivar order: the order of the first answer.
    :ivar crowd: the most records seen within one step of the dates.
    """

    error: CapillaryError | None = None
    newest: int | None = None
    records: int = 0
    limit: int = 0
    capacity: int = 0
    is_cut: bool = False
    formats: dict[str, str] = field(default_factory=dict)
    bounds: Bounds | None = None
    timezone: str | None = None
    from_inclusive: bool | None = None
    to_inclusive: bool | None = None
    filter_by: str | None = None
    order: str | None = None
    crowd: int = 0


def survey(client: EventLogsClient, *, date_format: str = "auto", timezone: str = "UTC") -> Flow[Findings]:
    """Find out what can be found out. Errors of the API end the survey and stand in :attr:`Findings.error`; none is raised.

    :param date_format: of the connection; ``auto`` or one that is tried first.
    :param timezone: of the connection.
    """
    return (yield from _at_most(MOST_REQUESTS, _Survey(client, date_format, timezone).run()))


def _at_most(most: int, flow: Flow[Findings]) -> Flow[Findings]:
    """The flow, which is told by an error in place of an answer where it asks for more requests than that."""
    sent, outcome, error = 0, None, None
    while True:
        try:
            effect = flow.send(outcome) if error is None else flow.throw(error)
        except StopIteration as ended:
            findings: Findings = ended.value
            return findings
        outcome, error = None, None
        if isinstance(effect, Send) and sent == most:
            error = CalibrationError(
                f"How this API reads dates could not be found out in {most} requests",
                hint="set the extras `date_format` and `timezone` to what this cluster reads, and check again",
            )
            continue
        sent += isinstance(effect, Send)
        outcome = yield effect


class _Survey:
    def __init__(self, client: EventLogsClient, date_format: str, timezone: str) -> None:
        self._client = client
        self._set_format = date_format
        self._zone_name = timezone
        self._first: Sequence[Record] = []
        self._seen: dict[str, Record] = {}
        self._large_limit = 0
        self._shifts: Counter[str] = Counter()
        self.findings = Findings()

    def run(self) -> Flow[Findings]:
        with self._client.noticing(self._notice):
            yield from self._survey()
        self._conclude()
        return self.findings

    def _survey(self) -> Flow[None]:
        findings = self.findings
        try:
            yield from self._ask_for_the_newest()
            if self._first:
                yield from self._find_dates()
        except CapillaryError as error:
            findings.error = error
        if findings.bounds is not None:
            for step in (self._look_further, self._try_precision, self._compare_times, self._try_bounds):
                try:
                    yield from step(findings.bounds)
                except CapillaryError:
                    continue  # one finding less, which the report says

    @property
    def _may_ask(self) -> bool:
        return self._client.executor.stats.requests < MOST_REQUESTS

    @property
    def _is_oldest_first(self) -> bool:
        return bool(self._first) and self._first[0]["startTime"] < self._first[-1]["startTime"]

    def _notice(self, records: Sequence[Record]) -> None:
        self._seen.update((record["id"], record) for record in records)

    def _ask_for_the_newest(self) -> Flow[None]:
        client = self._client
        self._first = (yield from client.fetch_undated()).records
        if self._first and len(self._first) == client.limit < LARGE_LIMIT:
            try:
                page = yield from client.executor.logs({"limit": str(LARGE_LIMIT)})
            except ParametersRefusedError:
                return
            self._notice(page.records)
            if len(page) > len(self._first):
                self._first, self._large_limit = page.records, LARGE_LIMIT

    def _find_dates(self) -> Flow[None]:
        findings = self.findings
        names = AUTO if self._set_format == "auto" else dict.fromkeys((self._set_format, *AUTO))
        for name in names:
            findings.formats[name] = yield from self._try_format(DateFormat(name, zone_of(self._zone_name)))
        wanted = names if self._set_format == "auto" else (self._set_format,)
        read = [name for name in wanted if findings.formats[name] == READ]
        zone = self._zone_name
        if not read and self._shifts:
            # Every answer lay off by the same time: the API reads these dates in another zone.
            (zone, _), *_ = self._shifts.most_common()
            read = [name for name in wanted if findings.formats[name] == SHIFTED]
        # Dates that are read to the hour or the day look ignored at first: they bring records from beyond the window.
        others = [name for name in wanted if findings.formats[name] in (NOT_FOUND, IGNORED)]
        findings.bounds = yield from self._calibrate(read or others, zone)
        if findings.bounds is not None:
            dates = findings.bounds.dates
            findings.formats[dates.name] = READ
            if not dates.carries_zone and findings.bounds.step < HOUR:
                findings.timezone = findings.timezone or zone
            if findings.timezone is None and findings.bounds.step < HOUR and any(self._says_zone(name) for name in AUTO):
                findings.timezone = self._zone_name

    def _says_zone(self, name: str) -> bool:
        dates = DateFormat(name, zone_of(self._zone_name))
        return self.findings.formats[name] == READ and not dates.carries_zone and dates.resolution < HOUR

    def _calibrate(self, names: list[str], zone: str) -> Flow[Bounds | None]:
        try:
            return (yield from calibrate(self._client, [DateFormat(name, zone_of(zone)) for name in names]))
        except CalibrationError as error:
            if error.timezone is None or error.date_format is None:
                raise
            self.findings.error = error
            self.findings.timezone = error.timezone
            # The zone was tried by windows of a few minutes that lie within one hour.
            return Bounds(dates=DateFormat(error.date_format, zone_of(error.timezone)), unit=MINUTE)

    def _try_format(self, dates: DateFormat) -> Flow[str]:
        """What becomes of a window around a record, written in this format."""
        record = sorted(self._first, key=lambda each: each["startTime"])[len(self._first) // 2]
        low, high = dates.floor(record["startTime"] - AROUND), dates.ceil(record["startTime"] + AROUND)
        try:
            answer = yield from self._client.fetch_window(dates, low, high)
        except ParametersRefusedError:
            return REFUSED
        times = answer.records.times
        if not times:
            return NOT_FOUND
        slack = MARGIN + dates.resolution
        if low - slack <= min(times) and max(times) <= high + slack:
            around_all = all(low - slack <= each["startTime"] <= high + slack for each in self._first)
            # An API that ignores these dates would have answered the same, where all known records lie in the window.
            return IGNORED if around_all and (yield from self._is_ignored(dates)) else READ
        shift = round(((low + high) - (min(times) + max(times))) / 2 / QUARTER) * QUARTER
        is_one_window = max(times) - min(times) <= high - low + slack
        if dates.carries_zone or dates.resolution >= HOUR or not is_one_window or not 0 < abs(shift) <= LARGEST_SHIFT:
            return IGNORED
        self._shifts[offset_name(dates.offset(record["startTime"]) + shift)] += 1
        return SHIFTED

    def _is_ignored(self, dates: DateFormat) -> Flow[bool]:
        """Whether a window far from every known record is answered with these records."""
        oldest = min(each["startTime"] for each in self._first)
        low, high = dates.floor(oldest - FURTHER - AROUND), dates.ceil(oldest - FURTHER)
        answer = yield from self._client.fetch_window(dates, low, high)
        return any(time >= oldest for time in answer.records.times)

    def _look_further(self, bounds: Bounds) -> Flow[None]:
        """Ask for what lies beyond the first answer: where there is something, the first answer was cut."""
        times = [record["startTime"] for record in self._first]
        beyond = (max(times) + MARGIN, max(times) + FURTHER) if self._is_oldest_first else (min(times) - FURTHER, min(times) - MARGIN)
        if self._may_ask and len(self._first) < self._client.limit:
            yield from self._client.fetch_window(bounds.dates, bounds.floor(beyond[0]), bounds.ceil(beyond[1]))

    def _try_precision(self, bounds: Bounds) -> Flow[None]:
        """Ask for a window that ends before a record, in the same minute: who gets the record reads dates to the minute or coarser.

        Calibration does not find that out where both dates are inclusive: the shortest window holds the whole unit then, and so the record.
        """
        dates = bounds.dates
        for unit, before in ((MINUTE, 2 * SECOND), (HOUR, 2 * MINUTE)):
            step = self.findings.bounds.step if self.findings.bounds else unit
            windows = ((dates.floor(each["startTime"], unit), dates.floor(each["startTime"] - before, step), each) for each in self._first)
            window = next(((low, high, record) for low, high, record in windows if low < high), None)
            if step >= unit or window is None or not self._may_ask:
                continue
            low, high, record = window
            if not (yield from finds_record(self._client, dates, record, low, high)):
                return
            self.findings.bounds = replace(bounds, unit=unit)

    def _compare_times(self, bounds: Bounds) -> Flow[None]:
        """Ask for a window that holds a record's ``startTime`` and not the end of its processing, and for one the other way round."""

        def windows(record: Record) -> tuple[tuple[int, int], tuple[int, int]]:
            return _narrowest(bounds, record["startTime"]), _narrowest(bounds, record["startTime"] + _took(record))

        def is_apart(record: Record) -> bool:
            """Whether the end of processing is not even in the unit that an inclusive ``to_date`` may hold."""
            return _cell(bounds, windows(record)[0][1]) < _cell(bounds, record["startTime"] + _took(record))

        fit = [record for record in self._seen.values() if _cell(bounds, windows(record)[1][0]) > _cell(bounds, record["startTime"])]
        if not fit:
            return
        record = max(fit, key=lambda each: (is_apart(each), _took(each)))
        found = []
        for window in windows(record):
            if not self._may_ask:
                return
            found.append((yield from finds_record(self._client, bounds.dates, record, *window)))
            if found == [True] and is_apart(record):
                break
        self.findings.filter_by = {(True,): START_TIME, (True, False): START_TIME, (False, True): WRITE_TIME}.get(tuple(found))

    def _try_bounds(self, bounds: Bounds) -> Flow[None]:
        """Ask for windows that begin and end exactly at a record, where one bears a time that dates of any precision can say."""
        dates, step = bounds.dates, max(bounds.step, SECOND)
        exact = next((record for record in self._seen.values() if dates.floor(record["startTime"], step) == record["startTime"]), None)
        if exact is None or self.findings.filter_by != START_TIME:
            return
        time = exact["startTime"]
        if self._may_ask:
            after = dates.ceil(time + 2 * step, step)
            self.findings.from_inclusive = yield from finds_record(self._client, dates, exact, time, after)
        if self._may_ask:
            before = dates.floor(time - 2 * step, step)
            self.findings.to_inclusive = yield from finds_record(self._client, dates, exact, before, time)

    def _conclude(self) -> None:
        findings, client = self.findings, self._client
        findings.records = len(self._first)
        findings.limit = max(client.limit, self._large_limit)
        findings.capacity = max(client.capacity.records, len(self._first)) if self._first else 0
        shown = {record["id"] for record in self._first}
        newest = max((record["startTime"] for record in self._first), default=0)
        left_out = [record["startTime"] for ident, record in self._seen.items() if ident not in shown]
        # What is newer than the newest may have been written since, unless the oldest come first.
        findings.is_cut = len(self._first) >= findings.limit or any(self._is_oldest_first or time < newest - MARGIN for time in left_out)
        findings.newest = max((record["startTime"] for record in self._seen.values()), default=None)
        findings.order = _order_of(self._first)
        if findings.bounds is not None:
            cells = Counter(_cell(findings.bounds, record["startTime"]) for record in self._seen.values())
            findings.crowd = max(cells.values())


def _took(record: Record) -> int:
    took = record.get("responseTime")
    return round(took) if isinstance(took, int | float) and not isinstance(took, bool) and 0 < took < MARGIN else 0


def _cell(bounds: Bounds, time: int) -> int:
    return bounds.dates.floor(time, max(bounds.step, SECOND))


def _narrowest(bounds: Bounds, time: int) -> tuple[int, int]:
    """The narrowest window of these dates that holds a time, whether or not its ends belong to it."""
    return bounds.dates.floor(time - 1), bounds.dates.ceil(time + 1)


def _order_of(records: Iterable[Record]) -> str | None:
    starts = [record["startTime"] for record in records]
    if len(set(starts)) <= 1:
        return None
    ends = [record["startTime"] + _took(record) for record in records]
    for times, which in ((starts, "startTime"), (ends, "the end of processing")):
        if times == sorted(times, reverse=True):
            return f"newest first by {which}"
        if times == sorted(times):
            return f"oldest first by {which}"
    return "none that startTime or responseTime explain"
