"""A ``capillary`` connection, read strictly.

Nothing is guessed and nothing is ignored: a field that is missing, an extra that nobody knows, a value that could be meant in two
ways is a :class:`~airflow_provider_capillary.errors.ConnectionSettingsError` that names connection, field and hint. Connections
that are set as URIs carry only strings, so ``"1000"`` is read as a number and ``"false"`` as a truth value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol, Self

from airflow_provider_capillary.connection.extras import MASKED, read_extras
from airflow_provider_capillary.connection.fields import CONNECTION_TYPE
from airflow_provider_capillary.errors import ConnectionSettingsError

__all__ = ["ConnectionLike", "Settings", "is_torn"]


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
    def from_connection(cls, conn: ConnectionLike, *, label: str | None = None) -> Self:
        """Read an Airflow connection.

        :param label: what the connection is called in errors; left out, by its id.
        :raises ConnectionSettingsError: for the first field or extra that is missing, unknown or wrong.
        """
        from airflow_provider_capillary.connection.base_url import base_url

        conn_id = str(conn.conn_id)
        label = label or f"Connection {conn_id!r}"
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
            conn_id=conn_id,
            base_url=base_url(label, host=conn.host, port=conn.port, schema=conn.schema),
            login=login,
            password=password,
            **extras,
        )


def _check_type(label: str, conn_type: object) -> None:
    # A connection without a type, as an environment variable may hold one, is taken at its word.
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
    """Whether it holds half of a surrogate pair, as JSON may: no character, and nothing that can be sent."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _check_md5(label: str, password: str) -> None:
    from airflow_provider_capillary.connection.credential import MD5

    if password != password.strip() and MD5.fullmatch(password.strip()):
        raise ConnectionSettingsError(
            f"{label}: password is an md5 (32 hexadecimal digits) with a blank or a line break before or after it",
            hint="remove it; if all of it is the password itself, set the extra `basic_format` to `plain`",
        )
