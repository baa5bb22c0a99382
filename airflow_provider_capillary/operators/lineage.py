"""Who else is told of an object: Airflow's asset events, its lineage collector, and OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_capillary.export.run import Receipt

__all__ = ["openlineage_of", "tell"]

_ON_EVENTS: Final = ("path", "start", "end", "events", "failures", "statuses", "late_events")
"""What of the receipt goes onto an asset's event: what a consumer needs to decide, and to find the object."""


def tell(operator: BaseOperator, context: Context, receipt: Receipt) -> None:
    """Put counts on the events of the task's outlets, and name the object to the lineage collector.

    :param operator: whose ``outlets`` the user declared; without any, no asset event is touched.
    :param context: Airflow's, or less of it, as in a test.
    """
    events = context.get("outlet_events")
    if events is not None:
        extra: dict[str, Any] = {name: receipt[name] for name in _ON_EVENTS}
        for outlet in operator.outlets:
            events[outlet].extra.update(extra)
    if receipt["sha256"] is not None:
        from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

        get_hook_lineage_collector().add_output_asset(context=operator, uri=_without_connection(receipt["path"]))  # type: ignore[no-untyped-call]


def openlineage_of(receipt: Receipt | None) -> object:
    """``OperatorLineage`` with the object as its output; without one where none was written."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found,unused-ignore]  # an optional provider

    if receipt is None or receipt["sha256"] is None:
        return OperatorLineage()
    scheme, _, rest = _without_connection(receipt["path"]).partition("://")
    if scheme == "file":
        return OperatorLineage(outputs=[Dataset(namespace="file", name=rest)])
    authority, _, key = rest.partition("/")
    return OperatorLineage(outputs=[Dataset(namespace=f"{scheme}://{authority}", name=key)])


def _without_connection(uri: str) -> str:
    """The URI as the rest of the world knows it: a connection id is of this Airflow alone."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return f"file://{uri}"
    authority, slash, key = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{key}"
