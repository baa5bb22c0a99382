"""How a command prints its report, or the error that took its place: as text, in colour on a terminal, or as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_capillary.errors import CapillaryError

__all__ = ["print_report"]


class _Printable(Protocol):
    def to_data(self) -> dict[str, Any]: ...

    def to_text(self, *, colour: bool) -> str: ...


R = TypeVar("R", bound=_Printable)
E = TypeVar("E", bound="CapillaryError")


def print_report(make: Callable[[], R], *, name: str, as_json: bool, expected: type[E]) -> R | E:
    """Make a report and print it; return it, or the error that was printed in its place.

    :param name: of what failed, before the text of the error.
    :param expected: the errors that are printed; others pass.
    """
    try:
        # On Airflow 2, log lines go to the standard output, which is to hold the report alone.
        with contextlib.redirect_stdout(sys.stderr):
            report = make()
    except expected as error:
        if as_json:
            print(json.dumps({"ok": False, "error": {"class": type(error).__name__, "text": str(error)}}, indent=2))
        else:
            print(f"FAILED {name}  {error}")
        return error
    if as_json:
        print(json.dumps(report.to_data(), indent=2))
    else:
        print(report.to_text(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return report
