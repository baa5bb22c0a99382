"""The command ``estimate``; see :mod:`airflow_provider_capillary.commands`."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.report_printing import print_report

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

    made = print_report(lambda: _report_on(options), name="Estimate", as_json=options.json, expected=CapillaryError)
    if isinstance(made, IntervalError):
        return _WRONG_USAGE
    return 1 if isinstance(made, CapillaryError) else 0


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
