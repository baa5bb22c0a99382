"""The objects below a prefix, in a store or on local disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import ConfigurationError, DestinationError, PublishError
from airflow_provider_capillary.export.destination import parse_destination, with_connection
from airflow_provider_capillary.export.filesystems import require_filesystem
from airflow_provider_capillary.export.formats import ENDINGS

if TYPE_CHECKING:
    from airflow_provider_capillary.export.destination import Destination

__all__ = ["objects_below"]


def objects_below(prefix: str, conn_id: str | None = None) -> list[Destination]:
    """Every object whose name ends as one that this package writes, sorted by name.

    :param prefix: a folder, or one object: a URI, or an absolute path on local disk.
    :param conn_id: the connection of a URI that names none.
    :raises ConfigurationError: the prefix is no such place, or there is no object.
    :raises PublishError: the store can't be asked.
    """
    if prefix.endswith(ENDINGS):
        return [parse_destination(prefix, conn_id)]
    # As a destination, so that the same spellings are refused.
    example = parse_destination(prefix.rstrip("/") + "/x.jsonl", conn_id)
    uris = _local(example.key) if example.is_local else _in_store(example, str(with_connection(prefix, conn_id)))
    if not uris:
        raise ConfigurationError(f"There is no object below {prefix}", hint=f"name the folder of objects that end in {', '.join(ENDINGS)}")
    return [parse_destination(uri) for uri in sorted(uris)]


def _local(example: str) -> list[str]:
    folder = Path(example).parent
    if not folder.is_dir():
        raise DestinationError(f"There is no folder {folder}", hint="name the folder, or the bucket, of the exports")
    return [str(path) for path in folder.rglob("*") if path.name.endswith(ENDINGS) and not path.name.startswith(".") and path.is_file()]


def _in_store(example: Destination, prefix: str) -> list[str]:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    require_filesystem(example.scheme, prefix)
    authority = f"{example.conn_id}@" if example.conn_id else ""
    try:
        path = ObjectStoragePath(f"{example.scheme}://{authority}{example.bucket}/{example.key}").parent
        path.fs.invalidate_cache()
        keys = path.fs.find(path.path.rstrip("/"))
    except FileNotFoundError:
        return []
    except Exception as error:
        raise PublishError(
            f"The objects below {prefix} can't be listed", response=error_text(error), hint="check the connection and its right to list"
        ) from error
    return [f"{example.scheme}://{authority}{key}" for key in keys if key.endswith(ENDINGS)]
