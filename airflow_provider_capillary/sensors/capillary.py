"""A task that waits until the API shows event logs of some statuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ConfigurationError, ReadingStoppedError, TieError
from airflow_provider_capillary.polling.filters import lateness_of
from airflow_provider_capillary.rendering import TemplatedArguments
from airflow_provider_capillary.sensors._report_store import with_asset
from airflow_provider_capillary.timestamps import format_timestamp, from_millis, parse_timestamp, to_millis
from airflow_provider_capillary.validation import is_known, is_unset, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_capillary.hooks.capillary import CapillaryHook
    from airflow_provider_capillary.polling.filters import EventFilter
    from airflow_provider_capillary.polling.poll_state import PollState

__all__ = ["CapillaryEventStatusSensor"]


class CapillaryEventStatusSensor(TemplatedArguments, BaseSensorOperator):
    """Wait until the API shows ``min_count`` new event logs of some statuses; the answer is the same in each mode.

    .. code-block:: python

        wait = CapillaryEventStatusSensor(task_id="wait", deferrable=True, timeout=timedelta(hours=23))
        CapillaryEventLogsToObjectStorageOperator(
            task_id="export",
            start="{{ ti.xcom_pull(task_ids='wait')['start'] }}",
            end="{{ ti.xcom_pull(task_ids='wait')['end'] }}",
            ...,
        )

    **New** is what no earlier run of this task (dag, task, map index) has reported. The run of 12:00 finds a failure of 11:58 and
    succeeds. The run of 13:00 does not find it again; it finds one of 11:57 that became visible at 12:02, and one of 12:00:30, when no
    run was waiting. A record that becomes visible within ``allowed_lateness`` (five minutes) of the instant that it bears is reported once;
    a later one may be missed.

    - *No earlier report*: from the start of the run's interval where that is not empty, else from the moment the run was created.
    - *Earlier* is what Airflow takes for it: by logical date, among runs without one by when they were to run. A run that is cleared, and
      a retry, begin where they first began and see again what they saw. Runs without a logical date have earlier ones on Airflow 3.3 and
      later; from 3.0 to 3.2, each begins at the moment it was created.
    - *Runs that wait at the same time* go on from the same report, so both may report the same failure; ``max_active_runs=1`` prevents
      that.
    - *Mapped tasks* each have a past of their own, by their map index; keep the order of what is mapped.
    - With ``since``, none of that applies: everything from there on is new to each run.

    **What was reported is kept** in the task's XCom, and on Airflow 3.3 and later also in the state of the asset
    ``capillary_event_status_sensor``, which each sensor has among its inlets. ``airflow db clean`` empties XCom and leaves the state of
    assets. Before 3.3, a run whose earlier XComs are gone begins like the first one, and what happened between the last report and its
    own beginning is not found. So keep XComs longer than it may take from one report to the next, or clean other tables alone; XComs go
    with the runs and the task instances to which they belong:

    .. code-block:: sh

        airflow db clean --clean-before-timestamp "$(date --date '90 days ago' +%F)" --tables import_error,job,log,task_reschedule

    A run that ends without a report (a timeout, a failure) leaves none, so the next one goes on from the one before. Until there is a
    first report, each run begins as one without; where the runs have no interval, what happens after one has ended and before the next
    one was created is then not found.

    **Errors and skips, the same in each mode.** ``soft_fail=True`` skips the task when its ``timeout`` is over, and only then. A refused
    credential, a wrong connection or argument fails the task at once, whatever ``soft_fail`` says; an error that another try may help
    is left to ``retries``. ``never_fail=True`` skips on errors too, as in every sensor; the error is then in the task's log, at the
    level ERROR. A try that ends by an error loses nothing of what the report before it leaves to find: the next try, or with
    ``retries=0`` the next run, goes on from there. Yet give the task ``retries``: Airflow itself fails a deferred task now and then, when
    its executor's event and its triggerer's arrive in the wrong order, and what was found is then told by the next run only.

    ``mode``, ``poke_interval``, ``timeout``, ``exponential_backoff`` and ``max_wait`` are those of every sensor. Deferred,
    it looks only in the triggerer, where all that wait on one connection share their looks. An API that is down or
    throttles is waited out, as far as ``timeout`` goes; what no waiting helps fails the task at once, with the hint. The timeout of a
    deferred sensor counts from its first try (before Airflow 3.3, from the try that defers). In ``reschedule`` mode before 3.3, each poke
    reads anew from where the run began.

    :param statuses: a list, or its JSON text, as ``{{ params.statuses | tojson }}`` gives it, where ``NO_STATUS`` stands for a record
        without one; templated; ``None`` and ``""`` for every failure, that is anything but ``EVENT_SUCCESS``. In each templated argument,
        ``None`` that became the text "None" is an error that names the argument.
    :param event_name: only records with exactly this ``eventName``; templated; ``None`` and ``""`` for all.
    :param since: an aware datetime or ISO text with an offset; templated; ``None`` and ``""`` leave it out.
    :param min_count: how many new records are enough.
    :param allowed_lateness: how long after the instant that it bears a record may become visible and is still found; a timedelta (or
        seconds), from nothing to a day. Each look reads that much again. A longer one counts from the run on that first has it.
    :param capillary_conn_id: the connection of the API; templated.
    :param deferrable: wait in the triggerer; by default as ``[operators] default_deferrable`` says.
    :return: ``count, statuses, event_names, ids`` (the newest 100), ``first_start_time, last_start_time, since, watermark, start, end``.
        All that was found lies in ``[start, end)``, and in the longer ``[since, watermark)``; both are ISO text with an offset, for the
        export operator.
    :raises ConfigurationError: an argument is wrong; as soon as it is known.
    """

    template_fields: Sequence[str] = ("statuses", "event_name", "since", "capillary_conn_id")
    ui_color = "#f6e7d8"

    def __init__(
        self,
        *,
        statuses: Collection[str] | str | None = None,
        event_name: str | None = None,
        since: datetime | str | None = None,
        min_count: int = 1,
        allowed_lateness: timedelta | float = timedelta(minutes=5),
        capillary_conn_id: str = "capillary_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inlets = with_asset(self.inlets)
        self.statuses = statuses
        self.event_name = event_name
        self.since = since
        self.min_count = min_count
        self.allowed_lateness = allowed_lateness
        self.capillary_conn_id = capillary_conn_id
        self.deferrable = deferrable
        self._state: PollState | None = None
        _check(self, rendered=False)
        lateness_of(allowed_lateness)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:  # type: ignore[override,unused-ignore]  # noqa: ANN401  # as Airflow's own, which is no method
        """As of every operator. While the DAG is parsed, a mapped one is not made, and nothing else names the asset of its reports."""
        return super().partial(**kwargs | {"inlets": with_asset(kwargs.get("inlets"))})

    @cached_property
    def hook(self) -> CapillaryHook:
        """The hook of this run; in poke mode of all its pokes, so that dates are calibrated once."""
        from airflow_provider_capillary.hooks.capillary import CapillaryHook

        return CapillaryHook(self.capillary_conn_id)

    def execute(self, context: Context) -> Any:  # noqa: ANN401  # as in Airflow: what poke gives
        """Poke until it is enough, or leave that to the triggerer.

        A deferred sensor does not look itself: a hundred of them would be a hundred sessions that calibrate, where the triggerer has one.
        """
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

        from airflow_provider_capillary.sensors._state import first_try_started_at

        self.__dict__.pop("hook", None)
        self._state = None
        if not self.deferrable:
            return self._execute_poking(context)
        begun = first_try_started_at(context, self.retries or 0)
        try:
            try:
                state = self._begin(context)
            except CapillaryError as error:
                raise _failed(error) from error
            self._defer(begun, state)
        except (AirflowFailException, AirflowSensorTimeout) as error:
            raise self._ended_by(error)  # noqa: B904  # it is that error, or has it for its cause
        return None

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Poll once.

        :returns: with the result once it is enough.
        :raises AirflowFailException: no waiting helps what is wrong.
        """
        from airflow_provider_capillary.sensors._state import note_progress

        try:
            # Kept before the look: where that fails, the search goes on from here.
            self._state = self._state or self._begin(context)
            try:
                state = self._look(self._state)
            except (CalibrationError, TieError):
                # What was learnt of a quiet API, at the first poke, may be too little for a burst.
                self.hook.recalibrate()
                state = self._look(self._state)
            if state.lookback_was_shortened(self._state):
                self.log.warning("More failures than are remembered: what becomes visible late, of before the newest of them, is not found")
            self._state = state
        except CapillaryError as error:
            if not error.retryable or isinstance(error, ReadingStoppedError):
                raise _failed(error) from error
            self.log.warning("The look failed; the next one may succeed. %s", error)
            return False
        if state.found.count >= self.min_count:
            return PokeReturnValue(is_done=True, xcom_value=self._report(context, state))
        self.log.info("%d of %d so far", state.found.count, self.min_count)
        if self.reschedule:
            note_progress(context, state)
        return False

    def execute_complete(self, context: Context, event: object = None) -> dict[str, Any]:
        """Take what the trigger has found.

        :raises AirflowFailException: it has found an error, or the event is none of its own.
        """
        from airflow_provider_capillary.triggers._events import state_of

        try:
            return self._report(context, state_of(event))
        except CapillaryError as error:
            raise _failed(error) from error

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:  # noqa: ANN401
        """As every sensor, with two differences.

        A timeout in the triggerer is one of the sensor on Airflow 2 too, so that it is not tried again; and ``soft_fail`` skips at
        a timeout alone, as in the other modes.
        """
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as raised:
            if (error := _behind(raised)) is None:
                raise
        # The class of Airflow 3, and what Airflow 2 writes into an error of every kind.
        if type(error).__name__ == "TaskDeferralTimeout" or (next_kwargs or {}).get("error") == "Trigger/execution timeout":
            error = AirflowSensorTimeout(str(error))
        # Not within the handler: the error would have the skip for its context, whose cause it is.
        raise self._ended_by(error)

    def on_kill(self) -> None:
        """Stop a look that is under way."""
        if "hook" in self.__dict__:
            self.hook.stop()

    def _begin(self, context: Context) -> PollState:
        from airflow_provider_capillary.polling.poll_state import PollState
        from airflow_provider_capillary.polling.watermark import Watermark
        from airflow_provider_capillary.sensors._state import first_since, load_watermark, progress_of

        _check(self, rendered=True)
        lateness = lateness_of(self.allowed_lateness)
        if not is_unset(self.since):
            watermark = Watermark.starting_at(to_millis(parse_timestamp(self.since, "since")), lateness=lateness)
        elif (reported := load_watermark(context)) is not None:
            watermark = reported.keeping(lateness)
        else:
            watermark = Watermark.starting_at(first_since(context), lateness=lateness)
        state = PollState.begin(self._event_filter, watermark)
        if self.reschedule:
            state = progress_of(context, state)
        self.log.info("Looking for %s, new since %s", state.event_filter, format_timestamp(from_millis(state.started_at)))
        return state

    @property
    def _event_filter(self) -> EventFilter:
        from airflow_provider_capillary.polling.filters import EventFilter

        return EventFilter.of(self.statuses, self.event_name)

    def _look(self, state: PollState) -> PollState:
        from airflow_provider_capillary.polling.filters import EventRef

        look = state.poll(to_millis(datetime.now(UTC)))
        low, high = look.window
        if low >= high:
            return state
        for record in self.hook.iter_event_logs(from_millis(low), from_millis(high), event_name=state.event_filter.event_name):
            seen = EventRef.of(record)
            look.add(state.event_filter.select([seen]), newest=seen.instant)
        return look.finish()

    def _report(self, context: Context, state: PollState) -> dict[str, Any]:
        from airflow_provider_capillary.sensors._state import forget_progress, save_watermark

        save_watermark(context, state.watermark)
        forget_progress(context)
        result = state.result()
        self.log.info("Records %d: %s", result["count"], result["statuses"])
        return result

    def _defer(self, begun: datetime, state: PollState) -> None:
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout

        from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger

        left = begun + timedelta(seconds=self.timeout) - datetime.now(UTC)
        if left <= timedelta():
            raise AirflowSensorTimeout(f"Sensor has timed out: its first try began more than its timeout of {self.timeout} s ago")
        trigger = CapillaryEventStatusTrigger(
            capillary_conn_id=self.capillary_conn_id,
            min_count=self.min_count,
            poke_interval=self.poke_interval,
            exponential_backoff=bool(self.exponential_backoff),
            max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
            state=state.to_json(),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=left)

    def _execute_poking(self, context: Context) -> Any:  # noqa: ANN401
        from airflow.providers.common.compat.sdk import AirflowSkipException

        try:
            return super().execute(context)
        except AirflowSkipException as skipped:
            if (error := _behind(skipped)) is None:
                raise
        raise self._ended_by(error)

    def _ended_by(self, error: Exception) -> Exception:
        """What ends the task for an error: the error itself, or the skip that the task asks for.

        Airflow's own sensors skip a refused credential under ``soft_fail`` in some modes and not in others; where the skip is what is
        expected of a quiet hour, nobody would ever hear of it.

        :returns: a skip at a timeout, and with ``never_fail``, which leaves its reason in the log as an error.
        """
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

        is_timeout = isinstance(error, AirflowSensorTimeout)
        if self.never_fail and not is_timeout:
            self.log.error("The task is skipped, as never_fail=True says, because of an error: %s", error)
        if self.never_fail or (self.soft_fail and is_timeout):
            skip = AirflowSkipException(f"Skipping due to {'soft' if self.soft_fail else 'never'}_fail. {error}")
            skip.__cause__ = error
            return skip
        return error


