"""The base URL, made from host, port and schema of a connection."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from airflow_provider_capillary.errors import ConnectionSettingsError

__all__ = ["base_url"]

_EXAMPLE: Final = "https://eu.api.capillarytech.com"
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_SCHEMES: Final = ("http", "https")
_HIGHEST_PORT: Final = 65535


def base_url(label: str, *, host: object, port: object, schema: object) -> str:
    """Scheme, host, port and path, without a slash at the end; ``/v2/events/logs`` is appended to it.

    ``https`` unless the host begins with ``http://`` or schema is ``http``: credentials travel in a header.

    >>> base_url("Connection 'capillary_default'", host="eu.api.capillarytech.com", port=None, schema=None)
    'https://eu.api.capillarytech.com'
    >>> base_url("Connection 'capillary_default'", host="http://127.0.0.1:8080/stub/", port=None, schema=None)
    'http://127.0.0.1:8080/stub'

    :raises ConnectionSettingsError: the three don't make one URL, or the URL holds credentials, a query or a fragment.
    """
    text = _text(label, "host", host)
    if not text:
        _refuse(label, "host is missing", f"put the base URL of your Capillary cluster into host, such as {_EXAMPLE}")
    if "@" in text:
        # The text is not shown: the part before the @ is a credential.
        _refuse(
            label, "host contains an @, so perhaps a user name or password", "put those into login and password, the URL alone into host"
        )
    if "?" in text or "#" in text:
        _refuse(label, "host contains a query or a fragment", f"keep only what comes before the ? or #, such as {_EXAMPLE}")
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in text):
        _refuse(label, f"host is {text!r}, with a space, backslash or control character", f"write it as in {_EXAMPLE}")
    wanted = _text(label, "schema", schema).lower()
    if wanted and wanted not in _SCHEMES:
        _refuse(
            label, f"schema is {wanted!r}, and has to be http, https or empty", f"clear schema; a path belongs into host: {_EXAMPLE}/path"
        )
    explicit = "://" in text
    parts = _split(label, text if explicit else f"{wanted or 'https'}://{text}", text)
    if parts.scheme not in _SCHEMES:
        _refuse(label, f"host begins with {parts.scheme}://", f"begin it with https://, as in {_EXAMPLE}")
    if explicit and wanted and wanted != parts.scheme:
        _refuse(label, f"host begins with {parts.scheme}://, and schema is {wanted!r}", "clear schema")
    netloc = _netloc(label, parts, text, _port(label, port))
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def _netloc(label: str, parts: SplitResult, text: str, port: int | None) -> str:
    own_port = parts.port
    if port is not None and own_port is not None and port != own_port:
        _refuse(label, f"host has port {own_port}, and port is {port}", "clear port")
    name = _host_name(parts.hostname or "")
    if not name or own_port == 0 or parts.netloc.endswith(":"):
        _refuse(label, f"host is {text!r}, which names no host", f"write it as in {_EXAMPLE}")
    port = port or own_port
    return name if port is None else f"{name}:{port}"


def _host_name(name: str) -> str:
    """The name as a URL holds it; empty where it is not a host name."""
    if ":" in name:
        try:
            return f"[{ipaddress.IPv6Address(name)}]"
        except ValueError:
            return ""
    try:
        name = name.encode("idna").decode("ascii")  # also refuses labels that are empty or too long
    except UnicodeError:
        return ""
    return name if _HOST_NAME.fullmatch(name) else ""


def _split(label: str, url: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # urlsplit checks the port only when it is read
    except ValueError:
        _refuse(label, f"host is {text!r}, which is not a URL", f"write it as in {_EXAMPLE}")
    return parts


def _port(label: str, port: object) -> int | None:
    if port is None or port == "":
        return None
    if isinstance(port, str) and port.isascii() and port.isdecimal():
        port = int(port[:6])
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _HIGHEST_PORT:
        _refuse(label, f"port is {port!r} (of type {type(port).__name__})", f"clear it, or set a number up to {_HIGHEST_PORT}")
    return port or None  # some forms save an empty port as 0


def _text(label: str, name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        _refuse(
            label, f"{name} is of type {type(value).__name__}, not text", f"write it as in {_EXAMPLE}" if name == "host" else "clear it"
        )
    return value.strip()


def _refuse(label: str, problem: str, hint: str) -> NoReturn:
    raise ConnectionSettingsError(f"{label}: {problem}", hint=hint)
