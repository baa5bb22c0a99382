"""Which events match, and the few fields kept of each; never the body."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from airflow_provider_capillary.api.statuses import SUCCESS, status_of
from airflow_provider_capillary.validation import duration_of, statuses_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EventFilter", "EventRef", "lateness_of"]

LONGEST_LATENESS: Final = timedelta(days=1)
"""Each poll reads that much again, and the ids reported within it are remembered."""


class EventRef(NamedTuple):
    """The few fields kept of a record, none from its body.

    ``id_digest`` is what a watermark remembers of the id: 12 characters, however long the id is.
    """

    id: str
    instant: int
    status: str
    event_name: str
    id_digest: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> EventRef:
        """From a record as the API sent it."""
        name = record["id"]
        digest = b64encode(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=9).digest()).decode()
        return cls(name, record["startTime"], status_of(record), str(record.get("eventName") or ""), digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which records match.

    :param statuses: ``None`` for every failure: anything but a success, a record without a status included.
    :param event_name: ``None`` for any.
    """

    statuses: frozenset[str] | None = None
    event_name: str | None = None

    @classmethod
    def of(cls, statuses: object, event_name: object) -> Self:
        """From what a user wrote, or from the JSON that :meth:`statuses_text` made of it.

        :raises ConfigurationError: names the argument, its value and the hint.
        """
        known = statuses_of(statuses, without="every failure")
        return cls(statuses=None if known is None else frozenset(known), event_name=text_of("event_name", event_name))

    @property
    def statuses_text(self) -> str | None:
        """The statuses as one JSON text, always the same for the same ones."""
        return None if self.statuses is None else json.dumps(sorted(self.statuses))

    def select(self, events: Iterable[EventRef]) -> list[EventRef]:
        """Those that match."""
        statuses, name = self.statuses, self.event_name
        return [
            seen
            for seen in events
            if (seen.status != SUCCESS if statuses is None else seen.status in statuses) and name in (None, seen.event_name)
        ]

    def __str__(self) -> str:
        which = "every failure" if self.statuses is None else ", ".join(sorted(self.statuses))
        return which if self.event_name is None else f"{which} of {self.event_name}"


def lateness_of(allowed_lateness: object) -> int:
    """The argument ``allowed_lateness`` in milliseconds.

    :param allowed_lateness: a timedelta, or seconds.
    :raises ConfigurationError: it is neither, negative, or longer than a day.
    """
    lateness = duration_of("allowed_lateness", allowed_lateness, most=LONGEST_LATENESS, takes_seconds=True)
    return lateness // timedelta(milliseconds=1)
