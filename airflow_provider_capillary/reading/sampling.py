"""How densely the records of an interval lie, from short windows at several of its points, in at most :data:`MOST_REQUESTS` requests.

The first window is the whole interval: where it holds fewer records than the API gives at once, they are counted and nothing is estimated.
Otherwise the interval is cut into :data:`MOST_SAMPLES` equal parts, and a window is asked for in each. Where the interval is longer than
two days, the windows also lie at as many hours of the day. A window is as long as its answer is likely to stay well short of full; a full
answer does not say how many records there are, so a shorter window is asked for around the same point.

An estimate proves nothing: an answer counts as short as in a reading, but nothing is asked twice, and no reach is shown.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR
from airflow_provider_capillary.api.effects import ReadClock, Send
from airflow_provider_capillary.errors import CapillaryError, ParametersRefusedError
from airflow_provider_capillary.reading.calibration import calibrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["MOST_REQUESTS", "MOST_SAMPLES", "Sample", "Samples", "sample"]

MOST_REQUESTS: Final = 20
MOST_SAMPLES: Final = 12

FILL: Final = 0.6
"""Share of a full answer that a window of high density is to hold."""
HIGH: Final = 0.75
"""The share of the densities seen that are lower than a high one."""
NARROWER: Final = 8
"""A window after a full one is so many times shorter, where the order of the answer does not say by how much."""
MOST_TRIES: Final = 3
"""Windows around one point."""
MOST_WEIGHED: Final = 2**21
"""Bytes of records that are compressed to find out how small they get."""
LEVEL: Final = 6
"""Of gzip, as in exports."""
GZIP_HEADER: Final = 31
"""For zlib: the largest window, and gzip's header and trailer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A window ``[start, end)``, UTC epoch milliseconds, and how many records it holds; at least so many if it ``is_full``."""

    start: int
    end: int
    count: int
    is_full: bool = False

    @property
    def density(self) -> float:
        """Records a millisecond."""
        return self.count / (self.end - self.start)


@dataclass(slots=True, kw_only=True)
class Samples:
    """What the answers have shown of the interval ``[start, end)``, UTC epoch milliseconds.

    :ivar is_counted: whether the samples hold all records, so that their number is not estimated.
    :ivar capacity: the most records in one answer.
    :ivar latencies: seconds from each request to its answer.
    :ivar records: how many records were weighed; ``json_bytes`` their lines of JSON, ``gzip_bytes`` the same lines compressed.
    :ivar newest: the newest ``startTime`` that was seen, UTC epoch milliseconds.
    :ivar error: why sampling ended early, where it did.
    """

    start: int
    end: int
    samples: list[Sample] = field(default_factory=list)
    is_counted: bool = False
    capacity: int = 0
    latencies: list[float] = field(default_factory=list)
    records: int = 0
    json_bytes: int = 0
    gzip_bytes: int = 0
    newest: int | None = None
    error: CapillaryError | None = None

    @property
    def covered(self) -> float:
        """The share of the interval that the samples cover."""
        return sum(each.end - each.start for each in self.samples) / (self.end - self.start)


class _BudgetSpentError(Exception):
    """The next request would be one too many."""


def sample(client: EventLogsClient, formats: Sequence[DateFormat], start: int, end: int, *, event_name: str | None = None) -> Flow[Samples]:
    """Sample an interval.

    :param client: that has sent no request yet.
    :param formats: the date formats that the API may read.
    :param start: UTC epoch milliseconds.
    :param end: UTC epoch milliseconds, after ``start``.
    :param event_name: only records with this name.
    :raises CapillaryError: the API does not answer, or how it reads dates is not found out. Later errors end the sampling alone.
    """
    client.named_capacity = client.limit  # an estimate may take on trust what an export has shown to it
    sampling = _Sampling(client, formats, start, end, event_name)
    return (yield from _measured(sampling.run(), sampling.found.latencies))


def _measured(flow: Flow[Samples], latencies: list[float]) -> Flow[Samples]:
    """The flow, whose requests are timed, and which is stopped where it asks for more than :data:`MOST_REQUESTS`."""
    outcome, error = None, None
    while True:
        try:
            effect = flow.send(outcome) if error is None else flow.throw(error)
        except StopIteration as ended:
            found: Samples = ended.value
            return found
        outcome, error = None, None
        if not isinstance(effect, Send):
            outcome = yield effect
            continue
        if len(latencies) == MOST_REQUESTS:
            error = _BudgetSpentError()
            continue
        began: float = yield ReadClock()
        outcome = yield effect
        ended_at: float = yield ReadClock()
        latencies.append(ended_at - began)


