"""How far beyond the interval a reading reaches, so that nothing of the interval is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.api.date_formats import MINUTE
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.future import last_end

if TYPE_CHECKING:
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.client import EventLogsClient

__all__ = ["Extent"]


class Extent:
    """The interval ``[start, end)`` and the margin on both sides of it, up to the last end of windows where :mod:`.future` names one.

    :ivar windows_end_by: that end; ``None`` where windows may end as late as they have to.
    """

    def __init__(self, client: EventLogsClient, start: int, end: int) -> None:
        self._client = client
        self.start, self.end = start, end
        self.windows_end_by: int | None = None

    def find_end(self, bounds: Bounds) -> Flow[Bounds]:
        """Find out where windows have to end, for the margin of these bounds; returns them, or finer ones.

        :raises CalibrationError: see :func:`.last_end`.
        """
        if self.windows_end_by is None:
            self.windows_end_by, bounds = yield from last_end(self._client, bounds, self.end)
        return bounds

    @property
    def is_in_future(self) -> bool:
        """Whether no event log of the interval can be dated yet."""
        return self.windows_end_by is not None and self.windows_end_by <= self.start

    def span(self, bounds: Bounds) -> tuple[int, int]:
        """What is to be read, in times."""
        low, high = bounds.floor(self.start - bounds.margin), bounds.ceil(self.end + bounds.margin)
        return low, high if self.windows_end_by is None else min(high, self.windows_end_by)

    def require_read(self, bounds: Bounds, low: int) -> None:
        """Records were yielded already, of a reading from ``low`` on: it has to reach as far as the lag of these bounds.

        :raises CalibrationError: it does not.
        """
        if bounds.lag > (allowed := self.start - low):
            raise CalibrationError(
                f"The API compares its dates with a time {bounds.lag / MINUTE:.0f} minutes after `startTime`. At most "
                f"{allowed / MINUTE:.0f} minutes were allowed for, and records have been yielded by that",
                hint="export shorter intervals, and verify the objects later",
            )
