"""Optional packages that make an export cost less, found in one place.

``pip install 'airflow-provider-capillary[fast]'`` brings all of them; Airflow 3 itself depends on ``msgspec``. What they do is done by
the standard library where they are missing, with the same records and the same text; only a gzip file is packed by another encoder.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["optional"]


@cache
def optional(name: str) -> ModuleType | None:
    """A module of the extra ``fast``; ``None`` where it can't be imported.

    :param name: ``msgspec.json`` or ``isal.igzip``.
    """
    try:
        return import_module(name)
    except ImportError:
        return None
