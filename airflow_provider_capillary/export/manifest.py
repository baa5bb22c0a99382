"""The manifest of an object: what the object stands for, how it was read, and what a rerun has to know about it.

.. code-block:: json

    {"manifest_version": 2, "provider": "airflow-provider-capillary", "provider_version": "0.2.0",
     "object": {"name": "events.jsonl.gz", "bytes": 1234, "sha256": "...", "etag": null},
     "stands_for": {"start": "2025-09-18T00:00:00.000Z", "end": "2025-09-19T00:00:00.000Z", "event_name": null, "statuses": null,
                    "redact": null, "capillary_conn_id": "capillary_default"},
     "ids_sha256": "...", "receipt": {}, "bounds": {}}

It is in the folder ``_manifests/`` beside the object, as in ``dt=2025-09-18/_manifests/manifest-of-events-36e4cc1b``. That is one level
below the data, and the name neither begins like the object's nor has an ending of data, so no pattern that finds objects (``dt=*/*``,
``**/*.json*``, ``*.parquet``) finds manifests. Spark, Hive, Trino and Athena skip names that begin with an underscore; DuckDB does not.
Versions of this package up to 0.1 wrote ``_<object name>.manifest.json`` beside the object. This version still reads that, and removes it
after writing the new manifest.

Where records were erased from the object (:mod:`.erasure`), ``erasures`` holds the digests of their ids, so that no later run brings them
back, and when how many were erased::

    "erasures": {"ids": ["0f3c..."], "runs": [{"at": "2025-10-01T08:00:00.000Z", "records": 1}]}

The manifest is written after its object. A kill between the two, or two runs at once, leave a manifest that describes another object. The
next run notices it by the size, the store's tag or (on local disk, and whenever the object is read) the SHA-256, logs a warning, and goes
by the object.

Only runs for the same :class:`Subject` may write the same object. It takes little to break that rule: a path with the day alone where a
zone's clocks change (in UTC, the runs for the London days of 30 and 31 March 2025 both begin on the 30th), mapped tasks with one
destination, an ``event_name`` that was changed later.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_capillary import __version__
from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import DestinationConflictError, DestinationError
from airflow_provider_capillary.export.formats import ForeignObjectError, format_of
from airflow_provider_capillary.export.json_lines import to_json
from airflow_provider_capillary.export.target import sha256_of
from airflow_provider_capillary.timestamps import format_timestamp, to_millis

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_capillary.export.target import ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = [
    "ErasedIds",
    "Manifest",
    "Subject",
    "conflict_error",
    "erased_digest",
    "find_manifests",
    "manifest_of",
    "manifest_text",
    "prepare_manifest",
    "removal_hint",
]

_VERSION: Final = 2
_READABLE: Final = (1, 2)
_LARGEST: Final = 1024 * 1024
"""Bytes. A manifest has some kilobytes; a larger file is not one."""
_LONGEST_NAME: Final = 160
"""Bytes of the object's name in the manifest's. Most file systems allow 255 in all; the hash tells apart names that were cut."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a run exports, and what its object stands for.

    :param start: aware; with ``end`` the interval ``[start, end)``.
    :param event_name: ``None`` for every event name.
    :param statuses: in any order; ``None`` for all.
    :param redact: what was dropped and hashed, see :meth:`.redaction.apply.Redactor.to_dict`; ``None`` for nothing.
    :param capillary_conn_id: the connection that the event logs were read with; ``None`` where it is unknown.
    """

    start: datetime
    end: datetime
    event_name: str | None = None
    statuses: Collection[str] | None = None
    redact: Mapping[str, Any] | None = None
    capillary_conn_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The form in a manifest; equal for equal subjects."""
        return {
            "start": format_timestamp(self.start, timespec="milliseconds"),
            "end": format_timestamp(self.end, timespec="milliseconds"),
            "event_name": self.event_name,
            "statuses": None if self.statuses is None else sorted(set(self.statuses)),
            "redact": None if self.redact is None else dict(self.redact),
            "capillary_conn_id": self.capillary_conn_id,
        }

    def holds(self, start_time: int) -> bool:
        """Whether a record of that time, in epoch milliseconds, belongs to the interval."""
        return to_millis(self.start) <= start_time < to_millis(self.end)

    def differs_from(self, claims: Mapping[str, Any]) -> list[str]:
        """The names of the claims that do not fit this subject. What is not claimed is unknown, and no difference.

        :param claims: :meth:`to_dict` of the run that wrote an object, or a part of it.
        """
        own = self.to_dict()
        return [name for name, value in claims.items() if name not in own or own[name] != value]


