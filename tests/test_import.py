"""What importing the package costs, needs and refuses, each in an interpreter of its own."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import airflow_provider_capillary

PACKAGE = Path(airflow_provider_capillary.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"  # a program, which importing would run
)
OPTIONAL = ["pyarrow", "zstandard", "s3fs", "gcsfs", "adlfs", "boto3", "orjson", "wtforms", "flask_appbuilder", "pytest", "hypothesis"]
AIRFLOW_2 = importlib.metadata.version("apache-airflow").startswith("2.")
DECLARE = {
    "operators": "module.CapillaryEventLogsToObjectStorageOperator(task_id='t', destination='s3://c@b/{interval_start:%Y-%m-%d}.parquet')",
    "sensors": "module.CapillaryEventStatusSensor(task_id='t', statuses=['A'], since='2025-09-18T00:00:00Z')",
}
PURE = ("airflow_provider_capillary.errors", "airflow_provider_capillary.get_provider_info", "airflow_provider_capillary.reading")

PROBE = """
import importlib, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
failed = {}
for module in MODULES:
    try:
        importlib.import_module(module)
    except Exception as error:
        failed[module] = repr(error)
print(json.dumps({"failed": failed, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def probe(modules, *, absent=()):
    """Import the modules where some packages can't be, and tell which failed and what was loaded."""
    program = f"MODULES = {list(modules)!r}\nABSENT = {set(absent)!r}\n{PROBE}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_list_of_modules_is_the_package():
    assert {"airflow_provider_capillary", "airflow_provider_capillary.connection.settings"} <= set(MODULES)


def airflow_s_own():
    """The optional packages that our dependencies load by themselves: Airflow 2 is built on Flask, urllib3 takes zstandard where it is."""
    # Those that this Airflow has are loaded. On version 2, what sensors are made of loads the executors.
    bases = ["airflow.models", "airflow.models.baseoperator", "airflow.sdk.bases.operator"]
    sensors = ["airflow.sensors.base"] if importlib.metadata.version("apache-airflow").startswith("2.") else []
    return set(probe(["airflow.providers.common.compat.sdk", *bases, *sensors, "requests"])["loaded"]) & set(OPTIONAL)


def test_every_module_imports_without_optional_packages():
    # Airflow may itself need some of them, on version 2 the form library; those can't be taken away.
    absent = set(OPTIONAL) - {"wtforms", "flask_appbuilder"}
    assert probe(MODULES, absent=absent)["failed"] == {}


def test_no_module_loads_an_optional_package():
    loaded = set(probe([*MODULES, "airflow.models"])["loaded"])
    assert loaded & set(OPTIONAL) <= airflow_s_own()


def test_what_is_pure_loads_neither_airflow_nor_a_transport():
    modules = [module for module in MODULES if module.startswith(PURE)]
    assert len(modules) > len(PURE)
    report = probe([*modules, "airflow_provider_capillary.connection.settings", "airflow_provider_capillary.connection.form"])
    assert report["failed"] == {}
    # The standard library's own `importlib.metadata` loads `socket`, so that says nothing.
    assert not {"airflow", "requests", "urllib3", "pendulum", "asyncio", "ssl"} & set(report["loaded"])


NOT_IN_PARSING = [
    "requests",
    "urllib3",
    "pyarrow",
    "zstandard",
    "fsspec",
    "isal",
    "sqlite3",
    "concurrent.futures",
    *(f"airflow_provider_capillary.{part}" for part in ("connection", "emulator", "check", "reading.reader", "reading.calibration")),
    *(f"airflow_provider_capillary.hooks.{part}" for part in ("capillary", "capillary_async", "_session")),
    *(f"airflow_provider_capillary.export.{part}" for part in ("exporter", "spool", "object_store", "local_disk", "parquet", "manifest")),
]
"""What parsing a DAG file needs not: transports, formats, the reading, the writing."""


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_a_dag_file_loads_no_transport_no_format_and_no_reader(kind):
    airflow = ["airflow.providers.common.compat.sdk", "airflow.models", *(["airflow.sensors.base"] if AIRFLOW_2 else ["airflow.sdk"])]
    program = (
        f"import importlib, json, sys\n"
        f"from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, DAG, conf\n"
        f"for name in {airflow!r}: importlib.import_module(name)\n"
        f"before = set(sys.modules)\n"
        f"module = importlib.import_module('airflow_provider_capillary.{kind}.capillary')\n"
        f"{DECLARE[kind]}\n"
        f"print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert f"airflow_provider_capillary.{kind}.capillary" in loaded
    assert [name for name in loaded if name.startswith(tuple(NOT_IN_PARSING))] == []


def test_the_provider_info_loads_nothing_but_its_own_five_modules():
    program = (
        "import enum, importlib.metadata, json, sys, typing\n"
        "importlib.metadata.version('pytest')\n"  # with which Python loads what it reads metadata with
        "before = set(sys.modules)\n"
        "from airflow_provider_capillary.get_provider_info import get_provider_info\n"
        "get_provider_info()\n"
        "print(json.dumps(sorted(set(sys.modules) - before - {'__future__'})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    ours = ["", ".connection", ".connection.fields", ".connection.form", ".get_provider_info"]
    assert json.loads(done.stdout) == [f"airflow_provider_capillary{name}" for name in ours]


# A version of Airflow, and whether the package refuses to be imported with it.
REFUSED = [
    ("2.10.5", True),
    ("2.9.0", True),
    ("1.10.15", True),
    ("2.11.0", False),
    ("2.11.0rc1", False),
    ("3.0.0b1", False),
    ("10.0", False),
]


@pytest.mark.parametrize("is_imported", [True, False])
@pytest.mark.parametrize(("version", "refused"), REFUSED)
def test_an_older_airflow_is_refused_in_one_sentence(version, refused, is_imported, monkeypatch):
    real = importlib.metadata.version
    in_metadata = "9.9.9" if is_imported else version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: in_metadata if name == "apache-airflow" else real(name))
    if is_imported:
        monkeypatch.setitem(sys.modules, "airflow", SimpleNamespace(__version__=version))
    else:
        monkeypatch.delitem(sys.modules, "airflow", raising=False)
    if refused:
        with pytest.raises(RuntimeError) as caught:
            airflow_provider_capillary._refuse_older_airflow()
        us = f"airflow-provider-capillary {airflow_provider_capillary.__version__}"
        assert str(caught.value) == f"{us} needs Apache Airflow 2.11.0 or later, and {version} is installed"
    else:
        airflow_provider_capillary._refuse_older_airflow()


def test_the_refusal_happens_on_import():
    program = (
        "import importlib.metadata\n"
        "importlib.metadata.version = lambda name: '2.10.5'\n"
        "try:\n    import airflow_provider_capillary.errors\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "2.10.5 is installed" in done.stdout


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()
