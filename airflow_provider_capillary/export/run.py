"""One export: records → spool → one object and its manifest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from airflow_provider_capillary.errors import CapillaryError, ConfigurationError, PublishError, ReadingStoppedError
from airflow_provider_capillary.export.destination import parse_destination
from airflow_provider_capillary.export.formats import format_of, require_format, write_object
from airflow_provider_capillary.export.location import locate, sha256_of
from airflow_provider_capillary.export.manifest import count_late_events, find_earlier, manifest_beside, manifest_text
from airflow_provider_capillary.export.spool import Spool
from airflow_provider_capillary.export.workspace import local_disk_errors, open_workspace

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_capillary.export.location import Found, Location
    from airflow_provider_capillary.export.workspace import Workspace

__all__ = ["Receipt", "export_records"]

_ON_EMPTY = ("write", "skip", "fail")
_MOST_STATUSES_SHOWN = 8


class Receipt(TypedDict):
    """What an export did, fit for JSON; never anything from a record's body.

    Times are ISO 8601 in UTC with milliseconds, as in ``2025-09-18T00:00:00.000Z``.
    """

    path: str
    """The object's URI with the connection id, as ``ObjectStoragePath(...)`` of a later task takes it."""
    start: str
    end: str
    """The half-open interval ``[start, end)``."""
    events: int
    failures: int
    """Events with any status but ``EVENT_SUCCESS``, or with none."""
    statuses: dict[str, int]
    """Events by status, most frequent first; ``NO_STATUS`` where it is absent, null or empty."""
    first_start_time: str | None
    last_start_time: str | None
    """The least and the greatest ``startTime``; ``None`` without events."""
    bytes: int | None
    sha256: str | None
    """Of the object; ``None`` where none was written (``on_empty="skip"``)."""
    events_read: int
    """Events of the interval that the API showed, before ``event_name`` and ``statuses`` chose from them."""
    requests: int
    late_events: int | None
    """Records that the object of an earlier run lacked; ``None`` where nothing was compared: no earlier object, one that cannot be
    read (the log says so), or ``manifest=False``."""
    manifest: str | None
    """The manifest's URI; ``None`` where none was written."""


def export_records(
    records: Iterable[Mapping[str, Any]],
    destination: ObjectStoragePath | str,
    *,
    start: datetime,
    end: datetime,
    events_read: Callable[[], int],
    requests: Callable[[], int],
    wire: Callable[[], Mapping[str, Any]],
    stop: Callable[[], bool],
    log: logging.Logger,
    on_empty: Literal["write", "skip", "fail"] = "write",
    manifest: bool = True,
    source: str = "",
) -> Receipt:
    """Read every record, then publish them as one object, sorted by ``(startTime, id)``, each once.

    Nothing is published unless ``records`` ended without an exception; until the moment of publishing, and whenever this function raises
    before it, the earlier object stands. Records never pile up in memory: they go to the local temporary directory as they come, which
    needs room for their size as JSON and for the finished object.

    :param records: as the API sent them, in any order, with ``id`` and ``startTime``.
    :param destination: the object, an ``ObjectStoragePath`` or its URI; its ending is one of :data:`.formats.ENDINGS`.
    :param start: aware; with ``end`` the interval that the records are of. Written into the receipt, not applied to the records.
    :param end: aware.
    :param events_read: how many records reading was shown, before it chose from them; asked after reading has ended.
    :param requests: how many requests reading took; asked after reading has ended.
    :param wire: the settings that were found for the API; asked after reading has ended, written into the manifest.
    :param stop: asked often; once it says true, the export ends with :class:`ReadingStoppedError` at its next step.
    :param log: where progress and warnings go.
    :param on_empty: without records, ``write`` an object without records; ``skip``: leave no object, so that what an earlier run wrote
        for the interval is removed, manifest first; ``fail``: raise, and leave everything as it is.
    :param manifest: write a manifest after the object, and compare with the one before. Without, neither is done, and the manifest of an
        earlier run is removed before the object is replaced.
    :param source: what the interval is by, for the one line of the log that says what was written.
    :raises DestinationError: the destination's ending, filesystem, connection or folder; before anything is read.
    :raises PublishError: the store or the local disk refused.
    :raises ReadingStoppedError: ``stop`` said true; nothing was published.
    :raises CapillaryError: no records, and ``on_empty="fail"``; or whatever ``records`` raised.
    """
    parse_destination(destination)  # first of all: what other errors show of it may be a password, unless this lets it pass
    ending = format_of(destination)
    require_format(ending)
    if on_empty not in _ON_EMPTY:
        raise ConfigurationError(f"on_empty={on_empty!r} is not known", cure=f"use one of {', '.join(_ON_EMPTY)}")
    location = locate(destination, log=log)
    location.prepare()
    try:
        with open_workspace() as workspace:
            spool = Spool(workspace, stop=stop)
            export = _Export(location, ending=ending, workspace=workspace, spool=spool, log=log, manifest=manifest)
            export.announce()
            for record in records:
                # The one place that every record passes between the API and the disk; what changes a record belongs here.
                spool.add(record)
            return export.publish(
                start=start,
                end=end,
                events_read=events_read(),
                requests=requests(),
                wire=wire(),
                on_empty=on_empty,
                stop=stop,
                source=source,
            )
    finally:
        # A generator that was left half way holds a connection to the API.
        close = getattr(records, "close", None)
        if close is not None:
            close()