class _Sampling:
    def __init__(self, client: EventLogsClient, formats: Sequence[DateFormat], start: int, end: int, event_name: str | None) -> None:
        self._client = client
        self._formats = formats
        self._event_name = event_name
        self._lines: dict[str, bytes] = {}
        self._times: dict[str, int] = {}
        self._weight = 0
        self._densities: list[float] = []
        self.found = Samples(start=start, end=end)

    def run(self) -> Flow[Samples]:
        with self._client.noticing(self._notice):
            yield from self._estimate()
        self._weigh()
        return self.found

    def _estimate(self) -> Flow[None]:
        found = self.found
        try:
            bounds = yield from calibrate(self._client, self._formats)
        except _BudgetSpentError:
            problem = f"How this API reads dates could not be found out in {MOST_REQUESTS} requests"
            raise CapillaryError(problem, hint="run the command `check`, and put the extras that it names into the connection") from None
        if bounds is None:
            found.is_counted, found.samples = True, [Sample(found.start, found.end, 0)]
        else:
            try:
                yield from self._sample(bounds)
            except _BudgetSpentError:
                pass
            except CapillaryError as error:
                if not found.samples:
                    raise
                found.error = error

    def _notice(self, records: EventLogs) -> None:
        """Keep the text of some records, until they are weighed."""
        for record in records:
            self.found.newest = max(self.found.newest or 0, record["startTime"])
            raw = getattr(record, "raw", None)
            if raw is not None and self._weight < MOST_WEIGHED and self._event_name in (None, record.get("eventName")):
                self._lines.setdefault(record["id"], raw)
                self._times[record["id"]] = record["startTime"]
                self._weight += len(raw)

    def _weigh(self) -> None:
        """In the order of an export, since neighbours resemble one another."""
        found = self.found
        lines = b"".join(self._lines[name] + b"\n" for name in sorted(self._lines, key=lambda name: (self._times[name], name)))
        packer = zlib.compressobj(LEVEL, wbits=GZIP_HEADER)
        found.records, found.json_bytes = len(self._lines), len(lines)
        found.gzip_bytes = len(packer.compress(lines) + packer.flush()) if lines else 0
        found.capacity = self._client.capacity.records
        self._lines.clear()

    def _sample(self, bounds: Bounds) -> Flow[None]:
        found = self.found
        low, high = bounds.floor(found.start), bounds.ceil(found.end)
        try:
            whole, _ = yield from self._ask(bounds, low, high)
            if not whole.is_full:
                found.samples, found.is_counted = [whole], True
                return
        except ParametersRefusedError:
            pass  # the window is too long for this API
        parts = max(1, min(MOST_SAMPLES, (high - low) // bounds.step))
        for index in _spaced(parts):
            found.samples.append((yield from self._sample_part(bounds, index, parts)))
        found.is_counted = found.covered >= 1 and not any(each.is_full for each in found.samples)

    def _sample_part(self, bounds: Bounds, index: int, parts: int) -> Flow[Sample]:
        """A sample of one part, by windows around one point that get shorter while their answers are full."""
        size = (self.found.end - self.found.start) / parts
        begin = self.found.start + index * size
        length = min(self._length(), size)
        middle = begin + length / 2 + _share(index) * (size - length)
        if parts * size > 2 * DAY and length < DAY / 2:
            # Each part at another hour of the day, since the hours differ by more than the days do.
            hour = DAY * ((7 * index) % parts + 0.5) / parts
            middle = self.found.start + (middle - self.found.start) // DAY * DAY + hour
            middle += DAY if middle - length / 2 < begin else -DAY if middle + length / 2 > begin + size else 0
            middle = min(max(middle, begin + length / 2), begin + size - length / 2)
        for _ in range(MOST_TRIES):
            low, high = bounds.floor(int(middle - length / 2)), bounds.ceil(int(middle + length / 2))
            if length == size:
                # All of the part, so that all parts together are the interval.
                low, high = (bounds.floor(round(self.found.start + (index + each) * size)) for each in (0, 1))
                high = bounds.ceil(self.found.end) if index == parts - 1 else high
            narrow, records = yield from self._ask(bounds, low, max(high, low + bounds.step))
            if not narrow.is_full or narrow.end - narrow.start <= bounds.step:
                break
            spread = _spread(narrow, records)
            length = min(length / 2, FILL * spread if spread else length / NARROWER)
        return narrow

    def _length(self) -> float:
        """How long a window may be so that its answer is likely not to be full."""
        if not self._densities:
            return float(HOUR)
        high = sorted(self._densities)[int(HIGH * len(self._densities))]
        return FILL * self._client.capacity.records / high if high else 2.0 * DAY

    def _ask(self, bounds: Bounds, low: int, high: int) -> Flow[tuple[Sample, EventLogs]]:
        """The sample of a span, and the records of the answer."""
        answer = yield from self._client.fetch_window(bounds.dates, *bounds.window(low, high), event_name=self._event_name)
        first, last = max(low, self.found.start), min(high, self.found.end)
        count = sum(first <= time < last for time in answer.records.times)
        taken = Sample(low, high, count, is_full=not self._client.capacity.is_short(len(answer)))
        over = _spread(taken, answer.records) if taken.is_full else None
        self._densities.append(count / over if over else taken.density)
        return taken, answer.records


def _spread(full: Sample, records: EventLogs) -> int | None:
    """Over how many milliseconds the records of a full answer lie, where its order says that they are all of that time; else ``None``."""
    times = records.times
    third = max(1, len(times) // 3)
    if min(times[:third]) >= max(times[-third:]):
        return max(1, full.end - min(times))
    if max(times[:third]) <= min(times[-third:]):
        return max(1, max(times) - full.start)
    return None


def _share(index: int) -> float:
    """Where in its part a window lies, from 0 to 1: not in the same place in each, and always there."""
    return (0.5 + 0.6180339887 * index) % 1


def _spaced(parts: int) -> list[int]:
    """The parts in an order in which the first few lie all over the interval: sampling may end early."""
    step = next(step for step in range(max(1, round(0.618 * parts)), parts + 2) if _are_coprime(step, parts))
    return [(index * step) % parts for index in range(parts)]


def _are_coprime(first: int, second: int) -> bool:
    while second:
        first, second = second, first % second
    return first == 1
