"""The cost of exporting an interval, estimated from samples of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.budget import MINUTE, lanes_for
from airflow_provider_capillary.reading.lanes import WORTH_IT

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.sampling import Sample, Samples

__all__ = ["Estimate", "estimate"]

REQUESTS_BY_FLOOR: Final = 1.35
IN_BURSTS: Final = 2.2
REQUESTS_BESIDE: Final = 8
"""A run of N records takes at most ``1.35 * ceil(N / p) + 8`` requests where the API sorts its answers by time, and p is how many it gives
at once; with bursts, 2.2 in place of 1.35."""
SPOOL: Final = 1.2
"""Bytes of temporary disk by those of the JSON, beside the object itself, which is built on disk."""

STUDENT: Final = (12.7, 4.3, 3.2, 2.8, 2.6, 2.5, 2.4, 2.3, 2.3, 2.2)
"""By one less than the number of samples: within so many standard errors of the mean lie 95 of 100 means. About 2.2 for more samples."""
ROUGH: Final = 1.0
"""Standard deviation of the densities by their mean, from which on the records lie in bursts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the export of an interval will cost.

    :ivar runs: how many runs export it.
    :ivar records: of the interval.
    :ivar least: records that it has at least, by the spread of the samples; ``most`` the same, ``None`` where a sample was full.
    :ivar is_exact: whether the records were counted.
    :ivar is_rough: whether the samples differ by more than their mean, as where records come in bursts.
    :ivar requests: of one run; ``most_requests`` the same for ``most`` records.
    :ivar seconds: of one run: of its requests, at the budget's pace, or at that of the API's answers where it is slower.
    :ivar json_bytes: of the records of one run as JSON; ``object_bytes`` the same of its object in ``.jsonl.gz``; ``None`` where no record
        was seen.
    :ivar runs_at_once: how many runs are enough to use the whole budget.
    :ivar latency: seconds from a request to its answer, the median.
    """

    runs: int
    records: int
    least: int
    most: int | None
    is_exact: bool
    is_rough: bool
    requests: int
    most_requests: int | None
    seconds: float
    json_bytes: int | None
    object_bytes: int | None
    runs_at_once: int
    latency: float

    @property
    def spool_bytes(self) -> int | None:
        """Of temporary disk, for one run: its records and its object."""
        return None if self.json_bytes is None or self.object_bytes is None else round(SPOOL * self.json_bytes) + self.object_bytes


def estimate(samples: Samples, *, every: int | None = None, per_minute: int) -> Estimate:
    """Estimate the cost.

    :param samples: of the interval.
    :param every: the length of a run's interval, milliseconds; ``None`` for one run.
    :param per_minute: the budget of requests.
    """
    length = samples.end - samples.start
    runs = 1 if every is None else math.ceil(length / every)
    records, least, most = _records(samples)
    is_rough = most is None or _spread_of(samples.samples) > ROUGH
    factor = IN_BURSTS if is_rough else REQUESTS_BY_FLOOR
    requests = _requests(records / runs, samples.capacity, factor)
    latency = median(samples.latencies)
    # Only a long reading asks for several windows at once.
    lanes = lanes_for(per_minute, latency) if requests >= WORTH_IT else 1
    pace = max(MINUTE / per_minute, latency / lanes)
    weight = records / runs / samples.records if samples.records else None
    return Estimate(
        runs=runs,
        records=round(records),
        least=round(least),
        most=None if most is None else math.ceil(most),
        is_exact=samples.is_counted,
        is_rough=is_rough,
        requests=requests,
        most_requests=None if most is None else _requests(most / runs, samples.capacity, factor),
        seconds=requests * pace,
        json_bytes=None if weight is None else round(weight * samples.json_bytes),
        object_bytes=None if weight is None else round(weight * samples.gzip_bytes),
        runs_at_once=max(1, math.floor(per_minute * latency / MINUTE / lanes)),
        latency=latency,
    )


def _records(samples: Samples) -> tuple[float, float, float | None]:
    """How many records the interval has; how many at least, and at most."""
    taken, length = samples.samples, samples.end - samples.start
    seen = sum(each.count for each in taken)
    if samples.is_counted:
        return seen, seen, seen
    records = mean(each.density for each in taken) * length if taken else 0.0
    if len(taken) < 2:  # noqa: PLR2004  # no spread without two
        return max(records, seen), seen, None
    # What was read is known, so only the rest of the interval is uncertain.
    rest = max(0.0, 1 - samples.covered)
    error = stdev(each.density for each in taken) / math.sqrt(len(taken)) * length * math.sqrt(rest)
    error *= STUDENT[min(len(taken) - 2, len(STUDENT) - 1)]
    # By chance alone, a window of n records might as well have held some more or less.
    chance = 4 * math.sqrt(seen + 1) / max(samples.covered, 1e-12) * math.sqrt(rest)
    error = max(error, chance)
    most = None if any(each.is_full for each in taken) else max(records + error, seen)
    return max(records, seen), max(records - error, seen), most


def _requests(records: float, capacity: int, factor: float) -> int:
    return math.ceil(factor * math.ceil(records / max(1, capacity)) + REQUESTS_BESIDE)


def _spread_of(samples: list[Sample]) -> float:
    densities = [each.density for each in samples]
    return stdev(densities) / mean(densities) if len(densities) > 1 and any(densities) else 0.0
