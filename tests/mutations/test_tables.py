"""The tables of mutations speak of the package as it is; whether each is caught takes minutes: ``python tests/mutations/apply.py``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutations.tables import MUTATIONS

import airflow_provider_capillary

ROOT = Path(__file__).resolve().parents[2]
SOURCES = Path(airflow_provider_capillary.__file__).parents[1]
"""The same, unless the package is tested without its sources beside it."""


# Each row of all tables: its text stands once in the package, and what takes its place is still Python.
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.breaks)
def test_a_mutation_applies_once_and_leaves_python(mutation):
    ast.parse(mutation.applied_to((SOURCES / mutation.path).read_text(encoding="utf-8")))
    assert (ROOT / mutation.caught_by[0].partition("::")[0]).exists()


def test_no_mutation_is_there_twice():
    assert len({(each.file, each.text, each.becomes) for each in MUTATIONS}) == len(MUTATIONS)
    assert len({each.breaks for each in MUTATIONS}) == len(MUTATIONS)


def test_a_text_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="0 times, not once"):
        MUTATIONS[0].applied_to("pass\n")
    with pytest.raises(ValueError, match="2 times, not once"):
        MUTATIONS[0].applied_to(MUTATIONS[0].text * 2)
