"""The hook: reads the event logs of an interval over an Airflow connection.

The way of a parameter to the API: :meth:`CapillaryHook.iter_event_logs` checks it, ``_iter`` gives it to the
:class:`~airflow_provider_capillary.reading.reader.Reader`, whose effects ``_drive`` carries out; each request goes through
``_perform`` to the :class:`~airflow_provider_capillary.hooks._session.ApiSession`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_capillary.api.responses import LATEST
from airflow_provider_capillary.connection.form import connection_form_widgets, ui_field_behaviour
from airflow_provider_capillary.errors import (
    CapillaryError,
    IntervalError,
    ReadingStoppedError,
)
from airflow_provider_capillary.hooks._driver import FlowDriver, conceal
from airflow_provider_capillary.timestamps import format_duration, format_timestamp, parse_timestamp, round_duration, to_millis
from airflow_provider_capillary.validation import statuses_of, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from requests import Session

    from airflow_provider_capillary.api.effects import Record
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.executor import RequestExecutor, RequestStats
    from airflow_provider_capillary.api.retries import RetryPlan
    from airflow_provider_capillary.api.usual_pages import ListDecoder
    from airflow_provider_capillary.connection.settings import Settings
    from airflow_provider_capillary.reading.reader import Reader
    from airflow_provider_capillary.reading.sampling import Samples
    from airflow_provider_capillary.reading.survey import Findings

__all__ = ["CapillaryHook"]

T = TypeVar("T")


class CapillaryHook(FlowDriver, BaseHook):
    """Reads event logs from one Capillary API, with one budget of requests and one calibration.

    Where answers take so long that requests one after the other would not use up the budget, a long reading asks for several windows at
    once, each over a connection of its own.

    :param capillary_conn_id: the Airflow connection. The hook looks it up when it first needs it.
    """

    conn_name_attr = "capillary_conn_id"
    default_conn_name = "capillary_default"
    conn_type = "capillary"
    hook_name = "Capillary"

    def __init__(self, capillary_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.capillary_conn_id = capillary_conn_id
        self._names_connection = True
        self._events_read = 0
        self._proof: dict[str, int | str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the hook has made from the connection: a copy looks the connection up again, and no credential is pickled."""
        made = {"settings", "_session", "_executor", "_reader", "_turns", "_deciding", "_pools", "_log"}
        return {name: value for name, value in self.__dict__.items() if name not in made}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Fields of the connection form, for Airflow before 3.2."""
        return connection_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Labels and placeholders of the connection form, for Airflow before 3.2."""
        return ui_field_behaviour()

    def get_conn(self) -> Session:
        """The ``requests`` session of this hook, for requests of your own, with the connection's timeouts, ``verify`` and proxies.

        The session sends the credential to the connection's host alone, and returns redirects instead of following them. With OAuth,
        this method fetches a token if the hook has none.

        :raises ConnectionSettingsError: the connection is incomplete or wrong.
        :raises RequestError: the API gives no token.
        """
        if self.settings.auth_type == "oauth":
            self._session.credential.token = self._run(self._executor.refresh_token())
        return self._session.requests

    def iter_event_logs(
        self,
        start: datetime | str,
        end: datetime | str,
        *,
        event_name: str | None = None,
        statuses: Collection[str] | None = None,
    ) -> Iterator[Record]:
        """Yield each event log of ``[start, end)`` once, in no particular order.

        The records count only once the iteration has ended without an error: then they are every event log that the API would show for
        the interval. After an error, discard the records.

        Waits, for retries and for the connection's ``requests_per_minute``, block. The hook tries a request up to nine times, over at
        most five minutes of waiting.

        A record is a dict as ``json`` parses it: a number with more digits than a float holds is rounded, and a number beyond any float
        is infinite. The dict is an :class:`~airflow_provider_capillary.api.event_logs.EventLog`, whose ``text`` is what the API sent,
        number for number; exports write this text.

        Where the filters keep no record, a warning lists the statuses and names of the records that were read, and the one that is
        spelt like the filter's. Where the API shows no record under ``event_name``, one more request asks whether its newest event logs
        have the name.

        :param start: by ``startTime``; an aware datetime or ISO text with an offset; to the millisecond.
        :param end: the same; not included.
        :param event_name: only records with exactly this ``eventName``; checked here, and sent to the API where that leaves nothing out.
        :param statuses: only records with one of these; ``NO_STATUS`` stands for a record without a status. The API has no such parameter,
            so all records are read. ``None`` for all.
        :raises IntervalError: the interval is not one; raised at once.
        :raises ConnectionSettingsError: the connection is incomplete or wrong.
        :raises RequestError: the API does not answer; the class says why.
        :raises CompletenessError: the API answers, and it can't be proved that nothing is missing.
        """
        return _each(self.iter_pages(start, end, event_name=event_name, statuses=statuses))

    def iter_pages(
        self,
        start: datetime | str,
        end: datetime | str,
        *,
        event_name: str | None = None,
        statuses: Collection[str] | None = None,
        decode: ListDecoder | None = None,
    ) -> Generator[EventLogs]:
        """:meth:`iter_event_logs`, many records at a time, as they came in one answer. Fields are decoded where they are asked for.

        :param decode: asked first for the records of an answer.
        """
        first, last = parse_timestamp(start, "start"), parse_timestamp(end, "end")
        if first > last:
            raise IntervalError(f"start={start!s} lies after end={end!s}", hint="exchange them")
        # Taken once: an iterator would be empty the second time, and an export of nothing look like one without failures.
        wanted = statuses_of(list(statuses) if isinstance(statuses, Iterator) else statuses, without="all")
        event_name = text_of("event_name", event_name)
        # No record lies outside of these bounds, and a timestamp beyond the years of the calendar could not be asked for.
        low, high = (min(max(to_millis(timestamp), 0), LATEST) for timestamp in (first, last))
        return self._iter(low, high, event_name, None if wanted is None else frozenset(wanted), decode)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for event logs once, and say what the API answered or what to change. Never raises; tries twice, over at most five seconds.

        No message names the connection: for its Test button, Airflow makes a connection with a random id that nobody has seen.
        """
        from airflow_provider_capillary.api.retries import RetryPlan

        self._names_connection = False
        try:
            executor = self._make_executor(RetryPlan(attempts=2, total=5.0))
            records = self._run(self._make_reader(executor).fetch_undated())
        except CapillaryError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001  # a button has no use for a traceback, whatever a secrets backend raises
            # The exception's text may hold a secret.
            return False, f"This connection could not be tried: {type(error).__name__}"
        if not records:
            return True, "Connected. The API holds no event logs that this credential may see."
        newest = max(record["startTime"] for record in records)
        age = format_duration(round_duration(timedelta(seconds=max(0.0, time.time() - newest / 1000))))
        return True, f"Connected. Saw {len(records)} event logs; the newest of them is {age} old."

    def survey(self) -> tuple[Findings, RequestStats]:
        """Find out, in at most 20 requests, what this API does that its documentation leaves open.

        :return: what was found out, and what the requests have cost. An error of the API ends the survey and is one of its findings.
        :raises ConnectionSettingsError: the connection is incomplete or wrong.
        """
        from airflow_provider_capillary.reading.client import EventLogsClient
        from airflow_provider_capillary.reading.survey import PLAN, survey

        settings = self.settings
        executor = self._make_executor(PLAN)
        client = EventLogsClient(executor, limit=settings.page_size)
        return self._run(survey(client, date_format=settings.date_format, timezone=settings.timezone)), executor.stats

    def sample(self, start: datetime | str, end: datetime | str, *, event_name: str | None = None) -> Samples:
        """Find out, in at most 20 requests, how many records an interval has, about, and how large they are.

        :param start: by ``startTime``; an aware datetime or ISO text with an offset; to the millisecond.
        :param end: the same; not included.
        :param event_name: only records with exactly this ``eventName``.
        :return: counts, sizes and times; no record.
        :raises IntervalError: the interval is not one, or empty.
        :raises CapillaryError: the API does not answer, or how it reads dates is not found out. Later errors are in the result.
        """
        from airflow_provider_capillary.api.date_formats import AUTO, DateFormat, zone_of
        from airflow_provider_capillary.reading.client import EventLogsClient
        from airflow_provider_capillary.reading.sampling import sample
        from airflow_provider_capillary.reading.survey import PLAN

        low, high = to_millis(parse_timestamp(start, "start")), to_millis(parse_timestamp(end, "end"))
        if low >= high:
            raise IntervalError(f"start={start!s} does not lie before end={end!s}", hint="write an end that lies after the start")
        settings = self.settings
        client = EventLogsClient(self._make_executor(PLAN), limit=settings.page_size)
        names = AUTO if settings.date_format == "auto" else (settings.date_format,)
        formats = [DateFormat(name, zone_of(settings.timezone)) for name in names]
        return self._run(sample(client, formats, low, high, event_name=text_of("event_name", event_name)))

    def recalibrate(self) -> None:
        """Make the next reading find out again how the API reads dates and how many records it gives at once."""
        self.__dict__.pop("_reader", None)

    @property
    def requests_made(self) -> int:
        """Requests sent so far, those of calibration, retries and tokens included."""
        return self._executor.stats.requests

    @property
    def events_read(self) -> int:
        """How many event logs the last complete reading read, before the filters ``event_name`` and ``statuses``."""
        return self._events_read

    @property
    def api_clock_behind(self) -> timedelta:
        """How far the API's clock, by the ``Date`` of its responses, is behind this machine's; zero where it is not, or not known.

        To the second: a response that took long, or whose ``Date`` leaves out a part of a second, does not count as behind.
        """
        seconds = self._executor.clock_behind
        return timedelta(seconds=max(0.0, seconds - 1.0)) if math.isfinite(seconds) else timedelta()

    @property
    def bounds(self) -> dict[str, str | int]:
        """The result of calibration: date format, zone, precision, margin. Empty before the first reading."""
        return self._reader.bounds.described() if self._reader.bounds is not None else {}

    @property
    def proof(self) -> dict[str, int | str] | None:
        """The proof of the last complete reading, fit for JSON; ``None`` before the first, and where the API holds no records at all.

        ``spans``: how many windows cover the interval. ``longest_answer``: the most records in an answer that was taken for whole.
        ``capacity``: how many records the API was known to give at once at that time. ``shown_at``: when a later and longer answer had
        shown that it still gives so many; ISO 8601 in UTC.
        """
        return self._proof

    @cached_property
    def settings(self) -> Settings:
        """The connection, checked; logs mask its secrets from here on.

        :raises ConnectionSettingsError: the connection is incomplete or wrong.
        """
        from airflow_provider_capillary.connection.credential import secrets_of
        from airflow_provider_capillary.connection.lookup import looked_up_settings

        settings = looked_up_settings(self.capillary_conn_id, self.get_connection, name_it=self._names_connection)
        for secret in secrets_of(settings):
            conceal(secret)
        return settings

    @cached_property
    def _executor(self) -> RequestExecutor:
        return self._make_executor(None)

    @cached_property
    def _reader(self) -> Reader:
        return self._make_reader(self._executor)

    def _make_executor(self, plan: RetryPlan | None) -> RequestExecutor:
        from airflow_provider_capillary.api.executor import RequestExecutor
        from airflow_provider_capillary.connection.credential import credential_of

        return RequestExecutor(credential=credential_of(self.settings), per_minute=self.settings.requests_per_minute, plan=plan)

    def _make_reader(self, executor: RequestExecutor) -> Reader:
        from airflow_provider_capillary.reading.reader import Reader

        settings = self.settings
        return Reader(executor, date_format=settings.date_format, timezone=settings.timezone, page_size=settings.page_size)

    def _iter(
        self, start: int, end: int, event_name: str | None, statuses: frozenset[str] | None, decode: ListDecoder | None
    ) -> Generator[EventLogs]:
        from airflow_provider_capillary.hooks._filters import Tally
        from airflow_provider_capillary.hooks._metrics import ReadingMetrics
        from airflow_provider_capillary.hooks._progress import Progress

        metrics = ReadingMetrics(self._executor.stats, conn_id=self.capillary_conn_id)
        progress = Progress(self.log.info, self._executor.stats, start=start, end=end)
        tally = Tally(event_name, statuses)
        self._events_read = 0
        self._executor.decode = decode
        try:
            for records in self._drive(self._reader.read(start, end, event_name=event_name), progress):
                metrics.add(len(records))
                metrics.send_when_due()
                yield tally.kept_of(records)
        finally:
            metrics.send()
        self._events_read = tally.read
        proof = self._reader.proof
        self._proof = None if proof is None else {**proof, "shown_at": format_timestamp(datetime.now(UTC).replace(microsecond=0))}
        progress.say_last(tally.kept)
        if why := tally.why_nothing_was_kept():
            self.log.warning("%s", why)
        elif event_name is not None and not tally.read and start < end:
            self._doubt_name(event_name)
            metrics.send()

    def _doubt_name(self, event_name: str) -> None:
        """Warn where neither the interval nor the newest event logs of the API have this name.

        The request of the reading was for this name alone, so its answers show no other name.
        """
        from airflow_provider_capillary.hooks._filters import name_is_unknown

        try:
            newest = self._run(self._reader.fetch_undated())
        except ReadingStoppedError:
            raise
        except CapillaryError:
            return  # the reading is complete; only a hint is lost
        if why := name_is_unknown(event_name, newest):
            self.log.warning("%s", why)


def _each(pages: Generator[EventLogs]) -> Generator[Record]:
    with closing(pages):
        for records in pages:
            yield from records
