"""``python -m airflow_provider_capillary check`` and, where Airflow takes commands of providers, ``airflow capillary check``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.erasure import command as erase_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.check.report import Report

__all__ = ["airflow_commands", "main"]

_HELP = "find out, in at most 20 requests, what this API does that its documentation leaves open"
_CONN_ID_HELP = "the Airflow connection (default: capillary_default)"
_JSON_HELP = "print JSON"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :return: the exit status: 0 where exports over this connection can be complete, 1 where they can't, 2 for a command line that is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_capillary", description="Commands for Capillary connections.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help=_HELP, description=_HELP.capitalize() + ".")
    check.add_argument("conn_id", nargs="?", default="capillary_default", help=_CONN_ID_HELP)
    check.add_argument("--json", action="store_true", help=_JSON_HELP)
    check.set_defaults(run=_check)
    erase = commands.add_parser("erase", help=erase_command.HELP, description=erase_command.HELP.capitalize() + ".")
    for name, settings in erase_command.ARGUMENTS.items():
        erase.add_argument(name, **settings)
    erase.set_defaults(run=erase_command.run)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def airflow_commands() -> list[Any]:
    """The commands for Airflow's own command line; Airflow 3.2 and later ask the provider for them."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    make: Any = Arg  # which bears no types
    arguments = (
        make(("conn_id",), help=_CONN_ID_HELP, nargs="?", default="capillary_default"),
        make(("--json",), help=_JSON_HELP, action="store_true"),
    )
    check = ActionCommand(name="check", help=_HELP, func=_check_and_exit, args=arguments)
    return [GroupCommand(name="capillary", help="Capillary connections", subcommands=(check,))]


def _check_and_exit(options: argparse.Namespace) -> None:
    if status := _check(options):
        raise SystemExit(status)


def _check(options: argparse.Namespace) -> int:
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
