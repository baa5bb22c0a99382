"""One place in object storage or on local disk: what stands there, and how it is replaced as a whole.

Only ``path.fs`` and ``path.path`` of an ``ObjectStoragePath`` are used. Its own methods are not safe here: leaving ``open("wb")`` by an
exception publishes what was written so far, and without a connection id in the URI some of them look through another filesystem, with
another cache, than ``open`` does.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.access import raise_refusal, refusal, was_answered
from airflow_provider_capillary.export.destination import parse_destination
from airflow_provider_capillary.export.error_text import error_text
from airflow_provider_capillary.export.filesystems import filesystem_of
from airflow_provider_capillary.export.local_target import copy_file, create_file, make_folder, replace_file
from airflow_provider_capillary.export.store_upload import CURE, Create, StoreUpload
from airflow_provider_capillary.export.tempdir import open_tempdir
from airflow_provider_capillary.export.time_limit import StoreHangsError, run_limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

__all__ = ["Create", "ObjectInfo", "Target", "open_target", "sha256_of", "without_connection"]

_LOG = logging.getLogger(__name__)

_BLOCK = 1024 * 1024

_Result = TypeVar("_Result")


class ObjectInfo(NamedTuple):
    """What a store tells about an object."""

    size: int
    """Bytes."""
    etag: str | None
    """The store's own tag of this very content or generation; ``None`` where it has none."""
    version: str | None
    """Changes when the object is replaced: the tag, or on local disk the file's number and the time of its last change."""


