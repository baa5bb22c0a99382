"""The filesystem of a URI, from Airflow's connection.

Only ``path.fs`` and ``path.path`` of an ``ObjectStoragePath`` are used; :mod:`.target` says why.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.access import refusal
from airflow_provider_capillary.export.destination import EXTRAS
from airflow_provider_capillary.export.error_text import error_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

__all__ = ["filesystem_of", "require_filesystem"]


def filesystem_of(destination: ObjectStoragePath | str, *, scheme: str) -> tuple[str, str, AbstractFileSystem]:
    """The URI with its connection id, the path inside the filesystem, and the filesystem.

    :raises DestinationError: the filesystem's package is not installed, or the URI's connection id does not exist. (Without that check, a
        missing AWS connection is replaced by whatever credentials the worker happens to have.)
    :raises PublishError: the filesystem cannot be set up from its connection.
    """
    uri = str(destination)
    require_filesystem(scheme, uri)
    path = _object_storage_path(destination)
    # Airflow 2 keeps it in storage_options alone.
    conn_id = getattr(path, "conn_id", None) or path.storage_options.get("conn_id")
    if conn_id:
        _require_connection(conn_id, uri)
    try:
        return str(path), path.path, path.fs
    except ImportError as error:
        raise _package_missing(scheme, uri) from error
    except Exception as error:
        refused = refusal(error, uri)
        raise refused or PublishError(
            f"The filesystem of {uri} cannot be set up", response=error_text(error), hint="check its connection"
        ) from error


def _object_storage_path(destination: ObjectStoragePath | str) -> ObjectStoragePath:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return destination if isinstance(destination, ObjectStoragePath) else ObjectStoragePath(str(destination))


def require_filesystem(scheme: str, uri: str) -> None:
    """Make sure that a provider brings the filesystem of a scheme.

    :raises DestinationError: none does; names the extra to install, or the scheme that was meant.
    """
    if not _has_fs(scheme):
        raise _package_missing(scheme, uri)


def _has_fs(scheme: str) -> bool:
    from airflow.providers.common.compat.sdk import io  # type: ignore[attr-defined]  # exported lazily

    if hasattr(io, "has_fs"):
        return bool(io.has_fs(scheme))
    # Airflow 3.0 moved the paths, and left this behind.
    from airflow.io import has_fs  # type: ignore[attr-defined]  # there alone

    return bool(has_fs(scheme))


def _package_missing(scheme: str, uri: str) -> DestinationError:
    extra = EXTRAS.get(scheme)
    meant = difflib.get_close_matches(scheme, [*EXTRAS, "file"], n=1, cutoff=0.5)
    hint = (
        f"pip install 'airflow-provider-capillary[{extra}]'"
        if extra
        else f"use one of {', '.join(sorted(EXTRAS))} or file, or install the Airflow provider whose filesystem this is"
    )
    if meant and not extra:
        hint = f"write destination={meant[0] + uri[len(scheme) :]!r} if that is meant; {hint}"
    return DestinationError(f"No filesystem for {scheme}:// is installed, which destination={uri!r} needs", hint=hint)


def _require_connection(conn_id: str, uri: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise DestinationError(
            f"destination={uri!r} names the connection {conn_id!r}, which does not exist",
            hint="add that connection, or leave it out of the URI to use the worker's own credentials",
        ) from error
