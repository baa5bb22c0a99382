"""An estimate as text for people and as JSON for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.estimate.cost import estimate
from airflow_provider_capillary.reading.sampling import MOST_REQUESTS
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, round_duration

if TYPE_CHECKING:
    from airflow_provider_capillary.connection.settings import Settings
    from airflow_provider_capillary.reading.sampling import Samples

__all__ = ["Report"]

_PLAIN: Final = {"ok": "", "note": "note: "}
_COLOURED: Final = {"ok": "", "note": "\033[33mnote:\033[0m "}
_BOLD: Final = ("\033[1m", "\033[0m")
_COVERED: Final = 0.95
"""The share of the interval below which bursts may lie between the windows without being seen."""


class Report:
    """What to tell of an estimate.

    :param samples: of the interval.
    :param settings: of the connection.
    :param every: the length of each run's interval; ``None`` for one run.
    :param now: this machine's clock, UTC epoch milliseconds.
    """

    def __init__(self, samples: Samples, settings: Settings, *, every: timedelta | None, now: int) -> None:
        self._samples = samples
        self._settings = settings
        self._every = every
        self._now = now
        self.estimate = estimate(
            samples, every=None if every is None else every // timedelta(milliseconds=1), per_minute=settings.requests_per_minute
        )

    def to_data(self) -> dict[str, Any]:
        """For ``--json``: numbers and text; no record, no credential."""
        samples, cost = self._samples, self.estimate
        total = {
            name: None if size is None else size * cost.runs
            for name, size in {"json_bytes": cost.json_bytes, "object_bytes": cost.object_bytes}.items()
        }
        return {
            "ok": True,
            "start": format_timestamp(samples.start),
            "end": format_timestamp(samples.end),
            "runs": cost.runs,
            "is_counted": cost.is_exact,
            "records": {"estimate": cost.records, "least": cost.least, "most": cost.most, "per_run": round(cost.records / cost.runs)},
            "requests": {"per_run": cost.requests, "total": cost.requests * cost.runs, "per_run_if_most": cost.most_requests},
            "seconds": {"per_run": round(cost.seconds, 1), "total": round(cost.seconds * cost.runs, 1)},
            "bytes": {
                "per_run": {"json": cost.json_bytes, "object": cost.object_bytes, "temporary_disk": cost.spool_bytes},
                "total": {"json": total["json_bytes"], "object": total["object_bytes"]},
            },
            "runs_at_once": cost.runs_at_once,
            "requests_per_minute": self._settings.requests_per_minute,
            "records_at_once": samples.capacity,
            "latency_s": round(cost.latency, 3),
            "sampling": {
                "requests": len(samples.latencies),
                "samples": len(samples.samples),
                "covered": round(samples.covered, 6),
                "records_weighed": samples.records,
                "is_rough": cost.is_rough,
                "error": None if samples.error is None else str(samples.error),
            },
            "notes": self._notes(),
        }

    def to_text(self, *, colour: bool = False) -> str:
        """One line a number, then what is not known; plain ASCII unless ``colour``."""
        lines = self._lines()
        width = max(len(name) for name, _ in lines)
        bold, plain = _BOLD if colour else ("", "")
        text = [f"{bold}{name:<{width}}{plain}  {value}" for name, value in lines]
        sign = (_COLOURED if colour else _PLAIN)["note"]
        return "\n".join([*text, "", *(f"{sign}{note}" for note in self._notes())]).rstrip()

    def _lines(self) -> list[tuple[str, str]]:
        samples, cost = self._samples, self.estimate
        span = f"{format_timestamp(samples.start)} to {format_timestamp(samples.end)}"
        runs = "1 run" if cost.runs == 1 else f"{cost.runs:,} runs of {format_duration(self._every or timedelta())}"
        many = cost.runs > 1

        def each(value: str, total: str) -> str:
            return f"{value} a run, {total} in all" if many else value

        if cost.is_exact:
            records = f"{cost.records:,}, counted"
        elif cost.most is None:
            records = f"about {cost.records:,}, at least {cost.least:,}; an upper limit is not known"
        else:
            records = f"about {cost.records:,}; {cost.least:,} to {cost.most:,}{'' if self._is_covered else ' if none come in bursts'}"
        lines = [
            ("Interval", f"{span}, {runs}"),
            ("Event logs", f"{records}; {cost.records / cost.runs:,.0f} a run" if many else records),
            ("Requests", f"about {each(f'{cost.requests:,}', f'{cost.requests * cost.runs:,}')}{self._if_most()}"),
            ("Time", each(_duration(cost.seconds), _duration(cost.seconds * cost.runs)) + self._pace()),
        ]
        if cost.json_bytes is not None and cost.object_bytes is not None and cost.spool_bytes is not None:
            lines += [
                ("Object", f"{each(_size(cost.object_bytes), _size(cost.object_bytes * cost.runs))}, as .jsonl.gz"),
                ("Temporary disk", f"{_size(cost.spool_bytes)} for each run at a time"),
            ]
        return [*lines, ("Runs at once", self._at_once())]

    def _if_most(self) -> str:
        cost = self.estimate
        if cost.is_exact or cost.most_requests is None or cost.most_requests == cost.requests:
            return ""
        return f" (up to {cost.most_requests:,} a run for the most event logs)"

    def _pace(self) -> str:
        return f", at {self._settings.requests_per_minute} requests a minute; an answer takes {self.estimate.latency:.2g} s"

    def _at_once(self) -> str:
        most, budget = self.estimate.runs_at_once, self._settings.requests_per_minute
        if most == 1:
            return f"1: it uses all of the {budget} requests a minute (max_active_runs=1)"
        return f"{most}: together they use the {budget} requests a minute (max_active_runs={most})"

    @property
    def _is_covered(self) -> bool:
        return self._samples.covered >= _COVERED

    def _notes(self) -> list[str]:
        """What the estimate rests on, and what it can't know."""
        samples, cost = self._samples, self.estimate
        seen = f"{len(samples.latencies)} of at most {MOST_REQUESTS} requests"
        if cost.is_exact:
            notes = [f"All event logs of the interval were counted, in {seen}."]
        else:
            share = f"{100 * samples.covered:.2g} %"
            notes = [f"Estimated from {len(samples.samples)} windows, {share} of the interval, in {seen}."]
            if cost.is_rough:
                notes.append("The samples differ by more than their mean: event logs come in bursts, and the estimate is rough.")
            if not self._is_covered:
                notes.append("A burst of event logs between two windows is in no sample, and not in the numbers.")
        if samples.records:
            notes.append(f"Sizes are those of {samples.records:,} event logs that were seen.")
        if samples.error is not None:
            notes.append(f"Sampling ended early: {samples.error}")
        if samples.end > self._now:
            notes.append("The interval ends in the future; what will be written until then is not in the numbers.")
        notes.append("Not in the numbers: retries, the store's own time, and what other tasks with the same key send meanwhile.")
        return notes


def _duration(seconds: float) -> str:
    return format_duration(round_duration(timedelta(seconds=max(1, seconds))))


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004  # as the units are
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
