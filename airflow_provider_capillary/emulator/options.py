"""What the documentation of ``GET /v2/events/logs`` leaves to the server, each as an option of the stand-in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_capillary.emulator.dates import PRECISIONS, zone_of

__all__ = ["DATE_FORMATS", "Late", "ServerOptions"]

DATE_FORMATS: Final = ("iso", "iso_z", "datetime", "date", "epoch_ms")
"""Date formats that have a name; any other is a strftime string."""

PARAMETERS: Final = ("event_name", "from_date", "to_date", "limit")
"""The four documented query parameters."""

TIMES: Final = ("start_time", "write_time")
"""The times that a server may go by: ``startTime``, or when the event log was written, which is after the event was processed."""


@dataclass(frozen=True, kw_only=True)
class Late:
    """When a record begins to show. Both given: the later of the two.

    :param seconds: so long after it was put into the world, by the world's clock.
    :param request: from this request of the world on, counted from 1.
    """

    seconds: float = 0.0
    request: int = 0


def _option(default: Any, text: str, *, choices: tuple[str, ...] = (), kind: type | None = None, many: bool = False) -> Any:  # noqa: ANN401
    """Describe one liberty once, for the check of its value and for the command line."""
    return field(default=default, metadata={"help": text, "choices": choices, "kind": kind or str, "many": many})


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Every way in which servers that all keep to the documentation may differ.

    Documented: the four parameters, the default of ten records an answer, and the envelope. *Shown by the two
    published examples, promised by nobody*: newest first by ``startTime``, and ``startTime`` as UTC epoch
    milliseconds. The defaults below are these, and for the rest the kindest reading: bounds inclusive, compared
    with ``startTime`` to the millisecond, UTC, no cap, no limit on the span, every record visible at once.

    Whatever the options: an answer to fewer matches than its limit holds all of them.

    :raises ValueError: a value that is none of its liberty's; names the option, the value and the hint.
    """

    date_format: str | tuple[str, ...] = _option(
        "iso", f"format(s) of dates that are read: {', '.join(DATE_FORMATS)}, or a strftime string", many=True
    )
    fractions: str = _option(
        "read", "a fraction of a second in iso, iso_z, datetime: read, dropped, or unreadable", choices=("read", "drop", "refuse")
    )
    unparsable_date: str = _option(
        "refuse", "a date that cannot be read: 400, as if not sent, or an empty answer", choices=("refuse", "ignore", "empty")
    )
    timezone: str = _option("UTC", "zone in which a date without an offset is read: IANA name or +05:30")
    precision: str = _option("ms", "how finely bounds are read", choices=tuple(PRECISIONS))
    coarse_bound: str = _option(
        "unit",
        "with a coarse precision: compare units with units (an inclusive to_date covers its whole unit), "
        "or the floored bound with the exact instant of a record",
        choices=("unit", "instant"),
    )
    from_bound: str = _option("inclusive", "whether a record at from_date matches", choices=("inclusive", "exclusive"))
    to_bound: str = _option("inclusive", "whether a record at to_date matches", choices=("inclusive", "exclusive"))
    filter_by: str = _option("start_time", "which time of a record the dates are compared with", choices=TIMES)
    order: str = _option(
        "newest",
        "order of an answer; unsorted is fixed (by id), shuffled differs each time",
        choices=("newest", "oldest", "unsorted", "shuffled"),
    )
    order_by: str = _option("start_time", "which time of a record newest and oldest go by", choices=TIMES)
    write_lag: tuple[int, int] | None = _option(
        None,
        "LEAST,MOST: a record is written so many ms after its startTime, drawn by id, mostly short; none: its responseTime",
        kind=int,
        many=True,
    )
    tie_order: str = _option(
        "stable", "order among records of one time, newest or oldest first: by id, or new each time", choices=("stable", "varying")
    )
    cut: str = _option(
        "leading",
        "what an answer shorter than the matches keeps: the first or last of the order, or any (fixed by a key, or at random)",
        choices=("leading", "trailing", "sample", "sample_random"),
    )
    default_limit: int = _option(10, "records an answer where no limit is sent; documented: 10", kind=int)
    limit_cap: int | None = _option(None, "the largest limit that is honoured", kind=int)
    over_limit: str = _option("clamp", "a larger limit: lowered without a word, or 400", choices=("clamp", "refuse"))
    limit_cap_later: tuple[int, int] | None = _option(None, "K,N: the cap becomes N after K requests", kind=int, many=True)
    max_span: float | None = _option(None, "longest span from from_date to to_date, seconds; where only one is sent, none", kind=float)
    over_span: str = _option(
        "refuse",
        "a longer span: 400, only its part next to to_date, only its part next to from_date, or an empty answer",
        choices=("refuse", "clamp_from", "clamp_to", "empty"),
    )
    ignores: tuple[str, ...] = _option((), f"parameters that have no effect: {', '.join(PARAMETERS)}", many=True)
    strays: int = _option(0, "records from outside of the window in each answer, within its limit", kind=int)
    late_share: float = _option(0.0, "share of the records, chosen by id, that shows late", kind=float)
    late_seconds: float = _option(0.0, "... so many seconds after they were put in", kind=float)
    late_request: int = _option(0, "... from this request on", kind=int)
    rate_limit: int | None = _option(None, "requests in any 60 seconds before 429", kind=int)
    retry_after: str = _option(
        "seconds", "form of Retry-After beside that 429; absurd: a year", choices=("seconds", "date", "absurd", "absent")
    )
    warnings: tuple[str, ...] = _option((), "texts in the envelope's warnings", many=True)

    def __post_init__(self) -> None:
        if isinstance(self.date_format, str):
            object.__setattr__(self, "date_format", (self.date_format,))
        for name in ("date_format", "ignores", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for option, choices in _CHOICES:
            if (value := getattr(self, option)) not in choices:
                raise ValueError(_wrong(option, value, f"choose one of {', '.join(choices)}"))
        for name in self.formats:
            if name not in DATE_FORMATS and "%" not in name:
                raise ValueError(_wrong("date_format", name, f"choose one of {', '.join(DATE_FORMATS)}, or write a strftime string"))
        if not self.formats:
            raise ValueError(_wrong("date_format", self.date_format, "name at least one"))
        for name in self.ignores:
            if name not in PARAMETERS:
                raise ValueError(_wrong("ignores", name, f"choose among {', '.join(PARAMETERS)}"))
        self._check_numbers()
        zone_of(self.timezone)

    def _check_numbers(self) -> None:
        for option in ("default_limit", "limit_cap", "rate_limit"):
            if (value := getattr(self, option)) is not None and value < 1:
                raise ValueError(_wrong(option, value, "give a whole number from 1 on"))
        for option in ("strays", "late_seconds", "late_request", "max_span"):
            if (value := getattr(self, option)) is not None and value < 0:
                raise ValueError(_wrong(option, value, "give a number from 0 on"))
        if not 0 <= self.late_share <= 1:
            raise ValueError(_wrong("late_share", self.late_share, "give a share between 0 and 1"))
        if (later := self.limit_cap_later) is not None and (len(later) != 2 or later[0] < 0 or later[1] < 1):  # noqa: PLR2004  # a pair
            raise ValueError(_wrong("limit_cap_later", later, "give two numbers: after how many requests, and the new cap"))
        if (lag := self.write_lag) is not None and (len(lag) != 2 or not 0 <= lag[0] <= lag[1]):  # noqa: PLR2004  # a pair
            raise ValueError(_wrong("write_lag", lag, "give two numbers of milliseconds from 0 on, the least and the most"))

    @property
    def formats(self) -> tuple[str, ...]:
        """``date_format`` as the tuple that it always becomes."""
        return (self.date_format,) if isinstance(self.date_format, str) else self.date_format


def _wrong(option: str, value: object, hint: str) -> str:
    return f"{option}={value!r} is not possible; {hint}"


_CHOICES: Final = tuple((item.name, item.metadata["choices"]) for item in dataclasses.fields(ServerOptions) if item.metadata["choices"])
