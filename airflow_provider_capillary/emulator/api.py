"""The emulator as one object: records, options, credentials and faults behind an HTTP server."""

from __future__ import annotations

import dataclasses
import difflib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

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

    from airflow_provider_capillary.emulator.faults import ChooseFault
    from airflow_provider_capillary.emulator.server import ReceivedRequest

__all__ = ["Emulator"]


class Emulator:
    """An emulator of Capillary's event logs API on the loopback interface, for the tests of your DAGs.

    .. code-block:: python

        with Emulator(events=500, limit_cap=100) as api:
            monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(date_format="iso"))
            dag.test()
            assert len(api.requests) < 20

    Without options it behaves as the two published examples do and holds the ten documented records. Where the documentation
    leaves a choice, the choice is an option: :class:`ServerOptions` says which, and why these.

    :param events: how many synthetic records it holds besides the documented ones.
    :param seed: of the synthetic records and of everything random; equal arguments give an equal emulator.
    :param start: aware; the start of the synthetic records. ``end``: their end, exclusive.
    :param documented: False leaves the ten documented records out.
    :param records: your own records: dictionaries with an ``id`` (unique) and a ``startTime`` (UTC epoch milliseconds).
    :param faults: rules (``"http_500:0.1"``, ``"hang@3,7"``), or a callable that takes the number of a request and its
        parameters and returns the name of a fault or None. ``token_faults``: the same for requests for a token.
    :param host: where it listens: a name or an address of this machine.
    :param port: 0: any free port.
    :param clock: returns seconds since the epoch; for the rate limit and the lifetime of tokens.
    :param options: by name, any field of :class:`ServerOptions` (``order="oldest"``), :class:`Authenticator` (``token_ttl=5``)
        and :class:`FaultSettings` (``hang_seconds=1``).
    :raises ValueError: an unknown option or an impossible value.

    Its methods may be called from several threads, also while it answers requests.
    """

    _api_class: ClassVar[type[FakeApi]] = FakeApi
    _authenticator_class: ClassVar[type[Authenticator]] = Authenticator

    def __init__(
        self,
        *,
        events: int = 0,
        seed: int = 0,
        start: datetime = DEFAULT_START,
        end: datetime = DEFAULT_END,
        documented: bool = True,
        records: Iterable[Mapping[str, Any]] = (),
        faults: Iterable[FaultRule | str] | ChooseFault = (),
        token_faults: Iterable[FaultRule | str] | ChooseFault = (),
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        **options: Any,  # the three dataclasses check names and values
    ) -> None:
        server, credentials, sizes = _split(options, self._api_class.options_class, self._authenticator_class, FaultSettings)
        synthetic = synthetic_records(events, seed=seed, start=start, end=end)
        everything = [*(documented_records() if documented else ()), *synthetic, *records]
        self.fake_api = self._api_class(everything, clock=clock, seed=seed, **server)
        self.authenticator = self._authenticator_class(clock=clock, **credentials)
        self._service = Service(
            fake_api=self.fake_api,
            authenticator=self.authenticator,
            choose_fault=_choose_fault(faults, seed),
            choose_token_fault=_choose_fault(token_faults, seed),
            settings=FaultSettings(**sizes),
            clock=clock,
        )
        self._address = (host, port)
        self._server: ApiServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, for the connection's host.

        :raises RuntimeError: the emulator is not running.
        """
        if self._server is None:
            message = "The emulator is not running; use it in a with statement, or call start()"
            raise RuntimeError(message)
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests so far, in the order of their answers: method, path, params, status, fault."""
        return self._service.requests

    @property
    def records(self) -> list[dict[str, Any]]:
        """Copies of all records, oldest first."""
        return self.fake_api.records

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one record, also while the emulator answers requests. The next answer can show it.

        :raises ValueError: the record has no ``id`` or ``startTime``, or there is a record with this id.
        """
        self.fake_api.add(record)

    def connection_json(self, **extras: Any) -> str:  # values of JSON
        """Return an Airflow connection to the emulator, as ``AIRFLOW_CONN_CAPILLARY_DEFAULT`` takes it.

        :param extras: the connection's extras. ``auth_type`` and ``password_format`` also choose what login and password
            hold. ``auth_type``, ``oauth_header`` and ``timezone`` are filled in where the emulator's options need it.
        """
        required: dict[str, Any] = {}
        if self.authenticator.auth_type == "oauth":
            required["auth_type"] = "oauth"
        if self.authenticator.oauth_header != Authenticator.oauth_header:
            required["oauth_header"] = self.authenticator.oauth_header
        if self.fake_api.options.timezone != ServerOptions.timezone:
            required["timezone"] = self.fake_api.options.timezone
        extra = {**required, **extras}
        if extra.get("auth_type") == "oauth":
            login, password = self.authenticator.client_key, self.authenticator.client_secret
        else:
            plain = extra.get("password_format") == "plain"
            login, password = self.authenticator.login, self.authenticator.password if plain else md5_of(self.authenticator.password)
        return json.dumps({"conn_type": "capillary", "host": self.url, "login": login, "password": password, "extra": extra})

    def start(self) -> Self:
        """Start to listen.

        :raises RuntimeError: the emulator is running already.
        :raises OSError: the address is not available.
        """
        if self._server is not None:
            message = "The emulator is running already"
            raise RuntimeError(message)
        self._server = ApiServer(self._address, self._service)
        self._thread = threading.Thread(target=self._server.serve, name="capillary-emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening, end answers that hang, close connections. Does nothing where the emulator is not running."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.end(thread)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _split(options: Mapping[str, Any], *classes: type[Any]) -> list[dict[str, Any]]:
    """Return the options of each dataclass.

    :raises ValueError: an option that no dataclass has.
    """
    names = [[item.name for item in dataclasses.fields(each) if item.name != "clock"] for each in classes]
    known = [name for each in names for name in each]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(known)}"
            message = f"option {name!r} is not known; {hint}"
            raise ValueError(message)
    return [{name: options[name] for name in each if name in options} for each in names]


def _choose_fault(faults: Iterable[FaultRule | str] | ChooseFault, seed: int) -> ChooseFault:
    if callable(faults):
        return faults
    return plan([faults] if isinstance(faults, str) else faults, seed=seed)
