"""Destinations that need no closer look: one pattern in place of the rules of :mod:`.destination` and :mod:`.placeholders`.

Airflow parses a DAG file over and over, and the rules, which find the right spelling of a wrong destination, take a sixth of the time that
one task costs. Nearly every destination is right, and of a form that one pattern can see to be right. Any other goes through the rules.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from airflow_provider_capillary.errors import DestinationError
from airflow_provider_capillary.export.destination import EXTRAS
from airflow_provider_capillary.export.formats import ENDINGS
from airflow_provider_capillary.export.placeholders import check_placeholders

__all__ = ["is_plain"]

_PLACEHOLDER: Final = r"\{interval_(?:start|end):[^{}]+\}"
_TEMPLATE: Final = r"\{\{(?!-?\s*interval_)[\w. ]+\}\}"
"""Names, points and spaces only: where such a template ends needs no jinja."""

# Possessive throughout, so that a text that does not fit is given up at once. A folder that begins with a point is left to the rules.
_PLAIN: Final = re.compile(
    rf"(?:(?:{'|'.join(EXTRAS)})://(?:[\w-]++@)?+[\w-]++|file://)?+"
    rf"(?:/(?:[\w=]|{_PLACEHOLDER}|{_TEMPLATE})(?:[\w=.,+-]++|{_PLACEHOLDER}|{_TEMPLATE})*+)++",
    re.ASCII,
)
_PLACEHOLDERS: Final = re.compile(_PLACEHOLDER)


def is_plain(text: str) -> bool:
    """Whether a destination is right by its form alone, while its templates are not rendered.

    ``True`` guarantees that :func:`.check_destination` and :func:`.check_placeholders` accept the text, and that its scheme is one of
    :data:`.EXTRAS` or local disk. ``False`` says nothing.

    >>> is_plain("s3://my_conn@bucket/dt={interval_start:%Y-%m-%d}/events.jsonl.gz"), is_plain("s3:/bucket/events.jsonl")
    (True, False)
    """
    if _PLAIN.fullmatch(text) is None or not text.endswith(ENDINGS):
        return False
    placeholders = _PLACEHOLDERS.findall(text) if "{i" in text else None
    return not placeholders or _are_right(*placeholders)


@lru_cache(maxsize=256)
def _are_right(*placeholders: str) -> bool:
    """Whether the rules accept these placeholders, in a path that has no others."""
    try:
        check_placeholders("".join(placeholders), rendered=False)
    except DestinationError:
        return False
    return True
