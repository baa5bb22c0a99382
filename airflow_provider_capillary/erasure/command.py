"""``python -m airflow_provider_capillary erase``."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import CapillaryError

if TYPE_CHECKING:
    import argparse

    from airflow_provider_capillary.erasure.erase import Outcome

__all__ = ["add_erase"]

_HELP = "erase records, such as those of one customer, from published objects"
_EPILOG = (
    "Values on a command line can be seen by others. Put them into a file, one line each, as --match=mobile=919800012345, and give "
    "@FILE in their place, or @/dev/stdin. The exit status is 0 where every object was done, 1 where one was not, 2 for a command line "
    "that is wrong."
)


def add_erase(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets ``run``."""
    parser = commands.add_parser("erase", help=_HELP, description=_HELP.capitalize() + ".", epilog=_EPILOG, fromfile_prefix_chars="@")
    parser.add_argument("prefix", help="a folder of objects, or one object: a URI as the operator's destination, or an absolute path")
    parser.add_argument("--id", action="append", default=[], metavar="ID", help="the id of a record; may be repeated")
    parser.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="records in whose inputRequest the key has the value, at any depth; *=VALUE for any place in a record; may be repeated",
    )
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--key-variable", metavar="NAME", help="the Airflow variable with the key of the hashes, where the objects hold hashes"
    )
    key.add_argument("--key-connection", metavar="ID", help="the Airflow connection that has the key as password")
    parser.add_argument("--object-storage-conn-id", metavar="ID", help="the Airflow connection of the store, where the URI names none")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be erased")
    parser.add_argument("--json", action="store_true", help="print JSON, an object on each line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Erase, and print an outcome for each object.

    :return: the exit status.
    """
    from airflow_provider_capillary.erasure.erase import erase

    key = {"variable": options.key_variable} if options.key_variable else {"connection": options.key_connection}
    failed = events = objects = 0
    try:
        # On Airflow 2, log lines go to the standard output.
        with contextlib.redirect_stdout(sys.stderr):
            outcomes = erase(
                options.prefix,
                ids=options.id,
                matches=options.match,
                key=key if options.key_variable or options.key_connection else None,
                object_storage_conn_id=options.object_storage_conn_id,
                dry_run=options.dry_run,
            )
        while True:
            with contextlib.redirect_stdout(sys.stderr):
                outcome = next(outcomes, None)
            if outcome is None:
                break
            failed += outcome.error is not None
            events += outcome.erased
            objects += 1
            _print(outcome, options)
    except CapillaryError as error:
        print(json.dumps({"error": str(error)}) if options.json else f"FAILED  {error}")
        return 1
    if not options.json:
        done = "would be erased" if options.dry_run else "erased"
        print(f"{events} records {done}, {objects} objects looked into, {failed} failed")
    return 1 if failed else 0


def _print(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.json:
        error = None if outcome.error is None else str(outcome.error)
        print(
            json.dumps(
                {
                    "uri": outcome.uri,
                    "events": outcome.events,
                    "erased": outcome.erased,
                    "remembered": outcome.is_remembered,
                    "error": error,
                }
            )
        )
    elif outcome.error is not None:
        print(f"FAILED  {outcome.uri}: {outcome.error}")
    elif outcome.erased:
        done = "would erase" if options.dry_run else "erased"
        note = "" if outcome.is_remembered else "; it has no manifest, so a later run for its interval brings them back"
        print(f"{done} {outcome.erased} of {outcome.events} records: {outcome.uri}{note}")
