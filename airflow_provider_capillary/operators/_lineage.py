"""Reports of an object that was published or verified: to Airflow's asset events, to its lineage collector, and to OpenLineage.

No report holds a credential. No URI in one holds a connection id; ``path`` in the extra of an asset event does, for ``ObjectStoragePath``.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_provider_capillary._airflow import add_alias_event
from airflow_provider_capillary.export.interval import partition_key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_capillary.export.exporter import Receipt

__all__ = ["asset_uri_of", "emit_inputs", "emit_lineage", "openlineage_of_export", "openlineage_of_verification"]

_ON_EVENTS: Final = ("path", "uri", "start", "end", "events", "failures", "statuses", "bytes", "late_events", "vanished_events")
"""The fields of the receipt that go onto an asset event: enough for a consumer to decide, and to find the object."""

_SAME_STORES: Final = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
"""Schemes under which OpenLineage knows a store by another name."""


def emit_lineage(operator: BaseOperator, context: Context, receipt: Receipt, *, written: str, api_url: str) -> None:
    """Put counts on the events of the task's outlets, and name API and object to the lineage collector.

    An ``Asset`` among the outlets gets the counts, the path and the interval as the event's extra. An ``AssetAlias`` gets an event for the
    asset of :func:`asset_uri_of`, with the same extra; on Airflow 2, 3.0 and the first 3.1, ``statuses`` is JSON text there. A task without
    outlets emits no event: an asset that nobody asked for would appear in everybody's asset graph.

    In a run of a partition, Airflow itself puts the run's partition key on each event, those of an alias included, and the run's partition
    date goes on to the DAGs that the event starts (Airflow 3.2 and later). So nothing is added by ``add_partitions``, which is for a task
    that writes other partitions than that of its run. The key is in the extra, too.

    Without an object (``on_empty="skip"``) the task emits nothing. Airflow makes an event for each outlet of a task that succeeds, and has
    no way to prevent that, so the outlets are removed from this run's copy of the task.

    :param operator: with the user's ``outlets``.
    :param context: Airflow's, or less of it, as in a test.
    :param written: the destination with its templates rendered and its placeholders as the user wrote them.
    :param api_url: where the event logs came from.
    """
    if receipt["uri"] is None:
        operator.outlets = []
        return
    events = context.get("outlet_events")
    if events is not None and operator.outlets:
        from airflow.providers.common.compat.sdk import Asset, AssetAlias

        extra: dict[str, Any] = {name: receipt[name] for name in _ON_EVENTS}
        # For consumers that read only the extra.
        if (partition_key := partition_key_of(context)) is not None:
            extra["partition_key"] = partition_key
        for outlet in operator.outlets:
            if isinstance(outlet, AssetAlias):
                add_alias_event(events[outlet], Asset(_ascii(asset_uri_of(written, receipt["uri"]))), extra)
            else:
                events[outlet].extra.update(extra)
    emit_inputs(operator, [api_url])
    _lineage_collector().add_output_asset(context=operator, uri=_ascii(receipt["uri"]))


def emit_inputs(operator: BaseOperator, uris: list[str]) -> None:
    """Name to the lineage collector what a task has read.

    :param uris: without a connection id.
    """
    for uri in uris:
        _lineage_collector().add_input_asset(context=operator, uri=_ascii(uri))


def _lineage_collector() -> Any:  # noqa: ANN401  # Airflow's HookLineageCollector, of another class in each version
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    return get_hook_lineage_collector()  # type: ignore[no-untyped-call]


def asset_uri_of(written: str, uri: str) -> str:
    """The URI of the asset to which all objects of one task belong.

    That is the folder in front of the first placeholder, without the connection id, so that it is the same in every run: Airflow keeps an
    asset for each URI for good, and schedules DAGs by it. The event's extra says which object and which interval. Where the destination has
    no placeholder, or has it in the name of the bucket, it is the URI of the object. Jinja is rendered before, so
    ``{{ ds }}`` makes an asset for each day.

    :param written: with templates rendered, and placeholders as written.
    :param uri: of the object, without a connection id.

    >>> asset_uri_of("s3://conn@bucket/event_logs/dt={interval_start:%Y-%m-%d}/x.jsonl", "s3://bucket/event_logs/dt=2025-09-17/x.jsonl")
    's3://bucket/event_logs'
    >>> asset_uri_of("/data/{interval_start:%Y}/{interval_start:%m-%d}.jsonl", "file:///data/2025/09-17.jsonl")
    'file:///data'
    >>> asset_uri_of("s3://bucket/event_logs/newest.jsonl", "s3://bucket/event_logs/newest.jsonl")
    's3://bucket/event_logs/newest.jsonl'
    """
    before, placeholder, _ = written.partition("{interval_")
    scheme, separator, rest = before.rpartition("://")
    authority, slash, path = rest.partition("/")
    folder = path.rpartition("/")[0]
    if not placeholder or not slash or not (authority or folder):
        return uri
    bucket = authority.rpartition("@")[2]
    return f"{scheme if separator else 'file'}://{bucket}/{folder}".rstrip("/")


def openlineage_of_export(receipt: Mapping[str, Any] | None, api_url: str | None) -> object:
    """``OperatorLineage``: the API as input; the object as output, with the number of its event logs and its size.

    :param receipt: an export's; ``None`` where the task has failed, which has no output; nor has one that wrote no object.
    :param api_url: ``None`` where the connection was not found.
    """
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet

    outputs = []
    if receipt is not None and receipt["uri"] is not None:
        namespace, name = _openlineage_name(receipt["uri"])
        statistics = OutputStatisticsOutputDatasetFacet(rowCount=receipt["events"], size=receipt["bytes"], fileCount=1)
        outputs.append(OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": statistics}))
    return _operator_lineage([_openlineage_name_of_api(api_url)] if api_url is not None else [], outputs)


def openlineage_of_verification(receipt: Mapping[str, Any] | None, api_url: str | None) -> object:
    """``OperatorLineage``: the API and the object as inputs.

    :param receipt: a verification's; ``None`` where the object could not be verified.
    :param api_url: ``None`` where the connection was not found.
    """
    names = [_openlineage_name_of_api(api_url)] if api_url is not None else []
    return _operator_lineage([*names, *([_openlineage_name(receipt["uri"])] if receipt is not None else [])], [])


def _operator_lineage(inputs: list[tuple[str, str]], outputs: list[Any]) -> object:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found,unused-ignore]  # an optional provider

    datasets = [Dataset(namespace=namespace, name=name) for namespace, name in inputs]
    return OperatorLineage(inputs=datasets, outputs=outputs)  # type: ignore[misc,unused-ignore]  # where it is installed, mypy wants its type


def _openlineage_name_of_api(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}", f"/{path}"


def _openlineage_name(uri: str) -> tuple[str, str]:
    """Namespace and name of an object, as OpenLineage's naming has them."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        return "file", rest
    authority, _, key = rest.partition("/")
    return f"{_SAME_STORES.get(scheme, scheme)}://{authority}", key


def _ascii(uri: str) -> str:
    """The URI with every other character percent-encoded: Airflow takes no other assets."""
    return quote(uri, safe=string.punctuation)
