"""One place in object storage or on local disk: what stands there, and how it is replaced as a whole.

Only ``path.fs`` and ``path.path`` of an ``ObjectStoragePath`` are used. Its own methods are not safe here: leaving ``open("wb")`` by an
exception publishes what was written so far, and without a connection id in the URI some of them look through another filesystem, with
another cache, than ``open`` does.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export._local_file import copy_file, create_file, make_folder, replace_file
from airflow_provider_capillary.export.uploads import (
    abort_unfinished_uploads,
    is_conditional_write_unsupported,
    is_precondition_failed,
    upload_is_gone,
)
from airflow_provider_capillary.export.words import in_words

if TYPE_CHECKING:
    import logging

    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

__all__ = ["Create", "Found", "Location", "locate", "sha256_of", "without_connection"]

_LOCAL_SCHEMES = frozenset({"", "file", "local"})

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "adl": "azure",
}

# Seconds before each further try to put an object. The clients of the stores try again by themselves (s3fs five times, on top of
# botocore); these two are for what outlasts that, because the alternative is to read the whole interval again.
_PAUSES = (1.0, 5.0)

# s3fs reads parts of 50 MiB, ten at a time, and gcsfs chunks of 50 MiB; the smallest that S3 allows keep memory flat. A store takes at
# most 10,000 parts, so an object beyond 44 GiB has larger ones.
_PART = 5 * 1024 * 1024
_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 2

_BLOCK = 1024 * 1024

# How the filesystems are told to create an object only where none is: s3fs and gcsfs; adlfs.
_CREATING: dict[str, Any] = {"mode": "create", "overwrite": False}


Create = Literal["no", "if possible", "surely"]


class Found(NamedTuple):
    """What a store tells about an object."""

    size: int
    """Bytes."""
    etag: str | None
    """The store's own tag of this very content or generation; ``None`` where it has none."""
    version: str | None
    """Changes when the object is replaced: the tag, or on local disk the file's number and the time of its last change."""


