"""The stand-in without HTTP: records, options, and the answer to one set of parameters.

No sockets, no threads, and no clock but the one that is handed in, so that a test of code that reads event logs can
ask it thousands of times a second.
"""

from __future__ import annotations

import heapq
import random
import threading
from bisect import bisect_left, insort
from collections import deque
from email.utils import formatdate
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from airflow_provider_capillary.emulator.dates import date_reader, floor_to, next_unit, zone_of
from airflow_provider_capillary.emulator.options import TIMES, Late, ServerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["FakeApi", "FakeResponse", "refusal"]

_FOREVER: Final = 10**18
_RATE_WINDOW: Final = 60.0
_ABSURD_WAIT: Final = 31_536_000
_START, _WRITE = TIMES


class FakeResponse(NamedTuple):
    """One answer before it is written to a socket: the status, a body for ``json.dumps``, and headers of its own."""

    status: int
    body: Any
    headers: dict[str, str]


class _Refused(Exception):  # noqa: N818  # not an error of this package: the 400 of an answer on its way out
    """The parameters earn a 400."""


class _Nothing(Exception):  # noqa: N818  # as above: an empty answer on its way out
    """The parameters earn an empty answer."""


def refusal(status: int, message: str, *, code: int | None = None, headers: Mapping[str, str] | None = None) -> FakeResponse:
    """Return an answer without data, in the shape that other v2 endpoints document for their 403."""
    item = {"status": False, "code": status if code is None else code, "message": message}
    return FakeResponse(status, {"warnings": [], "errors": [item]}, dict(headers or {}))


