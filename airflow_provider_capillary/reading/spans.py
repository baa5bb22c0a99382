"""Whether an empty stretch is empty, or the window too long for the API.

Nothing documents a longest window. An API that has one may refuse what is longer, answer it with nothing, or silently cut it at
either end; the last three look like a stretch without records. A stretch is believed to be empty where windows of its length are known
to be answered up to both ends; where none is, one is asked for next to the record that the API gives first of all: beside it lies nothing
that could crowd it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.dates import HOUR
from airflow_provider_capillary.reading.questions import WindowRefusedError

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.calibration import Wire
    from airflow_provider_capillary.reading.questions import Questions
    from airflow_provider_capillary.reading.steps import Steps

__all__ = ["prove_spans"]


def prove_spans(questions: Questions, wire: Wire, beside: int, *, backward: int = 0, forward: int = 0) -> Steps[int]:
    """Prove that windows are not cut short.

    :param beside: the time of a record with fewer others around it than one answer holds.
    :param backward: the length, milliseconds, of a window that must be answered back to its start.
    :param forward: the length of one that must be answered up to its end.
    :returns: how many records came back, 0 where nothing had to be asked.
    :raises CalibrationError: where windows are cut.
    """
    back = backward + HOUR if questions.backward < backward else 0
    ahead = forward + HOUR if questions.forward < forward else 0
    if not back and not ahead:
        return 0
    count = yield from _ask(questions, wire, beside - ahead, beside + 1 + back)
    if questions.backward < backward and questions.forward < forward:
        # Twice as long a window as was wanted may have been too long.
        yield from _ask(questions, wire, beside, beside + 1 + back)
        yield from _ask(questions, wire, beside - ahead, beside + 1)
    _require(questions.backward, backward)
    _require(questions.forward, forward)
    return count


def _ask(questions: Questions, wire: Wire, low: int, high: int) -> Steps[int]:
    first, last = wire.lower(low), wire.upper(high)
    try:
        return len((yield from questions.steady_window(wire.dates, first, last)))
    except WindowRefusedError:
        # An API that refuses what is too long for it does not cut it in silence.
        questions.backward = max(questions.backward, high - low)
        questions.forward = max(questions.forward, high - low)
        return 0


def _require(proved: int, length: int) -> None:
    if proved < length:
        raise CalibrationError(
            f"The API cuts long windows short without saying so: of one of {length / HOUR:.1f} hours it answered {proved / HOUR:.1f}",
            cure="export shorter intervals, with a schedule (or `start` and `end`) of at most that length",
        )
