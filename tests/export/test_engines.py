"""A week of exports is read by query engines as the records of that week, no more and no fewer, whatever pattern finds them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from export.support import ENDINGS, export, files_in, make_records, manifest_name

WEEK = [datetime(2025, 9, 15, tzinfo=UTC) + timedelta(days=day) for day in range(7)]
EMPTY, FIRST_BY_VERSION_1 = WEEK[3], WEEK[1]
COUNTS = {day: 0 if day == EMPTY else 20 + number for number, day in enumerate(WEEK)}


def of_day(day):
    shift = int(day.timestamp() * 1000) - 1_758_153_600_000
    return [record | {"startTime": record["startTime"] + shift} for record in make_records(COUNTS[day], seed=day.day)]


IDS = {f"{day:%Y-%m-%d}": sorted(record["id"] for record in of_day(day)) for day in WEEK if COUNTS[day]}


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """Writes the week in a format, once for each."""
    folders = {}

    def write(ending):
        if ending not in folders:
            folder = folders[ending] = tmp_path_factory.mktemp("week")
            for day in WEEK:
                place = folder / f"dt={day:%Y-%m-%d}"
                for first in (True, False):
                    export(of_day(day), f"{place}/events{ending}", start=day, end=day + timedelta(days=1))
                    if day == FIRST_BY_VERSION_1 and first:
                        (place / manifest_name(f"events{ending}")).rename(place / f"_events{ending}.manifest.json")
            assert len(files_in(folder)) == 14, "an object and a manifest a day"
        return folders[ending]

    return write


def by_day(pairs):
    found = {}
    for day, record_id in pairs:
        found.setdefault(str(day), []).append(str(record_id))
    return {day: sorted(ids) for day, ids in found.items()}


LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
# The patterns that people write, and the formats whose objects they find.
PATTERNS = {
    "dt=*/*": ENDINGS,
    "*/*": ENDINGS,
    "**/events*": ENDINGS,
    "**/*.json*": LINES,
    "**/*.jsonl.gz": (".jsonl.gz",),
    "**/*.parquet": (".parquet",),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_duckdb(week, ending, pattern):
    import duckdb

    path = f"{week(ending)}/{pattern}"
    with duckdb.connect() as database:
        if ending not in PATTERNS[pattern]:
            assert database.execute("SELECT * FROM glob(?)", [path]).fetchall() == []
            return
        if ending == ".parquet":
            reader = "read_parquet(?, hive_partitioning = true)"
        else:
            # DuckDB tells gzip by its ending, and Zstandard too where the pattern holds it.
            compression = ", compression = 'zstd'" if ending == ".jsonl.zst" else ""
            reader = f"read_json(?, format = 'newline_delimited', hive_partitioning = true{compression})"
        rows = database.execute(f"SELECT dt, id FROM {reader}", [path]).fetchall()  # noqa: S608  # of this test's own words
    assert by_day(rows) == IDS


@pytest.mark.parametrize("ending", ENDINGS)
def test_pyarrow_dataset(week, ending):
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import json as pa_json

    partitioning = ds.partitioning(pa.schema([("dt", pa.string())]), flavor="hive")
    kind = "parquet" if ending == ".parquet" else "json"
    schema = pa.schema([("id", pa.string()), ("dt", pa.string())])
    dataset = ds.dataset(week(ending), format=kind, partitioning=partitioning, schema=schema)
    assert sorted(dataset.files) == [f"{week(ending)}/dt={day:%Y-%m-%d}/events{ending}" for day in WEEK]
    if ending == ".jsonl.zst":
        # Found, but opened as if it were text: it has to be told of Zstandard, file by file.
        tables = {
            path.partition("dt=")[2][:10]: pa_json.read_json(pa.input_stream(path, compression="zstd"))
            for path in dataset.files
            if f"{EMPTY:%Y-%m-%d}" not in path
        }
        assert by_day((day, record_id) for day, table in tables.items() for record_id in table["id"].to_pylist()) == IDS
        return
    if kind == "json":
        # Its reader of JSON refuses a file without a record.
        dataset = ds.dataset([each for each in dataset.files if f"{EMPTY:%Y-%m-%d}" not in each], format=kind, partitioning=partitioning)
    assert by_day((row["dt"], row["id"]) for row in dataset.to_table(columns=["dt", "id"]).to_pylist()) == IDS


def test_pandas_parquet(week):
    import pandas as pd

    frame = pd.read_parquet(week(".parquet"), columns=["dt", "id"])
    assert by_day(zip(frame["dt"], frame["id"], strict=True)) == IDS


@pytest.mark.parametrize("ending", LINES)
@pytest.mark.parametrize("pattern", ["dt=*/*", "**/*.json*"])
def test_pandas_lines(week, ending, pattern):
    import pandas as pd

    pairs = []
    for path in sorted(week(ending).glob(pattern)):
        if path.is_file():
            frame = pd.read_json(path, lines=True)
            pairs += [(path.parent.name.removeprefix("dt="), record_id) for record_id in frame.get("id", [])]
    assert by_day(pairs) == IDS