class _Export:
    """The steps around one spool."""

    def __init__(self, location: Location, *, ending: str, workspace: Workspace, spool: Spool, log: logging.Logger, manifest: bool) -> None:
        self._location = location
        self._ending = ending
        self._workspace = workspace
        self._spool = spool
        self._log = log
        self._manifest = manifest_beside(location) if manifest else None

    def announce(self) -> None:
        """Ask the store before anything is read: what cannot be reached should fail now, not after hours."""
        self._location.look_before_reading()

    def publish(
        self,
        *,
        start: datetime,
        end: datetime,
        events_read: int,
        requests: int,
        wire: Mapping[str, Any],
        on_empty: str,
        stop: Callable[[], bool],
        source: str,
    ) -> Receipt:
        spool, location = self._spool, self._location
        receipt = Receipt(
            path=location.uri,
            start=_iso(start),
            end=_iso(end),
            events=spool.events,
            failures=spool.failures,
            statuses=dict(sorted(spool.statuses.items(), key=lambda item: (-item[1], item[0]))),
            first_start_time=_iso_of_ms(spool.first_start_time),
            last_start_time=_iso_of_ms(spool.last_start_time),
            bytes=None,
            sha256=None,
            events_read=events_read,
            requests=requests,
            late_events=None,
            manifest=None,
        )
        if spool.events == 0 and on_empty == "fail":
            raise CapillaryError(
                "The interval holds no records, and on_empty='fail'",
                asked=f"[{receipt['start']}, {receipt['end']})",
                cure="check event_name, statuses and the interval, or use on_empty='write' or 'skip' if an empty interval is fine",
            )
        ids_sha256 = spool.ids_sha256()
        if self._manifest is not None:
            earlier = find_earlier(location, self._workspace, log=self._log)
            if earlier is not None:
                receipt["late_events"] = count_late_events(
                    location, earlier, spool, ids_sha256=ids_sha256, ending=self._ending, workspace=self._workspace, log=self._log
                )
        if spool.events == 0 and on_empty == "skip":
            self._leave_nothing()
            return receipt
        built = self._build(receipt)
        # The last moment to stop: what follows is short, and whole.
        if stop():
            raise ReadingStoppedError("The task was stopped while it exported; nothing was published")
        if self._manifest is None:
            self._remove_stale_manifest()
        found = location.publish(built, log=self._log)
        if self._manifest is not None:
            self._publish_manifest(receipt, found=found, ids_sha256=ids_sha256, wire=wire)
        self._log.info("%s", summary_of(receipt, source=source))
        return receipt

    def _build(self, receipt: Receipt) -> Path:
        built = self._workspace.file()
        with local_disk_errors(self._workspace):
            write_object(self._spool.lines(), built, ending=self._ending)
            receipt["bytes"] = built.stat().st_size
            receipt["sha256"] = sha256_of(built)
        return built

    def _publish_manifest(self, receipt: Receipt, *, found: Found | None, ids_sha256: str, wire: Mapping[str, Any]) -> None:
        assert self._manifest is not None  # noqa: S101  # for the type checker
        receipt["manifest"] = self._manifest.uri
        built = self._workspace.file()
        content = manifest_text(name=self._location.name, found=found, ids_sha256=ids_sha256, receipt=receipt, wire=wire)
        with local_disk_errors(self._workspace):
            built.write_bytes(content)
        try:
            self._manifest.publish(built, log=self._log)
        except PublishError as error:
            raise PublishError(
                f"{self._location.uri} was published whole, its manifest was not ({error.problem})",
                answered=error.answered,
                cure=error.cure,
            ) from error

    def _leave_nothing(self) -> None:
        # The manifest first: an object without one is noticed, a manifest without an object would be believed.
        beside = manifest_beside(self._location)
        beside.remove()
        try:
            stood = self._location.look() is not None
        except PermissionError:
            stood = True
        if stood:
            self._location.remove()
            self._log.warning("No records, on_empty='skip': removed %s, which an earlier run had written", self._location.uri)
        else:
            self._log.info("No records, on_empty='skip': nothing is written to %s", self._location.uri)

    def _remove_stale_manifest(self) -> None:
        beside = manifest_beside(self._location)
        try:
            beside.remove()
        except PublishError as error:
            self._log.warning("%s will describe an object that is about to be replaced, and could not be removed: %s", beside.uri, error)


def summary_of(receipt: Receipt, *, source: str) -> str:
    """What was written, in one line: counts first, the long path last."""
    statuses = list(receipt["statuses"].items())
    more = len(statuses) - _MOST_STATUSES_SHOWN
    parts = [f"{status} {count}" for status, count in statuses[:_MOST_STATUSES_SHOWN]]
    parts += [f"{more} more statuses"] if more > 0 else []
    late = f", {receipt['late_events']} of them late" if receipt["late_events"] else ""
    counts = f" ({', '.join(parts)}{late})" if parts else ""
    interval = f"[{receipt['start']}, {receipt['end']})" + (f", {source}" if source else "")
    return f"Wrote {receipt['events']} event logs{counts}, {receipt['bytes']} bytes, for {interval}: {receipt['path']}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _iso_of_ms(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else _iso(_EPOCH + timedelta(milliseconds=milliseconds))
