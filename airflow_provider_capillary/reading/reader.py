"""One interval, complete: the proof.

The rule
--------

    *A window is whole when its answer holds fewer records than the API has shown that it can give at once.*

How many records an answer holds is all that shows whether the API left some out. No proof rests on their order. Their times show three
other things: over how long a window the API answers from end to end (:class:`.Reach`), in which weeks the zone of the dates is right
(:class:`.ZoneShown`), and how far from ``startTime`` the time is that the filter compares (:attr:`.Bounds.lag`).

A *span* ``[low, high)`` is what is to be known, and spans tile the interval, as a rule from its end backwards (:mod:`.direction`). A
*window* is what is sent for it, a little wider. An answer is *full* where it holds as many records as the API gives at once, else *short*;
a short one is *whole* where the API is known not to cut so long a window. The span of a whole answer goes into the ledger, and is *proved*
once a later, longer answer has shown that the API could still give more (:class:`.Ledger`). A full answer proves nothing about its window.
Its records are true all the same, and the reading must yield them in the end. A shorter window follows (:class:`.Sizer` guesses how short).

A reading ends without an error only when it has met six obligations, or where there is nothing to read: the interval is empty or lies in
the future, or the API shows no record at all.

1. *a short answer is whole* (``_prove_whole``): it holds fewer records than :class:`.Capacity`, and its window is no longer than the API is
   known to answer from end to end. An answer without records counts when it comes twice, the second time perhaps to a longer window.
   Windows are asked for by ``event_name`` only where that was shown to leave nothing out (:mod:`.names`).
2. *the ledger covers the interval* (``covers_interval``): from :attr:`.Bounds.margin` before it to as much after it, span joining span.
   It need not cover a future in which the API answers no windows (:mod:`.future`).
3. *the capacity still holds* (``confirm``): after each span came an answer longer than its own. Where none comes by itself,
   ``_recheck_capacity`` asks for one, or has the span read again. Answers below the documented default need none (:class:`.Capacity`).
4. *everything seen is yielded* (``release`` raises an error else): each record of the interval that an answer held is in a whole answer,
   but for a record of what was read already, which became visible only then.
5. *nothing comes from outside* (``require_nearby``): records far outside of a window show that the API does not read its dates.
6. *the zone holds in the interval, too* (:class:`.ZoneCheck`, which says where that can't be shown): clocks change with the season.

An example: 250 event logs, evenly over a day, at an API that gives 100 at once, newest first, and reads ``iso`` dates. Each line is a
request; a day like it was read before.

.. code-block:: text

    from_date            to_date              answer
    2025-09-16T23:54:59  2025-09-18T00:05:00  100: full; they lie in the last 9.6 hours
    2025-09-17T14:38:25  2025-09-18T00:05:00   98: whole
    2025-09-17T06:48:50  2025-09-17T14:38:26   82: whole
    2025-09-16T23:54:59  2025-09-17T06:48:51   71: whole; the interval is covered
    2025-09-16T23:54:59  2025-09-18T00:05:00  100: more than 98, so nothing was cut

The cost for N records and a capacity of p, on a day without bursts, is about ``1.35 * ceil(N / p) + 8`` requests at the most, calibration
included, where the API sorts its answers by time; ``tests/benchmarks/reading_cost.py`` prints the table. A long reading whose pace the
API's answers would set reads parts of the interval side by side (:mod:`.lanes`), for a few requests more. They share the ledger.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import AUTO, HOUR, MINUTE, DateFormat, zone_of
from airflow_provider_capillary.api.effects import Records
from airflow_provider_capillary.errors import CalibrationError
from airflow_provider_capillary.reading.calibration import calibrate
from airflow_provider_capillary.reading.client import EventLogsClient, WindowRefusedError
from airflow_provider_capillary.reading.crowded import relieve
from airflow_provider_capillary.reading.direction import BACKWARDS, FORWARDS, is_newest_first
from airflow_provider_capillary.reading.extent import Extent
from airflow_provider_capillary.reading.lanes import Lanes
from airflow_provider_capillary.reading.ledger import Ledger
from airflow_provider_capillary.reading.names import NameFilter
from airflow_provider_capillary.reading.nearby import ZoneCheck, require_nearby
from airflow_provider_capillary.reading.no_records import find_by_dates
from airflow_provider_capillary.reading.part_state import AskedSpan, PartState
from airflow_provider_capillary.reading.pending import PendingRecords
from airflow_provider_capillary.reading.precision import calibrate_closely
from airflow_provider_capillary.reading.reach import prove_reach
from airflow_provider_capillary.reading.sizing import Sizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.executor import RequestExecutor
    from airflow_provider_capillary.reading.bounds import Bounds
    from airflow_provider_capillary.reading.ledger import Part

__all__ = ["Reader"]

MOST_UNCONFIRMED: Final = 10_000
FULL_UNCONFIRMED: Final = 4
"""Records held in memory until a later answer confirms their spans, and as many full answers: beyond both, a request asks for such one."""
SHORTEST_REFUSED: Final = 2 * MINUTE
"""An API that refuses a window shorter than this, milliseconds, refuses it for another reason than its length."""


class Reader:
    """Reads intervals from one API. What the first reading finds out about the API serves the next ones.

    :param date_format: ``auto``, a name of :data:`~airflow_provider_capillary.api.date_formats.FORMATS`, or a strftime string.
    :param timezone: the zone in which the API reads a date that carries no offset: an IANA name or an offset.
    :param page_size: the ``limit`` to ask for.
    :ivar bounds: how the API reads dates; ``None`` before the first reading, and while the API holds no records.
    :ivar proof: what the last complete reading rests on: the spans, the greatest count taken for whole, the capacity at that time.
    """

    def __init__(self, executor: RequestExecutor, *, date_format: str = "auto", timezone: str = "UTC", page_size: int = 1000) -> None:
        zone = zone_of(timezone)
        self._formats = [DateFormat(name, zone) for name in (AUTO if date_format == "auto" else (date_format,))]
        self._client = EventLogsClient(executor, limit=page_size)
        self.bounds: Bounds | None = None
        self.proof: dict[str, int] | None = None

    def fetch_undated(self) -> Flow[EventLogs]:
        """The event logs that the API answers a request without dates with: the newest, where it has an order."""
        return (yield from self._client.fetch_undated()).records

    def read(self, start: int, end: int, *, event_name: str | None = None) -> Flow[None]:
        """Yield each record of ``[start, end)`` once, in any order. The records count only once this has ended.

        :param start: UTC epoch milliseconds.
        :param end: UTC epoch milliseconds.
        :param event_name: sent to the API where that is no risk (:mod:`.names`), so that its answers are shorter. Records of other names
            may be among those that are yielded.
        :raises RequestError: the API does not answer.
        :raises CompletenessError: it answers, and it can't be proved that nothing is missing.
        """
        self.proof = None
        if start >= end:
            return
        seen: list[EventLogs] = []
        with self._client.noticing(seen.append):
            bounds = self.bounds or (yield from self._calibrate(start, end))
            if bounds is None and any(seen):
                raise CalibrationError("The API showed event logs, and then none", hint="retry; if it stays so, ask Capillary's support")
            if bounds is None:
                return
            extent = Extent(self._client, start, end)
            self.bounds = yield from extent.find_end(bounds)
        if extent.is_in_future:
            return
        reading = _Reading(self._client, self.bounds, self._formats, extent, event_name=event_name)
        yield from reading.run([self._client.undated, *seen])
        self.bounds, self.proof = reading.bounds, reading.proof

    def _calibrate(self, start: int, end: int) -> Flow[Bounds | None]:
        """How the API reads dates; ``None`` where it shows no record, neither without dates nor with them."""
        bounds = yield from calibrate(self._client, self._formats)
        if bounds is None and (known := (yield from find_by_dates(self._client, self._formats, start, end))):
            bounds = yield from calibrate(self._client, self._formats, known=known)
            self._client.undated = known
        return bounds


class _Reading:
    """One reading of an interval, and as far beyond it as :class:`.Extent` says."""

    def __init__(
        self, client: EventLogsClient, bounds: Bounds, formats: Sequence[DateFormat], extent: Extent, *, event_name: str | None
    ) -> None:
        self._client, self._formats, self._extent = client, formats, extent
        self.bounds = bounds
        self._names = NameFilter(client, event_name)
        self._direction = BACKWARDS
        self._ledger = Ledger(*extent.span(bounds))
        self._states = [PartState(self._ledger.parts[0], Sizer(client.capacity))]
        self._lanes = Lanes(client)
        self._pending = PendingRecords(extent.start, extent.end, event_name)
        self._zone_check = ZoneCheck(client, extent.start, extent.end)

    @property
    def proof(self) -> dict[str, int]:
        """For the manifest."""
        longest = self._ledger.longest
        return {
            "spans": self._ledger.spans,
            "longest_answer": longest.count if longest else 0,
            "capacity": longest.capacity if longest else self._client.capacity.records,
        }

    def run(self, seen: Iterable[EventLogs]) -> Flow[None]:
        """Yield every record of the interval.

        :param seen: the records of answers before.
        :raises CompletenessError: it can't be proved that nothing is missing.
        """
        with self._client.noticing(self._note_unread):
            for records in seen:
                self._note_unread(records)
            while not self._ledger.covers_interval:
                if self._ledger.has_gaps:
                    yield from self._lanes.run([self._read_part(state) for state in self._states], self._read_beside)
                else:
                    yield from self._recheck_capacity()
                    yield from self._yield_proved_records(self._ledger.parts[0])
            low, high = self._direction.span(self._ledger.low, self._ledger.high)
            beyond = min(self._extent.start - low, high - self._extent.end)
            yield from self._zone_check.finish(self.bounds, self._pending.samples, beyond=beyond)

    def _read_part(self, state: PartState) -> Flow[None]:
        """Ask for a part, span by span, until each has a whole answer."""
        while (span := state.next_span(self._direction, self.bounds)) is not None:
            if self._ledger.unconfirmed_records > max(MOST_UNCONFIRMED, FULL_UNCONFIRMED * self._client.capacity.records):
                yield from self._recheck_capacity()
            else:
                yield from self._read_span(state, *span)
                state.asking = None
            yield from self._yield_proved_records(state.part)

    def _read_span(self, state: PartState, low: int, high: int) -> Flow[None]:
        """Ask for a span at the end of a part's gap, and extend the ledger where the answer is whole."""
        window = self.bounds.window(*self._direction.span(low, high))
        asked = state.asking = AskedSpan(low=low, high=high, window=window, bounds=self.bounds, capacity=self._client.capacity.records)
        records = yield from self._fetch(state, asked)
        if records is not None and not records:
            # That there are none is believed the second time. Else the second answer is the one that counts.
            is_all = (low, high) == (self._ledger.low, self._ledger.high)
            if not is_all or not (yield from self._zone_check.finds_none_around(self.bounds)):
                records = yield from self._fetch(state, asked)
        if records is None:
            return
        if (yield from self._prove_whole(state, asked, records)):
            self._pending.add_proved(records, number=self._ledger.added)
            self._ledger.add(state.part, low, count=len(records), capacity=self._client.capacity.records)
            self._ledger.confirm(max(self._client.capacity.least, asked.shown), asked_after=self._ledger.added)
            state.sizer.learn_short(low, high, self._direction.positions(records.times))
            return
        # Its window is wider than the span, and may hold records of what is read already that have become visible only now.
        self._pending.add(records.within(*self._direction.span(state.part.low, high)))
        if not self._client.capacity.is_short(len(records)):
            yield from self._narrow(state, asked, records)

    def _prove_whole(self, state: PartState, asked: AskedSpan, records: EventLogs) -> Flow[bool]:
        """Whether the answer holds every record of the span."""
        capacity = self._client.capacity
        is_short = capacity.is_short(len(records)) and len(records) < asked.capacity
        if not is_short or not (yield from self._prove_not_cut(state, asked)):
            return False
        # Once more, for what was shown while this was asked for: that the API gives less now, so that the spans behind this one were
        # dropped. From here on nothing is asked until the span is in the ledger.
        return capacity.is_short(len(records)) and state.part.answered_from == asked.high

    def _prove_not_cut(self, state: PartState, asked: AskedSpan) -> Flow[bool]:
        """Whether the API is known not to cut a window as long as this span's.

        :raises CalibrationError: it cuts it, and the span can't be much shorter.
        """
        from_date, to_date = asked.window
        reach = self._client.reach
        length = asked.bounds.surely(to_date - from_date, is_cut=reach.not_shown is not None)
        # All of the interval at once, where that is possible: the windows grow.
        for wanted in (max(length, self._ledger.high - self._ledger.low), length):
            if length > reach.length:
                asked.shown = yield from prove_reach(self._client, self.bounds, wanted)
            length = asked.bounds.surely(to_date - from_date, is_cut=reach.not_shown is not None)
        if length <= reach.length:
            return True
        if not (yield from self._try_to_shorten(state, asked)):
            raise CalibrationError(
                f"The API cuts windows short without saying so: {reach.length / HOUR:.1f} of {length / HOUR:.1f} hours are answered",
                hint="check the extras `date_format` and `timezone`",
            )
        return False

    def _recheck_capacity(self) -> Flow[None]:
        """Ask for an answer longer than each unconfirmed span's. Where none comes, these spans may have been cut: they are read again."""
        yield from self._show_reach()
        if not self._ledger.longest_unconfirmed:
            return
        count = yield from self._client.fetch_longest()
        self._ledger.confirm(count, asked_after=self._ledger.added)
        if self._ledger.longest_unconfirmed:
            self._forget_unconfirmed(count)

    def _show_reach(self) -> Flow[None]:
        """Show that windows may be as long as this interval: the next ones are. What shows it is often a long answer, too."""
        interval = self.bounds.surely(self._ledger.high - self._ledger.low, is_cut=False)
        if self._client.reach.length < interval:
            shown = yield from prove_reach(self._client, self.bounds, interval)
            self._ledger.confirm(shown, asked_after=self._ledger.added)

    def _forget_unconfirmed(self, count: int) -> None:
        """The API gives no more than ``count`` now. Its answers since the last proof, and those under way, may have been cut."""
        self._client.capacity.fall(count)
        self._lanes.abandon()
        self._pending.distrust(self._ledger.confirmed)  # before the next line, which confirms or drops them all
        self._ledger.drop_unconfirmed()

    def _yield_proved_records(self, part: Part) -> Flow[None]:
        """Yield the records of proved spans, less a margin: an answer still to come may hold records that lie so near.

        :param part: whose spans were proved, or one beside it.
        """
        ledger, margin = self._ledger, self.bounds.margin
        low, high = ledger.proved_around(part)
        low, high = low + margin * (low > ledger.low), high - margin * (high < ledger.high)
        released = self._pending.release(*self._direction.span(low, high))[::-1]
        while released:
            # None is kept here once it is yielded: together they may be many.
            yield Records(released.pop(), ledger.proved_share)

    def _note_unread(self, records: EventLogs) -> None:
        """Any answer may hold records of the interval. Those of what is not asked for yet have to be in a whole answer later."""
        for state in self._states:
            low, margin = state.part.low, self.bounds.margin
            unread = self._direction.span(low + margin * (low > self._ledger.low), state.asked_from - margin)
            self._pending.add(records.within(*unread))

    def _fetch(self, state: PartState, asked: AskedSpan) -> Flow[EventLogs | None]:
        """The records of a span's window; ``None`` where the API refuses it, for its length or its name. Other parts go on meanwhile."""
        from_date, to_date = asked.window
        asked_after, name = self._ledger.added, self._names.asked
        try:
            answer = yield from self._lanes.fetch(asked.bounds.dates, from_date, to_date, event_name=name)
        except WindowRefusedError as error:
            if not self._names.give_up(name) and not (yield from self._try_to_shorten(state, asked)):
                raise error.refusal from error
            return None
        self._ledger.confirm(len(answer), asked_after=asked_after)
        require_nearby(self.bounds, answer.records, from_date, to_date)
        yield from self._learn_lag(from_date, answer.records.times)
        return answer.records

    def _learn_lag(self, from_date: int, times: list[int]) -> Flow[None]:
        """Read farther beyond the interval where a record lies farther before its window than any so far, but not into the future.

        :raises CalibrationError: records were yielded from within that distance of spans that are still to be read.
        """
        margin = self.bounds.margin
        self.bounds = self.bounds.saw(from_date, times)
        if self.bounds.margin <= margin:
            return
        if self._pending.has_released:
            self._extent.require_read(self.bounds, self._direction.span(self._ledger.low, self._ledger.high)[0])
            return
        self.bounds = yield from self._extent.find_end(self.bounds)
        parts = self._ledger.extend(*self._direction.span(*self._extent.span(self.bounds)))
        self._states += [PartState(part, self._states[0].sizer.elsewhere()) for part in parts]

    def _try_to_shorten(self, state: PartState, asked: AskedSpan) -> Flow[bool]:
        """Make the next span shorter, or its dates finer, so that the API may answer its window in full; ``False`` where neither can be."""
        if asked.high - asked.low >= SHORTEST_REFUSED and self._is_divisible(asked):
            state.forbid(asked.low, asked.high)
            return True
        times = self._client.undated.times
        closer = yield from calibrate_closely(self._client, self.bounds, *self._direction.span(asked.low, asked.high), times)
        if closer is None or closer.unit == self.bounds.unit:
            return False
        self.bounds = closer
        return True

    def _narrow(self, state: PartState, asked: AskedSpan, records: EventLogs) -> Flow[None]:
        """Prepare for a shorter span after a full answer; where the span can't be shorter, for finer dates or longer answers.

        :raises TieError: neither helps.
        """
        times, span = records.times, self._direction.span(asked.low, asked.high)
        if (yield from self._names.try_on(asked.bounds.dates, *asked.window, records)):
            return
        if not self._is_divisible(asked):
            self.bounds = yield from relieve(self._client, self.bounds, *span, times, formats=self._formats, event_name=self._names.asked)
            return
        if self._should_turn(times):
            self._turn_forwards(state)
        low, high = self._direction.span(*span)
        if high == state.part.answered_from:
            state.learn_full(low, high, self._direction.positions(times))

    def _is_divisible(self, asked: AskedSpan) -> bool:
        """Whether a shorter span can end where this one does."""
        return self._direction.floor(self.bounds, asked.high - 1) > asked.low

    def _should_turn(self, times: list[int]) -> bool:
        """Whether a full answer begins with the oldest records, and nothing is read yet."""
        is_oldest_first = is_newest_first(times[::-1]) and not is_newest_first(times)
        return is_oldest_first and self._direction is BACKWARDS and not self._ledger.added and len(self._states) == 1

    def _turn_forwards(self, state: PartState) -> None:
        """Begin at the other end of the interval, with its only part."""
        self._direction = FORWARDS
        self._ledger = Ledger(*self._direction.span(self._ledger.low, self._ledger.high))
        state.part, state.sizer = self._ledger.parts[0], Sizer(self._client.capacity)

    def _read_beside(self, most: int) -> list[Flow[None]]:
        """Cut parts in two, those with the most windows left first, and read the new ones, too."""
        flows: list[Flow[None]] = []
        while len(flows) < most and self._lanes.are_worth_it(state.windows_left for state in self._states):
            state = max(self._states, key=attrgetter("windows_left"))
            part, sizer = state.part, state.sizer
            at = self._direction.ceil(self.bounds, (part.low + state.asked_from) // 2)
            if not part.low < at < state.asked_from:
                break
            self._states.append(PartState(self._ledger.split(part, at), sizer.elsewhere()))
            flows.append(self._read_part(self._states[-1]))
        return flows
