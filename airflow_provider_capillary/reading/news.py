"""What is new: what a look at the API shows that no look before it has shown.

The API says what happened between two instants, not what has become visible since it was last asked, and records become visible some
time after the instant that they bear. So each look goes back behind the *watermark*, the newest instant that was seen so far, by as much
as a record may be late (:data:`LOOKBACK`, unless the user says otherwise), and what was reported within that stretch is remembered by id.

An example of five minutes, with the failures ``a`` of 12:00:00, ``b`` of 12:01:00 and ``c`` of 12:00:30, which becomes visible four minutes
late:

=========  =====================  ============  =========================  ========================
look       asks                   is answered   new                        watermark
=========  =====================  ============  =========================  ========================
12:00:10   since (11:50) on       a             a                          12:00:00.001
12:01:10   from 11:55:00.001 on   a, b          b                          12:01:00.001
12:04:40   from 11:56:00.001 on   a, b, c       c, though before ``b``     12:01:00.001
=========  =====================  ============  =========================  ========================

**The guarantee.** A record that is visible no later than that after the instant that it bears is reported once, at the
first look after it is visible: late, out of order, or at the very millisecond of the watermark. It rests on nothing but the API's own
times: the watermark is the time of a record, never this machine's clock, unless that is earlier, so that a record from the far future
does not end the search. A record that is later still may be missed, and an id that the API shows at two times may be reported twice.

Nothing here asks, waits, or knows what time it is. Instants are UTC epoch milliseconds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Final

from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.reading.dates import MINUTE
from airflow_provider_capillary.reading.instants import from_millis
from airflow_provider_capillary.reading.wanted import Sighting, Wanted

__all__ = ["AHEAD", "LOOKBACK", "OTHERS", "Findings", "Hunt", "Look", "Memory"]

LOOKBACK: Final = 5 * MINUTE
"""How late a record may become visible, by default; the same as the export's default ``settle``."""
AHEAD: Final = 5 * MINUTE
"""How far past this machine's clock a look reaches: the API's clock may be ahead. What lies beyond is seen once it no longer does."""
MOST_REMEMBERED: Final = 10_000
"""Ids at most, some 300 kB of JSON. More failures than that within the look-back shorten the look-back to the newest of them."""
MOST_IDS: Final = 100
"""Ids in a result."""
MOST_NAMES: Final = 100
"""Different statuses, and event names, that are counted apart in a result."""
LONGEST_NAME: Final = 100
"""Characters of a status, a name or an id in a result."""
OTHERS: Final = "OTHERS"
"""Under this name the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the next look has to know of those before it.

    :param floor: nothing before it is new.
    :param watermark: an instant after the newest one that was seen.
    :param reported: the times of what was reported, by :attr:`.Sighting.mark`, from ``lateness`` before the watermark on.
    :param lateness: how far behind the watermark the next look goes back, in milliseconds.
    """

    floor: int
    watermark: int
    reported: Mapping[str, int] = field(default_factory=dict, repr=False)
    lateness: int = LOOKBACK

    @classmethod
    def since(cls, instant: int, *, lateness: int = LOOKBACK) -> Memory:
        """Where nothing was reported before: everything from ``instant`` on is new."""
        return cls(floor=max(0, instant), watermark=max(0, instant), lateness=lateness)

    def keeping(self, lateness: int) -> Memory:
        """The same, for looks that go back so far.

        Where that is further than before, what was reported so far back is no longer remembered: nothing before that is new, and what a
        longer time adds begins to count now.
        """
        return replace(self, floor=self.low, lateness=lateness)

    @property
    def low(self) -> int:
        """From where on the next look has to ask."""
        return max(self.floor, self.watermark - self.lateness)

    def joined(self, other: Memory | None) -> Memory:
        """What two that reported side by side have reported."""
        if other is None:
            return self
        first, last = sorted((self, other), key=lambda memory: memory.watermark)
        if last.lateness > first.lateness:
            # What the first has reported is remembered less far back than the last would look.
            last = replace(last, floor=max(last.floor, first.low))
        reported = {**first.reported, **last.reported}
        return replace(last, reported={name: instant for name, instant in reported.items() if instant >= last.low})

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        return json.dumps(self.to_data(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: object) -> Memory:
        """From what :meth:`to_json` made.

        :raises CapillaryError: it is something else.
        """
        return cls.from_data(_parsed(text))

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"floor": self.floor, "watermark": self.watermark, "reported": dict(self.reported), "lateness": self.lateness}

    @classmethod
    def from_data(cls, data: object) -> Memory:
        """From what :meth:`to_data` made.

        :raises CapillaryError: it is something else.
        """
        data = _mapping(data)
        reported = _mapping(data.get("reported"))
        return cls(
            floor=_whole(data.get("floor")),
            watermark=_whole(data.get("watermark")),
            reported={str(name): _whole(instant) for name, instant in reported.items()},
            lateness=_whole(data.get("lateness", LOOKBACK)),  # which the first version did not say
        )


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found so far, counted: bounded in size, however much it is.

    :param newest: time and id of the newest ones.
    """

    count: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    event_names: Counter[str] = field(default_factory=Counter)
    newest: list[tuple[int, str]] = field(default_factory=list)
    first: int | None = None
    last: int | None = None

    def copy(self) -> Findings:
        """One that can be added to."""
        return Findings(
            count=self.count,
            statuses=self.statuses.copy(),
            event_names=self.event_names.copy(),
            newest=list(self.newest),
            first=self.first,
            last=self.last,
        )

    def add(self, seen: Sighting) -> None:
        """Count one."""
        self.count += 1
        _count(self.statuses, seen.status)
        _count(self.event_names, seen.event_name)
        self.first = seen.instant if self.first is None else min(self.first, seen.instant)
        self.last = seen.instant if self.last is None else max(self.last, seen.instant)
        self.newest.append((seen.instant, _short(seen.id)))
        if len(self.newest) >= 2 * MOST_IDS:
            self.trim()

    def trim(self) -> None:
        """Keep the newest ids, newest first."""
        self.newest = sorted(self.newest, reverse=True)[:MOST_IDS]

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "count": self.count,
            "statuses": dict(self.statuses),
            "event_names": dict(self.event_names),
            "newest": [list(each) for each in self.newest],
            "first": self.first,
            "last": self.last,
        }

    @classmethod
    def from_data(cls, data: object) -> Findings:
        """From what :meth:`to_data` made.

        :raises CapillaryError: it is something else.
        """
        data = _mapping(data)
        try:
            newest = [(_whole(instant), str(name)) for instant, name in data["newest"]]
        except (KeyError, TypeError, ValueError):
            raise _unreadable() from None
        first, last = data.get("first"), data.get("last")
        return cls(
            count=_whole(data.get("count")),
            statuses=Counter({str(name): _whole(count) for name, count in _mapping(data.get("statuses")).items()}),
            event_names=Counter({str(name): _whole(count) for name, count in _mapping(data.get("event_names")).items()}),
            newest=newest,
            first=None if first is None else _whole(first),
            last=None if last is None else _whole(last),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """A search that goes on from look to look, and from process to process by its JSON.

    :param since: where its first look began.
    """

    wanted: Wanted
    memory: Memory
    since: int
    found: Findings = field(default_factory=Findings)

    @classmethod
    def begin(cls, wanted: Wanted, memory: Memory) -> Hunt:
        """Go on from what earlier ones have reported."""
        return cls(wanted=wanted, memory=memory, since=memory.low)

    def look(self, now: int) -> Look:
        """Begin a look.

        :param now: this machine's clock.
        """
        return Look(self, now)

    def is_shortened(self, before: Hunt) -> bool:
        """Whether the look that led here from ``before`` found more than is remembered, so that the next goes back less far."""
        return self.memory.floor > max(before.memory.floor, self.memory.watermark - self.memory.lateness)

    def result(self) -> dict[str, Any]:
        """What to tell of it. Times are ISO text with an offset.

        ``[since, watermark)`` and, shorter, ``[start, end)`` are intervals that hold all that was found; they may also hold what was
        reported earlier. ``ids`` are the newest, and ``ids_cut`` says whether there are more.
        """
        found, memory = self.found, self.memory
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
            "since": _written(self.since),
            "watermark": _written(max(memory.watermark, end or 0)),
        }

    def event(self) -> dict[str, Any]:
        """The result as an event says it: bounded in size, and where it is cut, with where to read the rest."""
        result = self.result()
        if result["ids_cut"]:
            result["rest"] = (
                f"ids holds the newest {len(result['ids'])} of {result['count']}; all of them are among the event logs of [start, end), "
                "which the export operator writes"
            )
        return result

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        wanted = {"statuses": None if self.wanted.statuses is None else sorted(self.wanted.statuses), "event_name": self.wanted.event_name}
        data = {"wanted": wanted, "memory": self.memory.to_data(), "since": self.since, "found": self.found.to_data()}
        return json.dumps(data, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Hunt:
        """From what :meth:`to_json` made.

        :raises CapillaryError: it is something else.
        """
        data = _parsed(text)
        wanted = _mapping(data.get("wanted"))
        statuses, name = wanted.get("statuses"), wanted.get("event_name")
        if not (statuses is None or isinstance(statuses, list)) or not (name is None or isinstance(name, str)):
            raise _unreadable()
        return cls(
            wanted=Wanted(statuses=None if statuses is None else frozenset(map(str, statuses)), event_name=name),
            memory=Memory.from_data(data.get("memory")),
            since=_whole(data.get("since")),
            found=Findings.from_data(data.get("found")),
        )


class Look:
    """One look under way. What it is given counts once it has ended, for a reading counts only as a whole."""

    def __init__(self, hunt: Hunt, now: int) -> None:
        self._hunt = hunt
        self._now = now
        self._found = hunt.found.copy()
        self._new: dict[str, int] = {}
        self._newest = 0
        self._shortest = 0

    @property
    def window(self) -> tuple[int, int]:
        """What to ask for, half-open; empty where the search begins in the future."""
        return self._hunt.memory.low, self._now + AHEAD

    def take(self, matching: Iterable[Sighting], *, newest: int) -> None:
        """Take a part of the answer.

        :param matching: what the search's ``wanted`` has picked; more than the window held does no harm.
        :param newest: the greatest time in this part, of all records.
        """
        self._newest = max(self._newest, newest)
        memory = self._hunt.memory
        for seen in matching:
            if seen.instant < memory.low or seen.mark in memory.reported or seen.mark in self._new:
                continue
            self._found.add(seen)
            if seen.instant >= self._shortest:
                self._new[seen.mark] = seen.instant
        if len(self._new) > 2 * MOST_REMEMBERED:
            self._new, self._shortest = _newest_of(self._new)

    def end(self) -> Hunt:
        """The search after this look."""
        memory = self._hunt.memory
        watermark = max(memory.watermark, min(self._newest + 1, self._now))
        low = max(memory.floor, watermark - memory.lateness)
        reported = {name: instant for name, instant in {**memory.reported, **self._new}.items() if instant >= low}
        reported, shortest = _newest_of(reported)
        floor = max(memory.floor, shortest, self._shortest)
        return replace(self._hunt, memory=replace(memory, floor=floor, watermark=watermark, reported=reported), found=self._found)


def _newest_of(reported: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """As many of the newest as may be remembered, in whole milliseconds, and the instant from which on that is all of them."""
    if len(reported) <= MOST_REMEMBERED:
        return dict(reported), 0
    first = sorted(reported.values(), reverse=True)[MOST_REMEMBERED] + 1
    return {name: instant for name, instant in sorted(reported.items(), key=itemgetter(1)) if instant >= first}, first


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def _count(counter: Counter[str], name: str) -> None:
    name = _short(name)
    counter[name if name in counter or len(counter) < MOST_NAMES else OTHERS] += 1


def _written(instant: int | None) -> str | None:
    return None if instant is None else from_millis(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(text: object) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text) if isinstance(text, str) else None)
    except (ValueError, RecursionError):
        raise _unreadable() from None


def _mapping(data: object) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise _unreadable()
    return data


def _whole(value: object) -> int:
    if type(value) is not int:
        raise _unreadable()
    return value


def _unreadable() -> CapillaryError:
    return CapillaryError(
        "What was noted of earlier looks can't be read: it is not what this package writes",
        cure="clear the task, or give it `since`; if it stays so, delete the task's XCom",
    )
