"""From a destination to the place of its object: local disk, or the filesystem of an Airflow connection."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from airflow_provider_capillary._airflow import connection_id_of, has_filesystem
from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.destination import EXTRAS
from airflow_provider_capillary.export.local_disk import LocalFile
from airflow_provider_capillary.export.object_store import StoreObject
from airflow_provider_capillary.export.store_errors import refusal

if TYPE_CHECKING:
    import logging

    from airflow_provider_capillary.export.destination import Destination
    from airflow_provider_capillary.export.target import Target

__all__ = ["open_target", "require_filesystem"]


def open_target(destination: Destination, *, log: logging.Logger) -> Target:
    """The place of a destination's object, with its filesystem.

    :param log: for what is worth a line while the object is read or written.
    :raises DestinationError: the filesystem's package is not installed, or the URI's connection id does not exist. (Airflow itself would
        replace a missing AWS connection by whatever credentials the worker happens to have.)
    :raises PublishError: the filesystem can't be set up from its connection.
    """
    if destination.is_local:
        return LocalFile(uri=str(destination.path), key=destination.key, log=log)
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    given = destination.path
    uri = str(given)
    require_filesystem(destination.scheme, uri)
    path = given if isinstance(given, ObjectStoragePath) else ObjectStoragePath(given)
    if conn_id := connection_id_of(path):
        _require_connection(conn_id, uri)
    try:
        return StoreObject(uri=str(path), key=path.path, fs=path.fs, log=log)
    except ImportError as error:
        raise _package_missing(destination.scheme, uri) from error
    except Exception as error:
        failure = PublishError(f"The filesystem of {uri} cannot be set up", response=error_text(error), hint="check its connection")
        raise refusal(error, uri) or failure from error


def require_filesystem(scheme: str, uri: str) -> None:
    """Check that an installed provider has the filesystem of a scheme.

    :raises DestinationError: none has; names the extra to install, or the scheme that was probably meant.
    """
    if not has_filesystem(scheme):
        raise _package_missing(scheme, uri)


def _package_missing(scheme: str, uri: str) -> DestinationError:
    extra = EXTRAS.get(scheme)
    meant = difflib.get_close_matches(scheme, [*EXTRAS, "file"], n=1, cutoff=0.5)
    hint = (
        f"pip install 'airflow-provider-capillary[{extra}]'"
        if extra
        else f"use one of {', '.join(sorted(EXTRAS))} or file, or install the Airflow provider that has this filesystem"
    )
    if meant and not extra:
        hint = f"write destination={meant[0] + uri[len(scheme) :]!r} if that is meant; {hint}"
    return DestinationError(f"No filesystem for {scheme}:// is installed, and destination={uri!r} needs it", hint=hint)


def _require_connection(conn_id: str, uri: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise DestinationError(
            f"destination={uri!r} names the connection {conn_id!r}, which does not exist",
            hint="add that connection, or leave it out of the URI to use the worker's own credentials",
        ) from error
