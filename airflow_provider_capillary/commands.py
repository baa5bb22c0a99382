"""``python -m airflow_provider_capillary`` and, where Airflow takes commands of providers, ``airflow capillary``.

Every ``airflow`` command imports this module, so what a command does is imported when it runs.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_capillary.erasure.command import ARGUMENTS as ERASE_ARGUMENTS
from airflow_provider_capillary.erasure.command import HELP as ERASE_HELP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["airflow_commands", "main"]


def _check(options: argparse.Namespace) -> int:
    from airflow_provider_capillary.check.command import run

    return run(options)


def _estimate(options: argparse.Namespace) -> int:
    from airflow_provider_capillary.estimate.command import run

    return run(options)


def _erase(options: argparse.Namespace) -> int:
    from airflow_provider_capillary.erasure.command import run

    return run(options)


class _Command(NamedTuple):
    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    """Returns the exit status."""
    arguments: dict[str, dict[str, Any]]
    """By flag or name, the options of ``argparse``."""


_CONN_ID: Final = {"nargs": "?", "default": "capillary_default", "help": "the Airflow connection (default: capillary_default)"}
_JSON: Final = {"action": "store_true", "help": "print JSON"}

_COMMANDS: Final = (
    _Command(
        "check",
        "find out, in at most 20 requests, what this API does that its documentation leaves open",
        _check,
        {"conn_id": _CONN_ID, "--json": _JSON},
    ),
    _Command(
        "estimate",
        "estimate, in at most 20 requests, what the export of an interval or a backfill will cost in requests, time and bytes",
        _estimate,
        {
            "conn_id": _CONN_ID,
            "--start": {"required": True, "help": "the start of the interval, with an offset, as in 2024-09-18T00:00:00Z"},
            "--end": {"required": True, "help": "the first moment after the interval"},
            "--every": {"help": "the length of each run's interval, as in 1d, 6h or 30m (default: one run for all of it)"},
            "--event-name": {"help": "only event logs with exactly this eventName"},
            "--json": _JSON,
        },
    ),
    _Command("erase", ERASE_HELP, _erase, ERASE_ARGUMENTS),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    :return: the exit status: 0 where all is well, 1 where not, 2 for a command line that is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_capillary", description="Commands for Capillary connections.")
    parsers = parser.add_subparsers(dest="command", required=True)
    for command in _COMMANDS:
        subparser = parsers.add_parser(command.name, help=command.help, description=command.help.capitalize() + ".")
        for flag, options in command.arguments.items():
            subparser.add_argument(flag, **options)
        subparser.set_defaults(run=command.run)
    parsed = parser.parse_args(arguments)
    return _run(parsed.run, parsed)


def _run(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    from airflow_provider_capillary._airflow import database_is_asked

    with database_is_asked():
        return run(options)


def airflow_commands() -> list[Any]:
    """The commands for Airflow's own command line; Airflow 3.2 and later ask the provider for them."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    make: Any = Arg  # which bears no types
    commands = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=_exiting(command.run),
            args=tuple(make((flag,), **options) for flag, options in command.arguments.items()),
        )
        for command in _COMMANDS
    ]
    return [GroupCommand(name="capillary", help="Capillary connections", subcommands=tuple(commands))]


def _exiting(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], None]:
    """For Airflow, which ignores what a command returns."""

    def run_and_exit(options: argparse.Namespace) -> None:
        if status := _run(run, options):
            raise SystemExit(status)

    return run_and_exit
