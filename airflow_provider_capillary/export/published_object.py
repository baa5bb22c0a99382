"""A published object and its manifest, found and checked before anything is compared with it. Writes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import CapillaryError, IntervalError, PublishError, ReadingStoppedError, UnverifiableError
from airflow_provider_capillary.export.formats import ForeignObjectError, read_entries, read_pairs
from airflow_provider_capillary.export.manifest import ErasedIds, find_manifests
from airflow_provider_capillary.export.target import sha256_of
from airflow_provider_capillary.export.time_limit import sleep_while
from airflow_provider_capillary.timestamps import parse_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from airflow_provider_capillary.export.comparison import Entry
    from airflow_provider_capillary.export.manifest import Manifest
    from airflow_provider_capillary.export.runs import Key
    from airflow_provider_capillary.export.target import ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Claims", "PublishedObject"]

_PAUSES: Final = (1, 2, 4, 8, 15, 30)
"""Seconds. A run writes the manifest right after the object, and tries again for less than a minute. An object and a manifest that do not
fit together for so long were left by no run that is still writing."""


class Claims(NamedTuple):
    """What an object stands for, as its manifest says."""

    start: datetime
    end: datetime
    event_name: str | None
    statuses: list[str] | None
    redact: dict[str, Any] | None
    """As :meth:`.redaction.apply.Redactor.to_dict`."""
    capillary_conn_id: str | None
    """``None`` where the manifest does not say it."""


class _State(NamedTuple):
    """An object and its manifests at one moment."""

    info: ObjectInfo
    manifests: list[Manifest]
    manifest: Manifest | None
    """The one that describes the object; else the first that can be read."""
    is_described: bool

    @property
    def identity(self) -> object:
        """Another one where a run has written meanwhile."""
        return self.info, [each.content for each in self.manifests]


class PublishedObject:
    """An object, and what its manifest says of it.

    :param killed: asked while this waits for a run that may be just writing the object, up to a minute, and while it reads.
    :raises UnverifiableError: see there.
    :raises DestinationError: the bucket or the credential.
    :raises PublishError: the store can't be asked, or the object can't be copied to local disk.
    :raises ReadingStoppedError: the task was killed.
    """

    def __init__(self, target: Target, *, ending: str, tempdir: TempDir, log: logging.Logger, killed: Callable[[], bool]) -> None:
        self.target = target
        self._ending = ending
        self._tempdir = tempdir
        self._log = log
        self._killed = killed
        self._state = self._settled_state()
        manifest = self._state.manifest
        assert manifest is not None  # noqa: S101  # for the type checker
        assert manifest.content is not None  # noqa: S101  # as above
        self.manifest_uri = manifest.place.uri
        self.manifest = manifest.content
        self.claims = _claims_of(manifest, target)
        self.erased = ErasedIds(self._state.manifests)
        """The ids of the records that were erased from the object on purpose."""
        self._copy = self._copied()
        described = self.manifest["object"]
        checks = (("bytes", described["bytes"], self._copy.stat().st_size), ("sha256", described["sha256"], sha256_of(self._copy)))
        self.differences = [name for name, in_manifest, of_object in checks if in_manifest != of_object]
        """In which of ``bytes`` and ``sha256`` the object is not what its manifest says."""
        if self.differences:  # it may be anything
            for _ in self.keys():
                pass

    def entries(self) -> Iterator[Entry]:
        """The records of the object, sorted by key.

        :raises UnverifiableError: it does not read as an object of this package.
        """
        return self._readable(read_entries(self._copy, ending=self._ending))

    def keys(self) -> Iterator[Key]:
        """The keys of its records, ascending; raises as :meth:`entries`."""
        return self._readable(read_pairs(self._copy, ending=self._ending))

    def require_unchanged(self) -> None:
        """Check that object and manifest are still those that were found.

        :raises UnverifiableError: a run has written meanwhile.
        :raises PublishError: the store can't be asked.
        """
        if self._state_now().identity != self._state.identity:
            raise self._being_written()

    def _settled_state(self) -> _State:
        """The object and its manifest, as they are once no run is between writing the one and the other."""
        state = first = self._state_now()
        for pause in _PAUSES:
            if state.is_described:
                return state
            if pause == _PAUSES[0]:
                self._log.info(
                    "%s has no manifest that describes it; a run may be just writing it: waiting for up to %d s",
                    self.target.uri,
                    sum(_PAUSES),
                )
            self._wait(pause)
            state = self._state_now()
        if state.is_described:
            return state
        if state.identity != first.identity:
            raise self._being_written()
        uri = self.target.uri
        if state.manifest is None:
            unreadable = " that can be read" if state.manifests else ""
            raise UnverifiableError(
                f"{uri} has no manifest{unreadable}, so nothing says which records it stands for: its run had manifest=False, or was "
                "killed before it wrote one",
                reason="no manifest",
                hint="export the interval again, with manifest=True",
            )
        if "pending" in (state.manifest.erasures or {}):
            raise UnverifiableError(
                f"An erasure of records from {uri} was broken off, or is under way",
                reason="being written",
                hint="run the same erase command again, and wait for its end",
            )
        return state

    def _state_now(self) -> _State:
        target = self.target
        try:
            info, manifests = target.stat_to_read(), find_manifests(target, self._tempdir, log=self._log)
        except PermissionError as error:
            raise UnverifiableError(
                f"The credential may not read {target.uri}",
                reason="refused",
                response=error_text(error),
                hint="give the credential the right to read and list there",
            ) from error
        if info is None:
            if any(each.content is not None and not each.erasures for each in manifests):
                raise UnverifiableError(
                    f"{target.uri} is not there any more: its manifest is",
                    reason="unreadable",
                    hint="export the interval again",
                )
            raise UnverifiableError(
                f"There is no object {target.uri}",
                reason="no object",
                hint="check the destination and the run's interval, or export the interval; where the export has on_empty='skip', use "
                "on_no_object='skip'",
            )
        described_by = next((each for each in manifests if each.describes(info, target)), None)
        manifest = described_by or next((each for each in manifests if each.content is not None), None)
        is_described = described_by is not None and "pending" not in (described_by.erasures or {})
        return _State(info, manifests, manifest, is_described)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        sleep_while(lambda: end - time.monotonic(), killed=self._killed, doing="before it verified the object")

    def _being_written(self) -> UnverifiableError:
        return UnverifiableError(
            f"A run wrote {self.target.uri} while it was verified",
            reason="being written",
            hint="verify it again once that run has ended",
        )

    def _copied(self) -> Path:
        try:
            return self.target.local_copy(self._tempdir)
        except CapillaryError:
            raise
        except Exception as error:
            raise PublishError(
                f"{self.target.uri} could not be read",
                response=error_text(error),
                hint="check that the credential may read there, and try again",
            ) from error

    def _readable(self, entries: Iterable[Any]) -> Iterator[Any]:
        """The entries of the object.

        :raises UnverifiableError: it does not read as an object of this package.
        """
        try:
            for entry in entries:
                if self._killed():
                    raise ReadingStoppedError("The task was stopped while it verified the object", hint="run it again")
                yield entry
        except ForeignObjectError as error:
            raise UnverifiableError(
                f"{self.target.uri} can't be read as a {self._ending} object of this package ({error}): it is damaged, or another program "
                "wrote it",
                reason="unreadable",
                hint="export the interval again, with on_vanished='drop'; the export replaces the object without reading it",
            ) from error


def _claims_of(manifest: Manifest, target: Target) -> Claims:
    claims = manifest.claims
    try:
        redact, statuses = claims["redact"], claims["statuses"]
        if not isinstance(redact, dict | None) or not isinstance(statuses, list | None):
            raise TypeError  # noqa: TRY301  # handled as every other manifest that says too little
        return Claims(
            start=parse_timestamp(claims["start"], "start"),
            end=parse_timestamp(claims["end"], "end"),
            event_name=claims["event_name"],
            statuses=statuses,
            redact=redact,
            capillary_conn_id=claims.get("capillary_conn_id"),
        )
    except (KeyError, TypeError, IntervalError) as error:
        raise UnverifiableError(
            f"The manifest of {target.uri} does not say which event_name, statuses and interval the object stands for, as those of "
            "versions up to 0.1",
            reason="no claims",
            hint="export the interval again, which writes a new manifest",
        ) from error
