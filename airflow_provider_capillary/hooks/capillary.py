"""The hook: a connection becomes an authenticated session, and an interval becomes its event logs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, assert_never

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_capillary.api.effects import MaskSecret, ReadClock, Records, Send, Sleep
from airflow_provider_capillary.api.responses import LATEST
from airflow_provider_capillary.connection.form import connection_form_widgets, ui_field_behaviour
from airflow_provider_capillary.errors import (
    CapillaryError,
    ConfigurationError,
    IntervalError,
    ReadingStoppedError,
)
from airflow_provider_capillary.timestamps import format_timestamp, parse_timestamp, to_millis

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from requests import Session

    from airflow_provider_capillary.api.effects import Effect, Flow, Outcome, Record, Response, TransportFailure
    from airflow_provider_capillary.api.executor import RequestExecutor, RequestStats
    from airflow_provider_capillary.api.responses import Page
    from airflow_provider_capillary.api.retries import RetryPlan
    from airflow_provider_capillary.check.survey import Findings
    from airflow_provider_capillary.connection.settings import Settings
    from airflow_provider_capillary.hooks._progress import Progress
    from airflow_provider_capillary.hooks._session import ApiSession
    from airflow_provider_capillary.reading.reader import Reader

__all__ = ["CapillaryHook"]

SLICE = 0.5
"""Seconds; a pause is slept in such parts, so that a killed task does not sleep on."""


class CapillaryHook(BaseHook):
    """Reads event logs from one Capillary API, with one session, one budget of requests and one calibration.

    :param capillary_conn_id: the Airflow connection; looked up when first needed.
    """

    conn_name_attr = "capillary_conn_id"
    default_conn_name = "capillary_default"
    conn_type = "capillary"
    hook_name = "Capillary"

    def __init__(self, capillary_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.capillary_conn_id = capillary_conn_id
        self._names_connection = True
        self._stopped = False
        self._events_read = 0
        self._proof: dict[str, int | str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All but what was made on the way: a copy looks the connection up again, and no credential is pickled."""
        made = {"settings", "_session", "_exchange", "_reader", "_log"}
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

        The credential goes to the connection's host alone, and redirects are returned, not followed. With OAuth, the token is fetched
        here if none is held.

        :raises ConnectionSettingsError: where the connection is incomplete or wrong.
        :raises RequestError: where no token can be had.
        """
        if self.settings.auth_type == "oauth":
            for _ in self._drive(self._hold_token()):
                pass
        return self._session.requests

    def _hold_token(self) -> Flow[None]:
        self._session.credential.token = yield from self._exchange.refresh_token()

    def iter_event_logs(
        self,
        start: datetime | str,
        end: datetime | str,
        *,
        event_name: str | None = None,
        statuses: Collection[str] | None = None,
    ) -> Iterator[Record]:
        """Yield each event log of ``[start, end)`` once, in no particular order.

        What was yielded counts only once the iteration has ended: then it is every event log that the API would show for the interval.
        Where that can't be established it raises, and what was yielded before is to be discarded.

        Waits, for retries and for the connection's ``requests_per_minute``, block. A request is tried up to nine times, over at most
        five minutes of waiting.

        :param start: by ``startTime``; an aware datetime or ISO text with an offset; to the millisecond.
        :param end: the same; not included.
        A record is a dict of what ``json`` makes of it: a number of more digits than a float holds is rounded in it, and one beyond any
        float is infinite. It is an :class:`~airflow_provider_capillary.api.responses.EventLog`, whose ``text`` is what the API sent,
        number for number; that is what an export writes.

        Where filters keep none of the records that were read, a warning says which statuses and names there were, and which of them is
        spelt like the one that was asked for. Where the API shows nothing under ``event_name``, one more request asks whether its newest
        event logs know the name.

        :param event_name: only records with exactly this ``eventName``; asked of the API and checked here.
        :param statuses: only records with one of these, where ``NO_STATUS`` stands for a record without; the API has no parameter for it,
            so all are read. ``None`` for all.
        :raises IntervalError: for an interval that is none; at once.
        :raises ConnectionSettingsError: where the connection is incomplete or wrong.
        :raises RequestError: where the API does not answer, by cause and hint.
        :raises CompletenessError: where it answers and it can't be proved that nothing is missing.
        """
        first, last = parse_timestamp(start, "start"), parse_timestamp(end, "end")
        if first > last:
            raise IntervalError(f"start={start!s} lies after end={end!s}", hint="exchange them")
        wanted = _status_set(statuses)
        if event_name is not None and not _is_text(event_name):
            raise ConfigurationError(f"event_name={event_name!a} is not text", hint="pass the name of one event, or leave it out for all")
        # No record lies outside of these bounds, and an instant beyond the years of the calendar could not be asked for.
        low, high = (min(max(to_millis(instant), 0), LATEST) for instant in (first, last))
        return self._iter(low, high, event_name, wanted)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for event logs once, and say what came back or what to change. Never raises; tries twice, over at most five seconds.

        No message names the connection: for its Test button, Airflow makes one under a random id that nobody has seen.
        """
        from airflow_provider_capillary.api.retries import RetryPlan
        from airflow_provider_capillary.reading.client import EventLogsClient

        self._names_connection = False
        try:
            client = EventLogsClient(self._make_exchange(RetryPlan(attempts=2, total=5.0)), limit=self.settings.page_size)
            records: list[Record] = []
            for found in self._drive(_hand_on(client.fetch_undated())):
                records += found
        except CapillaryError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001  # a button has no use for a traceback, whatever a secrets backend raises
            # Its text is not of this package's making and may hold a secret.
            return False, f"This connection could not be tried: {type(error).__name__}"
        if not records:
            return True, "Connected. The API holds no event logs that this credential may see."
        newest = max(record["startTime"] for record in records)
        age = max(0.0, time.time() - newest / 1000)
        return True, f"Connected. Saw {len(records)} event logs; the newest of them is {_in_words(age)} old."

    def survey(self) -> tuple[Findings, RequestStats]:
        """Find out what this API does that its documentation leaves open; what was found, and what it has cost.

        :raises ConnectionSettingsError: where the connection is incomplete or wrong. Errors of the API stand in the findings.
        """
        from airflow_provider_capillary.api.retries import RetryPlan
        from airflow_provider_capillary.check.survey import survey
        from airflow_provider_capillary.reading.client import EventLogsClient

        settings = self.settings
        exchange = self._make_exchange(RetryPlan(attempts=3, total=60.0))
        findings: list[Findings] = []

        def run() -> Flow[None]:
            client = EventLogsClient(exchange, limit=settings.page_size)
            findings.append((yield from survey(client, date_format=settings.date_format, timezone=settings.timezone)))

        for _ in self._drive(run()):
            pass
        return findings[0], exchange.stats

    def recalibrate(self) -> None:
        """With the next reading, find out anew how the API reads dates and how much it answers at once."""
        self.__dict__.pop("_reader", None)

    def stop(self) -> None:
        """End a reading that is under way, from a signal handler or another thread: it raises ``ReadingStoppedError``."""
        self._stopped = True
        if "_session" in self.__dict__:
            self._session.interrupt()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    @property
    def requests_made(self) -> int:
        """Requests sent so far, those of calibration, retries and tokens included."""
        return self._exchange.stats.requests

    @property
    def events_read(self) -> int:
        """How many event logs of its interval the last reading that ended was shown, before ``event_name`` and ``statuses`` chose."""
        return self._events_read

    @property
    def bounds(self) -> dict[str, str | int]:
        """What calibration has found out: date format, zone, precision, order. Empty before the first reading."""
        return self._reader.bounds.described() if self._reader.bounds is not None else {}

    @property
    def proof(self) -> dict[str, int | str] | None:
        """What the last reading rests on, fit for JSON; ``None`` before one has ended, and where the API holds no records at all.

        ``spans``: so many windows cover the interval. ``longest_answer``: the most records in an answer that was taken for whole.
        ``capacity``: so many the API was known to give at once when it was. ``shown_at``: by then, a later and longer answer had shown
        that it still does; ISO 8601 in UTC.
        """
        return self._proof

    @cached_property
    def settings(self) -> Settings:
        """The connection, checked; its secrets are masked in logs from here on.

        :raises ConnectionSettingsError: where it is incomplete or wrong.
        """
        from airflow_provider_capillary.connection.lookup import looked_up_settings
        from airflow_provider_capillary.hooks._session import basic_secrets, proxy_secrets

        settings = looked_up_settings(self.capillary_conn_id, self.get_connection, name_it=self._names_connection)

        derived = basic_secrets(settings) if settings.auth_type == "basic" else ()
        for secret in (settings.password, *derived, *proxy_secrets(settings)):
            _conceal(secret)
        return settings

    @cached_property
    def _session(self) -> ApiSession:
        from airflow_provider_capillary.hooks._session import ApiSession

        return ApiSession(self.settings, is_stopped=lambda: self._stopped)

    @cached_property
    def _exchange(self) -> RequestExecutor:
        return self._make_exchange(None)

    @cached_property
    def _reader(self) -> Reader:
        from airflow_provider_capillary.reading.reader import Reader

        settings = self.settings
        return Reader(self._exchange, date_format=settings.date_format, timezone=settings.timezone, page_size=settings.page_size)

    def _make_exchange(self, plan: RetryPlan | None) -> RequestExecutor:
        from airflow_provider_capillary.api.executor import RequestExecutor
        from airflow_provider_capillary.connection.credential import credential_of

        return RequestExecutor(credential=credential_of(self.settings), per_minute=self.settings.requests_per_minute, plan=plan)

    def _iter(self, start: int, end: int, event_name: str | None, statuses: frozenset[str] | None) -> Iterator[Record]:
        from airflow_provider_capillary.hooks._filters import Tally
        from airflow_provider_capillary.hooks._progress import Progress

        progress = Progress(self.log.info, self._exchange.stats, start=start, end=end)
        tally = Tally(event_name, statuses)
        self._events_read = 0
        try:
            for records in self._drive(self._reader.read(start, end, event_name=event_name), progress):
                for record in records:
                    if tally.keeps(record):
                        yield record
        finally:
            progress.count()
        self._events_read = tally.read
        proof = self._reader.proof
        self._proof = None if proof is None else {**proof, "shown_at": format_timestamp(datetime.now(UTC).replace(microsecond=0))}
        progress.say_last(tally.kept)
        if why := tally.why_nothing_was_kept():
            self.log.warning("%s", why)
        elif event_name is not None and not tally.read and start < end:
            self._doubt_name(event_name)

    def _doubt_name(self, event_name: str) -> None:
        """Say where an event name under which the API showed nothing is not among those of its newest event logs either.

        The API was asked for this name alone, so what it answered shows no other. One request more does.
        """
        from airflow_provider_capillary.hooks._filters import name_is_unknown
        from airflow_provider_capillary.reading.client import EventLogsClient

        newest: list[Record] = []
        try:
            for found in self._drive(_hand_on(EventLogsClient(self._exchange, limit=self.settings.page_size).fetch_undated())):
                newest += found
        except ReadingStoppedError:
            raise
        except CapillaryError:
            return  # everything was read; only a hint is lost
        if why := name_is_unknown(event_name, newest):
            self.log.warning("%s", why)

    def _drive(self, steps: Flow[Any], progress: Progress | None = None) -> Iterator[list[Record]]:
        """Carry out the steps of the core, with ``requests`` and ``time.sleep``; hand on what it finds."""
        outcome: Outcome = None
        while True:
            self._check_stopped()
            try:
                step: Effect = steps.send(outcome)
            except StopIteration:
                return
            if isinstance(step, Records):
                if progress is not None:
                    progress.found(step.records)
                yield step.records
                outcome = None
            else:
                outcome = self._carry_out(step, progress)

    def _carry_out(self, step: ReadClock | Sleep | Send | MaskSecret, progress: Progress | None) -> Outcome:
        match step:
            case Send():
                return self._answer(step)
            case Sleep():
                self._wait(step, progress)
            case ReadClock():
                return time.monotonic()
            case MaskSecret():
                _conceal(step.value)
            case _:
                assert_never(step)
        return None

    def _check_stopped(self) -> None:
        if self._stopped:
            raise ReadingStoppedError("The task was stopped while it read event logs", hint="run it again; nothing was published")

    def _answer(self, step: Send) -> Response | TransportFailure:
        outcome = self._session.send(step)
        self._check_stopped()
        return outcome

    def _wait(self, step: Sleep, progress: Progress | None) -> None:
        if progress is not None:
            progress.waits(step.seconds, step.reason)
        seconds = step.seconds
        while seconds > 0 and not self._stopped:
            time.sleep(min(seconds, SLICE))
            seconds -= SLICE


def _hand_on(asking: Flow[Page]) -> Flow[None]:
    yield Records((yield from asking).records)


def _status_set(statuses: Collection[str] | None) -> frozenset[str] | None:
    if statuses is None:
        return None
    # Taken once: an iterator would be empty the second time, and an export of nothing look like one without failures.
    wanted = list(statuses) if isinstance(statuses, Iterable) else []
    if isinstance(statuses, str) or not isinstance(statuses, Iterable) or not all(isinstance(status, str) for status in wanted):
        raise ConfigurationError(
            f"statuses={statuses!r} is not a collection of statuses", hint='write a list, such as statuses=["EMF_PROCESSOR_FAILED"]'
        )
    return frozenset(wanted)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.encode(errors="replace").decode() == value


def _conceal(secret: str) -> None:
    from airflow.providers.common.compat.sdk import mask_secret

    mask_secret(secret)


def _in_words(seconds: float) -> str:
    for length, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} seconds"
