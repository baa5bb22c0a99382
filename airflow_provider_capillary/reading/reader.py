"""One interval, complete: the proof.

The rule
--------

    *A window is whole when its answer holds fewer records than the API has shown that it can give at once.*

Nothing else is concluded from an answer: not from the order of its records, not from where they lie in the window. A full answer proves
nothing about its window. Its records are true all the same, and the reading must yield them in the end.

Windows tile the interval from its end backwards. A whole answer extends what is proved (:class:`.Ledger`). A full answer is followed by a
shorter window (:class:`.Sizer` guesses how short). A reading ends without an error only when it has met five obligations, each a line of
:class:`_Reading`:

1. *a short answer is whole* (``_is_whole``): it holds fewer records than :class:`.Capacity`, and its window is no longer than the API is
   known to answer from end to end (:class:`.Reach`). An answer without records counts when it comes twice.
2. *the ledger covers the interval* (``covers_interval``): from :attr:`.Bounds.margin` before it to as much after it, span joining span.
3. *the capacity still holds* (``_recheck_capacity``): each span is followed by a request with an answer longer than its own, or it is read
   again.
4. *everything seen is yielded* (``_yield_proved_records``): each record of the interval that any answer held is in a whole answer.
5. *nothing comes from outside* (``_require_nearby``): records far outside of a window show that the API does not read its dates.

An example: 250 event logs, evenly over a day, at an API that gives 100 at once, newest first, and reads ``iso`` dates. Each line is a
request; how the API reads dates is known already.

.. code-block:: text

    from_date            to_date              answer
    2025-09-16T23:54:59  2025-09-18T00:05:00  100: full; they lie in the last 9.6 hours
    2025-09-17T14:38:25  2025-09-18T00:05:00   98: whole
    2025-09-17T06:57:33  2025-09-17T14:38:26   81: whole
    2025-09-16T23:54:59  2025-09-17T06:57:34   72: whole; the interval is covered
    2025-09-16T23:54:59  2025-09-18T00:05:00  100: more than 98, so nothing was cut

The cost for N records and a capacity of p, on a day without bursts, is about ``1.35 * ceil(N / p) + 8`` requests at the most, calibration
included; ``tests/benchmarks/reading_cost.py`` prints the table. A long reading whose pace the API's answers would set asks for windows
ahead, side by side (:mod:`.lanes`): the answers are handled in the same order and prove the same. That costs a few requests more,
and up to a fifth where the density changes by the hour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import AUTO, DAY, HOUR, MINUTE, DateFormat, zone_of
from airflow_provider_capillary.api.effects import Records
from airflow_provider_capillary.errors import CalibrationError, TieError
from airflow_provider_capillary.reading.calibration import calibrate
from airflow_provider_capillary.reading.client import EventLogsClient, WindowRefusedError
from airflow_provider_capillary.reading.direction import BACKWARDS, FORWARDS, is_newest_first
from airflow_provider_capillary.reading.lanes import Lanes
from airflow_provider_capillary.reading.ledger import Ledger
from airflow_provider_capillary.reading.pending import PendingRecords
from airflow_provider_capillary.reading.precision import calibrate_closely
from airflow_provider_capillary.reading.reach import prove_reach
from airflow_provider_capillary.reading.sizing import Sizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.executor import RequestExecutor
    from airflow_provider_capillary.reading.bounds import Bounds

__all__ = ["Reader"]

MOST_UNCONFIRMED: Final = 10_000
"""Records held in memory until a later answer confirms their spans. Beyond this many, a request is spent on such an answer."""
SHORTEST_REFUSED: Final = 2 * MINUTE
"""An API that refuses a window shorter than this, milliseconds, refuses it for another reason than its length."""


class Reader:
    """Reads intervals from one API. What the first reading finds out about the API serves the next ones.

    :param date_format: ``auto``, a name of :data:`~airflow_provider_capillary.api.date_formats.FORMATS`, or a strftime string.
    :param timezone: the zone in which the API reads a date that carries no offset: an IANA name or an offset.
    :param page_size: the ``limit`` to ask for.
    :ivar bounds: how the API reads dates; ``None`` before the first reading, and while the API holds no records.
    :ivar proof: what the last complete reading rests on: the spans, the greatest count taken for whole, the capacity that proves it.
    """

    def __init__(self, executor: RequestExecutor, *, date_format: str = "auto", timezone: str = "UTC", page_size: int = 1000) -> None:
        zone = zone_of(timezone)
        self._formats = [DateFormat(name, zone) for name in (AUTO if date_format == "auto" else (date_format,))]
        self._client = EventLogsClient(executor, limit=page_size)
        self.bounds: Bounds | None = None
        self.proof: dict[str, int] | None = None

    def fetch_newest(self) -> Flow[EventLogs]:
        """The newest event logs of the API, as one answer to a request without dates holds them.

        :raises RequestError: the API does not answer.
        """
        return (yield from self._client.fetch_undated()).records

    def read(self, start: int, end: int, *, event_name: str | None = None) -> Flow[None]:
        """Yield each record of ``[start, end)`` once, latest first by and large. The records count only once this has ended.

        :param start: UTC epoch milliseconds.
        :param end: UTC epoch milliseconds.
        :param event_name: sent to the API, so that its answers are shorter; they are not filtered here.
        :raises RequestError: the API does not answer.
        :raises CompletenessError: it answers, and it can't be proved that nothing is missing.
        """
        self.proof = None
        if start >= end:
            return
        if self.bounds is None:
            self.bounds = yield from calibrate(self._client, self._formats)
        if self.bounds is None:
            yield from self._confirm_no_records(start, end)
            return
        reading = _Reading(self._client, self.bounds, start, end, event_name, formats=self._formats)
        yield from reading.run()
        self.bounds, self.proof = reading.bounds, reading.proof

    def _confirm_no_records(self, start: int, end: int) -> Flow[None]:
        """Ask with dates, too, where an undated request has shown no record; for less, where the API refuses so long a window."""
        lengths = [end - start, *(length for length in (DAY, HOUR, 5 * MINUTE) if length < end - start)]
        asked = [(dates, length) for length in lengths for dates in self._formats]
        for dates, length in asked:
            from_date, to_date = dates.floor(end - length), dates.ceil(end)
            try:
                answer = yield from self._client.fetch_window_steadily(dates, from_date, to_date)
            except WindowRefusedError as error:
                if (dates, length) == asked[-1]:
                    raise error.refusal from error
                continue
            if answer.records:
                raise CalibrationError(
                    "The API answers without dates with nothing, and with dates with records",
                    request=f"from_date={dates.text(from_date)} to_date={dates.text(to_date)}",
                    response=f"{len(answer)} records",
                    hint="retry, in case the first records have just arrived",
                )
            return


class _Reading:
    """One reading of ``[start, end)``."""

    def __init__(
        self, client: EventLogsClient, bounds: Bounds, start: int, end: int, event_name: str | None, *, formats: Sequence[DateFormat]
    ) -> None:
        self._client = client
        self._formats = formats
        self._event_name = event_name
        self.bounds = bounds
        self._direction = BACKWARDS
        self._ledger = Ledger(bounds.floor(start - bounds.margin), bounds.ceil(end + bounds.margin))
        self._sizer = Sizer(client.capacity)
        self._lanes = Lanes(client)
        self._pending = PendingRecords(start, end)
        self._unread_before = self._ledger.high
        self._too_wide = (0, 0)
        self._capacity_when_asked = 0
        self._shown_since = 0
        """How many records an answer held that came after the last span's."""
        self._note_seen(client.undated)
        client.notice = self._note_seen

    @property
    def proof(self) -> dict[str, int]:
        """For the manifest."""
        longest = self._ledger.longest
        return {
            "spans": self._ledger.spans,
            "longest_answer": longest.count if longest else 0,
            "capacity": longest.capacity if longest else self._client.capacity.records,
        }

    def run(self) -> Flow[None]:
        """Yield every record of the interval.

        :raises CompletenessError: it can't be proved that nothing is missing.
        """
        while not self._ledger.covers_interval:
            gap = self._ledger.gap
            if gap is None or self._ledger.unconfirmed_records > MOST_UNCONFIRMED:
                yield from self._recheck_capacity()
            else:
                yield from self._ask_ahead(*gap)
                yield from self._read_span(*self._next_span(*gap))
            yield from self._yield_proved_records()

    def _ask_ahead(self, low: int, high: int) -> Flow[None]:
        """Ask for windows of the gap side by side, as far as the density of the records foretells them."""
        windows = self._sizer.windows_in(self._ledger.high - self._ledger.low)
        while self._lanes.has_room_for(windows) and (part := self._lanes.free_part(low, high)):
            span = self._next_span(low, high) if part[1] == high else self._cut(self._sizer.start_ahead_of(*part), *part)
            yield from self._lanes.start(
                *span, self._window(*span), dates=self.bounds.dates, event_name=self._event_name, asked_after=self._ledger.added
            )

    def _read_span(self, low: int, high: int) -> Flow[None]:
        """Ask for a span at the gap's end, and extend the ledger where the answer is whole."""
        records = yield from self._fetch(low, high)
        if records is None:
            return
        self._unread_before, self._shown_since = low, 0
        if (yield from self._is_whole(low, high, records)):
            self._pending.add_proved(records, span_start=low)
            self._ledger.add(low, count=len(records), capacity=self._client.capacity.records)
            self._ledger.confirm(max(self._client.capacity.least, self._shown_since), asked_after=self._ledger.added)
            self._sizer.learn_short(low, high, self._direction.positions(records.times), is_rest=self._lanes.is_rest(low))
            return
        self._pending.add(records)
        self._lanes.wait()
        if not self._client.capacity.is_short(len(records)):
            yield from self._narrow(low, high, records)

    def _is_whole(self, low: int, high: int, records: EventLogs) -> Flow[bool]:
        """Whether the answer holds every record of the span."""
        capacity = self._client.capacity
        is_short = capacity.is_short(len(records)) and len(records) < self._capacity_when_asked
        if not is_short or not (yield from self._is_answered_to_its_ends(low, high)):
            return False
        if not records:
            again = yield from self._fetch(low, high)
            if again is None or again:
                return False
        # Once more: the requests in between may have shown that the API gives less now.
        return capacity.is_short(len(records))

    def _recheck_capacity(self) -> Flow[None]:
        """Repeat the request with the longest answer: as long an answer proves that the API cut no span, a shorter one that it may have."""
        # The next intervals are as long as this one: what shows that windows may be, too, is often as long an answer.
        interval = self._ledger.high - self._ledger.low + self.bounds.zone_error
        if self._client.reach.length < interval:
            shown = yield from prove_reach(self._client, self.bounds, interval)
            self._ledger.confirm(shown, asked_after=self._ledger.added)
        if not self._ledger.longest_unconfirmed:
            return
        count = yield from self._client.fetch_longest()
        self._ledger.confirm(count, asked_after=self._ledger.added)
        if self._ledger.longest_unconfirmed:
            self._client.capacity.fall(count)
            self._lanes.abandon()
            self._ledger.drop_unconfirmed()
            self._pending.distrust_spans_before(self._ledger.frontier)

    def _yield_proved_records(self) -> Flow[None]:
        """Yield the records that no answer still to come can hold: the filter may date a record earlier or later, by up to the margin."""
        ledger = self._ledger
        since = ledger.low if ledger.covers_interval else ledger.frontier + self.bounds.margin
        if since >= ledger.high:
            return
        released = self._pending.release(*self._direction.span(since, ledger.high))[::-1]
        while released:
            # None is kept here once it is yielded: together they may be many.
            yield Records(released.pop())

    def _require_nearby(self, records: EventLogs, from_date: int, to_date: int) -> None:
        times = records.times
        if not times or not any(self.bounds.is_elsewhere(time, from_date, to_date) for time in (min(times), max(times))):
            return
        outside = sum(self.bounds.is_elsewhere(time, from_date, to_date) for time in times)
        raise CalibrationError(
            f"{outside} of {len(records)} records lie far outside of the window that was asked for",
            request=f"from_date={self.bounds.dates.text(from_date)} to_date={self.bounds.dates.text(to_date)}",
            hint="set the extra `date_format` to what this cluster reads",
        )

    def _note_seen(self, records: EventLogs) -> None:
        """Any answer may hold records of the interval. Those of the part that is still to be read must be in a whole answer later.

        Records of the part that is read are left out: they may have become visible only now.
        """
        before = self._lanes.earliest(self._unread_before) - self.bounds.margin
        self._pending.add(records.within(*self._direction.span(self._ledger.low, before)).named(self._event_name))

    def _next_span(self, low: int, high: int) -> tuple[int, int]:
        """The end of the gap ``[low, high)``: the span that was asked for ahead, or one that is shorter than a span that was too wide."""
        if (asked := self._lanes.span_at(high)) is not None:
            return asked
        low, high = self._lanes.free_part(low, high) or (low, high)
        start = self._sizer.start_of(low, high)
        too_wide_from, too_wide_to = self._too_wide
        return self._cut(max(start, too_wide_from + 1) if too_wide_to == high else start, low, high)

    def _cut(self, start: int, low: int, high: int) -> tuple[int, int]:
        """The end of ``[low, high)`` from about ``start`` on, as the dates can be written."""
        way, bounds = self._direction, self.bounds
        return max(low, min(way.ceil(bounds, start), way.floor(bounds, high - 1))), high

    def _window(self, low: int, high: int) -> tuple[int, int]:
        """``from_date`` and ``to_date`` of a window that holds the span."""
        return self.bounds.window(*self._direction.span(low, high))

    def _fetch(self, low: int, high: int) -> Flow[EventLogs | None]:
        """The records of a window that holds the span; ``None`` where the API refuses so long a window."""
        asked = self._lanes.take(low, high)
        from_date, to_date = (asked.from_date, asked.to_date) if asked else self._window(low, high)
        asked_after, started = (asked.asked_after, asked.started) if asked else (self._ledger.added, None)
        self._capacity_when_asked = asked.capacity if asked else self._client.capacity.records
        try:
            answer = yield from self._client.fetch_window_steadily(
                self.bounds.dates, from_date, to_date, event_name=self._event_name, started=started
            )
        except WindowRefusedError as error:
            if not (yield from self._shorten(low, high)):
                raise error.refusal from error
            return None
        self._ledger.confirm(len(answer), asked_after=asked_after)
        self._require_nearby(answer.records, from_date, to_date)
        self.bounds = self.bounds.saw(from_date, answer.records.times)
        return answer.records

    def _shorten(self, low: int, high: int) -> Flow[bool]:
        """Whether the next span can be shorter, so that the API may answer its window in full."""
        if high - low >= max(SHORTEST_REFUSED, 2 * self.bounds.step):
            self._sizer.forbid(high - low)
            return True
        times = self._client.undated.times
        closer = yield from calibrate_closely(self._client, self.bounds, *self._direction.span(low, high), times)
        if closer is None or closer.unit == self.bounds.unit:
            return False
        self.bounds = closer
        return True

    def _is_answered_to_its_ends(self, low: int, high: int) -> Flow[bool]:
        """Whether the API is known not to cut a window as long as this span's.

        :raises CalibrationError: it cuts it, and the span can't be much shorter.
        """
        from_date, to_date = self._window(low, high)
        reach = self._client.reach
        # A record's distance from the ends of a window is no better known than the zone of its dates.
        length = to_date - from_date + self.bounds.zone_error
        # All of the interval at once, where that is possible: the windows grow.
        for wanted in (max(length, self._ledger.high - self._ledger.low), length):
            if length > reach.length:
                self._shown_since = yield from prove_reach(self._client, self.bounds, wanted)
        if length <= reach.length:
            return True
        if not (yield from self._shorten(low, high)):
            raise CalibrationError(
                f"The API cuts windows short without saying so: {reach.length / HOUR:.1f} of {length / HOUR:.1f} hours are answered",
                hint="check the extras `date_format` and `timezone`",
            )
        return False

    def _finer_dates(self) -> Flow[Bounds | None]:
        """Bounds in a format that says times more finely than the present one, where the API reads such a format, too."""
        finer = [dates for dates in self._formats if dates.resolution < self.bounds.dates.resolution]
        if not finer:
            return None
        # With the present format beside them, a format is chosen only where the API surely does not ignore it.
        try:
            found = yield from calibrate(self._client, [*finer, self.bounds.dates])
        except CalibrationError:
            return None
        return replace(found, lag=self.bounds.lag) if found and found.dates in finer else None

    def _turn_forwards(self, low: int, high: int) -> tuple[int, int]:
        """Begin at the other end of the interval, of which nothing is read yet; return the span as it is named there."""
        self._direction = FORWARDS
        self._ledger = Ledger(*self._direction.span(self._ledger.low, self._ledger.high))
        self._unread_before = self._ledger.high
        return self._direction.span(low, high)

    def _narrow(self, low: int, high: int, records: EventLogs) -> Flow[None]:
        """Prepare for a shorter span after a full answer; where the span can't be shorter, for finer dates or longer answers.

        :raises TieError: neither helps.
        """
        times = records.times
        if self._direction is BACKWARDS and not self._ledger.added and is_newest_first(times[::-1]) and not is_newest_first(times):
            low, high = self._turn_forwards(low, high)
            if high < self._ledger.high:
                return  # the window did not begin where the reading begins now
        if self._direction.floor(self.bounds, high - 1) > low:
            self._sizer.learn_full(low, high, self._direction.positions(times))
            self._too_wide = (low, high)
            return
        start, end = self._direction.span(low, high)
        closer = (yield from calibrate_closely(self._client, self.bounds, start, end, times)) or (yield from self._finer_dates())
        if closer is not None:
            self.bounds = closer
            return
        if (yield from self._client.try_larger_limit(self.bounds.dates, *self._window(low, high), event_name=self._event_name)):
            return
        raise TieError(
            f"The API holds {len(records)} records or more within {high - low} ms, and gives no more than that at once",
            timestamp=max(set(times), key=times.count),
            count=len(records),
            request=f"from_date={self.bounds.dates.text(start)} to_date={self.bounds.dates.text(end)}",
            hint="raise `page_size` if the API allows it, set `date_format` to one with finer dates, or read by `event_name`",
        )
