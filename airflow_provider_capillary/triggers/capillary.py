"""The triggers: the one that a deferred sensor waits for, with the event it fires, and the one for an asset watcher.

The status trigger's event is a JSON object, which Airflow logs and stores. It holds ids, counts, times or an error:

=============  =====================================================================================================================
``outcome``    further keys
=============  =====================================================================================================================
``found``      ``hunt``: the state after the last poll, :meth:`~airflow_provider_capillary.polling.poll_state.PollState.to_json`
``failed``     ``error``, ``problem``, ``retryable``, and the other fields of a :class:`~airflow_provider_capillary.errors.CapillaryError`
=============  =====================================================================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_capillary import errors
from airflow_provider_capillary._airflow import has_shared_streams
from airflow_provider_capillary.errors import CapillaryError, ConfigurationError
from airflow_provider_capillary.polling.filters import EventFilter, lateness_of
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.timestamps import format_timestamp, parse_timestamp, to_millis
from airflow_provider_capillary.validation import duration_of, is_unset, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Hashable
    from datetime import datetime

    from airflow_provider_capillary.triggers._asset_watch import AssetEventProducer, PendingEvent

__all__ = ["CapillaryEventStatusTrigger", "CapillaryEventWatchTrigger", "failed_event", "found_event", "state_from_event"]

_ERROR_FIELDS: Final = ("request", "response", "request_id", "hint")
_OLD_ERROR_FIELDS: Final = {"asked": "request", "answered": "response", "cure": "hint"}
"""As the first version named them. Its events may arrive during an upgrade."""
_DAY: Final = 86_400


def found_event(state: PollState) -> dict[str, Any]:
    """The event of a trigger that has found enough."""
    return {"outcome": "found", "hunt": state.to_json()}


def failed_event(error: CapillaryError) -> dict[str, Any]:
    """The event of a trigger that ended with an error."""
    fields = {name: getattr(error, name) for name in _ERROR_FIELDS}
    return {"outcome": "failed", "error": type(error).__name__, "problem": error.problem, "retryable": error.retryable, **fields}


def state_from_event(event: object) -> PollState:
    """The state that a trigger's event reports.

    An unknown event is an error: a task that took it for success would start its downstream tasks for nothing. ``None`` arrives where a
    trigger ended without an event.

    :raises CapillaryError: the error that the event holds, of its own class; or one of this class, where the event is of another kind.
    """
    match event:
        case {"outcome": "found", "hunt": str(text)}:
            return PollState.from_json(text)
        case {"outcome": "failed", "error": str(name), "problem": str(problem), **fields}:
            raise _error_from_event(name, problem, {str(field): value for field, value in fields.items()})
    outcome = event.get("outcome") if isinstance(event, Mapping) else None
    found = f"an event with the outcome {outcome!r:.80}" if outcome is not None else f"no event of its trigger ({type(event).__name__})"
    raise CapillaryError(
        f"The task was resumed by {found}", hint="clear the task, so that it starts again; the triggerer's log says what happened"
    )


def _error_from_event(name: str, problem: str, fields: Mapping[str, Any]) -> CapillaryError:
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    kind = kind if isinstance(kind, type) and issubclass(kind, CapillaryError) else CapillaryError
    fields = {_OLD_ERROR_FIELDS.get(field, field): value for field, value in fields.items()}
    details: dict[str, Any] = {field: value for field in _ERROR_FIELDS if isinstance(value := fields.get(field), str)}
    error = kind(problem, **details)
    # Of this error, not of its class: an answer that is too large is one that waiting does not help, unlike others of its class.
    error.retryable = fields.get("retryable") is True
    return error


class CapillaryEventStatusTrigger(BaseTrigger):
    """Fires once, when the API has shown enough new event logs of some statuses.

    All triggers that wait on one connection in one triggerer share a session and its polls (:mod:`._shared_poller`). The triggerer looks up
    the connection. The arguments are JSON scalars and hold no credential.

    **When the triggerer is killed**, Airflow starts the trigger again with the same arguments. It then polls from where it first started:
    nothing is missed, and what was read before is read once more. A deferral ends with the first event, so no event comes twice.

    :param capillary_conn_id: the connection.
    :param since: where to start: ISO text with an offset, or an aware datetime.
    :param statuses: a list, or its JSON text; ``None`` for every failure.
    :param event_name: only event logs with exactly this ``eventName``; ``None`` for all.
    :param min_count: how many event logs are enough.
    :param poke_interval: seconds between two polls; at least one.
    :param exponential_backoff: double that after each poll, up to ``max_wait``.
    :param max_wait: seconds; ``None`` for a day.
    :param state: a state to continue from, :meth:`.PollState.to_json`; ``since``, ``statuses`` and ``event_name`` are then not used.
    """

    def __init__(
        self,
        *,
        capillary_conn_id: str = "capillary_default",
        since: datetime | str | None = None,
        statuses: Collection[str] | str | None = None,
        event_name: str | None = None,
        min_count: int = 1,
        poke_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        state: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own
        self.capillary_conn_id = capillary_conn_id
        self.since = _text_of(since)
        self.statuses = EventFilter.of(statuses, event_name).statuses_text
        self.event_name = event_name
        self.min_count = min_count
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class, and its arguments as JSON scalars."""
        return (
            f"{__name__}.{type(self).__name__}",
            {
                "capillary_conn_id": self.capillary_conn_id,
                "since": self.since,
                "statuses": self.statuses,
                "event_name": self.event_name,
                "min_count": self.min_count,
                "poke_interval": self.poke_interval,
                "exponential_backoff": self.exponential_backoff,
                "max_wait": self.max_wait,
                "state": self.state,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event, which :func:`state_from_event` reads."""
        from airflow_provider_capillary.triggers._shared_poller import PollSchedule, subscribe

        schedule = PollSchedule(interval=self.poke_interval, doubles=self.exponential_backoff, longest=self.max_wait)
        try:
            state = self._first_state()
            async with subscribe(self.capillary_conn_id, state, schedule=schedule, warn=self._warn) as subscriber:
                while state.found.count < self.min_count:
                    state = await subscriber.poll()
            event = await asyncio.to_thread(found_event, state)
        except CapillaryError as error:
            event = failed_event(error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own

    def _warn(self, text: str) -> None:
        self.log.warning("%s", text)

    def _first_state(self) -> PollState:
        if self.state is not None:
            return PollState.from_json(self.state)
        if self.since is None:
            raise ConfigurationError(
                "The trigger has neither `since` nor `state`, so it can't start", hint="give it since='2025-09-18T00:00:00+00:00'"
            )
        event_filter = EventFilter.of(self.statuses, self.event_name)
        return PollState.begin(event_filter, Watermark.starting_at(to_millis(parse_timestamp(self.since, "since"))))


class CapillaryEventWatchTrigger(BaseEventTrigger):
    """Reports new event logs of some statuses as events of an asset, for an ``AssetWatcher``; Airflow 3.3 and later.

    .. code-block:: python

        failures = Asset("capillary_failures", watchers=[AssetWatcher(name="new", trigger=CapillaryEventWatchTrigger())])

        with DAG("on_failures", schedule=[failures]): ...

    Each event of the asset holds, under ``extra["payload"]``, what the sensor returns: ``count, statuses, event_names, ids`` (the newest
    100; ``ids_cut`` says whether there are more, and ``rest`` where to read them), ``first_start_time, last_start_time, start, end, since,
    watermark``. Its size is bounded, and it holds nothing from the body of an event log.

    **Nothing is lost.** The asset's state store holds how far the watcher has reported. The watcher saves that after Airflow has stored an
    event, so a triggerer that is killed continues from there. An event that was stored just before may be reported once more, with the
    same ids. *New* means the same as for the sensor: an event log that becomes visible within ``allowed_lateness`` of its ``startTime`` is
    reported once. While no active DAG uses the asset, Airflow runs no watcher; later it continues from where it stopped.

    **Requests.** All watchers and deferred sensors that wait on one connection in one triggerer share their polls, whatever they wait for.
    An API that is down or throttles is polled again later. After an error that waiting does not help (a revoked credential, a wrong
    connection), the triggerer logs the error with its hint, pauses, and tries again with the connection as it is then. The pauses grow to
    ten minutes. Once the cause is fixed, nothing is missed, and no DAG has to be changed.

    **A watch that can't poll** starts no DAG run, and Airflow's UI shows no watcher. Look for it in three places: the metric
    ``capillary.poll_failures`` grows at least every eleven minutes; the triggerer's log has an error with the hint; the asset's state store
    has both under ``capillary_watch_problem:<connection id>``, which is empty once polling works again. The REST API reads it by
    ``GET /api/v2/assets/{asset_id}/state-store``, a task with the asset among its inlets by ``asset_state_store[asset].get(...)``.

    **Several watchers of one asset** save their progress separately, and none skips what is new to another. Use one asset for each watcher
    all the same if you want to change statuses later: a watcher with new statuses continues from the progress that was saved last.

    The arguments are JSON scalars, equal each time the DAG file is parsed. The saved progress does not follow an asset to a new name.

    :param capillary_conn_id: the connection.
    :param statuses: a list, where ``NO_STATUS`` stands for an event log without a status; ``None`` for every failure, which is every status
        but ``EVENT_SUCCESS``.
    :param event_name: only event logs with exactly this ``eventName``; ``None`` for all.
    :param poke_interval: seconds between two polls; at least one.
    :param since: where the first watcher of the asset starts: an aware datetime or ISO text with an offset; ``None`` for the moment when it
        starts. Not used once there is saved progress.
    :param allowed_lateness: how long after its ``startTime`` an event log may become visible and still be reported; a timedelta or seconds,
        from nothing to a day. Each poll reads that much again; shared polls read the longest. A longer one applies from the first poll with
        it on.
    :param asset_name: the asset whose state store holds the progress; by default, each asset that the trigger watches.
    :raises ConfigurationError: an argument is wrong, or this Airflow has no shared streams; raised when the DAG is parsed.
    """

    def __init__(
        self,
        *,
        capillary_conn_id: str = "capillary_default",
        statuses: Collection[str] | str | None = None,
        event_name: str | None = None,
        poke_interval: float = 60.0,
        since: datetime | str | None = None,
        allowed_lateness: timedelta | float = timedelta(minutes=5),
        asset_name: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own
        if not has_shared_streams():
            raise ConfigurationError(
                "CapillaryEventWatchTrigger needs Airflow 3.3 or later, which tells a trigger when its event was stored",
                hint="use CapillaryEventStatusSensor(deferrable=True) in a scheduled DAG, or upgrade Airflow",
            )
        event_filter = EventFilter.of(statuses, event_name)
        text_of("capillary_conn_id", capillary_conn_id, required=True)
        interval = duration_of(
            "poke_interval", poke_interval, least=timedelta(seconds=1), most=timedelta(days=1), takes_seconds=True, example="60"
        )
        self.capillary_conn_id = capillary_conn_id
        self.statuses = event_filter.statuses_text
        self.event_name = event_filter.event_name
        self.poke_interval = interval.total_seconds()
        self.since = None if is_unset(since) else format_timestamp(parse_timestamp(since, "since"))
        self.allowed_lateness = lateness_of(allowed_lateness) / 1000
        self.asset_name = text_of("asset_name", asset_name)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class, and its arguments as JSON scalars."""
        return (
            f"{__name__}.{type(self).__name__}",
            {
                "capillary_conn_id": self.capillary_conn_id,
                "statuses": self.statuses,
                "event_name": self.event_name,
                "poke_interval": self.poke_interval,
                "since": self.since,
                "allowed_lateness": self.allowed_lateness,
                "asset_name": self.asset_name,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """One key for each connection, whatever the watchers wait for."""
        return ("capillary", self.capillary_conn_id)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> AssetEventProducer:
        """The connection's producer, which Airflow tells what was stored."""
        from airflow_provider_capillary.triggers._asset_watch import AssetEventProducer

        return AssetEventProducer(kwargs["capillary_conn_id"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[PendingEvent]) -> AsyncIterator[TriggerEvent]:
        """Poll for as long as Airflow iterates, and yield this watcher's own events."""
        from airflow_provider_capillary.triggers._asset_watch import AssetEventSource
        from airflow_provider_capillary.triggers._watermark_store import WatermarkStore

        event_filter = EventFilter.of(self.statuses, self.event_name)
        store = WatermarkStore(
            getattr(self, "asset_state_store", None), conn_id=self.capillary_conn_id, event_filter=event_filter, asset_name=self.asset_name
        )
        if not store.is_durable:
            self.log.warning("This trigger watches no asset, so its progress is not saved; after a restart it starts from the beginning")
        source = AssetEventSource(
            conn_id=self.capillary_conn_id,
            event_filter=event_filter,
            since=None if self.since is None else to_millis(parse_timestamp(self.since, "since")),
            interval=self.poke_interval,
            store=store,
            lateness=lateness_of(self.allowed_lateness),
        )
        with source.running():
            async for event in shared_stream:
                if event.claim(source):
                    yield TriggerEvent(event.payload)  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Not used: Airflow runs this trigger through its shared stream.

        :raises ConfigurationError: the trigger was run in another way.
        """
        raise ConfigurationError(
            "CapillaryEventWatchTrigger was run without an AssetWatcher, so nothing tells it which events were stored",
            hint="give it to an AssetWatcher, or defer with CapillaryEventStatusTrigger",
        )
        yield


def _text_of(since: datetime | str | None) -> str | None:
    return since if since is None or isinstance(since, str) else format_timestamp(since)
