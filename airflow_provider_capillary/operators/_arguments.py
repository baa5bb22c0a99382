"""What the operator was given, checked as soon as it is known.

What is written in the DAG is checked while it is parsed. A template, an XCom and what ``.expand`` passes have their values only in the
run, so every check is made again there.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import ConfigurationError, DestinationError, IntervalError
from airflow_provider_capillary.export.placeholders import check_placeholders, zone_named
from airflow_provider_capillary.validation import check_conn_id, is_known, is_unset, name_of, statuses_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

__all__ = ["check_arguments", "with_connection"]

_ON_EMPTY: Final = ("write", "skip", "fail")
_ON_VANISHED: Final = ("fail", "keep", "drop")
_MILLISECOND: Final = timedelta(milliseconds=1)


def check_arguments(operator: CapillaryEventLogsToObjectStorageOperator, *, rendered: bool = False) -> None:
    """Check each argument that has its value.

    :param operator: with its arguments assigned.
    :param rendered: whether templates have been rendered, so that every value is final.
    :raises ConfigurationError: names the argument, its value and the hint.
    """
    if rendered:
        operator.raise_template_errors()
    if rendered or isinstance(operator.destination, str | PurePath) or is_known(operator.destination):
        _check_destination(operator.destination, rendered=rendered)
        check_placeholders(operator.destination, rendered=rendered)
    if rendered or is_known(operator.path_timezone):
        zone_named(operator.path_timezone)
    if rendered or (is_known(operator.destination) and is_known(operator.object_storage_conn_id)):
        with_connection(operator.destination, operator.object_storage_conn_id)
    _check_interval(operator.start, operator.end, rendered=rendered)
    _check_duration("lookback", operator.lookback, least=_MILLISECOND, optional=True)
    _check_duration("partition_duration", operator.partition_duration, least=_MILLISECOND, optional=True)
    _check_duration("settle", operator.settle, least=timedelta(), optional=False)
    if rendered or is_known(operator.statuses):
        statuses_of(operator.statuses, without="all")
    if rendered or is_known(operator.event_name):
        name_of(operator.event_name)
    for name in ("object_storage_conn_id", "capillary_conn_id"):
        if rendered or is_known(getattr(operator, name)):
            check_conn_id(name, getattr(operator, name), optional=name != "capillary_conn_id")
    _check_choice("on_empty", operator.on_empty, _ON_EMPTY)
    _check_choice("on_vanished", operator.on_vanished, _ON_VANISHED)


def with_connection(destination: ObjectStoragePath | str, conn_id: str | None) -> ObjectStoragePath | str:
    """The destination, with the connection in its URI.

    By text alone: to make an ``ObjectStoragePath`` looks up its connection on Airflow 3.3.

    :raises DestinationError: the URI names another connection, or the id can't stand in a URI.

    >>> with_connection("s3://bucket/events.jsonl", "my_aws_conn")
    's3://my_aws_conn@bucket/events.jsonl'
    """
    if not isinstance(conn_id, str) or is_unset(conn_id):
        return destination  # what is no text at all, another check names
    if re.search(r"[/?#@:\s]", conn_id):
        raise DestinationError(
            f"object_storage_conn_id={conn_id!r} holds a character that ends the connection's id in a URI (one of / ? # @ : or a space)",
            hint="give the connection another id; ObjectStoragePath knows it by the URI alone",
        )
    scheme, separator, rest = str(destination).partition("://")
    if not separator or scheme in ("file", "local"):
        return destination
    in_uri, separator, _ = rest.partition("/")[0].rpartition("@")
    if not separator:
        return f"{scheme}://{conn_id}@{rest}"
    if in_uri != conn_id:
        raise DestinationError(
            f"destination={str(destination)!r} names the connection {in_uri!r}, and object_storage_conn_id={conn_id!r} another",
            hint="leave out one of the two",
        )
    return destination


def _check_destination(value: object, *, rendered: bool) -> None:
    from airflow_provider_capillary.export.destination import EXTRAS, check_destination
    from airflow_provider_capillary.export.formats import format_of

    scheme = check_destination(value)
    if scheme is not None and scheme not in EXTRAS:
        # Rare enough to ask Airflow for its providers already while the DAG is parsed; the well-known ones are asked for in the run.
        from airflow_provider_capillary.export.filesystems import require_filesystem

        require_filesystem(scheme, str(value))
    # What stands before a template is not looked at, what stands behind it is the ending.
    if rendered or not str(value).rstrip().endswith(("}}", "%}")):
        format_of(value)


def _check_interval(start: object, end: object, *, rendered: bool) -> None:
    from airflow_provider_capillary.export.interval import resolve_interval
    from airflow_provider_capillary.timestamps import parse_timestamp

    known = {name: value for name, value in (("start", start), ("end", end)) if rendered or is_known(value)}
    given = {name: value for name, value in known.items() if not is_unset(value)}
    if len(known) > len(given) or len(given) > 1:
        if given:
            resolve_interval({}, start=start, end=end)
        return
    for name, value in given.items():
        parse_timestamp(value, name)


def _check_duration(name: str, value: object, *, least: timedelta, optional: bool) -> None:
    if optional and value is None:
        return
    if not isinstance(value, timedelta):
        raise IntervalError(
            f"`{name}` is {value!r} (of type {type(value).__name__}), not a timedelta", hint=f"write {name}=timedelta(minutes=5)"
        )
    if value < least:
        from airflow_provider_capillary.timestamps import format_duration

        what = "negative" if value < timedelta() else "less than a millisecond"
        raise IntervalError(f"`{name}` is {format_duration(value)}, {what}", hint=f"write {name}=timedelta(minutes=5)")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is not known", hint=f"use one of {', '.join(choices)}")
