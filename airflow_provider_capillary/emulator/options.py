"""What the documentation of ``GET /v2/events/logs`` leaves open and the test of a DAG may depend on, each as an option."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_capillary.emulator.dates import DATE_FORMATS, zone_of

__all__ = ["ServerOptions", "option", "wrong_option"]


def option(default: Any, text: str, *, choices: tuple[str, ...] = (), kind: type | None = None, many: bool = False) -> Any:  # noqa: ANN401  # the default of a dataclass field
    """Describe one option once, for the check of its value and for the command line."""
    return field(default=default, metadata={"help": text, "choices": choices, "kind": kind or str, "many": many})


def wrong_option(name: str, value: object, hint: str) -> str:
    """Return the text of the error for a value that is not possible."""
    return f"{name}={value!r} is not possible; {hint}"


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the emulated server behaves where the documentation leaves a choice.

    An option is here if a data engineer uses it to test a DAG: it is something that differs between clusters, and that shows in
    the connection (``date_format``, ``timezone``, ``page_size``), in the number of requests, or in what a run does when the API
    throttles. How an answer could be wrong, late or out of step with its dates in ways that only a reader of the API has to
    survive is tested by this project's own tests, and is not here. For a record that shows late, call
    :meth:`~airflow_provider_capillary.emulator.Emulator.add` when it is to show.

    Documented: the four parameters, ten records without a limit, and the envelope. Shown by the two published examples and
    promised nowhere: newest first, and ``startTime`` as UTC epoch milliseconds. The defaults are these, and otherwise the
    simplest: both dates inclusive, compared with ``startTime`` to the millisecond, no cap, no rate limit.

    :raises ValueError: a value that the option can't have; names the option, the value and what to write.
    """

    date_format: str | tuple[str, ...] = option(
        "iso", f"format(s) of dates that are read, any other is a 400: {', '.join(DATE_FORMATS)}, or a strftime string", many=True
    )
    timezone: str = option("UTC", "zone of a date without an offset: IANA name or +05:30")
    order: str = option(
        "newest",
        "order of an answer by startTime; shuffled: a new order each time, and any of the matching records",
        choices=("newest", "oldest", "shuffled"),
    )
    limit_cap: int | None = option(None, "the largest number of records in one answer", kind=int)
    over_limit: str = option("clamp", "a limit above the cap: lowered silently, or a 400", choices=("clamp", "refuse"))
    rate_limit: int | None = option(None, "requests in any 60 seconds before a 429, with Retry-After in seconds", kind=int)

    def __post_init__(self) -> None:
        if isinstance(self.date_format, str):
            object.__setattr__(self, "date_format", (self.date_format,))
        for item in dataclasses.fields(self):
            value, choices = getattr(self, item.name), item.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(wrong_option(item.name, value, f"choose one of {', '.join(choices)}"))
            if item.metadata["many"] and value is not None:
                object.__setattr__(self, item.name, tuple(value))
        for name in self.formats:
            if name not in DATE_FORMATS and "%" not in name:
                raise ValueError(wrong_option("date_format", name, f"choose one of {', '.join(DATE_FORMATS)}, or write a strftime string"))
        if not self.formats:
            raise ValueError(wrong_option("date_format", self.date_format, "name at least one"))
        for name in ("limit_cap", "rate_limit"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(wrong_option(name, value, "give a whole number from 1 on"))
        zone_of(self.timezone)

    @property
    def formats(self) -> tuple[str, ...]:
        """``date_format`` as a tuple."""
        return (self.date_format,) if isinstance(self.date_format, str) else self.date_format
