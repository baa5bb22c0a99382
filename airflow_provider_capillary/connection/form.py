"""The connection form, made twice from :mod:`~airflow_provider_capillary.connection.fields`.

No field is filled in: an empty field means the default, which the description names. Airflow 3.2 and later send ``***`` in place of a value
whose field they take for a secret's, by a list of words to which every installation may add. A filled field could so be saved as ``***``;
an empty one can't.

Airflow 3.2 and later build the form from the provider info (3.3 from nothing else), Airflow 2.11 to 3.1 from two class methods of the
hook. Airflow 3.0 and 3.1 call these methods with stand-ins for wtforms, which know only string, integer, password and boolean fields with
a label, validators, a description, a default and a widget. So nothing else is used here.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_capillary.connection.fields import EXTRA_FIELDS, STANDARD_FIELDS, ExtraField, Kind

__all__ = ["conn_fields", "connection_form_widgets", "provider_ui_field_behaviour", "ui_field_behaviour"]


def conn_fields() -> dict[str, dict[str, Any]]:
    """``conn-fields`` of the provider info: each extra with label, description and JSON schema."""
    return {field.key: {"label": field.label, "description": _description(field), "schema": _schema(field)} for field in EXTRA_FIELDS}


def provider_ui_field_behaviour() -> dict[str, Any]:
    """``ui-field-behaviour`` of the provider info, whose keys are in kebab case."""
    behaviour = ui_field_behaviour()
    return {"hidden-fields": behaviour["hidden_fields"], "relabeling": behaviour["relabeling"], "placeholders": behaviour["placeholders"]}


def ui_field_behaviour() -> dict[str, Any]:
    """Hidden standard fields, labels and placeholders, for the hook's ``get_ui_field_behaviour``.

    Only Airflow 2 shows the placeholders of extras.
    """
    defaults = {field.key: field.default_text for field in EXTRA_FIELDS if field.default_text}
    return {
        "hidden_fields": [field.name for field in STANDARD_FIELDS if field.label is None],
        "relabeling": {field.name: field.label for field in STANDARD_FIELDS if field.label is not None},
        "placeholders": {field.name: field.placeholder for field in STANDARD_FIELDS if field.placeholder is not None} | defaults,
    }


def connection_form_widgets() -> dict[str, Any]:
    """A wtforms field for each extra by its key, for the hook's ``get_connection_form_widgets``.

    Needs wtforms and Flask-AppBuilder. Airflow 2 depends on them; Airflow 3.0 and 3.1 have stand-ins.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, StringField
    from wtforms.validators import NumberRange, Optional, any_of

    widgets = {}
    for field in EXTRA_FIELDS:
        validators: list[Any] = [Optional()]
        if field.choices:
            validators.append(any_of(list(field.choices)))
        field_class = StringField
        if field.kind is Kind.INTEGER:
            validators.append(NumberRange(min=field.minimum, max=field.maximum))
            field_class = IntegerField
        widgets[field.key] = field_class(
            field.label,
            validators=validators,
            description=_description(field),
            widget=BS3TextFieldWidget(),
        )
    return widgets


def _description(field: ExtraField) -> str:
    return f"{field.description} Default: {field.default_text or 'none'}."


def _schema(field: ExtraField) -> dict[str, Any]:
    match field.kind:
        case Kind.INTEGER:
            json_type = "integer"
        case Kind.SECONDS:
            json_type = "number"
        case _:
            json_type = "string"
    schema: dict[str, Any] = {"type": [json_type, "null"], "default": None}
    if field.choices:
        schema["enum"] = [None, *field.choices]
        schema["values_display"] = {"null": f"{field.default_text} (default)"} | {choice: choice for choice in field.choices}
    if field.examples:
        schema["examples"] = list(field.examples)
    if field.minimum is not None:
        # Seconds have to be above their minimum.
        schema["exclusiveMinimum" if field.kind is Kind.SECONDS else "minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    return schema
