"""The object and the manifest of an earlier run: whether this run may replace them, and which records are late or have vanished."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import DestinationConflictError, PublishError, VanishedEventsError
from airflow_provider_capillary.export.formats import ForeignObjectError, read_lines, read_pairs
from airflow_provider_capillary.export.json_lines import fields_of
from airflow_provider_capillary.export.manifest import ErasedIds, conflict_error, find_manifests, removal_hint
from airflow_provider_capillary.export.target import sha256_of
from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from airflow_provider_capillary.export.manifest import Manifest, Subject
    from airflow_provider_capillary.export.spool import Spool
    from airflow_provider_capillary.export.target import Create, ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Comparison", "OnVanished", "PreviousExport"]

OnVanished = Literal["fail", "keep", "drop"]

_DROP_HINT = "on_vanished='drop' replaces it whatever it holds"


class Comparison(NamedTuple):
    """The records of this run compared with those of the earlier object, by ``(startTime, id)``."""

    late_events: int
    """Records that the earlier object lacks."""
    vanished_events: int
    """Records of the earlier object that this run did not read."""
    earlier_events: int | None
    """Records of the earlier object; ``None`` where the digests say that the records are the same."""


class PreviousExport:
    """The object and the manifest of an earlier run, as they are before anything is read from the API.

    :param subject: what this run is for.
    :param tempdir: for temporary copies.
    :raises DestinationConflictError: the object stands for something else, or this package did not write it (unless ``"drop"``).
    :raises DestinationError: the object can't be written there, see :meth:`.target.Target.stat_before_reading`.
    :raises PublishError: the store can't be asked, or the object can't be read where that is necessary.
    """

    def __init__(
        self, target: Target, *, subject: Subject, ending: str, tempdir: TempDir, on_vanished: OnVanished, log: logging.Logger
    ) -> None:
        self.target = target
        self._subject = subject
        self._ending = ending
        self._tempdir = tempdir
        self._on_vanished = on_vanished
        self._log = log
        self._manifests: list[Manifest] = []
        self._described_by: Manifest | None = None
        self._info: ObjectInfo | None = None
        self._visible = True
        self._left_out = 0
        self._find(target.stat_before_reading)
        if self._info is not None and self._described_by is None:
            self._check_records()

    @property
    def manifest_places(self) -> list[Target]:
        """The places where a manifest is, readable or not, whether its object is there or not."""
        return [manifest.place for manifest in self._manifests]

    @property
    def erasures(self) -> dict[str, Any] | None:
        """What was erased from the object by earlier runs of :mod:`.erasure`, for the next manifest; ``None`` for nothing."""
        known = [manifest.erasures for manifest in self._manifests if manifest.erasures]
        if not known:
            return None
        return {
            "ids": sorted(self._erased.digests),
            "runs": [run for each in known for run in each["runs"]],
        }

    def without_erased(self, records: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        """The records, without those that were erased from the object."""
        return (record for record in records if not self._is_erased(record.get("id"))) if self._erased else records

    def log_left_out(self) -> None:
        """Say how many records :meth:`without_erased` has left out."""
        if self._left_out:
            self._log.info("%d records were left out: they were erased from %s", self._left_out, self.target.uri)

    @property
    def create(self) -> Create:
        """Whether to write only where no object is, so that of two runs at once, neither replaces the other's object."""
        if not self._visible:
            return "no" if self._on_vanished == "drop" else "surely"
        return "if possible" if self._info is None else "no"

    @cached_property
    def _erased(self) -> ErasedIds:
        return ErasedIds(self._manifests)

    def _is_erased(self, record_id: object) -> bool:
        is_erased = record_id in self._erased
        self._left_out += is_erased
        return is_erased

    def _find(self, stat: Callable[[], ObjectInfo | None]) -> None:
        target, log = self.target, self._log
        try:
            self._info, self._manifests = stat(), find_manifests(target, self._tempdir, log=log)
        except PermissionError:
            self._info, self._visible = None, False
            log.warning("This credential may not look at %s; whether an earlier run wrote it stays unknown", target.uri)
            return
        info = self._info
        if info is None:
            if self._manifests:
                log.warning("The manifest of %s describes an object that is not there; this run replaces it", target.uri)
            return
        self._described_by = next((each for each in self._manifests if each.describes(info, target)), None)
        for manifest in [self._described_by] if self._described_by else self._manifests:
            if self._subject.differs_from(manifest.claims):
                raise conflict_error(target, manifest.place, self._subject, manifest.claims)
        if not self._manifests:
            log.warning("%s stands without a manifest: an earlier run was killed before it wrote one, or had manifest=False", target.uri)
        for manifest in [] if self._described_by else self._manifests:
            if manifest.content is not None:
                log.warning(
                    "The manifest of %s does not describe the object beside it (%s bytes; the manifest says %s): an earlier run was killed "
                    "between writing the two, or two runs wrote at once. This run goes by the object and replaces both",
                    target.uri,
                    info.size,
                    manifest.content["object"]["bytes"],
                )

    def _check_records(self) -> None:
        """Check by the records' times that an object without a manifest of its own does not stand for another interval."""
        with self._readable() as copy:
            if copy is None:
                return
            first = last = None
            for start_time, _ in read_pairs(copy, ending=self._ending):
                first = start_time if first is None else first
                last = start_time
            if first is not None and last is not None and not (self._subject.holds(first) and self._subject.holds(last)):
                claims = {name: format_timestamp(each, timespec="milliseconds") for name, each in (("start", first), ("end", last))}
                in_words = f"records of {claims['start']} to {claims['end']}"
                raise conflict_error(self.target, self._manifest_place, self._subject, claims, in_words=in_words)

    @property
    def _manifest_place(self) -> Target | None:
        return self._manifests[0].place if self._manifests else None

    def compare(self, spool: Spool, *, ids_sha256: str) -> Comparison | None:
        """Count the records that are late and those that have vanished, and add the vanished ones to the spool for ``on_vanished="keep"``.

        The object is not read where the digests say that its records are the same. Otherwise it is copied to local disk, and its records
        are compared with the spool one by one.

        :return: ``None`` where there is nothing to compare with, or the object can't be read and ``on_vanished="drop"``; a warning says so.
        :raises VanishedEventsError: records have vanished, and ``on_vanished="fail"``.
        :raises DestinationConflictError: this package did not write the object, or it is damaged.
        :raises PublishError: the store refused to deliver the object.
        :raises ReadingStoppedError: the task is being stopped.
        """
        if self._info is None:
            return None
        manifest = self._described_by.content if self._described_by else None
        if manifest is not None and manifest["ids_sha256"] == ids_sha256:
            return Comparison(0, 0, None)
        with self._readable() as copy:
            if copy is None:
                return None
            if manifest is not None and sha256_of(copy) != manifest["object"]["sha256"]:
                self._log.warning("%s is not the object that its manifest describes; this run goes by the object", self.target.uri)
                self._described_by = None
            pairs = read_pairs(copy, ending=self._ending)
            # An erasure that was cut off has left some of them in the object.
            left = (pair for pair in pairs if pair[1] not in self._erased) if self._erased else pairs
            total, known = spool.count_of(left)
            comparison = Comparison(spool.events - known, total - known, total)
            if comparison.vanished_events:
                self._warn_or_refuse(comparison, spool)
            if comparison.vanished_events and self._on_vanished == "keep":
                for line in read_lines(copy, ending=self._ending):
                    if not self._erased or fields_of(line)["id"] not in self._erased:
                        spool.add_line(line)
            return comparison
        return None

    def _warn_or_refuse(self, comparison: Comparison, spool: Spool) -> None:
        uri, vanished = self.target.uri, comparison.vanished_events
        if self._on_vanished == "fail":
            raise VanishedEventsError(
                f"{vanished} of the {comparison.earlier_events} records of the earlier {uri} are not among the {spool.events} that this "
                "run read, so the object was not touched",
                vanished=vanished,
                hint="the API drops old event logs: leave the object as it is and mark the task as success; or use on_vanished='keep' to "
                "write the union of both, or on_vanished='drop' to replace the object without them",
            )
        # Without a manifest of its own, nothing says whether its records were redacted in the same way, or at all.
        if self._on_vanished == "keep" and self._subject.redact is not None and self._described_by is None:
            raise DestinationConflictError(
                f"{uri} has no manifest of its own that says how its records were redacted, so {vanished} of them, which this run did not "
                "read, can't be kept beside redacted ones; it was not touched",
                hint=f"use on_vanished='drop' for this run, which replaces the object without them; or {removal_hint(self.target, None)}",
            )
        kept = "and are kept" if self._on_vanished == "keep" else "and are dropped from it"
        self._log.warning("%d records are not shown by the API any more %s (on_vanished=%r): %s", vanished, kept, self._on_vanished, uri)

    def check_unchanged(self) -> None:
        """Check, right before publishing, that the object is still the one from before reading.

        :raises DestinationConflictError: another object is there, and stands for something else.
        :raises PublishError: another object is there.
        """
        if not self._visible:
            return
        try:
            info = self.target.stat()
        except PermissionError:
            return
        if info != self._info:
            self.refuse_other()

    def refuse_other(self) -> NoReturn:
        """Raise the error for the object that another run wrote while this one read.

        :raises DestinationConflictError: the object stands for something else, or may not be looked at.
        :raises PublishError: in every other case.
        """
        uri = self.target.uri
        if not self._visible:
            raise DestinationConflictError(
                f"{uri} exists, and this credential may not look at it, so this run might lose records by replacing it",
                hint=f"give the credential the right to read and list there; {_DROP_HINT}",
            )
        self._find(self.target.stat)
        raise PublishError(
            f"{uri} was written by somebody else while this run read, and was not touched",
            hint="make sure that no two runs write the same object at once; then run this one again",
        )

    @contextlib.contextmanager
    def _readable(self) -> Iterator[Path | None]:
        """A local copy of the object; ``None`` where the store does not deliver it and ``on_vanished="drop"``.

        An error in the block that says that the object is damaged or foreign is raised as a conflict, or only logged for ``"drop"``.
        """
        target = self.target
        try:
            copy = target.local_copy(self._tempdir)
        except Exception as error:
            problem = f"{target.uri} could not be read ({error_text(error)})"
            if self._on_vanished != "drop":
                raise PublishError(
                    f"{problem}, so this run might lose records by replacing it; it was not touched",
                    hint=f"make sure that the connection of the destination may read there, and try again; {_DROP_HINT}",
                ) from error
            self._log.warning("%s: late_events is unknown", problem)
            yield None
            return
        try:
            yield copy
        except ForeignObjectError as error:
            problem = f"{target.uri} cannot be read as an object of this package ({error})"
            if self._on_vanished != "drop":
                raise DestinationConflictError(
                    f"{problem}; it was not touched",
                    hint=f"use another path; or, if it is not needed, {removal_hint(target, self._manifest_place)}; {_DROP_HINT}",
                ) from error
            self._log.warning("%s: late_events is unknown, and this run replaces the object", problem)
