"""Which part of the package may import which: the arrows of the layout point one way, and the deciding parts do no I/O."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import airflow_provider_capillary

NAME = "airflow_provider_capillary"
PACKAGE = Path(airflow_provider_capillary.__file__).parent
TESTS = Path(__file__).parent

BASE = {"errors", "error_text", "timestamps", "validation"}

# Each row: a folder or a module at the top of the package, and what it may import of the others, in functions and for types too.
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "error_text": {"errors"},
    "timestamps": {"errors"},
    "validation": {"errors", "timestamps"},
    "rendering": {"errors", "validation"},
    # The private and the new interfaces of Airflow, and how an error ends a task.
    "_airflow": {"errors"},
    "retry_policy": {"_airflow", "errors"},
    "_fail_fast": {"_airflow", "errors", "retry_policy"},
    "get_provider_info": {"__version__", "connection"},
    "fast": set(),
    "api": BASE | {"fast"},
    "reading": BASE | {"api"},
    "polling": BASE | {"api"},
    "connection": BASE | {"api"},
    "export": BASE | {"__version__", "_airflow", "api", "fast", "polling", "reading"},
    "redaction": BASE | {"api"},
    "erasure": BASE | {"__version__", "export", "redaction"},
    "hooks": BASE | {"_airflow", "api", "connection", "polling", "reading"},
    "triggers": BASE | {"_airflow", "api", "hooks", "polling"},
    "operators": BASE | {"_airflow", "_fail_fast", "api", "export", "hooks", "redaction", "rendering", "retry_policy"},
    "sensors": BASE | {"_airflow", "_fail_fast", "api", "hooks", "polling", "rendering", "triggers"},
    "report_printing": {"errors"},
    "check": BASE | {"api", "connection", "hooks", "reading", "report_printing"},
    "estimate": BASE | {"api", "connection", "hooks", "reading", "report_printing"},
    "commands": {"_airflow", "check", "erasure", "estimate"},
    "__main__": {"commands"},
    # The emulator is judged by the documentation alone: code that it shared with the package would be wrong on both sides alike.
    "emulator": set(),
    # What builds the documentation; no part of the wheel.
    "docs": {"__version__"},
}
PURE = ("api", "reading", "polling")
IMPURE = {"airflow", "asyncio", "requests", "socket", "ssl", "subprocess", "threading", "time", "urllib3"}
CLOCKS = {"now", "today", "utcnow"}


def part_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_in(source):
    """The full names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_arrows(part, source):
    """The parts that a module of ``part`` imports and may not."""
    parts = {name.split(".")[1] for name in imports_in(source) if name.startswith(f"{NAME}.")}
    return sorted(parts - {part} - ALLOWED[part])


def impurities(source):
    """What a module could do I/O with, and where it asks a clock."""
    modules = {name.partition(".")[0] for name in imports_in(source)} & IMPURE
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted(modules | {call.attr for call in calls if isinstance(call, ast.Attribute)} & CLOCKS)


def test_the_table_has_a_row_for_each_part_and_no_circle():
    assert {part_of(path) for path in PACKAGE.rglob("*.py")} <= set(ALLOWED)
    graphlib.TopologicalSorter(ALLOWED).prepare()


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below_it(path):
    assert wrong_arrows(part_of(path), path.read_text(encoding="utf-8")) == []


PURE_MODULES = [path for path in MODULES if part_of(path) in PURE]


@pytest.mark.parametrize("path", PURE_MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_deciding_module_can_do_no_io(path):
    assert impurities(path.read_text(encoding="utf-8")) == []


def test_what_runs_on_one_airflow_alone_imports_nothing_of_it():
    """Neither by itself nor through a part of this package that may."""
    tree = ast.parse((TESTS / "conftest.py").read_text(encoding="utf-8"))
    (places,) = (ast.literal_eval(node.value) for node in tree.body if ast.unparse(node).startswith("WITHOUT_AIRFLOW = "))
    paths = [path for place in places for path in ((TESTS / place).rglob("*.py") if (TESTS / place).is_dir() else [TESTS / place])]
    assert paths
    allowed = {"emulator", "estimate", "fast", "redaction", *PURE, *BASE}
    for path in paths:
        names = list(imports_in(path.read_text(encoding="utf-8")))
        assert not [name for name in names if name.partition(".")[0] == "airflow"], path
        assert {name.split(".")[1] for name in names if name.startswith(f"{NAME}.")} <= allowed, path


def test_no_two_modules_import_one_another_while_they_load():
    by_name = {".".join([NAME, *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): path for path in MODULES}
    arrows = {}
    for module, path in by_name.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # At the top level and not under `if TYPE_CHECKING`: those alone run while the module loads.
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        names = {name if name in by_name else name.rpartition(".")[0] for name in imports_in(ast.unparse(top))}
        arrows[module] = names & by_name.keys()
    assert sum(map(len, arrows.values())) > len(MODULES)
    graphlib.TopologicalSorter(arrows).prepare()


# Each row: a part, a source that could stand in it, and what is wrong with that.
WRONG = [
    ("api", f"from {NAME}.reading.ledger import Ledger", ["reading"]),
    ("export", f"def late():\n    from {NAME}.operators import capillary", ["operators"]),
    ("hooks", f"if TYPE_CHECKING:\n    import {NAME}.triggers.capillary", ["triggers"]),
    ("polling", f"from {NAME} import sensors, errors", ["sensors"]),
    ("polling", f"from {NAME}.api.effects import Record", []),
]


@pytest.mark.parametrize(("part", "source", "wrong"), WRONG)
def test_an_arrow_that_points_the_wrong_way_is_seen(part, source, wrong):
    assert wrong_arrows(part, source) == wrong


# Each row: a source that could stand in a deciding module, and by what it could do I/O or ask a clock.
IMPURE_SOURCES = [
    ("import time", ["time"]),
    ("def late():\n    from requests.adapters import HTTPAdapter", ["requests"]),
    ("if TYPE_CHECKING:\n    from airflow.sdk import Context", ["airflow"]),
    ("x = datetime.now(UTC)", ["now"]),
    ("import json, re", []),
]


@pytest.mark.parametrize(("source", "found"), IMPURE_SOURCES)
def test_io_and_clocks_are_seen(source, found):
    assert impurities(source) == found
