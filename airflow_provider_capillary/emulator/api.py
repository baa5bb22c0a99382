"""The stand-in as one object, for the command line and for tests."""

from __future__ import annotations

import dataclasses
import difflib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.emulator.auth import Authenticator, md5_of
from airflow_provider_capillary.emulator.data import DEFAULT_END, DEFAULT_START, documented_records, synthetic_records
from airflow_provider_capillary.emulator.fake_api import FakeApi
from airflow_provider_capillary.emulator.faults import FaultRule, FaultSettings, plan
from airflow_provider_capillary.emulator.options import ServerOptions
from airflow_provider_capillary.emulator.server import ApiServer, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from airflow_provider_capillary.emulator.faults import FaultHook
    from airflow_provider_capillary.emulator.options import Late
    from airflow_provider_capillary.emulator.server import Seen

__all__ = ["Emulator"]


def _names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(kind) if item.name != "clock")


_LIBERTIES: Final = _names(ServerOptions)
_GATE: Final = _names(Authenticator)
_FAULT_SETTINGS: Final = _names(FaultSettings)


class Emulator:
    """A stand-in for Capillary's event logs on the loopback interface.

    .. code-block:: python

        with Emulator(events=500, limit_cap=100) as api:
            monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(date_format="iso"))
            dag.test()
            assert len(api.requests) < 20

    Without options it behaves as the two published examples do and holds the ten documented records. What the
    documentation says, and what is a liberty, is told apart in :class:`ServerOptions`, :class:`Authenticator` and :mod:`.faults`.

    :param events: how many made-up records it holds beside the documented ones.
    :param seed: of the made-up records and of everything random; equal arguments give an equal emulator.
    :param start: aware; where the made-up records begin. ``end``: where they end, exclusive.
    :param tie_share: share of the made-up records that repeat another's instant. ``burst_share``: that closely follow another.
    :param documented: False leaves the ten documented records out.
    :param records: further records of your own.
    :param late: by id, when a record begins to show.
    :param faults: rules (``"http_500:0.1"``, ``"hang@3,7"``) or a callable that sees the request's number and
        parameters and returns the name of a fault or None. ``token_faults``: the same for requests for a token.
    :param host: where it listens; a name or address of this machine.
    :param port: 0: any free one.
    :param compress: gzip an answer where the client accepts that.
    :param clock: seconds since the epoch, for rate limits, late records and the life of tokens.
    :param options: by name, any field of :class:`ServerOptions` (``order="oldest"``), :class:`Authenticator` (``token_ttl=5``)
        and :class:`FaultSettings` (``hang_seconds=1``).
    :raises ValueError: an unknown option or an impossible value.

    Its methods may be called from several threads, and while it is being asked.
    """

    def __init__(
        self,
        *,
        events: int = 0,
        seed: int = 0,
        start: datetime = DEFAULT_START,
        end: datetime = DEFAULT_END,
        tie_share: float = 0.02,
        burst_share: float = 0.1,
        documented: bool = True,
        records: Iterable[Mapping[str, Any]] = (),
        late: Mapping[str, Late] | None = None,
        faults: Iterable[FaultRule | str] | FaultHook = (),
        token_faults: Iterable[FaultRule | str] | FaultHook = (),
        host: str = "127.0.0.1",
        port: int = 0,
        compress: bool = True,
        clock: Callable[[], float] = time.time,
        **options: Any,  # the three dataclasses check names and values
    ) -> None:
        known = (*_LIBERTIES, *_GATE, *_FAULT_SETTINGS)
        for name in options:
            if name not in known:
                close = difflib.get_close_matches(name, known)
                message = f"option {name!r} is not known; " + (f"did you mean {' or '.join(close)}?" if close else f"choose of {known}")
                raise ValueError(message)
        made_up = synthetic_records(events, seed=seed, start=start, end=end, tie_share=tie_share, burst_share=burst_share)
        own = [*(documented_records() if documented else ()), *made_up, *records]
        self.world = FakeApi(own, clock=clock, seed=seed, late=late, **_only(options, _LIBERTIES))
        self.authenticator = Authenticator(clock=clock, **_only(options, _GATE))
        self._service = Service(
            world=self.world,
            authenticator=self.authenticator,
            hook=_hook(faults, seed),
            token_hook=_hook(token_faults, seed),
            settings=FaultSettings(**_only(options, _FAULT_SETTINGS)),
            compress=compress,
            clock=clock,
        )
        self._address = (host, port)
        self._server: ApiServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, for the connection's host.

        :raises RuntimeError: it is not running.
        """
        if self._server is None:
            message = "The emulator is not running; use it in a with statement, or call start()"
            raise RuntimeError(message)
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def requests(self) -> list[Seen]:
        """What was asked, in order: method, path, params, status, fault."""
        return self._service.journal

    @property
    def records(self) -> list[dict[str, Any]]:
        """Copies of all records, those that do not show yet too, oldest first."""
        return self.world.records

    def add(self, record: Mapping[str, Any], *, late: Late | None = None) -> None:
        """Put one more record in, also while it is being asked.

        :param late: when the record begins to show; left out, at once.
        :raises ValueError: the record has no ``id`` or ``startTime``, or the id is there already.
        """
        self.world.add(record, late=late)

    def connection_json(self, **extras: Any) -> str:  # values of JSON
        """Return an Airflow connection to it, as ``AIRFLOW_CONN_CAPILLARY_DEFAULT`` takes it.

        :param extras: the connection's extras. ``auth_type`` and ``password_format`` also choose what login and password
            hold. ``auth_type``, ``oauth_header`` and ``timezone`` are filled in where the emulator's own differ from the defaults.
        """
        fitting: dict[str, Any] = {}
        if self.authenticator.auth_type == "oauth":
            fitting["auth_type"] = "oauth"
        if self.authenticator.oauth_header != Authenticator.oauth_header:
            fitting["oauth_header"] = self.authenticator.oauth_header
        if self.world.options.timezone != ServerOptions.timezone:
            fitting["timezone"] = self.world.options.timezone
        extra = {**fitting, **extras}
        if extra.get("auth_type") == "oauth":
            login, password = self.authenticator.client_key, self.authenticator.client_secret
        else:
            plain = extra.get("password_format") == "plain"
            login, password = self.authenticator.login, self.authenticator.password if plain else md5_of(self.authenticator.password)
        return json.dumps({"conn_type": "capillary", "host": self.url, "login": login, "password": password, "extra": extra})

    def start(self) -> Self:
        """Begin to listen.

        :raises RuntimeError: it is running already.
        :raises OSError: the address cannot be had.
        """
        if self._server is not None:
            message = "The emulator is running already"
            raise RuntimeError(message)
        self._server = ApiServer(self._address, self._service)
        self._thread = threading.Thread(target=self._server.serve, name="capillary-emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening, end answers that hang, close connections; nothing where it is not running."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.end(thread)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _only(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _hook(faults: Iterable[FaultRule | str] | FaultHook, seed: int) -> FaultHook:
    if callable(faults):
        return faults
    return plan([faults] if isinstance(faults, str) else faults, seed=seed)
