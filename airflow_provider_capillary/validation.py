"""One check for each kind of argument, used by the hook, the operator, the sensor and the triggers.

A value that is written in the DAG is checked while the DAG is parsed. A template, an XCom and an argument of ``.expand`` have their values
only in the run, so the same check is made again there. Each error names the argument, its value and what to write instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

from airflow_provider_capillary.errors import ConfigurationError
from airflow_provider_capillary.timestamps import format_duration

__all__ = ["check_choice", "duration_of", "is_known", "is_template", "is_unset", "statuses_of", "text_of"]

_CHOICES: Final = {
    "on_empty": ("write", "skip", "fail"),
    "on_vanished": ("fail", "keep", "drop"),
    "on_difference": ("fail", "report"),
    "on_no_object": ("fail", "skip"),
}
_STATUSES_HINT: Final = 'write statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"], or in a template {{ ... | tojson }}; or leave it out for '


def is_unset(value: object) -> bool:
    """Whether an optional argument is left out: ``None``, or blank text, which a template makes of an empty value."""
    return value is None or (isinstance(value, str) and not value.strip())


def is_template(text: str) -> bool:
    """Whether Jinja would change the text."""
    return "{{" in text or "{%" in text or "{#" in text


def is_known(value: object) -> bool:
    """Whether a value is final while the DAG is parsed: neither a template nor a reference to the result of a task."""
    if value is None:
        return True
    if isinstance(value, str):
        return not is_template(value)
    if isinstance(value, list | tuple | set):
        return all(is_known(item) for item in value)
    # An ObjectStoragePath has a resolve() too, of another kind.
    return hasattr(value, "protocol") or not hasattr(value, "resolve")


def statuses_of(value: object, *, without: str) -> list[str] | None:
    """The statuses of an argument; ``None`` where it is left out.

    An empty list is an error everywhere: it could mean all statuses or none.

    :param value: a collection of text, or its JSON text, as ``{{ ... | tojson }}`` gives it.
    :param without: what applies where the argument is left out, for the hint.
    :raises ConfigurationError: the value is anything else, or empty.
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
    if not isinstance(statuses, list) and (not isinstance(statuses, Collection) or isinstance(statuses, str | bytes | Mapping)):
        problem = "is not a list of statuses"
    elif not all(_is_text(status) and status.strip() for status in statuses):
        problem = "holds something that is no status"
    elif not statuses:
        problem = "is empty, so that nothing would match"
    else:
        return list(statuses)
    raise ConfigurationError(f"statuses={value!r:.200} (of type {type(value).__name__}) {problem}", hint=_STATUSES_HINT + without)


def text_of(name: str, value: object, *, required: bool = False) -> str | None:
    """The text of an argument, such as a name or a connection id; ``None`` where it is left out.

    :param required: whether leaving the argument out is an error.
    :raises ConfigurationError: the value is not text that UTF-8 can carry, or it is required and left out.
    """
    if isinstance(value, str) and _is_text(value) and value.strip():
        return value
    if is_unset(value) and not required:
        return None
    if not isinstance(value, str) or not _is_text(value):
        raise ConfigurationError(f"{name}={value!r:.200} (of type {type(value).__name__}) is not text", hint="write it as text in quotes")
    kind = "id of an Airflow connection" if name.endswith("conn_id") else "name"
    raise ConfigurationError(f"{name}={value!r} is empty", hint=f"write the {kind} in quotes, or leave {name} out for its default")


def duration_of(
    name: str,
    value: object,
    *,
    least: timedelta = timedelta(),
    most: timedelta | None = None,
    takes_seconds: bool = False,
    example: str = "timedelta(minutes=5)",
    error: type[ConfigurationError] = ConfigurationError,
) -> timedelta:
    """The length of time of an argument.

    :param value: a timedelta.
    :param least: the shortest duration that is allowed.
    :param most: the longest.
    :param takes_seconds: whether a number of seconds is allowed too. Where it is not, a bare ``lookback=1`` is an error, because a day
        could be meant.
    :param example: a value that is allowed, for the hint.
    :param error: the class to raise.
    :raises ConfigurationError: the value is anything else, too short or too long.
    """
    if isinstance(value, timedelta) and least <= value and (most is None or value <= most):
        return value
    duration = value
    if takes_seconds and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        try:
            duration = timedelta(seconds=value)
        except OverflowError:
            duration = timedelta.max if value > 0 else timedelta.min
    hint = f"write {name}={example}"
    if not isinstance(duration, timedelta):
        kinds = "neither a timedelta nor a number of seconds" if takes_seconds else "not a timedelta"
        raise error(f"`{name}` is {value!r:.200} (of type {type(value).__name__}), {kinds}", hint=hint)
    if duration < least:
        bound = "negative" if duration < timedelta() else f"less than {format_duration(least)}"
    elif most is not None and duration > most:
        bound = f"more than {format_duration(most)}"
    else:
        return duration
    raise error(f"`{name}` is {format_duration(duration)}, {bound}", hint=hint)


def check_choice(name: str, value: object) -> None:
    """Check ``on_empty``, ``on_vanished``, ``on_difference`` or ``on_no_object``.

    :raises ConfigurationError: the value is none of its choices.
    """
    if value not in _CHOICES[name]:
        raise ConfigurationError(f"{name}={value!r:.200} is not known", hint=f"use one of {', '.join(_CHOICES[name])}")


def _is_text(value: object) -> bool:
    """Text without half of a surrogate pair, which neither a URL nor an object can hold."""
    return isinstance(value, str) and (value.isascii() or value.encode(errors="replace").decode() == value)
