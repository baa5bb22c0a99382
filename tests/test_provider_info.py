"""What the package tells Airflow about itself, against the schema of the Airflow that is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from airflow_provider_capillary import __version__
from airflow_provider_capillary.connection import form as form_module
from airflow_provider_capillary.connection.fields import EXTRA_FIELDS
from airflow_provider_capillary.connection.settings import Settings
from airflow_provider_capillary.get_provider_info import get_provider_info

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
    assert [field.key for field in EXTRA_FIELDS] == list(CONNECTION["conn-fields"])
    extras = {field.name for field in EXTRA_FIELDS}
    assert set(Settings.__dataclass_fields__) == extras | {"base_url", "login", "password"}


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


def test_the_names_of_extras_that_are_public_are_read():
    """Connections out there use them."""
    public = "auth_type password_format oauth_header date_format timezone page_size requests_per_minute connect_timeout read_timeout verify"
    assert [field.name for field in EXTRA_FIELDS] == [*public.split(), "proxies"]


def test_no_field_comes_filled_in_and_each_default_is_told():
    for field in EXTRA_FIELDS:
        shown = CONNECTION["conn-fields"][field.key]
        assert shown["schema"]["default"] is None, "Airflow 3.2 and later would mask it, under any name that somebody has it mask"
        assert shown["description"].endswith(f" Default: {field.default_text or 'none'}.")
        assert CONNECTION["ui-field-behaviour"]["placeholders"].get(field.key, "") == field.default_text


def test_the_default_that_is_told_is_the_one_that_is_used():
    from airflow.providers.common.compat.sdk import Connection

    def settings(**extras):
        return Settings.from_connection(
            Connection(conn_id="cap", conn_type="capillary", host="a.example", login="u", password="p", extra=json.dumps(extras))
        )

    as_the_form_saves_it = {name: field["schema"]["default"] for name, field in CONNECTION["conn-fields"].items()}
    as_it_is_told = {field.key: field.default_text for field in EXTRA_FIELDS}
    assert settings() == settings(**as_the_form_saves_it) == settings(**as_it_is_told)
    assert {value for value in as_it_is_told.values() if not value} == {""}
    assert settings() != settings(page_size=5)


def test_each_choice_is_offered_and_nothing_first():
    choices = {field.key: list(field.choices) for field in EXTRA_FIELDS if field.choices}
    assert choices == {"auth_type": ["basic", "oauth"], "basic_format": ["md5", "plain"]}
    for key, offered in choices.items():
        schema = CONNECTION["conn-fields"][key]["schema"]
        assert schema["enum"] == [None, *offered]
        assert schema["values_display"] == {"null": f"{offered[0]} (default)", **{choice: choice for choice in offered}}


class Stub:
    """A field or validator that remembers what it was made of, for an Airflow without wtforms."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


def form_of_airflow_2(monkeypatch):
    """Name to label, description, default and choices, out of wtforms' own fields where Airflow brings them."""
    if importlib.util.find_spec("flask_appbuilder") and importlib.util.find_spec("wtforms"):
        import wtforms

        form = type("Form", (wtforms.Form,), form_module.connection_form_widgets())()
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
            "default": field.kwargs.get("default"),
            "enum": next((v.args[0] for v in field.kwargs["validators"] if type(v).__name__ == "any_of"), None),
            "number": type(field).__name__ == "IntegerField",
        }
        for name, field in form_module.connection_form_widgets().items()
    }


def test_both_forms_list_the_same_fields_with_the_same_texts_and_defaults(monkeypatch):
    old = form_of_airflow_2(monkeypatch)
    new = CONNECTION["conn-fields"]
    assert list(old) == list(new)
    for name, field in new.items():
        schema = field["schema"]
        assert old[name]["label"] == field["label"]
        assert old[name]["description"] == field["description"]
        assert [None, *old[name]["enum"]] == schema["enum"] if old[name]["enum"] else "enum" not in schema
        assert old[name]["number"] == ("integer" in schema["type"])
        assert old[name]["default"] in (None, ""), name


def test_both_forms_treat_the_standard_fields_alike():
    behaviour = CONNECTION["ui-field-behaviour"]
    assert {key.replace("-", "_"): value for key, value in behaviour.items()} == form_module.ui_field_behaviour()
    assert behaviour["hidden-fields"] == ["schema", "port"]
    assert set(behaviour["relabeling"]) == {"host", "login", "password"}
    assert behaviour["relabeling"].keys() < behaviour["placeholders"].keys()


