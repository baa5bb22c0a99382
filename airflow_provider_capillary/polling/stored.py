"""Checks of JSON that this package stored: a value of the right type, or one error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_capillary.errors import CapillaryError

__all__ = ["mapping", "parsed", "unreadable", "whole"]


def parsed(text: object) -> Mapping[str, Any]:
    """The JSON object of a text.

    :raises CapillaryError: the text is anything else.
    """
    try:
        return mapping(json.loads(text) if isinstance(text, str) else None)
    except (ValueError, RecursionError):
        raise unreadable() from None


def mapping(data: object) -> Mapping[str, Any]:
    """``data``, checked to be a mapping.

    :raises CapillaryError: it is anything else.
    """
    if not isinstance(data, Mapping):
        raise unreadable()
    return data


def whole(value: object) -> int:
    """``value``, checked to be a whole number.

    :raises CapillaryError: it is anything else.
    """
    if type(value) is not int:
        raise unreadable()
    return value


def unreadable() -> CapillaryError:
    """The error for stored state that this package did not write."""
    return CapillaryError(
        "The stored poll state is unreadable: this package did not write it",
        hint="clear the task, or give it `since`; if the error stays, delete the task's XCom",
    )
