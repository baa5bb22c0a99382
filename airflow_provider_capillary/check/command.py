"""The command ``check``; see :mod:`airflow_provider_capillary.commands`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_capillary.report_printing import print_report

if TYPE_CHECKING:
    import argparse

    from airflow_provider_capillary.check.report import Report

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Check a connection, and print the report.

    :param options: ``conn_id`` and ``json``.
    :return: 0 where exports over this connection can be complete, 1 where they can't.
    """
    from airflow_provider_capillary.errors import ConfigurationError

    made = print_report(lambda: _report_on(options.conn_id), name="Connection", as_json=options.json, expected=ConfigurationError)
    return 0 if not isinstance(made, ConfigurationError) and made.is_good else 1


def _report_on(conn_id: str) -> Report:
    from airflow_provider_capillary.check.report import Report
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    hook = CapillaryHook(conn_id)
    findings, stats = hook.survey()
    return Report(findings, hook.settings, stats, now=round(time.time() * 1000))