def test_the_hook_returns_these_forms_and_agrees_with_the_provider_info():
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    assert CapillaryHook.conn_type == CONNECTION["connection-type"] == "capillary"
    assert CapillaryHook.hook_name == CONNECTION["hook-name"]
    assert CapillaryHook.default_conn_name == "capillary_default"
    assert CapillaryHook.conn_name_attr == "capillary_conn_id"
    assert f"{CapillaryHook.__module__}.{CapillaryHook.__qualname__}" == CONNECTION["hook-class-name"]
    assert CapillaryHook.get_ui_field_behaviour() == form_module.ui_field_behaviour()


def test_the_hook_s_form_is_that_of_the_provider_info(monkeypatch):
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    form_of_airflow_2(monkeypatch)  # puts the stubs in place where they are needed
    assert list(CapillaryHook.get_connection_form_widgets()) == list(CONNECTION["conn-fields"])


def served_form(monkeypatch, *sensitive):
    """What the connection form of Airflow 3.2 and later is sent, with further names of secrets in Airflow's configuration."""
    import airflow

    if tuple(map(int, airflow.__version__.split(".")[:2])) < (3, 2):
        pytest.skip("Airflow before 3.2 asks the hook, not the provider info")
    if installed() is None:
        pytest.skip("the package runs from the tree, so Airflow does not discover it")
    from airflow._shared.secrets_masker import _secrets_masker
    from airflow.api_fastapi.core_api.routes.ui.connections import connections_router
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.include_router(connections_router)
    for dependant in connections_router.routes[0].dependant.dependencies:
        app.dependency_overrides[dependant.call] = lambda: None
    app.dependency_overrides[get_user] = lambda: None
    masker = _secrets_masker()
    monkeypatch.setattr(masker, "sensitive_variables_fields", [*masker.sensitive_variables_fields, *sensitive])
    # Airflow 3.2 stands in for packages that are not installed, and would stumble over what it left there the last time.
    for name in [name for name, module in sys.modules.items() if isinstance(module, Mock)]:
        monkeypatch.delitem(sys.modules, name)
    HookMetaService.hook_meta_data.cache_clear()
    try:
        answer = TestClient(app).get("/connections/hook_meta")
    finally:
        HookMetaService.hook_meta_data.cache_clear()
    assert answer.status_code == 200, answer.text
    (form,) = [form for form in answer.json() if form["connection_type"] == "capillary"]
    return form


def test_airflow_serves_the_form(monkeypatch):
    form = served_form(monkeypatch)
    assert form["hook_name"] == "Capillary"
    assert form["standard_fields"]["host"]["title"] == "Base URL"
    assert form["standard_fields"]["port"]["hidden"]
    assert list(form["extra_fields"]) == list(CONNECTION["conn-fields"])
    assert form["extra_fields"]["auth_type"]["schema"]["enum"] == [None, "basic", "oauth"]


# No further name of a secret in Airflow's configuration, and every name of the form's fields.
@pytest.mark.parametrize("sensitive", [(), tuple(field.key for field in EXTRA_FIELDS)], ids=["as it comes", "every name configured"])
def test_airflow_serves_no_field_masked(monkeypatch, sensitive):
    form = served_form(monkeypatch, *sensitive)
    assert {field["value"] for field in form["extra_fields"].values()} == {None}
    # One that has a default would arrive masked: the check can fail.
    monkeypatch.setattr(form_module, "_schema", lambda field: {"type": ["string", "null"], "default": field.default_text})
    fields = form_module.conn_fields()
    from airflow.api_fastapi.core_api.datamodels.connections import ConnectionHookMetaData

    served = {name: {"value": field["schema"]["default"], "schema": field["schema"]} for name, field in fields.items()}
    shown = ConnectionHookMetaData.redact_extra_fields({"password_format": served["basic_format"], **served})
    assert {name for name, field in shown.items() if field["value"] == "***"} == {*sensitive, "password_format", "proxies"}


def test_no_name_in_the_form_is_one_that_airflow_masks_but_for_secrets():
    """With Airflow's own list of names; what is masked vanishes from every log, and from the form of a connection that is edited.

    The list of Airflow 3.0 lacks ``proxies``.
    """
    from airflow.providers.common.compat.sdk import redact

    masked = {
        field.key
        for field in EXTRA_FIELDS
        for key in (field.key, f"extra__capillary__{field.key}")
        if redact({key: "value"})[key] != "value"
    }
    secret = {field.key for field in EXTRA_FIELDS if field.secret}
    assert secret == {"proxies"}
    assert masked == (set() if importlib.metadata.version("apache-airflow").startswith("3.0.") else secret)
