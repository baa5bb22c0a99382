"""How the stand-in reads dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_capillary.emulator.dates import date_reader, epoch_ms, floor_to, next_unit, zone_of


def at(*parts: int) -> int:
    return epoch_ms(datetime(*parts, tzinfo=UTC))


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("iso", "2025-09-18T01:02:03", at(2025, 9, 18, 1, 2, 3)),
        ("iso", "2025-09-18T01:02:03.4567", at(2025, 9, 18, 1, 2, 3, 456_000)),
        ("iso", "2025-09-18T01:02:03Z", None),
        ("iso", "2025-09-18 01:02:03", None),
        ("iso", "2025-09-18", None),
        ("iso", "2025-13-18T01:02:03", None),
        ("iso", "1758153600000", None),
        ("iso", "٢٠٢٥-09-18T01:02:03", None),
        ("iso_z", "2025-09-18T01:02:03Z", at(2025, 9, 18, 1, 2, 3)),
        ("iso_z", "2025-09-18T01:02:03.5-0100", at(2025, 9, 18, 2, 2, 3, 500_000)),
        ("iso_z", "2025-09-18T01:02:03 05:30", None),
        ("iso_z", "2025-09-18T01:02:03+99:00", None),
        ("iso_z", "2025-09-18T01:02:03", None),
        ("datetime", "2025-09-18 01:02:03", at(2025, 9, 18, 1, 2, 3)),
        ("datetime", "2025-09-18T01:02:03", None),
        ("date", "2025-09-18", at(2025, 9, 18)),
        ("date", "2025-09-18T00:00:00", None),
        ("epoch_ms", "1758153600123", 1_758_153_600_123),
        ("epoch_ms", "-1", -1),
        ("epoch_ms", "1758153600.5", None),
        ("%Y-%m-%dT%H:%MZ", "2025-09-18T01:02Z", at(2025, 9, 18, 1, 2)),
        ("%d.%m.%Y %z", "18.09.2025 +0530", at(2025, 9, 17, 18, 30)),
        ("%Y", "x", None),
    ],
)
def test_a_format_reads_its_own_texts_alone(form, text, expected):
    assert date_reader((form,), "UTC", "read")(text) == expected


def test_the_zone_is_for_dates_without_an_offset_alone():
    read = date_reader(("iso", "iso_z", "epoch_ms"), "Asia/Kolkata", "read")
    assert read("2025-09-18T05:30:00") == read("2025-09-18T00:00:00Z") == read("1758153600000") == at(2025, 9, 18)


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


def test_an_instant_beyond_all_calendars_has_a_floor_too():
    assert floor_to(10**15 - 1, "day", zone_of("Asia/Kolkata")) < 10**15