def _behind(raised: Exception) -> Exception | None:
    """The error that Airflow hides behind a skip, which it raises from it; or the one that is raised.

    ``None`` for a skip that hides none: at the timeout, and at an ``execution_timeout``, which is no ``Exception`` to Airflow.
    """
    from airflow.providers.common.compat.sdk import AirflowSkipException

    error = raised.__cause__ if isinstance(raised, AirflowSkipException) else raised
    return error if isinstance(error, Exception) else None


def _failed(error: CapillaryError) -> Exception:
    """What ends the task: for good, unless the same again may succeed."""
    from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

    kind = AirflowException if error.retryable and not isinstance(error, ReadingStoppedError) else AirflowFailException
    return kind(str(error))


def _check(sensor: CapillaryEventStatusSensor, *, rendered: bool) -> None:
    """Check each argument that has its value: what is written in the DAG while it is parsed, templates and mapped ones in the run.

    :raises ConfigurationError: names the argument, its value and the hint.
    """
    from airflow_provider_capillary.polling.filters import EventFilter

    def known(value: object) -> bool:
        return rendered or is_known(value)

    if rendered:
        sensor.raise_template_errors()
    conn_id, count = sensor.capillary_conn_id, sensor.min_count
    EventFilter.of(sensor.statuses if known(sensor.statuses) else None, sensor.event_name if known(sensor.event_name) else None)
    if known(conn_id):
        text_of("capillary_conn_id", conn_id, required=True)
    if known(sensor.since) and not is_unset(sensor.since):
        parse_timestamp(sensor.since, "since")
    if known(count) and (type(count) is not int or count < 1):
        raise ConfigurationError(f"min_count={count!r} is not a whole number from 1 on", hint="write min_count=1")
