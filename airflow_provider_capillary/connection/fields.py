"""The fields of a ``capillary`` connection, defined once.

The forms of Airflow 2 and 3 (:mod:`~airflow_provider_capillary.connection.form`), the checks of extras
(:mod:`~airflow_provider_capillary.connection.extras`) and their defaults all come from the tables below; a test compares the tables of
``docs/connection.md`` with them. Every ``airflow`` command imports this module with the provider info, so it imports only light standard
modules, and defines tuples, which take a third of the time of dataclasses.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

__all__ = [
    "CONNECTION_TYPE",
    "DATE_FORMATS",
    "EXTRA_FIELDS",
    "HOOK_CLASS",
    "HOOK_NAME",
    "PREFIX",
    "STANDARD_FIELDS",
    "ExtraField",
    "Kind",
    "StandardField",
]

CONNECTION_TYPE: Final = "capillary"
HOOK_NAME: Final = "Capillary"
HOOK_CLASS: Final = "airflow_provider_capillary.hooks.capillary.CapillaryHook"

PREFIX: Final = f"extra__{CONNECTION_TYPE}__"
"""What Airflow 2's form puts before the name of an extra."""

DATE_FORMATS: Final = ("auto", "iso", "iso_z", "datetime", "date", "epoch_ms")
"""The names that ``date_format`` takes; any other value has to be a strftime string."""

LARGEST_INTEGER: Final = 2**31 - 1
"""The largest number that a server holds in an int; more digits are a typing error."""

LONGEST_TIMEOUT: Final = 86_400.0
"""A day, in seconds: above any use, and below the numbers at which a socket overflows."""


class Kind(Enum):
    """The kinds of values; :mod:`~airflow_provider_capillary.connection.extras` has one reader for each."""

    CHOICE = "choice"
    DATE_FORMAT = "date_format"
    HEADER = "header"
    INTEGER = "integer"
    PROXIES = "proxies"
    SECONDS = "seconds"
    VERIFY = "verify"
    ZONE = "zone"


class ExtraField(NamedTuple):
    """One extra of the connection.

    :param name: the key in the connection's ``extra``, and the name of the setting.
    :param form_name: the key under which the form saves the extra, where it is another one; both keys are read. Airflow takes a name
        such as ``password_format`` or ``oauth_header`` for a secret's, because of the words in it. It then hides the value in the form and
        masks it in every log, where an ordinary word such as ``plain`` would vanish from each line. So the form saves these two extras as
        ``basic_format`` and ``oauth_http_header``.
    :param default: the value where the extra is missing, ``None`` or empty.
    :param choices: the only values allowed.
    :param examples: values to propose where any text is allowed.
    :param minimum: the smallest value allowed; for seconds the value has to be above it.
    :param maximum: the largest value allowed.
    :param secret: the value may hold a credential, so no error and no ``repr`` shows it.
    """

    name: str
    kind: Kind
    default: str | int | float | bool | None
    label: str
    description: str
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False
    form_name: str = ""

    @property
    def key(self) -> str:
        """The key under which the form saves the extra."""
        return self.form_name or self.name

    @property
    def default_text(self) -> str:
        """The default as text for the form; empty where there is none."""
        match self.default:
            case None:
                return ""
            case bool():
                return str(self.default).lower()
            case float():
                return f"{self.default:g}"
            case _:
                return str(self.default)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key under which the extra is read. Airflow before 3 also saves, or tests, each as ``extra__capillary__...``."""
        own = (self.name, self.form_name) if self.form_name else (self.name,)
        return (*own, *(f"{PREFIX}{key}" for key in own))


class StandardField(NamedTuple):
    """One of the fields that every Airflow connection has, with its label here; the form hides a field without a label."""

    name: str
    label: str | None = None
    placeholder: str | None = None


STANDARD_FIELDS: Final = (
    StandardField(name="host", label="Base URL", placeholder="https://eu.api.capillarytech.com"),
    StandardField(name="login", label="Till user name, or OAuth client key", placeholder="store.server"),
    StandardField(name="password", label="Password, or OAuth client secret", placeholder="the password's md5, unless its format is plain"),
    # The base URL says both. They are read all the same where an environment variable or a URI sets them.
    StandardField(name="schema"),
    StandardField(name="port"),
)

EXTRA_FIELDS: Final = (
    ExtraField(
        name="auth_type",
        kind=Kind.CHOICE,
        default="basic",
        choices=("basic", "oauth"),
        label="Authentication",
        description="basic: till user name and password; oauth: client key and secret. "
        "New organisations have only oauth unless they ask for basic.",
    ),
    ExtraField(
        name="password_format",
        form_name="basic_format",
        kind=Kind.CHOICE,
        default="md5",
        choices=("md5", "plain"),
        label="Password format",
        description="md5: the password field holds the 32 hexadecimal digits that are sent; plain: it holds the password itself, "
        "and its md5 is sent. Only for basic.",
    ),
    ExtraField(
        name="oauth_header",
        form_name="oauth_http_header",
        kind=Kind.HEADER,
        default="X-CAP-API-OAUTH-TOKEN",
        label="OAuth header",
        description="The header that carries the OAuth token. Only for oauth.",
    ),
    ExtraField(
        name="date_format",
        kind=Kind.DATE_FORMAT,
        default="auto",
        examples=DATE_FORMATS,
        label="Date format",
        description="How dates are sent: auto (found out by a few requests), iso (2025-09-18T00:00:00), iso_z (2025-09-18T00:00:00Z), "
        "datetime (2025-09-18 00:00:00), date (2025-09-18), epoch_ms (1758153600000), or a strftime string.",
    ),
    ExtraField(
        name="timezone",
        kind=Kind.ZONE,
        default="UTC",
        examples=("UTC", "Asia/Kolkata", "+05:30"),
        label="Time zone of dates",
        description="The zone in which the API reads a date that carries no offset: an IANA name or an offset such as +05:30.",
    ),
    ExtraField(
        name="page_size",
        kind=Kind.INTEGER,
        default=1000,
        minimum=1,
        maximum=LARGEST_INTEGER,
        label="Page size",
        description="How many records a request asks for; lowered by itself when the API refuses it.",
    ),
    ExtraField(
        name="requests_per_minute",
        kind=Kind.INTEGER,
        default=60,
        minimum=1,
        maximum=LARGEST_INTEGER,
        label="Requests a minute",
        description="The budget that the tasks of one user on one machine share. Capillary counts all machines together; demo clusters "
        "allow 100.",
    ),
    ExtraField(
        name="connect_timeout",
        kind=Kind.SECONDS,
        default=10.0,
        minimum=0,
        maximum=LONGEST_TIMEOUT,
        label="Connect timeout (seconds)",
        description="How long to wait for a connection, in seconds.",
    ),
    ExtraField(
        name="read_timeout",
        kind=Kind.SECONDS,
        default=60.0,
        minimum=0,
        maximum=LONGEST_TIMEOUT,
        label="Read timeout (seconds)",
        description="How long an answer may keep silent, in seconds.",
    ),
    ExtraField(
        name="verify",
        kind=Kind.VERIFY,
        default=True,
        label="Verify TLS",
        description="true, false, or the path of a file or folder of CA certificates, as the verify of requests.",
    ),
    ExtraField(
        name="proxies",
        kind=Kind.PROXIES,
        default=None,
        secret=True,
        label="Proxies",
        description='JSON as the proxies of requests: {"https": "http://proxy.example:3128"}. Who can see the connection can see it: '
        "a proxy that needs a password is better set by the environment variable HTTPS_PROXY.",
    ),
)
