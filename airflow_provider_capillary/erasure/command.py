"""The command ``erase``."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import CapillaryError, ConfigurationError

if TYPE_CHECKING:
    import argparse

    from airflow_provider_capillary.erasure.erase import Outcome

__all__ = ["ARGUMENTS", "HELP", "run"]

HELP: Final = "erase records, such as those of one customer, from published objects"
_REPEATED: Final[dict[str, Any]] = {"action": "append", "default": []}
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "prefix": {"help": "a folder of objects, or one object: a URI as the operator's destination, or an absolute path"},
    "--id": _REPEATED | {"metavar": "ID", "help": "the id of a record; may be repeated"},
    "--match": _REPEATED
    | {
        "metavar": "KEY=VALUE",
        "help": "records in whose inputRequest the key has the value, at any depth; *=VALUE for any place in a record; may be repeated",
    },
    "--id-file": {"metavar": "FILE", "help": "a file of ids, one on each line; - for the standard input"},
    "--match-file": {
        "metavar": "FILE",
        "help": "a file of matches, one on each line; - for the standard input. Others can see what stands on a command line",
    },
    "--key-variable": {"metavar": "NAME", "help": "the Airflow variable with the key of the hashes, where the objects hold hashes"},
    "--key-connection": {"metavar": "ID", "help": "the Airflow connection that has this key as its password"},
    "--object-storage-conn-id": {"metavar": "ID", "help": "the Airflow connection of the store, where the URI names none"},
    "--dry-run": {"action": "store_true", "help": "only say what would be erased"},
    "--json": {"action": "store_true", "help": "print JSON, an object on each line"},
}
"""By flag or name, the options of ``argparse``."""


def run(options: argparse.Namespace) -> int:
    """Erase, and print an outcome for each object.

    :param options: of :data:`ARGUMENTS`.
    :return: 0 where every object was done, 1 where one was not.
    """
    from airflow_provider_capillary.erasure.erase import erase

    names = {"variable": options.key_variable, "connection": options.key_connection}
    failed = events = objects = 0
    try:
        # On Airflow 2, log lines go to the standard output.
        with contextlib.redirect_stdout(sys.stderr):
            outcomes = erase(
                options.prefix,
                ids=[*options.id, *_lines_of(options.id_file)],
                matches=[*options.match, *_lines_of(options.match_file)],
                key={kind: name for kind, name in names.items() if name} or None,
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


def _lines_of(name: str | None) -> list[str]:
    if name is None:
        return []
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The file {name} can't be read ({type(error).__name__})", hint="name a text file") from error
    return [line for line in text.splitlines() if line.strip()]


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
