"""The parquet format: typed columns for the documented fields, and ``_extra`` for what they cannot hold.

.. code-block:: text

    startTime     timestamp, milliseconds, UTC       webhookId     string
    responseTime  int64                              parentOrgId   int64
    orgId         int64                              message       string
    status        string                             _extra        string: a JSON object, or null
    eventName     string
    inputRequest  string
    id            string

Nothing is lost and nothing is guessed. ``_extra`` holds, under the field's own name, every field that is not documented, every documented
field whose value is not of its column's type (its column is null then), and every documented field that was sent as ``null``: a column that
is null with nothing in ``_extra`` means that the record came without the field. Numbers in ``_extra`` are written as the API wrote them.
The order of a record's fields is not kept here.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_provider_capillary.api.event_logs import MAPPINGS
from airflow_provider_capillary.export.arrays import are_arrays, array_of, starts_of
from airflow_provider_capillary.export.column_decoder import ColumnDecoder
from airflow_provider_capillary.export.json_lines import exact_fields_of, fields_of, flat_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from pyarrow import RecordBatch, Schema, StringArray

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.usual_pages import ListDecoder

__all__ = ["Columns", "read_parquet_lines", "read_parquet_pairs", "write_parquet"]

_INTEGERS = frozenset({"startTime", "responseTime", "orgId", "parentOrgId"})
_COLUMNS = (
    "startTime",
    "responseTime",
    "orgId",
    "status",
    "eventName",
    "inputRequest",
    "id",
    "webhookId",
    "parentOrgId",
    "message",
)
# Columns whose values come again and again: a dictionary of the values saves room.
_REPEATED = ("responseTime", "orgId", "status", "eventName", "webhookId", "parentOrgId", "message")
_EXTRA = "_extra"
_NONE: Final = type(None)

# A row group consists of chunks. Each of both is closed by whichever comes first: these count the records themselves, so that equal records
# give equal row groups, and the bytes (of texts) keep memory bounded where a record is large.
_ROWS_IN_CHUNK, _BYTES_IN_CHUNK = 1_000, 512 * 1024
# One row group is in memory. Of each that is written, pyarrow keeps 10 KiB to the end, and for the end as much again.
_ROWS_IN_GROUP, _BYTES_IN_GROUP = 30_000, 12 * 1024 * 1024
# Pyarrow's own pages of 1 MiB take 6 MiB more memory and a fifth more CPU time: it holds several copies of each.
_BYTES_IN_PAGE = 128 * 1024
# Rows that are Python objects at one time when a file is read; arrow holds the same in a fraction of the room.
_ROWS_AT_ONCE = 500

_LEAST, _MOST = -(2**63), 2**63 - 1


def _schema() -> Schema:
    import pyarrow as pa

    types: dict[str, Any] = {name: pa.int64() if name in _INTEGERS else pa.string() for name in (*_COLUMNS, _EXTRA)}
    types["startTime"] = pa.timestamp("ms", tz="UTC")
    return pa.schema(list(types.items()))


class Columns:
    """Blocks of records as columns, each block a message of Arrow's IPC format; a form of :class:`.runs.Block`.

    The fields pass from the decoded answer to the columns. Only for a record that needs ``_extra`` its JSON is looked at again.
    """

    def __init__(self) -> None:
        self._schema = _schema()
        documented = [field for field in self._schema if field.name != _EXTRA]
        self._decoder = ColumnDecoder(documented)
        self.decode: ListDecoder | None = self._decoder.decode

    def of_page(self, records: EventLogs) -> bytes:
        """See :class:`.runs.BlockForm`."""
        columns, irregular = records.columns(_COLUMNS)
        texts = cache(records.texts)
        others = records.others(_COLUMNS, irregular)
        extra = _extra_of(len(records), dict(zip(irregular, others, strict=True)), texts)
        if are_arrays(columns):  # each value is of its column's type
            return self._written([*columns, extra])
        self._decoder.learn(others)
        return self._block(columns, extra, texts)

    def of_lines(self, lines: list[bytes]) -> bytes:
        """See :class:`.runs.BlockForm`."""
        rows = list(map(fields_of, lines))
        columns, irregular = MAPPINGS.columns(rows, _COLUMNS)
        others = MAPPINGS.others([rows[place] for place in irregular], _COLUMNS)
        return self._block(columns, _extra_of(len(rows), dict(zip(irregular, others, strict=True)), lambda: lines), lambda: lines)

    def opened(self, content: bytes) -> RecordBatch:
        """See :class:`.runs.BlockForm`."""
        import pyarrow as pa

        return pa.ipc.read_record_batch(pa.py_buffer(content), self._schema)

    def part(self, opened: RecordBatch, low: int, high: int) -> bytes:
        """See :class:`.runs.BlockForm`."""
        return opened.slice(low, high - low).serialize().to_pybytes()  # type: ignore[no-any-return]  # of an optional package

    def joined(self, contents: list[bytes]) -> bytes:
        """See :class:`.runs.BlockForm`."""
        return _one_of(map(self.opened, contents)).serialize().to_pybytes()  # type: ignore[no-any-return]  # of an optional package

    def _block(self, columns: list[list[Any]], extra: list[str | None], texts: Callable[[], list[bytes]]) -> bytes:
        """A block of these fields.

        :param extra: right for each record whose fields are of their columns' types.
        :param texts: gives the JSON of all records.
        """
        if all({int, _NONE}.issuperset(map(type, column)) for name, column in zip(_COLUMNS, columns, strict=True) if name in _INTEGERS):
            # What is not of a column's type, is out of its range or no Unicode. Truths pass for integers.
            with contextlib.suppress(TypeError, UnicodeError, OverflowError):
                return self._written([*columns, extra])
        places: set[int] = set()
        for name, column in zip(_COLUMNS, columns, strict=True):
            places.update(place for place, value in enumerate(column) if value is not None and not _fits(name, value))
        for place in places:
            for column, value in zip([*columns, extra], _row_of(texts()[place]), strict=True):
                column[place] = value
        return self._written([*columns, extra])

    def _written(self, columns: list[Any]) -> bytes:
        import pyarrow as pa

        fields = zip(columns, self._schema, strict=True)
        arrays = [column if isinstance(column, pa.Array) else array_of(column, field.type) for column, field in fields]
        return pa.record_batch(arrays, schema=self._schema).serialize().to_pybytes()  # type: ignore[no-any-return]  # of an optional package


def write_parquet(blocks: Iterable[bytes], raw: BinaryIO) -> None:
    """Write blocks of :class:`Columns` to an open file; without any, a file with the columns and no rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    # Snappy, format 2.6 and no schema of Arrow's own beside parquet's: what every query engine reads alike.
    options = {"compression": "snappy", "version": "2.6", "store_schema": False, "use_dictionary": list(_REPEATED)}
    with pq.ParquetWriter(raw, schema, data_page_size=_BYTES_IN_PAGE, **options) as writer:
        for chunks in _groups(_chunks(map(Columns().opened, blocks))):
            group = pa.Table.from_batches(chunks, schema)
            chunks.clear()
            writer.write_table(group, row_group_size=group.num_rows)
            del group
            # Else Arrow keeps more and more of what each group takes.
            pa.default_memory_pool().release_unused()


