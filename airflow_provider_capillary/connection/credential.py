"""What was sent as a credential, and what to change where the API does not accept it, in words. None of them is a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.api.executor import Credential

if TYPE_CHECKING:
    from airflow_provider_capillary.connection.settings import Settings

__all__ = ["credential_of"]


def credential_of(settings: Settings) -> Credential:
    """The credential of a connection, with what a 401 means for it.

    The texts make sense with any of their words masked: Airflow masks the value of an extra that is called ``password_format``.
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
    described, hint = _plain(settings) if settings.password_format == "plain" else _md5(settings)  # noqa: S105  # the name of a form
    return Credential(
        oauth=False,
        described=f"Basic with {described}",
        hint=f"{_blanks(settings)}check login and password of the connection; {hint}; Basic may be off for the org: "
        "then set `auth_type` to `oauth`",
    )


def _plain(settings: Settings) -> tuple[str, str]:
    looks = ", which looks like an md5 itself" if settings.holds_md5 else ""
    return f"the md5 of the password field{looks}", _FORM.format("already holds the md5", "md5")


def _md5(settings: Settings) -> tuple[str, str]:
    form = _FORM.format("holds the plain password", "plain")
    if not settings.holds_md5:
        return "the password field as it stands, which is not an md5 (32 hexadecimal digits)", form
    if settings.password != settings.password.lower():
        return (
            "the password field as it stands, an md5 in upper case",
            f"write the md5 in lower case, as servers compare it letter by letter; {form}",
        )
    return "the password field as it stands", form


_FORM = "if the password field {}, set the extra `basic_format` (or `password_format`) to `{}`"


def _blanks(settings: Settings) -> str:
    """A piece of advice for what is easily copied along, and may be meant all the same."""
    found = [name for name, value in (("login", settings.login), ("password", settings.password)) if value != value.strip()]
    if not found:
        return ""
    return f"remove the blank or line break before or after {' and '.join(found)}, which is sent too, unless it is meant; "
