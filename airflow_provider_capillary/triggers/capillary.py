"""The triggers: the one on which the deferred sensor waits, and the one that watches for an asset."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_capillary.errors import CapillaryError, ConfigurationError
from airflow_provider_capillary.polling.filters import EventFilter, lateness_of
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.timestamps import format_timestamp, parse_timestamp, to_millis
from airflow_provider_capillary.validation import duration_of, is_unset, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Hashable
    from datetime import datetime

    from airflow_provider_capillary.triggers._asset_watch import PendingEvent
    from airflow_provider_capillary.triggers._stream_producer import WatchProducer

__all__ = ["CapillaryEventStatusTrigger", "CapillaryEventWatchTrigger"]


class CapillaryEventStatusTrigger(BaseTrigger):
    """Fires once, when the API has shown enough new event logs of some statuses.

    Its arguments are JSON scalars and hold no credential. The connection is looked up in the triggerer, and everything that waits on it
    there shares one session and its looks: see :mod:`.watch`.

    **When the triggerer dies**, Airflow starts the trigger anew from these arguments. The search then begins again where it began, so
    nothing is missed, at the cost of reading once more what was read since. A deferral ends with the first event, so none comes twice.

    :param capillary_conn_id: the connection.
    :param since: where a new search begins: ISO text with an offset, or an aware datetime.
    :param statuses: a list, or its JSON; ``None`` for every failure.
    :param event_name: ``None`` for all.
    :param min_count: how many records are enough.
    :param poke_interval: seconds between two looks; at least one.
    :param exponential_backoff: double that after each look, up to ``max_wait``.
    :param max_wait: seconds; ``None`` for a day.
    :param state: a search to go on with, :meth:`.PollState.to_json`; then ``since``, ``statuses`` and ``event_name`` are not used.
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
        """Yield the one event, of :mod:`.events`."""
        from airflow_provider_capillary.triggers import _events as events
        from airflow_provider_capillary.triggers._shared_poller import PollSchedule, subscribe

        schedule = PollSchedule(interval=self.poke_interval, doubles=self.exponential_backoff, longest=self.max_wait)
        try:
            state = self._state()
            async with subscribe(self.capillary_conn_id, state, schedule=schedule, tell=self._tell) as subscriber:
                while state.found.count < self.min_count:
                    state = await subscriber.poll()
            event = await asyncio.to_thread(events.found, state)
        except CapillaryError as error:
            event = events.failed(error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own

    def _tell(self, text: str) -> None:
        self.log.warning("%s", text)

    def _state(self) -> PollState:
        if self.state is not None:
            return PollState.from_json(self.state)
        if self.since is None:
            raise ConfigurationError("The trigger has neither `since` nor `state`", hint="give it since='2025-09-18T00:00:00+00:00'")
        event_filter = EventFilter.of(self.statuses, self.event_name)
        return PollState.begin(event_filter, Watermark.starting_at(to_millis(parse_timestamp(self.since, "since"))))


class CapillaryEventWatchTrigger(BaseEventTrigger):
    """Watches for new event logs of some statuses, for an ``AssetWatcher``; Airflow 3.3 and later.

    .. code-block:: python

        failures = Asset("capillary_failures", watchers=[AssetWatcher(name="new", trigger=CapillaryEventWatchTrigger())])

        with DAG("on_failures", schedule=[failures]): ...

    Each event of the asset holds, under ``extra["payload"]``, what the sensor returns: ``count, statuses, event_names, ids`` (the newest
    100; ``ids_cut`` says whether there are more, and ``rest`` where to read them), ``first_start_time, last_start_time, start, end, since,
    watermark``. It is bounded in size, and nothing in it comes from the body of a record.

    **Nothing is lost.** How far it has reported is kept in the state store of the asset, and only once Airflow has stored the event. A
    triggerer that is killed anywhere in between goes on from there; what was stored just before may come once more, with the same ids.
    *New* is what it is for the sensor: a record that becomes visible within ``allowed_lateness`` of the instant that it bears is reported
    once.
    While no DAG that uses the asset is active, nobody watches; it then goes on from where it ended.

    **It costs one poll a connection.** All watches, and all deferred sensors, that wait on one connection in one triggerer share their
    looks at the API, whatever they look for. A fault that passes is ridden out. What no waiting helps (a revoked credential, a wrong
    connection) is logged as an error of the triggerer, with the hint, and tried anew after a pause that grows up to ten minutes, with the
    connection as it is then: nothing is missed once it is mended, and no DAG has to be touched.

    **Several watches over one asset** keep their notes apart, and neither passes over what is new to the other. Give each an asset of its
    own all the same if their statuses are to be changed: a watch that is new to an asset goes on from the note that was written last.

    Its arguments are JSON scalars, equal at each parse of the DAG file. Where an asset's name changes, its notes do not move along.

    :param capillary_conn_id: the connection.
    :param statuses: a list, where ``NO_STATUS`` stands for a record without one; ``None`` for every failure, that is anything but
        ``EVENT_SUCCESS``.
    :param event_name: only records with exactly this ``eventName``; ``None`` for all.
    :param poke_interval: seconds between two looks; at least one.
    :param since: an aware datetime or ISO text with an offset: where the first watch over the asset begins. ``None`` for the moment at
        which it is started. Without meaning once there is a note.
    :param allowed_lateness: how long after the instant that it bears a record may become visible and is still reported; a timedelta, or
        seconds, from nothing to a day. Each look reads that much again, and all that share it the longest of theirs. A longer one counts
        from the look on that first has it.
    :param asset_name: the asset whose state store keeps the notes; by default, the one or those that are watched.
    :raises ConfigurationError: an argument is wrong, or this Airflow has no shared streams; as soon as the DAG is parsed.
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
        if not hasattr(BaseEventTrigger, "create_shared_stream_producer"):
            raise ConfigurationError(
                "CapillaryEventWatchTrigger needs Airflow 3.3 or later, whose shared streams tell a trigger what was stored",
                hint="wait with CapillaryEventStatusSensor(deferrable=True) in a scheduled DAG, or upgrade Airflow",
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
        """One for each connection, whatever is watched for."""
        return ("capillary", self.capillary_conn_id)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> WatchProducer:
        """The producer of the connection, which hears what was stored."""
        from airflow_provider_capillary.triggers._stream_producer import WatchProducer

        return WatchProducer(kwargs["capillary_conn_id"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[PendingEvent]) -> AsyncIterator[TriggerEvent]:
        """Poll, as long as anybody listens, and yield the events that are this watch's own."""
        from airflow_provider_capillary.triggers._asset_watch import AssetEventSource
        from airflow_provider_capillary.triggers._watermark_store import WatermarkStore

        event_filter = EventFilter.of(self.statuses, self.event_name)
        store = WatermarkStore(
            getattr(self, "asset_state_store", None), conn_id=self.capillary_conn_id, event_filter=event_filter, asset_name=self.asset_name
        )
        if not store.is_durable:
            self.log.warning("This trigger watches no asset; where its process ends, it begins anew")
        since = None if self.since is None else to_millis(parse_timestamp(self.since, "since"))
        source = AssetEventSource(
            conn_id=self.capillary_conn_id,
            event_filter=event_filter,
            since=since,
            interval=self.poke_interval,
            store=store,
            lateness=lateness_of(self.allowed_lateness),
        )
        with source.running():
            async for event in shared_stream:
                if event.is_taken_by(source):
                    yield TriggerEvent(event.payload)  # type: ignore[no-untyped-call,unused-ignore]  # Airflow's own

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Not used: Airflow drives it by its shared stream.

        :raises ConfigurationError: it was run by something else.
        """
        raise ConfigurationError(
            "CapillaryEventWatchTrigger was run on its own, where nothing tells what was stored",
            hint="give it to an AssetWatcher, or defer with CapillaryEventStatusTrigger",
        )
        yield


def _text_of(since: datetime | str | None) -> str | None:
    return since if since is None or isinstance(since, str) else format_timestamp(since)
