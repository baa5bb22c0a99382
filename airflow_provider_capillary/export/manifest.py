"""The manifest beside an object, ``_<object name>.manifest.json``, and what a rerun learns from it about the earlier run.

.. code-block:: json

    {"manifest_version": 1, "provider": "airflow-provider-capillary", "provider_version": "0.1.0",
     "object": {"name": "2025-09-18.jsonl.gz", "bytes": 1234, "sha256": "...", "etag": null},
     "ids_sha256": "...", "receipt": {}, "wire": {}}

It is written after its object. A kill between the two, or two runs at once, leave a manifest that speaks of another object; the next run
sees that from the size, the store's tag or (on local disk, and whenever the object is read) the SHA-256, logs a warning, and goes by the
object.

Two runs at once leave the object of one of them, whole. A run that finds another's size in the place of its own fails; where two objects
of one size were put on a store within moments, the last manifest may bear the tag of the object that it does not describe, and the next
run believes it: it replaces both, and its ``late_events`` may count from the wrong one of the two.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_capillary import __version__
from airflow_provider_capillary.errors import CapillaryError, ReadingStoppedError
from airflow_provider_capillary.export.formats import ForeignObjectError, read_pairs
from airflow_provider_capillary.export.location import sha256_of
from airflow_provider_capillary.export.spool import to_json
from airflow_provider_capillary.export.words import in_words

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from airflow_provider_capillary.export.location import Found, Location
    from airflow_provider_capillary.export.spool import Spool
    from airflow_provider_capillary.export.workspace import Workspace

__all__ = ["Earlier", "count_late_events", "find_earlier", "manifest_beside", "manifest_text"]

_VERSION = 1
_LARGEST = 1024 * 1024
"""Bytes. A manifest is some kilobytes; what is larger is not one."""


def manifest_beside(location: Location) -> Location:
    """Where the manifest of an object stands."""
    return location.sibling(f"_{location.name}.manifest.json")


def manifest_text(*, name: str, found: Found | None, ids_sha256: str, receipt: Mapping[str, Any], wire: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest.

    :raises MalformedAnswerError: ``wire`` holds something that is not JSON.
    """
    content = {
        "manifest_version": _VERSION,
        "provider": "airflow-provider-capillary",
        "provider_version": __version__,
        "object": {"name": name, "bytes": receipt["bytes"], "sha256": receipt["sha256"], "etag": found.etag if found else None},
        "ids_sha256": ids_sha256,
        "receipt": dict(receipt),
        "wire": dict(wire),
    }
    return (to_json(content) + "\n").encode()


class Earlier(NamedTuple):
    """What an earlier run left: an object, with a manifest that describes it or without."""

    found: Found
    sha256: str | None
    """Of the object, by its manifest."""
    ids_sha256: str | None
    """By its manifest; ``None`` where there is no manifest that describes this object."""


def find_earlier(location: Location, workspace: Workspace, *, log: logging.Logger) -> Earlier | None:
    """Look for the object and the manifest of an earlier run, and whether they belong together.

    :param workspace: for a temporary copy.
    :return: ``None`` if there is no object, or this credential may not look.
    :raises PublishError: the store cannot be asked.
    """
    beside = manifest_beside(location)
    try:
        found, beside_found = location.look(), beside.look()
    except PermissionError:
        log.warning("This credential may not look at %s; whether an earlier run wrote it stays unknown", location.uri)
        return None
    content = _read(beside, beside_found, workspace, log)
    if found is None:
        if beside_found is not None:
            log.warning("%s describes an object that is not there; this run replaces it", beside.uri)
        return None
    if content is None:
        if beside_found is None:
            log.warning("%s stands without a manifest: an earlier run ended between the two, or wrote none", location.uri)
        return Earlier(found, None, None)
    told = content["object"]
    belongs = told["bytes"] == found.size and (None in (told["etag"], found.etag) or told["etag"] == found.etag)
    if belongs and location.local_path is not None:
        with contextlib.suppress(OSError):
            belongs = sha256_of(location.local_path) == told["sha256"]
    if not belongs:
        log.warning(
            "%s does not describe the object beside it (%s bytes; it says %s): an earlier run was killed between the two, or two runs "
            "wrote at once; this run goes by the object and replaces both",
            beside.uri,
            found.size,
            told["bytes"],
        )
        return Earlier(found, None, None)
    return Earlier(found, told["sha256"], content["ids_sha256"])


def _read(beside: Location, found: Found | None, workspace: Workspace, log: logging.Logger) -> dict[str, Any] | None:
    if found is None:
        return None
    copy = workspace.file()
    try:
        if found.size > _LARGEST:
            raise ForeignObjectError(f"{found.size} bytes")  # noqa: TRY301  # one way of several of not being a manifest
        beside.copy_to(copy)
        with copy.open("rb") as file:
            content = json.load(file)
        told = content["object"]
        types = ((told["bytes"], int), (told["sha256"], str), (told["etag"], str | None), (content["ids_sha256"], str))
        if content["manifest_version"] != _VERSION or not all(isinstance(value, kind) for value, kind in types):
            raise ForeignObjectError("of another version or shape")  # noqa: TRY301  # as above
    except Exception as error:  # noqa: BLE001  # the store's own errors, and every way of not being a manifest
        log.warning("%s cannot be read as a manifest (%s); this run replaces it", beside.uri, in_words(error))
        return None
    return dict(content)


def count_late_events(
    location: Location, earlier: Earlier, spool: Spool, *, ids_sha256: str, ending: str, workspace: Workspace, log: logging.Logger
) -> int | None:
    """How many of the spooled records the earlier object lacks; without reading it where the digests already say none.

    Where the earlier object must be read, a copy goes to local disk and its records are looked up in the spool one by one.

    :return: ``None`` where the earlier object cannot be read; a warning says so.
    :raises ReadingStoppedError: the task is being stopped.
    """
    if earlier.ids_sha256 == ids_sha256:
        return 0
    copy = location.local_path or workspace.file()
    try:
        if location.local_path is None:
            location.copy_to(copy)
        if earlier.sha256 is not None and sha256_of(copy) != earlier.sha256:
            log.warning("%s is not the object that its manifest describes; this run goes by the object", location.uri)
        total, known = spool.count_of(read_pairs(copy, ending=ending))
    except ReadingStoppedError:
        raise
    except ForeignObjectError as error:
        log.warning("%s cannot be read as an object of this package (%s): late_events is unknown", location.uri, error)
        return None
    except CapillaryError:
        raise
    except Exception as error:  # noqa: BLE001  # a count is not worth the export; what the store raises is its own
        log.warning("%s could not be read (%s): late_events is unknown", location.uri, in_words(error))
        return None
    if total > known:
        log.warning("%d records of the earlier %s were not found again; this run replaces it without them", total - known, location.uri)
    return spool.events - known
