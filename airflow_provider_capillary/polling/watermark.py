"""How far the earlier polls have read, and the ids that they reported shortly before that point."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.api.date_formats import MINUTE
from airflow_provider_capillary.polling.stored import mapping, parsed, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOOKBACK", "Watermark"]

LOOKBACK: Final = 5 * MINUTE
"""Milliseconds; the default of ``allowed_lateness``, equal to the default of the export's ``settle``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """The state that the next poll needs from the polls before it. Stored as JSON, under the keys of the first version.

    :param not_before: events before this timestamp are never new.
    :param seen_until: one millisecond after the newest event seen so far.
    :param reported: timestamps of the reported events, by :attr:`.EventRef.id_digest`, from ``lateness`` before ``seen_until`` on.
    :param lateness: how far before ``seen_until`` the next poll starts, in milliseconds.
    """

    not_before: int
    seen_until: int
    reported: Mapping[str, int] = field(default_factory=dict, repr=False)
    lateness: int = LOOKBACK

    @classmethod
    def starting_at(cls, timestamp: int, *, lateness: int = LOOKBACK) -> Watermark:
        """The watermark before the first poll: every event from ``timestamp`` on is new."""
        return cls(not_before=max(0, timestamp), seen_until=max(0, timestamp), lateness=lateness)

    def keeping(self, lateness: int) -> Watermark:
        """The same watermark with another ``lateness``.

        A longer one applies to events from now on. The ids reported before the old look-back are forgotten, so no event from there may
        count as new.
        """
        return replace(self, not_before=self.lookback_start, lateness=lateness)

    @property
    def lookback_start(self) -> int:
        """Where the next poll starts."""
        return max(self.not_before, self.seen_until - self.lateness)

    def merge(self, other: Watermark | None) -> Watermark:
        """The watermark of two tasks that polled at the same time, as if one had reported the events of both."""
        if other is None:
            return self
        first, last = sorted((self, other), key=lambda watermark: watermark.seen_until)
        if last.lateness > first.lateness:
            # The first remembers its reported ids for a shorter time than the last would look back.
            last = replace(last, not_before=max(last.not_before, first.lookback_start))
        reported = {**first.reported, **last.reported}
        return replace(last, reported={digest: timestamp for digest, timestamp in reported.items() if timestamp >= last.lookback_start})

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        return json.dumps(self.to_data(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: object) -> Watermark:
        """From the text of :meth:`to_json`.

        :raises CapillaryError: it is anything else.
        """
        return cls.from_data(parsed(text))

    def to_data(self) -> dict[str, Any]:
        """The same as data for JSON."""
        return {"floor": self.not_before, "watermark": self.seen_until, "reported": dict(self.reported), "lateness": self.lateness}

    @classmethod
    def from_data(cls, data: object) -> Watermark:
        """From the data of :meth:`to_data`.

        :raises CapillaryError: it is anything else.
        """
        data = mapping(data)
        reported = mapping(data.get("reported"))
        return cls(
            not_before=whole(data.get("floor")),
            seen_until=whole(data.get("watermark")),
            reported={str(digest): whole(timestamp) for digest, timestamp in reported.items()},
            lateness=whole(data.get("lateness", LOOKBACK)),  # the first version did not store it
        )
