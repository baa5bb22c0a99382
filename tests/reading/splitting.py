"""Whether the windows of a world can be split until each is proved whole: from the world's own settings, never from what a reader did.

Where they can, nothing but the whole truth will do. The rule that a reader may rest on: a window is whole when its answer holds fewer
records than the API has shown that it can give at once. So the windows can be split unless even the narrowest one that surely holds some
time (in the units in which the API reads dates, one more at each end, since nobody knows whether its bounds are inclusive) holds as many
as that; or unless the dates are not read at all as the client sends them.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench.dates import PRECISIONS, floor_to, next_unit

from airflow_provider_capillary.emulator.dates import zone_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from bench.fake_api import FakeApi

    from reading.worlds import Case

__all__ = ["capacity", "crowd", "format_sent", "in_future", "least_cap", "unit_of", "why_not"]

DOCUMENTED = 10
"""Records an answer, where no limit is sent."""
AUTO = ("epoch_ms", "iso_z", "iso", "datetime", "date")
"""What a client may try where no format is set, in the order in which it prefers them."""
LIMITS = (500, 200, 100, 50, 20, 10)
"""What a client may fall back to where its limit is refused."""
MOST_LAG = 300_000
"""Milliseconds by which the time that dates are compared with may lie after ``startTime``."""
SHORTEST_SPAN = 600
"""Seconds; where no longer window than this is answered, nothing is demanded."""
QUARTER = 900_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def why_not(case: Case, world: FakeApi) -> str | None:
    """Why the windows of this world can't be split until they are whole; ``None`` where they can."""
    does = case.options
    form = format_sent(case)
    reasons: list[tuple[str, object]] = [
        ("no format that is sent is read", form is None),
        ("dates are ignored", {"from_date", "to_date"}.intersection(does.get("ignores", ()))),
        ("records from outside of the window", does.get("strays")),
        ("full answers have holes", case.skips),
        ("another zone", not is_told_zone(case)),
        ("fewer than the documented ten at once", least_cap(case) < DOCUMENTED),
        ("nothing shows at first", case.records and not count_at_first(world)),
        ("windows too short", does.get("max_span") is not None and not is_long_enough(case, world)),
        (
            "written too late",
            max((world.write_time(name) - at for at, name in known(world)), default=0) > MOST_LAG and goes_by_writing(case),
        ),
        ("the future is not answered, and there", in_future(case, world)),
        ("too many at one time", form is not None and crowd(case, world) >= capacity(case, world)),
    ]
    return next((text for text, holds in reasons if holds), None)


def in_future(case: Case, world: FakeApi) -> bool:
    """Whether windows have to end there: dates do not show their zone, or no record is older than a window has to be long."""
    does = case.options
    oldest = min((at for at, _ in known(world)), default=0)
    is_coarse = PRECISIONS[unit_of(case)] >= PRECISIONS["hour"]
    is_new = does.get("present", 0) - oldest < 2 * (case.end - case.start + 2 * MOST_LAG)
    return does.get("future", "read") in ("refuse", "empty") and (is_coarse or is_new)


def known(world: FakeApi) -> list[tuple[int, str]]:
    return [(record["startTime"], record["id"]) for record in world.records]


def goes_by_writing(case: Case) -> bool:
    return case.options.get("filter_by") == "write_time"


def format_sent(case: Case) -> str | None:
    """The format in which the dates are sent that this server reads; ``None`` where there is none."""
    reads, setting = case.options.get("date_format", ("iso",)), case.settings.get("date_format", "auto")
    return next((form for form in (AUTO if setting == "auto" else (setting,)) if form in reads), None)


def carries_zone(form: str | None) -> bool:
    return form in ("epoch_ms", "iso_z")


