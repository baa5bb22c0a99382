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
"""The longest ``allowed_lateness``: each poll reads that much again, and remembers the ids that it reported within."""


class EventRef(NamedTuple):
    """The few fields kept of a record, none from its body.

    ``timestamp`` is its ``startTime``, UTC epoch milliseconds. ``id_digest`` stands for the id in a watermark: 12 characters, however long
    the id is.
    """

    id: str
    timestamp: int
    status: str
    event_name: str
    id_digest: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> EventRef:
        """Of a record, as the API sent it."""
        event_id = record["id"]
        digest = b64encode(blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=9).digest()).decode()
        return cls(event_id, record["startTime"], status_of(record), str(record.get("eventName") or ""), digest)


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
        """Of the arguments of a user, or of the JSON of :meth:`statuses_text`.

        :raises ConfigurationError: names the argument, its value and how to fix it.
        """
        checked = statuses_of(statuses, without="every failure")
        return cls(statuses=None if checked is None else frozenset(checked), event_name=text_of("event_name", event_name))

    @property
    def statuses_text(self) -> str | None:
        """The statuses as JSON text, equal for equal statuses."""
        return None if self.statuses is None else json.dumps(sorted(self.statuses))

    def select(self, events: Iterable[EventRef]) -> list[EventRef]:
        """The events that match."""
        statuses, name = self.statuses, self.event_name
        return [
            event
            for event in events
            if (event.status != SUCCESS if statuses is None else event.status in statuses) and name in (None, event.event_name)
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
