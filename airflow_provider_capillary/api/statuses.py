"""The statuses of event logs. The list is open: every status but success is a failure, and so is a missing one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NO_STATUS", "SUCCESS", "name_of", "status_of"]

NO_STATUS: Final = "NO_STATUS"
"""The name under which records without a status are counted and filtered."""
SUCCESS: Final = "EVENT_SUCCESS"


def status_of(record: Mapping[str, Any]) -> str:
    """The status of a record.

    :data:`NO_STATUS` where it is absent (as in 1 of 20 published examples), null or empty; its JSON where it is not text.
    """
    return name_of(record.get("status"))


def name_of(status: object) -> str:
    """:func:`status_of` a record with this status."""
    if status is None or status == "":
        return NO_STATUS
    return status if isinstance(status, str) else json.dumps(status, separators=(",", ":"))
