"""Answers decoded by pyarrow straight into columns, for exports to parquet.

That takes a third of the time of :mod:`json` and of columns made from its objects. pyarrow takes an answer only where no record has any
field but the known ones, each once, and each value is of its column's type, or ``null``. Where one record is otherwise, the answer is left
to others. Known are the documented fields, and fields of texts that records of earlier answers held beside them.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.api.answer_texts import cuts_of
from airflow_provider_capillary.api.event_logs import MAPPINGS, EventLogs
from airflow_provider_capillary.api.layouts import Trials
from airflow_provider_capillary.export.arrays import array_of
from airflow_provider_capillary.export.json_lines import fields_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pyarrow import Field, RecordBatch

    from airflow_provider_capillary.api.event_logs import Pieces

__all__ = ["ColumnDecoder"]

_MOST_STRETCHES = 50
_MOST_LEARNT = 20
"""Fields beside the documented ones that become known."""
_LOOKED_AT = 100
"""Records of an answer that are looked at for such fields."""

# A quote inside of a text has a backslash before it, and no documented name ends with one.
_NULL = re.compile(rb'(?<!\\)"[ \t\r]*:[ \t\r]*null')


class ColumnDecoder:
    """Decodes lists of records into batches of these columns.

    :param fields: ``startTime`` among them, as a timestamp, and ``id``. The others hold texts and integers.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._documented = len(fields)
        self._know(fields)

    def _know(self, fields: Sequence[Field]) -> None:
        import pyarrow as pa
        from pyarrow import json

        self._schema = pa.schema(fields)
        as_sent = [field.with_type(pa.int64()) if field.name == "startTime" else field for field in fields]
        self._options = json.ParseOptions(explicit_schema=pa.schema(as_sent), unexpected_field_behavior="error")
        self._trials = Trials()

    def learn(self, others: Sequence[Mapping[str, Any]]) -> None:
        """Decode the fields of texts among these, too, from now on.

        :param others: what records hold beside the documented fields.
        """
        import pyarrow as pa

        some = others[:_LOOKED_AT]
        names = {name: None for other in some for name, value in other.items() if type(value) is str}
        new = [pa.field(name, pa.string()) for name in names if name not in self._schema.names and name.isprintable()]
        if new and len(self._schema) + len(new) <= self._documented + _MOST_LEARNT:
            self._know([*self._schema, *new])

    def decode(self, listed: bytes, latest: int) -> EventLogs | None:
        """A :data:`~airflow_provider_capillary.api.usual_pages.ListDecoder`."""
        return self._trials.result_of(self._decode, listed, latest)

    def _decode(self, listed: bytes, latest: int) -> EventLogs | None:
        import pyarrow as pa

        cut = next((cut for cut in cuts_of(listed) if len(cut.pieces) > 1), None)
        if cut is None or b"\n" in listed:
            return None
        count = len(cut.pieces)
        # The last record first: most answers begin with the newest one, and records are written from the oldest on.
        lines = cut.begin + (cut.end + b"\n" + cut.begin).join(reversed(cut.pieces)) + cut.end + b"\n"
        try:
            batch = self._batch_of(lines)
            if batch.num_rows != count:
                return None
            batch.validate(full=True)  # UTF-8, too
            times, ids = batch.column("startTime").to_pylist(), batch.column("id").to_pylist()
        except (pa.ArrowException, ValueError):
            return None
        if None in times or not all(ids) or min(times) < 0 or max(times) >= latest:
            return None
        columns = [column.view(field.type) for column, field in zip(batch.columns, self._schema, strict=True)]
        form = _BatchRows(
            pa.record_batch(columns, schema=self._schema), cut._replace(pieces=cut.pieces[::-1]), self._schema.names[self._documented :]
        )
        return EventLogs(times[::-1], ids[::-1], range(count - 1, -1, -1), form=form)

    def _batch_of(self, lines: bytes) -> RecordBatch:
        import pyarrow as pa
        from pyarrow import json

        options = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
        table = json.read_json(pa.BufferReader(lines), read_options=options, parse_options=self._options)
        (batch,) = table.combine_chunks().to_batches()
        return batch


class _BatchRows:
    """The form of rows that are numbers: places in a batch, and among the pieces of JSON that its records were decoded from."""

    def __init__(self, batch: RecordBatch, cut: Pieces, learnt: Sequence[str]) -> None:
        self.has_line_breaks = True  # carriage returns
        self._batch = batch
        self._cut = cut
        self._learnt = learnt

    def fields(self, row: int) -> dict[str, Any]:
        """See :class:`.RowForm`."""
        return fields_of(self._text_of(row))

    def column(self, rows: Sequence[int], name: str) -> list[Any]:
        """See :class:`.RowForm`."""
        import pyarrow as pa

        if name not in self._batch.schema.names:
            return [None] * len(rows)
        column = self._batch.column(name)
        values = (column.view(pa.int64()) if name == "startTime" else column).to_pylist()
        return [values[row] for row in rows]

    def columns(self, rows: Sequence[int], names: Sequence[str]) -> tuple[list[Any], list[int]]:
        """See :class:`.RowForm`: arrays in place of lists."""
        batch = self._of(rows)
        # Absent, or sent as null.
        nulls = [column.to_pylist() for column in batch.columns if column.null_count]
        places = {place for column in nulls for place, value in enumerate(column) if value is None}
        irregular = {place for place in places if self._has_null(rows[place])}
        for name in self._learnt:
            irregular.update(place for place, value in enumerate(batch.column(name).to_pylist()) if value is not None)
        return [batch.column(name) for name in names], sorted(irregular)

    def others(self, rows: Sequence[int], names: Collection[str]) -> list[dict[str, Any]]:
        """See :class:`.RowForm`."""
        learnt = {name: self._batch.column(name).to_pylist() for name in self._learnt}
        others = [{name: value for name, values in learnt.items() if (value := values[row]) is not None} for row in rows]
        # The columns know neither the order of several fields nor what was sent as null.
        places = [place for place, other in enumerate(others) if len(other) != 1 or self._has_null(rows[place])]
        for place, other in zip(places, MAPPINGS.others([self.fields(rows[place]) for place in places], names), strict=True):
            others[place] = other
        return others

    def _has_null(self, row: int) -> bool:
        piece = self._cut.pieces[row]
        return b"null" in piece and _NULL.search(piece) is not None

    def texts(self, rows: Sequence[int]) -> list[bytes]:
        """See :class:`.RowForm`."""
        return list(map(self._text_of, rows))

    def lines(self, rows: Sequence[int]) -> bytes:
        """See :class:`.RowForm`."""
        return b"".join([line + b"\n" for line in self.texts(rows)])

    def _text_of(self, row: int) -> bytes:
        return self._cut.begin + self._cut.pieces[row] + self._cut.end

    def _of(self, rows: Sequence[int]) -> RecordBatch:
        import pyarrow as pa

        # Answers are nearly in order: a few stretches that follow one another are copied in less time than single rows.
        ends = [0, *(place for place, (row, following) in enumerate(pairwise(rows), 1) if following != row + 1), len(rows)]
        if len(ends) > _MOST_STRETCHES:
            return self._batch.take(array_of(rows, pa.int64()))
        stretches = [self._batch.slice(rows[low], high - low) for low, high in pairwise(ends) if low < high]
        if len(stretches) == 1:
            return stretches[0]
        (batch,) = pa.Table.from_batches(stretches, self._batch.schema).combine_chunks().to_batches()
        return batch
