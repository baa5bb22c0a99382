"""One place in object storage or on local disk: what stands there, and how it is replaced as a whole.

Only ``path.fs`` and ``path.path`` of an ``ObjectStoragePath`` are used. Its own methods are not safe here: leaving ``open("wb")`` by an
exception publishes what was written so far, and without a connection id in the URI some of them look through another filesystem, with
another cache, than ``open`` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.uploads import abort_unfinished_uploads, upload_is_gone
from airflow_provider_capillary.export.words import in_words
from airflow_provider_capillary.export.workspace import lock_is_free, still_names

if TYPE_CHECKING:
    import logging

    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

__all__ = ["Found", "Location", "locate", "sha256_of"]

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


class Found(NamedTuple):
    """What a store tells about an object."""

    size: int
    """Bytes."""
    etag: str | None
    """The store's own tag of this very content or generation; ``None`` where it has none."""


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

    def look(self) -> Found | None:
        """What stands there now, from no cache; ``None`` if nothing does.

        :raises PermissionError: the credential may not look, which says nothing about whether it may write.
        :raises PublishError: the store cannot be asked.
        """
        try:
            if self._fs is None:
                return Found(size=Path(self._key).stat().st_size, etag=None)
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
        return Found(size=told.get("size") or 0, etag=next((str(told[key]).strip('"') for key in ("ETag", "etag") if told.get(key)), None))

    def copy_to(self, target: Path) -> None:
        """Copy the object to a local file, a block at a time.

        :raises Exception: whatever the store or the disk raises.
        """
        if self._fs is None:
            shutil.copyfile(self._key, target)
            return
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

    def publish(self, source: Path, *, log: logging.Logger) -> Found | None:
        """Put a finished local file there, whole: a reader finds what stood there before, or the new object, never a part.

        :param source: the local file.
        :return: what the store says afterwards; ``None`` where the credential may write and not look.
        :raises PublishError: it could not be written, and what stood there stands (or the new object, where only the store's answer was
            lost); or what stands there now is something else.
        """
        size = source.stat().st_size
        if self._fs is None:
            try:
                _replace(source, Path(self._key), log=log)
            except OSError as error:
                raise PublishError(f"{self.uri} could not be written", answered=in_words(error), cure=_CURE) from error
        else:
            self._put(source, size, log)
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

    def _put(self, source: Path, size: int, log: logging.Logger) -> None:
        assert self._fs is not None  # noqa: S101  # for the type checker
        options = _upload_options(self._fs, size)
        abort_unfinished_uploads(self._fs, self._key, log=log)
        try:
            self._put_patiently(source, options, log)
        finally:
            # In parts: even a success may have begun an upload whose id was lost with the answer.
            if size >= options.get("chunksize", 0):
                abort_unfinished_uploads(self._fs, self._key, log=log)

    def _put_patiently(self, source: Path, options: dict[str, int], log: logging.Logger) -> None:
        assert self._fs is not None  # noqa: S101  # for the type checker
        for pause in (*_PAUSES, None):
            try:
                self._fs.put_file(str(source), self._key, **options)
            except Exception as error:
                # Neither a refusal nor a bucket that is not there changes within seconds.
                lasting = isinstance(error, PermissionError | FileNotFoundError) and not upload_is_gone(error)
                if pause is None or lasting:
                    raise PublishError(f"{self.uri} could not be written", answered=in_words(error), cure=_CURE) from error
                log.warning("%s could not be written (%s); trying again in %g s", self.uri, in_words(error), pause)
                time.sleep(pause)
            else:
                return


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


def _upload_options(fs: AbstractFileSystem, size: int) -> dict[str, int]:
    """Smaller parts, where the filesystem lets them be chosen."""
    # s3fs and gcsfs take the size of a part, s3fs and adlfs how many travel at once; a filesystem that takes neither streams.
    accepted = inspect.signature(getattr(fs, "_put_file", fs.put_file)).parameters
    options = {"chunksize": max(_PART, -(-size // _MOST_PARTS // _PART) * _PART), "max_concurrency": _PARTS_AT_ONCE}
    return {name: value for name, value in options.items() if name in accepted}


def _replace(source: Path, target: Path, *, log: logging.Logger) -> None:
    """Copy to a sibling, flush it to disk, and move it over the target in one step."""
    _remove_leftovers(target, log=log)
    temporary, descriptor = _make_locked_sibling(target)
    try:
        with source.open("rb") as read, os.fdopen(descriptor, "wb", closefd=False) as write:
            shutil.copyfileobj(read, write, _BLOCK)
        os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)
    with contextlib.suppress(OSError):  # some file systems can't flush a folder; the file itself is on disk
        folder_descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder_descriptor)
        finally:
            os.close(folder_descriptor)


def _make_locked_sibling(target: Path) -> tuple[Path, int]:
    while True:
        # A leading dot: query engines skip it. The lock tells other runs that somebody is still at it.
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks: no leftover is removed there either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if still_names(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)


def _remove_leftovers(target: Path, *, log: logging.Logger) -> None:
    """Remove what killed runs of the same object left; the file of a run that is alive is locked, and stays."""
    leftover = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp")
    for entry in os.scandir(target.parent):
        if leftover.fullmatch(entry.name):
            with contextlib.suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    if lock_is_free(descriptor):
                        Path(entry.path).unlink()
                        log.warning("Removed %s, which a killed run had left", entry.path)
                finally:
                    os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
