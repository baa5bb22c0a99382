"""Checks of arguments that the operator and the sensor share.

What is written in the DAG is checked while it is parsed. A template, an XCom and what ``.expand`` passes have their values only in the
run, so every check is made again there.
"""

from __future__ import annotations

import json
from typing import Final

from airflow_provider_capillary.errors import ConfigurationError

__all__ = ["check_conn_id", "is_known", "is_unset", "name_of", "statuses_of"]

_STATUSES_HINT: Final = 'write statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"], or in a template {{ ... | tojson }}; or leave it out for '
_TEXT_HINT: Final = "write it as text in quotes"


def is_unset(value: object) -> bool:
    """Whether an optional argument was left out: ``None``, or what a template makes of an empty value."""
    return value is None or (isinstance(value, str) and not value.strip())


def is_known(value: object) -> bool:
    """Whether a value is final while the DAG is parsed: neither a template nor a reference to what a task will return."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, list | tuple | set):
        return all(is_known(item) for item in value)
    # An ObjectStoragePath has a resolve() too, of another kind.
    return hasattr(value, "protocol") or not hasattr(value, "resolve")


def statuses_of(value: object, *, without: str) -> list[str] | None:
    """The statuses of an argument; ``None`` where it is left out.

    :param value: a list of text, or its JSON text, which is what ``{{ ... | tojson }}`` gives.
    :param without: what is meant where it is left out, for the hint.
    :raises ConfigurationError: it is anything else, or empty.
    """
    if is_unset(value):
        return None
    statuses = value
    if isinstance(value, str):
        try:
            statuses = json.loads(value)
        except ValueError:
            statuses = value
        if statuses is None:
            return None
    shown = f"statuses={value!r:.200} (of type {type(value).__name__})"
    hint = _STATUSES_HINT + without
    if not isinstance(statuses, list | tuple | set | frozenset):
        raise ConfigurationError(f"{shown} is not a list of statuses", hint=hint)
    if not all(isinstance(status, str) and status.strip() for status in statuses):
        raise ConfigurationError(f"{shown} holds something that is no status", hint=hint)
    if not statuses:
        raise ConfigurationError(f"{shown} is empty, so that nothing would match", hint=hint)
    return list(statuses)


def name_of(value: object) -> str | None:
    """The event name of an argument; ``None`` where it is left out.

    :raises ConfigurationError: it is not text.
    """
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"event_name={value!r:.200} (of type {type(value).__name__}) is not text", hint=_TEXT_HINT)
    return None if is_unset(value) else value


def check_conn_id(name: str, value: object, *, optional: bool = False) -> None:
    """Check the id of a connection.

    :raises ConfigurationError: it is not text, or empty and not optional.
    """
    if optional and is_unset(value):
        return
    if not isinstance(value, str):
        raise ConfigurationError(f"{name}={value!r:.200} (of type {type(value).__name__}) is not text", hint=_TEXT_HINT)
    if not value.strip():
        raise ConfigurationError(f"{name}={value!r} is empty", hint="write the id of an Airflow connection, or leave it out")
