"""Incremental polling: report each matching event once.

The API filters by the timestamps of events. It can't be asked what has become visible since the last request, and records become visible
some time after their timestamps. So each poll starts before the *watermark*, the newest timestamp seen so far, by the time that a record
may be late (:data:`.LOOKBACK` by default). The ids reported within that look-back are remembered.

An example over five minutes, with the failures ``a`` at 12:00:00, ``b`` at 12:01:00, and ``c`` at 12:00:30, which becomes visible four
minutes late:

=========  =====================  ============  =========================  ========================
poll       reads                  answer        new                        watermark
=========  =====================  ============  =========================  ========================
12:00:10   since (11:50) on       a             a                          12:00:00.001
12:01:10   from 11:55:00.001 on   a, b          b                          12:01:00.001
12:04:40   from 11:56:00.001 on   a, b, c       c, though before ``b``     12:01:00.001
=========  =====================  ============  =========================  ========================

**The guarantee.** A record that becomes visible within the look-back after its timestamp is reported once, by the first poll after it is
visible: late, out of order, or in the very millisecond of the watermark. The guarantee needs only the API's own timestamps. The watermark
is the timestamp of a record; this machine's clock replaces it only where the clock is earlier, so that a record from the far future does
not end the search. A record that becomes visible later may be missed, and an id with two timestamps may be reported twice.

Timestamps are UTC epoch milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.api.date_formats import MINUTE
from airflow_provider_capillary.polling.filters import EventFilter, EventRef
from airflow_provider_capillary.polling.matches import Matches
from airflow_provider_capillary.polling.stored import mapping, parsed, unreadable, whole
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AHEAD", "Poll", "PollState"]

AHEAD: Final = 5 * MINUTE
"""Milliseconds that a poll reads past this machine's clock, because the API's clock may be ahead. Later polls find later records."""
MOST_REMEMBERED: Final = 10_000
"""The most ids, about 300 kB of JSON. With more matches in the look-back, the look-back is shortened to the newest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollState:
    """The filter of one task and the matches so far; it goes from poll to poll, and as JSON from process to process.

    :param started_at: where the first poll of the task started.
    """

    event_filter: EventFilter
    watermark: Watermark
    started_at: int
    found: Matches = field(default_factory=Matches)

    @classmethod
    def begin(cls, event_filter: EventFilter, watermark: Watermark) -> PollState:
        """The state before the first poll, from the watermark of earlier tasks."""
        return cls(event_filter=event_filter, watermark=watermark, started_at=watermark.lookback_start)

    def poll(self, now: int) -> Poll:
        """Begin a poll.

        :param now: this machine's clock, UTC epoch milliseconds.
        """
        return Poll(self, now)

    def lookback_was_shortened(self, before: PollState) -> bool:
        """Whether the poll after ``before`` found more events than can be remembered, so that the next poll looks back less far."""
        return self.watermark.not_before > max(before.watermark.not_before, self.watermark.seen_until - self.watermark.lateness)

    def result(self) -> dict[str, Any]:
        """The result for users. Timestamps are ISO text with an offset.

        ``[since, watermark)`` and the shorter ``[start, end)`` hold every event that was found; they may also hold events that were
        reported earlier. ``ids`` are the newest ones, and ``ids_cut`` says whether there are more.
        """
        found, watermark = self.found, self.watermark
        found.trim()
        end = None if found.last is None else found.last + 1
        return {
            "count": found.count,
            "statuses": dict(sorted(found.statuses.items())),
            "event_names": dict(sorted(found.event_names.items())),
            "ids": [name for _, name in found.newest],
            "ids_cut": found.count > len(found.newest),
            "first_start_time": _written(found.first),
            "last_start_time": _written(found.last),
            "start": _written(found.first),
            "end": _written(end),
            "since": _written(self.started_at),
            "watermark": _written(max(watermark.seen_until, end or 0)),
        }

    def event(self) -> dict[str, Any]:
        """The result as an event payload, bounded in size. Where ids are left out, ``rest`` says where to read them."""
        result = self.result()
        if result["ids_cut"]:
            result["rest"] = (
                f"ids holds the newest {len(result['ids'])} of {result['count']}; all of them are among the event logs of [start, end), "
                "which the export operator writes"
            )
        return result

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        event_filter = {
            "statuses": None if self.event_filter.statuses is None else sorted(self.event_filter.statuses),
            "event_name": self.event_filter.event_name,
        }
        data = {"wanted": event_filter, "memory": self.watermark.to_data(), "since": self.started_at, "found": self.found.to_data()}
        return json.dumps(data, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PollState:
        """From the text of :meth:`to_json`.

        :raises CapillaryError: it is anything else.
        """
        data = parsed(text)
        event_filter = mapping(data.get("wanted"))
        statuses, name = event_filter.get("statuses"), event_filter.get("event_name")
        if not (statuses is None or isinstance(statuses, list)) or not (name is None or isinstance(name, str)):
            raise unreadable()
        return cls(
            event_filter=EventFilter(statuses=None if statuses is None else frozenset(map(str, statuses)), event_name=name),
            watermark=Watermark.from_data(data.get("memory")),
            started_at=whole(data.get("since")),
            found=Matches.from_data(data.get("found")),
        )


class Poll:
    """A poll in progress. Its records count only once it has finished, because a reading counts only as a whole."""

    def __init__(self, state: PollState, now: int) -> None:
        self._state = state
        self._now = now
        self._found = state.found.copy()
        self._new: dict[str, int] = {}
        self._newest = 0
        self._shortest = 0

    @property
    def window(self) -> tuple[int, int]:
        """The interval to read, half-open; empty where it would start in the future."""
        return self._state.watermark.lookback_start, self._now + AHEAD

    def add(self, matching: Iterable[EventRef], *, newest: int) -> None:
        """Add some of the records that were read.

        :param matching: those that match the ``event_filter``; records outside the window are ignored.
        :param newest: the newest timestamp of all these records, matching or not.
        """
        self._newest = max(self._newest, newest)
        watermark = self._state.watermark
        for event in matching:
            if event.timestamp < watermark.lookback_start or event.id_digest in watermark.reported or event.id_digest in self._new:
                continue
            self._found.add(event)
            if event.timestamp >= self._shortest:
                self._new[event.id_digest] = event.timestamp
        if len(self._new) > 2 * MOST_REMEMBERED:
            self._new, self._shortest = _newest_of(self._new)

    def finish(self) -> PollState:
        """The state after this poll."""
        before = self._state.watermark
        seen_until = max(before.seen_until, min(self._newest + 1, self._now))
        start = max(before.not_before, seen_until - before.lateness)
        reported = {digest: timestamp for digest, timestamp in {**before.reported, **self._new}.items() if timestamp >= start}
        reported, shortest = _newest_of(reported)
        not_before = max(before.not_before, shortest, self._shortest)
        after = replace(before, not_before=not_before, seen_until=seen_until, reported=reported)
        return replace(self._state, watermark=after, found=self._found)


def _newest_of(reported: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The newest events, as many as may be remembered, and the timestamp from which on they are complete."""
    if len(reported) <= MOST_REMEMBERED:
        return dict(reported), 0
    first = sorted(reported.values(), reverse=True)[MOST_REMEMBERED] + 1
    return {digest: timestamp for digest, timestamp in sorted(reported.items(), key=itemgetter(1)) if timestamp >= first}, first


def _written(timestamp: int | None) -> str | None:
    return None if timestamp is None else format_timestamp(timestamp, timespec="milliseconds")
