"""The credential of a connection: what is sent, what has to be masked, and what to change where the API refuses it.

Basic sends ``base64(till user name + ":" + md5 of the password)``. The extra ``password_format`` says what the password field holds:
``md5``, the 32 hexadecimal digits as they are sent, or ``plain``, the password itself, which is hashed here. It is never guessed: some
passwords look like an md5. OAuth fetches a token for login and password, and sends the token in the header that ``oauth_header`` names.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from airflow_provider_capillary.api.executor import Credential
from airflow_provider_capillary.connection.settings import MD5

if TYPE_CHECKING:
    from airflow_provider_capillary.connection.settings import Settings

__all__ = ["basic_header", "credential_of", "secrets_of"]


def basic_header(settings: Settings) -> str:
    """The value of the header ``Authorization``."""
    return f"Basic {_encoded(settings)}"


def secrets_of(settings: Settings) -> list[str]:
    """Every text that no log may show: the password, what Basic makes from it, and passwords in the URLs of proxies."""
    secrets = {settings.password}
    if settings.auth_type == "basic":
        secrets |= {_sent_password(settings), _encoded(settings)}
    for proxy in (settings.proxies or {}).values():
        with suppress(ValueError):  # no URL, such as the value of `no_proxy`
            password = urlsplit(proxy).password or ""
            secrets |= {password, unquote(password)}
    return sorted(secrets - {""})


def credential_of(settings: Settings) -> Credential:
    """The credential for the executor of requests, with the hint that a 401 gets.

    Each text makes sense with any of its words masked: Airflow masks the value of an extra that is called ``password_format``.
    """
    if settings.auth_type == "oauth":
        return Credential(
            oauth=True,
            described=f"an OAuth token that it has given for this connection's key and secret, in the header {settings.oauth_header}",
            hint="set the extra `oauth_http_header` (or `oauth_header`) to the header from which this cluster reads the token; if it is "
            "that one, let the client of this key and secret be given access to event logs, or use another client",
            key_hint=f"{_blanks(settings)}check login (the OAuth client key) and password (the OAuth client secret) of the connection, "
            "or set `auth_type` to `basic`",
            key=settings.login,
            secret=settings.password,
        )
    described, hint = _described_password(settings)
    return Credential(
        oauth=False,
        described=f"Basic with {described}",
        hint=f"{_blanks(settings)}check login and password of the connection; {hint}; Basic may be off for the org: "
        "then set `auth_type` to `oauth`",
    )


def _sent_password(settings: Settings) -> str:
    if settings.password_format == "plain":  # noqa: S105  # the name of a format
        return hashlib.md5(settings.password.encode(), usedforsecurity=False).hexdigest()
    return settings.password


def _encoded(settings: Settings) -> str:
    return base64.b64encode(f"{settings.login}:{_sent_password(settings)}".encode()).decode()


_FORMAT_HINT: Final = "if the password field {}, set the extra `basic_format` (or `password_format`) to `{}`"


def _described_password(settings: Settings) -> tuple[str, str]:
    """What was sent for the password, and what to change."""
    is_md5 = MD5.fullmatch(settings.password) is not None
    if settings.password_format == "plain":  # noqa: S105  # the name of a format
        looks = ", which looks like an md5 itself" if is_md5 else ""
        return f"the md5 of the password field{looks}", _FORMAT_HINT.format("already holds the md5", "md5")
    hint = _FORMAT_HINT.format("holds the plain password", "plain")
    if not is_md5:
        return "the password field as it stands, which is not an md5 (32 hexadecimal digits)", hint
    if settings.password != settings.password.lower():
        return (
            "the password field as it stands, an md5 in upper case",
            f"write the md5 in lower case, as servers compare it letter by letter; {hint}",
        )
    return "the password field as it stands", hint


def _blanks(settings: Settings) -> str:
    """A hint at blanks around login and password: they are easily copied along, and may be meant all the same."""
    found = [name for name, value in (("login", settings.login), ("password", settings.password)) if value != value.strip()]
    if not found:
        return ""
    return f"remove the blank or line break before or after {' and '.join(found)}, which is sent too, unless it is meant; "
