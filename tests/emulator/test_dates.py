"""How the emulator reads dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_capillary.emulator.dates import date_reader, epoch_ms


def at(*parts: int) -> int:
    return epoch_ms(datetime(*parts, tzinfo=UTC))


# A format, the text of a date, and its UTC epoch milliseconds, None for a text of another format.
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
def test_a_format_reads_only_its_own_texts(form, text, expected):
    assert date_reader((form,), "UTC")(text) == expected


def test_the_zone_applies_only_to_dates_without_an_offset():
    read = date_reader(("iso", "iso_z", "epoch_ms"), "Asia/Kolkata")
    assert read("2025-09-18T05:30:00") == read("2025-09-18T00:00:00Z") == read("1758153600000") == at(2025, 9, 18)