class FakeApi:
    """Records and the options that a server takes with them.

    .. code-block:: python

        world = FakeApi(records, order="oldest", limit_cap=100)
        status, envelope = world.answer({"from_date": "2025-09-18T00:00:00", "limit": "1000"})

    :param records: dictionaries with an ``id`` (unique) and an integer ``startTime`` (UTC epoch milliseconds). The time of writing is
        ``startTime + responseTime``, a missing ``responseTime`` counting as 0, unless ``write_lag`` says otherwise.
    :param clock: seconds since the epoch; needed for ``rate_limit`` and for records that are late by seconds.
    :param seed: of everything that varies between requests; the same requests to equal worlds get equal answers.
    :param late: by id, when a record begins to show.
    :param options: the options of :class:`ServerOptions`, by name.
    :raises ValueError: an impossible liberty, a record without ``id`` or ``startTime``, an id that is there twice.

    Its methods may be called from several threads.
    """

    def __init__(
        self,
        records: Iterable[Mapping[str, Any]] = (),
        *,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
        late: Mapping[str, Late] | None = None,
        **options: Any,  # ServerOptions checks names and values
    ) -> None:
        self.options = ServerOptions(**options)
        self._zone = zone_of(self.options.timezone)
        self._read_date = date_reader(self.options.formats, self.options.timezone, self.options.fractions)
        self._clock = clock
        self._seed = seed
        self._lock = threading.RLock()
        self._asked = 0
        self._recent: deque[float] = deque()
        self._late: dict[str, tuple[float, int]] = {}
        self._by_id: dict[str, dict[str, Any]] = {}
        self._index: dict[str, list[tuple[int, str]]] = {name: [] for name in {_START, self.options.filter_by, self.options.order_by}}
        """By each time that is gone by: the records' times and ids, sorted."""
        self._lags: dict[str, int] = {}
        self._longest_lag = 0
        if self.options.rate_limit is not None or self.options.late_seconds:
            self._now()
        for record in records:
            ident = self._take(record, None if late is None else late.get(str(record.get("id"))))
            for name, keys in self._index.items():
                keys.append((self._time(ident, name), ident))
        for keys in self._index.values():
            keys.sort()

    @property
    def request_count(self) -> int:
        """How many requests this world has answered."""
        return self._asked

    @property
    def records(self) -> list[dict[str, Any]]:
        """Copies of all records, late ones too, oldest first."""
        with self._lock:
            return [dict(self._by_id[key[1]]) for key in self._index[_START]]

    def add(self, record: Mapping[str, Any], *, late: Late | None = None) -> None:
        """Put one more record in.

        :param late: when it begins to show; left out, at once (or as ``late_share`` has it).
        :raises ValueError: it has no ``id`` or ``startTime``, or the id is there already.
        """
        with self._lock:
            ident = self._take(record, late)
            for name, keys in self._index.items():
                insort(keys, (self._time(ident, name), ident))

    def write_time(self, ident: str) -> int:
        """Return when the record with this id is written, UTC epoch milliseconds.

        :raises KeyError: there is none.
        """
        return self._time(ident, _WRITE)

    def answer(self, params: Mapping[str, str]) -> tuple[int, Any]:
        """Return the status and the envelope for these parameters; each call counts as one request."""
        return self.respond(params)[:2]

    def respond(self, params: Mapping[str, str]) -> FakeResponse:
        """As :meth:`answer`, with the headers (``Retry-After``) that belong to it."""
        with self._lock:
            self._asked += 1
            if (throttled := self._throttle()) is not None:
                return throttled
            try:
                data = self._select({name: params[name] for name in params if name not in self.options.ignores})
            except _Refused as refused:
                return refusal(400, str(refused))
            except _Nothing:
                data = []
            return FakeResponse(200, {"data": data, "warnings": list(self.options.warnings), "errors": []}, {})

    def _now(self) -> float:
        if self._clock is None:
            message = "clock=None is not possible with rate_limit or a record late by seconds; hand in clock=time.time or a fake"
            raise ValueError(message)
        return self._clock()

    def _take(self, record: Mapping[str, Any], late: Late | None) -> str:
        ident, start = record.get("id"), record.get("startTime")
        if not isinstance(ident, str) or not isinstance(start, int):
            message = f"record id={ident!r} startTime={start!r} is not possible; give a text and UTC epoch milliseconds"
            raise ValueError(message)  # noqa: TRY004  # the value of a parameter, as everywhere in this class
        if ident in self._by_id:
            message = f"record id={ident!r} is there already; an id names one record"
            raise ValueError(message)
        share = self.options.late_share
        if late is None and share and self._key(ident) < share * 2**32:
            late = Late(seconds=self.options.late_seconds, request=self.options.late_request)
        if late is not None:
            self._late[ident] = (self._now() + late.seconds if late.seconds else 0.0, late.request)
        self._by_id[ident] = dict(record)
        self._lags[ident] = lag = self._lag(ident)
        self._longest_lag = max(self._longest_lag, lag)
        return ident

    def _lag(self, ident: str) -> int:
        if self.options.write_lag is None:
            taken = self._by_id[ident].get("responseTime")
            return max(0, taken) if isinstance(taken, int) else 0
        least, most = self.options.write_lag
        share = crc32(f"{self._seed}/written/{ident}".encode()) / 2**32
        return least + int((most - least + 1) * share**3)

    def _time(self, ident: str, name: str) -> int:
        start: int = self._by_id[ident]["startTime"]
        return start + self._lags[ident] if name == _WRITE else start

    def _key(self, ident: str) -> int:
        return crc32(f"{self._seed}/{ident}".encode())

    def _random(self) -> random.Random:
        return random.Random(self._seed * 1_000_003 + self._asked)  # noqa: S311  # variety, not secrecy

    def _throttle(self) -> FakeResponse | None:
        if (allowed := self.options.rate_limit) is None:
            return None
        now = self._now()
        while self._recent and self._recent[0] <= now - _RATE_WINDOW:
            self._recent.popleft()
        if len(self._recent) < allowed:
            self._recent.append(now)
            return None
        wait = int(self._recent[0] + _RATE_WINDOW - now) + 1
        forms = {
            "seconds": {"Retry-After": str(wait)},
            "date": {"Retry-After": formatdate(now + wait, usegmt=True)},
            "absurd": {"Retry-After": str(_ABSURD_WAIT)},
            "absent": {},
        }
        return refusal(429, "Too many requests", headers=forms[self.options.retry_after])

    def _limit(self, text: str | None) -> int:
        limit = self.options.default_limit
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):  # noqa: PLR2004  # fits any integer column
                message = "limit must be a whole number from 1 on"
                raise _Refused(message)
            limit = int(text)
        cap = self.options.limit_cap
        later = self.options.limit_cap_later
        if later is not None and self._asked > later[0]:
            cap = later[1]
        if cap is None or limit <= cap:
            return limit
        if text is not None and self.options.over_limit == "refuse":
            message = f"limit must not exceed {cap}"
            raise _Refused(message)
        return cap

    def _bound(self, name: str, text: str | None) -> int | None:
        if text is None:
            return None
        instant = self._read_date(text)
        if instant is None:
            if self.options.unparsable_date == "refuse":
                message = f"{name} cannot be parsed"
                raise _Refused(message)
            if self.options.unparsable_date == "empty":
                raise _Nothing
        return instant

    def _window(self, params: Mapping[str, str]) -> tuple[int, int]:
        """Return the matching instants as ``[low, high)``; every combination of precision and bounds comes to that."""
        lib, zone = self.options, self._zone
        first = self._bound("from_date", params.get("from_date"))
        last = self._bound("to_date", params.get("to_date"))
        if lib.max_span is not None and first is not None and last is not None and last - first > (most := int(lib.max_span * 1000)):
            if lib.over_span == "refuse":
                message = f"dates must not be more than {lib.max_span:g} seconds apart"
                raise _Refused(message)
            if lib.over_span == "empty":
                raise _Nothing
            first, last = (last - most, last) if lib.over_span == "clamp_from" else (first, first + most)
        low, high = -_FOREVER, _FOREVER
        by_unit = lib.coarse_bound == "unit"
        if first is not None:
            low = floor_to(first, lib.precision, zone)
            if lib.from_bound == "exclusive":
                low = next_unit(low, lib.precision, zone) if by_unit else low + 1
        if last is not None:
            high = floor_to(last, lib.precision, zone)
            if lib.to_bound == "inclusive":
                high = next_unit(high, lib.precision, zone) if by_unit else high + 1
        return low, high

    def _shown(self, keys: Iterable[tuple[int, str]], event_name: str | None) -> Iterable[tuple[int, str]]:
        if self._late:
            keys = (key for key in keys if key[1] not in self._late or self._is_due(key[1]))
        if event_name is not None:
            keys = (key for key in keys if self._by_id[key[1]].get("eventName") == event_name)
        return keys

    def _is_due(self, ident: str) -> bool:
        moment, request = self._late[ident]
        return self._asked >= request and (not moment or self._now() >= moment)

    def _select(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        limit = self._limit(params.get("limit"))
        low, high = self._window(params)
        event_name = params.get("event_name")
        lib, chance = self.options, self._random()
        if lib.cut in {"leading", "trailing"} and lib.order in {"newest", "oldest"} and not lib.strays:
            chosen = self._page(low, high, limit, event_name, chance)
        else:
            keys = self._index[lib.filter_by]
            begin = bisect_left(keys, (low, ""))
            end = max(begin, bisect_left(keys, (high, "")))
            strays = self._strays(begin, end, min(lib.strays, limit), chance)
            chosen = self._cut(list(self._shown(keys[begin:end], event_name)), limit - len(strays), chance)
            if strays:
                chosen = self._order([*chosen, *strays], chance)
        return [dict(self._by_id[key[1]]) for key in chosen]

    def _page(self, low: int, high: int, limit: int, event_name: str | None, chance: random.Random) -> list[tuple[int, str]]:
        """Read the page off the index, from the end that is kept: of a million records it costs no more than the page."""
        lib = self.options
        keys, mixed = self._index[lib.order_by], lib.order_by != lib.filter_by
        # What matches by one time is no further off by the other than the longest lag.
        margin = self._longest_lag if mixed else 0
        begin = bisect_left(keys, (low - margin, ""))
        end = max(begin, bisect_left(keys, (high + margin, "")))
        from_newest = (lib.order == "newest") != (lib.cut == "trailing")
        found: Iterable[tuple[int, str]] = (keys[place] for place in (range(end - 1, begin - 1, -1) if from_newest else range(begin, end)))
        if mixed:
            found = (key for key in found if low <= self._time(key[1], lib.filter_by) < high)
        found = self._shown(found, event_name)
        if lib.tie_order == "varying":
            found = _with_ties_mixed(found, chance)
        chosen = list(islice(found, limit))
        return chosen[::-1] if lib.cut == "trailing" else chosen

    def _strays(self, begin: int, end: int, count: int, chance: random.Random) -> list[tuple[int, str]]:
        if not count:
            return []
        keys = self._index[self.options.filter_by]
        outside = list(self._shown([*keys[:begin], *keys[end:]], None))
        return chance.sample(outside, min(count, len(outside)))

    def _cut(self, matches: list[tuple[int, str]], limit: int, chance: random.Random) -> list[tuple[int, str]]:
        cut = self.options.cut
        if len(matches) > limit and cut == "sample":
            matches = heapq.nsmallest(limit, matches, key=lambda key: self._key(key[1]))
        elif len(matches) > limit and cut == "sample_random":
            matches = chance.sample(matches, limit)
        ordered = self._order(matches, chance)
        return ordered[max(0, len(ordered) - limit) :] if cut == "trailing" else ordered[:limit]

    def _order(self, keys: list[tuple[int, str]], chance: random.Random) -> list[tuple[int, str]]:
        order, by = self.options.order, self.options.order_by
        if order == "shuffled":
            return chance.sample(keys, len(keys))
        if order == "unsorted":
            return sorted(keys, key=lambda key: key[1])
        varies = self.options.tie_order == "varying"
        return sorted(keys, key=lambda key: (self._time(key[1], by), chance.random() if varies else key[1]), reverse=order == "newest")


def _with_ties_mixed(keys: Iterable[tuple[int, str]], chance: random.Random) -> Iterator[tuple[int, str]]:
    for _, tied in groupby(keys, key=lambda key: key[0]):
        group = list(tied)
        chance.shuffle(group)
        yield from group
