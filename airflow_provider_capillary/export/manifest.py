"""The manifest of an object: what the object stands for, how it was read, and what a rerun has to know about it.

.. code-block:: json

    {"manifest_version": 2, "provider": "airflow-provider-capillary", "provider_version": "0.1.0",
     "object": {"name": "events.jsonl.gz", "bytes": 1234, "sha256": "...", "etag": null},
     "stands_for": {"start": "2025-09-18T00:00:00.000Z", "end": "2025-09-19T00:00:00.000Z", "event_name": null, "statuses": null,
                    "redact": null, "capillary_conn_id": "capillary_default"},
     "ids_sha256": "...", "receipt": {}, "bounds": {}}

It lies in the folder ``_manifests/`` beside the object, as in ``dt=2025-09-18/_manifests/manifest-of-events-36e4cc1b``: one level
deeper than the data, under a name that neither begins like the object's nor has an ending of data, so that no pattern which finds objects
(``dt=*/*``, ``**/*.json*``, ``*.parquet``) finds manifests. Spark, Hive, Trino and Athena skip what begins with an underscore; DuckDB does
not. Versions of this package up to 0.1 wrote ``_<object name>.manifest.json`` beside the object; that is still read, and removed once the
new one is written.

It is written after its object. A kill between the two, or two runs at once, leave a manifest that speaks of another object; the next run
sees that from the size, the store's tag or (on local disk, and whenever the object is read) the SHA-256, logs a warning, and goes by the
object.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_capillary import __version__
from airflow_provider_capillary.errors import DestinationError
from airflow_provider_capillary.export.error_text import error_text
from airflow_provider_capillary.export.formats import ForeignObjectError, format_of
from airflow_provider_capillary.export.spool import to_json
from airflow_provider_capillary.export.target import sha256_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from airflow_provider_capillary.export.subject import Subject
    from airflow_provider_capillary.export.target import ObjectInfo, Target
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Manifest", "find_manifests", "manifest_of", "manifest_text", "old_manifest_of", "prepare_manifest"]

_VERSION = 2
_READABLE = (1, 2)
_LARGEST = 1024 * 1024
"""Bytes. A manifest is some kilobytes; what is larger is not one."""
_LONGEST_NAME = 160
"""Of the object's name in its manifest's: 255 bytes are what most file systems allow, and the hash tells apart what is cut off."""


def manifest_of(target: Target) -> Target:
    """Where the manifest of an object stands."""
    name = target.name
    stem = name.removesuffix(format_of(name))
    readable = "".join(letter if letter.isalnum() or letter in "-=" else "_" for letter in stem).encode()[:_LONGEST_NAME]
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return target.sibling(f"_manifests/manifest-of-{readable.decode(errors='ignore')}-{digest}")


def old_manifest_of(target: Target) -> Target:
    """Where versions of this package up to 0.1 wrote it."""
    return target.sibling(f"_{target.name}.manifest.json")


def prepare_manifest(target: Target) -> None:
    """On local disk, find out whether the folder of manifests can be written, where there is one already.

    :raises DestinationError: it cannot.
    """
    path = manifest_of(target).local_path
    if path is None or not path.parent.exists():
        return
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise DestinationError(
            f"The folder of manifests, {path.parent}, may not be written",
            hint="give the worker's user the right to, or choose another destination, or use manifest=False",
        )


def manifest_text(
    *, name: str, found: ObjectInfo | None, subject: Subject, ids_sha256: str, receipt: Mapping[str, Any], bounds: Mapping[str, Any]
) -> bytes:
    """The bytes of a manifest.

    :raises MalformedAnswerError: ``bounds`` holds something that is not JSON.
    """
    content = {
        "manifest_version": _VERSION,
        "provider": "airflow-provider-capillary",
        "provider_version": __version__,
        "object": {"name": name, "bytes": receipt["bytes"], "sha256": receipt["sha256"], "etag": found.etag if found else None},
        "stands_for": subject.to_dict(),
        "ids_sha256": ids_sha256,
        "receipt": dict(receipt),
        "bounds": dict(bounds),
    }
    return (to_json(content) + "\n").encode()


class Manifest(NamedTuple):
    """A manifest that was found."""

    place: Target
    content: dict[str, Any] | None
    """``None`` where it cannot be read as one."""

    @property
    def claims(self) -> dict[str, Any]:
        """What it says of what its object stands for; what is not in it is unknown."""
        if self.content is None:
            return {}
        # Version 1 knew the interval alone, from its receipt.
        return dict(self.content.get("stands_for") or {name: self.content["receipt"][name] for name in ("start", "end")})

    def describes(self, found: ObjectInfo, target: Target) -> bool:
        """Whether it speaks of the object that is there, as far as can be told without reading it from a store."""
        if self.content is None:
            return False
        told = self.content["object"]
        if told["bytes"] != found.size or (None not in (told["etag"], found.etag) and told["etag"] != found.etag):
            return False
        if target.local_path is not None:
            with contextlib.suppress(OSError):
                return bool(sha256_of(target.local_path) == told["sha256"])
        return True


def find_manifests(target: Target, tempdir: TempDir, *, log: logging.Logger) -> list[Manifest]:
    """The manifests of an object: in their folder, and beside it where an earlier version of this package left one.

    :param target: an object at which the credential may look.
    :param tempdir: for a temporary copy.
    :raises PublishError: the store cannot be asked.
    """
    manifests = []
    for place in (manifest_of(target), old_manifest_of(target)):
        # Who may look at objects and not list them is refused what is not there.
        with contextlib.suppress(PermissionError):
            if (found := place.stat()) is not None:
                manifests.append(Manifest(place, _read(place, found, tempdir, target, log)))
    return manifests


def _read(place: Target, found: ObjectInfo, tempdir: TempDir, target: Target, log: logging.Logger) -> dict[str, Any] | None:
    copy = tempdir.file()
    try:
        if found.size > _LARGEST:
            raise ForeignObjectError(f"{found.size} bytes")  # noqa: TRY301  # one way of several of not being a manifest
        place.copy_to(copy)
        with copy.open("rb") as file:
            content = json.load(file)
        if content["manifest_version"] not in _READABLE or not _is_of_shape(content):
            raise ForeignObjectError("of another version or shape")  # noqa: TRY301  # as above
    except Exception as error:  # noqa: BLE001  # the store's own errors, and every way of not being a manifest
        log.warning("The manifest of %s cannot be read as a manifest (%s); this run replaces it", target.uri, error_text(error))
        return None
    return dict(content)


def _is_of_shape(content: dict[str, Any]) -> bool:
    told, receipt, stands_for = content["object"], content["receipt"], content.get("stands_for", {})
    types = (
        (told["bytes"], int),
        (told["sha256"], str),
        (told["etag"], str | None),
        (content["ids_sha256"], str),
        (receipt["start"], str),
        (receipt["end"], str),
        (stands_for, dict),
    )
    return all(isinstance(value, kind) for value, kind in types)
