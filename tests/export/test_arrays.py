"""Arrays made from lists are those that pyarrow itself makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_capillary.export.arrays import array_of, starts_of

TIMES = pa.timestamp("ms", tz="UTC")


# The values, and the type of the array.
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], pa.string()),
        ([], pa.int64()),
        (["a"], pa.string()),
        (["", None, "b", "\x00", "नमन", None, "Zoë", "😀", "\u2028"], pa.string()),
        ([None, None], pa.string()),
        ([None] * 8 + ["i"], pa.string()),
        ([0, -1, 2**63 - 1, -(2**63)], pa.int64()),
        ([None, 5, None], pa.int64()),
        ([None] * 17, pa.int64()),
        (range(5), pa.int64()),
        ([0, 1_758_153_600_000, None], TIMES),
    ],
)
def test_an_array_holds_the_values(values, kind):
    """Nulls, and what has more bytes than characters, too."""
    made = array_of(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))


# The values, the type, and the error.
@pytest.mark.parametrize(
    ("values", "kind", "error"),
    [
        (["a", 5], pa.string(), TypeError),
        (["a", 0, None], pa.string(), TypeError),
        (["a", []], pa.string(), TypeError),
        (["a", "\ud800"], pa.string(), UnicodeError),
        ([1, "1"], pa.int64(), TypeError),
        ([1, 1.0], pa.int64(), TypeError),
        ([2**63], pa.int64(), OverflowError),
        ([-(2**63) - 1, None], pa.int64(), OverflowError),
    ],
)
def test_values_of_another_type_are_not_taken(values, kind, error):
    """One among others."""
    with pytest.raises(error):
        array_of(values, kind)


def test_the_places_of_texts_are_those_of_a_part_of_an_array():
    """A null takes no bytes."""
    texts = array_of(["a", "é", None, "", "bcd"], pa.string())
    assert list(starts_of(texts)) == [0, 1, 3, 3, 3, 6]
    assert list(starts_of(texts[1:4])) == [1, 3, 3, 3]
    assert list(starts_of(texts[2:2])) == [3]


PARQUET = """
from pathlib import Path
from airflow_provider_capillary.export.formats import block_form, read_lines, read_pairs, write_object

target, line = Path("x.parquet"), b'{"startTime":5,"id":"a","orgId":null,"inputRequest":"%s","new":0.10}'
lines = [line.replace(b"%s", b"x" * 3_000_000).replace(b'"a"', b'"%d"' % number) for number in (1, 2, 3)]
form = block_form(".parquet")
write_object([form.of_lines(lines)], target, ending=".parquet")
body = b'{"data":[' + b",".join(lines) + b'],"warnings":[],"errors":[]}'
assert list(read_pairs(target, ending=".parquet")) == [(5, "1"), (5, "2"), (5, "3")]
assert len(list(read_lines(target, ending=".parquet"))) == 3
decoded = form.decode(b'[{"startTime":6,"id":"b"},{"startTime":5,"id":"a"},{"startTime":4,"id":"c"}]', 10**13)
assert form.of_page(decoded.ordered())
assert form.of_page(decoded[::2].ordered())
"""


def test_parquet_is_written_and_read_without_pandas(tmp_path):
    """pyarrow imports pandas for some of what it does; that takes 50 MiB."""
    (tmp_path / "pandas.py").write_text("raise AssertionError('pandas is imported')\n", encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    subprocess.run([sys.executable, "-c", PARQUET], cwd=tmp_path, env=environment, check=True, timeout=60)
