"""The records of an answer by ``msgspec``, where it surely reads the answer as :func:`.responses.read_page` does without it.

``msgspec`` refuses whatever Python's ``json`` refuses, and more. What it accepts and ``read_page`` doesn't is an object with the same key
twice. So a page is taken here only where no object in it can have one: because encoding what was decoded gives the very same bytes again,
or because the page has as many strings as the records have keys and texts. Every other page is left to the plain reader.

Records of one API have the same fields in the same order. Once these are known, from an earlier page, ``msgspec`` decodes records into
objects with slots for them, in half the time that dictionaries take.
"""

from __future__ import annotations

import re
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.event_logs import EventLogs, event_log

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from airflow_provider_capillary.api.event_logs import EventLog

__all__ = ["decode_records"]

# Around the list of records: nothing but `warnings` and `errors` that say nothing.
_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"data"\s*:\s*(?=\[)'.replace(rb"\s", rb"[ \t\r\n]"))
_NOTHING = rb"(?:null|\[\s*\]|\[\s*\{\s*\}\s*\])"
_WARNINGS, _ERRORS = (rb'\s*,\s*"' + name + rb'"\s*:\s*' + _NOTHING for name in (b"warnings", b"errors"))
_TAIL = re.compile(
    (rb"\](?:" + _WARNINGS + rb"(?:" + _ERRORS + rb")?|" + _ERRORS + rb"(?:" + _WARNINGS + rb")?)?\s*\}\s*\Z").replace(
        rb"\s", rb"[ \t\r\n]"
    )
)
_LONGEST_TAIL = 300
_SCALARS = frozenset({str, int, float, bool, type(None)})
_MOST_FIELDS = 100
_LONGEST_REST = 64
_ERRORS_OF_MSGSPEC = (ValueError, OverflowError, RecursionError)
"""Its own errors are ValueErrors."""


def decode_records(body: bytes, latest: int) -> EventLogs | None:
    """The records of an answer; ``None`` where the plain reader has to look at it.

    :param latest: every ``startTime`` is below this.
    """
    json = fast.optional("msgspec.json")
    head = _HEAD.match(body)
    if json is None or head is None:
        return None
    tail = _TAIL.search(body, max(head.end(), len(body) - _LONGEST_TAIL))
    if tail is None:
        return None
    # With what is known of head and tail, the body is one JSON value if this is one.
    listed = body[head.end() : tail.start() + 1]
    return _layouts.decode(listed) or _decode_any(listed, latest, json)


def _decode_any(listed: bytes, latest: int, json: ModuleType) -> EventLogs | None:
    """A list of records, whatever their fields."""
    try:
        records: list[dict[str, Any]] = json.decode(listed, type=list[dict[str, Any]])
        texts = list(map(bytes, json.decode(listed, type=_list_of_raw())))
        if records and not (_have_identity(records, latest) and _have_each_key_once(records, listed, json)):
            return None
    except _ERRORS_OF_MSGSPEC:
        return None
    _layouts.learn(records, latest)
    return EventLogs.of(map(event_log, records, texts))


def _list_of_raw() -> Any:  # noqa: ANN401  # a type of an optional package
    from msgspec import Raw

    return list[Raw]


def _have_identity(records: list[dict[str, Any]], latest: int) -> bool:
    ids, times = [record.get("id") for record in records], [record.get("startTime") for record in records]
    if set(map(type, ids)) != {str} or set(map(type, times)) != {int} or not all(ids):
        return False
    return min(times) >= 0 and max(times) < latest  # type: ignore[type-var, operator]  # integers, as was just seen


def _have_each_key_once(records: list[dict[str, Any]], listed: bytes, json: ModuleType) -> bool:
    if json.encode(records) == listed:
        return True
    kinds = list(map(type, chain.from_iterable(map(dict.values, records))))
    if not _SCALARS.issuperset(kinds):
        return False
    # Without escaped backslashes, each backslash before a quote escapes it, and the other quotes begin and end strings.
    text = listed.replace(rb"\\", b"")
    return text.count(b'"') - text.count(rb"\"") == 2 * (sum(map(len, records)) + kinds.count(str))


class _Layouts:
    """The order of the fields of an API's records, as the last pages have shown it. What is not known here takes longer, nothing else."""

    def __init__(self) -> None:
        self._layout: _Layout | None = None
        self._rest = self._failures = 0

    def decode(self, listed: bytes) -> EventLogs | None:
        """A list of records that have no other fields than the known ones, and these in the known order; ``None`` for another one."""
        if self._layout is None:
            return None
        if self._rest:
            self._rest -= 1
            return None
        records = self._layout.decode(listed)
        if records is None:
            # After each failure, twice as many pages are read without a try.
            self._failures = min(2 * self._failures + 1, _LONGEST_REST)
            self._rest = self._failures - 1
        else:
            self._failures = 0
        return records

    def learn(self, records: list[dict[str, Any]], latest: int) -> None:
        """Take note of the fields of these records."""
        known = self._layout.names if self._layout else ()
        orders = sorted(set(map(tuple, records)), key=len, reverse=True)
        names = _merged([known, *orders])
        if names == known:
            these = _merged(orders)
            # The order of the fields has changed, or it is something else that the layout does not fit.
            names = known if these == tuple(name for name in known if name in these) else these
        if names != known and len(names) <= _MOST_FIELDS:
            try:
                self._layout = _Layout(names, latest)
            except ValueError:  # a name that JSON has to escape
                self._layout = None


def _merged(orders: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """An order of all names: that of the first, and each new name behind the one that it follows."""
    merged: list[str] = []
    for order in orders:
        place = 0
        for name in order:
            if name in merged:
                place = merged.index(name) + 1
            else:
                merged.insert(place, name)
                place += 1
    return tuple(merged)


_layouts = _Layouts()


class _Layout:
    """Reads and writes records with these fields, some of them absent; the form of the rows that it makes."""

    def __init__(self, names: tuple[str, ...], latest: int) -> None:
        import msgspec

        self.names = names
        self._attributes = {name: f"f{number}" for number, name in enumerate(names)}
        times, ids = Annotated[int, msgspec.Meta(ge=0, lt=latest)], Annotated[str, msgspec.Meta(min_length=1)]
        types: dict[str, Any] = {"startTime": (times,), "id": (ids,)}
        fields = [(attribute, *types.get(name, (Any, msgspec.UNSET))) for name, attribute in self._attributes.items()]
        row = msgspec.defstruct(
            "Row",
            fields,
            kw_only=True,
            gc=False,
            forbid_unknown_fields=True,
            rename={attribute: name for name, attribute in self._attributes.items()},
        )
        self._unset = msgspec.UNSET
        self._decode = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]  # made above
        self._encoder = msgspec.json.Encoder()
        self._time, self._id = (attrgetter(self._attributes[name]) for name in ("startTime", "id"))

    def decode(self, listed: bytes) -> EventLogs | None:
        """A list of records; ``None`` where it is not just what would be encoded for them."""
        try:
            rows = self._decode(listed)
            if self._encoder.encode(rows) != listed:
                return None
        except _ERRORS_OF_MSGSPEC:
            return None
        return EventLogs(list(map(self._time, rows)), list(map(self._id, rows)), rows, self)

    def log(self, row: Any) -> EventLog:  # noqa: ANN401  # a class that is made above
        """See :class:`.RowForm`."""
        fields = {name: value for name, attribute in self._attributes.items() if (value := getattr(row, attribute)) is not self._unset}
        return event_log(fields, self._encoder.encode(row))

    def column(self, rows: list[Any], name: str) -> list[Any]:
        """See :class:`.RowForm`."""
        if name not in self._attributes:
            return [None] * len(rows)
        unset = self._unset
        return [None if value is unset else value for value in map(attrgetter(self._attributes[name]), rows)]

    def lines(self, rows: list[Any]) -> bytes:
        """See :class:`.RowForm`."""
        return self._encoder.encode_lines(rows)
