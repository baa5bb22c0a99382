"""The week of the synthetic event logs that the emulator holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["WEEK", "day_of"]

WEEK = [datetime(2025, 9, 12, tzinfo=UTC) + timedelta(days=number) for number in range(7)]
"""Its days."""


def day_of(record):
    """The day of an event log, as a folder bears it."""
    return f"{datetime.fromtimestamp(record['startTime'] / 1000, UTC):%Y-%m-%d}"
