"""``python -m airflow_provider_capillary.emulator``: the emulator, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import shlex
import signal
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.emulator.api import Emulator
from airflow_provider_capillary.emulator.auth import AUTH_TYPES, Authenticator
from airflow_provider_capillary.emulator.data import DEFAULT_END, DEFAULT_START
from airflow_provider_capillary.emulator.faults import FAULTS, FaultSettings
from airflow_provider_capillary.emulator.options import ServerOptions
from airflow_provider_capillary.emulator.traffic import live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

_DEFAULT_PORT: Final = 8642

_CREDENTIALS_HELP: Final[dict[str, tuple[type, str, tuple[str, ...]]]] = {
    "auth_type": (str, "the accepted credentials", AUTH_TYPES),
    "login": (str, "till user name, for Basic", ()),
    "password": (str, "its password, plain; good for this emulator alone", ()),
    "client_key": (str, "for OAuth", ()),
    "client_secret": (str, "its secret; good for this emulator alone", ()),
    "oauth_header": (str, "header that carries a token", ()),
    "token_ttl": (float, "seconds for which a token is good", ()),
}
_FAULT_HELP: Final[dict[str, tuple[type, str, tuple[str, ...]]]] = {
    "hang_seconds": (float, "how long the fault hang sends nothing", ()),
    "drip_seconds": (float, "how long slow_drip takes to send its body", ()),
    "big_body_bytes": (int, "size of the bodies of big_body and big_body_unannounced", ()),
    "redirect_to": (str, "Location of redirects", ()),
    "throttle_seconds": (int, "Retry-After in throttled_seconds and throttled_date", ()),
}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)


def _several(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def read(text: str) -> tuple[Any, ...]:
        return tuple(kind(part) for part in text.split(","))

    read.__name__ = "list"
    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_capillary.emulator",
        description="An emulator of Capillary's GET /v2/events/logs: the ten documented records, and --events synthetic ones.",
        epilog=f"Faults: {', '.join(FAULTS)}.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--host", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT, help=f"0 for any free one ({_DEFAULT_PORT})")
    parser.add_argument("--events", type=int, help="synthetic records besides the ten documented ones (0)")
    parser.add_argument("--seed", type=int, help="of synthetic records and of everything random (0)")
    parser.add_argument("--start", type=_moment, help=f"start of the synthetic records ({DEFAULT_START.date()})")
    parser.add_argument("--end", type=_moment, help=f"their end, exclusive ({DEFAULT_END.date()})")
    parser.add_argument("--live", type=float, default=None, metavar="SECONDS", help="add an event log every so many seconds (no)")
    rule = "NAME[:PROBABILITY][@N,M..]"
    parser.add_argument("--fault", dest="faults", action="append", metavar=rule, help="repeat it for more, e.g. http_500:0.1 or hang@3,7")
    parser.add_argument("--token-fault", dest="token_faults", action="append", metavar=rule, help="as --fault, for requests for a token")
    parser.add_argument("--verbose", action="store_true", default=False, help="print each request: method, path and status")
    credentials = parser.add_argument_group("credentials")
    for name, (kind, text, choices) in _CREDENTIALS_HELP.items():
        _add(
            credentials, name, kind, f"{text} ({'none' if getattr(Authenticator, name) is None else getattr(Authenticator, name)})", choices
        )
    options = parser.add_argument_group("options", "where the documentation leaves a choice to the server")
    for item in dataclasses.fields(ServerOptions):
        kind = item.metadata["kind"]
        _add(
            options,
            item.name,
            _several(kind) if item.metadata["many"] else kind,
            f"{item.metadata['help']} ({'none' if item.default in (None, ()) else item.default})",
            item.metadata["choices"],
        )
    faults = parser.add_argument_group("faults", "sizes and times")
    for name, (kind, text, choices) in _FAULT_HELP.items():
        _add(faults, name, kind, f"{text} ({getattr(FaultSettings, name)})", choices)
    return parser


def _add(group: Any, name: str, kind: Callable[[str], Any], text: str, choices: tuple[str, ...]) -> None:  # noqa: ANN401  # argparse's is private
    group.add_argument(
        "--" + name.replace("_", "-"), type=kind, choices=choices or None, metavar=None if choices else "X", help=text.replace("%", "%%")
    )


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yield a socket that is readable once SIGINT or SIGTERM has arrived; restore the earlier handlers afterwards."""
    # The interpreter's own handler writes the byte. An Event that a Python handler sets is not enough: a signal that arrives in
    # another thread, or just before the main thread blocks on the Event's lock, would not wake it, and the command would never end.
    received, signalled = socket.socketpair()
    signalled.setblocking(False)  # noqa: FBT003  # the only way to call it
    wakeup = signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda _number, _frame: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        received.close()
        signalled.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM.

    :return: 0 after a clean stop, 2 for an impossible option or a port in use.
    """
    options = vars(_parser().parse_args(arguments))
    verbose, every = options.pop("verbose"), options.pop("live")
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        emulator = Emulator(**options)
        with _signals() as received, emulator, contextlib.nullcontext() if every is None else live(emulator, every=every):
            print(f"Listening on {emulator.url} with {len(emulator.records)} event logs; Ctrl-C stops it.")
            print(f"export AIRFLOW_CONN_CAPILLARY_DEFAULT={shlex.quote(emulator.connection_json())}", flush=True)
            received.recv(1)
    except (ValueError, OSError, OverflowError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("Stopped.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
