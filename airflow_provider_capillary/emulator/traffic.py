"""New event logs while the emulator runs, for sensors and watches to wait for."""

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
    """Add a synthetic event log with the current time at intervals, until the context ends.

    :param emulator: a running one.
    :param every: seconds between two event logs.
    :param seed: of the event logs, of which about one in ten is a failure.
    :raises ValueError: ``every`` is not above 0.
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

    poster = threading.Thread(target=post, name="capillary-emulator-live", daemon=True)
    poster.start()
    try:
        yield
    finally:
        ended.set()
        poster.join()
