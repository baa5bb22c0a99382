"""Counts of the statuses and names that a reading found, and the warning where the filters kept no record."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from airflow_provider_capillary.api.statuses import name_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airflow_provider_capillary.api.event_logs import EventLogs

__all__ = ["NO_NAME", "Tally", "name_is_unknown"]

NO_NAME = "(no eventName)"

_MOST_COUNTED = 200
_MOST_SHOWN = 10
_LONGEST = 60
"""Characters. A long value from a server must not fill the log."""
_ALIKE = 0.75
"""How alike two names have to be, from 0 to 1, to count as a misspelling."""


class Tally:
    """Counts the records of one reading by status and by event name, and those that the filters keep.

    :param event_name: ``None`` for all.
    :param statuses: ``None`` for all.
    """

    def __init__(self, event_name: str | None, statuses: Collection[str] | None) -> None:
        self._event_name = event_name
        self._wanted = statuses
        self._statuses: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self.read = 0
        self.kept = 0

    def kept_of(self, records: EventLogs) -> EventLogs:
        """Count records, and give those that the filters keep."""
        self.read += len(records)
        if self._event_name is not None or self._wanted is not None:
            records = records.kept(map(self._keeps, map(name_of, records.column("status")), records.column("eventName")))
        self.kept += len(records)
        return records

    def _keeps(self, status: str, name: object) -> bool:
        _count(self._statuses, status)
        _count(self._names, name if isinstance(name, str) and name else NO_NAME)
        return self._event_name in (None, name) and (self._wanted is None or status in self._wanted)

    def why_nothing_was_kept(self) -> str | None:
        """One sentence for each filter, with the values that were found; ``None`` where a record was kept, or none was read."""
        if self.kept or not self.read:
            return None
        asked = []
        if self._event_name is not None:
            asked.append(
                f"event_name={_short(self._event_name)}; the names were {_shown(self._names)}{_closest([self._event_name], self._names)}"
            )
        if self._wanted is not None:
            wanted = sorted(self._wanted)
            asked.append(f"statuses={_list(wanted)}; the statuses were {_shown(self._statuses)}{_closest(wanted, self._statuses)}")
        return f"None of {self.read} event logs was kept. Asked for {'. And for '.join(asked)}."


def name_is_unknown(event_name: str, newest: Sequence[Mapping[str, object]]) -> str | None:
    """The warning where none of the API's newest records has this name; ``None`` where one has it, or where there are no records."""
    names: dict[str, int] = {}
    for record in newest:
        name = record.get("eventName")
        _count(names, name if isinstance(name, str) and name else NO_NAME)
    if not names or event_name in names:
        return None
    return (
        f"The API shows no event log of the interval with event_name={_short(event_name)}, and none of its newest {len(newest)} has that "
        f"name: theirs are {_shown(names)}{_closest([event_name], names)}."
    )


def _closest(asked: Iterable[str], known: Collection[str]) -> str:
    """`` (did you mean ...?)`` for each unknown name that is spelt like a known one; else nothing."""
    folded = {name.casefold(): name for name in known}
    found: dict[str, None] = {}
    for name in [name for name in asked if name not in known][:_MOST_SHOWN]:
        for alike in difflib.get_close_matches(name.casefold().strip(), folded, n=1, cutoff=_ALIKE):
            found[_short(folded[alike])] = None
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _count(counts: dict[str, int], name: str) -> None:
    if name in counts or len(counts) < _MOST_COUNTED:
        counts[name] = counts.get(name, 0) + 1


def _shown(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = len(ordered) - _MOST_SHOWN
    return ", ".join(f"{_short(name)} ({count})" for name, count in ordered[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _list(names: list[str]) -> str:
    return f"[{', '.join(map(_short, names[:_MOST_SHOWN]))}{', ...' if len(names) > _MOST_SHOWN else ''}]"


def _short(name: str) -> str:
    shown = ascii(name)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
