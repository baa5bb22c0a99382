"""The command ``check``; see :mod:`airflow_provider_capillary.commands`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING

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

    try:
        # On Airflow 2, log lines go to the standard output, which is to hold the report alone.
        with contextlib.redirect_stdout(sys.stderr):
            report = _report_on(options.conn_id)
    except ConfigurationError as error:
        if options.json:
            print(json.dumps({"ok": False, "error": {"class": type(error).__name__, "text": str(error)}}, indent=2))
        else:
            print(f"FAILED Connection  {error}")
        return 1
    if options.json:
        print(json.dumps(report.to_data(), indent=2))
    else:
        print(report.to_text(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0 if report.is_good else 1


def _report_on(conn_id: str) -> Report:
    from airflow_provider_capillary.check.report import Report
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    hook = CapillaryHook(conn_id)
    findings, stats = hook.survey()
    return Report(findings, hook.settings, stats, now=round(time.time() * 1000))
