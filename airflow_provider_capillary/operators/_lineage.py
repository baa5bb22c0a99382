"""Who else is told of an object: Airflow's asset events, its lineage collector, and OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_capillary.export.receipt import Receipt

__all__ = ["openlineage_of", "tell"]

_ON_EVENTS: Final = ("path", "uri", "start", "end", "events", "failures", "statuses", "late_events", "vanished_events")
"""What of the receipt goes onto an asset's event: what a consumer needs to decide, and to find the object."""


def tell(operator: BaseOperator, context: Context, receipt: Receipt) -> None:
    """Put counts on the events of the task's outlets, and name the object to the lineage collector.

    Where there is no object (``on_empty="skip"``), the task emits no asset event: Airflow makes one for each outlet that the task has
    when it succeeds, and nothing else keeps it from that, so the outlets are taken from this run's copy of the task.

    :param operator: whose ``outlets`` the user declared; without any, no asset event is touched.
    :param context: Airflow's, or less of it, as in a test.
    """
    if receipt["uri"] is None:
        operator.outlets = []
        return
    events = context.get("outlet_events")
    if events is not None:
        extra: dict[str, Any] = {name: receipt[name] for name in _ON_EVENTS}
        for outlet in operator.outlets:
            events[outlet].extra.update(extra)
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    get_hook_lineage_collector().add_output_asset(context=operator, uri=receipt["uri"])  # type: ignore[no-untyped-call]


def openlineage_of(receipt: Receipt | None) -> object:
    """``OperatorLineage`` with the object as its output; without one where none was written."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found,unused-ignore]  # an optional provider

    if receipt is None or receipt["uri"] is None:
        return OperatorLineage()
    scheme, _, rest = receipt["uri"].partition("://")
    if scheme == "file":
        return OperatorLineage(outputs=[Dataset(namespace="file", name=rest)])
    authority, _, key = rest.partition("/")
    return OperatorLineage(outputs=[Dataset(namespace=f"{scheme}://{authority}", name=key)])
