"""What an export did: the receipt that the task returns, and the line that the log shows."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["Receipt", "summary_of"]

_MOST_STATUSES_SHOWN = 8


class Receipt(TypedDict):
    """What an export did, fit for JSON; never anything from a record's body.

    Times are ISO 8601 in UTC with milliseconds, as in ``2025-09-18T00:00:00.000Z``.
    """

    path: str | None
    """The object's URI with the connection id, as ``ObjectStoragePath(...)`` of a later task takes it; ``None`` where there is no object
    (``on_empty="skip"``)."""
    uri: str | None
    """The same without the connection id, as any other tool takes it."""
    start: str
    end: str
    """The half-open interval ``[start, end)``."""
    events: int
    """Records in the object; with ``on_vanished="keep"`` also those that it took over from the earlier one."""
    failures: int
    """Events with any status but ``EVENT_SUCCESS``, or with none."""
    statuses: dict[str, int]
    """Events by status, most frequent first; ``NO_STATUS`` where it is absent, null or empty."""
    first_start_time: str | None
    last_start_time: str | None
    """The least and the greatest ``startTime``; ``None`` without events."""
    bytes: int | None
    sha256: str | None
    """Of the object; ``None`` where none was written (``on_empty="skip"``)."""
    events_read: int
    """Events of the interval that the API showed, before ``event_name`` and ``statuses`` chose from them."""
    requests: int
    late_events: int | None
    """Records that the object of an earlier run lacked; ``None`` where nothing was compared: no earlier object, or one that cannot be
    read (the log says so)."""
    vanished_events: int | None
    """Records of the object of an earlier run that this reading did not return, kept or dropped; ``None`` as for ``late_events``."""
    proof: dict[str, int | str] | None
    """What the completeness rests on: ``spans`` (windows that cover the interval), ``longest_answer`` (the most records in one of them),
    ``capacity`` (so many the API was known to give at once then) and ``shown_at`` (by then, a later and longer answer had shown that it
    still does). ``None`` where the API holds no records at all."""
    manifest: str | None
    """The manifest's URI; ``None`` where none was written."""


def summary_of(receipt: Receipt, *, source: str) -> str:
    """What was written, in one line: counts first, the long path last."""
    statuses = list(receipt["statuses"].items())
    more = len(statuses) - _MOST_STATUSES_SHOWN
    parts = [f"{status} {count}" for status, count in statuses[:_MOST_STATUSES_SHOWN]]
    parts += [f"{more} more statuses"] if more > 0 else []
    late = f", {receipt['late_events']} of them late" if receipt["late_events"] else ""
    vanished = f", {receipt['vanished_events']} of the earlier object vanished" if receipt["vanished_events"] else ""
    counts = f" ({', '.join(parts)}{late}{vanished})" if parts else ""
    interval = f"[{receipt['start']}, {receipt['end']})" + (f", {source}" if source else "")
    return f"Wrote {receipt['events']} event logs{counts}, {receipt['bytes']} bytes, for {interval}: {receipt['path']}"
