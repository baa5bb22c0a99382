"""Windows of event logs asked of one API, with a ``limit`` that it accepts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.effects import Start, join
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.errors import ParametersRefusedError
from airflow_provider_capillary.reading.capacity import Capacity, Reach, ZoneShown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_capillary.api.date_formats import DateFormat
    from airflow_provider_capillary.api.effects import Flow
    from airflow_provider_capillary.api.executor import RequestExecutor
    from airflow_provider_capillary.api.responses import Page

__all__ = ["EventLogsClient", "WindowRefusedError"]

SMALLER_LIMITS: Final = (500, 200, 100, 50, 20, 10)
"""Tried in turn where a ``limit`` is refused."""
LARGER: Final = 10
"""The factor by which the limit is raised where a window that can't be split fills an answer."""


class WindowRefusedError(Exception):
    """The API refuses a window, though it accepts the limit: the window is too long, or its dates are."""

    def __init__(self, refusal: ParametersRefusedError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class EventLogsClient:
    """Requests event logs, and notes what the answers show of the API.

    :ivar limit: the ``limit`` that requests name; lowered where the API refuses it, and raised where a window can't be split.
    :ivar capacity: how many records the API gives at once.
    :ivar reach: how long windows may be.
    :ivar zone_shown: where the zone of the dates was seen to be right.
    :ivar undated: the records of the last answer to a request without dates.
    :ivar named_capacity: how many records an answer to an ``event_name`` holds, if so many match (:mod:`.names`); 0 before that is shown.
    :ivar ahead: windows that end up to so many milliseconds in the future are known to be answered with records.
    """

    def __init__(self, executor: RequestExecutor, *, limit: int) -> None:
        self.executor = executor
        self.limit = limit
        self.capacity = Capacity(limit)
        self.reach = Reach()
        self.zone_shown = ZoneShown()
        self.undated = EventLogs.of([])
        self.named_capacity = 0
        self.ahead = 0
        self._notice: Callable[[EventLogs], object] | None = None
        self._longest: dict[str, str] = {}

    @property
    def now(self) -> int:
        """The API's clock by its latest response, UTC epoch milliseconds; 0 before the first."""
        return int(self.executor.answered_at * 1000)

    @contextlib.contextmanager
    def noticing(self, notice: Callable[[EventLogs], object]) -> Iterator[None]:
        """Call ``notice`` with the records of each answer that comes within the ``with`` block, whatever it was asked for."""
        self._notice = notice
        try:
            yield
        finally:
            self._notice = None

    def fetch_undated(self) -> Flow[Page]:
        """Ask without dates, lowering the limit until it is accepted.

        :raises ParametersRefusedError: where every limit is refused.
        """
        try:
            return (yield from self._fetch_undated({"limit": str(self.limit)}))
        except ParametersRefusedError as error:
            refusal = error
            # A request without a limit, which is documented to mean ten, shows whether the API refuses the limit or something else.
            yield from self._fetch_undated({})
        for smaller in [limit for limit in SMALLER_LIMITS if limit < self.limit]:
            self._change_limit(smaller)
            try:
                return (yield from self._fetch_undated({"limit": str(smaller)}))
            except ParametersRefusedError as error:
                refusal = error
        raise refusal

    def start_window(self, dates: DateFormat, from_date: int, to_date: int, *, event_name: str | None = None) -> Flow[object]:
        """Ask for a window beside others; :meth:`fetch_window` with the same arguments and the ``started`` returned here has the answer."""
        return (yield Start(self.executor.logs(self._params(dates, from_date, to_date, event_name))))

    def fetch_window(
        self, dates: DateFormat, from_date: int, to_date: int, *, event_name: str | None = None, started: object = None
    ) -> Flow[Page]:
        """Ask for a window, both dates as :meth:`DateFormat.floor` or :meth:`DateFormat.ceil` return them.

        :param started: what :meth:`start_window` returned, where it has asked already.
        :raises ParametersRefusedError: where the API refuses the window or the limit.
        """
        params = self._params(dates, from_date, to_date, event_name)
        answer: Page = yield from self.executor.logs(params) if started is None else join(started)
        if event_name is None or self.named_capacity:
            self._note(params, answer)
        else:  # perhaps the API gives more at once with a name
            self._pass_on(answer)
        self.reach.show(from_date, to_date, answer.records.times)
        self.zone_shown.show(from_date, to_date, answer.records.times)
        return answer

    def fetch_window_at_any_limit(
        self, dates: DateFormat, from_date: int, to_date: int, *, event_name: str | None = None, started: object = None
    ) -> Flow[Page]:
        """:meth:`fetch_window`, for an API that may come to refuse the limit at any request.

        :raises WindowRefusedError: the API refuses the window, not the limit.
        :raises ParametersRefusedError: the API accepts no limit any more.
        """
        while True:
            try:
                return (yield from self.fetch_window(dates, from_date, to_date, event_name=event_name, started=started))
            except ParametersRefusedError as refusal:
                limit, started = self.limit, None
                yield from self.fetch_undated()
                if self.limit == limit:
                    raise WindowRefusedError(refusal) from refusal

    def fetch_window_unless_refused(
        self, dates: DateFormat, from_date: int, to_date: int, *, event_name: str | None = None
    ) -> Flow[Page | None]:
        """:meth:`fetch_window_at_any_limit`; ``None`` where the API refuses the window."""
        with contextlib.suppress(WindowRefusedError):
            return (yield from self.fetch_window_at_any_limit(dates, from_date, to_date, event_name=event_name))
        return None

    def try_larger_limit(self, dates: DateFormat, from_date: int, to_date: int, *, event_name: str | None = None) -> Flow[bool]:
        """Ask for a window with a larger limit, and keep that limit where the answer is longer than any before."""
        limit, before = self.limit, self.capacity.records
        self._change_limit(limit * LARGER)
        try:
            yield from self.fetch_window(dates, from_date, to_date, event_name=event_name)
        except ParametersRefusedError:
            self._change_limit(limit)
            return False
        if self.capacity.records > before:
            # Perhaps it holds all of the window. Only a longer answer can show that.
            yield from self.fetch_undated()
            return True
        self._change_limit(limit)
        return False

    def fetch_longest(self) -> Flow[int]:
        """Repeat the request whose answer was the longest, and return how many records the answer holds now.

        :raises ParametersRefusedError: the API accepts no limit any more.
        """
        try:
            answer = yield from self.executor.logs(self._longest | {"limit": str(self.limit)})
        except ParametersRefusedError:
            # Perhaps it refuses the limit. This finds a smaller one.
            answer = yield from self.fetch_undated()
        self._pass_on(answer)
        return len(answer)

    def _params(self, dates: DateFormat, from_date: int, to_date: int, event_name: str | None) -> dict[str, str]:
        params = {"from_date": dates.text(from_date), "to_date": dates.text(to_date), "limit": str(self.limit)}
        return params | {"event_name": event_name} if event_name else params

    def _note(self, params: dict[str, str], answer: Page) -> None:
        count = len(set(answer.records.ids)) if len(answer) > self.capacity.records else len(answer)  # some rows may come twice
        if count >= self.capacity.records:
            self._longest = params
        self.capacity.show(count)
        self._pass_on(answer)

    def _pass_on(self, answer: Page) -> None:
        if self._notice is not None:
            self._notice(answer.records)

    def _fetch_undated(self, params: dict[str, str]) -> Flow[Page]:
        answer = yield from self.executor.logs(params)
        if params:
            self._note(params, answer)
        else:
            self._pass_on(answer)
        self.undated = answer.records
        return answer

    def _change_limit(self, limit: int) -> None:
        self.limit = limit
        self.capacity.change_limit(limit)
