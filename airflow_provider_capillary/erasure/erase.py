"""Erases records from objects: each object is rewritten whole, and its manifest remembers what was erased."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary import __version__
from airflow_provider_capillary.erasure.matching import Matcher
from airflow_provider_capillary.erasure.places import objects_below
from airflow_provider_capillary.errors import CapillaryError, ConfigurationError, DestinationConflictError, PublishError
from airflow_provider_capillary.export.filesystems import open_target
from airflow_provider_capillary.export.formats import ForeignObjectError, block_form, read_lines, require_format, write_object
from airflow_provider_capillary.export.json_lines import fields_of, to_json
from airflow_provider_capillary.export.manifest import erased_digest, find_manifests, manifest_of
from airflow_provider_capillary.export.spool import Spool
from airflow_provider_capillary.export.target import sha256_of
from airflow_provider_capillary.export.tempdir import local_disk_errors, open_tempdir
from airflow_provider_capillary.redaction.hashing import Hasher
from airflow_provider_capillary.redaction.key import load_key
from airflow_provider_capillary.redaction.rules import key_of
from airflow_provider_capillary.timestamps import format_timestamp, from_millis

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from airflow_provider_capillary.export.destination import Destination
    from airflow_provider_capillary.export.manifest import Manifest
    from airflow_provider_capillary.export.target import ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Outcome", "erase"]

_log = logging.getLogger(__name__)

_MOST_ERASED: Final = 20_000
"""Ids that one manifest remembers. It is read whole before each run."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one object. Holds nothing of a record.

    :param uri: the object's, with the connection id.
    :param events: how many records it held before.
    :param erased: how many of them were erased, or would be.
    :param is_remembered: whether its manifest keeps later runs from bringing them back.
    :param error: why the object was not looked into or not rewritten; ``None`` where all went well.
    """

    uri: str
    events: int = 0
    erased: int = 0
    is_remembered: bool = True
    error: CapillaryError | None = None


def erase(
    prefix: str,
    *,
    ids: Collection[str] = (),
    matches: Collection[str] = (),
    key: Mapping[str, str] | None = None,
    object_storage_conn_id: str | None = None,
    dry_run: bool = False,
) -> Iterator[Outcome]:
    """Erase records from every object below a prefix, one object after the other.

    An object that holds such records is replaced by one without them, whole: it is what the export would have written without them. The
    others are not touched. Then its manifest has the new counts, size and digests, and the digests of the erased ids. A later run for the
    same object leaves these records out, though the API still shows them, and they count neither as late nor as vanished. That ends where
    somebody removes the manifest. Broken off at any point, the object is the old one or the new one, and calling again does the rest.

    No run may write the same objects meanwhile; one that does is noticed, and the object is left to it.

    :param prefix: a folder or one object, as ``destination`` of the operator: a URI or an absolute path.
    :param ids: the ``id`` of records.
    :param matches: see :class:`.matching.Matcher`.
    :param key: where the key of the hashes is, as ``redact["key"]``; necessary for ``matches`` where objects hold hashes.
    :param object_storage_conn_id: the connection of a URI that names none.
    :param dry_run: only find the records.
    :return: an outcome for each object; one that fails does not keep the others from being done.
    :raises ConfigurationError: a parameter is wrong, there is no key, or there is no object.
    :raises PublishError: the store can't be asked for its objects.
    """
    hasher = None if key is None else Hasher(load_key(key_of(key)))
    matcher = Matcher(ids=ids, matches=matches, hasher=hasher)
    places = objects_below(prefix, object_storage_conn_id)
    fingerprint = None if hasher is None else hasher.fingerprint
    return (_erase_one(place, matcher, fingerprint, dry_run=dry_run) for place in places)


def _erase_one(place: Destination, matcher: Matcher, fingerprint: str | None, *, dry_run: bool) -> Outcome:
    try:
        require_format(place.ending)
        with open_tempdir() as tempdir:
            target = open_target(place, log=_log)
            return _Erasure(target, place.ending, tempdir, matcher).run(fingerprint, dry_run=dry_run)
    except CapillaryError as error:
        return Outcome(uri=str(place.path), error=error)


class _Erasure:
    """The erasure from one object."""

    def __init__(self, target: Target, ending: str, tempdir: TempDir, matcher: Matcher) -> None:
        self._target = target
        self._ending = ending
        self._tempdir = tempdir
        self._matcher = matcher
        self._spool = Spool(tempdir, stop=lambda: False, form=block_form(ending))

    def run(self, fingerprint: str | None, *, dry_run: bool) -> Outcome:
        target = self._target
        info = self._stat()
        manifests = find_manifests(target, self._tempdir, log=_log)
        if self._matcher.needs_values:
            for each in manifests:
                _check_key(target, each, fingerprint)
        copy = self._copy()
        before, ids = self._read(copy)
        manifest = _describing(manifests, info, copy)
        remembering = manifest or next((each for each in manifests if each.content is not None), None)
        outcome = Outcome(uri=target.uri, events=before, erased=len(ids), is_remembered=remembering is not None)
        is_unfinished = manifest is not None and "pending" in (manifest.erasures or {})
        if dry_run or not (ids or is_unfinished):
            return outcome
        new = self._build() if ids else copy
        content = None
        if remembering is not None:
            # First of all, so that whatever happens next, no run brings the records back.
            content = _with_erased(remembering.content or {}, ids, target, pending=sha256_of(new) if manifest else None)
            self._publish_manifest(content)
        if ids:
            info = self._publish(new, info)
        # A manifest that described another object before is not made to describe this one.
        if content is not None and manifest is not None:
            del content["erasures"]["pending"]
            self._publish_manifest(self._described(content, new, info))
        if content is not None:
            for each in manifests:
                if each.place.uri != manifest_of(target).uri:
                    each.place.remove()
        return outcome

    def _stat(self) -> ObjectInfo:
        try:
            info = self._target.stat()
        except PermissionError as error:
            raise PublishError(
                f"{self._target.uri} may not be read", hint="give the credential the right to read, list and write"
            ) from error
        if info is None:
            raise DestinationConflictError(f"{self._target.uri} is not there", hint="check the path")
        return info

    def _copy(self) -> Path:
        copy = self._tempdir.file()
        try:
            self._target.copy_to(copy)
        except Exception as error:
            raise PublishError(f"{self._target.uri} could not be read", hint="check that the credential may read there") from error
        return copy

    def _read(self, copy: Path) -> tuple[int, list[str]]:
        """Spool the records that stay.

        :return: how many records there are, and the ids of those that are meant.
        """
        count, ids = 0, []
        try:
            for line in read_lines(copy, ending=self._ending):
                count += 1
                record_id = fields_of(line)["id"]
                if self._matcher.matches(record_id, line):
                    ids.append(record_id)
                else:
                    self._spool.add_line(line)
        except (ForeignObjectError, ValueError) as error:
            raise DestinationConflictError(
                f"{self._target.uri} cannot be read as an object of this package, so nobody knows whether it holds the records",
                response=type(error).__name__,
                hint="look into it by hand, or name a folder without it",
            ) from error
        return count, ids

    def _build(self) -> Path:
        built = self._target.file_to_build(self._tempdir)
        with self._target.errors_of_building(self._tempdir):
            write_object(self._spool.blocks(), built, ending=self._ending)
        return built

    def _publish(self, built: Path, info: ObjectInfo) -> ObjectInfo:
        if self._stat() != info:
            raise PublishError(
                f"{self._target.uri} was written by somebody else meanwhile", hint="wait for that run to end, and erase again"
            )
        return self._target.publish(built) or self._stat()

    def _described(self, content: dict[str, Any], new: Path, info: ObjectInfo) -> dict[str, Any]:
        """The manifest of the object as it is now."""
        spool = self._spool
        size, sha256 = new.stat().st_size, sha256_of(new)
        receipt = {
            **content["receipt"],
            "events": spool.events,
            "failures": spool.failures,
            "statuses": dict(sorted(spool.statuses.items(), key=lambda item: (-item[1], item[0]))),
            "first_start_time": _stored(spool.first_start_time),
            "last_start_time": _stored(spool.last_start_time),
            "bytes": size,
            "sha256": sha256,
        }
        described = {"name": self._target.name, "bytes": size, "sha256": sha256, "etag": info.etag}
        return {**content, "provider_version": __version__, "object": described, "ids_sha256": spool.ids_sha256(), "receipt": receipt}

    def _publish_manifest(self, content: Mapping[str, Any]) -> None:
        place, built = manifest_of(self._target), self._tempdir.file()
        with local_disk_errors(self._tempdir):
            built.write_bytes((to_json(content) + "\n").encode())
        place.make_folder()
        place.publish(built)


def _check_key(target: Target, manifest: Manifest, fingerprint: str | None) -> None:
    redact = manifest.claims.get("redact") or {}
    expected = redact.get("key_fingerprint")
    if expected is None or expected == fingerprint:
        return
    raise ConfigurationError(
        f"{target.uri} holds hashes of the key with the fingerprint {expected}, "
        + ("and no key was given" if fingerprint is None else f"and the key that was given has {fingerprint}"),
        hint="name the variable or connection that holds its key (--key-variable, --key-connection)",
    )


def _describing(manifests: list[Manifest], info: ObjectInfo, copy: Path) -> Manifest | None:
    """The manifest that describes the object, or the object that an erasure was about to write when it was broken off."""
    sha256 = sha256_of(copy)
    for manifest in manifests:
        if manifest.content is not None:
            described = manifest.content["object"]
            is_same = described["bytes"] == info.size and described["sha256"] == sha256
            if is_same or (manifest.erasures or {}).get("pending") == sha256:
                return manifest
    return None


def _with_erased(content: Mapping[str, Any], ids: list[str], target: Target, *, pending: str | None) -> dict[str, Any]:
    """The manifest with what is erased now.

    :param pending: the SHA-256 of the object that is about to be written.
    """
    erasures = content.get("erasures") or {"ids": [], "runs": []}
    digests = sorted({*erasures["ids"], *map(erased_digest, ids)})
    if len(digests) > _MOST_ERASED:
        raise ConfigurationError(
            f"{target.uri} would have more than {_MOST_ERASED} erased records",
            hint="export its interval anew, with a redact that leaves the data out",
        )
    now = format_timestamp(datetime.now(UTC), timespec="milliseconds")
    runs = [*erasures["runs"], *([{"at": now, "records": len(ids)}] if ids else [])]
    return {**content, "erasures": {"ids": digests, "runs": runs, "pending": pending}}


def _stored(millis: int | None) -> str | None:
    return None if millis is None else format_timestamp(from_millis(millis), timespec="milliseconds")
