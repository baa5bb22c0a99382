"""What a trigger hands to the task that it wakes: ids, counts, times, or an error. Airflow logs and stores it.

=============  ===========================================================================================
``outcome``    with it
=============  ===========================================================================================
``found``      ``hunt``: the search as it ended, :meth:`~airflow_provider_capillary.polling.poll_state.PollState.to_json`
``failed``     ``error``: the name of a class of :mod:`~airflow_provider_capillary.errors`, and its fields
=============  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_capillary import errors
from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.polling.poll_state import PollState

__all__ = ["failed", "found", "state_of"]

_FIELDS: Final = ("request", "response", "request_id", "hint")
_OLD_FIELDS: Final = {"asked": "request", "answered": "response", "cure": "hint"}
"""As the first version named them; its events may still be under way during an upgrade."""


def found(state: PollState) -> dict[str, Any]:
    """The event of a search that has found enough."""
    return {"outcome": "found", "hunt": state.to_json()}


def failed(error: CapillaryError) -> dict[str, Any]:
    """The event of a search that no waiting will help."""
    fields = {name: getattr(error, name) for name in _FIELDS}
    return {"outcome": "failed", "error": type(error).__name__, "problem": error.problem, "retryable": error.retryable, **fields}


def state_of(event: object) -> PollState:
    """What an event says was found.

    A task that took an event which it does not know for good news would start what depends on it for nothing. ``None`` arrives where
    a trigger ended without an event.

    :raises CapillaryError: the error that the event holds, of its own class; or one of this class, where it is no event of this package.
    """
    match event:
        case {"outcome": "found", "hunt": str(text)}:
            return PollState.from_json(text)
        case {"outcome": "failed", "error": str(name), "problem": str(problem), **fields}:
            raise _rebuilt(name, problem, {str(field): value for field, value in fields.items()})
    outcome = event.get("outcome") if isinstance(event, Mapping) else None
    what = (
        f"an event whose outcome is {outcome!r:.80}" if outcome is not None else f"no event of its trigger (of type {type(event).__name__})"
    )
    raise CapillaryError(
        f"The task was resumed by {what}",
        hint="clear the task, so that it starts anew; look into the triggerer's log for what happened",
    )


def _rebuilt(name: str, problem: str, said: Mapping[str, Any]) -> CapillaryError:
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    kind = kind if isinstance(kind, type) and issubclass(kind, CapillaryError) else CapillaryError
    said = {_OLD_FIELDS.get(field, field): value for field, value in said.items()}
    fields: dict[str, Any] = {field: value for field in _FIELDS if isinstance(value := said.get(field), str)}
    error = kind(problem, **fields)
    # Of the error itself: some of a class that waiting mostly helps are never helped by it, such as an answer that is too large.
    error.retryable = said.get("retryable") is True
    return error
