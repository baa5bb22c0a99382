"""Units of time that dates are floored to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_capillary.emulator.dates import epoch_ms, zone_of
from bench.dates import floor_to, next_unit


def at(*parts: int) -> int:
    return epoch_ms(datetime(*parts, tzinfo=UTC))


# A zone, a precision, a time, the start of its unit by the zone's clock, and the start of the next unit.
@pytest.mark.parametrize(
    ("zone", "precision", "moment", "floor", "after"),
    [
        ("UTC", "ms", at(2025, 9, 18, 1, 2, 3, 4000), at(2025, 9, 18, 1, 2, 3, 4000), at(2025, 9, 18, 1, 2, 3, 5000)),
        ("UTC", "minute", at(2025, 9, 18, 1, 2, 3), at(2025, 9, 18, 1, 2), at(2025, 9, 18, 1, 3)),
        ("UTC", "day", at(1969, 12, 31, 23), at(1969, 12, 31), at(1970, 1, 1)),
        ("Asia/Kolkata", "hour", at(2025, 9, 18, 1, 10), at(2025, 9, 18, 0, 30), at(2025, 9, 18, 1, 30)),
        ("Asia/Kolkata", "day", at(2025, 9, 18, 1), at(2025, 9, 17, 18, 30), at(2025, 9, 18, 18, 30)),
        ("Europe/Berlin", "day", at(2025, 10, 26, 12), at(2025, 10, 25, 22), at(2025, 10, 26, 23)),
        ("Europe/Berlin", "day", at(2025, 3, 30, 12), at(2025, 3, 29, 23), at(2025, 3, 30, 22)),
    ],
)
def test_a_unit_begins_and_ends_by_the_clock_of_the_zone(zone, precision, moment, floor, after):
    assert floor_to(moment, precision, zone_of(zone)) == floor
    assert next_unit(floor, precision, zone_of(zone)) == after


def test_a_time_beyond_all_calendars_has_a_floor_too():
    assert floor_to(10**15 - 1, "day", zone_of("Asia/Kolkata")) < 10**15
