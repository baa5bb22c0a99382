"""Every way in which servers may differ that the test of a DAG does not depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_capillary.emulator.options import ServerOptions as PackageOptions
from airflow_provider_capillary.emulator.options import option, wrong_option
from bench.dates import PRECISIONS

__all__ = ["TIMES", "ServerOptions"]

PARAMETERS: Final = ("event_name", "from_date", "to_date", "limit")
"""The four documented query parameters."""

TIMES: Final = ("start_time", "write_time")
"""The times that a server may go by: ``startTime``, or when the event log was written, which is after the event was processed."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions(PackageOptions):
    """The options of the package, and these.

    Whatever the options: an answer to fewer matches than its limit holds all of them.
    """

    order: str = option(
        "newest",
        "order of an answer; unsorted is fixed (by id), shuffled differs each time",
        choices=("newest", "oldest", "unsorted", "shuffled"),
    )
    fractions: str = option(
        "read", "a fraction of a second in iso, iso_z, datetime: read, dropped, or unreadable", choices=("read", "drop", "refuse")
    )
    unparsable_date: str = option(
        "refuse", "a date that cannot be read: 400, as if not sent, or an empty answer", choices=("refuse", "ignore", "empty")
    )
    precision: str = option("ms", "how finely dates are read", choices=tuple(PRECISIONS))
    coarse_bound: str = option(
        "unit",
        "with a coarse precision: compare units with units (an inclusive to_date covers its whole unit), "
        "or the floored date with the exact time of a record",
        choices=("unit", "instant"),
    )
    from_bound: str = option("inclusive", "whether a record at from_date matches", choices=("inclusive", "exclusive"))
    to_bound: str = option("inclusive", "whether a record at to_date matches", choices=("inclusive", "exclusive"))
    filter_by: str = option("start_time", "which time of a record the dates are compared with", choices=TIMES)
    order_by: str = option("start_time", "which time of a record newest and oldest go by", choices=TIMES)
    write_lag: tuple[int, int] | None = option(
        None,
        "LEAST,MOST: a record is written so many ms after its startTime, drawn by id, mostly short; none: its responseTime",
        kind=int,
        many=True,
    )
    tie_order: str = option(
        "stable", "order among records of one time, newest or oldest first: by id, or new each time", choices=("stable", "varying")
    )
    cut: str = option(
        "leading",
        "what an answer shorter than the matches keeps: the first or last of the order, or any (fixed by a key, or at random)",
        choices=("leading", "trailing", "sample", "sample_random"),
    )
    limit_cap_later: tuple[int, int] | None = option(None, "K,N: the cap becomes N after K requests", kind=int, many=True)
    max_span: float | None = option(None, "longest span from from_date to to_date, seconds; where only one is sent, none", kind=float)
    over_span: str = option(
        "refuse",
        "a longer span: 400, only its part next to to_date, only its part next to from_date, or an empty answer",
        choices=("refuse", "clamp_from", "clamp_to", "empty"),
    )
    present: int | None = option(None, "the present, UTC epoch milliseconds; none: later than all dates", kind=int)
    future: str = option(
        "read",
        "a to_date after the present: read as any other, 400, an empty answer, or the present",
        choices=("read", "refuse", "empty", "present"),
    )
    undated_days: int | None = option(None, "without dates, only the last so many days are looked through", kind=int)
    ignores: tuple[str, ...] = option((), f"parameters that have no effect: {', '.join(PARAMETERS)}", many=True)
    strays: int = option(0, "records from outside of the window in each answer, within its limit", kind=int)
    names: str = option(
        "before", "event_name is applied before the limit, or after it to what the limit leaves", choices=("before", "after")
    )
    named_cap: int | None = option(None, "most records in an answer to an event_name", kind=int)
    late_share: float = option(0.0, "share of the records, chosen by id, that shows late", kind=float)
    late_request: int = option(0, "... from this request on", kind=int)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.ignores:
            if name not in PARAMETERS:
                raise ValueError(wrong_option("ignores", name, f"choose among {', '.join(PARAMETERS)}"))
        for name in ("strays", "late_request", "max_span"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise ValueError(wrong_option(name, value, "give a number from 0 on"))
        if not 0 <= self.late_share <= 1:
            raise ValueError(wrong_option("late_share", self.late_share, "give a share between 0 and 1"))
        if (later := self.limit_cap_later) is not None and (len(later) != 2 or later[0] < 0 or later[1] < 1):
            raise ValueError(wrong_option("limit_cap_later", later, "give two numbers: after how many requests, and the new cap"))
        if (lag := self.write_lag) is not None and (len(lag) != 2 or not 0 <= lag[0] <= lag[1]):
            raise ValueError(wrong_option("write_lag", lag, "give two numbers of milliseconds from 0 on, the least and the most"))