class Location:
    """An object, whether it exists or not.

    :param uri: how an ``ObjectStoragePath`` spells it, with the connection id.
    :param key: the path inside the filesystem.
    :param fs: the filesystem; ``None`` for local disk, which is written through the operating system.
    """

    def __init__(self, *, uri: str, key: str, fs: AbstractFileSystem | None) -> None:
        self.uri = uri
        self.name = key.rpartition("/")[2]
        self._key = key
        self._fs = fs

    @property
    def local_path(self) -> Path | None:
        """The file, where it is on local disk."""
        return Path(self._key) if self._fs is None else None

    @property
    def uri_without_connection(self) -> str:
        """As any other tool takes it."""
        return without_connection(self._key if self._fs is None else self.uri)

    def sibling(self, name: str) -> Location:
        """The object of another name beside this one."""
        return Location(uri=self.uri[: -len(self.name)] + name, key=self._key[: -len(self.name)] + name, fs=self._fs)

    def prepare(self) -> None:
        """On local disk, make the folder and find out whether it can be written, before hours are spent on reading.

        :raises DestinationError: it cannot.
        """
        path = self.local_path
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DestinationError(f"The folder of {self.uri} cannot be made", answered=in_words(error), cure="choose another") from error
        if path.is_dir():
            raise DestinationError(f"{self.uri} is a folder", cure="name the file to write, not the folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise DestinationError(
                f"The folder of {self.uri} may not be written", cure="give the worker's user the right to, or choose another"
            )

    def make_folder(self) -> None:
        """On local disk, make the folder, whose own folder exists; a store has none.

        :raises PublishError: it cannot be made.
        """
        if self._fs is None:
            try:
                make_folder(Path(self._key).parent)
            except OSError as error:
                raise PublishError(f"The folder of {self.uri} cannot be made", answered=in_words(error), cure=_CURE) from error

    def look(self) -> Found | None:
        """What stands there now, from no cache; ``None`` if nothing does.

        :raises PermissionError: the credential may not look, which says nothing about whether it may write.
        :raises PublishError: the store cannot be asked.
        """
        try:
            if self._fs is None:
                told_by_disk = Path(self._key).stat()
                version = f"{told_by_disk.st_ino}-{told_by_disk.st_mtime_ns}"
                return Found(size=told_by_disk.st_size, etag=None, version=version)
            self._fs.invalidate_cache(self._fs._parent(self._key))  # noqa: SLF001  # the counterpart of path.parent for keys
            told = self._fs.info(self._key)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise
        except Exception as error:  # each filesystem has its own tree of errors
            raise PublishError(f"{self.uri} cannot be looked at", answered=in_words(error), cure=_CURE) from error
        if told.get("type") == "directory":
            return None
        etag = next((str(told[key]).strip('"') for key in ("ETag", "etag") if told.get(key)), None)
        return Found(size=told.get("size") or 0, etag=etag, version=etag)

    def copy_to(self, target: Path) -> None:
        """Copy the object to a local file, a block at a time.

        :raises Exception: whatever the store or the disk raises.
        """
        if self._fs is None:
            copy_file(Path(self._key), target)
            return
        if hasattr(self._fs, "call_s3"):
            # In one request for the whole object, never a range of it: there are servers of S3 that answer a range with the checksum of
            # the whole, which the client then compares with that of the range.
            self._fs.get_file(self._key, str(target))
            return
        # By ranges elsewhere: gcsfs holds more than 100 MiB at a time where it gets a file.
        with self._fs.open(self._key, "rb", block_size=_BLOCK) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out, _BLOCK)

    def remove(self) -> None:
        """See to it that nothing stands there.

        :raises PublishError: the store refused.
        """
        try:
            if self._fs is None:
                Path(self._key).unlink()
            elif self.look() is not None:
                self._fs.rm_file(self._key)
        except FileNotFoundError:
            return
        except PublishError:
            raise
        except Exception as error:
            raise PublishError(f"{self.uri} could not be removed", answered=in_words(error), cure=_CURE) from error

    def publish(self, source: Path, *, log: logging.Logger, create: Create = "no") -> Found | None:
        """Put a finished local file there, whole: a reader finds what stood there before, or the new object, never a part.

        :param source: the local file.
        :param create: whether to put it only where nothing stands, which the store (or the disk) decides in the same step. A store that
            does not know how overwrites ``if possible``, and ``surely`` fails.
        :return: what the store says afterwards; ``None`` where the credential may write and not look.
        :raises FileExistsError: ``create``, and something else stands there; nothing was touched.
        :raises PublishError: it could not be written, and what stood there stands (or the new object, where only the store's answer was
            lost); or what stands there now is something else.
        """
        size = source.stat().st_size
        if self._fs is None:
            try:
                (replace_file if create == "no" else create_file)(source, Path(self._key), log=log)
            except FileExistsError:
                raise
            except OSError as error:
                raise PublishError(f"{self.uri} could not be written", answered=in_words(error), cure=_CURE) from error
        else:
            self._put(source, size, log, create=create)
        try:
            found = self.look()
        except PermissionError:
            log.info("%s was written; this credential may not look at it, so its size was not checked", self.uri)
            return None
        except PublishError as error:
            raise PublishError(
                f"{self.uri} was written whole, and could not be looked at afterwards", answered=error.answered, cure=error.cure
            ) from error
        if found is None or found.size != size:
            raise PublishError(
                f"{self.uri} is not what was written there",
                asked=f"{size} bytes",
                answered="nothing" if found is None else f"{found.size} bytes",
                cure="make sure that no two runs write the same object; then run this one again",
            )
        return found

    def _put(self, source: Path, size: int, log: logging.Logger, *, create: Create) -> None:
        assert self._fs is not None  # noqa: S101  # for the type checker
        options = _upload_options(self._fs, size, create=create != "no")
        if create == "surely" and _CREATING.keys().isdisjoint(options):
            raise PublishError(f"{self.uri} cannot be written only where nothing stands: this filesystem does not know how", cure=_CURE)
        abort_unfinished_uploads(self._fs, self._key, log=log)
        try:
            self._put_patiently(source, options, log, create=create)
        finally:
            # In parts: even a success may have begun an upload whose id was lost with the answer.
            if size >= options.get("chunksize", 0):
                abort_unfinished_uploads(self._fs, self._key, log=log)

    def _put_patiently(self, source: Path, options: dict[str, Any], log: logging.Logger, *, create: Create) -> None:
        assert self._fs is not None  # noqa: S101  # for the type checker
        pauses = iter(_PAUSES)
        while True:
            try:
                self._fs.put_file(str(source), self._key, **options)
            except Exception as error:
                creating = not _CREATING.keys().isdisjoint(options)
                if create == "if possible" and creating and is_conditional_write_unsupported(error):
                    log.info("%s: this store cannot create an object only where none is (%s)", self.uri, in_words(error))
                    options = {name: value for name, value in options.items() if name not in _CREATING}
                    continue
                if creating and is_precondition_failed(error):
                    # The clients try again by themselves: what stands there may be this very object, its answer lost.
                    if self._holds(source):
                        return
                    raise FileExistsError(f"{self.uri} exists") from error
                # Neither a refusal nor a bucket that is not there changes within seconds.
                lasting = isinstance(error, PermissionError | FileNotFoundError) and not upload_is_gone(error)
                pause = None if lasting else next(pauses, None)
                if pause is None:
                    raise PublishError(f"{self.uri} could not be written", answered=in_words(error), cure=_CURE) from error
                log.warning("%s could not be written (%s); trying again in %g s", self.uri, in_words(error), pause)
                time.sleep(pause)
            else:
                return

    def _holds(self, source: Path) -> bool:
        """Whether the very bytes of a local file stand there; ``False`` where that cannot be found out."""
        copy = source.with_name(f"{source.name}.there")
        try:
            found = self.look()
            if found is None or found.size != source.stat().st_size:
                return False
            self.copy_to(copy)
            return sha256_of(copy) == sha256_of(source)
        except Exception:  # noqa: BLE001  # whatever the store raises: unknown is not "the same"
            return False
        finally:
            copy.unlink(missing_ok=True)


