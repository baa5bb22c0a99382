"""Which failed poll is repeated at once, without waiting for the next one. The sensor and the triggerer's poller both ask here."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.errors import CalibrationError, ContinuityError, TieError

if TYPE_CHECKING:
    from airflow_provider_capillary.errors import CapillaryError

__all__ = ["REPEAT_DELAY", "NextStep", "next_step"]

REPEAT_DELAY: Final = 1.0
"""Seconds before a failed poll is repeated at once."""
MOST_REPEATS: Final = 2
"""Repeats of one poll whose answers contradict one another."""


class NextStep(Enum):
    """What to do about a failed poll."""

    RECALIBRATE = "forget what was learned about the API's dates, then poll again at once"
    REPEAT = "poll again at once"
    RAISE = "raise the error"


def next_step(error: CapillaryError, repeats: int) -> NextStep:
    """Decide about a failed poll.

    A poll that has to recalibrate is repeated once: what was learned while the API was quiet may be too little for a burst. A poll whose
    answers contradict one another is repeated twice: records may have been deleted while they were read. Every other error is raised; a
    poll can still succeed after it if the error is ``retryable``, but only at the next poll that is due.

    :param error: what the poll raised.
    :param repeats: how often this poll was already repeated.
    """
    if isinstance(error, CalibrationError | TieError) and not repeats:
        return NextStep.RECALIBRATE
    if isinstance(error, ContinuityError) and repeats < MOST_REPEATS:
        return NextStep.REPEAT
    return NextStep.RAISE
