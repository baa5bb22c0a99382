"""One export: records go to a spool on local disk, then become one published object and its manifest.

.. code-block:: python

    with open_export(destination, subject, log=log) as export:
        export.add_all(records)
        receipt = export.publish(events_read=..., requests=..., bounds=..., proof=...)
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from airflow_provider_capillary.errors import CapillaryError, DestinationConflictError, PublishError, ReadingStoppedError
from airflow_provider_capillary.export.filesystems import open_target
from airflow_provider_capillary.export.formats import block_form, write_object
from airflow_provider_capillary.export.manifest import manifest_of, manifest_text, prepare_manifest
from airflow_provider_capillary.export.previous_export import PreviousExport
from airflow_provider_capillary.export.spool import Spool
from airflow_provider_capillary.export.target import sha256_of
from airflow_provider_capillary.export.tempdir import local_disk_errors, open_tempdir
from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.export.destination import Destination
    from airflow_provider_capillary.export.manifest import Subject
    from airflow_provider_capillary.export.previous_export import Comparison, OnVanished
    from airflow_provider_capillary.export.target import ObjectInfo
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Export", "OnEmpty", "Receipt", "open_export"]

OnEmpty = Literal["write", "skip", "fail"]

_MOST_STATUSES_SHOWN = 8


class Receipt(TypedDict):
    """What an export did, fit for JSON; never anything from a record's body.

    Times are ISO 8601 in UTC with milliseconds, as in ``2025-09-18T00:00:00.000Z``.
    """

    path: str | None
    """The object's URI with the connection id, for ``ObjectStoragePath(...)`` in a later task; ``None`` where there is no object
    (``on_empty="skip"``)."""
    uri: str | None
    """The same without the connection id, for any other tool."""
    start: str
    end: str
    """The half-open interval ``[start, end)``."""
    events: int
    """Records in the object; with ``on_vanished="keep"`` also those that it took over from the earlier object."""
    failures: int
    """Events with any status but ``EVENT_SUCCESS``, or with none."""
    statuses: dict[str, int]
    """Events by status, most frequent first; ``NO_STATUS`` where the status is absent, null or empty."""
    first_start_time: str | None
    last_start_time: str | None
    """The smallest and the greatest ``startTime``; ``None`` without events."""
    bytes: int | None
    sha256: str | None
    """Of the object; ``None`` where none was written (``on_empty="skip"``)."""
    events_read: int
    """Events of the interval that the API returned, before ``event_name`` and ``statuses`` were applied."""
    requests: int
    late_events: int | None
    """Records that the object of an earlier run lacked; ``None`` where nothing was compared: there was no earlier object, or it could not
    be read (the log says so)."""
    vanished_events: int | None
    """Records of the earlier object that this run did not read, kept or dropped; ``None`` as for ``late_events``."""
    proof: dict[str, int | str] | None
    """What the completeness rests on: ``spans`` (windows that cover the interval), ``longest_answer`` (the most records in one of them),
    ``capacity`` (the most records that the API was known to give at once) and ``shown_at`` (the time by which a later and longer answer had
    confirmed that capacity). ``None`` where the API holds no records at all."""
    manifest: str | None
    """The manifest's URI; ``None`` where none was written."""


