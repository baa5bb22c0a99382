"""Reads the extras of a connection: each by its kind, under any of its keys. An unknown extra or a wrong value is an error."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from airflow_provider_capillary.connection.fields import DATE_FORMATS, EXTRA_FIELDS, PREFIX, ExtraField, Kind
from airflow_provider_capillary.errors import ConnectionSettingsError

__all__ = ["MASKED", "ConnectionLike", "nearest", "read_extras"]

log = logging.getLogger(__name__)

MASKED: Final = "***"
"""What Airflow shows in place of a value that it hides. Some of its forms save this text."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_OFFSET: Final = re.compile(r"[+-]([01][0-9]|2[0-3]):[0-5][0-9]")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110, section 5.6.2: nothing that could end the header and begin another."""
_PROXY_KEY: Final = re.compile(r"(https?|all)(://[^\s/]+)?|no_proxy")
"""The keys that requests looks up. A proxy under any other key would not be used, and nothing would say so."""
_LONGEST_SHOWN: Final = 60


class ConnectionLike(Protocol):
    """The attributes that Airflow's connections have in common, from 2.11 on."""

    conn_id: Any
    host: Any
    port: Any
    schema: Any
    login: Any
    password: Any

    @property
    def extra_dejson(self) -> Any:  # noqa: ANN401  # should be an object, may be anything
        """The extra, parsed."""


def read_extras(label: str, conn: ConnectionLike) -> dict[str, Any]:
    """The value of each extra by its name; the default where the extra is missing, ``None``, blank or masked.

    An extra may stand under several of its keys if the values are equal: Airflow 2's Test button sends each twice.

    :param label: the name of the connection in errors.
    :raises ConnectionSettingsError: an extra is unknown, of the wrong type, or stands there twice with different values.
    """
    given = _extras_of(label, conn)
    known = {key for field in EXTRA_FIELDS for key in field.keys}
    for key, value in given.items():
        if key not in known:
            # The value is not shown: it may be a credential under a mistyped name.
            keys = sorted(key for key in known if not key.startswith(PREFIX))
            raise ConnectionSettingsError(
                f"{label}: there is no extra {key!r} (its value is of type {type(value).__name__})",
                hint=f"{nearest(key.removeprefix(PREFIX), keys)}remove it or rename it; the extras are {', '.join(keys)}",
            )
    return {field.name: _read_field(label, field, given) for field in EXTRA_FIELDS}


def _extras_of(label: str, conn: ConnectionLike) -> Mapping[str, Any]:
    # Airflow reads text that is not JSON as an empty extra and only logs it: settings that somebody wrote would be ignored.
    text = getattr(conn, "extra", None)
    if isinstance(text, Mapping):
        # A connection that Airflow 3.2 made of a URI. Its own reading fails there, and so masks nothing.
        from airflow.providers.common.compat.sdk import mask_secret

        mask_secret(dict(text))
        return text
    parsed = _parse_json(text) if isinstance(text, str) and text.strip() else {}
    if isinstance(parsed, Mapping):
        parsed = conn.extra_dejson or {}  # Airflow's own reading, which masks what looks like a secret
    if isinstance(parsed, Mapping):
        return parsed
    found = "not valid JSON" if parsed is None else f"JSON of type {type(parsed).__name__}"
    raise ConnectionSettingsError(f"{label}: extra is {found}", hint='make it one JSON object, such as {"page_size": 500}')


def _parse_json(text: str) -> object | None:
    """The parsed text, or ``None``. The parser's exception goes no further: it holds the text, which may hold a secret."""
    try:
        return json.loads(text)  # type: ignore[no-any-return]  # of a type that is known at run time only
    except ValueError:
        return None


def _read_field(label: str, field: ExtraField, given: Mapping[str, Any]) -> Any:  # noqa: ANN401  # Settings gives each its type
    read: dict[str, Any] = {}
    for key in field.keys:
        value = given.get(key)
        if _is_masked(value):
            log.warning(
                "%s: the extra `%s` was saved as ***, which is what Airflow shows in place of a value that it hides; it counts as not set, "
                "so the default is used%s. Set it anew, or remove it.",
                label,
                key,
                f", {field.default_text}" if field.default_text else "",
            )
        elif value is not None and not (isinstance(value, str) and not value.strip()):
            read[key] = _READERS[field.kind](_Extra(label, field, key, value))
    if not read:
        return field.default
    first, *others = read.values()
    if any(other != first for other in others):
        raise ConnectionSettingsError(
            f"{label}: the extras {' and '.join(map(repr, read))} are one setting, and have different values",
            hint="keep the one that is right, and remove the rest",
        )
    return first


def _is_masked(value: object) -> bool:
    """Whether Airflow has replaced the value by ``***``, or every value of an object."""
    if isinstance(value, Mapping):
        return bool(value) and all(map(_is_masked, value.values()))
    return isinstance(value, str) and value.strip() == MASKED


