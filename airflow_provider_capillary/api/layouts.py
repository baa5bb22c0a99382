"""Records of one API have the same fields in the same order. Once this layout is known, records are decoded in half the time.

``msgspec`` decodes them into objects with a slot for each field in place of dictionaries, and encodes these objects into the same text
again. Nothing is taken from a layout but what gives the same text, and no record that holds a list or an object.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

from airflow_provider_capillary.api.event_logs import EventLogs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Sized

__all__ = ["Layouts", "errors_of_msgspec", "texts_of"]

_MOST_FIELDS = 100
_LONGEST_REST = 64
_SPACES = 100
"""Bytes of a list that are looked at for a space between a name and its value."""
_BEGINNING = re.compile(rb'\[\{"[A-Za-z0-9]')


def errors_of_msgspec() -> tuple[type[Exception], ...]:
    """What it raises on JSON that it does not take. Before its version 0.20, its own errors are no ValueErrors."""
    from msgspec import MsgspecError

    return MsgspecError, ValueError, OverflowError, RecursionError


def texts_of(listed: bytes, records: Sized) -> list[bytes] | None:
    """The JSON of each record of a list; ``None`` where it has to be found otherwise.

    :param listed: valid JSON, no record of which holds a list or an object.
    """
    # A quote before a letter ends no string. So what stands before it is no string's content: one object ends, and another begins.
    if _BEGINNING.match(listed):
        begin = listed[1:4]
        for comma in (b",", b", "):
            between = b"}" + comma + begin
            parts = listed[4:-2].split(between)
            if len(parts) == len(records):
                return [b"".join((begin, part, b"}")) for part in parts] if listed.endswith(b"}]") else None
    return None


class Layouts:
    """The layout that the last pages have shown. What is not known here takes longer, nothing else."""

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
        """Take note of the fields of these records.

        :param latest: every ``startTime`` is below this.
        """
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


class _Layout:
    """Reads and writes records with these fields, some of them absent; the form of the rows that it makes."""

    def __init__(self, names: tuple[str, ...], latest: int) -> None:
        import msgspec

        self.names = names
        self._attributes = {name: f"f{number}" for number, name in enumerate(names)}
        times, ids = Annotated[int, msgspec.Meta(ge=0, lt=latest)], Annotated[str, msgspec.Meta(min_length=1)]
        types: dict[str, Any] = {"startTime": (times,), "id": (ids,)}
        other = (str | int | float | bool | None | msgspec.UnsetType, msgspec.UNSET)
        fields = [(attribute, *types.get(name, other)) for name, attribute in self._attributes.items()]
        row = msgspec.defstruct(
            "Row",
            fields,
            kw_only=True,
            gc=False,
            forbid_unknown_fields=True,
            rename={attribute: name for name, attribute in self._attributes.items()},
        )
        self._unset = msgspec.UNSET
        self._format = msgspec.json.format
        self._decode = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]  # made above
        self._encoder = msgspec.json.Encoder()
        self._time, self._id = (attrgetter(self._attributes[name]) for name in ("startTime", "id"))

    def decode(self, listed: bytes) -> EventLogs | None:
        """A list of records; ``None`` where it is not just what would be encoded for them, with a space behind commas and colons or not."""
        try:
            rows = self._decode(listed)
            # One encoding is the proof and the lines. No line feed stands inside of what is encoded.
            lines = self._encoder.encode_lines(rows)
            encoded = b"[" + lines[:-1].replace(b"\n", b",") + b"]"
            texts = lines.split(b"\n")[:-1] if encoded == listed else self._spaced_texts(rows, encoded, listed)
        except errors_of_msgspec():
            return None
        if not texts:
            return None
        return EventLogs(list(map(self._time, rows)), list(map(self._id, rows)), rows, texts=texts, form=self)

    def _spaced_texts(self, rows: list[Any], encoded: bytes, listed: bytes) -> list[bytes] | None:
        if b'": ' not in listed[:_SPACES] or self._format(encoded, indent=0) != listed:
            return None
        return texts_of(listed, rows)

    def fields(self, row: Any) -> dict[str, Any]:  # noqa: ANN401  # a class that is made above
        """See :class:`.RowForm`."""
        return {name: value for name, attribute in self._attributes.items() if (value := getattr(row, attribute)) is not self._unset}

    def column(self, rows: list[Any], name: str) -> list[Any]:
        """See :class:`.RowForm`."""
        if name not in self._attributes:
            return [None] * len(rows)
        unset = self._unset
        return [None if value is unset else value for value in map(attrgetter(self._attributes[name]), rows)]

    def columns(self, rows: list[Any], names: Sequence[str]) -> tuple[list[list[Any]], list[int]]:
        """See :class:`.RowForm`."""
        unset = self._unset
        known = [name for name in names if name in self._attributes]
        others = [attribute for name, attribute in self._attributes.items() if name not in known]
        irregular: set[int] = set()
        values = {}
        for name, column in zip(known, zip(*map(attrgetter(*[self._attributes[name] for name in known]), rows), strict=True), strict=True):
            kinds = set(map(type, column))
            if type(None) in kinds:
                irregular.update(place for place, value in enumerate(column) if value is None)
            values[name] = [None if value is unset else value for value in column] if type(unset) in kinds else list(column)
        for attribute in others:
            irregular.update(place for place, value in enumerate(map(attrgetter(attribute), rows)) if value is not unset)
        return [values[name] if name in values else [None] * len(rows) for name in names], sorted(irregular)
