"""The snippets of the README read a week of exports; by which patterns objects are found is tested in ``export/test_engines.py``."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections import Counter
from datetime import timedelta

import pytest
from operators.support import export_task
from readme.blocks import block
from readme.week import WEEK, day_of

from airflow_provider_capillary.emulator import Emulator

ENDINGS = ("jsonl.gz", "parquet")


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """A folder for each format, with ``event_logs/dt=.../events.*`` for each day, and the records of the emulator."""
    folder = tmp_path_factory.mktemp("week")
    # The last day has none.
    with Emulator(documented=False, events=700, start=WEEK[0], end=WEEK[-1]) as api, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000, date_format="iso"))
        for ending in ENDINGS:
            for day in WEEK:
                # Without a run around it, which would take a second each.
                export_task(
                    f"file://{folder}/{ending}/event_logs/dt={day:%Y-%m-%d}/events.{ending}",
                    start=day.isoformat(),
                    end=(day + timedelta(days=1)).isoformat(),
                ).execute({})
        records = api.records
    return folder, records


@pytest.fixture
def counts(week):
    return Counter((day_of(record), record.get("status")) for record in week[1])


# Which folder a snippet is printed for.
@pytest.mark.parametrize(("number", "ending"), [(1, "jsonl.gz"), (2, "parquet"), (3, "jsonl.gz"), (4, "parquet")])
def test_the_snippets_count_the_week(week, counts, monkeypatch, number, ending):
    monkeypatch.chdir(week[0] / ending)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("Reading the objects", "python", number).text, "README.md", "exec"), {})  # noqa: S102  # what the test is for
    text = printed.getvalue()
    if number <= 2:
        days = re.findall(r"│ *(\d{4}-\d\d-\d\d) *│ *(\d+) *│ *(\d+) *│ *\d{4}-\d\d-\d\d", text)
        assert [(day, int(events), int(failures)) for day, events, failures in days] == sorted(
            (day, sum(count for (each, _), count in counts.items() if each == day), failures_of(counts, day))
            for day in {day for day, _ in counts}
        )
    elif number == 3:
        found = {None if name == "NaN" else name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
        assert found == sum((Counter({status: count}) for (_, status), count in counts.items()), Counter())
    else:
        found = {each["status"]: each["count_all"] for each in ast.literal_eval(text)}
        assert found == {status: count for (day, status), count in counts.items() if day == "2025-09-17"}


# The statements for parquet, by number; the first day that they count, and what they call the types of columns.
STATEMENTS = [
    ("Spark", 2, "", {}),
    ("Athena", 4, "2025-09-17", {"string": "string", "int64": "bigint", "timestamp[ms, tz=UTC]": "timestamp"}),
    ("Trino", 5, "2025-09-17", {"string": "varchar", "int64": "bigint", "timestamp[ms, tz=UTC]": "timestamp(3)"}),
]


@pytest.mark.parametrize(("number", "first", "types"), [row[1:] for row in STATEMENTS], ids=[row[0] for row in STATEMENTS])
def test_the_statements_for_parquet_fit_the_files(week, counts, number, first, types):
    """Their columns are those of the files, and their queries count the week: in DuckDB, which finds columns by name in any case, too."""
    import duckdb
    import pyarrow.parquet as pq

    text = block("Reading the objects", "sql", number).text
    pattern = f"{week[0]}/parquet/event_logs/dt=*/*.parquet"
    if types:
        (columns,) = re.findall(r"TABLE \S+ \((.*?)\n\)", text, re.DOTALL)
        schema = pq.read_schema(next(week[0].glob("parquet/event_logs/dt=*/*.parquet")))
        assert [each.replace('"', "").replace("`", "").split() for each in columns.split(",") if "dt" not in each.split()] == [
            [field.name.lower(), types[str(field.type)]] for field in schema
        ]
    query = text[text.index("SELECT") :]
    query, replaced = re.subn(r"FROM \S+", f"FROM read_parquet('{pattern}', hive_partitioning = true)", query)
    assert replaced == 1
    found = {(str(dt), status): events for dt, status, events, _ in duckdb.sql(query).fetchall()}
    assert found == {(day, status): count for (day, status), count in counts.items() if day >= first}


def failures_of(counts, day):
    return sum(count for (each, status), count in counts.items() if each == day and status != "EVENT_SUCCESS")
