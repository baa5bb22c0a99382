"""Records of one API have the same fields in the same order. Once this layout is known, records are decoded in half the time.

``msgspec`` decodes them into objects with a slot for each field in place of dictionaries, and encodes these objects into the same text
again. Nothing is taken from a layout but what gives the same text, and no record that holds a list or an object.

Long texts stay as they stand in the answer until somebody asks for the field: ``msgspec.Raw``, which is checked to be JSON and not decoded.
"""

from __future__ import annotations

from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

from airflow_provider_capillary.api.answer_texts import AnswerTexts
from airflow_provider_capillary.api.event_logs import EventLogs, Pieces, Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

__all__ = ["Layouts", "Trials", "errors_of_msgspec", "items_by_msgspec"]

P = ParamSpec("P")

_MOST_FIELDS = 100
_LONGEST_REST = 64
_LONG = 64
"""Characters of a text, on average, from which on it pays to leave the texts of a field as they are."""
_first = itemgetter(0)
_TEXT_OR_NULL = {ord('"'), ord("n")}
_SPACES = 100
"""Bytes of a list that are looked at for a space between a name and its value."""


def errors_of_msgspec() -> tuple[type[Exception], ...]:
    """What it raises on JSON that it does not take. Before its version 0.20, its own errors are no ValueErrors."""
    from msgspec import MsgspecError

    return MsgspecError, ValueError, OverflowError, RecursionError


def items_by_msgspec(listed: bytes) -> Pieces:
    """The items of any list that ``msgspec`` takes."""
    from msgspec import Raw, json

    return Pieces(b"", list(map(bytes, json.decode(listed, type=list[Raw]))), b"")


class Trials:
    """Tries of what takes some pages only. After each failure, twice as many pages are read without a try."""

    def __init__(self) -> None:
        self._rest = self._failures = 0

    def result_of(self, decode: Callable[P, EventLogs | None], *args: P.args, **kwargs: P.kwargs) -> EventLogs | None:
        """What ``decode`` returns; ``None`` without a call where it has failed of late."""
        if self._rest:
            self._rest -= 1
            return None
        records = decode(*args, **kwargs)
        self._failures = 0 if records is not None else min(2 * self._failures + 1, _LONGEST_REST)
        self._rest = max(self._failures - 1, 0)
        return records


class Layouts:
    """The layout that the last pages have shown. What is not known here takes longer, nothing else."""

    def __init__(self) -> None:
        self._layout: _Layout | None = None
        self._shortest = _LONG
        """From which length on, on average, the texts of a field are left as they are."""
        self._trials = Trials()

    def decode(self, listed: bytes) -> EventLogs | None:
        """A list of records that have no other fields than the known ones, and these in the known order; ``None`` for another one."""
        return None if self._layout is None else self._trials.result_of(self._layout.decode, listed)

    def learn(self, records: list[dict[str, Any]], latest: int, *, as_encoded: bool) -> None:
        """Take note of the fields of these records.

        :param latest: every ``startTime`` is below this.
        :param as_encoded: whether encoding these records gives the text of the answer again. Where it does not, texts may be escaped in
            another way, so all of them are left as they are.
        """
        known = self._layout.names if self._layout else ()
        orders = sorted(set(map(tuple, records)), key=len, reverse=True)
        names = _merged([known, *orders])
        if names == known:
            these = _merged(orders)
            # The order of the fields has changed, or it is something else that the layout does not fit.
            names = known if these == tuple(name for name in known if name in these) else these
        shortest = min(self._shortest, _LONG if as_encoded else 0)
        if (names != known or shortest < self._shortest) and len(names) <= _MOST_FIELDS:
            self._shortest = shortest
            try:
                self._layout = _Layout(names, latest, raw=[name for name in names if _has_texts(name, records, shortest)])
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


def _has_texts(name: str, records: list[dict[str, Any]], shortest: int) -> bool:
    """Whether a field holds texts, of so many characters on average, and nothing else."""
    values = [record.get(name) for record in records]
    kinds = set(map(type, values))
    return str in kinds and kinds <= {str, type(None)} and sum(map(len, filter(None, values))) >= shortest * len(values)


