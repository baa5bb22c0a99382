"""Event logs that happen while one looks: what a sensor or a watch waits for, when there is nothing but the stand-in."""

from __future__ import annotations

import contextlib
import itertools
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_capillary.emulator.data import synthetic_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.emulator.api import Emulator

__all__ = ["live"]


@contextlib.contextmanager
def live(emulator: Emulator, *, every: float, seed: int = 0) -> Iterator[None]:
    """Add a made-up event log of the moment to it now and again, until the context is left.

    :param emulator: a running one.
    :param every: seconds from one to the next.
    :param seed: of what they are; one in ten is a failure.
    :raises ValueError: ``every`` is not more than nothing.
    """
    if not every > 0:
        message = f"live={every!r} is not possible; give a number of seconds above 0"
        raise ValueError(message)
    ended = threading.Event()

    def post() -> None:
        for number in itertools.count():
            if ended.wait(every):
                return
            moment = datetime.now(UTC)
            (record,) = synthetic_records(1, seed=(seed + 1) * 1_000_003 + number, start=moment, end=moment + timedelta(seconds=1))
            emulator.add(record | {"startTime": int(moment.timestamp() * 1000)})

    poster = threading.Thread(target=post, name="emulator stats", daemon=True)
    poster.start()
    try:
        yield
    finally:
        ended.set()
        poster.join()
