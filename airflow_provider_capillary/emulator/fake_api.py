"""The emulator without HTTP: records, options, and the answer to the parameters of one request.

No sockets, no threads, and no clock but the one that is passed in: a test can ask thousands of times a second.
"""

from __future__ import annotations

import random
import threading
from bisect import bisect_left, insort
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from airflow_provider_capillary.emulator.dates import date_reader
from airflow_provider_capillary.emulator.options import ServerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["FakeApi", "FakeResponse", "RefusedError", "refusal"]

DEFAULT_LIMIT: Final = 10
"""Documented: the records in an answer to a request without ``limit``."""

_FOREVER: Final = 10**18
_RATE_WINDOW: Final = 60.0


class FakeResponse(NamedTuple):
    """One response before it is written to a socket: the status, a body for ``json.dumps``, and its own headers."""

    status: int
    body: Any
    headers: dict[str, str]


class RefusedError(Exception):
    """The parameters of a request are refused: :meth:`FakeApi.respond` turns this into a 400."""


def refusal(status: int, message: str, *, code: int | None = None, headers: Mapping[str, str] | None = None) -> FakeResponse:
    """Return a response without data, in the shape that other v2 endpoints document for their 403."""
    item = {"status": False, "code": status if code is None else code, "message": message}
    return FakeResponse(status, {"warnings": [], "errors": [item]}, dict(headers or {}))


class FakeApi:
    """Records, and the answer of a server with these options to a request for them.

    .. code-block:: python

        fake_api = FakeApi(records, order="oldest", limit_cap=100)
        status, envelope = fake_api.answer({"from_date": "2025-09-18T00:00:00", "limit": "1000"})

    :param records: dictionaries with an ``id`` (unique) and an integer ``startTime`` (UTC epoch milliseconds).
    :param clock: returns seconds since the epoch; required for ``rate_limit``.
    :param seed: of ``order="shuffled"``; the same requests to equal objects get equal answers.
    :param options: the fields of :class:`ServerOptions`, by name.
    :raises ValueError: an impossible option, a record without ``id`` or ``startTime``, two records with one id.

    Its methods may be called from several threads.
    """

    options_class: ClassVar[type[ServerOptions]] = ServerOptions

    def __init__(
        self,
        records: Iterable[Mapping[str, Any]] = (),
        *,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
        **options: Any,  # ServerOptions checks names and values
    ) -> None:
        self.options = self.options_class(**options)
        self._read_date = date_reader(self.options.formats, self.options.timezone)
        self._clock = clock
        self._seed = seed
        self._lock = threading.RLock()
        self._request_count = 0
        self._recent: deque[float] = deque()
        self._by_id: dict[str, dict[str, Any]] = {}
        if self.options.rate_limit is not None:
            self._now()
        self._keys = [self._store(record) for record in records]
        """``startTime`` and id of each record, sorted."""
        self._keys.sort()

    @property
    def request_count(self) -> int:
        """How many requests have been answered."""
        return self._request_count

    @property
    def records(self) -> list[dict[str, Any]]:
        """Copies of all records, oldest first."""
        with self._lock:
            return [dict(self._by_id[ident]) for _, ident in self._keys]

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one record. The next answer can show it.

        :raises ValueError: the record has no ``id`` or ``startTime``, or there is a record with this id.
        """
        with self._lock:
            insort(self._keys, self._store(record))

    def answer(self, params: Mapping[str, str]) -> tuple[int, Any]:
        """Return the status and the envelope for these parameters; each call counts as one request."""
        return self.respond(params)[:2]

    def respond(self, params: Mapping[str, str]) -> FakeResponse:
        """Answer as :meth:`answer` does, with the response's own headers (``Retry-After``)."""
        with self._lock:
            self._request_count += 1
            if (throttled := self._throttle()) is not None:
                return throttled
            try:
                idents = self._select(params)
            except RefusedError as error:
                return refusal(400, str(error))
            data = [dict(self._by_id[ident]) for ident in idents]
            return FakeResponse(200, {"data": data, "warnings": [], "errors": []}, {})

    def _now(self) -> float:
        if self._clock is None:
            message = "clock=None is not possible with an option that depends on time; pass clock=time.time or a fake"
            raise ValueError(message)
        return self._clock()

    def _store(self, record: Mapping[str, Any]) -> tuple[int, str]:
        ident, start = record.get("id"), record.get("startTime")
        if not isinstance(ident, str) or not isinstance(start, int):
            message = f"record id={ident!r} startTime={start!r} is not possible; give a text and UTC epoch milliseconds"
            raise ValueError(message)  # noqa: TRY004  # the value of a parameter, as everywhere in this class
        if ident in self._by_id:
            message = f"record id={ident!r} is there already; an id names one record"
            raise ValueError(message)
        self._by_id[ident] = dict(record)
        return start, ident

    def _random(self) -> random.Random:
        return random.Random(self._seed * 1_000_003 + self._request_count)  # noqa: S311  # variety, not secrecy

    def _throttle(self) -> FakeResponse | None:
        allowed = self.options.rate_limit
        if allowed is None:
            return None
        now = self._now()
        while self._recent and self._recent[0] <= now - _RATE_WINDOW:
            self._recent.popleft()
        if len(self._recent) < allowed:
            self._recent.append(now)
            return None
        wait = int(self._recent[0] + _RATE_WINDOW - now) + 1
        return refusal(429, "Too many requests", headers={"Retry-After": str(wait)})

    def _cap(self) -> int | None:
        return self.options.limit_cap

    def _limit(self, text: str | None) -> int:
        limit = DEFAULT_LIMIT
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):  # noqa: PLR2004  # fits any integer column
                message = "limit must be a whole number from 1 on"
                raise RefusedError(message)
            limit = int(text)
        cap = self._cap()
        if cap is None or limit <= cap:
            return limit
        if text is not None and self.options.over_limit == "refuse":
            message = f"limit must not exceed {cap}"
            raise RefusedError(message)
        return cap

    def _bound(self, name: str, text: str | None) -> int | None:
        if text is None:
            return None
        millis = self._read_date(text)
        if millis is None:
            message = f"{name} cannot be parsed"
            raise RefusedError(message)
        return millis

    def _window(self, params: Mapping[str, str]) -> tuple[int, int]:
        """Return the times that match, as ``[low, high)``."""
        first = self._bound("from_date", params.get("from_date"))
        last = self._bound("to_date", params.get("to_date"))
        return -_FOREVER if first is None else first, _FOREVER if last is None else last + 1

    def _select(self, params: Mapping[str, str]) -> list[str]:
        """Return the ids of the records in the answer, in its order."""
        limit = self._limit(params.get("limit"))
        low, high = self._window(params)
        event_name = params.get("event_name")
        begin = bisect_left(self._keys, (low, ""))
        end = max(begin, bisect_left(self._keys, (high, "")))
        # By place, not as a list of keys: an answer out of a million records costs no more than its own records.
        places: Iterable[int] = range(begin, end)
        if self.options.order == "newest":
            places = range(end - 1, begin - 1, -1)
        elif self.options.order == "shuffled":
            places = self._random().sample(range(begin, end), end - begin)
        idents = (self._keys[place][1] for place in places)
        if event_name is not None:
            idents = (ident for ident in idents if self._by_id[ident].get("eventName") == event_name)
        return list(islice(idents, limit))
