"""The command ``estimate``; see :mod:`airflow_provider_capillary.commands`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

    from airflow_provider_capillary.estimate.report import Report

__all__ = ["run"]

_WRONG_USAGE: Final = 2
_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes"}


def run(options: argparse.Namespace) -> int:
    """Estimate the cost of an interval, and print the report.

    :param options: ``conn_id``, ``start``, ``end``, ``every``, ``event_name`` and ``json``.
    :return: 0 where there is an estimate, 1 where the API or the connection allows none, 2 for an argument that is wrong.
    """
    from airflow_provider_capillary.errors import CapillaryError, IntervalError

    try:
        # On Airflow 2, log lines go to the standard output, which is to hold the report alone.
        with contextlib.redirect_stdout(sys.stderr):
            report = _report_on(options)
    except CapillaryError as error:
        if options.json:
            print(json.dumps({"ok": False, "error": {"class": type(error).__name__, "text": str(error)}}, indent=2))
        else:
            print(f"FAILED Estimate  {error}")
        return _WRONG_USAGE if isinstance(error, IntervalError) else 1
    if options.json:
        print(json.dumps(report.to_data(), indent=2))
    else:
        print(report.to_text(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0


def _report_on(options: argparse.Namespace) -> Report:
    from airflow_provider_capillary.estimate.report import Report
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

    every = None if options.every is None else _duration_of(options.every)
    hook = CapillaryHook(options.conn_id)
    samples = hook.sample(options.start, options.end, event_name=options.event_name)
    return Report(samples, hook.settings, every=every, now=round(time.time() * 1000))


def _duration_of(text: str) -> timedelta:
    from airflow_provider_capillary.errors import IntervalError

    match = re.fullmatch(r"(\d{1,5})([wdhm])", text.strip())
    every = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta()
    if not every:
        raise IntervalError(f"`--every` is {text!r:.80}, not a length of time", hint="write it as in --every 1d, 6h, 30m or 1w")
    return every
