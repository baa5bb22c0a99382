"""One place in object storage or on local disk: what stands there, and how it is replaced as a whole.

Only ``path.fs`` and ``path.path`` of an ``ObjectStoragePath`` are used. Its own methods are not safe here: leaving ``open("wb")`` by an
exception publishes what was written so far, and without a connection id in the URI some of them look through another filesystem, with
another cache, than ``open`` does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import inspect
import logging
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.access import raise_refusal, refusal, was_answered
from airflow_provider_capillary.export.destination import parse_destination
from airflow_provider_capillary.export.filesystems import filesystem_of
from airflow_provider_capillary.export.time_limit import StoreHangsError, run_limited, upload_limit
from airflow_provider_capillary.export.uploads import abort_unfinished_uploads, upload_is_gone
from airflow_provider_capillary.export.words import in_words
from airflow_provider_capillary.export.workspace import lock_is_free, still_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

__all__ = ["Found", "Location", "locate", "sha256_of"]

_LOG = logging.getLogger(__name__)

# Seconds before each further try to put an object. The clients of the stores try again by themselves (s3fs five times, on top of
# botocore); these two are for what outlasts that, because the alternative is to read the whole interval again.
_PAUSES = (1.0, 5.0)

# s3fs reads parts of 50 MiB, ten at a time, and gcsfs chunks of 50 MiB; the smallest that S3 allows keep memory flat. A store takes at
# most 10,000 parts, so an object beyond 44 GiB has larger ones.
_PART = 5 * 1024 * 1024
_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 2

_BLOCK = 1024 * 1024

_Result = TypeVar("_Result")


class Found(NamedTuple):
    """What a store tells about an object."""

    size: int
    """Bytes."""
    etag: str | None
    """The store's own tag of this very content or generation; ``None`` where it has none."""


