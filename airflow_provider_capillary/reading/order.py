"""The order of an answer in time, and the walk's two directions as one.

A walk goes from the end of the interval that the API gives first to the other. :class:`Order` turns instants into positions that grow
along the walk, so that every rule is written once.
"""

from __future__ import annotations

from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.reading.steps import Record

__all__ = ["Order"]


class Order(Enum):
    """Which records an answer gives first."""

    NEWEST_FIRST = -1
    OLDEST_FIRST = 1

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")

    def position(self, instant: int) -> int:
        """Grows along the walk."""
        return self.value * instant

    def follows(self, records: Sequence[Record]) -> bool:
        """Whether ``records`` are in this order; equal times in any."""
        places = (self.value * record["startTime"] for record in records)
        return all(before <= after for before, after in pairwise(places))

    @classmethod
    def of(cls, records: Sequence[Record]) -> Order | None:
        """The order that ``records`` show, ``None`` where all times are equal.

        :raises ValueError: where they are in neither.
        """
        fits = [order for order in cls if order.follows(records)]
        if not fits:
            msg = "in no order of time"
            raise ValueError(msg)
        return fits[0] if len(fits) == 1 else None