class _Layout:
    """Reads and writes records with these fields, some of them absent; the form of the rows that it makes.

    :param latest: every ``startTime`` is below this.
    :param raw: the fields whose texts are left as they are.
    """

    def __init__(self, names: tuple[str, ...], latest: int, *, raw: Collection[str]) -> None:
        import msgspec

        self.names = names
        self._attributes = {name: f"f{number}" for number, name in enumerate(names)}
        times, ids = Annotated[int, msgspec.Meta(ge=0, lt=latest)], Annotated[str, msgspec.Meta(min_length=1)]
        self._raw = [name for name in raw if name not in ("startTime", "id")]
        types: dict[str, Any] = {"startTime": (times,), "id": (ids,)}
        types |= dict.fromkeys(self._raw, (msgspec.Raw | msgspec.UnsetType, msgspec.UNSET))
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
        self._raw_null = msgspec.Raw(b"null")
        self._format = msgspec.json.format
        self._decode_value = msgspec.json.decode
        self._decode = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]  # made above
        self._encoder = msgspec.json.Encoder()
        self._time, self._id = (attrgetter(self._attributes[name]) for name in ("startTime", "id"))

    def decode(self, listed: bytes) -> EventLogs | None:
        """A list of records; ``None`` where it is not just what would be encoded for them, with a space behind commas and colons or not."""
        try:
            rows = self._decode(listed)
            if not rows or not all(self._are_texts(rows, name) for name in self._raw):
                return None
            encoded = self._encoder.encode(rows)
            texts = None
            if encoded != listed:
                if b'": ' not in listed[:_SPACES] or self._format(encoded, indent=0) != listed:
                    return None
                texts = Texts(AnswerTexts(listed, items_by_msgspec), range(len(rows)))
        except errors_of_msgspec():
            return None
        return EventLogs(list(map(self._time, rows)), list(map(self._id, rows)), rows, texts=texts, form=self)

    def _are_texts(self, rows: list[Any], name: str) -> bool:
        """Whether a field that is left as it is holds texts or ``null``: no list, no object, and no number that may be too long.

        :raises ValueError: a text is not UTF-8; nobody else looks.
        """
        values = list(map(bytes, filter(None, map(attrgetter(self._attributes[name]), rows))))  # what is absent, is false
        b"".join([value for value in values if not value.isascii()]).decode()  # there are quotes around each
        return _TEXT_OR_NULL.issuperset(map(_first, values))

    has_line_breaks = False

    def fields(self, row: Any) -> dict[str, Any]:  # noqa: ANN401  # a class that is made above
        """See :class:`.RowForm`."""
        fields = {name: value for name, attribute in self._attributes.items() if (value := getattr(row, attribute)) is not self._unset}
        for name in self._raw:
            if name in fields:
                fields[name] = self._decode_value(fields[name])
        return fields

    def column(self, rows: Sequence[Any], name: str) -> list[Any]:
        """See :class:`.RowForm`."""
        unset = self._unset
        return [None if value is unset else value for value in self._values(rows, name)]

    def columns(self, rows: Sequence[Any], names: Sequence[str]) -> tuple[list[list[Any]], list[int]]:
        """See :class:`.RowForm`."""
        unset = self._unset
        irregular: set[int] = set()
        columns = []
        for name in names:
            values = self._values(rows, name)
            kinds = set(map(type, values))
            if type(None) in kinds:
                irregular.update(place for place, value in enumerate(values) if value is None)
            columns.append([None if value is unset else value for value in values] if type(unset) in kinds else values)
        for name in self.names:
            if name not in names:
                irregular.update(place for place, value in enumerate(self._values(rows, name)) if value is not unset)
        return columns, sorted(irregular)

    def others(self, rows: Sequence[Any], names: Collection[str]) -> list[dict[str, Any]]:
        """See :class:`.RowForm`."""
        unset, others = self._unset, [dict[str, Any]() for _ in rows]
        for name in self.names:
            if name not in names:
                for other, value in zip(others, self._values(rows, name), strict=True):
                    if value is not unset:
                        other[name] = value
                continue
            null = self._raw_null if name in self._raw else None
            values = list(map(attrgetter(self._attributes[name]), rows))
            if null in values:
                for other, value in zip(others, values, strict=True):
                    if value == null:
                        other[name] = None
        return others

    def _values(self, rows: Sequence[Any], name: str) -> list[Any]:
        """A field of each row; ``UNSET`` where it is absent."""
        unset = self._unset
        if name not in self._attributes:
            return [unset] * len(rows)
        values = list(map(attrgetter(self._attributes[name]), rows))
        if name not in self._raw:
            return values
        texts = iter(self._decode_value(b"[" + b",".join(filter(None, values)) + b"]"))
        return [unset if value is unset else next(texts) for value in values]

    def texts(self, rows: Sequence[Any]) -> list[bytes]:
        """See :class:`.RowForm`."""
        return self.lines(rows).split(b"\n")[:-1]

    def lines(self, rows: Sequence[Any]) -> bytes:
        """See :class:`.RowForm`."""
        # They are encoded into the text that they were decoded from, and no line feed stands inside of what is encoded.
        return self._encoder.encode_lines(rows)
