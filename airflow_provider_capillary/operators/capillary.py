"""The daily export and the backfill, as one task."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_capillary._fail_fast import fail_fast, set_retry_policy
from airflow_provider_capillary.errors import CapillaryError, ReadingStoppedError
from airflow_provider_capillary.export.placeholders import fill_placeholders
from airflow_provider_capillary.operators._arguments import check_arguments, with_connection
from airflow_provider_capillary.operators._settle import check_resumed, moment_trigger, settled_at, wait_until
from airflow_provider_capillary.rendering import TemplatedArguments
from airflow_provider_capillary.validation import name_of, statuses_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from typing import Literal

    import jinja2
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_capillary.export.interval import Interval
    from airflow_provider_capillary.export.receipt import Receipt
    from airflow_provider_capillary.hooks.capillary import CapillaryHook

__all__ = ["CapillaryEventLogsToObjectStorageOperator"]


class CapillaryEventLogsToObjectStorageOperator(TemplatedArguments, BaseOperator):
    """Write every event log of a run's interval, each once, to one object; or fail, say why, and publish nothing.

    .. code-block:: python

        CapillaryEventLogsToObjectStorageOperator(
            task_id="export",
            destination="s3://my_aws_conn@bucket/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
        )

    A run for 2025-09-17 reads what happened from 2025-09-17T00:00:00.000Z to 2025-09-17T23:59:59.999Z. It starts to read no earlier than
    00:05 on the 18th, because records become visible late, and replaces the object of an earlier run for that day as a whole.

    In each templated argument, ``None`` that became the text "None" is an error that names the argument; end a template that may be
    empty with ``or ''``.

    Each run needs an interval. The first of these applies, and the log says which: ``start`` and ``end``; the run's partition date and
    ``partition_duration``; the run's data interval where it is not empty; ``lookback`` before the end of that interval or before the
    run's ``run_after``. A run without any fails: on Airflow 3 a plain cron schedule gives an empty interval, so use
    ``CronDataIntervalTimetable``; the error shows it with the DAG's own schedule and zone. What the empty runs left out, up to
    the first run with an interval, is not made up for, and a backfill passes over dates that have a run: delete the empty runs, then
    ``airflow backfill create --dag-id ... --from-date ... --to-date ...``, with the starts of the first and the last missing interval.

    **By the local day**, one object each, without a gap, in the nights in which clocks change too (23 and 25 hours):

    .. code-block:: python

        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Europe/London")
        destination=".../dt={interval_start:%Y-%m-%d}/events.jsonl.gz", path_timezone="Europe/London"

    The path's zone has to be the timetable's: in UTC, the London days of 30 and 31 March 2025 both begin on the 30th. Hours are told apart
    by ``%Y-%m-%dT%H%z``, since 01:00 comes twice on 26 October. ``lookback`` and ``CronTriggerTimetable(interval=...)`` have a fixed
    length: where clocks change they leave an hour out, or read one twice.

    What no retry helps (a refused credential, a wrong argument, dates that the API does not read as sent) fails at once, and where the API
    said when to come back, the retry comes then (Airflow 3.3 and later, unless the task has a ``retry_policy`` of its own).

    The store is asked before the API: a bucket that does not exist, a rejected credential or one that may not write costs no reading. A
    store that does not answer fails the task after 180 seconds, or 340 while an object of up to 44 GiB is uploaded, counted from the last
    part that arrived; a warning says so every 30 seconds.

    :param destination: the one object of this run, an ``ObjectStoragePath`` or its URI; templated. Its ending chooses the format:
        ``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst`` or ``.parquet``. ``{interval_start:%Y-%m-%d}`` and ``{interval_end:...}``, each with a
        format of ``strftime``, are filled in from the interval that the run settled on. Every run has them, where
        ``{{ data_interval_start }}`` is an error in a run without a date; no other braces are allowed.
        A run replaces the object of an earlier run for the same interval, ``event_name``, ``statuses`` and ``capillary_conn_id``; an
        object that stands for something else makes it fail before it reads.
    :param path_timezone: the IANA name of the zone in which these name days and hours.
    :param start: with ``end`` the half-open interval ``[start, end)`` by ``startTime``, to the millisecond: aware datetimes or ISO text
        with an offset; templated. ``None`` and ``""`` leave it out.
    :param end: the first instant that does not belong to it.
    :param lookback: the length of the interval where the run has none; fixed, so not always a local day.
    :param partition_duration: the length of a partition, for runs with a partition date.
    :param event_name: only records with exactly this ``eventName``; templated; ``None`` and ``""`` for all.
    :param statuses: only records with one of these, where ``NO_STATUS`` stands for a record without: a list, or its JSON text, as
        ``{{ params.statuses | tojson }}`` gives it; templated; ``None`` and ``""`` for all. The API has no parameter for it, so all are
        read.
    :param on_empty: without records, ``write`` an object without records, ``skip`` or ``fail``. ``skip`` leaves no object and removes an
        earlier one, the receipt's ``path`` is ``None``, and the task succeeds without an asset event for its outlets.
    :param on_vanished: where the object of an earlier run for this interval holds records that the API no longer shows (it drops old event
        logs): ``fail``, touching nothing; ``keep`` them, so that the new object is the union; or ``drop`` them. Where the earlier object
        cannot be read, ``fail`` and ``keep`` fail, and ``drop`` replaces it unread.
    :param settle: how long after the interval's end reading may begin. Until then the task waits, also where the end lies in the future;
        zero for never. Deferred where ``deferrable``, else in its slot.
    :param manifest: write a manifest into the folder ``_manifests`` beside the object. Without one, later runs know of the object only
        what its records tell: where none of them lies outside of a run's interval, nothing shows that it stands for something else.
    :param object_storage_conn_id: the connection of the destination, where its URI holds none; templated. Not used for local disk.
    :param capillary_conn_id: the connection of the API; templated.
    :param deferrable: wait for ``settle`` in the triggerer; by default as ``[operators] default_deferrable`` says.
    :return: a small receipt, see :class:`.export.receipt.Receipt`; no records, nothing from them but counts and times.
    :raises CapillaryError: see the tree in :mod:`.errors`. An argument that is wrong as written fails while the DAG is parsed; one that
        comes from a template, from XCom or from ``.expand`` fails in its run, before anything is read. Before Airflow 3.3, where no retry
        helps, it arrives as the cause of an ``AirflowFailException`` with the same text.
    """

    template_fields: Sequence[str] = (
        "start",
        "end",
        "event_name",
        "statuses",
        "object_storage_conn_id",
        "capillary_conn_id",
        # The last one: rendered by then, the others say which interval it is filled in from.
        "destination",
    )
    ui_color = "#e4f1e1"

    def __init__(
        self,
        *,
        destination: ObjectStoragePath | str,
        path_timezone: str = "UTC",
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: timedelta | None = None,
        partition_duration: timedelta | None = None,
        event_name: str | None = None,
        statuses: Collection[str] | str | None = None,
        on_empty: Literal["write", "skip", "fail"] = "write",
        on_vanished: Literal["fail", "keep", "drop"] = "fail",
        settle: timedelta = timedelta(minutes=5),
        manifest: bool = True,
        object_storage_conn_id: str | None = None,
        capillary_conn_id: str = "capillary_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.path_timezone = path_timezone
        self.start = start
        self.end = end
        self.lookback = lookback
        self.partition_duration = partition_duration
        self.event_name = event_name
        self.statuses = statuses
        self.on_empty = on_empty
        self.on_vanished = on_vanished
        self.settle = settle
        self.manifest = manifest
        self.object_storage_conn_id = object_storage_conn_id
        self.capillary_conn_id = capillary_conn_id
        self.deferrable = deferrable
        self._killed = False
        self._receipt: Receipt | None = None
        check_arguments(self)
        set_retry_policy(self)

    @cached_property
    def hook(self) -> CapillaryHook:
        """The hook of this run."""
        from airflow_provider_capillary.hooks.capillary import CapillaryHook

        return CapillaryHook(self.capillary_conn_id)

    @property
    def _logger(self) -> logging.Logger:
        return cast("logging.Logger", self.log)  # Airflow 3 declares a protocol, and gives one of these

    def render_template(
        self,
        content: Any,  # noqa: ANN401  # as in Airflow
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:  # noqa: ANN401
        """As every operator; the destination's placeholders are filled in as well, so that Airflow shows the final path."""
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        if content is self.destination:
            # What is wrong is an error of the task, which `execute` finds again.
            with suppress(CapillaryError):
                return fill_placeholders(rendered, self._interval(context), self.path_timezone)
        return rendered

    def execute(self, context: Context) -> Receipt:
        """Wait until the interval has settled, then export it."""
        with fail_fast(self):
            interval = self._prepare(context)
            due = settled_at(interval, self.settle, log=self._logger)
            if due is not None and self.deferrable:
                self.defer(trigger=moment_trigger(due), method_name="execute_complete")
            return self._export(context, interval, due)

    def execute_complete(self, context: Context, event: object = None) -> Receipt:
        """Go on after a deferral.

        :param event: the moment that was waited for.
        :raises CapillaryError: it is anything else.
        """
        with fail_fast(self):
            check_resumed(event)
            interval = self._prepare(context)
            # Where the worker's clock is behind the triggerer's, the rest is slept; to defer again might never end.
            return self._export(context, interval, settled_at(interval, self.settle, log=self._logger))

    def on_kill(self) -> None:
        """Stop reading at once; nothing is published from here on.

        Airflow 3 gives a killed task about five seconds, then ends it without any exception.
        """
        self._killed = True
        self.hook.stop()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> object:
        """Name the object as output, for the OpenLineage provider."""
        from airflow_provider_capillary.operators._lineage import openlineage_of

        del task_instance  # OpenLineage passes it
        return openlineage_of(self._receipt)

    def _prepare(self, context: Context) -> Interval:
        """Find out what can be found out before any waiting: arguments, formats, the interval, the connection."""
        from airflow_provider_capillary.export.formats import format_of, require_format

        # A task object may be executed twice in one process, as in a user's tests; each time has a hook of its own.
        self.__dict__.pop("hook", None)
        check_arguments(self, rendered=True)
        self.event_name, self.statuses = name_of(self.event_name), statuses_of(self.statuses, without="all")
        require_format(format_of(self.destination))
        interval = self._interval(context)
        # Done already where Airflow has rendered the task; a test may execute it without.
        self.destination = fill_placeholders(self.destination, interval, self.path_timezone)
        _ = self.hook.settings
        return interval

    def _interval(self, context: Context) -> Interval:
        from airflow_provider_capillary.export.interval import resolve_interval

        return resolve_interval(
            context,
            start=self.start,
            end=self.end,
            lookback=self.lookback,
            partition_duration=self.partition_duration,
        )

    def _export(self, context: Context, interval: Interval, due: datetime | None) -> Receipt:
        from airflow_provider_capillary.export.exporter import export_records
        from airflow_provider_capillary.operators._lineage import tell

        if due is not None:
            wait_until(due, killed=lambda: self._killed)
        hook = self.hook
        if self._killed:
            raise ReadingStoppedError("The task was stopped before it read event logs", hint="run it again; nothing was published")
        receipt = export_records(
            hook.iter_event_logs(interval.start, interval.end, event_name=self.event_name, statuses=self.statuses),
            with_connection(self.destination, self.object_storage_conn_id),
            start=interval.start,
            end=interval.end,
            events_read=lambda: hook.events_read,
            requests=lambda: hook.requests_made,
            bounds=lambda: hook.bounds,
            proof=lambda: hook.proof,
            stop=lambda: self._killed,
            log=self._logger,
            on_empty=self.on_empty,
            on_vanished=self.on_vanished,
            manifest=self.manifest,
            event_name=self.event_name,
            statuses=self.statuses,
            capillary_conn_id=self.capillary_conn_id,
            source=interval.source,
        )
        self._receipt = receipt
        tell(self, context, receipt)
        return receipt