def _groups(chunks: Iterable[RecordBatch]) -> Iterator[list[RecordBatch]]:
    """The chunks of each row group: as few as have more bytes in their texts than :data:`_BYTES_IN_GROUP`, or :data:`_ROWS_IN_GROUP`."""
    group: list[RecordBatch] = []
    size = rows = 0
    for chunk in chunks:
        group.append(chunk)
        size, rows = size + _bytes_of(chunk), rows + chunk.num_rows
        if size > _BYTES_IN_GROUP or rows >= _ROWS_IN_GROUP:
            yield group
            group, size, rows = [], 0, 0
    if group:
        yield group


def _chunks(batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
    """The records in chunks: as few as have more bytes in their texts than :data:`_BYTES_IN_CHUNK`, or :data:`_ROWS_IN_CHUNK`.

    Those of a chunk are in one piece, however they came: where pages of a column end depends on that. A whole row group in one piece would
    be in memory twice while it is made.
    """
    parts: list[RecordBatch] = []
    size = rows = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            part = rest.slice(0, _rows_up_to(_BYTES_IN_CHUNK - size, rest.slice(0, _ROWS_IN_CHUNK - rows)))
            parts.append(part)
            size, rows = size + _bytes_of(part), rows + part.num_rows
            rest = rest.slice(part.num_rows)
            if size > _BYTES_IN_CHUNK or rows == _ROWS_IN_CHUNK:
                yield _one_of(parts)
                parts, size, rows = [], 0, 0
    if parts:
        yield _one_of(parts)


def _one_of(batches: Iterable[RecordBatch]) -> RecordBatch:
    import pyarrow as pa

    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch


def _rows_up_to(size: int, batch: RecordBatch) -> int:
    """How many of the first rows are as few as have more bytes in their texts; all, where all have not."""
    if _bytes_of(batch) <= size:
        return batch.num_rows  # type: ignore[no-any-return]  # of an optional package
    starts = [starts_of(text) for text in _texts_of(batch)]
    # By the bytes of all rows before each, and before the end.
    return bisect_right(range(batch.num_rows + 1), size, key=lambda row: sum(each[row] - each[0] for each in starts))


def _bytes_of(batch: RecordBatch) -> int:
    """The bytes of all texts."""
    return sum(starts[-1] - starts[0] for starts in map(starts_of, _texts_of(batch)))


def _texts_of(batch: RecordBatch) -> list[StringArray]:
    return [column for name, column in zip(batch.schema.names, batch.columns, strict=True) if name not in _INTEGERS]


def _extra_of(count: int, others: Mapping[int, dict[str, Any]], texts: Callable[[], list[bytes]]) -> list[str | None]:
    """``_extra`` of so many records.

    :param others: by place, what it holds.
    :param texts: gives the JSON of all records.
    """
    extra: list[str | None] = [None] * count
    for place, other in others.items():
        text = flat_json(other)
        if text is None:
            exact = exact_fields_of(texts()[place])
            text = to_json({name: exact[name] for name in other})
        extra[place] = text
    return extra


def _row_of(line: bytes) -> list[Any]:
    """What each column, and ``_extra``, hold of a record."""
    record = fields_of(line)
    extra = [name for name, value in record.items() if name not in _COLUMNS or not _fits(name, value)]
    row = [None if name in extra else record.get(name) for name in _COLUMNS]
    if not extra:
        return [*row, None]
    exact = exact_fields_of(line)
    return [*row, to_json({name: exact[name] for name in extra})]


def _fits(name: str, value: object) -> bool:
    if name in _INTEGERS:
        return isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST
    return isinstance(value, str) and _is_unicode(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def read_parquet_pairs(source: Path) -> Generator[tuple[int, str]]:
    """The ``(startTime, id)`` of each row; whatever pyarrow raises means that the file is not one of ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=10_000, columns=["startTime", "id", _EXTRA]):
            # As integers: a timestamp beyond the year 9999 has no datetime.
            times = batch.column("startTime").view(pa.int64()).to_pylist()
            for start_time, record_id, extra in zip(times, batch.column("id").to_pylist(), batch.column(_EXTRA).to_pylist(), strict=True):
                yield start_time, record_id if record_id is not None else fields_of(extra.encode())["id"]


def read_parquet_lines(source: Path) -> Generator[tuple[int, str, bytes]]:
    """The ``(startTime, id)`` of each row and the JSON that gives this very row again; errors as in :func:`read_parquet_pairs`.

    What ``_extra`` holds keeps its text, numbers included.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[*_COLUMNS, _EXTRA]):
            columns = {name: batch.column(name) for name in batch.schema.names}
            columns["startTime"] = columns["startTime"].view(pa.int64())
            values = {name: column.to_pylist() for name, column in columns.items()}
            for row in range(batch.num_rows):
                fields = {name: values[name][row] for name in _COLUMNS if values[name][row] is not None}
                extra = values[_EXTRA][row]
                parts = [f"{to_json(name)}:{to_json(value)}" for name, value in fields.items()]
                if extra is not None:
                    parts.append(extra.removeprefix("{").removesuffix("}"))
                record_id = fields["id"] if "id" in fields else fields_of(extra.encode())["id"]
                yield fields["startTime"], record_id, ("{" + ",".join(parts) + "}").encode()
