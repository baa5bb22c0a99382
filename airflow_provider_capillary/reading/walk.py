"""The overlapping pages of one interval, and the proof that they join.

Why a chain of pages is complete: each page after the first is asked for so that it begins with the *seam*, the records, already known, at
which the page before it ended. An answer is sorted, so whatever comes behind the seam comes next; a page that holds the seam and goes
past it has skipped nothing. What remains to be proved, and how:

- *that pages have no holes*: the stretch of one is asked for again without its last instant. Those are fewer records than the
  API has just shown it can answer with, so nothing can have been cut from the second answer, whatever the order. The first pages are
  looked at so;
- *that the last page is the last*: the walk asks for more than the interval, and a record from beyond its far end shows that the end was
  passed. Where there is none, a page that brings nothing new ends the walk, once a longer answer has shown that it was not cut;
- *that an empty stretch is empty*: :mod:`~airflow_provider_capillary.reading.spans`.

An instant with more records than one answer holds can't be walked past: :class:`~airflow_provider_capillary.errors.TieError`.
Everything else that does not fit is a :class:`~airflow_provider_capillary.errors.ContinuityError`. Nothing is skipped.

For N records, p of them in an answer and at most k in one instant, an API that is newest first is asked at most
ceil(N / (p - k)) + 4 times.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import ContinuityError, TieError
from airflow_provider_capillary.reading.dates import DAY, LADDER, SECOND
from airflow_provider_capillary.reading.order import Order
from airflow_provider_capillary.reading.pages import Page, Pages
from airflow_provider_capillary.reading.questions import WindowRefusedError
from airflow_provider_capillary.reading.seams import Seams
from airflow_provider_capillary.reading.spans import prove_spans
from airflow_provider_capillary.reading.steps import Found

if TYPE_CHECKING:
    from airflow_provider_capillary.reading.calibration import Wire
    from airflow_provider_capillary.reading.questions import Questions
    from airflow_provider_capillary.reading.steps import Record, Steps

__all__ = ["Walk"]

FEW = 3
"""Pages of so few records look sorted and whole by chance; more of them are looked at twice."""
LOOKED_AT_TWICE = 2
LOOKED_AT_TWICE_OF_FEW = 8
LARGER = 10
"""By how much more is asked for at once where one instant fills an answer."""


class Walk:
    """Reads ``[start, end)``, epoch milliseconds, each record once.

    :param order: in which the API answers, as far as is known.
    :param sure: whether it is known; else the first answer may show that it is the other, by a ``TurnedRoundError``.
    :param event_name: asked of the API; what it returns is not filtered here.
    """

    def __init__(self, questions: Questions, wire: Wire, order: Order, *, start: int, end: int, event_name: str | None, sure: bool) -> None:
        self._questions = questions
        self._wire = wire
        self._order = order
        self._start, self._end = start, end
        self._pages = Pages(questions, wire, order, sure=sure, event_name=event_name)
        self._seams = Seams(wire, order)
        self._known: dict[str, int] = {}
        self._has_all = False
        self._is_one_at_a_time = False
        self._instant = wire.instant
        self._event_name = event_name
        self._sure = sure
        self._owed = {
            record["id"]
            for record in questions.undated_records
            if start <= record["startTime"] < end and event_name in (None, record.get("eventName"))
        }
        low, high = wire.lower(start), wire.upper(end)
        if order is Order.NEWEST_FIRST:
            self._near, self._far, self._beyond = high, low, wire.dates.down(low - (end - start))
        else:
            self._near, self._far, self._beyond = low, high, wire.dates.up(high + (end - start))
        if not sure:
            # What lies beyond may be what the API gives first.
            self._beyond = self._far

    def run(self) -> Steps[None]:
        """Hand on every record of the interval.

        :raises WindowRefusedError: where the API refuses the window, with nothing handed on.
        :raises CompletenessError: where it can't be proved that nothing is missing.
        """
        page = yield from self._first_page()
        try:
            yield from self._go_on(page)
        except WindowRefusedError as error:
            # What is refused now is no longer than what was accepted before, and to start again would hand records on twice.
            raise error.refusal from error

    def _go_on(self, page: Page) -> Steps[None]:
        if not page.records:
            length = abs(self._near - self._far)
            yield from self._believe_ends(near=length, far=length)
            yield from self._settle_up(self._near)
            return
        yield from self._take(page)
        if not self._sure and page.first == page.last and page.count >= self._questions.capacity and not self._is_all_there_is(page):
            # Full of one instant, it does not show in which direction others would follow.
            raise self._tie(page)
        first, looked, ended = page, 0, False
        while not ended and not self._is_past(page):
            following = yield from self._next_page(page)
            ended = following.ids <= self._known.keys()
            whole = 0
            if looked < self._looks() and not self._has_all:
                looked += 1
                whole = yield from self._look_again(page, first=looked == 1)
            if ended:
                shown = yield from self._believe_ends(far=abs(page.last - self._far), only=page if page is first else None)
                yield from self._believe_last(page, following, max(whole, shown))
            else:
                if page.count < self._questions.capacity:
                    self._questions.has_shrunk(max(page.count, following.count))
                yield from self._take(following)
                self._forget_before(page)
                page = following
        if not looked and not self._has_all:
            yield from self._look_again(page, first=True)
        yield from self._settle_up(page.last)

    def _settle_up(self, instant: int) -> Steps[None]:
        if self._owed:
            raise self._gap(instant, f"{len(self._owed)} records of the interval, seen in an answer, are in none of its pages")
        if self._is_one_at_a_time and self._questions.shows_several:
            yield from self._refuse_one_at_a_time(instant)

    def _refuse_one_at_a_time(self, instant: int) -> Steps[None]:
        """An API that shows several records, and never two at once, may hide others anywhere."""
        if len((yield from self._questions.undated())) > 1:
            raise self._gap(instant, "the API answered with one record at a time, and no longer does")
        raise self._tie_at(instant, 1)

    def _ask(self, near: int, far: int) -> Steps[Page]:
        page = yield from self._pages.ask(near, far)
        self._is_one_at_a_time = self._questions.longest == 1
        # Whatever becomes of this page: what was seen of the interval has to be handed on, or all of it is worth nothing.
        self._owed.update(
            record["id"] for record in page.records if self._start <= record["startTime"] < self._end and record["id"] not in self._known
        )
        return page

    def _first_page(self) -> Steps[Page]:
        try:
            page = yield from self._ask(self._near, self._beyond)
        except WindowRefusedError:
            page = None
        if page is not None and page.records:
            return page
        # Refused, the window may have been too long. Empty, it is asked for twice: nothing else here rests on a single answer.
        self._beyond = self._far
        page = yield from self._ask(self._near, self._far)
        if not page.records and page.count > 1 and page.count >= self._questions.capacity:
            # Full of records from beyond, it may have left out those of the interval.
            raise self._tie_at(self._far, page.count)
        return page

    def _next_page(self, page: Page) -> Steps[Page]:
        """The page that overlaps ``page`` by its last instant and goes past it, or that has nothing new."""
        seam = {name for name, instant in self._known.items() if instant == page.last}
        following = page
        for bound in self._seams.bounds(page.last):
            # No nearer than where the walk began: what lies there was never asked for.
            near = max(bound, self._near, key=self._place)
            following = yield from self._ask(near, self._beyond)
            if following.records and self._place(following.first) <= self._place(page.last):
                # The bound is loose enough: the answer begins at the seam, or nearer.
                break
        stands_still = self._stands_still(following, page)
        if stands_still and (tighter := self._seams.tighter(page.last)) is not None:
            nearer = yield from self._ask(tighter, self._beyond)
            if seam <= nearer.ids:
                following = nearer
                self._seams.keep_tighter(page.last)
            stands_still = not nearer.ids <= following.ids or self._stands_still(following, page)
        if stands_still:
            following = yield from self._pass_crowd(following, page)
        if not seam <= following.ids:
            raise self._gap(page.last, "the records with which one page ended are not all in the next")
        self._reject_holes(following, up_to=page.last)
        return following

    def _stands_still(self, following: Page, page: Page) -> bool:
        """Whether an answer as long as any does not get past the instant that it overlaps."""
        return (
            bool(following.records)
            and following.count >= self._questions.capacity
            and self._order.position(following.last) <= self._order.position(page.last)
        )

    def _pass_crowd(self, crowd: Page, page: Page) -> Steps[Page]:
        """What to make of an instant that fills an answer: all that there is, or more at once, or an error."""
        if self._is_all_there_is(crowd):
            # An API that answered with one at a time would have another behind it.
            # Two of one instant are already too many to tell: they may be all, or the first two of a cap of two.
            behind = yield from self._ask(self._behind(crowd.last), self._beyond)
            if behind.ids <= self._known.keys():
                self._has_all = True
                return crowd
        elif crowd.count >= self._questions.limit:
            limit = self._questions.limit
            self._questions.limit = limit * LARGER
            try:
                larger = yield from self._ask(crowd.near, self._beyond)
            except WindowRefusedError:
                larger = crowd
            if larger.count > crowd.count and not self._stands_still(larger, page):
                return larger
            self._questions.limit = limit
        if crowd.count == 1:
            yield from self._refuse_one_at_a_time(crowd.last)
        raise self._tie(crowd)

    def _look_again(self, page: Page, *, first: bool) -> Steps[int]:
        """Ask for the stretch of ``page`` once more, short of its last instant, so that nothing can be cut from the answer.

        :returns: how many records came back.
        :raises ContinuityError: where the stretch holds others than the page.
        """
        capacity, count, bound, whole = self._questions.capacity, 0, page.near, False
        full = page.count >= capacity and not self._is_all_there_is(page)
        for unit in [unit for unit in LADDER if unit >= self._instant]:
            bound = self._short_of(page.last, unit)
            if self._place(bound) < self._place(page.near):
                bound = page.near
                break
            again = yield from self._ask(page.near, bound)
            self._compare(page, again, bound, first=first)
            # Before the first record of all, new ones may have arrived since.
            yield from self._take(again)
            count = again.count
            whole = count < capacity
            if whole or not full:
                break
            # The bound is read more coarsely than was seen so far: the last instant came back too.
            self._instant = min(DAY, max(unit + 1, SECOND))
        if full and self._is_past(page):
            yield from self._look_at_end(page, bound)
        elif full and not whole:
            raise self._tie(page)
        if first:
            # Without a second look, it is the page's own window that has to be answered up to where it begins.
            yield from self._believe_ends(near=abs(page.near - (page.far if bound == page.near else bound)))
        return count

    def _compare(self, page: Page, again: Page, bound: int, *, first: bool) -> None:
        missing = [record["startTime"] for record in page.records if self._is_clear_of(record, bound) and record["id"] not in again.ids]
        if missing:
            if not again.records or min(map(self._place, missing)) < self._place(again.last):
                raise self._gap(missing[0], "a second look at a page no longer finds a record that was in it")
            self._questions.has_shrunk(again.count)
        for record in again.records:
            # Nearer than the first record of all, new ones may have arrived since; in an answer that may be cut they are no news.
            # Where the order is not known, they may be what an oldest-first API gives last.
            uncut = first and self._sure and not missing and again.count < self._questions.capacity
            arrived = uncut and self._place(record["startTime"]) < self._place(page.first)
            if record["id"] not in self._known and not arrived:
                raise self._gap(record["startTime"], "a second look at a page found a record in its midst that was not in it")

    def _look_at_end(self, page: Page, bound: int) -> Steps[None]:
        """Look again at what lies between ``bound`` and the interval's far end, where the page's last instant reaches into the interval."""
        dates, newest_first = self._wire.dates, self._order is Order.NEWEST_FIRST
        edge = self._start if newest_first else self._end - 1
        if self._place(bound) >= self._place(edge):
            return
        # From the widest window to the narrowest: which of them leaves the next instant out depends on how bounds are read.
        tight = dates.down(self._start, self._instant) if newest_first else dates.up(self._end, self._instant)
        inner = dates.down(bound - 1) if newest_first else dates.up(bound + 1)
        first, last = sorted((bound, edge))
        known = {record["id"] for record in page.records if first < record["startTime"] < last or record["startTime"] == page.last}
        for near, far in ((bound, self._far), (bound, tight), (inner, tight)):
            again = yield from self._ask(near, far)
            inside = (record for record in again.records if self._place(record["startTime"]) <= self._place(edge))
            if any(record["id"] not in self._known for record in inside):
                raise self._gap(edge, "a second look at the end of the last page found a record that was not in it")
            if again.count < self._questions.capacity and known <= again.ids:
                return
        raise self._tie(page)

    def _is_all_there_is(self, page: Page) -> bool:
        """Whether ``page`` holds the only record that the API was ever seen to return."""
        return page.count == self._questions.longest == 1 and self._known.keys() <= {
            record["id"] for record in self._questions.undated_records
        }

    def _believe_ends(self, *, near: int = 0, far: int = 0, only: Page | None = None) -> Steps[int]:
        """Prove that windows of such lengths are answered up to their near and their far end.

        :param only: the page, where it is the only one; if it begins with the first record of all, so few lie behind its last one
            that an answer holds them, and shows at once how long an answer can be. (Not if it lacks those of other event names.)
        """
        newest_first = self._order is Order.NEWEST_FIRST
        beside = self._wire.newest if newest_first else self._wire.oldest
        if only is not None and self._event_name is None and only.first == beside:
            beside = only.last
        backward, forward = (far, near) if newest_first else (near, far)
        return (yield from prove_spans(self._questions, self._wire, beside, backward=backward, forward=forward))

    def _believe_last(self, page: Page, following: Page, whole: int) -> Steps[None]:
        """Prove that the answer with nothing new was not cut: by an answer that is longer, and not from before it.

        :param whole: the length of the longest answer since.
        :raises TieError: where the API has come to answer no more than so many records at once.
        """
        # One that was not full itself, and longer, shows it too: if the cap was lowered, then before that answer.
        before = page.count if page.count < self._questions.capacity else 0
        if max(before, whole) <= following.count and not self._has_all:
            now = yield from self._questions.undated()
            if len(now) <= following.count:
                raise self._tie(following)

    def _take(self, page: Page) -> Steps[None]:
        found: list[Record] = []
        for record in page.records:
            name, instant = record["id"], record["startTime"]
            if name not in self._known:
                self._known[name] = instant
                self._owed.discard(name)
                if self._start <= instant < self._end:
                    found.append(record)
            elif self._known[name] != instant:
                raise self._gap(instant, "one id came back with another time")
        yield Found(found)

    def _reject_holes(self, following: Page, *, up_to: int) -> None:
        for record in following.records:
            if self._place(record["startTime"]) < self._place(up_to) and record["id"] not in self._known:
                raise self._gap(record["startTime"], "a record turned up in a stretch that had been read")

    def _forget_before(self, page: Page) -> None:
        """Keep the ids of the last two pages only, and of what a coarse bound may bring back."""
        oldest = self._place(page.first) - 2 * max(self._wire.unit, SECOND)
        self._known = {name: instant for name, instant in self._known.items() if self._place(instant) >= oldest}

    def _looks(self) -> int:
        """How many pages are looked at twice: as many as the budget of requests leaves room for."""
        if self._questions.capacity <= FEW:
            return LOOKED_AT_TWICE_OF_FEW
        return LOOKED_AT_TWICE if not self._seams.missed else 1

    def _is_past(self, page: Page) -> bool:
        return page.last < self._start if self._order is Order.NEWEST_FIRST else page.last >= self._end

    def _place(self, instant: int) -> int:
        return self._order.position(instant)

    def _short_of(self, instant: int, unit: int) -> int:
        """The farthest bound that leaves ``instant`` out, seen from the near end."""
        dates = self._wire.dates
        whole = dates.down(instant, unit)
        return dates.up(whole + max(unit, dates.resolution)) if self._order is Order.NEWEST_FIRST else dates.down(whole - 1)

    def _behind(self, instant: int) -> int:
        """The nearest bound that leaves ``instant`` out, seen from the far end."""
        dates, unit = self._wire.dates, self._instant
        whole = dates.down(instant, unit)
        return dates.down(whole - 1) if self._order is Order.NEWEST_FIRST else dates.up(whole + unit)

    def _is_clear_of(self, record: Record, bound: int) -> bool:
        """Whether a window that ends at the far ``bound`` holds ``record`` in every reading of that bound."""
        dates = self._wire.dates
        if self._order is Order.NEWEST_FIRST:
            unit = max(self._wire.lower_unit, dates.resolution)
            return bool(record["startTime"] >= dates.down(bound, unit) + unit)
        return bool(record["startTime"] < dates.down(bound, self._wire.upper_unit))

    def _gap(self, instant: int, what: str) -> ContinuityError:
        return ContinuityError(
            f"The API's pages do not join at {_written(instant)}: {what}",
            cure="retry, with a longer `settle` if records were still arriving; if it stays so, the API can't be read past its limit",
        )

    def _tie(self, crowd: Page) -> TieError:
        return self._tie_at(crowd.last, crowd.count)

    def _tie_at(self, instant: int, count: int) -> TieError:
        return TieError(
            f"The instant {_written(instant)} holds {count} records or more, as many as the API answers at once",
            instant=instant,
            count=count,
            asked=f"limit={self._questions.limit}",
            cure="raise the extra `page_size` if the API can answer with more at once, or set `date_format` to a finer one that it reads",
        )


def _written(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds")
