"""Checks of the operators' arguments: once while the DAG is parsed, and the templated ones once more in the run.

While the DAG is parsed, a template, an XCom and what ``.expand`` passes have no value yet; they are checked in the run alone.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_capillary.errors import IntervalError
from airflow_provider_capillary.export.destination import EXTRAS, check_destination, parse_destination, with_connection
from airflow_provider_capillary.export.formats import require_format
from airflow_provider_capillary.export.placeholders import check_placeholders, fill_placeholders, zone_named
from airflow_provider_capillary.export.plain_destinations import is_plain
from airflow_provider_capillary.validation import check_choice, duration_of, is_known, is_unset, statuses_of, text_of

if TYPE_CHECKING:
    from airflow_provider_capillary.export.destination import Destination
    from airflow_provider_capillary.export.interval import Interval
    from airflow_provider_capillary.operators._object_operator import ObjectOperator
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
    from airflow_provider_capillary.redaction.apply import Redactor

__all__ = ["RunArguments", "check_as_written", "check_place_as_written", "check_rendered", "destination_of_run"]

_MILLISECOND: Final = timedelta(milliseconds=1)


class RunArguments(NamedTuple):
    """The templated arguments of one run of the export operator, checked and in their final form."""

    interval: Interval
    destination: Destination
    event_name: str | None
    statuses: list[str] | None
    redact: Redactor | None


def check_as_written(operator: CapillaryEventLogsToObjectStorageOperator) -> None:
    """While the DAG is parsed, check each argument of the export operator that has its value already.

    :param operator: with its arguments assigned.
    :raises ConfigurationError: names the argument, its value and how to fix it.
    """
    check_place_as_written(operator)
    # An argument that has its default costs no more than the look at it.
    if (statuses := operator.statuses) is not None and is_known(statuses):
        statuses_of(statuses, without="all")
    _check_redact(operator.redact)
    if (event_name := operator.event_name) is not None and is_known(event_name):
        text_of("event_name", event_name)
    # The rest is never templated.
    duration_of("settle", operator.settle, error=IntervalError)
    check_choice("on_empty", operator.on_empty)
    check_choice("on_vanished", operator.on_vanished)


def check_place_as_written(operator: ObjectOperator) -> None:
    """While the DAG is parsed, check the arguments that name an object, its interval and the connections, where they have their values.

    :param operator: with its arguments assigned.
    :raises ConfigurationError: names the argument, its value and how to fix it.
    """
    destination = operator.destination
    if isinstance(destination, str | PurePath) or is_known(destination):
        _check_destination(operator)
    if operator.start is not None or operator.end is not None:
        _check_interval(operator.start, operator.end)
    if (store_conn_id := operator.object_storage_conn_id) is not None and is_known(store_conn_id):
        text_of("object_storage_conn_id", store_conn_id)
    if (conn_id := operator.capillary_conn_id) != "capillary_default" and is_known(conn_id):
        text_of("capillary_conn_id", conn_id, required=True)
    if operator.path_timezone != "UTC":
        zone_named(operator.path_timezone)
    for name, duration in (("lookback", operator.lookback), ("partition_duration", operator.partition_duration)):
        if duration is not None:
            duration_of(name, duration, least=_MILLISECOND, example="timedelta(days=1)", error=IntervalError)


def check_rendered(operator: CapillaryEventLogsToObjectStorageOperator, interval: Interval) -> RunArguments:
    """In the run, check each templated argument of the export operator.

    :param operator: with its templates rendered.
    :param interval: of the run.
    :raises ConfigurationError: names the argument, its value and how to fix it.
    """
    return RunArguments(
        interval=interval,
        destination=destination_of_run(operator, interval),
        event_name=text_of("event_name", operator.event_name),
        statuses=statuses_of(operator.statuses, without="all"),
        redact=_redactor_of(operator.redact),
    )


def destination_of_run(operator: ObjectOperator, interval: Interval | None) -> Destination:
    """In the run, check the destination and the connection ids.

    :param operator: with its templates rendered.
    :param interval: of the run; ``None`` only where the destination has no placeholders.
    :raises ConfigurationError: names the argument, its value and how to fix it.
    """
    for name in ("object_storage_conn_id", "capillary_conn_id"):
        text_of(name, getattr(operator, name), required=name == "capillary_conn_id")
    # Filled in already where Airflow has rendered the task; a test may execute it without rendering.
    filled = operator.destination if interval is None else fill_placeholders(operator.destination, interval, operator.path_timezone)
    destination = parse_destination(filled, operator.object_storage_conn_id)
    require_format(destination.ending)
    return destination


def _check_redact(redact: object) -> None:
    if redact is not None:
        from airflow_provider_capillary.redaction.rules import parse_redact

        parse_redact(redact, rendered=False)


def _redactor_of(redact: object) -> Redactor | None:
    if redact is None:
        return None
    from airflow_provider_capillary.redaction.apply import Redactor
    from airflow_provider_capillary.redaction.key import load_key
    from airflow_provider_capillary.redaction.rules import parse_redact

    rule = parse_redact(redact)
    return None if rule is None else Redactor(rule, load_key(rule.key) if rule.key else None)


def _check_destination(operator: ObjectOperator) -> None:
    destination, conn_id = operator.destination, operator.object_storage_conn_id
    if not isinstance(destination, str) or not is_plain(destination):
        scheme = check_destination(destination)
        if scheme is not None and scheme not in EXTRAS:
            # An unknown scheme is rare enough to look through Airflow's providers while the DAG is parsed; for the others, the run does.
            from airflow_provider_capillary.export.filesystems import require_filesystem

            require_filesystem(scheme, str(destination))
        check_placeholders(destination, rendered=False)
    if conn_id is not None and is_known(destination) and is_known(conn_id):
        with_connection(destination, conn_id)


def _check_interval(start: object, end: object) -> None:
    from airflow_provider_capillary.export.interval import explicit_interval
    from airflow_provider_capillary.timestamps import parse_timestamp

    if is_known(start) and is_known(end):
        explicit_interval(start, end)
        return
    for name, value in (("start", start), ("end", end)):
        if is_known(value) and not is_unset(value):
            parse_timestamp(value, name)
