"""The provider info that Airflow asks for. Every ``airflow`` command calls it, so this module imports nothing at its top."""

from __future__ import annotations

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, object]:
    """Name, connection type with its form, hooks, operators, links, sensor and triggers, by Airflow's ``provider_info.schema.json``.

    ``package-name`` must be the name of the distribution; otherwise every ``airflow`` command fails.
    """
    from airflow_provider_capillary import __version__
    from airflow_provider_capillary.connection.fields import CONNECTION_TYPE, HOOK_CLASS, HOOK_NAME
    from airflow_provider_capillary.connection.form import conn_fields, provider_ui_field_behaviour

    integration = "Capillary"
    return {
        "package-name": "airflow-provider-capillary",
        "name": "Capillary",
        "description": "Capillary event logs: each run's interval complete in object storage, or a task that fails and says why.",
        "versions": [__version__],
        "integrations": [{"integration-name": integration, "tags": ["service"]}],
        "hooks": [{"integration-name": integration, "python-modules": ["airflow_provider_capillary.hooks.capillary"]}],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": ["airflow_provider_capillary.operators.capillary", "airflow_provider_capillary.operators.verification"],
            }
        ],
        "sensors": [{"integration-name": integration, "python-modules": ["airflow_provider_capillary.sensors.capillary"]}],
        "triggers": [{"integration-name": integration, "python-modules": ["airflow_provider_capillary.triggers.capillary"]}],
        "extra-links": ["airflow_provider_capillary.operators._links.ExportedObjectLink"],
        "cli": ["airflow_provider_capillary.commands.airflow_commands"],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": HOOK_CLASS,
                "hook-name": HOOK_NAME,
                "ui-field-behaviour": provider_ui_field_behaviour(),
                "conn-fields": conn_fields(),
            }
        ],
    }
