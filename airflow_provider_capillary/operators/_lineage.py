"""Reports of a published object: to Airflow's asset events, to its lineage collector, and to OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_capillary.export.exporter import Receipt

__all__ = ["emit_lineage", "openlineage_of"]

_ON_EVENTS: Final = ("path", "uri", "start", "end", "events", "failures", "statuses", "late_events", "vanished_events")
"""The fields of the receipt that go onto an asset event: enough for a consumer to decide, and to find the object."""


def emit_lineage(operator: BaseOperator, context: Context, receipt: Receipt) -> None:
    """Put counts on the events of the task's outlets, and name the object to the lineage collector.

    Without an object (``on_empty="skip"``) the task emits no asset event. Airflow makes an event for each outlet of a task that succeeds,
    and has no way to prevent that, so the outlets are removed from this run's copy of the task.

    :param operator: with the user's ``outlets``; without any, no asset event is touched.
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
    """``OperatorLineage`` with the object as its output, or without an output where no object was written."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found,unused-ignore]  # an optional provider

    if receipt is None or receipt["uri"] is None:
        return OperatorLineage()
    scheme, _, rest = receipt["uri"].partition("://")
    if scheme == "file":
        return OperatorLineage(outputs=[Dataset(namespace="file", name=rest)])
    authority, _, key = rest.partition("/")
    return OperatorLineage(outputs=[Dataset(namespace=f"{scheme}://{authority}", name=key)])
