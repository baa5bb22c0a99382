"""Airflow provider for Capillary's event logs."""

from __future__ import annotations

import importlib.metadata

__all__ = ["__version__"]

__version__ = "0.1.0"

_OLDEST_AIRFLOW = (2, 11)


def _refuse_older_airflow() -> None:
    """Fail in one sentence now, rather than by an obscure import error later.

    The version is read from the installed metadata: importing Airflow takes seconds, and where this package is imported by the
    discovery of providers, Airflow is itself half imported. Without metadata (a vendored Airflow) nothing is known, so nothing is refused.
    """
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
