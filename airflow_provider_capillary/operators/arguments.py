"""What the operator was given, checked as soon as it is known.

What is written in the DAG is checked while it is parsed. A template, an XCom and what ``.expand`` passes have their values only in the
run, so every check is made again there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import ConfigurationError, DestinationError, IntervalError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

__all__ = ["check_arguments", "left_out", "with_connection"]

_ON_EMPTY: Final = ("write", "skip", "fail")
_ON_VANISHED: Final = ("fail", "keep", "drop")
_LOCAL_SCHEMES: Final = ("file", "local")
_MILLISECOND: Final = timedelta(milliseconds=1)


def check_arguments(operator: CapillaryEventLogsToObjectStorageOperator, *, rendered: bool = False) -> None:
    """Check each argument that has its value.

    :param operator: with its arguments assigned.
    :param rendered: whether templates have been rendered, so that every value is final.
    :raises ConfigurationError: names the argument, its value and the cure.
    """
    if rendered or isinstance(operator.destination, str) or _is_known(operator.destination):
        _check_destination(operator.destination, rendered=rendered)
    if rendered or (_is_known(operator.destination) and _is_known(operator.object_storage_conn_id)):
        with_connection(operator.destination, operator.object_storage_conn_id)
    _check_interval(operator.start, operator.end, rendered=rendered)
    _check_duration("lookback", operator.lookback, least=_MILLISECOND, optional=True)
    _check_duration("partition_duration", operator.partition_duration, least=_MILLISECOND, optional=True)
    _check_duration("settle", operator.settle, least=timedelta(), optional=False)
    if rendered or _is_known(operator.statuses):
        _check_statuses(operator.statuses)
    for name in ("event_name", "object_storage_conn_id", "capillary_conn_id"):
        _check_text(name, getattr(operator, name), rendered=rendered, optional=name != "capillary_conn_id")
    for name, known_values in (("on_empty", _ON_EMPTY), ("on_vanished", _ON_VANISHED)):
        if (value := getattr(operator, name)) not in known_values:
            raise ConfigurationError(f"{name}={value!r} is not known", cure=f"use one of {', '.join(known_values)}")


def left_out(value: object) -> bool:
    """Whether an optional argument was left out: ``None``, or what a template makes of an empty value."""
    return value is None or (isinstance(value, str) and not value.strip())


def with_connection(destination: ObjectStoragePath | str, conn_id: str | None) -> ObjectStoragePath | str:
    """The destination, with the connection in its URI.

    By text alone: to make an ``ObjectStoragePath`` looks up its connection on Airflow 3.3.

    :raises DestinationError: the URI names another connection.

    >>> with_connection("s3://bucket/events.jsonl", "my_aws_conn")
    's3://my_aws_conn@bucket/events.jsonl'
    """
    if conn_id is None or left_out(conn_id):
        return destination
    scheme, separator, rest = str(destination).partition("://")
    if not separator or scheme in _LOCAL_SCHEMES:
        return destination
    in_uri, separator, _ = rest.partition("/")[0].rpartition("@")
    if not separator:
        return f"{scheme}://{conn_id}@{rest}"
    if in_uri != conn_id:
        raise DestinationError(
            f"destination={str(destination)!r} names the connection {in_uri!r}, and object_storage_conn_id={conn_id!r} another",
            cure="leave out one of the two",
        )
    return destination


def _is_known(value: object) -> bool:
    """Whether a value is final while the DAG is parsed: neither a template nor a reference to what a task will return."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    # An ObjectStoragePath has a resolve() too, of another kind.
    return hasattr(value, "protocol") or not hasattr(value, "resolve")


def _check_destination(value: object, *, rendered: bool) -> None:
    if not isinstance(value, str) and not hasattr(value, "protocol"):
        raise DestinationError(
            f"destination={value!r} (of type {type(value).__name__}) is neither an ObjectStoragePath nor its URI",
            cure="write it as in s3://my_conn@bucket/events/2025-09-18.jsonl.gz or file:///data/events/2025-09-18.jsonl.gz",
        )
    from airflow_provider_capillary.export.formats import format_of

    # What stands before a template is not looked at, what stands behind it is the ending.
    if rendered or not str(value).rstrip().endswith(("}}", "%}")):
        format_of(value)


def _check_interval(start: object, end: object, *, rendered: bool) -> None:
    from airflow_provider_capillary.export.interval import resolve_interval
    from airflow_provider_capillary.reading.instants import parse_instant

    known = {name: value for name, value in (("start", start), ("end", end)) if rendered or _is_known(value)}
    given = {name: value for name, value in known.items() if not left_out(value)}
    if len(known) > len(given) or len(given) > 1:
        if given:
            resolve_interval({}, start=start, end=end)
        return
    for name, value in given.items():
        parse_instant(value, name)


def _check_duration(name: str, value: object, *, least: timedelta, optional: bool) -> None:
    if optional and value is None:
        return
    if not isinstance(value, timedelta):
        raise IntervalError(
            f"`{name}` is {value!r} (of type {type(value).__name__}), not a timedelta", cure=f"write {name}=timedelta(minutes=5)"
        )
    if value < least:
        what = "negative" if value < timedelta() else "less than a millisecond"
        raise IntervalError(f"`{name}` is {value!r}, {what}", cure=f"write {name}=timedelta(minutes=5)")


def _check_statuses(value: object) -> None:
    if value is None:
        return
    cure = 'write a list such as statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"], or leave it out for all'
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(status, str) for status in value):
        raise ConfigurationError(f"statuses={value!r} (of type {type(value).__name__}) is not a list of statuses", cure=cure)
    if not value:
        raise ConfigurationError(f"statuses={value!r} is empty, so that nothing would be kept", cure=cure)


def _check_text(name: str, value: object, *, rendered: bool, optional: bool) -> None:
    if not rendered and not _is_known(value):
        return
    if optional and value is None:
        return
    if not isinstance(value, str):
        raise ConfigurationError(f"{name}={value!r} (of type {type(value).__name__}) is not text", cure="write it as text in quotes")
    if not optional and not value.strip():
        raise ConfigurationError(f"{name}={value!r} is empty", cure="write the id of an Airflow connection, or leave it out")