def unit_of(case: Case) -> str:
    """The unit to which the API reads dates as they reach it: its own precision, or what the format can write where that is coarser."""
    form = format_sent(case) or "iso"
    written = "s"
    if form == "epoch_ms" or "%f" in form:
        written = "ms"
    elif form == "date" or ("%" in form and "%H" not in form):
        written = "day"
    elif "%H" in form and "%S" not in form:
        written = "minute"
    return max(written, case.options.get("precision", "ms"), key=PRECISIONS.__getitem__)


def is_told_zone(case: Case) -> bool:
    """Whether the client knows the zone by which the server reads dates, or needs none."""
    if case.options.get("timezone", "UTC") == case.settings.get("timezone", "UTC"):
        return True
    return carries_zone(format_sent(case)) and PRECISIONS[unit_of(case)] < PRECISIONS["hour"]


def least_cap(case: Case) -> int:
    """The most records of an answer, at the worst time of the reading."""
    does = case.options
    caps = [does.get("limit_cap"), (does.get("limit_cap_later") or [None, None])[1]]
    asked = DOCUMENTED if "limit" in does.get("ignores", ()) else case.settings.get("page_size", 1000)
    most = min([asked, *(cap for cap in caps if cap)])
    if does.get("over_limit") == "refuse" and most < asked:
        most = max([1, *(limit for limit in LIMITS if limit <= most)])
    return most - case.skips


def count_at_first(world: FakeApi) -> int:
    return sum(world._late.get(name, (0, 0))[1] <= 1 for _, name in known(world))


def capacity(case: Case, world: FakeApi) -> int:
    """The most records at once that the API is sure to show: its cap, or as many as there are, but no fewer than the documented ten."""
    return max(DOCUMENTED, min(least_cap(case), count_at_first(world)))


def is_long_enough(case: Case, world: FakeApi) -> bool:
    longest = case.options["max_span"]
    lag = max((world.write_time(name) - at for at, name in known(world)), default=0) if goes_by_writing(case) else 0
    hours = 12 * PRECISIONS["hour"] if zone_of(case.options.get("timezone", "UTC")) is not UTC else 0
    return longest >= SHORTEST_SPAN and longest * 1000 >= max(4 * PRECISIONS[unit_of(case)], 4 * lag, hours)


def crowd(case: Case, world: FakeApi) -> int:
    """The most records in the narrowest window that surely holds some time, had the dates the format that is set or read."""
    times = sorted(world.write_time(name) if goes_by_writing(case) else at for at, name in known(world))
    # The units beside those of the records have to be shown to be empty.
    ends = {narrowest(case, time) for time in times}
    windows = ends | {narrowest(case, time) for low, high in ends for time in (low, high - 1)}
    return max((bisect_left(times, high) - bisect_left(times, low) for low, high in windows), default=0)


def narrowest(case: Case, time: int) -> tuple[int, int]:
    """The times that match the narrowest window which surely holds ``time``, ``[low, high)``, were its bounds inclusive."""
    unit, form = unit_of(case), format_sent(case)
    is_fine = PRECISIONS[unit] < PRECISIONS["hour"]
    zone = UTC if carries_zone(form) and is_fine else zone_of(case.options.get("timezone", "UTC"))
    # A client that sends UTC can't know where the units of another zone begin.
    more = 1 + (carries_zone(form) and zone is not UTC)
    low = floor_to(time, unit, zone)
    high = next_unit(low, unit, zone)
    for _ in range(more - 1):
        high = next_unit(high, unit, zone)
    for _ in range(more):
        low = floor_to(low - 1, unit, zone)
    # An hour that happens twice can't be written without an offset.
    if not carries_zone(form):
        while is_twice(low, zone):
            low = floor_to(low - low % QUARTER - 1, unit, zone)
        while is_twice(high, zone):
            high += QUARTER - high % QUARTER
    return low, next_unit(floor_to(high, unit, zone), unit, zone)


def is_twice(time: int, zone: tzinfo) -> bool:
    if zone is UTC:
        return False
    local = (EPOCH + timedelta(milliseconds=time)).astimezone(zone)
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
