"""One export: records → spool → one object and its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_capillary.errors import CapillaryError, ConfigurationError, PublishError, ReadingStoppedError
from airflow_provider_capillary.export.destination import parse_destination
from airflow_provider_capillary.export.formats import format_of, require_format, write_object
from airflow_provider_capillary.export.manifest import manifest_of, manifest_text, prepare_manifest
from airflow_provider_capillary.export.previous_export import PreviousExport
from airflow_provider_capillary.export.receipt import Receipt, summary_of
from airflow_provider_capillary.export.spool import Spool
from airflow_provider_capillary.export.subject import Subject, iso, iso_of_millis
from airflow_provider_capillary.export.target import open_target, sha256_of
from airflow_provider_capillary.export.tempdir import local_disk_errors, open_tempdir

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_capillary.export.previous_export import Comparison, OnVanished
    from airflow_provider_capillary.export.target import ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["export_records"]

_ON_EMPTY = ("write", "skip", "fail")
_ON_VANISHED = ("fail", "keep", "drop")


def export_records(
    records: Iterable[Mapping[str, Any]],
    destination: ObjectStoragePath | str,
    *,
    start: datetime,
    end: datetime,
    events_read: Callable[[], int],
    requests: Callable[[], int],
    bounds: Callable[[], Mapping[str, Any]],
    proof: Callable[[], Mapping[str, Any] | None],
    stop: Callable[[], bool],
    log: logging.Logger,
    on_empty: Literal["write", "skip", "fail"] = "write",
    on_vanished: OnVanished = "fail",
    manifest: bool = True,
    event_name: str | None = None,
    statuses: Collection[str] | None = None,
    capillary_conn_id: str | None = None,
    source: str = "",
) -> Receipt:
    """Read every record, then publish them as one object, sorted by ``(startTime, id)``, each once.

    Nothing is published unless ``records`` ended without an exception; until the moment of publishing, and whenever this function raises
    before it, the earlier object stands. It is replaced only by an object that stands for the same: interval, ``event_name``,
    ``statuses`` and connection, as its manifest says, or as far as its records' times tell where there is no manifest. Records never
    pile up in memory: they go to the local temporary directory as they come, which needs room for their size as JSON and for the finished
    object.

    :param records: as the API sent them, in any order, with ``id`` and ``startTime``.
    :param destination: the object, an ``ObjectStoragePath`` or its URI; its ending is one of :data:`.formats.ENDINGS`.
    :param start: aware; with ``end`` the interval that the records are of. Written into the receipt, not applied to the records.
    :param end: aware.
    :param events_read: how many records reading was shown, before it chose from them; asked after reading has ended.
    :param requests: how many requests reading took; asked after reading has ended.
    :param bounds: how the API was found to read dates; asked after reading has ended, written into the manifest.
    :param proof: what the completeness of the records rests on; asked after reading has ended.
    :param stop: asked often; once it says true, the export ends with :class:`ReadingStoppedError` at its next step.
    :param log: where progress and warnings go.
    :param on_empty: without records, ``write`` an object without records; ``skip``: leave no object, so that what an earlier run wrote
        for the interval is removed, manifest first; ``fail``: raise, and leave everything as it is.
    :param on_vanished: where the object of an earlier run holds records that ``records`` did not return: ``fail``, and leave everything
        as it is; ``keep`` them, so that the new object is the union (of two records with one ``(startTime, id)`` the new one); ``drop``
        them. ``on_empty="write"`` and ``"skip"`` go by what is left to write after that, ``"fail"`` by what was read.
    :param manifest: write a manifest after the object. Without, none is written, the one of an earlier run is removed before the object
        is replaced, and what the object stands for is known to later runs from its records' times alone.
    :param event_name: what the records were chosen by, with ``statuses`` and ``capillary_conn_id``; not applied to them, but part of what
        the object stands for.
    :param source: what the interval is by, for the one line of the log that says what was written.
    :raises DestinationError: the destination's ending, filesystem, connection or folder; before anything is read.
    :raises DestinationConflictError: an object that stands for something else, or that this package did not write, stands there; before
        anything is read, unless it came there meanwhile.
    :raises VanishedEventsError: ``on_vanished="fail"``, and records have vanished.
    :raises PublishError: the store or the local disk refused, or another run wrote the same object meanwhile.
    :raises ReadingStoppedError: ``stop`` said true; nothing was published.
    :raises CapillaryError: no records, and ``on_empty="fail"``; or whatever ``records`` raised.
    """
    try:
        parse_destination(destination)  # first of all: what other errors show of it may be a password, unless this lets it pass
        ending = format_of(destination)
        require_format(ending)
        _require_known("on_empty", on_empty, _ON_EMPTY)
        _require_known("on_vanished", on_vanished, _ON_VANISHED)
        target = open_target(destination, log=log)
        target.prepare()
        if manifest:
            prepare_manifest(target)
        subject = Subject(start=start, end=end, event_name=event_name, statuses=statuses, capillary_conn_id=capillary_conn_id)
        with open_tempdir() as tempdir:
            spool = Spool(tempdir, stop=stop)
            earlier = PreviousExport(target, subject=subject, ending=ending, tempdir=tempdir, on_vanished=on_vanished, log=log)
            export = _Export(target, earlier, subject, ending=ending, tempdir=tempdir, spool=spool, log=log, manifest=manifest)
            # The one place that every record passes between the API and the disk; what changes a record belongs here.
            spool.add_all(records)
            told = _Told(events_read=events_read(), requests=requests(), bounds=bounds(), proof=proof())
            return export.publish(told, on_empty=on_empty, stop=stop, source=source)
    finally:
        # A generator that was left half way holds a connection to the API.
        close = getattr(records, "close", None)
        if close is not None:
            close()


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigurationError(f"{name}={value!r} is not known", hint=f"use one of {', '.join(known)}")


class _Told(NamedTuple):
    """What reading tells of itself once it has ended."""

    events_read: int
    requests: int
    bounds: Mapping[str, Any]
    proof: Mapping[str, Any] | None


class _Export:
    """The steps around one spool."""

    def __init__(
        self,
        target: Target,
        earlier: PreviousExport,
        subject: Subject,
        *,
        ending: str,
        tempdir: TempDir,
        spool: Spool,
        log: logging.Logger,
        manifest: bool,
    ) -> None:
        self._target = target
        self._earlier = earlier
        self._subject = subject
        self._ending = ending
        self._tempdir = tempdir
        self._spool = spool
        self._log = log
        self._manifest = manifest_of(target) if manifest else None

    def publish(self, told: _Told, *, on_empty: str, stop: Callable[[], bool], source: str) -> Receipt:
        spool, target = self._spool, self._target
        if spool.events == 0 and on_empty == "fail":
            raise CapillaryError(
                "The interval holds no records, and on_empty='fail'",
                request=f"[{iso(self._subject.start)}, {iso(self._subject.end)})",
                hint="check event_name, statuses and the interval, or use on_empty='write' or 'skip' if an empty interval is fine",
            )
        ids_sha256 = spool.ids_sha256()
        compared = self._earlier.compare(spool, ids_sha256=ids_sha256)
        if compared is not None and compared.late_events:
            self._log.warning(
                "%d of %d records are late: the object of the earlier run lacks them (%s)", compared.late_events, spool.events, target.uri
            )
        receipt = self._receipt(told, compared)
        if spool.events == 0 and on_empty == "skip":
            self._leave_nothing()
            return receipt
        receipt["path"], receipt["uri"] = target.uri, target.uri_without_connection
        built = self._build(receipt)
        self._earlier.check_unchanged()
        # The last moment to stop: what follows is short, and whole.
        if stop():
            raise ReadingStoppedError("The task was stopped while it exported; nothing was published")
        if self._manifest is None:
            self._remove_stale_manifests()
        try:
            found = target.publish(built, log=self._log, create=self._earlier.create)
        except FileExistsError:
            self._earlier.refuse_other()
        if self._manifest is not None:
            # Again where the object holds more than what was read.
            ids_sha256 = spool.ids_sha256() if compared is not None and compared.vanished_events else ids_sha256
            self._publish_manifest(receipt, found=found, ids_sha256=ids_sha256, bounds=told.bounds)
        self._log.info("%s", summary_of(receipt, source=source))
        return receipt

    def _receipt(self, told: _Told, compared: Comparison | None) -> Receipt:
        """All but what only a written object has."""
        spool = self._spool
        return Receipt(
            path=None,
            uri=None,
            start=iso(self._subject.start),
            end=iso(self._subject.end),
            events=spool.events,
            failures=spool.failures,
            statuses=dict(sorted(spool.statuses.items(), key=lambda item: (-item[1], item[0]))),
            first_start_time=None if spool.first_start_time is None else iso_of_millis(spool.first_start_time),
            last_start_time=None if spool.last_start_time is None else iso_of_millis(spool.last_start_time),
            bytes=None,
            sha256=None,
            events_read=told.events_read,
            requests=told.requests,
            late_events=None if compared is None else compared.late_events,
            vanished_events=None if compared is None else compared.vanished_events,
            proof=None if told.proof is None else dict(told.proof),
            manifest=None,
        )

    def _build(self, receipt: Receipt) -> Path:
        built = self._tempdir.file()
        with local_disk_errors(self._tempdir):
            write_object(self._spool.blocks(), built, ending=self._ending)
            receipt["bytes"] = built.stat().st_size
            receipt["sha256"] = sha256_of(built)
        return built

    def _publish_manifest(self, receipt: Receipt, *, found: ObjectInfo | None, ids_sha256: str, bounds: Mapping[str, Any]) -> None:
        assert self._manifest is not None  # noqa: S101  # for the type checker
        receipt["manifest"] = self._manifest.uri
        built = self._tempdir.file()
        content = manifest_text(
            name=self._target.name, found=found, subject=self._subject, ids_sha256=ids_sha256, receipt=receipt, bounds=bounds
        )
        with local_disk_errors(self._tempdir):
            built.write_bytes(content)
        try:
            self._manifest.make_folder()
            self._manifest.publish(built, log=self._log)
        except PublishError as error:
            raise PublishError(
                f"{self._target.uri} was published whole, its manifest was not ({error.problem})",
                response=error.response,
                hint=error.hint,
            ) from error
        self._remove_stale_manifests()

    def _leave_nothing(self) -> None:
        uri = self._target.uri
        self._earlier.check_unchanged()
        # The manifest first: an object without one is noticed, a manifest without an object would be believed.
        for place in self._earlier.manifest_places:
            place.remove()
        try:
            stood = self._target.stat() is not None
        except PermissionError:
            stood = True
        if stood:
            self._target.remove()
            self._log.warning("No records, on_empty='skip': removed %s, which an earlier run had written", uri)
        else:
            self._log.info("No records, on_empty='skip': nothing is written to %s", uri)

    def _remove_stale_manifests(self) -> None:
        """Those of an earlier run, but for the one that was just written in the place of one."""
        for place in self._earlier.manifest_places:
            if self._manifest is not None and place.uri == self._manifest.uri:
                continue
            try:
                place.remove()
            except PublishError as error:
                self._log.warning("%s describes an object that is not there any more, and could not be removed: %s", place.uri, error)
