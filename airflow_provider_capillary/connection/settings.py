"""A ``capillary`` connection, checked and typed.

Nothing is guessed and nothing is ignored: a missing field, an unknown extra or an ambiguous value is a
:class:`~airflow_provider_capillary.errors.ConnectionSettingsError` that names connection, field and hint. A connection that is set as a URI
holds only strings, so ``"1000"`` is read as a number and ``"false"`` as a truth value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, Self

from airflow_provider_capillary.connection.extras import MASKED, ConnectionLike, read_extras
from airflow_provider_capillary.connection.fields import CONNECTION_TYPE
from airflow_provider_capillary.errors import ConnectionSettingsError

__all__ = ["MD5", "Settings", "is_torn"]


MD5: Final = re.compile(r"[0-9A-Fa-f]{32}")
"""What the password field holds with the format ``md5``."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All fields of a connection, checked and typed. The ``repr`` shows neither password nor proxies.

    :param base_url: scheme, host, port and path prefix, without a slash at the end, credentials, query or fragment.
    :param login: the till user name, or the OAuth client key.
    :param password: what Basic sends or hashes (:mod:`~airflow_provider_capillary.connection.credential`), or the OAuth client secret.
    :param timezone: the zone in which the API reads dates without an offset: an IANA name or ``±HH:MM``.
    :param connect_timeout: seconds; more than zero, as is ``read_timeout``.
    :param verify: as in requests: whether to verify TLS, or the path of CA certificates.
    :param proxies: as in requests.
    """

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
    def from_connection(cls, conn: ConnectionLike, *, label: str | None = None) -> Self:
        """Read an Airflow connection.

        :param label: the name of the connection in errors; by default its id.
        :raises ConnectionSettingsError: a field or an extra is missing, unknown or wrong; the first one is named.
        """
        from airflow_provider_capillary.connection.base_url import base_url

        label = label or f"Connection {str(conn.conn_id)!r}"
        _check_type(label, getattr(conn, "conn_type", None))
        extras = read_extras(label, conn)
        login = _required(label, "login", conn.login, "the till user name, or the OAuth client key")
        if extras["auth_type"] == "basic" and ":" in login:
            problem = f"{label}: login contains a colon, which Basic authentication takes for the end of the user name"
            raise ConnectionSettingsError(problem, hint="put the user name alone into login and the password, or its md5, into password")
        password = _required(label, "password", conn.password, "the password's md5, the password itself, or the OAuth client secret")
        if extras["auth_type"] == "basic" and extras["password_format"] == "md5":  # noqa: S105  # the name of a form
            _check_md5(label, password)
        return cls(
            base_url=base_url(label, host=conn.host, port=conn.port, schema=conn.schema),
            login=login,
            password=password,
            **extras,
        )


def _check_type(label: str, conn_type: object) -> None:
    # An environment variable may hold a connection without a type.
    if conn_type and conn_type != CONNECTION_TYPE:
        raise ConnectionSettingsError(
            f"{label} is of the type {str(conn_type)[:60]!r}, not {CONNECTION_TYPE!r}",
            hint=f"name a connection of the type {CONNECTION_TYPE!r}, or change the type of this one",
        )


def _required(label: str, name: str, value: object, meaning: str) -> str:
    if value is not None and not isinstance(value, str):
        problem = f"{label}: {name} is of type {type(value).__name__}, not text"
        raise ConnectionSettingsError(problem, hint=f"put {meaning} into {name}")
    if value is None or not value.strip():
        raise ConnectionSettingsError(f"{label}: {name} is missing", hint=f"put {meaning} into {name}")
    if value.strip() == MASKED:
        problem = f"{label}: {name} was saved as ***, which is what Airflow shows in place of a value that it hides"
        raise ConnectionSettingsError(problem, hint=f"put {meaning} into {name}")
    if is_torn(value):
        problem = f"{label}: {name} holds half of a surrogate pair, which is no character"
        raise ConnectionSettingsError(problem, hint=f"type {name} in again")
    return value


def is_torn(text: str) -> bool:
    """Whether the text holds half of a surrogate pair, which JSON allows and no encoding can send."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _check_md5(label: str, password: str) -> None:
    if password != password.strip() and MD5.fullmatch(password.strip()):
        raise ConnectionSettingsError(
            f"{label}: password is an md5 (32 hexadecimal digits) with a blank or a line break before or after it",
            hint="remove it; if all of it is the password itself, set the extra `basic_format` to `plain`",
        )
