"""Event logs, one by one and by the page.

Nearly all that a reading decides rests on two fields, the time and the id. :class:`EventLogs` holds these as columns, and the rest in the
form in which it was decoded. So a page passes from the answer to the object without a Python object for each of its fields.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import compress, islice
from operator import eq, lt
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

__all__ = ["MAPPINGS", "EventLog", "EventLogs", "Pieces", "RowForm", "Texts", "event_log"]


T = TypeVar("T")


class EventLog(dict[str, Any]):
    """A record: its fields as ``json`` decodes them, and :attr:`text`, the JSON from which they were decoded.

    A Python float holds about 16 digits and ends at 1.8e308; the text holds every digit that the API sent. The text does not follow
    changes of the fields.
    """

    __slots__ = ("raw",)

    raw: bytes
    """:attr:`text` in UTF-8."""

    @property
    def text(self) -> str:
        """The JSON of the record as it stood in the answer."""
        return self.raw.decode()


def event_log(fields: Mapping[str, Any], raw: bytes) -> EventLog:
    """The record of these fields, and of the JSON from which they were decoded."""
    record = EventLog(fields)
    record.raw = raw
    return record


class RowForm(Protocol):
    """How the rows of :class:`EventLogs` hold records.

    :ivar has_line_breaks: whether line breaks may stand between the fields of :meth:`texts`.
    """

    has_line_breaks: bool

    def fields(self, row: Any) -> Mapping[str, Any]:  # noqa: ANN401  # a row of this form
        """The fields of a row."""

    def column(self, rows: Sequence[Any], name: str) -> list[Any]:
        """A field of each row; ``None`` where it is absent."""

    def columns(self, rows: Sequence[Any], names: Sequence[str]) -> tuple[list[list[Any]], list[int]]:
        """See :meth:`EventLogs.columns`."""

    def others(self, rows: Sequence[Any], names: Collection[str]) -> list[dict[str, Any]]:
        """See :meth:`EventLogs.others`."""

    def texts(self, rows: Sequence[Any]) -> list[bytes]:
        """See :meth:`EventLogs.texts`; of rows that know their own JSON."""

    def lines(self, rows: Sequence[Any]) -> bytes:
        """See :meth:`EventLogs.lines`; of rows that know their own JSON."""


class _Mappings:
    """Rows that are the records, or mappings of their fields."""

    has_line_breaks = True

    def fields(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row

    def column(self, rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
        return [row.get(name) for row in rows]

    def columns(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[list[list[Any]], list[int]]:
        values = [self.column(rows, name) for name in names]
        if sum(map(len, rows)) == len(names) * len(rows) - sum(column.count(None) for column in values):
            return values, []
        counts = [len(names) - row.count(None) for row in zip(*values, strict=True)]
        return values, [place for place, row in enumerate(rows) if len(row) != counts[place]]

    def others(self, rows: Sequence[Mapping[str, Any]], names: Collection[str]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if value is None or name not in names} for row in rows]

    def texts(self, rows: Sequence[EventLog]) -> list[bytes]:
        return [row.raw for row in rows]

    def lines(self, rows: Sequence[EventLog]) -> bytes:
        return b"\n".join([*self.texts(rows), b""])


MAPPINGS: Final = _Mappings()
"""The form of rows that are mappings."""


class Pieces(NamedTuple):
    """The JSON of each record of an answer is one of the pieces, with the same beginning and end around it."""

    begin: bytes
    pieces: list[bytes]
    end: bytes


class Texts:
    """The JSON of some records of an answer, cut out of the answer when it is asked for: of many answers, the times and ids are enough.

    :param cut: gives the JSON of all records of the answer.
    :param places: where these records are in the answer.
    """

    __slots__ = ("_cut", "_places")

    def __init__(self, cut: Callable[[], Pieces], places: Sequence[int]) -> None:
        self._cut = cut
        self._places = places

    def __call__(self) -> list[bytes]:
        """The texts."""
        begin, pieces, end = self._chosen()
        return [b"".join((begin, piece, end)) for piece in pieces] if begin or end else pieces

    def lines(self) -> bytes:
        """The texts, with a line feed behind each."""
        begin, pieces, end = self._chosen()
        return begin + (end + b"\n" + begin).join(pieces) + end + b"\n" if pieces else b""

    def some(self, places: slice | list[int]) -> Texts:
        """The texts at these places."""
        return Texts(self._cut, self._places[places] if isinstance(places, slice) else [self._places[place] for place in places])

    def _chosen(self) -> Pieces:
        begin, pieces, end = self._cut()
        return Pieces(begin, [pieces[place] for place in self._places], end)


class EventLogs(Sequence[Any]):
    """Records in the order of one answer, or some of them; a record is made when it is asked for.

    :param times: the ``startTime`` of each.
    :param ids: the ``id`` of each.
    :param rows: the fields of each, in a form that ``form`` knows.
    :param texts: the JSON of each, as it stood in the answer; ``None`` where the rows know it.
    :param is_ordered: whether :attr:`is_ordered` is known to be true.
    """

    __slots__ = ("_form", "_is_ordered", "_rows", "_span", "_texts", "ids", "times")

    def __init__(
        self,
        times: list[int],
        ids: list[str],
        rows: Sequence[Any],
        *,
        texts: Texts | None = None,
        form: RowForm = MAPPINGS,
        is_ordered: bool = False,
    ) -> None:
        self.times = times
        self.ids = ids
        self._rows = rows
        self._texts = texts
        self._form = form
        self._span: tuple[int, int] | None = None
        """The least and the greatest time, once they were asked for."""
        self._is_ordered = is_ordered

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> EventLogs:
        """These records; :meth:`texts` needs each to be an :class:`EventLog`."""
        rows = list(records)
        return cls([row["startTime"] for row in rows], [row["id"] for row in rows], rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        if self._form is MAPPINGS and self._texts is None:
            return iter(self._rows)
        return map(event_log, map(self._form.fields, self._rows), self.texts())

    @overload
    def __getitem__(self, place: int) -> Any: ...  # noqa: ANN401  # a record

    @overload
    def __getitem__(self, place: slice) -> EventLogs: ...

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            some = None if self._texts is None else self._texts.some(place)
            is_ordered = self._is_ordered and (place.step or 1) > 0
            return EventLogs(self.times[place], self.ids[place], self._rows[place], texts=some, form=self._form, is_ordered=is_ordered)
        (record,) = self._take([place])
        return record

    def __reduce__(self) -> tuple[Callable[..., EventLogs], tuple[list[Any]]]:
        return EventLogs.of, (list(self),)

    @property
    def is_text(self) -> bool:
        """Whether :meth:`texts` can be asked."""
        return self._texts is not None or self._form is not MAPPINGS or all(type(row) is EventLog for row in self._rows)

    @property
    def is_ordered(self) -> bool:
        """Whether the records are in the order of ``(startTime, id)``, each once."""
        times, ids = self.times, self.ids
        return self._is_ordered or all(
            map(lt, zip(times, ids, strict=True), zip(islice(times, 1, None), islice(ids, 1, None), strict=True))
        )

    def column(self, name: str) -> list[Any]:
        """A field of each record; ``None`` where it is absent."""
        return self._form.column(self._rows, name)

    def columns(self, names: Sequence[str]) -> tuple[list[list[Any]], list[int]]:
        """These fields of each record, and the places of the records that hold something else too: another field, or a ``null``.

        :param names: two at least.
        :return: for each name, a list of its own, with ``None`` where a record lacks the field.
        """
        return self._form.columns(self._rows, names)

    def others(self, names: Collection[str], places: Iterable[int]) -> list[dict[str, Any]]:
        """What :meth:`columns` leaves out of the records at these places, in the order of their fields: other fields, and nulls."""
        return self._form.others([self._rows[place] for place in places], names)

    def texts(self) -> list[bytes]:
        """The JSON of each record, as it stood in the answer."""
        return self._form.texts(self._rows) if self._texts is None else self._texts()

    def lines(self) -> bytes:
        """:meth:`texts`, with a line feed behind each. Where the API writes line feeds between fields, there are more."""
        return self._form.lines(self._rows) if self._texts is None else self._texts.lines()

    @property
    def has_line_breaks(self) -> bool:
        """Whether line breaks may stand between the fields of :meth:`texts`."""
        return self._texts is not None or self._form.has_line_breaks

    def pairs(self) -> list[tuple[int, str]]:
        """``(startTime, id)`` of each record."""
        return list(zip(self.times, self.ids, strict=True))

    def within(self, start: int, end: int) -> EventLogs:
        """The records of ``[start, end)``."""
        times = self.times
        if not times:
            return self
        if self._span is None:
            self._span = min(times), max(times)
        first, last = self._span
        if start <= first and last < end:
            return self
        if last < start or first >= end:
            return self[:0]
        return self._take([place for place, time in enumerate(times) if start <= time < end])

    def named(self, event_name: str | None) -> EventLogs:
        """The records of this name; all of them where it is ``None``."""
        if event_name is None:
            return self
        return self._take([place for place, name in enumerate(self.column("eventName")) if name == event_name])

    def kept(self, keeps: Iterable[object]) -> EventLogs:
        """The records for which ``keeps`` holds something true."""
        return self._take([place for place, keep in enumerate(keeps) if keep])

    def without(self, ids: Collection[str]) -> EventLogs:
        """The records that have none of these ids."""
        count = len(ids)
        if all(name in ids for name in self.ids[-count:]):  # where two windows overlap, as nearly always
            return self[:-count] if count else self
        return self._take([place for place, name in enumerate(self.ids) if name not in ids])

    def ordered(self) -> EventLogs:
        """The records by ``(startTime, id)``, of equal ones the first alone."""
        if self.is_ordered:
            return self
        times, ids = self.times, self.ids
        is_each_once = len(set(ids)) == len(ids)
        if is_each_once and times == sorted(times, reverse=True):  # newest first, as most answers come
            return self._reversed()
        keys = self.pairs()
        places = sorted(range(len(keys)), key=keys.__getitem__)  # stable
        if not is_each_once:
            places = [place for at, place in enumerate(places) if at == 0 or keys[place] != keys[places[at - 1]]]
        return self._take(places, is_ordered=True)

    def _reversed(self) -> EventLogs:
        """These records, which are newest first, from the oldest on; those of one time in the order of their ids."""
        times, ids, rows = self.times[::-1], self.ids[::-1], self._rows[::-1]
        orders = []
        for time in set(compress(times, map(eq, times, islice(times, 1, None)))):  # few
            low, high = bisect_left(times, time), bisect_right(times, time)
            orders.append((low, sorted(range(low, high), key=ids.__getitem__)))
        texts = None if self._texts is None else self._texts.some(_rearranged(range(len(ids))[::-1], orders))
        ids, rows = _rearranged(ids, orders), _rearranged(rows, orders)
        return EventLogs(times, ids, rows, texts=texts, form=self._form, is_ordered=True)

    def _take(self, places: list[int], *, is_ordered: bool = False) -> EventLogs:
        if len(places) == len(self._rows) and places == list(range(len(places))):
            return self
        times, ids = [self.times[place] for place in places], [self.ids[place] for place in places]
        rows = [self._rows[place] for place in places]
        texts = None if self._texts is None else self._texts.some(places)
        return EventLogs(times, ids, rows, texts=texts, form=self._form, is_ordered=is_ordered)


def _rearranged(items: Sequence[T], orders: list[tuple[int, list[int]]]) -> list[T]:
    """A copy in which the items from each place on are those of the places that stand beside it."""
    copy = list(items)
    for low, places in orders:
        copy[low : low + len(places)] = [items[place] for place in places]
    return copy
