"""The events that polls have found, as counts and ids."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.polling.stored import mapping, unreadable, whole

if TYPE_CHECKING:
    from airflow_provider_capillary.polling.filters import EventRef

__all__ = ["OTHERS", "Matches"]

MOST_IDS: Final = 100
"""The most ids in a result."""
MOST_NAMES: Final = 100
"""The most statuses, and the most event names, that a result counts separately."""
LONGEST_NAME: Final = 100
"""The most characters of a status, a name or an id in a result."""
OTHERS: Final = "OTHERS"
"""The name under which a result counts the rest beyond :data:`MOST_NAMES`."""


@dataclass(slots=True, kw_only=True)
class Matches:
    """The events found so far, counted. The size is bounded, however many events there are.

    :param newest: timestamp and id of the newest events.
    :param first: the earliest timestamp, UTC epoch milliseconds; ``last`` the latest.
    """

    count: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    event_names: Counter[str] = field(default_factory=Counter)
    newest: list[tuple[int, str]] = field(default_factory=list)
    first: int | None = None
    last: int | None = None

    def copy(self) -> Matches:
        """An independent copy."""
        return Matches(
            count=self.count,
            statuses=self.statuses.copy(),
            event_names=self.event_names.copy(),
            newest=list(self.newest),
            first=self.first,
            last=self.last,
        )

    def add(self, event: EventRef) -> None:
        """Count one event."""
        self.count += 1
        _count(self.statuses, event.status)
        _count(self.event_names, event.event_name)
        self.first = event.timestamp if self.first is None else min(self.first, event.timestamp)
        self.last = event.timestamp if self.last is None else max(self.last, event.timestamp)
        self.newest.append((event.timestamp, _short(event.id)))
        if len(self.newest) >= 2 * MOST_IDS:
            self.trim()

    def trim(self) -> None:
        """Keep the newest ids, newest first."""
        self.newest = sorted(self.newest, reverse=True)[:MOST_IDS]

    def to_data(self) -> dict[str, Any]:
        """The same as data for JSON."""
        return {
            "count": self.count,
            "statuses": dict(self.statuses),
            "event_names": dict(self.event_names),
            "newest": [list(each) for each in self.newest],
            "first": self.first,
            "last": self.last,
        }

    @classmethod
    def from_data(cls, data: object) -> Matches:
        """From the data of :meth:`to_data`.

        :raises CapillaryError: the data is anything else.
        """
        data = mapping(data)
        try:
            newest = [(whole(timestamp), str(name)) for timestamp, name in data["newest"]]
        except (KeyError, TypeError, ValueError):
            raise unreadable() from None
        first, last = data.get("first"), data.get("last")
        return cls(
            count=whole(data.get("count")),
            statuses=Counter({str(name): whole(count) for name, count in mapping(data.get("statuses")).items()}),
            event_names=Counter({str(name): whole(count) for name, count in mapping(data.get("event_names")).items()}),
            newest=newest,
            first=None if first is None else whole(first),
            last=None if last is None else whole(last),
        )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def _count(counter: Counter[str], name: str) -> None:
    name = _short(name)
    counter[name if name in counter or len(counter) < MOST_NAMES else OTHERS] += 1