_CURE = "check that the bucket or container exists and that the connection of the destination may read and write there"


def locate(destination: ObjectStoragePath | str) -> Location:
    """Find the filesystem of a destination.

    :param destination: an ``ObjectStoragePath`` or its URI.
    :raises DestinationError: the filesystem's package is not installed, or the URI's connection id does not exist. (Without that check, a
        missing AWS connection is replaced by whatever credentials the worker happens to have.)
    :raises PublishError: the filesystem cannot be set up from its connection.
    """
    uri = str(destination)
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme in _LOCAL_SCHEMES:
        return Location(uri=uri, key=str(Path(_object_storage_path(uri).path).absolute()), fs=None)
    _require_filesystem(scheme, uri)
    path = _object_storage_path(destination)
    # Airflow 2 keeps it in storage_options alone.
    conn_id = getattr(path, "conn_id", None) or path.storage_options.get("conn_id")
    if conn_id:
        _require_connection(conn_id, uri)
    try:
        return Location(uri=str(path), key=path.path, fs=path.fs)
    except ImportError as error:
        raise _package_missing(scheme, uri) from error
    except Exception as error:
        raise PublishError(f"The filesystem of {uri} cannot be set up", answered=in_words(error), cure="check its connection") from error


def _object_storage_path(destination: ObjectStoragePath | str) -> ObjectStoragePath:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return destination if isinstance(destination, ObjectStoragePath) else ObjectStoragePath(str(destination))


def _require_filesystem(scheme: str, uri: str) -> None:
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
    extra = _EXTRAS.get(scheme)
    cure = (
        f"pip install 'airflow-provider-capillary[{extra}]'"
        if extra
        else f"use one of {', '.join(sorted(_EXTRAS))} or file, or install the Airflow provider whose filesystem this is"
    )
    return DestinationError(f"No filesystem for {scheme}:// is installed, which destination={uri!r} needs", cure=cure)


def _require_connection(conn_id: str, uri: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise DestinationError(
            f"destination={uri!r} names the connection {conn_id!r}, which does not exist",
            cure="add that connection, or leave it out of the URI to use the worker's own credentials",
        ) from error


def _upload_options(fs: AbstractFileSystem, size: int, *, create: bool = False) -> dict[str, Any]:
    """Smaller parts, where the filesystem lets them be chosen; and whether to create only, where it can."""
    # s3fs and gcsfs take the size of a part, s3fs and adlfs how many travel at once; a filesystem that takes neither streams.
    accepted = inspect.signature(getattr(fs, "_put_file", fs.put_file)).parameters
    options: dict[str, Any] = {"chunksize": max(_PART, -(-size // _MOST_PARTS // _PART) * _PART), "max_concurrency": _PARTS_AT_ONCE}
    if create:
        options |= _CREATING
    return {name: value for name, value in options.items() if name in accepted}


def without_connection(uri: str) -> str:
    """The URI of an object as the rest of the world knows it: a connection id is of this Airflow alone.

    >>> without_connection("s3://my_aws_conn@bucket/events.jsonl")
    's3://bucket/events.jsonl'
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return f"file://{uri}"
    authority, slash, key = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{key}"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