@dataclass(frozen=True)
class _Extra:
    """One extra of one connection, to be read."""

    label: str
    field: ExtraField
    key: str
    value: object

    def refuse(self, expected: str, *, proposal: str = "") -> NoReturn:
        """Raise an error that says what was found, what was expected and how to fix it."""
        found = f"of type {type(self.value).__name__}"
        if not self.field.secret:
            shown = repr(self.value)
            found = f"{shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '...'} ({found})"
        raise ConnectionSettingsError(
            f"{self.label}: extra {self.key!r} is {found}, and has to be {expected}",
            hint=f"{proposal}set it to {expected}, or remove it for the default, {self.field.default_text or 'nothing'}",
        )

    def text(self, expected: str) -> str:
        """The value without blanks around it; an error where it is not text."""
        if not isinstance(self.value, str):
            self.refuse(expected)
        return self.value.strip()


def _read_choice(extra: _Extra) -> str:
    expected = " or ".join(map(repr, extra.field.choices))
    text = extra.text(expected)
    if text not in extra.field.choices:
        extra.refuse(expected, proposal=nearest(text, extra.field.choices))
    return text


def _read_date_format(extra: _Extra) -> str:
    expected = f"one of {', '.join(DATE_FORMATS)}, or a strftime string such as '%Y-%m-%d %H:%M'"
    text = extra.text(expected)
    if text not in DATE_FORMATS and "%" not in text:
        extra.refuse(expected, proposal=nearest(text, DATE_FORMATS))
    return text


def _read_header(extra: _Extra) -> str:
    expected = "the name of an HTTP header"
    text = extra.text(expected)
    if not _HEADER_NAME.fullmatch(text):
        extra.refuse(expected)
    return text


def _read_integer(extra: _Extra) -> int:
    expected = f"a whole number from {extra.field.minimum:g} to {extra.field.maximum:.0f}"
    value = extra.value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number, and some writers add a .0
    if isinstance(value, bool) or not isinstance(value, int) or not _within(extra.field, value):
        extra.refuse(expected)
    return value


def _read_seconds(extra: _Extra) -> float:
    expected = f"a number of seconds above {extra.field.minimum:g}, at most {extra.field.maximum:g}"
    value = extra.value
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    # Python's JSON reads Infinity and NaN; neither is within the limits.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _within(extra.field, value) or value == extra.field.minimum:
        extra.refuse(expected)
    return float(value)


def _within(extra: ExtraField, value: float) -> bool:
    return (extra.minimum is None or value >= extra.minimum) and (extra.maximum is None or value <= extra.maximum)


def _read_zone(extra: _Extra) -> str:
    from zoneinfo import available_timezones

    from airflow_provider_capillary.api.date_formats import zone_of

    expected = "the IANA name of a time zone, such as 'Asia/Kolkata', or an offset such as '+05:30'"
    text = extra.text(expected)
    if not text.startswith(("+", "-")) or _OFFSET.fullmatch(text):
        # A folder of zones is an OSError, a path out of the database a ValueError, an unknown name a KeyError.
        with suppress(OSError, ValueError, KeyError):
            zone_of(text)
            return text
    return extra.refuse(expected, proposal=nearest(text, sorted(available_timezones())))


def _read_verify(extra: _Extra) -> bool | str:
    from pathlib import Path

    expected = "true, false, or the path of an existing file or folder of CA certificates"
    if isinstance(extra.value, bool):
        return extra.value
    text = extra.text(expected)
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    # With a path that does not exist, requests would fail at the first request. Text such as "no" and "0" is refused here too.
    if "\0" in text or not Path(text).exists():
        extra.refuse(expected)
    return text


def _read_proxies(extra: _Extra) -> dict[str, str] | None:
    expected = 'an object of proxy URLs by "http", "https", "all", scheme and host ("https://host"), or "no_proxy"'
    value = _parse_json(extra.value) if isinstance(extra.value, str) else extra.value
    if not isinstance(value, Mapping):
        extra.refuse(expected)
    proxies = {}
    for key, proxy in value.items():
        if not isinstance(key, str) or not _PROXY_KEY.fullmatch(key) or not isinstance(proxy, str) or not proxy.strip():
            extra.refuse(expected)
        proxies[key] = proxy.strip()
    return proxies or None


def nearest(word: str, words: tuple[str, ...] | list[str]) -> str:
    """``did you mean ...?`` with the word of ``words`` that is spelt most like ``word``; empty where none is."""
    by_folded = {known.casefold(): known for known in words}
    found = difflib.get_close_matches(word.casefold(), list(by_folded), n=1)
    return f"did you mean {by_folded[found[0]]!r}? " if found else ""


_READERS: Final[dict[Kind, Callable[[_Extra], Any]]] = {
    Kind.CHOICE: _read_choice,
    Kind.DATE_FORMAT: _read_date_format,
    Kind.HEADER: _read_header,
    Kind.INTEGER: _read_integer,
    Kind.PROXIES: _read_proxies,
    Kind.SECONDS: _read_seconds,
    Kind.VERIFY: _read_verify,
    Kind.ZONE: _read_zone,
}
