"""What the tables of the README and of the pages say is what the code does: arguments, extras, errors, fields of an object."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from readme.blocks import README, blocks, documents, table, tables

import airflow_provider_capillary.errors
from airflow_provider_capillary.connection.fields import DATE_FORMATS, EXTRA_FIELDS, Kind
from airflow_provider_capillary.emulator import Emulator, ServerOptions, documented_records
from airflow_provider_capillary.emulator.auth import Authenticator
from airflow_provider_capillary.export.exporter import Receipt
from airflow_provider_capillary.hooks._metrics import METRICS
from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
from airflow_provider_capillary.operators.verification import CapillaryEventLogsVerificationOperator
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor
from airflow_provider_capillary.triggers.capillary import CapillaryEventWatchTrigger


def names(cell):
    return re.findall(r"`(\w+)`", cell)


def everything_told():
    return "\n".join(document.read_text() for document in documents())


def shown(default):
    """How a default stands in a table; None where it stands in words."""
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, timedelta):
        return f"{default.total_seconds() / 60:g} minutes"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, bool) or default is None:
        return f"`{default}`"
    return f"{default:g}"


# Each class, and its table among those of its section.
@pytest.mark.parametrize(
    ("cls", "section", "number"),
    [
        (CapillaryEventLogsToObjectStorageOperator, "Arguments of the operator", 0),
        (CapillaryEventLogsVerificationOperator, "Arguments of the verification operator", 0),
        (CapillaryEventStatusSensor, "Arguments of the sensor and the watch", 0),
        (CapillaryEventWatchTrigger, "Arguments of the sensor and the watch", 1),
    ],
)
def test_the_arguments_are_those_of_the_class(cls, section, number):
    told = {name: (default, "*t*" in argument) for argument, default, _ in tables(section, "argument")[number] for name in names(argument)}
    parameters = {
        name: parameter for name, parameter in inspect.signature(cls).parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    templated = getattr(cls, "template_fields", ())
    assert told == {
        name: (
            "as `[operators] default_deferrable`" if name == "deferrable" else shown(parameter.default),
            name in templated,
        )
        for name, parameter in parameters.items()
    }


def test_the_receipt_is_told_whole():
    text = re.sub(r"\s+", " ", everything_told())
    told = re.search(r"The receipt holds (.*?)\. With", text)[1]
    assert set(names(told)) - {"ObjectStoragePath"} - {"statuses", "event_name"} == set(Receipt.__annotations__) - {"statuses"}
    assert "`failures`, `statuses`" in told


def shown_extra(default):
    return str(default).lower() if isinstance(default, bool) else str(default).removesuffix(".0")


def test_the_extras_of_the_connection_are_those_of_the_form():
    told = {
        name: value
        for extra, default, _ in table("Extras of the connection", "extra")
        for name, value in zip(names(extra), default.replace("`", "").split(", "), strict=True)
    }
    assert told == {field.name: "none" if field.default is None else shown_extra(field.default) for field in EXTRA_FIELDS}


def test_each_value_that_an_extra_takes_by_name_and_each_key_of_the_form_is_told():
    told = {names(extra)[0]: set(names(meaning)) for extra, _, meaning in table("Extras of the connection", "extra")}
    for field in EXTRA_FIELDS:
        named = field.choices or (DATE_FORMATS if field.kind is Kind.DATE_FORMAT else ())
        assert set(named) <= told.get(field.name, set()), field.name
        assert not field.form_name or f"`{field.form_name}`" in everything_told(), field.name


def test_the_extras_to_install_are_those_of_the_package():
    project = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]
    told = {name for extra, _ in table("Install", "extra") for name in names(extra)}
    assert told == set(project["optional-dependencies"]) - {"test", "lint", "docs"}


def test_the_metrics_are_those_that_are_sent():
    assert {metric.strip("`"): meaning for metric, meaning in table("Metrics", "metric")} == METRICS


def test_every_error_that_is_raised_is_in_the_table():
    told = {name for error, _, _ in table("What to do on each error", "error") for name in names(error)}
    errors = {
        name: kind for name, kind in vars(airflow_provider_capillary.errors).items() if name in airflow_provider_capillary.errors.__all__
    }
    parents = {base.__name__ for kind in errors.values() for base in kind.__mro__[1:]}
    # A class that only has others below it is none that is raised; one below another of the table may be told by that; a killed task
    # needs no advice.
    below = {name for name, kind in errors.items() if {base.__name__ for base in kind.__mro__[1:]} & told}
    assert set(errors) - (parents - told) - below - {"ReadingStoppedError"} <= told <= set(errors)


def test_the_fields_of_an_object_are_those_that_are_written():
    pyarrow = pytest.importorskip("pyarrow")
    from airflow_provider_capillary.export.parquet import _schema

    rows = [[names(field)[0], in_json, in_parquet] for field, in_json, in_parquet, _ in table("The objects", "field")]
    assert [(name, in_parquet) for name, _, in_parquet in rows] == [(field.name, str(field.type)) for field in _schema()]
    types = {int: "integer", str: "string"}
    documented = {name: types[type(value)] for record in documented_records() for name, value in record.items()}
    assert {name: in_json for name, in_json, _ in rows if in_json} == documented
    assert pyarrow.__version__


def test_the_statements_for_other_engines_name_the_documented_fields():
    fields = {name for record in documented_records() for name in record}
    # Those for parquet are held against its files (`test_reading.py`).
    statements = [each.text for each in blocks() if each.language == "sql" and not re.search("(?i)parquet", each.text)]
    assert len(statements) == 3
    for text in statements:
        columns = re.search(r"CREATE EXTERNAL TABLE \S+ \(\n(.*?)\n\)", text, re.DOTALL)
        if columns is None:
            assert {"startTime", "status"} <= set(re.findall(r"\w+", text)) & fields
            continue
        listed = dict(each.split() for each in columns[1].replace("\n", " ").split(", "))
        expected = fields if "INT64" in text else {name.lower() for name in fields}
        assert set(listed) == expected
        whole = {name for name, kind in listed.items() if kind.lower() in {"bigint", "int64"}}
        assert {name.lower() for name in whole} == {"starttime", "responsetime", "orgid", "parentorgid"}


def imports_of(path):
    """The names in the package that a file, or the files of a folder, import."""
    files = [path] if path.is_file() else path.rglob("*.py")
    return {
        name
        for file in files
        for name in re.findall(r"^\s*(?:from|import) airflow_provider_capillary\.(\w+)", file.read_text(), re.MULTILINE)
        if name != path.stem
    }


def test_the_map_names_every_package_and_each_imports_only_from_below():
    package = Path(airflow_provider_capillary.errors.__file__).parent
    named = [re.search(r"`(\w+)(?:/|\.py)`", cell)[1] for cell, _ in table("The map", "in `airflow_provider_capillary/`")]
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert set(named) == folders | {"commands", "errors", "report_printing"}
    for place, name in enumerate(named):
        path = package / name if name in folders else package / f"{name}.py"
        assert imports_of(path) & set(named) <= set(named[place + 1 :]) - {"emulator"}, name
    assert imports_of(package / "emulator") == set()


def test_the_options_of_the_emulator_are_in_its_table():
    keywords = {name for name, each in inspect.signature(Emulator).parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
    options = {field.name for kind in (ServerOptions, Authenticator) for field in dataclasses.fields(kind)}
    cells = table("In your own code and tests", "of the emulator")
    told = {name for cell, _ in cells for name in names(cell)}
    assert told == (keywords | options) - {"clock", "host", "port"}
    attributes = {name for cell, _ in cells for name in re.findall(r"`api\.(\w+)", cell)}
    assert attributes == {name for name in vars(Emulator) if not name.startswith("_")} - {"start", "stop"}


def test_the_recipes_name_files_and_names_that_exist():
    text = everything_told().partition("\n## Recipes\n")[2].partition("\n## ")[0]
    package = Path(airflow_provider_capillary.errors.__file__).parent
    files = {
        path: next(each for each in (README.parent / path, package / path) if each.exists())
        for path in re.findall(r"`([\w/]+(?:\.py|/[\w/]+))`", text)
    }
    assert len(files) > 12
    everything = "".join(path.read_text() for path in files.values() if path.is_file())
    for name in re.findall(r"`([A-Z_]\w+)`", text):
        assert re.search(rf"^(?:class )?{name}\b", everything, re.MULTILINE), name


def test_the_versions_that_are_named_are_those_that_are_tested():
    text = README.read_text()
    script = (README.parent / ".ci" / "run").read_text()
    tested = dict(re.findall(r"^(newest|oldest)=(\S+)$", script, re.MULTILINE))
    assert f"tested on Airflow {tested['oldest']} and {tested['newest']}" in text
    rows = (README.parent / ".ci" / "versions").read_text().partition("\nrows=(")[2].partition("\n)")[0]
    assert set(tested.values()) <= {row.partition(":")[0] for row in rows.split()}  # which runs every test on the newest of `run`
