"""The operator that exports the event logs of a run's interval to one object."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_capillary._fail_fast import fail_fast, set_retry_policy
from airflow_provider_capillary.errors import ReadingStoppedError
from airflow_provider_capillary.operators._arguments import check_as_written, check_rendered
from airflow_provider_capillary.operators._links import ExportedObjectLink
from airflow_provider_capillary.operators._object_operator import ObjectOperator
from airflow_provider_capillary.operators._settle import check_over, check_resumed, moment_trigger, settled_at, wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Literal

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_capillary.export.exporter import Receipt
    from airflow_provider_capillary.operators._arguments import RunArguments

__all__ = ["CapillaryEventLogsToObjectStorageOperator"]


class CapillaryEventLogsToObjectStorageOperator(ObjectOperator, BaseOperator):
    """Write every event log of a run's interval, each once, to one object; or fail with the reason, and publish nothing.

    .. code-block:: python

        CapillaryEventLogsToObjectStorageOperator(
            task_id="export",
            destination="s3://my_aws_conn@bucket/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
        )

    A run for 2025-09-17 exports the event logs from 2025-09-17T00:00:00.000Z to 2025-09-17T23:59:59.999Z. It starts to read at 00:05 on the
    18th or later, because records become visible late. It replaces the object of an earlier run for that day as a whole.

    ``None`` that a template turned into the text "None" is an error that names the argument; end a template that may be empty with
    ``or ''``.

    Each run needs an interval. The first of these applies, and the log says which: ``start`` and ``end``; the run's partition date and
    ``partition_duration``; the run's data interval where it is not empty; ``lookback`` before the end of that interval or before the
    run's ``run_after``. A run without any of them fails. On Airflow 3 a plain cron schedule gives an empty interval, so use
    ``CronDataIntervalTimetable``; the error shows it with the DAG's own schedule and zone. The time of the empty runs, up to the first run
    with an interval, stays unexported, and a backfill skips dates that have a run: delete the empty runs, then
    ``airflow backfill create --dag-id ... --from-date ... --to-date ...``, with the starts of the first and the last missing interval.

    **By the local day**, one object for each day, without a gap, also on the days when clocks change (23 and 25 hours):

    .. code-block:: python

        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Europe/London")
        destination=".../dt={interval_start:%Y-%m-%d}/events.jsonl.gz", path_timezone="Europe/London"

    The path has to use the timetable's zone: in UTC, the London days of 30 and 31 March 2025 both begin on the 30th. For hourly objects use
    ``%Y-%m-%dT%H%z``, since 01:00 comes twice on 26 October. ``lookback`` and ``CronTriggerTimetable(interval=...)`` have a fixed length:
    where clocks change, they leave an hour out or export an hour twice.

    An error that no retry can cure (a refused credential, a wrong argument, an API that does not read dates as they are sent) fails the
    task at once. Where the API said when to come back, the retry comes then (Airflow 3.3 and later, unless the task has its own
    ``retry_policy``).

    The store is checked before the API is read: a missing bucket, a rejected credential or one that may not write fails the task at once. A
    store that does not answer fails the task after 180 seconds, or after 340 during the upload of an object of up to 44 GiB, counted from
    the last part that arrived; a warning says so every 30 seconds.

    ``outlets`` get asset events with the counts, see :mod:`.operators._lineage`. OpenLineage gets the API as input, the object as output.
    A finished task links to its object on Amazon S3 and Google Cloud Storage.

    :param destination: the one object of this run, an ``ObjectStoragePath`` or its URI; templated. Its ending chooses the format:
        ``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst`` or ``.parquet``. ``{interval_start:%Y-%m-%d}`` and ``{interval_end:...}``, each with a
        format of ``strftime``, are filled in from the interval that the run exports. They exist in every run, whereas
        ``{{ data_interval_start }}`` is an error in a run without a date. No other braces are allowed.
        A run replaces the object of an earlier run for the same interval, ``event_name``, ``statuses``, ``redact`` and
        ``capillary_conn_id``. Where the
        object there stands for something else, the run fails before it reads.
    :param path_timezone: the IANA name of the zone for these placeholders.
    :param start: with ``end`` the half-open interval ``[start, end)`` by ``startTime``, to the millisecond: aware datetimes or ISO text
        with an offset; templated. ``None`` and ``""`` leave it out.
    :param end: the first moment after the interval.
    :param lookback: the length of the interval where the run has none; a fixed length, so not always a local day.
    :param partition_duration: the length of a partition, for runs with a partition date.
    :param event_name: only records with exactly this ``eventName``; templated; ``None`` and ``""`` for all.
    :param statuses: only records with one of these, where ``NO_STATUS`` stands for a record without: a list, or its JSON text, as
        ``{{ params.statuses | tojson }}`` gives it; templated; ``None`` and ``""`` for all. The API has no parameter for statuses, so the
        run reads all records.
    :param redact: what is dropped and hashed of each record before anything is written; ``None`` for nothing. See :mod:`.redaction.rules`
        and :class:`.redaction.apply.Redactor`. Values may be templated, but nothing under ``key``, which names the Airflow variable or
        connection with the key of the hashes. The manifest says what was applied; a run with another rule or another key never replaces
        the object. Example::

            redact={
                "inputRequest": {"mobile": "hash", "email": "hash", "firstName": "drop"},
                "message": "drop",
                "detect": {"phone": "hash", "email": "hash", "card": "drop"},
                "key": {"variable": "capillary_redaction_secret"},
            }
    :param on_empty: without records, ``write`` an object without records, ``skip`` or ``fail``. ``skip`` leaves no object and removes an
        earlier one, the receipt's ``path`` is ``None``, and the task succeeds without an asset event for its outlets.
    :param on_vanished: where the object of an earlier run for this interval holds records that the API no longer shows (it drops old event
        logs): ``fail`` and touch nothing; ``keep`` them, so that the new object is the union; or ``drop`` them. Where the earlier object
        can't be read, ``fail`` and ``keep`` fail, and ``drop`` replaces it unread.
    :param settle: how long after the interval's end the reading may begin. Until then the task waits, also where the end is in the future;
        zero for no waiting. The task waits in the triggerer where ``deferrable``, else in its slot. Unless it is zero, the task fails
        where the interval was not over by the API's own clock, as its responses show it.
    :param manifest: write a manifest into the folder ``_manifests`` beside the object. Without one, a later run knows what the object
        stands for only by its records' times: if all are in that run's interval, it can't see that the object stands for something else.
    :param object_storage_conn_id: the connection of the destination, where its URI names none; templated. Not used for local disk.
    :param capillary_conn_id: the connection of the API; templated.
    :param deferrable: wait for ``settle`` in the triggerer; by default as ``[operators] default_deferrable`` says.
    :return: a small receipt, see :class:`.export.exporter.Receipt`; counts and times, no records.
    :raises CapillaryError: see the tree in :mod:`.errors`. An argument that is wrong as written fails while the DAG is parsed; one that
        comes from a template, from XCom or from ``.expand`` fails in its run, before anything is read. Before Airflow 3.3, an error that no
        retry can cure is the cause of an ``AirflowFailException`` with the same text.
    """

    template_fields: Sequence[str] = (
        "start",
        "end",
        "event_name",
        "statuses",
        "redact",
        "object_storage_conn_id",
        "capillary_conn_id",
        # The last one: its placeholders need the interval, so `start` and `end` are rendered before.
        "destination",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"redact": "json"}
    ui_color = "#e4f1e1"
    operator_extra_links = (ExportedObjectLink(),)

    event_name: str | None
    statuses: Collection[str] | str | None
    redact: Mapping[str, Any] | None
    on_empty: Literal["write", "skip", "fail"]
    on_vanished: Literal["fail", "keep", "drop"]
    settle: timedelta
    manifest: bool
    deferrable: bool

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
        redact: Mapping[str, Any] | None = None,
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
        self._assign(
            destination=destination,
            path_timezone=path_timezone,
            start=start,
            end=end,
            lookback=lookback,
            partition_duration=partition_duration,
            event_name=event_name,
            statuses=statuses,
            redact=redact,
            on_empty=on_empty,
            on_vanished=on_vanished,
            settle=settle,
            manifest=manifest,
            object_storage_conn_id=object_storage_conn_id,
            capillary_conn_id=capillary_conn_id,
            deferrable=deferrable,
        )
        check_as_written(self)
        set_retry_policy(self)

    def execute(self, context: Context) -> Receipt:
        """Wait until the interval has settled, then export it."""
        with fail_fast(self):
            arguments = self._prepare(context)
            due = settled_at(arguments.interval, self.settle, log=self._logger)
            if due is not None and self.deferrable:
                self.defer(trigger=moment_trigger(due), method_name="execute_complete")
            return self._export(context, arguments, due)

    def execute_complete(self, context: Context, event: object = None) -> Receipt:
        """Continue after a deferral.

        :param event: the moment for which the task waited.
        :raises CapillaryError: the event is anything else.
        """
        with fail_fast(self):
            check_resumed(event)
            arguments = self._prepare(context)
            # Where the worker's clock is behind the triggerer's, the task sleeps for the rest: a second deferral might never end.
            return self._export(context, arguments, settled_at(arguments.interval, self.settle, log=self._logger))

    def get_openlineage_facets_on_complete(self, task_instance: object) -> object:
        """Name the API as input and the object as output, for the OpenLineage provider."""
        from airflow_provider_capillary.operators._lineage import openlineage_of_export

        del task_instance  # OpenLineage passes it
        return openlineage_of_export(self._receipt, self._api_url)

    def _prepare(self, context: Context) -> RunArguments:
        """Check everything that can be checked before any waiting: arguments, formats, the interval, the connection."""
        self._begin()
        # Known already where Airflow has just rendered the task with this context.
        interval, self._interval = self._interval or self._resolve_interval(context), None
        arguments = check_rendered(self, interval)
        self._connect()
        return arguments

    def _export(self, context: Context, arguments: RunArguments, due: datetime | None) -> Receipt:
        from airflow_provider_capillary.export.exporter import open_export
        from airflow_provider_capillary.export.manifest import Subject
        from airflow_provider_capillary.hooks._metrics import count_bytes
        from airflow_provider_capillary.operators._lineage import emit_lineage

        if due is not None:
            wait_until(due, killed=lambda: self._killed)
        hook, interval, event_name, statuses = self.hook, arguments.interval, arguments.event_name, arguments.statuses
        redact = arguments.redact
        subject = Subject(
            start=interval.start,
            end=interval.end,
            event_name=event_name,
            statuses=statuses,
            redact=redact.to_dict() if redact else None,
            capillary_conn_id=self.capillary_conn_id,
        )
        with open_export(
            arguments.destination,
            subject,
            log=self._logger,
            on_empty=self.on_empty,
            on_vanished=self.on_vanished,
            manifest=self.manifest,
            redact=redact,
        ) as export:
            self._running = export
            if self._killed:
                raise ReadingStoppedError("The task was stopped before it read event logs", hint="run it again; nothing was published")
            read_from = datetime.now(UTC)
            reading = hook.iter_pages(interval.start, interval.end, event_name=event_name, statuses=statuses, decode=export.decode)
            # Closed on every way out: a reading that is left half way holds a connection to the API.
            with closing(reading) as pages:
                export.add_pages(pages)
            check_over(interval, self.settle, read_from=read_from, behind=hook.api_clock_behind)
            receipt = export.publish(
                events_read=hook.events_read,
                requests=hook.requests_made,
                bounds=hook.bounds,
                proof=hook.proof,
                source=interval.source,
            )
        self._receipt = receipt
        count_bytes(receipt["bytes"], conn_id=self.capillary_conn_id)
        emit_lineage(self, context, receipt, written=self._written or str(self.destination), api_url=self._api_url or "")
        return receipt
