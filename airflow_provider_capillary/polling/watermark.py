"""How far an earlier poll has read, and the ids that it has reported behind that point."""

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
"""How late a record may become visible, by default; the same as the export's default ``settle``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """What the next poll has to know of the polls before it. Stored as JSON under the keys of the first version.

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
        """Nothing was reported before: everything from ``timestamp`` on is new."""
        return cls(not_before=max(0, timestamp), seen_until=max(0, timestamp), lateness=lateness)

    def keeping(self, lateness: int) -> Watermark:
        """The same watermark with another ``lateness``.

        A longer one applies to events from now on: the ids reported before the old look-back are forgotten, so nothing there counts as new.
        """
        return replace(self, not_before=self.lookback_start, lateness=lateness)

    @property
    def lookback_start(self) -> int:
        """Where the next poll starts."""
        return max(self.not_before, self.seen_until - self.lateness)

    def merge(self, other: Watermark | None) -> Watermark:
        """What two tasks that polled side by side have reported together."""
        if other is None:
            return self
        first, last = sorted((self, other), key=lambda watermark: watermark.seen_until)
        if last.lateness > first.lateness:
            # The ids that the first has reported are known less far back than the last would poll.
            last = replace(last, not_before=max(last.not_before, first.lookback_start))
        reported = {**first.reported, **last.reported}
        return replace(last, reported={name: instant for name, instant in reported.items() if instant >= last.lookback_start})

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        return json.dumps(self.to_data(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: object) -> Watermark:
        """From what :meth:`to_json` made.

        :raises CapillaryError: it is something else.
        """
        return cls.from_data(parsed(text))

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"floor": self.not_before, "watermark": self.seen_until, "reported": dict(self.reported), "lateness": self.lateness}

    @classmethod
    def from_data(cls, data: object) -> Watermark:
        """From what :meth:`to_data` made.

        :raises CapillaryError: it is something else.
        """
        data = mapping(data)
        reported = mapping(data.get("reported"))
        return cls(
            not_before=whole(data.get("floor")),
            seen_until=whole(data.get("watermark")),
            reported={str(name): whole(instant) for name, instant in reported.items()},
            lateness=whole(data.get("lateness", LOOKBACK)),  # which the first version did not say
        )
