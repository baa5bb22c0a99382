"""What the package tells Airflow about itself, against the schema of the Airflow that is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from pathlib import Path

import pytest

from airflow_provider_capillary import __version__
from airflow_provider_capillary.get_provider_info import get_provider_info
from airflow_provider_capillary.hooks import forms
from airflow_provider_capillary.hooks.fields import EXTRA_FIELDS
from airflow_provider_capillary.hooks.settings import Settings

INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]
DISTRIBUTION = "airflow-provider-capillary"


def installed():
    try:
        return importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None


def test_it_is_valid_against_the_schema_of_the_installed_airflow():
    import airflow
    import jsonschema

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)
    with pytest.raises(jsonschema.ValidationError):  # the schema is one that can refuse
        jsonschema.validate({**INFO, "connection-types": [{"connection-type": "capillary"}]}, schema)


def test_its_name_is_that_of_the_distribution():
    assert INFO["package-name"] == DISTRIBUTION


@pytest.mark.skipif(installed() is None, reason="the package runs from the tree and is not installed")
def test_the_entry_point_gives_it():
    (entry_point,) = installed().entry_points.select(group="apache_airflow_provider")
    assert entry_point.value == "airflow_provider_capillary.get_provider_info:get_provider_info"
    assert entry_point.load()() == INFO
    assert installed().version == __version__ == INFO["versions"][0]


def test_it_names_only_modules_that_exist():
    modules = [
        module for kind in ("hooks", "operators", "sensors", "triggers") for entry in INFO[kind] for module in entry["python-modules"]
    ]
    assert modules
    for module in [*modules, CONNECTION["hook-class-name"].rpartition(".")[0]]:
        assert importlib.util.find_spec(module), module
    names = {entry["integration-name"] for entry in INFO["integrations"]}
    assert {entry["integration-name"] for kind in ("hooks", "operators", "sensors", "triggers") for entry in INFO[kind]} == names


def test_every_extra_is_a_setting_and_every_setting_a_field_of_the_form():
    extras = {field.name for field in EXTRA_FIELDS}
    assert extras == set(CONNECTION["conn-fields"])
    assert set(Settings.__dataclass_fields__) == extras | {"conn_id", "base_url", "login", "password"}


def test_every_field_has_a_label_a_description_and_a_default_that_it_allows():
    import jsonschema

    for name, field in CONNECTION["conn-fields"].items():
        assert field["label"], name
        assert field["description"].endswith("."), name
        jsonschema.validate(field["schema"]["default"], field["schema"])
        assert "null" in field["schema"]["type"], name  # else the form insists on a value
        for outside in (0, "neither"):
            if {"enum", "minimum", "exclusiveMinimum"} & set(field["schema"]):
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate(outside, field["schema"])


def test_the_defaults_of_the_form_are_those_of_a_connection_without_extras():
    from airflow.providers.common.compat.sdk import Connection

    def settings(**extras):
        return Settings.from_connection(
            Connection(conn_id="cap", conn_type="capillary", host="a.example", login="u", password="p", extra=json.dumps(extras))
        )

    as_the_form_saves_them = {name: field["schema"]["default"] for name, field in CONNECTION["conn-fields"].items()}
    assert settings(**as_the_form_saves_them) == settings()


class Stub:
    """A field or validator that remembers what it was made of, for an Airflow without wtforms."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


def form_of_airflow_2(monkeypatch):
    """Name to label, description, default and choices, out of wtforms' own fields where Airflow brings them."""
    if importlib.util.find_spec("flask_appbuilder") and importlib.util.find_spec("wtforms"):
        import wtforms

        form = type("Form", (wtforms.Form,), forms.connection_form_widgets())()
        return {
            name: {
                "label": field.label.text,
                "description": field.description,
                "default": field.data,
                "enum": next((list(v.values) for v in field.validators if isinstance(v, wtforms.validators.AnyOf)), None),
                "number": isinstance(field, wtforms.IntegerField),
            }
            for name, field in form._fields.items()
        }
    import sys
    from types import ModuleType

    for module, names in {
        "flask_appbuilder": (),
        "flask_appbuilder.fieldwidgets": ("BS3TextFieldWidget",),
        "wtforms": ("IntegerField", "StringField"),
        "wtforms.validators": ("NumberRange", "Optional", "any_of"),
    }.items():
        stub = ModuleType(module)
        for name in names:
            setattr(stub, name, type(name, (Stub,), {}))
        monkeypatch.setitem(sys.modules, module, stub)
    return {
        name: {
            "label": field.args[0],
            "description": field.kwargs["description"],
            "default": field.kwargs["default"],
            "enum": next((v.args[0] for v in field.kwargs["validators"] if type(v).__name__ == "any_of"), None),
            "number": type(field).__name__ == "IntegerField",
        }
        for name, field in forms.connection_form_widgets().items()
    }


def test_both_forms_list_the_same_fields_with_the_same_texts_and_defaults(monkeypatch):
    old = form_of_airflow_2(monkeypatch)
    new = CONNECTION["conn-fields"]
    assert list(old) == list(new)
    for name, field in new.items():
        schema = field["schema"]
        assert old[name]["label"] == field["label"]
        assert old[name]["description"] == field["description"]
        assert old[name]["enum"] == schema.get("enum")
        assert old[name]["number"] == ("integer" in schema["type"])
        # A number of seconds is text on Airflow 2, whose stand-ins for wtforms on 3.0 and 3.1 know no other field for it.
        shown = float(old[name]["default"]) if "number" in schema["type"] else old[name]["default"]
        assert shown == schema["default"], name


def test_both_forms_treat_the_standard_fields_alike():
    behaviour = CONNECTION["ui-field-behaviour"]
    assert {key.replace("-", "_"): value for key, value in behaviour.items()} == forms.ui_field_behaviour()
    assert behaviour["hidden-fields"] == ["schema", "port"]
    assert set(behaviour["relabeling"]) == {"host", "login", "password"}


def test_the_hook_returns_these_forms_and_agrees_with_the_provider_info():
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    assert CapillaryHook.conn_type == CONNECTION["connection-type"] == "capillary"
    assert CapillaryHook.hook_name == CONNECTION["hook-name"]
    assert CapillaryHook.default_conn_name == "capillary_default"
    assert CapillaryHook.conn_name_attr == "capillary_conn_id"
    assert f"{CapillaryHook.__module__}.{CapillaryHook.__qualname__}" == CONNECTION["hook-class-name"]
    assert CapillaryHook.get_ui_field_behaviour() == forms.ui_field_behaviour()


def test_the_hook_s_form_is_that_of_the_provider_info(monkeypatch):
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    form_of_airflow_2(monkeypatch)  # puts the stubs in place where they are needed
    assert list(CapillaryHook.get_connection_form_widgets()) == list(CONNECTION["conn-fields"])


def test_airflow_s_form_service_shows_the_fields():
    """What the connection form of Airflow 3.2 and later is sent."""
    import airflow

    if tuple(map(int, airflow.__version__.split(".")[:2])) < (3, 2):
        pytest.skip("Airflow before 3.2 asks the hook, not the provider info")
    if installed() is None:
        pytest.skip("the package runs from the tree, so Airflow does not discover it")
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (meta,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "capillary"]
    assert meta.hook_name == "Capillary"
    assert meta.standard_fields.host.title == "Base URL"
    assert meta.standard_fields.port.hidden
    assert list(meta.extra_fields) == list(CONNECTION["conn-fields"])
    assert meta.extra_fields["page_size"]["value"] == 1000
