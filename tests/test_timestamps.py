"""Timestamps: which text is one, how many milliseconds it is, and how it is written."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_capillary.errors import IntervalError
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, from_millis, parse_timestamp, round_duration, to_millis

MIDNIGHT = datetime(2025, 9, 18, tzinfo=UTC)

# Each row: a timestamp as a user may write it, and the moment that it means.
TIMESTAMPS = [
    ("2025-09-18T00:00:00Z", MIDNIGHT),
    ("2025-09-18T00:00:00z", MIDNIGHT),
    ("2025-09-18t00:00Z", MIDNIGHT),
    ("2025-09-18T05:30:00+05:30", MIDNIGHT),
    ("2025-09-18T05:30:00+0530", MIDNIGHT),
    ("2025-09-17 19:00:00-05", MIDNIGHT),
    ("\t2025-09-18T00:00:00+00:00\n", MIDNIGHT),
    ("2025-09-18T00:00:00.5Z", MIDNIGHT.replace(microsecond=500_000)),
    ("2025-09-18T00:00:00.123456Z", MIDNIGHT.replace(microsecond=123_456)),
    (datetime(2025, 9, 18, 5, 30, tzinfo=ZoneInfo("Asia/Kolkata")), MIDNIGHT),
    (datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
]


@pytest.mark.parametrize(("value", "moment"), TIMESTAMPS)
def test_a_timestamp_with_its_zone_is_read_exactly(value, moment):
    parsed = parse_timestamp(value, "start")
    assert (parsed, type(parsed), parsed.tzinfo) == (moment, datetime, UTC)


# Each row: a value that is no timestamp, and what the error says of it.
REFUSED = [
    (datetime(2025, 9, 18), "without an offset"),  # noqa: DTZ001
    ("2025-09-18T00:00:00", "without an offset"),
    (date(2025, 9, 18), "a date without a time of day"),
    ("2025-09-18", "a date without a time of day"),
    ("20250918", "a date without a time of day"),
    ("None", "the text that a template makes of None"),
    ("", "not an ISO 8601"),
    ("yesterday", "not an ISO 8601"),
    ("18.09.2025 00:00:00+00:00", "not an ISO 8601"),
    ("2025-09-18T00:00:00 UTC", "not an ISO 8601"),
    ("2025-09-18T00:00:00.1234567Z", "not an ISO 8601"),
    ("2025-W38-4T00:00:00Z", "not an ISO 8601"),
    ("{{ data_interval_start }}", "not an ISO 8601"),
    ("\u0662025-09-18T00:00:00Z", "not an ISO 8601"),
    ("1758153600000", "not an ISO 8601"),
    ("2025-02-30T00:00:00Z", "that exists"),
    ("2025-09-18T24:00:00Z", "that exists"),
    ("2025-09-18T23:59:60Z", "that exists"),
    ("2025-09-18T00:00:00+25:00", "that exists"),
    ("0001-01-01T00:00:00+01:00", "outside the years"),
    (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "outside the years"),
    (1758153600000, "neither a datetime nor text"),
    (1758153600.0, "neither a datetime nor text"),
    (True, "neither a datetime nor text"),
    (None, "neither a datetime nor text"),
    (["2025-09-18T00:00:00Z"], "neither a datetime nor text"),
]


@pytest.mark.parametrize(("value", "words"), REFUSED)
def test_a_value_that_could_mean_several_moments_is_refused(value, words):
    with pytest.raises(IntervalError) as caught:
        parse_timestamp(value, "since")
    text = str(caught.value)
    assert text.startswith("`since` is ")
    assert f"(of type {type(value).__name__})" in text
    assert re.search(words, text), text
    assert caught.value.hint


def test_a_long_value_is_cut_short_in_the_error():
    with pytest.raises(IntervalError) as caught:
        parse_timestamp("x" * 10_000, "start")
    assert len(str(caught.value)) < 300


# A timestamp, and its milliseconds since 1970; microseconds are rounded up, before 1970 too.
@pytest.mark.parametrize(
    ("timestamp", "millis"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (MIDNIGHT, 1_758_153_600_000),
        (MIDNIGHT.replace(microsecond=1), 1_758_153_600_001),
        (MIDNIGHT.replace(microsecond=999), 1_758_153_600_001),
        (MIDNIGHT.replace(microsecond=1_000), 1_758_153_600_001),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), -1),
        (MIDNIGHT.replace(microsecond=16_000), 1_758_153_600_016),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_800_000),
    ],
)
def test_milliseconds_are_rounded_up(timestamp, millis):
    assert to_millis(timestamp) == millis


def test_a_naive_datetime_has_no_milliseconds():
    with pytest.raises(ValueError, match="no zone"):
        to_millis(datetime(2025, 9, 18))  # noqa: DTZ001


AWARE = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones())  # noqa: DTZ001


@given(
    start=AWARE,
    end=AWARE,
    record=st.integers(-62_000_000_000_000, 253_000_000_000_000),
)
def test_a_half_open_interval_holds_the_same_records_by_milliseconds(start, end, record):
    at = from_millis(record)
    exact = start.astimezone(UTC) <= at < end.astimezone(UTC)
    assert (to_millis(start) <= record < to_millis(end)) == exact


@given(st.integers(-62_000_000_000_000, 253_000_000_000_000))
def test_milliseconds_come_back_exactly(millis):
    assert to_millis(from_millis(millis)) == millis


@given(AWARE)
def test_a_written_timestamp_is_read_back(moment):
    assert parse_timestamp(format_timestamp(moment), "start") == moment.astimezone(UTC)


# Each row: a timestamp as a datetime or as epoch milliseconds, and its text with as few digits as it needs, and with milliseconds.
WRITTEN = [
    (MIDNIGHT, "2025-09-18T00:00:00Z", "2025-09-18T00:00:00.000Z"),
    (MIDNIGHT.astimezone(ZoneInfo("Asia/Kolkata")), "2025-09-18T00:00:00Z", "2025-09-18T00:00:00.000Z"),
    (MIDNIGHT + timedelta(microseconds=1), "2025-09-18T00:00:00.000001Z", "2025-09-18T00:00:00.000Z"),
    (1_758_153_600_000, "2025-09-18T00:00:00Z", "2025-09-18T00:00:00.000Z"),
    (1_758_153_600_945, "2025-09-18T00:00:00.945000Z", "2025-09-18T00:00:00.945Z"),
    (-1, "1969-12-31T23:59:59.999000Z", "1969-12-31T23:59:59.999Z"),
]


@pytest.mark.parametrize(("timestamp", "short", "with_milliseconds"), WRITTEN)
def test_a_timestamp_is_written_in_utc(timestamp, short, with_milliseconds):
    assert format_timestamp(timestamp) == short
    assert format_timestamp(timestamp, timespec="milliseconds") == with_milliseconds


# Each row: a duration, and its words.
DURATIONS = {
    timedelta(): "0 seconds",
    timedelta(days=1): "1 day",
    timedelta(days=2, minutes=1): "2 days 1 minute",
    timedelta(hours=25): "1 day 1 hour",
    timedelta(minutes=5, seconds=30): "5 minutes 30 seconds",
    timedelta(milliseconds=1500): "1.5 seconds",
    timedelta(microseconds=1): "0.000001 seconds",
    timedelta(seconds=1): "1 second",
    timedelta(days=-1): "-1 day",
}


# A length of time, and the same for a person to read.
ROUNDED = [
    (timedelta(), timedelta()),
    (timedelta(seconds=599, milliseconds=400), timedelta(seconds=599)),
    (timedelta(minutes=10, seconds=31), timedelta(minutes=11)),
    (timedelta(hours=9, minutes=59, seconds=3), timedelta(hours=9, minutes=59)),
    (timedelta(hours=10, minutes=20), timedelta(hours=10)),
    (timedelta(days=9, hours=23, minutes=40), timedelta(days=10)),
    (timedelta(days=12, hours=13), timedelta(days=13)),
]


@pytest.mark.parametrize(("duration", "rounded"), ROUNDED, ids=str)
def test_a_duration_is_rounded_to_two_or_three_digits(duration, rounded):
    assert round_duration(duration) == rounded


@pytest.mark.parametrize("duration", DURATIONS, ids=str)
def test_a_duration_is_written_in_words(duration):
    assert format_duration(duration) == DURATIONS[duration]
