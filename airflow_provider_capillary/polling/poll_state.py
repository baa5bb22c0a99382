"""Incremental polling: report each matching event once.

The API is asked for an interval of event timestamps, not for what has become visible since the last request, and records become visible
some time after the timestamp that they bear. So each poll starts before the *watermark*, the newest timestamp seen so far, by as much as a
record may be late (:data:`.LOOKBACK`, unless the user says otherwise), and the ids reported within that stretch are remembered.

An example over five minutes, with the failures ``a`` of 12:00:00, ``b`` of 12:01:00 and ``c`` of 12:00:30, which becomes visible four
minutes late:

=========  =====================  ============  =========================  ========================
poll       reads                  answer        new                        watermark
=========  =====================  ============  =========================  ========================
12:00:10   since (11:50) on       a             a                          12:00:00.001
12:01:10   from 11:55:00.001 on   a, b          b                          12:01:00.001
12:04:40   from 11:56:00.001 on   a, b, c       c, though before ``b``     12:01:00.001
=========  =====================  ============  =========================  ========================

**The guarantee.** A record that becomes visible within the look-back after its timestamp is reported once, by the first poll after it is
visible: late, out of order, or at the very millisecond of the watermark. The guarantee rests on the API's own timestamps alone: the
watermark is the timestamp of a record and never this machine's clock, unless the clock is earlier, so that a record from the far future
does not end the search. A record that is later still may be missed, and an id that the API shows with two timestamps may be reported twice.

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
"""How far past this machine's clock a poll reaches: the API's clock may be ahead. Later records are found once the clock has caught up."""
MOST_REMEMBERED: Final = 10_000
"""Ids at most, some 300 kB of JSON. More matches than that within the look-back shorten the look-back to the newest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollState:
    """What one task polls for and has found so far; it goes from poll to poll, and as JSON from process to process.

    :param started_at: where its first poll started.
    """

    event_filter: EventFilter
    watermark: Watermark
    started_at: int
    found: Matches = field(default_factory=Matches)

    @classmethod
    def begin(cls, event_filter: EventFilter, watermark: Watermark) -> PollState:
        """Start where earlier tasks have stopped."""
        return cls(event_filter=event_filter, watermark=watermark, started_at=watermark.lookback_start)

    def poll(self, now: int) -> Poll:
        """Begin a poll.

        :param now: this machine's clock.
        """
        return Poll(self, now)

    def lookback_was_shortened(self, before: PollState) -> bool:
        """Whether the poll after ``before`` found more than can be remembered, so that the next poll looks back less far."""
        return self.watermark.not_before > max(before.watermark.not_before, self.watermark.seen_until - self.watermark.lateness)

    def result(self) -> dict[str, Any]:
        """The result for users. Timestamps are ISO text with an offset.

        ``[since, watermark)`` and, shorter, ``[start, end)`` are intervals that hold all that was found; they may also hold what was
        reported earlier. ``ids`` are the newest, and ``ids_cut`` says whether there are more.
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
        """The result as an event payload: bounded in size; where ids are left out, it says where to read the rest."""
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
        """From what :meth:`to_json` made.

        :raises CapillaryError: it is something else.
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
    """One poll under way. Its records count only once it has finished, because a reading counts only as a whole."""

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
        """Add a part of the answer.

        :param matching: the records that match the ``event_filter``; records outside of the window do no harm.
        :param newest: the newest timestamp of all records in this part.
        """
        self._newest = max(self._newest, newest)
        watermark = self._state.watermark
        for seen in matching:
            if seen.instant < watermark.lookback_start or seen.id_digest in watermark.reported or seen.id_digest in self._new:
                continue
            self._found.add(seen)
            if seen.instant >= self._shortest:
                self._new[seen.id_digest] = seen.instant
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
    """The newest events that may be remembered, in whole milliseconds, and the timestamp from which on they are complete."""
    if len(reported) <= MOST_REMEMBERED:
        return dict(reported), 0
    first = sorted(reported.values(), reverse=True)[MOST_REMEMBERED] + 1
    return {name: instant for name, instant in sorted(reported.items(), key=itemgetter(1)) if instant >= first}, first


def _written(instant: int | None) -> str | None:
    return None if instant is None else format_timestamp(instant, timespec="milliseconds")
