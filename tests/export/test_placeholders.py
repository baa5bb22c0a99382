"""The placeholders of a destination: the path for an interval, and the error for each way to write them wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_capillary.errors import ConfigurationError, DestinationError
from airflow_provider_capillary.export.interval import Interval
from airflow_provider_capillary.export.placeholders import check_placeholders, fill_placeholders, zone_named

# The local 17th of September in London, and the hour before clocks go back there, in which it is 01:00 to 02:00 for the first time.
DAY = Interval(start=datetime(2025, 9, 16, 23, tzinfo=UTC), end=datetime(2025, 9, 17, 23, tzinfo=UTC), source="")
HOUR = Interval(start=datetime(2025, 10, 26, 0, tzinfo=UTC), end=datetime(2025, 10, 26, 1, tzinfo=UTC), source="")
NEW_YEAR = Interval(start=datetime(2024, 12, 30, tzinfo=UTC), end=datetime(2025, 1, 6, tzinfo=UTC), source="")

# Each row: a destination, an interval, the zone of the path, and the path.
FILLED = [
    ("s3://c@b/dt={interval_start:%Y-%m-%d}/x.jsonl", DAY, "UTC", "s3://c@b/dt=2025-09-16/x.jsonl"),
    ("s3://c@b/dt={interval_start:%Y-%m-%d}/x.jsonl", DAY, "Europe/London", "s3://c@b/dt=2025-09-17/x.jsonl"),
    ("s3://c@b/dt={interval_start:%Y-%m-%d}/x.jsonl", DAY, "Asia/Kolkata", "s3://c@b/dt=2025-09-17/x.jsonl"),
    ("s3://c@b/dt={interval_start:%Y-%m-%d}/x.jsonl", DAY, "America/New_York", "s3://c@b/dt=2025-09-16/x.jsonl"),
    ("/d/{interval_start:%Y/%m/%d}.jsonl", DAY, "Europe/London", "/d/2025/09/17.jsonl"),
    ("/d/{interval_start:%Y%m%d}_{interval_end:%Y%m%d}.jsonl", DAY, "Europe/London", "/d/20250917_20250918.jsonl"),
    ("/d/{interval_start:%Y}/{interval_start:%m}/{interval_start:%d}.jsonl", DAY, "UTC", "/d/2025/09/16.jsonl"),
    ("/d/{interval_start:%Y-%m-%dT%H%z}.jsonl", HOUR, "Europe/London", "/d/2025-10-26T01+0100.jsonl"),
    ("/d/{interval_end:%Y-%m-%dT%H%z}.jsonl", HOUR, "Europe/London", "/d/2025-10-26T01+0000.jsonl"),
    ("/d/{interval_end:%Y-%m-%dT%H-%Z}.jsonl", HOUR, "Europe/London", "/d/2025-10-26T01-GMT.jsonl"),
    ("/d/{interval_start:%G-W%V}.jsonl", NEW_YEAR, "UTC", "/d/2025-W01.jsonl"),
    ("/d/{interval_start:%G-W%V-%u}.jsonl", NEW_YEAR, "UTC", "/d/2025-W01-1.jsonl"),
    ("/d/{interval_start:%y%j-%H%M%S%f}.jsonl", NEW_YEAR, "UTC", "/d/24365-000000000000.jsonl"),
    ("/d/x.jsonl", DAY, "UTC", "/d/x.jsonl"),
]


@pytest.mark.parametrize(("destination", "interval", "zone", "expected"), FILLED)
def test_placeholders_are_filled_in_from_the_interval_in_the_zone_of_the_path(destination, interval, zone, expected):
    check_placeholders(destination, rendered=False)
    assert fill_placeholders(destination, interval, zone) == expected


def test_a_path_stays_a_path_with_its_connection():
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    given = ObjectStoragePath("file:///d") / "dt={interval_start:%Y-%m-%d}" / "x.jsonl"
    check_placeholders(given, rendered=False)
    filled = fill_placeholders(given, DAY, "Europe/London")
    assert type(filled) is type(given)
    assert str(filled) == "file:///d/dt=2025-09-17/x.jsonl"
    # A connection is only looked up when the path is used; `str` shows it.
    with_connection = fill_placeholders(ObjectStoragePath("file://my_conn@/d/{interval_end:%Y-%m-%d}.jsonl"), DAY, "UTC")
    assert str(with_connection) == str(ObjectStoragePath("file://my_conn@/d/2025-09-17.jsonl"))


# Each row: a destination that is written wrong, words of the problem, and words of the hint.
REFUSED = [
    ("/d/{interval_start}.jsonl", "'{interval_start}' with no format", "{interval_start:%Y-%m-%d}"),
    ("/d/{interval_end:}.jsonl", "'{interval_end:}' with no format", "{interval_end:%Y-%m-%d}"),
    ("/d/{interval_start:daily}.jsonl", "the format 'daily', which is the same at all times", "{interval_start:%Y-%m-%d}"),
    ("/d/{interval_begin:%Y}.jsonl", "'{interval_begin:%Y}', which is no placeholder", "{interval_end:...}"),
    ("/d/{interval_start!r}.jsonl", "'{interval_start!r}', which is no placeholder", "{interval_start:%Y-%m-%d}"),
    ("/d/{interval_start.year}.jsonl", "'{interval_start.year}', which is no placeholder", "{interval_start:%Y-%m-%d}"),
    ("/d/{ interval_start:%Y-%m-%d}.jsonl", "'{ interval_start:%Y-%m-%d}', which is no placeholder", "as in"),
    ("/d/{ds}.jsonl", "'{ds}', which is no placeholder", "{interval_start:%Y-%m-%d}"),
    ("/d/{}.jsonl", "'{}', which is no placeholder", "{interval_start:%Y-%m-%d}"),
    ("/d/{{ interval_start:%Y-%m-%d }}.jsonl", "'{{ interval_start', which jinja would read", "{interval_start:%Y-%m-%d}"),
    ("/d/{{interval_end}}.jsonl", "'{{interval_end', which jinja would read", "{interval_start:%Y-%m-%d}"),
    ("/d/{{ interval_start | ds }}.jsonl", "'{{ interval_start', which jinja would read", "single braces"),
    ("/d/{%Y-%m-%d}.jsonl", "'{%Y', which jinja would read", "{interval_start:%Y-%m-%d}"),
    ("/d/{interval_start:%Y.jsonl", "a '{' that belongs to no placeholder", "{interval_start:%Y-%m-%d}"),
    ("/d/interval_start:%Y}.jsonl", "a '}' that belongs to no placeholder", "as in"),
    ("/d/{interval_start:{%Y}}.jsonl", "{", "as in"),
    ("/d/{interval_start:{{ params.format }}}.jsonl", "a '{' that belongs to no placeholder", "without a template in it"),
    ("/d/{{ ds }}/{nope}.jsonl", "'{nope}', which is no placeholder", "as in"),
    ("/d/{interval_start:%d %B %Y}.jsonl", "%B depends on the worker's locale", "%Y, %m, %d"),
    ("/d/{interval_start:%x}.jsonl", "%x depends on the worker's locale", "%Y, %m, %d"),
    ("/d/{interval_start:%D}.jsonl", "%D is not written alike on every platform", "%Y, %m, %d"),
    ("/d/{interval_start:%-d}.jsonl", "%- is not written alike on every platform", "%Y, %m, %d"),
    ("/d/{interval_start:%Y-%m-%d %I%p}.jsonl", "%I names two hours of a day alike", "%H"),
    ("/d/{interval_start:%s}.jsonl", "%s is written in the worker's own zone", "%Y, %m, %d"),
    ("/d/{interval_start:%Y%%}.jsonl", "%% would put a percent sign into the path", "%Y, %m, %d"),
    ("/d/{interval_start:%Y-%}.jsonl", "% is not written alike", "%Y, %m, %d"),
]
# The same for formats that give several times one name, which only the whole text shows.
COLLIDING = [
    ("/d/{interval_start:%m-%d}.jsonl", "has %m, the month, without %Y or %y", "add %Y or %y"),
    ("/d/{interval_start:%Y-%d}.jsonl", "has %d, the day of the month, without %m", "add %m"),
    ("/d/{interval_start:%Y-%M-%d}.jsonl", "without", "%m"),
    ("/d/{interval_start:%Y%m%d%M}.jsonl", "has %M, the minute, without %H", "the month is %m"),
    ("/d/{interval_start:%H}.jsonl", "has %H, the hour, without %d or %j or", "as in {interval_start:%Y-%m-%d}"),
    ("/d/{interval_start:%Y-W%V}.jsonl", "has %V, the ISO week, without %G", "add %G"),
    ("/d/{interval_start:%G-%m-%d}.jsonl", "without", "add"),
    ("/d/{interval_start:%j}.jsonl", "has %j, the day of the year, without %Y", "add %Y"),
    ("/d/{interval_start:%Y-%u}.jsonl", "has %u, the day of the week, without %V", "add %V"),
    ("/d/{interval_start:%Y%m%d%S}.jsonl", "has %S, the second, without %M", "add %M"),
]


@pytest.mark.parametrize(("destination", "problem", "hint"), REFUSED + COLLIDING)
def test_a_wrong_placeholder_is_refused_while_the_dag_is_parsed(destination, problem, hint):
    with pytest.raises(DestinationError) as caught:
        check_placeholders(destination, rendered=False)
    assert problem in caught.value.problem
    assert hint in caught.value.hint + caught.value.problem
    assert repr(destination) in caught.value.problem


@pytest.mark.parametrize(("destination", "problem", "hint"), [row for row in REFUSED if "jinja" not in row[1]])
def test_a_wrong_placeholder_from_a_template_is_refused_in_the_run(destination, problem, hint):
    with pytest.raises(DestinationError):
        fill_placeholders(destination.replace("{{ ds }}", "2025-09-18"), DAY, "UTC")


# Destinations whose text in a template looks like a wrong placeholder, and is none.
ALLOWED = [
    "/d/{{ ds }}.jsonl",
    "/d/{{ {'a': {'b': 1}}['a']['b'] }}.jsonl",
    "/d/{% if params.x %}a{% endif %}{# {nothing} #}.jsonl",
    "/d/{{ params.interval_start }}.jsonl",
    "/d/{{ params.year }}/{interval_start:%m-%d}.jsonl",  # what jinja gives may tell the years apart
    "/d/{{ a syntax error of jinja's }/x.jsonl",
    "/d/100%/x.jsonl",
]


@pytest.mark.parametrize("destination", ALLOWED)
def test_text_inside_a_template_is_not_checked_before_it_is_rendered(destination):
    check_placeholders(destination, rendered=False)


def test_a_time_that_the_zone_cannot_show_is_an_error_of_the_path():
    first = Interval(start=datetime(1, 1, 1, tzinfo=UTC), end=datetime(1, 1, 2, tzinfo=UTC), source="")
    with pytest.raises(DestinationError, match="path_timezone='America/New_York'"):
        fill_placeholders("/d/{interval_start:%Y-%m-%d}.jsonl", first, "America/New_York")


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        ("Europe/Lodnon", "Europe/London"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("Europe", "Europe"),
        ("", "Europe/London"),
        ("../../etc/passwd", "path_timezone="),
        (None, "Europe/London"),
        (5.5, "Europe/London"),
        (UTC, "path_timezone="),
        (timedelta(hours=1), "path_timezone="),
    ],
)
def test_the_zone_of_the_path_is_the_iana_name_of_one(value, nearest):
    with pytest.raises(ConfigurationError) as caught:
        zone_named(value)
    assert f"path_timezone={value!r} (of type {type(value).__name__})" in caught.value.problem
    assert nearest in caught.value.hint