class Target:
    """An object, whether it exists or not.

    A store that does not answer at all is waited for as :mod:`.time_limit` says: 180 seconds, and while an object is uploaded, as much
    more as a part of it takes at 64 KiB a second, counted from the last part that arrived (so 340 seconds for objects up to 44 GiB on S3).
    Every 30 seconds a warning says so.

    :param uri: how an ``ObjectStoragePath`` spells it, with the connection id.
    :param key: the path inside the filesystem.
    :param fs: the filesystem; ``None`` for local disk, which is written through the operating system.
    :param log: where it is said that a store keeps this waiting.
    """

    def __init__(self, *, uri: str, key: str, fs: AbstractFileSystem | None, log: logging.Logger = _LOG) -> None:
        self.uri = uri
        self._log = log
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

    def sibling(self, name: str) -> Target:
        """The object of another name beside this one."""
        return Target(uri=self.uri[: -len(self.name)] + name, key=self._key[: -len(self.name)] + name, fs=self._fs, log=self._log)

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
            raise DestinationError(
                f"The folder of {self.uri} cannot be made", response=error_text(error), hint=self._cure(error)
            ) from error
        if path.is_dir():
            raise DestinationError(f"{self.uri} is a folder", hint="name the file to write, not the folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
            raise DestinationError(
                f"The folder of {self.uri} may not be written",
                response=error_text(OSError(errno.EROFS, os.strerror(errno.EROFS))) if read_only else None,
                hint=_DISK_CURES[errno.EROFS if read_only else errno.EACCES],
            )

    def look_before_reading(self) -> ObjectInfo | None:
        """As :meth:`look`; and find out what would show only in the end: no such bucket, or a credential that the store rejects.

        :return: what stands there now; ``None`` if nothing does.
        :raises PermissionError: the credential may not look, which says nothing about whether it may write.
        :raises DestinationError: there is no such bucket, or the store rejects the credential, or there is none.
        :raises PublishError: the store cannot be asked.
        """
        try:
            found = self.stat()
        except PermissionError:
            self._ask_for_refusal()
            raise
        except PublishError as error:
            if was_answered(error):
                self._ask_for_refusal()
            raise
        if found is None:
            self._ask_for_refusal()
        return found

    def _ask_for_refusal(self) -> None:
        fs = self._fs
        if fs is not None:
            self._within_limit(lambda _: raise_refusal(fs, self._key, self.uri), doing=f"asking for {self.uri}")

    def make_folder(self) -> None:
        """On local disk, make the folder, whose own folder exists; a store has none.

        :raises PublishError: it cannot be made.
        """
        if self._fs is None:
            try:
                make_folder(Path(self._key).parent)
            except OSError as error:
                raise PublishError(
                    f"The folder of {self.uri} cannot be made", response=error_text(error), hint=self._cure(error)
                ) from error

    def stat(self) -> ObjectInfo | None:
        """What stands there now, from no cache; ``None`` if nothing does.

        :raises PermissionError: the credential may not look, which says nothing about whether it may write.
        :raises DestinationError: the store rejects the credential, or there is none.
        :raises PublishError: the store cannot be asked.
        """
        fs = self._fs
        try:
            if fs is None:
                told_by_disk = Path(self._key).stat()
                version = f"{told_by_disk.st_ino}-{told_by_disk.st_mtime_ns}"
                return ObjectInfo(size=told_by_disk.st_size, etag=None, version=version)
            fs.invalidate_cache(fs._parent(self._key))  # noqa: SLF001  # the counterpart of path.parent for keys
            told = self._within_limit(lambda _: fs.info(self._key), doing=f"asking for {self.uri}")
        except FileNotFoundError:
            return None
        except (PermissionError, StoreHangsError):
            raise
        except Exception as error:  # each filesystem has its own tree of errors
            failure = PublishError(f"{self.uri} cannot be looked at", response=error_text(error), hint=self._cure(error))
            raise refusal(error, self.uri) or failure from error
        if told.get("type") == "directory":
            return None
        etag = next((str(told[key]).strip('"') for key in ("ETag", "etag") if told.get(key)), None)
        return ObjectInfo(size=told.get("size") or 0, etag=etag, version=etag)

    def copy_to(self, target: Path) -> None:
        """Copy the object to a local file, a block at a time.

        :raises Exception: whatever the store or the disk raises.
        """
        fs = self._fs
        if fs is None:
            copy_file(Path(self._key), target)
            return

        def copy(is_alive: Callable[[], None]) -> None:
            if hasattr(fs, "call_s3"):
                # In one request for the whole object, never a range of it: there are servers of S3 that answer a range with the checksum
                # of the whole, which the client then compares with that of the range.
                from fsspec.callbacks import Callback

                fs.get_file(self._key, str(target), callback=Callback(hooks={"is_alive": lambda *_, **__: is_alive()}))
                return
            # By ranges elsewhere: gcsfs holds more than 100 MiB at a time where it gets a file.
            with fs.open(self._key, "rb", block_size=_BLOCK) as source, target.open("wb") as out:
                while block := source.read(_BLOCK):
                    is_alive()
                    out.write(block)

        self._within_limit(copy, doing=f"reading {self.uri}")

    def remove(self) -> None:
        """See to it that nothing stands there.

        :raises PublishError: the store refused.
        """
        fs = self._fs
        try:
            if fs is None:
                Path(self._key).unlink()
            elif self.stat() is not None:
                self._within_limit(lambda _: fs.rm_file(self._key), doing=f"removing {self.uri}")
        except FileNotFoundError:
            return
        except (DestinationError, PublishError):
            raise
        except Exception as error:
            raise PublishError(f"{self.uri} could not be removed", response=error_text(error), hint=self._cure(error)) from error

    def publish(self, source: Path, *, log: logging.Logger, create: Create = "no") -> ObjectInfo | None:
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
                raise PublishError(f"{self.uri} could not be written", response=error_text(error), hint=self._cure(error)) from error
        else:
            upload = StoreUpload(self._fs, key=self._key, uri=self.uri, within_limit=self._within_limit, holds=self._holds, log=log)
            upload.put(source, create=create)
        try:
            found = self.stat()
        except PermissionError:
            log.info("%s was written; this credential may not look at it, so its size was not checked", self.uri)
            return None
        except PublishError as error:
            raise PublishError(
                f"{self.uri} was written whole, and could not be looked at afterwards", response=error.response, hint=error.hint
            ) from error
        if found is None or found.size != size:
            raise PublishError(
                f"{self.uri} is not what was written there",
                request=f"{size} bytes",
                response="nothing" if found is None else f"{found.size} bytes",
                hint="make sure that no two runs write the same object; then run this one again",
            )
        return found

    def _holds(self, source: Path) -> bool:
        """Whether the very bytes of a local file stand there; ``False`` where that cannot be found out."""
        try:
            found = self.stat()
            if found is None or found.size != source.stat().st_size:
                return False
            with open_tempdir() as tempdir:
                copy = tempdir.file()
                self.copy_to(copy)
                return sha256_of(copy) == sha256_of(source)
        except Exception:  # noqa: BLE001  # whatever the store raises: unknown is not "the same"
            return False

    def _within_limit(self, call: Callable[[Callable[[], None]], _Result], *, doing: str, limit: float | None = None) -> _Result:
        return run_limited(call, doing=doing, log=self._log, limit=limit, hint=_CURE_OF_SILENCE)

    def _cure(self, error: BaseException) -> str:
        if self._fs is not None:
            return CURE
        return _DISK_CURES.get(getattr(error, "errno", None) or 0, "choose a folder that the worker can make and write to")


_CURE_OF_SILENCE = (
    "check that the worker reaches the store's endpoint (proxy, firewall, private endpoint) and that the store works; the next run sees "
    "what has become of it"
)
_DISK_CURES = {
    errno.ENOSPC: "free space on the disk of that folder, for the object twice if one stands there already, or choose another",
    errno.EDQUOT: "raise the quota of the worker's user on the disk of that folder, or choose another",
    errno.EFBIG: "raise the limit to the size of a file for the worker (ulimit -f), or choose a folder on another file system",
    errno.EROFS: "mount the disk of that folder to be written to, or choose another",
    errno.EACCES: "give the worker's user the right to write in that folder, or choose another",
    errno.EPERM: "give the worker's user the right to write in that folder, or choose another",
}


def open_target(destination: ObjectStoragePath | str, *, log: logging.Logger = _LOG) -> Target:
    """Find the filesystem of a destination.

    :param destination: an ``ObjectStoragePath`` or its URI.
    :param log: where it is said that a store keeps an export waiting.
    :raises DestinationError: it is neither a URI nor an absolute path, or as :func:`.filesystems.filesystem_of`.
    :raises PublishError: the filesystem cannot be set up from its connection.
    """
    parsed = parse_destination(destination)
    if parsed.is_local:
        return Target(uri=str(destination), key=parsed.key, fs=None, log=log)
    uri, key, fs = filesystem_of(destination, scheme=parsed.scheme)
    return Target(uri=uri, key=key, fs=fs, log=log)


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
