"""Timestamps as users write them, as epoch milliseconds, and as text.

A timestamp states its zone: an aware datetime, or an ISO 8601 date and time with an offset. A date alone, a time without an offset and
a number are refused: each could mean several moments, and an interval in the wrong zone loses records without any error.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NoReturn

from airflow_provider_capillary.errors import IntervalError

__all__ = ["format_duration", "format_timestamp", "from_millis", "parse_timestamp", "round_duration", "to_millis"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,6})?)?(?P<offset>[Zz]|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-?\d\d-?\d\d", re.ASCII)
_EXAMPLE: Final = "2025-09-18T00:00:00+00:00"
_LONGEST_SHOWN: Final = 80


def parse_timestamp(value: object, name: str) -> datetime:
    """``value`` as an aware datetime in UTC, exactly.

    :param value: an aware datetime (pendulum's too), or ISO 8601 text with an offset. The text may have a space instead of the ``T``, as a
        template renders a datetime, and at most six digits of a second.
    :param name: the name of the argument, for the error.
    :raises IntervalError: the value is anything else.

    >>> parse_timestamp("2025-09-18T05:30:00+05:30", "start")
    datetime.datetime(2025, 9, 18, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, datetime):
        return _to_utc(value, value, name)
    if isinstance(value, date):
        _refuse(value, name, "a date without a time of day", f"write when that day begins, as in {_EXAMPLE}")
    if not isinstance(value, str):
        _refuse(value, name, "neither a datetime nor text", f"pass an aware datetime or ISO text such as {_EXAMPLE}")
    text = value.strip()
    if _DATE.fullmatch(text):
        _refuse(value, name, "a date without a time of day", f"write when that day begins, as in {_EXAMPLE}")
    if text == "None":
        hint = "end the template with `or ''` to leave the parameter out: {{ ... or '' }}"
        _refuse(value, name, "the text that a template makes of None", hint)
    match = _ISO.fullmatch(text)
    if match is None:
        _refuse(value, name, "not an ISO 8601 date and time", f"write it as in {_EXAMPLE}")
    try:
        parsed = datetime.fromisoformat(text.upper())
    except ValueError:
        _refuse(value, name, "not a date and time that exists", f"write it as in {_EXAMPLE}")
    return _to_utc(parsed, value, name)


def to_millis(moment: datetime) -> int:
    """UTC epoch milliseconds of an aware datetime, rounded up; exact, without floats.

    Rounded up, because records have whole milliseconds: ``[start, end)`` holds the same records when both its bounds are rounded up.

    >>> to_millis(datetime(2025, 9, 18, 0, 0, 0, 1, tzinfo=UTC))
    1758153600001

    :raises ValueError: for a naive datetime.
    """
    if moment.utcoffset() is None:
        msg = f"{moment!r} has no zone"
        raise ValueError(msg)
    # UTC first: Python subtracts two datetimes of one zone by wall clock, which is wrong across a change of the offset.
    since_epoch = _plain_utc(moment) - _EPOCH
    return -(-((since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds) // 1_000)


def from_millis(millis: int) -> datetime:
    """The aware UTC datetime of epoch milliseconds; exact, without floats."""
    return _EPOCH + timedelta(milliseconds=millis)


def format_timestamp(timestamp: datetime | int, *, timespec: str = "auto") -> str:
    """ISO 8601 in UTC, with ``Z``: the one form in which this package writes a timestamp.

    :param timestamp: an aware datetime, or UTC epoch milliseconds.
    :param timespec: as in ``datetime.isoformat``: ``auto`` leaves out what is zero; ``milliseconds`` always writes three digits, as
        results, receipts and manifests have them, and cuts off the rest.

    >>> format_timestamp(datetime(2025, 9, 18, tzinfo=UTC)), format_timestamp(1_758_153_600_000, timespec="milliseconds")
    ('2025-09-18T00:00:00Z', '2025-09-18T00:00:00.000Z')
    """
    moment = from_millis(timestamp) if isinstance(timestamp, int) else _plain_utc(timestamp)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def format_duration(duration: timedelta) -> str:
    """A length of time in words, exactly.

    >>> format_duration(timedelta(days=1)), format_duration(timedelta(hours=1, seconds=1.5)), format_duration(-timedelta(minutes=5))
    ('1 day', '1 hour 1.5 seconds', '-5 minutes')
    """
    if duration < timedelta():
        return f"-{format_duration(-duration)}"
    hours, rest = divmod(duration.seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    digits = f"{seconds}.{duration.microseconds:06}".rstrip("0").rstrip(".") if duration.microseconds else str(seconds)
    parts = [(str(duration.days), "day"), (str(hours), "hour"), (str(minutes), "minute"), (digits, "second")]
    words = [f"{number} {name}{'' if number == '1' else 's'}" for number, name in parts if number != "0"]
    return " ".join(words) or "0 seconds"


def round_duration(duration: timedelta) -> timedelta:
    """A length of time to two or three digits, for a person to read: in seconds, minutes, hours or days.

    >>> format_duration(round_duration(timedelta(hours=3, minutes=20, seconds=7.004)))
    '3 hours 20 minutes'
    """
    units = {timedelta(seconds=1): timedelta(minutes=10), timedelta(minutes=1): timedelta(hours=10), timedelta(hours=1): timedelta(days=10)}
    unit = next((unit for unit, below in units.items() if duration < below), timedelta(days=1))
    return round(duration / unit) * unit


def _to_utc(moment: datetime, value: object, name: str) -> datetime:
    if moment.utcoffset() is None:
        _refuse(value, name, "without an offset, so its zone is unknown", f"add the offset, as in {_EXAMPLE}")
    try:
        return _plain_utc(moment)
    except OverflowError:
        _refuse(value, name, "outside the years that exist in UTC", "write a time between the years 1 and 9999")


def _plain_utc(moment: datetime) -> datetime:
    """In UTC, as a plain ``datetime``: a subclass such as pendulum's may compute and format differently."""
    utc = moment.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC)


def _refuse(value: object, name: str, problem: str, hint: str) -> NoReturn:
    shown = value.isoformat() if isinstance(value, date) else repr(value)
    shown = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "..."
    raise IntervalError(f"`{name}` is {shown} (of type {type(value).__name__}), {problem}", hint=hint)