@contextlib.contextmanager
def open_export(
    destination: Destination,
    subject: Subject,
    *,
    log: logging.Logger,
    on_empty: OnEmpty = "write",
    on_vanished: OnVanished = "fail",
    manifest: bool = True,
    redact: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> Iterator[Export]:
    """Check the destination and the object of an earlier run, and take records until the export is published or left.

    The earlier object stays until :meth:`Export.publish`, and for good where that raises or is not called. It is replaced only by an object
    that stands for the same interval, ``event_name``, ``statuses`` and connection, as its manifest says, or as far as its records' times
    show where there is no manifest. Records do not pile up in memory: they go to the local temporary directory as they come, which needs
    room for 1.2 times their size as JSON; the finished object takes the room of the records that it has been given.

    :param destination: where the object goes; its format has to be installed.
    :param subject: what the records are; not applied to them.
    :param log: for progress and warnings.
    :param on_empty: without records, ``write`` an object without records; ``skip``: leave no object, and remove the one of an earlier run,
        its manifest first; ``fail``: raise, and leave everything as it is.
    :param on_vanished: where the object of an earlier run holds records that were not added: ``fail``, and leave everything as it is;
        ``keep`` them, so that the new object is the union (of two records with one ``(startTime, id)`` the new one); ``drop`` them.
        ``on_empty="write"`` and ``"skip"`` count the records after that, ``"fail"`` those that were added.
    :param manifest: write a manifest after the object. If not, the manifest of an earlier run is removed before the object is replaced, and
        later runs know what the object stands for from its records' times alone.
    :param redact: makes the exported record of each record, with the same ``id``, ``startTime`` and ``status``, as ``subject.redact`` says.
        ``None`` for the record itself.
    :raises DestinationError: the filesystem, the connection, the bucket, the credential or the folder.
    :raises DestinationConflictError: the object there stands for something else, or this package did not write it.
    :raises PublishError: the store can't be asked, or local disk can't be used.
    """
    target = open_target(destination, log=log)
    with open_tempdir() as tempdir:
        previous = PreviousExport(target, subject=subject, ending=destination.ending, tempdir=tempdir, on_vanished=on_vanished, log=log)
        if previous.erasures is not None and not manifest:
            raise DestinationConflictError(
                f"Records were erased from {target.uri}, and only its manifest keeps this run from bringing them back",
                hint="use manifest=True",
            )
        yield Export(
            previous,
            subject,
            ending=destination.ending,
            tempdir=tempdir,
            log=log,
            on_empty=on_empty,
            manifest=manifest,
            redact=redact,
        )


class Export:
    """An export under way; see :func:`open_export`."""

    def __init__(
        self,
        previous: PreviousExport,
        subject: Subject,
        *,
        ending: str,
        tempdir: TempDir,
        log: logging.Logger,
        on_empty: OnEmpty,
        manifest: bool,
        redact: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None,
    ) -> None:
        self._target = previous.target
        self._previous = previous
        self._subject = subject
        self._ending = ending
        self._tempdir = tempdir
        self._log = log
        self._on_empty = on_empty
        self._redact = redact
        self._manifest = manifest_of(self._target) if manifest else None
        if manifest:
            prepare_manifest(self._target)
        self._stopped = False
        form = block_form(ending)
        self._spool = Spool(tempdir, stop=lambda: self._stopped, form=form)
        self._by_page = redact is None and previous.erasures is None
        """Whether all is written as it came. Otherwise each record is redacted by itself, or left out."""
        self.decode = form.decode if self._by_page else None
        """What decodes answers for :meth:`add_pages`; ``None`` for the usual way."""

    def add_all(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take records, as the API sent them, in any order.

        :raises MalformedAnswerError: a record has no ``id`` or no ``startTime``.
        :raises PublishError: the local disk is full or can't be written.
        :raises ReadingStoppedError: :meth:`stop` was called.
        :raises Exception: whatever ``records`` raises.
        """
        # Every record passes here between the API and the disk.
        records = self._previous.without_erased(records)
        self._spool.add_all(records if self._redact is None else map(self._redact, records))

    def add_pages(self, pages: Iterable[EventLogs]) -> None:
        """:meth:`add_all`, many records at a time."""
        with _without_full_collections():
            for records in pages:
                if self._by_page:
                    self._spool.add_page(records)
                else:
                    self.add_all(records)

    def stop(self) -> None:
        """End the export at its next step, from any thread: it raises :class:`ReadingStoppedError`, and publishes nothing."""
        self._stopped = True

    def publish(
        self,
        *,
        events_read: int,
        requests: int,
        bounds: Mapping[str, Any],
        proof: Mapping[str, Any] | None,
        source: str = "",
    ) -> Receipt:
        """Publish the records that were added as one object, sorted by ``(startTime, id)``, each once, and then its manifest.

        :param events_read: how many records the API returned, before ``event_name`` and ``statuses`` were applied.
        :param requests: how many requests the reading took.
        :param bounds: how the API reads dates, for the manifest.
        :param proof: what the completeness of the records rests on.
        :param source: how the interval was found, for the one line of the log that says what was written.
        :raises VanishedEventsError: ``on_vanished="fail"``, and records have vanished.
        :raises DestinationConflictError: another object came there meanwhile, and stands for something else.
        :raises PublishError: the store or the local disk refused, or another run wrote the same object meanwhile.
        :raises ReadingStoppedError: :meth:`stop` was called; nothing was published.
        :raises CapillaryError: no records, and ``on_empty="fail"``.
        """
        spool, target = self._spool, self._target
        self._previous.log_left_out()
        if spool.events == 0 and self._on_empty == "fail":
            raise CapillaryError(
                "The interval holds no records, and on_empty='fail'",
                request=f"[{format_timestamp(self._subject.start)}, {format_timestamp(self._subject.end)})",
                hint="check event_name, statuses and the interval, or use on_empty='write' or 'skip' if an empty interval is fine",
            )
        ids_sha256 = spool.ids_sha256()
        comparison = self._previous.compare(spool, ids_sha256=ids_sha256)
        if comparison is not None and comparison.late_events:
            self._log.warning(
                "%d of %d records are late: the object of the earlier run lacks them (%s)", comparison.late_events, spool.events, target.uri
            )
        receipt = self._receipt(events_read, requests, proof, comparison)
        if spool.events == 0 and self._on_empty == "skip":
            self._remove_everything()
            return receipt
        receipt["path"], receipt["uri"] = target.uri, target.uri_without_connection
        built = self._build(receipt)
        self._previous.check_unchanged()
        # The last moment to stop: the rest is short, and is done whole.
        if self._stopped:
            raise ReadingStoppedError("The task was stopped while it exported; nothing was published")
        if self._manifest is None:
            self._remove_stale_manifests()
        try:
            info = target.publish(built, create=self._previous.create)
        except FileExistsError:
            self._previous.refuse_other()
        if self._manifest is not None:
            # Computed again where records of the earlier object were kept.
            ids_sha256 = spool.ids_sha256() if comparison is not None and comparison.vanished_events else ids_sha256
            self._publish_manifest(receipt, info=info, ids_sha256=ids_sha256, bounds=bounds)
        self._log.info("%s", _summary(receipt, source=source))
        return receipt

    def _receipt(self, events_read: int, requests: int, proof: Mapping[str, Any] | None, comparison: Comparison | None) -> Receipt:
        """The receipt, without the fields that only a written object has."""
        spool = self._spool
        return Receipt(
            path=None,
            uri=None,
            start=format_timestamp(self._subject.start, timespec="milliseconds"),
            end=format_timestamp(self._subject.end, timespec="milliseconds"),
            events=spool.events,
            failures=spool.failures,
            statuses=dict(sorted(spool.statuses.items(), key=lambda item: (-item[1], item[0]))),
            first_start_time=_stored(spool.first_start_time),
            last_start_time=_stored(spool.last_start_time),
            bytes=None,
            sha256=None,
            events_read=events_read,
            requests=requests,
            late_events=None if comparison is None else comparison.late_events,
            vanished_events=None if comparison is None else comparison.vanished_events,
            proof=None if proof is None else dict(proof),
            manifest=None,
        )

    def _build(self, receipt: Receipt) -> Path:
        built = self._target.file_to_build(self._tempdir)
        with self._target.errors_of_building(self._tempdir):
            write_object(self._spool.drain(), built, ending=self._ending)
            receipt["bytes"] = built.stat().st_size
            receipt["sha256"] = sha256_of(built)
        return built

    def _publish_manifest(self, receipt: Receipt, *, info: ObjectInfo | None, ids_sha256: str, bounds: Mapping[str, Any]) -> None:
        assert self._manifest is not None  # noqa: S101  # for the type checker
        receipt["manifest"] = self._manifest.uri
        built = self._tempdir.file()
        content = manifest_text(
            name=self._target.name,
            info=info,
            subject=self._subject,
            ids_sha256=ids_sha256,
            receipt=receipt,
            bounds=bounds,
            erasures=self._previous.erasures,
        )
        with local_disk_errors(self._tempdir):
            built.write_bytes(content)
        try:
            self._manifest.make_folder()
            self._manifest.publish(built)
        except PublishError as error:
            raise PublishError(
                f"{self._target.uri} was published whole, but its manifest was not ({error.problem})",
                response=error.response,
                hint=error.hint,
            ) from error
        self._remove_stale_manifests()

    def _remove_everything(self) -> None:
        uri = self._target.uri
        self._previous.check_unchanged()
        # The manifest first: the next run notices an object without a manifest, and would believe a manifest without an object.
        # One that says what was erased stays, or the next run would bring it back.
        for place in self._previous.manifest_places if self._previous.erasures is None else ():
            place.remove()
        try:
            exists = self._target.stat() is not None
        except PermissionError:
            exists = True
        if exists:
            self._target.remove()
            self._log.warning("No records, on_empty='skip': removed %s, which an earlier run had written", uri)
        else:
            self._log.info("No records, on_empty='skip': nothing is written to %s", uri)

    def _remove_stale_manifests(self) -> None:
        """Remove the manifests of an earlier run, except the place where this run wrote its own."""
        for place in self._previous.manifest_places:
            if self._manifest is not None and place.uri == self._manifest.uri:
                continue
            try:
                place.remove()
            except PublishError as error:
                self._log.warning("%s describes an object that does not exist any more, and could not be removed: %s", place.uri, error)


@contextlib.contextmanager
def _without_full_collections() -> Iterator[None]:
    """Keep the garbage collector from looking through all of Airflow's objects again and again, because so many new ones come and go.

    Objects that are there already are not collected meanwhile. New ones are.
    """
    if gc.get_freeze_count():  # as Airflow does before it starts tasks
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _summary(receipt: Receipt, *, source: str) -> str:
    """What was written, in one line: counts first, the long path last."""
    statuses = list(receipt["statuses"].items())
    more = len(statuses) - _MOST_STATUSES_SHOWN
    parts = [f"{status} {count}" for status, count in statuses[:_MOST_STATUSES_SHOWN]]
    parts += [f"{more} more statuses"] if more > 0 else []
    late = f", {receipt['late_events']} of them late" if receipt["late_events"] else ""
    vanished = f", {receipt['vanished_events']} of the earlier object vanished" if receipt["vanished_events"] else ""
    counts = f" ({', '.join(parts)}{late}{vanished})" if parts else ""
    interval = f"[{receipt['start']}, {receipt['end']})" + (f", {source}" if source else "")
    return f"Wrote {receipt['events']} event logs{counts}, {receipt['bytes']} bytes, for {interval}: {receipt['path']}"


def _stored(timestamp: int | None) -> str | None:
    return None if timestamp is None else format_timestamp(timestamp, timespec="milliseconds")