def conflict_error(
    target: Target, manifest: Target | None, subject: Subject, claims: Mapping[str, Any], *, in_words: str | None = None
) -> DestinationConflictError:
    """The error for an object that stands for something else.

    :param manifest: the place of its manifest, if it has one.
    :param claims: what is known about the object, as :meth:`Subject.to_dict`.
    :param in_words: the same in words, where they say more.
    """
    own = subject.to_dict()
    differing = subject.differs_from(claims)
    # The interval is always named, because people call a run by it; of the rest, only the differences help.
    names = [name for name in (*own, *claims) if name in ("start", "end") or name in differing]
    hint = "give each of them a path of its own"
    if not {"start", "end"}.isdisjoint(differing):
        hint = "use a path that differs from interval to interval, as with {interval_start:%Y-%m-%dT%H%M} in place of the day"
    elif differing == ["redact"]:
        hint = "give redact and its key back what they had (key_fingerprint tells keys apart), or use another path for the new ones"
    return DestinationConflictError(
        f"{target.uri} stands for something else than this run exports, and was not touched: "
        f"it stands for {in_words or _described(claims, names)}, this run is for {_described(own, names)}",
        hint=f"{hint}; or, if the old object is not needed, {removal_hint(target, manifest)}",
    )


def _described(subject: Mapping[str, Any], names: Sequence[str]) -> str:
    others = dict.fromkeys(name for name in names if name not in ("start", "end"))
    return ", ".join([f"[{subject['start']}, {subject['end']})", *(f"{name}={subject.get(name)!r}" for name in others)])


def removal_hint(target: Target, manifest: Target | None) -> str:
    """How to remove an object and its manifest by hand: the command for its store, or words where this package knows no command."""
    uris = [target.uri_without_connection, *([manifest.uri_without_connection] if manifest else [])]
    scheme = uris[0].partition("://")[0]
    if scheme == "file":
        return "remove it: rm -- " + " ".join(shlex.quote(uri.removeprefix("file://")) for uri in uris)
    if scheme in ("s3", "s3a", "s3n"):
        return "remove it: " + " && ".join(f"aws s3 rm {shlex.quote('s3://' + uri.partition('://')[2])}" for uri in uris)
    if scheme in ("gs", "gcs"):
        return "remove it: gcloud storage rm " + " ".join(shlex.quote("gs://" + uri.partition("://")[2]) for uri in uris)
    return "remove " + " and ".join(uris)


def manifest_of(target: Target) -> Target:
    """The place of an object's manifest."""
    name = target.name
    stem = name.removesuffix(format_of(name))
    readable = "".join(letter if letter.isalnum() or letter in "-=" else "_" for letter in stem).encode()[:_LONGEST_NAME]
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return target.sibling(f"_manifests/manifest-of-{readable.decode(errors='ignore')}-{digest}")


def _old_manifest_of(target: Target) -> Target:
    """The place where versions of this package up to 0.1 wrote it."""
    return target.sibling(f"_{target.name}.manifest.json")


def prepare_manifest(target: Target) -> None:
    """On local disk, check that the folder of manifests can be written, if it is there already.

    :raises DestinationError: it can't.
    """
    path = manifest_of(target).local_path
    if path is None or not path.parent.exists():
        return
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise DestinationError(
            f"The folder of manifests, {path.parent}, may not be written",
            hint="give the worker's user the right to, or choose another destination, or use manifest=False",
        )


def erased_digest(record_id: str) -> str:
    """What a manifest keeps of the id of an erased record."""
    return hashlib.sha256(record_id.encode(errors="surrogatepass")).hexdigest()[:32]


class ErasedIds:
    """The ids of the records that were erased from an object.

    :param manifests: each that lies beside the object. They hold digests of the ids.
    """

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.digests = frozenset(digest for manifest in manifests if manifest.erasures for digest in manifest.erasures["ids"])

    def __bool__(self) -> bool:
        return bool(self.digests)

    def __contains__(self, record_id: object) -> bool:
        return isinstance(record_id, str) and erased_digest(record_id) in self.digests


