"""A ``capillary`` connection, read strictly.

Nothing is guessed and nothing is ignored: a field that is missing, an extra that nobody knows, a value that could be meant in two
ways is a :class:`~airflow_provider_capillary.errors.ConnectionSettingsError` that names connection, field and cure. Connections
that are set as URIs carry only strings, so ``"1000"`` is read as a number and ``"false"`` as a truth value.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn, Protocol, Self

from airflow_provider_capillary.errors import ConnectionSettingsError
from airflow_provider_capillary.hooks.fields import DATE_FORMATS, EXTRA_FIELDS, ExtraField, Kind

__all__ = ["ConnectionLike", "Settings"]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_OFFSET: Final = re.compile(r"[+-]([01][0-9]|2[0-3]):[0-5][0-9]")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110, section 5.6.2: nothing that could end the header and begin another."""
_PROXY_KEY: Final = re.compile(r"(https?|all)(://[^\s/]+)?|no_proxy")
"""The keys that requests looks up; under any other one, a proxy would be silently unused."""
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
    def extra_dejson(self) -> Any:  # noqa: ANN401  # an object is what it should be, anything is what it may be
        """The extra, parsed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the connection says, checked and typed. Neither password nor proxies are in the ``repr``.

    :param base_url: scheme, host, port and path prefix, without a slash at the end, credentials, query or fragment.
    :param login: the till user name, or the OAuth client key.
    :param password: the password's md5, the password itself (``password_format``), or the OAuth client secret.
    :param timezone: the zone in which the API reads dates without an offset: an IANA name or ``±HH:MM``.
    :param connect_timeout: seconds; more than zero, as is ``read_timeout``.
    :param verify: as in requests: whether to verify TLS, or the path of CA certificates.
    :param proxies: as in requests.
    """

    conn_id: str
    base_url: str
    login: str
    password: str = field(repr=False)
    auth_type: Literal["basic", "oauth"]
    password_format: Literal["md5", "plain"]
    oauth_header: str
    date_format: str
    timezone: str
    page_size: int
    requests_per_minute: int
    connect_timeout: float
    read_timeout: float
    verify: bool | str
    proxies: dict[str, str] | None = field(repr=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled.

        :raises TypeError: always; a pickle would hold the credential.
        """
        raise TypeError("Settings hold a credential and are not pickled; pickle the hook, which looks the connection up again")

    @classmethod
    def from_connection(cls, conn: ConnectionLike) -> Self:
        """Read an Airflow connection.

        :raises ConnectionSettingsError: for the first field or extra that is missing, unknown or wrong.
        """
        from airflow_provider_capillary.hooks._base_url import base_url

        conn_id = str(conn.conn_id)
        extras = _read_extras(conn_id, conn)
        login = _required(conn_id, "login", conn.login, "the till user name, or the OAuth client key")
        if extras["auth_type"] == "basic" and ":" in login:
            problem = f"Connection {conn_id!r}: login contains a colon, which Basic authentication takes for the end of the user name"
            raise ConnectionSettingsError(problem, cure="put the user name alone into login and the password, or its md5, into password")
        return cls(
            conn_id=conn_id,
            base_url=base_url(conn_id, host=conn.host, port=conn.port, schema=conn.schema),
            login=login,
            password=_required(conn_id, "password", conn.password, "the password's md5, the password itself, or the OAuth client secret"),
            **extras,
        )


def _required(conn_id: str, name: str, value: object, meaning: str) -> str:
    if value is not None and not isinstance(value, str):
        problem = f"Connection {conn_id!r}: {name} is of type {type(value).__name__}, not text"
        raise ConnectionSettingsError(problem, cure=f"put {meaning} into {name}")
    if value is None or not value.strip():
        raise ConnectionSettingsError(f"Connection {conn_id!r}: {name} is missing", cure=f"put {meaning} into {name}")
    return value


def _read_extras(conn_id: str, conn: ConnectionLike) -> dict[str, Any]:
    given = _extras_of(conn_id, conn)
    known = {extra.name for extra in EXTRA_FIELDS}
    for name, value in given.items():
        if name not in known:
            # Its value is not shown: it may be a credential under a name that was mistyped.
            raise ConnectionSettingsError(
                f"Connection {conn_id!r}: there is no extra {name!r} (its value is of type {type(value).__name__})",
                cure=f"{_nearest(name, sorted(known))}remove it or rename it; the extras are {', '.join(sorted(known))}",
            )
    return {extra.name: _read(_Extra(conn_id, extra, given.get(extra.name))) for extra in EXTRA_FIELDS}


def _extras_of(conn_id: str, conn: ConnectionLike) -> Mapping[str, Any]:
    # Airflow takes an extra that is not JSON for an empty one and only logs it; settings that somebody wrote would be ignored.
    text = getattr(conn, "extra", None)
    parsed = _parse_json(text) if isinstance(text, str) and text.strip() else {}
    if isinstance(parsed, Mapping):
        parsed = conn.extra_dejson or {}  # Airflow's own reading, which masks what looks like a secret
    if isinstance(parsed, Mapping):
        return parsed
    found = "not valid JSON" if parsed is None else f"JSON of type {type(parsed).__name__}"
    raise ConnectionSettingsError(f"Connection {conn_id!r}: extra is {found}", cure='make it one JSON object, such as {"page_size": 500}')


def _parse_json(text: str) -> object | None:
    """The parsed text, or ``None``: the parser's own exception holds the text, which may hold a secret, so it ends here."""
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except ValueError:
        return None


@dataclass(frozen=True)
class _Extra:
    """One extra on its way to a setting."""

    conn_id: str
    field: ExtraField
    value: object

    def refuse(self, expected: str, *, nearest: str = "") -> NoReturn:
        """Say what was found, what was expected and how to mend it."""
        found = f"of type {type(self.value).__name__}"
        if not self.field.secret:
            shown = repr(self.value)
            found = f"{shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '...'} ({found})"
        default = "nothing" if self.field.default is None else repr(self.field.form_default)
        raise ConnectionSettingsError(
            f"Connection {self.conn_id!r}: extra {self.field.name!r} is {found}, and has to be {expected}",
            cure=f"{nearest}set it to {expected}, or remove it for the default, {default}",
        )

    def text(self, expected: str) -> str:
        """The value where it is text, without the space around it."""
        if not isinstance(self.value, str):
            self.refuse(expected)
        return self.value.strip()


def _read(extra: _Extra) -> Any:  # noqa: ANN401  # Settings gives each its type
    if extra.value is None or (isinstance(extra.value, str) and not extra.value.strip()):
        return extra.field.default
    return _READERS[extra.field.kind](extra)


def _read_choice(extra: _Extra) -> str:
    expected = " or ".join(map(repr, extra.field.choices))
    text = extra.text(expected)
    if text not in extra.field.choices:
        extra.refuse(expected, nearest=_nearest(text, extra.field.choices))
    return text


def _read_date_format(extra: _Extra) -> str:
    expected = f"one of {', '.join(DATE_FORMATS)}, or a strftime string such as '%Y-%m-%d %H:%M'"
    text = extra.text(expected)
    if text not in DATE_FORMATS and "%" not in text:
        extra.refuse(expected, nearest=_nearest(text, DATE_FORMATS))
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
        value = int(value)  # JSON knows one kind of number, and some writers add a .0
    if isinstance(value, bool) or not isinstance(value, int) or not _within(extra.field, value):
        extra.refuse(expected)
    return value


def _read_seconds(extra: _Extra) -> float:
    expected = f"a number of seconds above {extra.field.minimum:g}, at most {extra.field.maximum:g}"
    value = extra.value
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    # Infinity and not-a-number, which Python's JSON reads, are within no bounds.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _within(extra.field, value) or value == extra.field.minimum:
        extra.refuse(expected)
    return float(value)


def _within(extra: ExtraField, value: float) -> bool:
    return (extra.minimum is None or value >= extra.minimum) and (extra.maximum is None or value <= extra.maximum)


def _read_zone(extra: _Extra) -> str:
    from zoneinfo import available_timezones

    from airflow_provider_capillary.reading.dates import zone_of

    expected = "the IANA name of a time zone, such as 'Asia/Kolkata', or an offset such as '+05:30'"
    text = extra.text(expected)
    if not text.startswith(("+", "-")) or _OFFSET.fullmatch(text):
        # A folder of zones is an OSError, a path out of the database a ValueError, an unknown name a KeyError.
        with suppress(OSError, ValueError, KeyError):
            zone_of(text)
            return text
    return extra.refuse(expected, nearest=_nearest(text, sorted(available_timezones())))


def _read_verify(extra: _Extra) -> bool | str:
    from pathlib import Path

    expected = "true, false, or the path of an existing file or folder of CA certificates"
    if isinstance(extra.value, bool):
        return extra.value
    text = extra.text(expected)
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    # requests would fail on it at the first request, with an exception of no kind that its callers expect. Here "no" and "0" end too.
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


def _nearest(word: str, words: tuple[str, ...] | list[str]) -> str:
    """``did you mean ...?`` for the word that looks most like it, if one does."""
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
