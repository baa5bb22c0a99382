"""The key of the hashes, out of an Airflow variable or connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_capillary.redaction.rules import KeyReference

__all__ = ["load_key"]

_SHORTEST: Final = 16
"""Characters. There are few phone numbers: whoever guesses the key of a hash has them all."""
_MAKE_ONE: Final = "make one with `openssl rand -hex 32`"


def load_key(reference: KeyReference, *, name: str = "redact['key']") -> bytes:
    """Look the key up, and have it masked in logs. Blanks around it don't count.

    :param name: the argument that holds the reference, for the error.
    :raises ConfigurationError: there is no such variable or connection, or it holds no key of 16 characters or more.
    """
    from airflow.providers.common.compat.sdk import mask_secret

    text = _variable(reference.name, name) if reference.kind == "variable" else _password(reference.name, name)
    key = text.strip()
    if key:
        mask_secret(key)
    if len(key) < _SHORTEST:
        where = f"The Airflow {reference.kind} {reference.name!r}, which {name} names,"
        raise ConfigurationError(
            f"{where} holds {'a key of ' + str(len(key)) + ' characters' if key else 'no key'}",
            hint=f"a key has at least {_SHORTEST} characters, so that nobody can guess it; {_MAKE_ONE}"
            + (", and make it the connection's password" if reference.kind == "connection" else ""),
        )
    return key.encode(errors="surrogatepass")


def _variable(of_key: str, name: str) -> str:
    from airflow.providers.common.compat.sdk import Variable

    try:
        value = Variable.get(of_key, None)
    except ImportError:  # Airflow 3.0, in a command: no secrets backend has it, and there is no task whose supervisor could be asked
        value = None
    if value is None:
        raise _missing("variable", of_key, name)
    return str(value)


def _password(conn_id: str, name: str) -> str:
    from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

    try:
        return BaseHook.get_connection(conn_id).password or ""
    except AirflowNotFoundException as error:
        raise _missing("connection", conn_id, name) from error
    except (AirflowException, ValueError, TypeError) as error:
        # The exception may hold the connection's text.
        raise ConfigurationError(
            f"The Airflow connection {conn_id!r}, which {name} names, can't be read ({type(error).__name__})", hint="write it anew"
        ) from None


def _missing(kind: str, of_key: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"There is no Airflow {kind} {of_key!r}, which {name} names, so nothing can be hashed",
        hint=f"add it with the key of the hashes; {_MAKE_ONE}, and keep it: with another key, the same person has other hashes",
    )
