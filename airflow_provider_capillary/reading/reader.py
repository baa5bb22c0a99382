"""One interval, complete: the proof.

The rule
--------

    *A window is whole when its answer holds fewer records than the API has shown that it can give at once.*

Nothing else is concluded from an answer: not from the order of its records, not from where they lie in the window. A full answer proves
nothing about its window, but its records are true, and must be handed on in the end.

The windows tile the interval from its end backwards. Each whole one extends what is proved (:class:`.Ledger`); a full one is asked for in
smaller parts (:class:`.Sizer` guesses which). The obligations, each a line of :meth:`_Reading.run` or of what it calls:

1. *a short answer is whole*: fewer records than :class:`.Capacity`, in a window that is no longer than the API is known to answer from end
   to end (:class:`.Reach`); an answer without any record is asked for twice;
2. *the ledger covers*: from :data:`.bounds.MARGIN` before the interval to as much after it, span joining span;
3. *the capacity still holds*: each span is followed by an answer longer than its own, or it is read again;
4. *everything seen was handed on*: each record of the interval that any answer held is in a whole one;
5. *nothing from elsewhere*: records far outside of a window show that its dates are not read.

An example: 250 event logs, evenly over a day, at an API that gives 100 at once, newest first, and reads ``iso`` dates. Each line is a
request; how dates are read is known already.

.. code-block:: text

    from_date            to_date              answer
    2025-09-16T23:54:59  2025-09-18T00:05:00  100: full; they lie in the last 9.6 hours
    2025-09-17T14:38:25  2025-09-18T00:05:00   98: whole
    2025-09-17T06:53:39  2025-09-17T14:38:26   81: whole
    2025-09-16T23:54:59  2025-09-17T06:53:40   72: whole; the interval is covered
    2025-09-16T23:54:59  2025-09-18T00:05:00  100: more than 98, so nothing was cut

What it costs for N records and a capacity of p, on a day without bursts: about ``1.35 * ceil(N / p) + 8`` requests at the most, calibration
included; ``tests/benchmarks/reading_cost.py`` prints the table.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.date_formats import AUTO, HOUR, MINUTE, DateFormat, zone_of
from airflow_provider_capillary.api.effects import Records
from airflow_provider_capillary.errors import CalibrationError, ContinuityError, ParametersRefusedError, TieError
from airflow_provider_capillary.reading.calibration import calibrate, calibrate_closely
from airflow_provider_capillary.reading.client import EventLogsClient, WindowRefusedError
from airflow_provider_capillary.reading.ledger import Ledger
from airflow_provider_capillary.reading.reach import prove_reach
from airflow_provider_capillary.reading.sizing import Sizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_capillary.api.effects import Flow, Record
    from airflow_provider_capillary.api.executor import RequestExecutor
    from airflow_provider_capillary.reading.bounds import Bounds

__all__ = ["Reader"]

MOST_PENDING: Final = 10_000
"""Records that wait for a later answer to confirm theirs before they are handed on; for so many, a request is spent on one."""
SHORTEST_REFUSED: Final = 2 * MINUTE
"""An API that refuses a window of less than this, milliseconds, refuses it for another reason than its length."""


class Reader:
    """Reads intervals from one API; what the first reading found out about it serves the next ones.

    :param date_format: ``auto``, a name of :data:`~airflow_provider_capillary.api.date_formats.FORMATS`, or a strftime string.
    :param timezone: the zone in which the API reads a date that carries no offset: an IANA name or an offset.
    :param page_size: the ``limit`` to ask for.
    :ivar bounds: how the API reads dates; ``None`` before the first reading, and while the API holds no records.
    :ivar proof: what the last reading that ended rests on.
    """

    def __init__(self, exchange: RequestExecutor, *, date_format: str = "auto", timezone: str = "UTC", page_size: int = 1000) -> None:
        zone = zone_of(timezone)
        self._formats = [DateFormat(name, zone) for name in (AUTO if date_format == "auto" else (date_format,))]
        self._client = EventLogsClient(exchange, limit=page_size)
        self.bounds: Bounds | None = None
        self.proof: dict[str, int] | None = None

    def fetch_newest(self) -> Flow[list[Record]]:
        """The newest event logs of the API, as one answer to a request without dates holds them.

        :raises RequestError: the API does not answer.
        """
        return (yield from self._client.fetch_undated()).records

    def read(self, start: int, end: int, *, event_name: str | None = None) -> Flow[None]:
        """Hand on each record of ``[start, end)`` once, latest first by and large; they count once this has ended.

        :param start: UTC epoch milliseconds.
        :param end: UTC epoch milliseconds.
        :param event_name: asked of the API, so that it answers with less; its answers are not filtered here.
        :raises RequestError: where the API does not answer.
        :raises CompletenessError: where it answers, and it can't be proved that nothing is missing.
        """
        self.proof = None
        if start >= end:
            return
        if self.bounds is None:
            self.bounds = yield from calibrate(self._client, self._formats)
        if self.bounds is None:
            yield from self._confirm_no_records(start, end)
            return
        reading = _Reading(self._client, self.bounds, start, end, event_name)
        yield from reading.run()
        self.bounds, self.proof = reading.bounds, reading.proof

    def _confirm_no_records(self, start: int, end: int) -> Flow[None]:
        for dates in self._formats:
            first, last = dates.floor(start), dates.ceil(end)
            try:
                answer = yield from self._client.fetch_window(dates, first, last)
            except ParametersRefusedError:
                if dates is self._formats[-1]:
                    raise
                continue
            if answer.records:
                raise CalibrationError(
                    "The API answers without dates with nothing, and with dates with records",
                    request=f"from_date={dates.text(first)} to_date={dates.text(last)}",
                    response=f"{len(answer)} records",
                    hint="retry, in case the first records have just arrived",
                )
            return


class _Reading:
    """One reading of ``[start, end)``.

    :ivar proof: spans, the greatest count that was taken for whole and the capacity that proves it.
    """

    def __init__(self, client: EventLogsClient, bounds: Bounds, start: int, end: int, event_name: str | None) -> None:
        self._client = client
        self._event_name = event_name
        self.bounds = bounds
        self._ledger = Ledger(bounds.floor(start - bounds.margin), bounds.ceil(end + bounds.margin))
        self._sizer = Sizer(client.capacity)
        self._waiting = _Waiting(start, end)
        self._unread = self._ledger.high
        self._owe(client.undated)
        client.notice = self._owe
        self._too_wide = (0, 0)
        self.proof: dict[str, int] = {}

    def run(self) -> Flow[None]:
        """Hand on every record of the interval.

        :raises CompletenessError: where it can't be proved that nothing is missing.
        """
        while not self._ledger.is_proved:
            gap = self._ledger.gap
            if gap is None or self._ledger.pending_records > MOST_PENDING:
                yield from self._confirm_capacity()
                yield from self._hand_on()
                continue
            low, high = self._next_span(*gap)
            records = yield from self._ask(low, high)
            if records is None:
                continue
            self._unread = low
            is_whole = self._client.capacity.is_short(len(records)) and (yield from self._is_answered_to_its_ends(low, high, records))
            # Once more: what was asked in between may have shown that the API gives less now.
            is_whole = is_whole and self._client.capacity.is_short(len(records))
            self._waiting.take(records, proved_at=low if is_whole else None)
            if is_whole:
                self._ledger.add(low, count=len(records), capacity=self._client.capacity.records)
                self._ledger.confirm(self._client.capacity.least)
                self._sizer.learn_short(low, high, [record["startTime"] for record in records])
            elif not self._client.capacity.is_short(len(records)):
                yield from self._split(low, high, records)
            yield from self._hand_on()
        longest = self._ledger.longest
        self.proof = {
            "spans": self._ledger.spans,
            "longest_answer": longest.count if longest else 0,
            "capacity": longest.capacity if longest else self._client.capacity.records,
        }

    def _owe(self, records: list[Record]) -> None:
        """Any answer may hold records of the interval: each of what is still to be read has to be in a whole one.

        Not what lies nearer to the end than that: it may have become visible only now.
        """
        unread = self._unread - self.bounds.margin
        named = (record for record in records if self._event_name in (None, record.get("eventName")))
        self._waiting.take((record for record in named if record["startTime"] < unread), proved_at=None)

    def _next_span(self, low: int, high: int) -> tuple[int, int]:
        """A part of the gap, up to its end; shorter than one that was too wide."""
        start = self.bounds.ceil(self._sizer.start_of(low, high))
        widest, end = self._too_wide
        if end == high:
            start = max(start, self.bounds.ceil(widest + 1))
        return max(low, min(start, self.bounds.floor(high - 1))), high

    def _ask(self, low: int, high: int) -> Flow[list[Record] | None]:
        """The records of a window that holds the span; ``None`` where the API refuses so long a window."""
        from_date, to_date = self.bounds.window(low, high)
        try:
            answer = yield from self._client.fetch_window_steadily(self.bounds.dates, from_date, to_date, event_name=self._event_name)
        except WindowRefusedError as error:
            if high - low < max(SHORTEST_REFUSED, 2 * self.bounds.step):
                raise error.refusal from error
            self._sizer.forbid(high - low)
            return None
        self._ledger.confirm(len(answer))
        elsewhere = sum(self.bounds.is_elsewhere(record["startTime"], from_date, to_date) for record in answer.records)
        if elsewhere:
            raise CalibrationError(
                f"{elsewhere} of {len(answer)} records lie far outside of the window that was asked for",
                request=f"from_date={self.bounds.dates.text(from_date)} to_date={self.bounds.dates.text(to_date)}",
                hint="set the extra `date_format` to what this cluster reads",
            )
        self.bounds = self.bounds.saw(from_date, [record["startTime"] for record in answer.records])
        return answer.records

    def _is_answered_to_its_ends(self, low: int, high: int, records: list[Record]) -> Flow[bool]:
        """Whether a short answer is one to the whole window, and an empty one comes twice."""
        from_date, to_date = self.bounds.window(low, high)
        length, reach = to_date - from_date, self._client.reach
        longest = max(length, self._ledger.high - self._ledger.low)
        # At once for all of the interval: the windows grow, and the next intervals are as long.
        if length > reach.length or (longest > reach.length and reach.not_shown is None):
            yield from prove_reach(self._client, self.bounds, longest=longest, length=length)
        if length > reach.length:
            if high - low < max(SHORTEST_REFUSED, 2 * self.bounds.step):
                raise CalibrationError(
                    f"The API cuts windows short without saying so: {reach.length / HOUR:.1f} of {length / HOUR:.1f} hours are answered",
                    hint="check the extras `date_format` and `timezone`",
                )
            self._sizer.forbid(high - low)
            return False
        if records:
            return True
        again = yield from self._ask(low, high)
        return again is not None and not again

    def _split(self, low: int, high: int, records: list[Record]) -> Flow[None]:
        """Go on with a part of a span whose answer was full.

        :raises TieError: it can't be split.
        """
        times = [record["startTime"] for record in records]
        if self.bounds.floor(high - 1) > low:
            self._sizer.learn_full(low, high, times)
            self._too_wide = (low, high)
            return
        closer = yield from calibrate_closely(self._client, self.bounds, low, high, times)
        if closer is not None:
            self.bounds = closer
            return
        if (yield from self._client.try_larger_limit(self.bounds.dates, *self.bounds.window(low, high), event_name=self._event_name)):
            return
        time = max(set(times), key=times.count)
        raise TieError(
            f"The API holds {len(records)} records or more within {high - low} ms, and gives no more than that at once",
            instant=time,
            count=len(records),
            request=f"from_date={self.bounds.dates.text(low)} to_date={self.bounds.dates.text(high)}",
            hint="raise `page_size` if the API allows it, set `date_format` to one with finer dates, or read by `event_name`",
        )

    def _confirm_capacity(self) -> Flow[None]:
        """Ask for the longest answer again: where it comes, no span was cut; where it is shorter, forget those that may have been."""
        count = yield from self._client.fetch_longest()
        self._ledger.confirm(count)
        if self._ledger.pending_count:
            self._client.capacity.fall(count)
            self._ledger.forget_pending()
            self._waiting.doubt(self._ledger.frontier)

    def _hand_on(self) -> Flow[None]:
        """Hand on the records of which everything is proved: what the filter may date earlier or later lies behind the frontier, too."""
        ledger = self._ledger
        proved_from = self._waiting.start if ledger.is_proved else ledger.frontier + self.bounds.margin
        records, owed = self._waiting.hand_on(proved_from)
        if owed:
            raise ContinuityError(
                f"{owed} records of the interval were in an answer that was cut, and are in none that holds all of its window",
                hint="retry, in case they have been deleted; if it stays so, the API's short answers are not whole",
            )
        if records:
            yield Records(records)


class _Waiting:
    """Records of ``[start, end)`` that were seen and are not handed on yet, each once.

    A record is handed on when what is proved has passed its time by the margin. Then it can't come again but as a repetition.
    """

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self._handed_on_from = end
        self._records: dict[str, Record] = {}
        self._proved_at: dict[str, int] = {}
        self._by_time: list[tuple[int, str]] = []

    def take(self, records: Iterable[Record], *, proved_at: int | None) -> None:
        """Keep those that are of the interval and not handed on.

        :param proved_at: where the span begins that holds them; ``None`` where they were in no whole answer.
        :raises ContinuityError: one id has two times.
        """
        for record in records:
            time, name = record["startTime"], record["id"]
            if self.start <= time < self._handed_on_from:
                if name not in self._records:
                    heappush(self._by_time, (-time, name))
                    self._records[name] = record
                elif (before := self._records[name]["startTime"]) != time:
                    raise ContinuityError(
                        f"One id came with two times, {before} and {time}: one of two event logs would be taken for a repetition",
                        hint="retry; if it stays so, ask Capillary's support whether the ids of event logs are unique",
                    )
                if proved_at is not None:
                    self._proved_at[name] = max(proved_at, self._proved_at.get(name, proved_at))

    def doubt(self, frontier: int) -> None:
        """What was found before this frontier is no longer proved."""
        self._proved_at = {name: low for name, low in self._proved_at.items() if low >= frontier}

    def hand_on(self, proved_from: int) -> tuple[list[Record], int]:
        """The records from a time on, and how many of them were in no whole answer."""
        handed, owed = [], 0
        while self._by_time and -self._by_time[0][0] >= proved_from:
            _, name = heappop(self._by_time)
            handed.append(self._records.pop(name))
            owed += self._proved_at.pop(name, None) is None
        self._handed_on_from = min(self._handed_on_from, max(proved_from, self.start))
        return handed, owed
