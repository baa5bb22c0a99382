"""How parquet is divided into row groups and pages: by the records alone, however they came."""

from __future__ import annotations

import io
import random

from export.support import START_MS, batched, export

from airflow_provider_capillary.export import parquet
from airflow_provider_capillary.export.json_lines import to_json


def test_large_records_close_a_row_group_early(tmp_path):
    import pyarrow.parquet as pq

    target = tmp_path / "x.parquet"
    export(({"id": f"{n:02}", "startTime": START_MS, "message": "m" * 2**20} for n in range(30)), str(target))
    file = pq.ParquetFile(target)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [12, 12, 6]


def test_chunks_are_the_same_whatever_the_blocks(monkeypatch):
    """Each is the least number of records whose texts have more than so many bytes, or so many records."""
    import pyarrow as pa

    monkeypatch.setattr(parquet, "_BYTES_IN_CHUNK", 1_000)
    monkeypatch.setattr(parquet, "_ROWS_IN_CHUNK", 20)
    rng = random.Random(5)
    texts = ["é" * (rng.choice((0, 3, 10, 100, 400, 3_000)) // 2) for _ in range(600)]
    expected = chunks_of(texts, most_bytes=1_000, most_rows=20)
    for size in (1, 7, 50, 3_000):
        blocks = [
            pa.record_batch({"orgId": [7] * len(some), "a": some, "b": pa.nulls(len(some), pa.string())}) for some in batched(texts, size)
        ]
        for each in (parquet._chunks(blocks), parquet._chunks(block.slice(0) for block in blocks)):
            assert [chunk["a"].to_pylist() for chunk in each] == expected


def chunks_of(texts, *, most_bytes, most_rows):
    chunks, chunk = [], []
    for text in texts:
        chunk.append(text)
        if sum(len(each.encode()) for each in chunk) > most_bytes or len(chunk) == most_rows:
            chunks.append(chunk)
            chunk = []
    return [*chunks, chunk] if chunk else chunks


def test_a_row_group_is_the_least_chunks_with_so_many_records_or_more_than_so_many_bytes(monkeypatch):
    import pyarrow as pa

    monkeypatch.setattr(parquet, "_BYTES_IN_GROUP", 100)
    monkeypatch.setattr(parquet, "_ROWS_IN_GROUP", 20)
    # The bytes and the records of each chunk, by row group.
    expected = [[(0, 19), (0, 3)], [(0, 20)], [(100, 1), (0, 1), (1, 1)], [(101, 1)], [(5, 5)]]
    chunks = [
        pa.record_batch({"orgId": [7] * rows, "a": ["é" * (size // 2) + "e" * (size % 2), *[""] * (rows - 1)]})
        for group in expected
        for size, rows in group
    ]
    found = [[(parquet._bytes_of(chunk), chunk.num_rows) for chunk in group] for group in parquet._groups(chunks)]
    assert found == expected


def test_parquet_is_the_same_to_the_byte_whatever_the_blocks(monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(parquet, "_ROWS_IN_GROUP", 2_500)
    monkeypatch.setattr(parquet, "_BYTES_IN_GROUP", 2**20)
    rng, columns = random.Random(6), parquet.Columns()
    records = [{"id": f"{n:05}", "startTime": START_MS + n, "inputRequest": text_of(rng, n)} for n in range(9_000)]
    lines = [to_json(record | ({"message": None} if rng.random() < 0.1 else {"orgId": 7})).encode() for record in records]
    written = set()
    for size in (3, 70, 1_000, 2_047, 9_000):
        blocks = [columns.of_lines(some) for some in batched(lines, size)]
        raw = io.BytesIO()
        parquet.write_parquet(blocks, raw)
        written.add(raw.getvalue())
    assert len(written) == 1
    groups = pq.ParquetFile(io.BytesIO(*written)).metadata
    rows = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
    assert rows[0] == 3_000
    assert rows[-2] < 2_500  # closed by its bytes


def text_of(rng, number):
    """A long one to begin with the 4,000th."""
    return f"{rng.getrandbits(8 * rng.choice((1, 30) if number < 4_000 else (1, 400, 900))):x}"