class Location:
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

    def sibling(self, name: str) -> Location:
        """The object of another name beside this one."""
        return Location(uri=self.uri[: -len(self.name)] + name, key=self._key[: -len(self.name)] + name, fs=self._fs, log=self._log)

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
            raise DestinationError(f"The folder of {self.uri} cannot be made", answered=in_words(error), cure=self._cure(error)) from error
        if path.is_dir():
            raise DestinationError(f"{self.uri} is a folder", cure="name the file to write, not the folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
            raise DestinationError(
                f"The folder of {self.uri} may not be written",
                answered=in_words(OSError(errno.EROFS, os.strerror(errno.EROFS))) if read_only else None,
                cure=_DISK_CURES[errno.EROFS if read_only else errno.EACCES],
            )

    def look_before_reading(self) -> Found | None:
        """As :meth:`look`; and find out what would show only in the end: no such bucket, or a credential that the store rejects.

        :return: what stands there now; ``None`` if nothing does, and where the credential may not look.
        :raises DestinationError: there is no such bucket, or the store rejects the credential, or there is none.
        :raises PublishError: the store cannot be asked.
        """
        try:
            found = self.look()
        except PermissionError:
            found = None
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

    def look(self) -> Found | None:
        """What stands there now, from no cache; ``None`` if nothing does.

        :raises PermissionError: the credential may not look, which says nothing about whether it may write.
        :raises DestinationError: the store rejects the credential, or there is none.
        :raises PublishError: the store cannot be asked.
        """
        fs = self._fs
        try:
            if fs is None:
                return Found(size=Path(self._key).stat().st_size, etag=None)
            fs.invalidate_cache(fs._parent(self._key))  # noqa: SLF001  # the counterpart of path.parent for keys
            told = self._within_limit(lambda _: fs.info(self._key), doing=f"asking for {self.uri}")
        except FileNotFoundError:
            return None
        except (PermissionError, StoreHangsError):
            raise
        except Exception as error:  # each filesystem has its own tree of errors
            failure = PublishError(f"{self.uri} cannot be looked at", answered=in_words(error), cure=self._cure(error))
            raise refusal(error, self.uri) or failure from error
        if told.get("type") == "directory":
            return None
        return Found(size=told.get("size") or 0, etag=next((str(told[key]).strip('"') for key in ("ETag", "etag") if told.get(key)), None))

    def copy_to(self, target: Path) -> None:
        """Copy the object to a local file, a block at a time.

        :raises Exception: whatever the store or the disk raises.
        """
        fs = self._fs
        if fs is None:
            shutil.copyfile(self._key, target)
            return

        def copy(is_alive: Callable[[], None]) -> None:
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
            elif self.look() is not None:
                self._within_limit(lambda _: fs.rm_file(self._key), doing=f"removing {self.uri}")
        except FileNotFoundError:
            return
        except (DestinationError, PublishError):
            raise
        except Exception as error:
            raise PublishError(f"{self.uri} could not be removed", answered=in_words(error), cure=self._cure(error)) from error

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
                raise PublishError(f"{self.uri} could not be written", answered=in_words(error), cure=self._cure(error)) from error
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
        self._abort_unfinished_uploads(log)
        try:
            self._put_patiently(source, size, options, log)
        except StoreHangsError:
            raise  # it would not answer this either; the next run aborts what is left
        except BaseException:
            self._abort_uploads_of_parts(size, options, log)
            raise
        self._abort_uploads_of_parts(size, options, log)

    def _abort_uploads_of_parts(self, size: int, options: dict[str, int], log: logging.Logger) -> None:
        # Even a success may have begun an upload whose id was lost with the answer.
        if size >= options.get("chunksize", 0):
            self._abort_unfinished_uploads(log)

    def _abort_unfinished_uploads(self, log: logging.Logger) -> None:
        fs = self._fs
        doing = f"looking for unfinished uploads of {self.uri}"
        self._within_limit(lambda _: abort_unfinished_uploads(fs, self._key, log=log), doing=doing)

    def _put_patiently(self, source: Path, size: int, options: dict[str, int], log: logging.Logger) -> None:
        for pause in (*_PAUSES, None):
            try:
                self._put_once(source, size, options)
            except StoreHangsError:
                raise  # to begin anew would be to upload it twice at once
            except Exception as error:
                # Neither a refusal nor a bucket that is not there changes within seconds.
                lasting = isinstance(error, PermissionError | FileNotFoundError) and not upload_is_gone(error)
                if pause is None or lasting:
                    failure = PublishError(f"{self.uri} could not be written", answered=in_words(error), cure=self._cure(error))
                    failure.retryable = not lasting  # another try would read the whole interval for nothing
                    raise refusal(error, self.uri) or failure from error
                log.warning("%s could not be written (%s); trying again in %g s", self.uri, in_words(error), pause)
                time.sleep(pause)
            else:
                return

    def _put_once(self, source: Path, size: int, options: dict[str, int]) -> None:
        from fsspec.callbacks import Callback

        fs = self._fs
        assert fs is not None  # noqa: S101  # for the type checker

        def put(is_alive: Callable[[], None]) -> None:
            # Called at each part that has arrived. Where nobody waits any more it raises, and the filesystem aborts the upload.
            fs.put_file(str(source), self._key, callback=Callback(hooks={"is_alive": lambda *_, **__: is_alive()}), **options)

        # Up to two parts travel as one. Without parts of a known size, the whole object may travel in silence.
        piece = min(size, 2 * options["chunksize"]) if "chunksize" in options else size
        self._within_limit(put, doing=f"writing {self.uri}", limit=upload_limit(piece))

    def _within_limit(self, call: Callable[[Callable[[], None]], _Result], *, doing: str, limit: float | None = None) -> _Result:
        return run_limited(call, doing=doing, log=self._log, limit=limit, cure=_CURE_OF_SILENCE)

    def _cure(self, error: BaseException) -> str:
        if self._fs is not None:
            return _CURE
        return _DISK_CURES.get(getattr(error, "errno", None) or 0, "choose a folder that the worker can make and write to")


_CURE = "check that the bucket or container exists and that the connection of the destination may read and write there"
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


def locate(destination: ObjectStoragePath | str, *, log: logging.Logger = _LOG) -> Location:
    """Find the filesystem of a destination.

    :param destination: an ``ObjectStoragePath`` or its URI.
    :param log: where it is said that a store keeps an export waiting.
    :raises DestinationError: it is neither a URI nor an absolute path, or as :func:`.filesystems.filesystem_of`.
    :raises PublishError: the filesystem cannot be set up from its connection.
    """
    parsed = parse_destination(destination)
    if parsed.is_local:
        return Location(uri=str(destination), key=parsed.key, fs=None, log=log)
    uri, key, fs = filesystem_of(destination, scheme=parsed.scheme)
    return Location(uri=uri, key=key, fs=fs, log=log)


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