def manifest_text(
    *,
    name: str,
    info: ObjectInfo | None,
    subject: Subject,
    ids_sha256: str,
    receipt: Mapping[str, Any],
    bounds: Mapping[str, Any],
    erasures: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a manifest.

    :param erasures: of the manifest that it replaces.
    :param info: what the store says about the object; ``None`` where it may not be asked.
    :raises MalformedAnswerError: ``bounds`` holds something that is not JSON.
    """
    content = {
        "manifest_version": _VERSION,
        "provider": "airflow-provider-capillary",
        "provider_version": __version__,
        "object": {"name": name, "bytes": receipt["bytes"], "sha256": receipt["sha256"], "etag": info.etag if info else None},
        "stands_for": subject.to_dict(),
        "ids_sha256": ids_sha256,
        "receipt": dict(receipt),
        "bounds": dict(bounds),
        **({"erasures": dict(erasures)} if erasures else {}),
    }
    return (to_json(content) + "\n").encode()


class Manifest(NamedTuple):
    """A manifest that was found."""

    place: Target
    content: dict[str, Any] | None
    """``None`` where the file is no readable manifest."""

    @property
    def claims(self) -> dict[str, Any]:
        """What its object stands for, as far as the manifest says it."""
        if self.content is None:
            return {}
        # Version 1 has only the interval, in its receipt. What says nothing of redaction was written before there was any.
        stands_for = self.content.get("stands_for") or {name: self.content["receipt"][name] for name in ("start", "end")}
        return {"redact": None, **stands_for}

    @property
    def erasures(self) -> dict[str, Any] | None:
        """What was erased from its object; ``None`` for nothing."""
        return None if self.content is None else self.content.get("erasures")

    def describes(self, info: ObjectInfo, target: Target) -> bool:
        """Whether it describes the object that is there. An object in a store is not read to find out."""
        if self.content is None:
            return False
        described = self.content["object"]
        if described["bytes"] != info.size or (None not in (described["etag"], info.etag) and described["etag"] != info.etag):
            return False
        if target.local_path is not None:
            with contextlib.suppress(OSError):
                return bool(sha256_of(target.local_path) == described["sha256"])
        return True


def find_manifests(target: Target, tempdir: TempDir, *, log: logging.Logger) -> list[Manifest]:
    """Read the manifests of an object: the one in the folder of manifests, and the one that an earlier version left beside the object.

    :param tempdir: for a temporary copy.
    :raises PublishError: the store can't be asked.
    """
    manifests = []
    for place in (manifest_of(target), _old_manifest_of(target)):
        # For an object that does not exist, a store answers "forbidden" to a credential that may read objects and not list them.
        with contextlib.suppress(PermissionError):
            if (info := place.stat()) is not None:
                manifests.append(Manifest(place, _read(place, info, tempdir, target, log)))
    return manifests


def _read(place: Target, info: ObjectInfo, tempdir: TempDir, target: Target, log: logging.Logger) -> dict[str, Any] | None:
    copy = tempdir.file()
    try:
        if info.size > _LARGEST:
            raise ForeignObjectError(f"{info.size} bytes")  # noqa: TRY301  # handled like every other unreadable manifest
        place.copy_to(copy)
        with copy.open("rb") as file:
            content = json.load(file)
        if content["manifest_version"] not in _READABLE or not _is_of_shape(content):
            raise ForeignObjectError("of another version or shape")  # noqa: TRY301  # as above
    except Exception as error:  # noqa: BLE001  # the store's own errors, and whatever a file that is no manifest raises
        log.warning("The manifest of %s cannot be read as a manifest (%s)", target.uri, error_text(error))
        return None
    return dict(content)


def _is_of_shape(content: dict[str, Any]) -> bool:
    described, receipt, stands_for = content["object"], content["receipt"], content.get("stands_for", {})
    types = (
        (described["bytes"], int),
        (described["sha256"], str),
        (described["etag"], str | None),
        (content["ids_sha256"], str),
        (receipt["start"], str),
        (receipt["end"], str),
        (stands_for, dict),
    )
    erasures = content.get("erasures") or {"ids": [], "runs": []}
    are_ids = all(isinstance(digest, str) for digest in erasures["ids"]) and isinstance(erasures["runs"], list)
    return are_ids and all(isinstance(value, kind) for value, kind in types)
