"""What an earlier run left at the destination, and what this run may do with it: nothing good is replaced by something lesser."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from airflow_provider_capillary.errors import DestinationConflictError, PublishError, VanishedEventsError
from airflow_provider_capillary.export.error_text import error_text
from airflow_provider_capillary.export.formats import ForeignObjectError, read_lines, read_pairs
from airflow_provider_capillary.export.manifest import find_manifests
from airflow_provider_capillary.export.subject import conflict, iso_of_millis, removal
from airflow_provider_capillary.export.target import sha256_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_capillary.export.manifest import Manifest
    from airflow_provider_capillary.export.spool import Spool
    from airflow_provider_capillary.export.subject import Subject
    from airflow_provider_capillary.export.target import Create, ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Comparison", "OnVanished", "PreviousExport"]

OnVanished = Literal["fail", "keep", "drop"]

_MAY_DROP = "on_vanished='drop' replaces it whatever it holds"


class Comparison(NamedTuple):
    """What a reading returned, against what the earlier object holds; by ``(startTime, id)``."""

    late_events: int
    """Records that the earlier object lacks."""
    vanished_events: int
    """Records of the earlier object that this reading did not return."""
    earlier_events: int | None
    """Records of the earlier object; ``None`` where the two are known to be equal without counting."""


class PreviousExport:
    """The object and the manifest of an earlier run, as they are before anything is read from the API.

    :param subject: what this run is for.
    :param tempdir: for temporary copies.
    :raises DestinationConflictError: the object stands for something else, or (unless ``on_vanished="drop"``) is none of this package's.
    :raises PublishError: the store cannot be asked, or the object not be read where it has to be.
    """

    def __init__(
        self, target: Target, *, subject: Subject, ending: str, tempdir: TempDir, on_vanished: OnVanished, log: logging.Logger
    ) -> None:
        self._target = target
        self._subject = subject
        self._ending = ending
        self._tempdir = tempdir
        self._on_vanished = on_vanished
        self._log = log
        self._manifests: list[Manifest] = []
        self._described_by: Manifest | None = None
        self._found: ObjectInfo | None = None
        self._visible = True
        self._find(target.look_before_reading)
        if self._found is not None and self._described_by is None:
            self._examine()

    @property
    def manifest_places(self) -> list[Target]:
        """Where manifests stand, readable or not, of an object that is there or not."""
        return [manifest.place for manifest in self._manifests]

    @property
    def create(self) -> Create:
        """Whether the new object may be put only where nothing stands: so that of two runs at once, neither replaces the other's."""
        if not self._visible:
            return "no" if self._on_vanished == "drop" else "surely"
        return "if possible" if self._found is None else "no"

    def _find(self, look: Callable[[], ObjectInfo | None]) -> None:
        target, log = self._target, self._log
        try:
            self._found, self._manifests = look(), find_manifests(target, self._tempdir, log=log)
        except PermissionError:
            self._found, self._visible = None, False
            log.warning("This credential may not look at %s; whether an earlier run wrote it stays unknown", target.uri)
            return
        found = self._found
        if found is None:
            if self._manifests:
                log.warning("The manifest of %s describes an object that is not there; this run replaces it", target.uri)
            return
        self._described_by = next((each for each in self._manifests if each.describes(found, target)), None)
        for manifest in [self._described_by] if self._described_by else self._manifests:
            if self._subject.differs_from(manifest.claims):
                raise conflict(target, manifest.place, self._subject, manifest.claims)
        if not self._manifests:
            log.warning("%s stands without a manifest: an earlier run ended between the two, or wrote none", target.uri)
        for manifest in [] if self._described_by else self._manifests:
            if manifest.content is not None:
                log.warning(
                    "The manifest of %s does not describe the object beside it (%s bytes; it says %s): an earlier run was killed between "
                    "the two, or two runs wrote at once; this run goes by the object and replaces both",
                    target.uri,
                    found.size,
                    manifest.content["object"]["bytes"],
                )

    def _examine(self) -> None:
        """Without a manifest that describes the object, its records tell what it stands for; a part of that, but surely."""
        with self._readable() as copy:
            if copy is None:
                return
            first = last = None
            for start_time, _ in read_pairs(copy, ending=self._ending):
                first = start_time if first is None else first
                last = start_time
            if first is not None and last is not None and not (self._subject.holds(first) and self._subject.holds(last)):
                claims = {"start": iso_of_millis(first), "end": iso_of_millis(last)}
                shown = f"records of {claims['start']} to {claims['end']}"
                raise conflict(self._target, self._manifest_place, self._subject, claims, shown=shown)

    @property
    def _manifest_place(self) -> Target | None:
        return self._manifests[0].place if self._manifests else None

    def compare(self, spool: Spool, *, ids_sha256: str) -> Comparison | None:
        """Count what is new and what has vanished; without reading the object where the digests already say that nothing is and has.

        Where it must be read, a copy goes to local disk and its records are looked up in the spool one by one.

        :return: ``None`` where there is nothing to compare with, or it cannot be read and ``on_vanished="drop"``; a warning says so.
        :raises VanishedEventsError: some have vanished, and ``on_vanished="fail"``.
        :raises DestinationConflictError: the object does not read as one of this package's.
        :raises PublishError: the store refused to give it.
        :raises ReadingStoppedError: the task is being stopped.
        """
        if self._found is None:
            return None
        told = self._described_by.content if self._described_by else None
        if told is not None and told["ids_sha256"] == ids_sha256:
            return Comparison(0, 0, None)
        with self._readable() as copy:
            if copy is None:
                return None
            if told is not None and sha256_of(copy) != told["object"]["sha256"]:
                self._log.warning("%s is not the object that its manifest describes; this run goes by the object", self._target.uri)
            total, known = spool.count_of(read_pairs(copy, ending=self._ending))
            compared = Comparison(spool.events - known, total - known, total)
            self._decide(compared, spool)
            if compared.vanished_events and self._on_vanished == "keep":
                for line in read_lines(copy, ending=self._ending):
                    spool.add_line(line)
            return compared
        return None

    def _decide(self, compared: Comparison, spool: Spool) -> None:
        uri, vanished = self._target.uri, compared.vanished_events
        if not vanished:
            return
        if self._on_vanished == "fail":
            raise VanishedEventsError(
                f"{vanished} of the {compared.earlier_events} records of the earlier {uri} are not among the {spool.events} that this "
                "reading returned, so it was not touched",
                vanished=vanished,
                hint="the API drops old event logs: leave the object as it is and mark the task as success; or use on_vanished='keep' to "
                "write the union of both, or on_vanished='drop' to replace the object without them",
            )
        kept = "and are kept" if self._on_vanished == "keep" else "and are dropped from it"
        self._log.warning("%d records are not shown by the API any more %s (on_vanished=%r): %s", vanished, kept, self._on_vanished, uri)

    def check_unchanged(self) -> None:
        """Make sure, right before publishing, that what stands there is what was seen before reading.

        :raises DestinationConflictError: it is something else by now, and stands for something else.
        :raises PublishError: it is something else by now.
        """
        if not self._visible:
            return
        try:
            found = self._target.stat()
        except PermissionError:
            return
        if found != self._found:
            self.refuse_other()

    def refuse_other(self) -> NoReturn:
        """Say what was put there meanwhile.

        :raises DestinationConflictError: it stands for something else.
        :raises PublishError: in every other case.
        """
        uri = self._target.uri
        if not self._visible:
            raise DestinationConflictError(
                f"{uri} exists, and this credential may not look at it: whether it holds records that would be lost is unknown",
                hint=f"give the credential the right to read and list there; {_MAY_DROP}",
            )
        self._find(self._target.stat)
        raise PublishError(
            f"{uri} was written by somebody else while this run read; it was not touched",
            hint="make sure that no two runs write the same object at once; then run this one again",
        )

    @contextlib.contextmanager
    def _readable(self) -> Iterator[Path | None]:
        """A local copy of the object; ``None`` where it cannot be had, or reading it fails, and it may be dropped unread."""
        target, copy = self._target, self._target.local_path or self._tempdir.file()
        try:
            if target.local_path is None:
                target.copy_to(copy)
            else:
                copy.open("rb").close()
        except Exception as error:
            what = f"{target.uri} could not be read ({error_text(error)})"
            if self._on_vanished != "drop":
                raise PublishError(
                    f"{what}, and whether it holds records that would be lost is unknown; it was not touched",
                    hint=f"see to it that the connection of the destination may read there, and try again; {_MAY_DROP}",
                ) from error
            self._log.warning("%s: late_events is unknown", what)
            yield None
            return
        try:
            yield copy
        except ForeignObjectError as error:
            what = f"{target.uri} cannot be read as an object of this package ({error})"
            if self._on_vanished != "drop":
                raise DestinationConflictError(
                    f"{what}; it was not touched",
                    hint=f"use another path; or, if it is not needed, {removal(target, self._manifest_place)}; {_MAY_DROP}",
                ) from error
            self._log.warning("%s: late_events is unknown, and it is replaced", what)
