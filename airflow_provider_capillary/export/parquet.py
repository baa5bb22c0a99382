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

from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_provider_capillary.export.json_lines import exact_fields_of, fields_of, to_json

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from pyarrow import RecordBatch, Schema, Table

__all__ = ["read_parquet_lines", "read_parquet_pairs", "write_parquet"]

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

# A row group is closed by whichever comes first. Both count the records themselves, so that equal records give equal row groups, and
# the bytes (of JSON) keep memory bounded where a record is large.
_ROWS_IN_GROUP = 10_000
_BYTES_IN_GROUP = 4 * 1024 * 1024
# Rows that are Python objects at one time; arrow holds the same in a fraction of the room.
_ROWS_AT_ONCE = 500

_LEAST, _MOST = -(2**63), 2**63 - 1


def _schema() -> Schema:
    import pyarrow as pa

    types: dict[str, Any] = {name: pa.int64() if name in _INTEGERS else pa.string() for name in (*_COLUMNS, _EXTRA)}
    types["startTime"] = pa.timestamp("ms", tz="UTC")
    return pa.schema(list(types.items()))


def write_parquet(blocks: Iterable[bytes], raw: BinaryIO) -> None:
    """Write records (blocks of lines, one JSON object each) to an open file; without any, a file with the columns and no rows."""
    import pyarrow.parquet as pq

    schema = _schema()
    # Snappy, format 2.6 and no schema of Arrow's own beside parquet's: what every query engine reads alike.
    options = {"compression": "snappy", "version": "2.6", "store_schema": False, "use_dictionary": list(_REPEATED)}
    with pq.ParquetWriter(raw, schema, **options) as writer:
        for text in _groups(blocks):
            # One chunk, however it came to be: where pages of a column end depends on that.
            table = (_fast_table(text, schema) or _table(text, schema)).combine_chunks()
            writer.write_table(table, row_group_size=_ROWS_IN_GROUP)


def _table(text: bytes, schema: Schema) -> Table:
    """The lines as columns; any record."""
    import pyarrow as pa

    rows = text[:-1].split(b"\n")
    return pa.Table.from_batches([_batch(rows[at : at + _ROWS_AT_ONCE], schema) for at in range(0, len(rows), _ROWS_AT_ONCE)], schema)


def _fast_table(text: bytes, schema: Schema) -> Table | None:
    """:func:`_table` by Arrow's own reader of JSON, for lines of which it surely says the same; ``None`` where a record needs ``_extra``.

    Arrow refuses what is in no column and what doesn't fit its column. What it takes in silence is a ``null``.
    """
    import pyarrow as pa
    from pyarrow import json

    # A null inside of a text follows an escaped quote. A field's name that ends in a backslash looks so too, and is none of the columns'.
    if b"null" in text and text.count(b"null") != text.count(rb"\":null") + text.count(rb"\": null"):
        return None
    columns = pa.schema([pa.field(name, pa.int64() if name in _INTEGERS else pa.string()) for name in _COLUMNS])
    try:
        table = json.read_json(
            pa.BufferReader(text),
            read_options=json.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=json.ParseOptions(explicit_schema=columns, unexpected_field_behavior="error"),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != text.count(b"\n"):
        return None
    table = table.set_column(0, schema.field("startTime"), table.column("startTime").cast(pa.timestamp("ms", tz="UTC")))
    return table.append_column(schema.field(_EXTRA), pa.nulls(table.num_rows, pa.string())).cast(schema)


def _batch(rows: list[bytes], schema: Schema) -> RecordBatch:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for line in rows:
        _split(line, columns)
    return pa.record_batch([pa.array(columns[field.name], type=field.type) for field in schema], schema=schema)


def _groups(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of each row group."""
    pending: list[bytes] = []
    size = rows = 0
    for block in blocks:
        pending.append(block)
        size, rows = size + len(block), rows + block.count(b"\n")
        if size > _BYTES_IN_GROUP or rows >= _ROWS_IN_GROUP:
            rest = b"".join(pending)
            while (end := rest.find(b"\n", _BYTES_IN_GROUP) + 1) or rest.count(b"\n") >= _ROWS_IN_GROUP:
                group = rest[:end] if end else rest
                if group.count(b"\n") > _ROWS_IN_GROUP:
                    group = b"\n".join([*group.split(b"\n", _ROWS_IN_GROUP)[:-1], b""])
                yield group
                rest = rest[len(group) :]
            pending, size, rows = [rest], len(rest), rest.count(b"\n")
    if rows:
        yield b"".join(pending)


def _split(line: bytes, columns: dict[str, list[Any]]) -> None:
    record = fields_of(line)
    extra = [name for name, value in record.items() if name not in _COLUMNS or not _fits(name, value)]
    for name in _COLUMNS:
        columns[name].append(None if name in extra else record.get(name))
    if extra:
        exact = exact_fields_of(line)
        columns[_EXTRA].append(to_json({name: exact[name] for name in extra}))
    else:
        columns[_EXTRA].append(None)


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
            times = batch.column("startTime").cast(pa.int64()).to_pylist()
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
            columns["startTime"] = columns["startTime"].cast(pa.int64())
            values = {name: column.to_pylist() for name, column in columns.items()}
            for row in range(batch.num_rows):
                fields = {name: values[name][row] for name in _COLUMNS if values[name][row] is not None}
                extra = values[_EXTRA][row]
                parts = [f"{to_json(name)}:{to_json(value)}" for name, value in fields.items()]
                if extra is not None:
                    parts.append(extra.removeprefix("{").removesuffix("}"))
                record_id = fields["id"] if "id" in fields else fields_of(extra.encode())["id"]
                yield fields["startTime"], record_id, ("{" + ",".join(parts) + "}").encode()
