"""The package's ``FakeApi`` with the options of the bench."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, ClassVar, Final
from zlib import crc32

from airflow_provider_capillary.emulator.dates import date_reader, zone_of
from airflow_provider_capillary.emulator.fake_api import FakeApi as PackageApi
from airflow_provider_capillary.emulator.fake_api import RefusedError
from bench.dates import floor_to, next_unit
from bench.options import TIMES, ServerOptions

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["FakeApi", "Late"]

_FOREVER: Final = 10**18
_DAY: Final = 86_400_000
_START, _WRITE = TIMES
_WITH_FRACTIONS: Final = ("iso", "iso_z", "datetime")


@dataclass(frozen=True, kw_only=True)
class Late:
    """When a record begins to show. Both given: the later of the two.

    :param seconds: so long after it was added, by the clock.
    :param request: from this request on, counted from 1.
    """

    seconds: float = 0.0
    request: int = 0


class _NothingError(Exception):
    """The parameters earn an empty answer."""


class FakeApi(PackageApi):
    """The time of writing a record is ``startTime + responseTime``, unless ``write_lag`` says otherwise.

    :param late: by id, when a record begins to show.
    """

    options_class: ClassVar[type[ServerOptions]] = ServerOptions
    options: ServerOptions

    def __init__(self, records: Iterable[Mapping[str, Any]] = (), *, late: Mapping[str, Late] | None = None, **options: Any) -> None:
        self._late: dict[str, tuple[float, int]] = {}
        self._lags: dict[str, int] = {}
        self._longest_lag = 0
        super().__init__(**options)
        self.present = self.options.present
        self._zone = zone_of(self.options.timezone)
        if self.options.fractions != "read":
            self._read_date = self._read_without_fractions
        self._index: dict[str, list[tuple[int, str]]] = {name: [] for name in {self.options.filter_by, self.options.order_by}}
        """By each time that is gone by: the records' times and ids, sorted."""
        for record in records:
            self._hide(record, None if late is None else late.get(str(record.get("id"))))
            _, ident = key = self._store(record)
            self._keys.append(key)
            for name, keys in self._index.items():
                keys.append((self._time(ident, name), ident))
        for keys in (self._keys, *self._index.values()):
            keys.sort()

    def add(self, record: Mapping[str, Any], *, late: Late | None = None) -> None:
        """Add one record; ``late`` says when it begins to show, left out: at once, or as ``late_share`` has it."""
        with self._lock:
            self._hide(record, late)
            super().add(record)
            ident = str(record["id"])
            for name, keys in self._index.items():
                insort(keys, (self._time(ident, name), ident))

    def write_time(self, ident: str) -> int:
        """Return when the record with this id is written, UTC epoch milliseconds; a ``KeyError`` where there is none."""
        return self._time(ident, _WRITE)

    def _hide(self, record: Mapping[str, Any], late: Late | None) -> None:
        ident = str(record.get("id"))
        share = self.options.late_share
        if late is None and share and self._key(ident) < share * 2**32:
            late = Late(request=self.options.late_request)
        if late is not None:
            self._late[ident] = (self._now() + late.seconds if late.seconds else 0.0, late.request)

    def _store(self, record: Mapping[str, Any]) -> tuple[int, str]:
        start, ident = super()._store(record)
        self._lags[ident] = lag = self._lag(ident)
        self._longest_lag = max(self._longest_lag, lag)
        return start, ident

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

    def _cap(self) -> int | None:
        later = self.options.limit_cap_later
        return later[1] if later is not None and self._request_count > later[0] else self.options.limit_cap

    def _read_without_fractions(self, text: str) -> int | None:
        for name in self.options.formats:
            has_fraction = name in _WITH_FRACTIONS and "." in text
            if has_fraction and self.options.fractions == "refuse":
                continue
            millis = date_reader((name,), self.options.timezone)(text)
            if millis is not None:
                return millis - millis % 1000 if has_fraction else millis
        return None

    def _bound(self, name: str, text: str | None) -> int | None:
        try:
            return super()._bound(name, text)
        except RefusedError:
            if self.options.unparsable_date == "refuse":
                raise
            if self.options.unparsable_date == "empty":
                raise _NothingError from None
            return None

    def _window(self, params: Mapping[str, str]) -> tuple[int, int]:
        """Return the matching times as ``[low, high)``; every combination of precision and bounds comes to that."""
        options, zone = self.options, self._zone
        first = self._bound("from_date", params.get("from_date"))
        last = self._bound("to_date", params.get("to_date"))
        first, last = self._by_present(first, last)
        most = None if options.max_span is None else int(options.max_span * 1000)
        if most is not None and first is not None and last is not None and last - first > most:
            if options.over_span == "refuse":
                message = f"dates must not be more than {options.max_span:g} seconds apart"
                raise RefusedError(message)
            if options.over_span == "empty":
                raise _NothingError
            first, last = (last - most, last) if options.over_span == "clamp_from" else (first, first + most)
        low, high = -_FOREVER, _FOREVER
        by_unit = options.coarse_bound == "unit"
        if first is not None:
            low = floor_to(first, options.precision, zone)
            if options.from_bound == "exclusive":
                low = next_unit(low, options.precision, zone) if by_unit else low + 1
        if last is not None:
            high = floor_to(last, options.precision, zone)
            if options.to_bound == "inclusive":
                high = next_unit(high, options.precision, zone) if by_unit else high + 1
        return low, high

    def _by_present(self, first: int | None, last: int | None) -> tuple[int | None, int | None]:
        """What is made of the two dates by the present."""
        options, present = self.options, self.present
        if present is None:
            return first, last
        if first is None and last is None and options.undated_days is not None:
            return present - options.undated_days * _DAY, None
        if last is None or last <= present or options.future == "read":
            return first, last
        if options.future == "refuse":
            message = "to_date lies in the future"
            raise RefusedError(message)
        if options.future == "empty":
            raise _NothingError
        return first, present

    def _shown(self, keys: Iterable[tuple[int, str]], event_name: str | None) -> Iterable[tuple[int, str]]:
        if self._late:
            keys = (key for key in keys if key[1] not in self._late or self._is_due(key[1]))
        if event_name is not None:
            keys = (key for key in keys if self._by_id[key[1]].get("eventName") == event_name)
        return keys

    def _is_due(self, ident: str) -> bool:
        moment, request = self._late[ident]
        return self._request_count >= request and (not moment or self._now() >= moment)

    def _select(self, params: Mapping[str, str]) -> list[str]:
        params = {name: params[name] for name in params if name not in self.options.ignores}
        limit = self._limit(params.get("limit"))
        try:
            low, high = self._window(params)
        except _NothingError:
            return []
        options, chance, event_name = self.options, self._random(), params.get("event_name")
        if event_name is None:
            return self._chosen(low, high, limit, None, chance)
        limit = limit if options.named_cap is None else min(limit, options.named_cap)
        if options.names == "before":
            return self._chosen(low, high, limit, event_name, chance)
        return [ident for ident in self._chosen(low, high, limit, None, chance) if self._by_id[ident].get("eventName") == event_name]

    def _chosen(self, low: int, high: int, limit: int, event_name: str | None, chance: random.Random) -> list[str]:
        options = self.options
        if options.cut in {"leading", "trailing"} and options.order in {"newest", "oldest"} and not options.strays:
            return [key[1] for key in self._page(low, high, limit, event_name, chance)]
        keys = self._index[options.filter_by]
        begin = bisect_left(keys, (low, ""))
        end = max(begin, bisect_left(keys, (high, "")))
        strays = self._strays(begin, end, min(options.strays, limit), chance)
        chosen = self._cut(list(self._shown(keys[begin:end], event_name)), limit - len(strays), chance)
        if strays:
            chosen = self._order([*chosen, *strays], chance)
        return [key[1] for key in chosen]

    def _page(self, low: int, high: int, limit: int, event_name: str | None, chance: random.Random) -> list[tuple[int, str]]:
        """Read the page off the index, from the end that is kept: of a million records it costs no more than the page."""
        options = self.options
        keys, mixed = self._index[options.order_by], options.order_by != options.filter_by
        # What matches by one time is no further off by the other than the longest lag.
        margin = self._longest_lag if mixed else 0
        begin = bisect_left(keys, (low - margin, ""))
        end = max(begin, bisect_left(keys, (high + margin, "")))
        from_newest = (options.order == "newest") != (options.cut == "trailing")
        found: Iterable[tuple[int, str]] = (keys[place] for place in (range(end - 1, begin - 1, -1) if from_newest else range(begin, end)))
        if mixed:
            found = (key for key in found if low <= self._time(key[1], options.filter_by) < high)
        found = self._shown(found, event_name)
        if options.tie_order == "varying":
            found = _with_ties_mixed(found, chance)
        chosen = list(islice(found, limit))
        return chosen[::-1] if options.cut == "trailing" else chosen

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
