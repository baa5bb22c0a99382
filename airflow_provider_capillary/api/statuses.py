"""The statuses of event logs, an open list: what is not a success is a failure, a record without a status included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NO_STATUS", "SUCCESS", "status_of"]

NO_STATUS: Final = "NO_STATUS"
"""The name, everywhere a status is written, of the class of records that have none."""
SUCCESS: Final = "EVENT_SUCCESS"


def status_of(record: Mapping[str, Any]) -> str:
    """The record's status; :data:`NO_STATUS` where it is absent (1 of 20 published examples), null or empty; JSON where it is no text."""
    status = record.get("status")
    if status is None or status == "":
        return NO_STATUS
    return status if isinstance(status, str) else json.dumps(status, separators=(",", ":"))
