"""Airflow provider for Capillary's event logs."""

from __future__ import annotations

import importlib.metadata
import sys

__all__ = ["__version__"]

__version__ = "0.2.0"

_OLDEST_AIRFLOW = (2, 11)


def _refuse_older_airflow() -> None:
    """Refuse an Airflow that is too old with one sentence, instead of an obscure import error later.

    Where Airflow is being imported, as in each of its commands, it has named its version already. Elsewhere the version comes from the
    installed metadata: importing Airflow would take seconds, and the metadata takes two milliseconds. Without either (a vendored Airflow)
    the version is unknown, and nothing is refused.
    """
    installed = getattr(sys.modules.get("airflow"), "__version__", None)
    if installed is None:
        try:
            installed = importlib.metadata.version("apache-airflow")
        except importlib.metadata.PackageNotFoundError:
            return
    release = installed.split(".")
    if all(part.isdecimal() for part in release[:2]) and tuple(map(int, release[:2])) < _OLDEST_AIRFLOW:
        oldest = ".".join(map(str, _OLDEST_AIRFLOW))
        msg = f"airflow-provider-capillary {__version__} needs Apache Airflow {oldest}.0 or later, and {installed} is installed"
        raise RuntimeError(msg)


_refuse_older_airflow()
