"""A task that waits until the API shows new event logs of some statuses."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_provider_capillary._airflow import is_deferral_timeout, parse_first_reschedule_date
from airflow_provider_capillary._fail_fast import fail_fast, set_retry_policy
from airflow_provider_capillary.errors import CapillaryError, ConfigurationError, ReadingStoppedError
from airflow_provider_capillary.polling import failed_poll
from airflow_provider_capillary.polling.filters import EventFilter, EventRef, lateness_of
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.rendering import TemplatedArguments
from airflow_provider_capillary.sensors._state import (
    clear_progress,
    first_start,
    first_try_started_at,
    load_progress,
    load_watermark,
    save_progress,
    save_watermark,
    with_state_asset,
)
from airflow_provider_capillary.timestamps import format_timestamp, from_millis, parse_timestamp, to_millis
from airflow_provider_capillary.validation import is_known, is_unset, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_capillary.hooks.capillary import CapillaryHook

__all__ = ["CapillaryEventStatusSensor"]


class CapillaryEventStatusSensor(TemplatedArguments, BaseSensorOperator):
    """Wait until the API shows ``min_count`` new event logs of some statuses.

    .. code-block:: python

        wait = CapillaryEventStatusSensor(task_id="wait", deferrable=True, timeout=timedelta(hours=23), retries=3)
        CapillaryEventLogsToObjectStorageOperator(
            task_id="export",
            start="{{ ti.xcom_pull(task_ids='wait')['start'] }}",
            end="{{ ti.xcom_pull(task_ids='wait')['end'] }}",
            ...,
        )

    **What is new.** An event log is new if no earlier run of the same task (DAG, task, map index) has reported it. An example with hourly
    runs: the run of 12:00 finds a failure of 11:58 and succeeds. The run of 13:00 does not report that failure again. It reports one of
    11:57 that became visible at 12:02, and one of 12:00:30, when no run was waiting. An event log that becomes visible within
    ``allowed_lateness`` (five minutes by default) of its ``startTime`` is reported once. One that becomes visible later may be missed.

    - *The first run*, or any run without an earlier report, starts at the start of its data interval. If that is empty, the run starts at
      the moment it was created.
    - *Earlier runs* are those with an earlier logical date; among runs without one, those that could run earlier. A retry and a cleared run
      start where they first started, and report the same event logs again. A run without a logical date has earlier runs on Airflow 3.3 and
      later; on 3.0 to 3.2, each such run starts at the moment it was created.
    - *Runs that wait at the same time* start from the same report, so both may report the same failure. ``max_active_runs=1`` prevents
      that.
    - *Mapped tasks* each have their own reports, by map index. Keep the order of the values that are mapped.
    - *With* ``since``, earlier runs don't matter: every event log from that time on is new.

    **Where reports are kept.** In the task's XCom. On Airflow 3.3 and later also in the state of the asset
    ``capillary_event_status_sensor``, which every sensor has among its inlets. ``airflow db clean`` deletes XComs and keeps asset state.
    Before 3.3, a run whose earlier XComs are deleted starts like a first run, and misses what happened between the last report and its own
    start. So keep XComs for longer than the longest time between two reports. XComs are deleted together with runs and task instances;
    this command cleans other tables only:

    .. code-block:: sh

        airflow db clean --clean-before-timestamp "$(date --date '90 days ago' +%F)" --tables import_error,job,log,task_reschedule

    A run that times out or fails leaves no report, and the next run continues from the report before it. While there is no report at all,
    each run starts like a first run. If the runs have no data interval either, nobody reports what happens between the end of one run and
    the creation of the next.

    **Modes.** ``mode``, ``poke_interval``, ``timeout``, ``exponential_backoff`` and ``max_wait`` are those of every sensor, and the result
    is the same in each mode. A deferred sensor polls in the triggerer only, where all that wait on one connection share their polls. Its
    timeout counts from its first try; before Airflow 3.3, from the try that defers. In ``reschedule`` mode before 3.3, each poke reads
    again from where the run started.

    **Errors.** The same in each mode:

    - *The API is down, or throttles*: the sensor polls again until its ``timeout``.
    - *An error that waiting does not help* (a refused credential, a wrong connection or argument) fails the task at once, without a retry,
      whatever ``soft_fail`` says. The error text says how to fix it. On Airflow 3.3 and later, a ``retry_policy`` does that; set one to
      change it. Callbacks get the :class:`~airflow_provider_capillary.errors.CapillaryError`; before 3.3, as the cause of an
      ``AirflowFailException``.
    - *Any other error* is left to ``retries``. A try that ends with an error loses nothing: the next try, or the next run, continues from
      the last report.
    - *The timeout* fails the task without a retry.
    - ``soft_fail=True`` skips the task at its timeout, and only then. ``never_fail=True`` skips it after an error as well; the task's log
      then has that error at level ERROR.

    Set ``retries``: Airflow sometimes fails a deferred task because an event of its executor and one of its triggerer arrive in the wrong
    order. With a retry, the next try reports what was found. Without one, the next run does, unless Airflow failed the task in the moment
    in which it saved its report: then no run does.

    :param statuses: the statuses to wait for: a list, or its JSON text, as ``{{ params.statuses | tojson }}`` gives it. ``NO_STATUS``
        stands for an event log without a status. ``None`` and ``""`` stand for every failure, which is every status but ``EVENT_SUCCESS``.
        Templated. In each templated argument, ``None`` that became the text "None" is an error that names the argument.
    :param event_name: only event logs with exactly this ``eventName``; ``None`` and ``""`` for all. Templated.
    :param since: where to start: an aware datetime or ISO text with an offset; ``None`` and ``""`` for where the last report ended.
        Templated.
    :param min_count: how many new event logs are enough.
    :param allowed_lateness: how long after its ``startTime`` an event log may become visible and still be found; a timedelta or seconds,
        from nothing to a day. Each poll reads that much again. A longer one applies from the first run with it on.
    :param capillary_conn_id: the connection to the API. Templated.
    :param deferrable: wait in the triggerer; by default as ``[operators] default_deferrable`` says.
    :return: ``count, statuses, event_names, ids`` (the newest 100), ``first_start_time, last_start_time, since, watermark, start, end``.
        Everything that was found lies in ``[start, end)``, and in the longer ``[since, watermark)``. All four are ISO text with an offset,
        as the export operator takes it.
    :raises ConfigurationError: an argument is wrong; raised while the DAG is parsed, or in the run for templates and mapped arguments.
    """

    template_fields: Sequence[str] = ("statuses", "event_name", "since", "capillary_conn_id")
    ui_color = "#f6e7d8"

    statuses: Collection[str] | str | None
    event_name: str | None
    since: datetime | str | None
    min_count: int
    allowed_lateness: timedelta | float
    capillary_conn_id: str
    deferrable: bool

    _state: PollState | None = None

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
        self.inlets = with_state_asset(self.inlets)
        self._assign(
            statuses=statuses,
            event_name=event_name,
            since=since,
            min_count=min_count,
            allowed_lateness=allowed_lateness,
            capillary_conn_id=capillary_conn_id,
            deferrable=deferrable,
        )
        set_retry_policy(self)
        _check(self, rendered=False)
        lateness_of(allowed_lateness)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:  # type: ignore[override,unused-ignore]  # noqa: ANN401  # as Airflow's own, which is no method
        """The same as for every operator, with the asset for the reports: a mapped sensor is not constructed while its DAG is parsed."""
        return super().partial(**kwargs | {"inlets": with_state_asset(kwargs.get("inlets"))})

    @cached_property
    def hook(self) -> CapillaryHook:
        """The hook of this try; in poke mode for all its pokes, so that dates are calibrated once."""
        from airflow_provider_capillary.hooks.capillary import CapillaryHook

        return CapillaryHook(self.capillary_conn_id)

    def execute(self, context: Context) -> Any:  # noqa: ANN401  # as in Airflow: what poke returns
        """Poke until enough is found, or defer.

        A sensor that defers does not poll first: a hundred of them would calibrate a hundred times, and the triggerer does it once.
        """
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

        # One task object may run twice in one process, as in a user's tests.
        self.__dict__.pop("hook", None)
        self._state = None
        try:
            if not self.deferrable:
                if self.reschedule:
                    parse_first_reschedule_date(context["ti"])
                return super().execute(context)
            self._defer(context)
        except (CapillaryError, AirflowFailException, AirflowSensorTimeout, AirflowSkipException) as raised:
            if (error := _original_error(raised)) is None:
                raise
        # After the handler, where the error would get the skip for its context, and the skip has the error for its cause.
        return self._end_with(error)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Poll once.

        :returns: the result once enough is found, else ``False``; also after an error that may pass.
        :raises AirflowFailException: an error that waiting does not help, which is its cause.
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        try:
            # Kept before the poll: if it fails, the next poke continues from here.
            self._state = self._state or self._first_state(context)
            state = self._poll(self._state)
        except CapillaryError as error:
            if error.retryable and not isinstance(error, ReadingStoppedError):
                self.log.warning("A poll failed; the next one may succeed. %s", error)
                return False
            # Of this class, because Airflow would poke again after any other if silent_fail=True; `execute` raises the error itself.
            raise AirflowFailException(str(error)) from error
        if state.lookback_was_shortened(self._state):
            earliest = format_timestamp(from_millis(state.watermark.not_before))
            self.log.warning("Too many new events to remember: one that becomes visible late and is from before %s is not found", earliest)
        self._state = state
        if state.found.count >= self.min_count:
            return PokeReturnValue(is_done=True, xcom_value=self._report(context, state))
        self.log.info("Found %d of %d event logs so far", state.found.count, self.min_count)
        if self.reschedule:
            save_progress(context, state)
        return False

    def execute_complete(self, context: Context, event: object = None) -> dict[str, Any]:
        """Report what the trigger has found.

        :raises CapillaryError: the trigger ended with this error, or the event is not one of the trigger's.
        """
        from airflow_provider_capillary.triggers.capillary import state_from_event

        return self._report(context, state_from_event(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:  # noqa: ANN401
        """The same as for every sensor, with two differences.

        A timeout in the triggerer is the sensor's timeout on Airflow 2 as well, so that it is not retried. ``soft_fail`` skips the task
        at a timeout only, as in the other modes.
        """
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as raised:
            if (error := _original_error(raised)) is None:
                raise
        if is_deferral_timeout(error, next_method, next_kwargs) and not isinstance(error, AirflowSensorTimeout):
            error = AirflowSensorTimeout(
                f"The sensor has waited for longer than its timeout of {self.timeout:g} s, or its execution_timeout"
            )
        return self._end_with(error)

    def on_kill(self) -> None:
        """Stop a poll that is under way."""
        if "hook" in self.__dict__:
            self.hook.stop()

    def _first_state(self, context: Context) -> PollState:
        _check(self, rendered=True)
        lateness = lateness_of(self.allowed_lateness)
        if not is_unset(self.since):
            watermark = Watermark.starting_at(to_millis(parse_timestamp(self.since, "since")), lateness=lateness)
        elif (reported := load_watermark(context)) is not None:
            watermark = reported.keeping(lateness)
        else:
            watermark = Watermark.starting_at(first_start(context), lateness=lateness)
        state = PollState.begin(EventFilter.of(self.statuses, self.event_name), watermark)
        if self.reschedule:
            state = load_progress(context, state)
        self.log.info("Waiting for %s, new since %s", state.event_filter, format_timestamp(from_millis(state.started_at)))
        return state

    def _poll(self, state: PollState) -> PollState:
        """Poll once, with the repeats that :mod:`~airflow_provider_capillary.polling.failed_poll` allows."""
        from airflow_provider_capillary.hooks._metrics import count_failed_poll

        repeats = 0
        while True:
            try:
                return self._poll_once(state)
            except CapillaryError as error:
                match failed_poll.next_step(error, repeats):
                    case failed_poll.NextStep.RAISE:
                        if not isinstance(error, ReadingStoppedError):
                            count_failed_poll(error, conn_id=self.capillary_conn_id)
                        raise
                    case failed_poll.NextStep.RECALIBRATE:
                        self.hook.recalibrate()
            repeats += 1
            time.sleep(failed_poll.REPEAT_DELAY)

    def _poll_once(self, state: PollState) -> PollState:
        poll = state.poll(to_millis(datetime.now(UTC)))
        start, end = poll.window
        if start >= end:
            return state
        for record in self.hook.iter_event_logs(from_millis(start), from_millis(end), event_name=state.event_filter.event_name):
            event = EventRef.of(record)
            poll.add(state.event_filter.select([event]), newest=event.timestamp)
        return poll.finish()

    def _report(self, context: Context, state: PollState) -> dict[str, Any]:
        save_watermark(context, state.watermark)
        clear_progress(context)
        result = state.result()
        self.log.info("Found %d event logs: %s", result["count"], result["statuses"])
        return result

    def _defer(self, context: Context) -> NoReturn:
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout

        from airflow_provider_capillary.triggers.capillary import CapillaryEventStatusTrigger

        started_at = first_try_started_at(context, self.retries or 0)
        state = self._first_state(context)
        timeout = started_at + timedelta(seconds=self.timeout) - datetime.now(UTC)
        if timeout <= timedelta():
            raise AirflowSensorTimeout(f"Sensor has timed out: its first try started more than its timeout of {self.timeout:g} s ago")
        trigger = CapillaryEventStatusTrigger(
            capillary_conn_id=self.capillary_conn_id,
            min_count=self.min_count,
            poke_interval=self.poke_interval,
            exponential_backoff=bool(self.exponential_backoff),
            max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
            state=state.to_json(),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)

    def _end_with(self, error: Exception) -> NoReturn:
        """End the task with an error, or skip it where the task asks for that.

        Airflow's own sensors skip a refused credential under ``soft_fail`` in some modes and not in others. Where a skip is expected of a
        quiet hour, nobody would notice that the credential is refused.

        :raises AirflowSkipException: at a timeout under ``soft_fail``, and always under ``never_fail``, which logs the error first.
        """
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

        is_timeout = isinstance(error, AirflowSensorTimeout)
        if self.never_fail and not is_timeout:
            self.log.error("The task is skipped, as never_fail=True says, because of an error: %s", error)
        if self.never_fail or (self.soft_fail and is_timeout):
            raise AirflowSkipException(f"Skipping due to {'soft' if self.soft_fail else 'never'}_fail. {error}") from error
        with fail_fast(self):
            raise error


def _original_error(raised: Exception) -> Exception | None:
    """The error that is the cause of a skip or of an ``AirflowFailException``, or the raised one itself.

    ``None`` for a skip without such a cause: at the timeout, and at an ``execution_timeout``, which Airflow does not make an ``Exception``.
    """
    from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

    error = raised.__cause__ if isinstance(raised, AirflowSkipException) else raised
    if isinstance(error, AirflowFailException) and isinstance(error.__cause__, CapillaryError):
        return error.__cause__
    return error if isinstance(error, Exception) else None


def _check(sensor: CapillaryEventStatusSensor, *, rendered: bool) -> None:
    """Check the arguments whose value is known: while the DAG is parsed, all but templates and mapped ones; in the run, all of them.

    :raises ConfigurationError: names the argument and its value, and says what to write.
    """

    def known(value: object) -> bool:
        return rendered or is_known(value)

    if rendered:
        sensor.raise_template_errors()
    statuses, event_name, since = sensor.statuses, sensor.event_name, sensor.since
    conn_id, min_count = sensor.capillary_conn_id, sensor.min_count
    # An argument that has its default costs no more than the look at it.
    if statuses is not None or event_name is not None:
        EventFilter.of(statuses if known(statuses) else None, event_name if known(event_name) else None)
    if conn_id != "capillary_default" and known(conn_id):
        text_of("capillary_conn_id", conn_id, required=True)
    if not is_unset(since) and known(since):
        parse_timestamp(since, "since")
    if (type(min_count) is not int or min_count < 1) and known(min_count):
        raise ConfigurationError(f"min_count={min_count!r} is not a whole number from 1 on", hint="write min_count=1")
