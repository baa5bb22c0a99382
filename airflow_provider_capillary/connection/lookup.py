"""Finds a connection in Airflow by its id, or says why there is none.

Airflow tries one secrets backend after another, and treats a connection that a backend can't read as missing; only its log at the level
DEBUG says why. Where an environment variable holds the connection, this module says what is wrong with the text. No error shows the text.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.connection.extras import nearest
from airflow_provider_capillary.connection.settings import Settings, is_torn
from airflow_provider_capillary.errors import ConnectionSettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["looked_up_settings"]

_FIELDS: Final = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")
"""The keys of a connection as JSON."""
_ENCODED: Final = {"/": "%2F", "?": "%3F", "#": "%23"}
"""The characters that end the part of a URI with user name and password."""
_AS_JSON: Final = (
    'write it as JSON: {"conn_type": "capillary", "host": "https://...", "login": "...", "password": "...", "extra": {...}}, '
    "in double quotes and without a comma at the end"
)


def looked_up_settings(conn_id: str, get_connection: Callable[[str], Any], *, name_it: bool = True) -> Settings:
    """Look up a connection and read it.

    :param get_connection: Airflow's own function.
    :param name_it: whether errors may name the id.
    :raises ConnectionSettingsError: the connection does not exist, can't be read, or has a missing or wrong field.
    """
    from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException

    label = f"Connection {conn_id!r}" if name_it else "This connection"
    try:
        connection = get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise _unreadable(conn_id, label) or ConnectionSettingsError(
            f"There is no Airflow connection {conn_id!r}" if name_it else "There is no such Airflow connection",
            hint=f"add it, of the type Capillary, in Admin > Connections or as the environment variable "
            f"{_variable(conn_id if name_it else '<its id>')}; if a secrets "
            "backend holds it, Airflow's log at the level DEBUG says why it could not be read",
        ) from error
    except (AirflowException, ValueError, TypeError) as error:
        # The text is neither JSON nor a URI. The exception holds the text, and so the password.
        raise _unreadable(conn_id, label) or ConnectionSettingsError(
            f"{label} can't be read ({type(error).__name__})", hint="write it anew; as an environment variable, as JSON or as a URI"
        ) from None
    try:
        return Settings.from_connection(connection, label=label)
    except ConnectionSettingsError as error:
        # Airflow splits a URI with an unescaped character at the wrong place, and reads the pieces.
        raise _unreadable(conn_id, label) or error from None


def _variable(conn_id: str) -> str:
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def _unreadable(conn_id: str, label: str) -> ConnectionSettingsError | None:
    """The error in the text of the environment variable; ``None`` where there is no variable or no error."""
    text = os.environ.get(_variable(conn_id), "").strip()
    if not text:
        return None
    found = _wrong_json(text) if text.startswith(("{", "[", "'", '"')) else _wrong_uri(text)
    if found is None:
        return None
    problem, hint = found
    return ConnectionSettingsError(f"{label} can't be read: its environment variable holds {problem}", hint=hint)


def _wrong_json(text: str) -> tuple[str, str] | None:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f", from its character {error.pos + 1} on" if isinstance(error, json.JSONDecodeError) else ""
        return f"text that is not JSON{where}", _AS_JSON
    if not isinstance(read, dict):
        return f"JSON that is not an object (of type {type(read).__name__})", _AS_JSON
    return _wrong_field(read)


def _wrong_field(read: dict[str, Any]) -> tuple[str, str] | None:
    for name, value in read.items():
        if name not in _FIELDS:
            hint = f"{nearest(name, _FIELDS)}the keys are {', '.join(_FIELDS)}; all others go into extra"
            return f"JSON with the unknown key {name!r}", hint
        if isinstance(value, str) and is_torn(value):
            return f"JSON whose `{name}` holds half of a surrogate pair, which is no character", f"type {name} in again"
    port = read.get("port")
    if port and not str(port).isdecimal():
        return f"JSON whose `port` is no number (of type {type(port).__name__})", "remove it, or write a number without quotes"
    extra = read.get("extra")
    if isinstance(extra, str) and extra.strip() and _wrong_json(f'{{"extra": {extra}}}'):
        return "JSON whose `extra` is text that is not JSON", "write `extra` as an object, without quotes around it"
    if extra is not None and not isinstance(extra, str | dict):
        return f"JSON whose `extra` is of type {type(extra).__name__}", "write `extra` as a JSON object"
    return None


def _wrong_uri(text: str) -> tuple[str, str] | None:
    _, separator, rest = text.partition("://")
    if not separator:
        return "text that is neither JSON nor a URI", f"{_AS_JSON}; or as a URI that begins with capillary://"
    # The scheme of the host may stand before the user name.
    rest = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", rest)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    beyond = rest[len(authority) :]
    # An @ in the value of an extra comes after an =.
    if "@" not in authority and re.match(r"[^=]*@", beyond):
        return (
            f"a URI whose user name or password has a {beyond[0]} in it, where it ends for whoever reads it",
            f"write the {beyond[0]} as {_ENCODED[beyond[0]]} (and @ as %40, : as %3A, % as %25); or {_AS_JSON}",
        )
    if "://" in rest:
        return "a URI with one :// too many", "write capillary://https://user:password@host; a :// elsewhere as %3A%2F%2F"
    port = re.search(r":([^:@\]]*)\Z", authority.rpartition("@")[2])
    if port and not port[1].isdecimal():
        return (
            "a URI whose port is no number",
            "check what stands behind the last colon before the path; a : that is no port's is written %3A",
        )
    if "[" in authority or "]" in authority:
        return "a URI with a bracket in it", "write [ as %5B and ] as %5D"
    return None
