"""A survey as text for people, as JSON for programs, and as extras for the connection."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.api.date_formats import DAY, HOUR, MINUTE, SECOND
from airflow_provider_capillary.reading.survey import READ, START_TIME
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, from_millis, round_duration

if TYPE_CHECKING:
    from airflow_provider_capillary.api.executor import RequestStats
    from airflow_provider_capillary.connection.settings import Settings
    from airflow_provider_capillary.reading.survey import Findings

__all__ = ["Report"]

_PRECISIONS: Final = {1: "millisecond", SECOND: "second", MINUTE: "minute", HOUR: "hour", DAY: "day"}
_UNKNOWN: Final = "not shown by these records"
_PLAIN: Final = {"ok": "ok     ", "warn": "note   ", "bad": "FAILED "}
_COLOURED: Final = {"ok": "\033[32m\u2713\033[0m ", "warn": "\033[33m!\033[0m ", "bad": "\033[31m\u2717\033[0m "}


class Report:
    """What to tell of a survey.

    :param findings: of the survey.
    :param settings: the connection that was surveyed.
    :param stats: what the survey's requests have cost.
    :param now: this machine's clock, UTC epoch milliseconds.
    """

    def __init__(self, findings: Findings, settings: Settings, stats: RequestStats, *, now: int) -> None:
        self._findings = findings
        self._settings = settings
        self._stats = stats
        self._now = now
        self._error = findings.error

    @property
    def is_good(self) -> bool:
        """Whether exports over this connection, with :attr:`extras` in it, can be complete."""
        return self._findings.bounds is not None

    @property
    def extras(self) -> dict[str, Any]:
        """The extras that fit this API, where they differ from what the connection would do by itself."""
        findings = self._findings
        extras: dict[str, Any] = {}
        if findings.bounds is not None:
            extras["date_format"] = findings.bounds.dates.name
            if not findings.bounds.dates.carries_zone and findings.timezone not in (None, "UTC"):
                extras["timezone"] = findings.timezone
        if findings.is_cut and findings.capacity:
            extras["page_size"] = findings.capacity
        return extras

    def to_data(self) -> dict[str, Any]:
        """For ``--json``: scalars, lists and objects; no record, no credential."""
        findings = self._findings
        bounds = findings.bounds
        return {
            "ok": self.is_good,
            "error": None if self._error is None else {"class": type(self._error).__name__, "text": str(self._error)},
            "newest_event": None if findings.newest is None else format_timestamp(from_millis(findings.newest)),
            "newest_event_age_s": None if findings.newest is None else round((self._now - findings.newest) / 1000, 3),
            "records_shown": findings.records,
            "largest_limit": findings.limit or None,
            "records_at_once": findings.capacity or None,
            "is_cut": findings.is_cut,
            "date_formats": findings.formats,
            "date_format": None if bounds is None else bounds.dates.name,
            "precision": None if bounds is None else _PRECISIONS[bounds.step],
            "timezone": findings.timezone,
            "from_inclusive": findings.from_inclusive,
            "to_inclusive": findings.to_inclusive,
            "filter_by": findings.filter_by,
            "order": findings.order,
            "most_records_in_one_step": findings.crowd,
            "requests": self._stats.requests,
            "throttled": self._stats.retries["ThrottledError"],
            "extras": self.extras,
        }

    def to_text(self, *, colour: bool = False) -> str:
        """One line a finding; plain ASCII unless ``colour``."""
        signs = _COLOURED if colour else _PLAIN
        width = max(len(name) for _, name, _ in self._lines())
        lines = [f"{signs[sign]}{name:<{width}}  {text}" for sign, name, text in self._lines()]
        if self.extras:
            lines += ["", "Put these extras into the connection:"]
            lines += [f"  {name}: {value}" for name, value in self.extras.items()]
        return "\n".join(lines)

    def _lines(self) -> list[tuple[str, str, str]]:
        findings = self._findings
        if self._error is not None and not findings.records:
            return [("bad", "Connection", str(self._error)), self._throttling()]
        lines = [("ok", "Connection", f"reachable and authorised at {self._settings.base_url}")]
        if not findings.records:
            return [*lines, ("warn", "Event logs", "none that this credential may see; nothing more can be found out"), self._throttling()]
        lines += [self._newest(), self._limit(), self._order(), *self._dates(), self._throttling()]
        return [*lines, *self._guarantees()]

    def _newest(self) -> tuple[str, str, str]:
        newest = self._findings.newest or 0
        age = format_duration(round_duration(timedelta(milliseconds=max(0, self._now - newest))))
        return "ok", "Newest event log", f"{format_timestamp(from_millis(newest))}, {age} before this machine's clock"

    def _limit(self) -> tuple[str, str, str]:
        findings = self._findings
        if findings.is_cut and findings.capacity < findings.limit:
            return "ok", "Largest limit", f"{findings.capacity}: a larger one is accepted, and answered with {findings.capacity} records"
        if findings.is_cut:
            return "ok", "Largest limit", f"{findings.capacity} at least"
        return "warn", "Largest limit", f"{findings.records} at least; the API may hold no more records than these"

    def _order(self) -> tuple[str, str, str]:
        return "ok", "Order of answers", self._findings.order or _UNKNOWN

    def _dates(self) -> list[tuple[str, str, str]]:
        findings, bounds = self._findings, self._findings.bounds
        lines: list[tuple[str, str, str]] = []
        if self._error is not None:
            lines.append(("bad" if bounds is None else "warn", "Dates", str(self._error)))
        if findings.formats:
            formats = "; ".join(f"{name} {outcome}" for name, outcome in findings.formats.items())
            lines.append(("ok" if READ in findings.formats.values() else "bad", "Date formats", formats))
        if bounds is None:
            return lines
        lines.append(("ok", "Precision", f"{bounds.dates.name} is read to the {_PRECISIONS[bounds.step]}, or more finely"))
        lines.append(self._zone())
        for name, value in (("from_date", findings.from_inclusive), ("to_date", findings.to_inclusive)):
            text = _UNKNOWN if value is None else "inclusive" if value else "exclusive"
            lines.append(("ok" if value is not None else "warn", f"Bound {name}", text))
        lines.append(("ok" if findings.filter_by else "warn", "Dates compare", findings.filter_by or _UNKNOWN))
        return lines

    def _zone(self) -> tuple[str, str, str]:
        zone, expected = self._findings.timezone, self._settings.timezone
        if zone is None:
            return "ok", "Zone of dates", "not needed: the formats that were read carry it"
        if zone != expected:
            return "warn", "Zone of dates", f"{zone}, where the connection says {expected}"
        return "ok", "Zone of dates", zone

    def _throttling(self) -> tuple[str, str, str]:
        throttled, requests = self._stats.retries["ThrottledError"], self._stats.requests
        if throttled:
            return (
                "warn",
                "Throttling",
                f"{throttled} of {requests} requests; lower `requests_per_minute` ({self._settings.requests_per_minute})",
            )
        return "ok", "Throttling", f"none in {requests} requests"

    def _guarantees(self) -> list[tuple[str, str, str]]:
        findings, bounds = self._findings, self._findings.bounds
        if bounds is None:
            return [("bad", "Exports", "fail, until the API finds its own records by their dates")]
        step = _PRECISIONS[bounds.step]
        lines = [("ok", "Exports", "complete, or a failed task")]
        if bounds.step >= HOUR:
            lines.append(("warn", "Busy times", f"dates are read to the {step}: a {step} of more than {findings.capacity} records fails"))
        elif findings.crowd >= findings.capacity:
            lines.append(("warn", "Busy times", f"{findings.crowd} records in one {step} fill an answer: such a {step} fails an export"))
        else:
            lines.append(
                ("ok", "Busy times", f"{findings.crowd} records in the busiest {step} seen; up to {findings.capacity} can be read")
            )
        if findings.filter_by not in (START_TIME, None):
            lines.append(("ok", "Late writes", "exports read 5 minutes beyond their interval, so that these are in it"))
        return lines
