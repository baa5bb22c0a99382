"""An object in a store: asked before the API is read, read back, removed, and uploaded with retries, in parts, and only where none is.

**Before reading.** A store answers ``HEAD`` without a body, so a refusal arrives as a bare number: 403 for a key that the store does not
know, and for a key that may write there and not read; 404 for a bucket that does not exist, and for an object that is not there yet. The
answer to ``GET`` tells them apart. Whether the credential may write is tested by beginning an upload, which is aborted at once.

**Unfinished uploads.** S3 does not list multipart uploads that were begun and never ended, and bills them until they are aborted. A killed
run leaves one; so does a lost answer to the request that begins one. S3 records no owner, so every unfinished upload of the object is
aborted. If one belonged to a run that is alive, that run is told that its upload is gone, and uploads its object again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export import _private_interfaces as private
from airflow_provider_capillary.export.store_errors import (
    bucket_missing,
    is_conditional_write_unsupported,
    is_precondition_failed,
    refusal,
    upload_is_gone,
    was_answered,
)
from airflow_provider_capillary.export.target import ObjectInfo, Target, sha256_of, without_connection
from airflow_provider_capillary.export.tempdir import open_tempdir
from airflow_provider_capillary.export.time_limit import StoreHangsError, run_limited, upload_limit

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from airflow_provider_capillary.export.target import Create

__all__ = ["StoreObject"]

_Result = TypeVar("_Result")

_HINT: Final = "check that the bucket or container exists and that the connection of the destination may read and write there"
_HINT_FOR_SILENCE: Final = (
    "check that the worker reaches the store's endpoint (proxy, firewall, private endpoint) and that the store works; the next run finds "
    "out whether the object was written"
)

_TRIES = 3
_BACKOFF = Backoff(first=2.0, longest=8.0)
"""Before each further try to put an object. The stores' clients already retry (s3fs five times, on top of botocore). These tries are for
what lasts longer, because the alternative is to read the whole interval again."""

# s3fs reads parts of 50 MiB, ten at a time, and gcsfs chunks of 50 MiB; the smallest that S3 allows keep memory flat. A store takes at
# most 10,000 parts, so an object beyond 44 GiB has larger ones.
_PART = 5 * 1024 * 1024
_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 2

_BLOCK: Final = 1024 * 1024

_CREATE_ONLY: Final[dict[str, Any]] = {"mode": "create", "overwrite": False}
"""The option that makes a filesystem write only where no object is: s3fs and gcsfs take the first, adlfs the second."""


class StoreObject(Target):
    """See :class:`.target.Target`.

    A store that does not answer is given up as :mod:`.time_limit` says: after 180 seconds, and during an upload after as much more as a
    part takes at 64 KiB a second, counted from the last part that arrived (340 seconds for objects up to 44 GiB on S3). A warning says so
    every 30 seconds.

    :param fs: the filesystem.
    """

    def __init__(self, *, uri: str, key: str, fs: AbstractFileSystem, log: logging.Logger) -> None:
        super().__init__(uri=uri, key=key, log=log)
        self._fs = fs

    @property
    def uri_without_connection(self) -> str:
        """The URI for any other tool."""
        return without_connection(self.uri)

    def sibling(self, name: str) -> Self:
        """The place of another name beside this object."""
        return type(self)(uri=self.uri[: -len(self.name)] + name, key=self._key[: -len(self.name)] + name, fs=self._fs, log=self._log)

    def stat_before_reading(self) -> ObjectInfo | None:
        """What is there now; and check the bucket, the credential and its right to write.

        :raises DestinationError: there is no such bucket, the store rejects the credential, there is no credential, or (on S3) the
            credential may not write.
        """
        try:
            info = self.stat()
        except PermissionError:
            self._raise_refusal()
            raise
        except PublishError as error:
            if was_answered(error):
                self._raise_refusal()
            raise
        if info is None:
            self._raise_refusal()
        return info

    def stat_to_read(self) -> ObjectInfo | None:
        """What is there now; and where nothing is, check the bucket and the credential."""
        info = self.stat()
        if info is None:
            self._within_limit(lambda _: self._ask_for_read_refusal(), doing=f"asking for {self.uri}")
        return info

    def stat(self) -> ObjectInfo | None:
        """What is there now, never from a cache."""
        try:
            self._fs.invalidate_cache(private.parent_of(self._fs, self._key))
            info = self._within_limit(lambda _: self._fs.info(self._key), doing=f"asking for {self.uri}")
        except FileNotFoundError:
            return None
        except (PermissionError, StoreHangsError):
            raise
        except Exception as error:  # each filesystem has its own tree of errors
            failure = PublishError(f"The store did not say whether {self.uri} exists", response=error_text(error), hint=_HINT)
            raise refusal(error, self.uri) or failure from error
        if info.get("type") == "directory":
            return None
        etag = next((str(info[key]).strip('"') for key in ("ETag", "etag") if info.get(key)), None)
        return ObjectInfo(size=info.get("size") or 0, etag=etag, version=etag)

    def copy_to(self, path: Path) -> None:
        """Copy the object to a local file, a block at a time."""
        fs = self._fs

        def copy(is_alive: Callable[[], None]) -> None:
            if private.is_s3(fs):
                # In one request for the whole object, never for a range: some servers of S3 answer a range with the checksum of the whole
                # object, and the client compares it with the range.
                fs.get_file(self._key, str(path), callback=_callback(is_alive))
                return
            # By ranges elsewhere: where gcsfs gets a whole file, it holds more than 100 MiB at a time.
            with fs.open(self._key, "rb", block_size=_BLOCK) as source, path.open("wb") as out:
                while block := source.read(_BLOCK):
                    is_alive()
                    out.write(block)

        self._within_limit(copy, doing=f"reading {self.uri}")

    def remove(self) -> None:
        """Remove the object, if there is one."""
        try:
            if self.stat() is not None:
                self._within_limit(lambda _: self._fs.rm_file(self._key), doing=f"removing {self.uri}")
        except FileNotFoundError:
            return
        except (DestinationError, PublishError):
            raise
        except Exception as error:
            raise PublishError(f"{self.uri} could not be removed", response=error_text(error), hint=_HINT) from error

    def make_folder(self) -> None:
        """Do nothing: object stores have no folders."""

    def _put(self, source: Path, *, create: Create) -> None:
        size = source.stat().st_size
        options = _put_options(self._fs, size, create=create != "no")
        if create == "surely" and _CREATE_ONLY.keys().isdisjoint(options):
            raise PublishError(f"{self.uri} cannot be written only where no object is: this filesystem does not support that", hint=_HINT)
        self._abort_unfinished_uploads()
        # A successful upload may have begun another one as well, whose id was lost with the answer.
        in_parts = size >= options.get("chunksize", 0)
        try:
            self._put_with_retries(source, options, create=create)
        except StoreHangsError:
            raise  # the store would not answer a request to abort either; the next run aborts what is left
        except BaseException:
            if in_parts:
                self._abort_unfinished_uploads()
            raise
        if in_parts:
            self._abort_unfinished_uploads()

    def _put_with_retries(self, source: Path, options: dict[str, Any], *, create: Create) -> None:
        tries = 0
        while True:
            try:
                self._put_once(source, options)
            except StoreHangsError:
                raise  # a second try would upload the object twice at once
            except Exception as error:
                creating = not _CREATE_ONLY.keys().isdisjoint(options)
                if create == "if possible" and creating and is_conditional_write_unsupported(error):
                    self._log.info("%s: this store cannot write only where no object is (%s)", self.uri, error_text(error))
                    options = {name: value for name, value in options.items() if name not in _CREATE_ONLY}
                    continue
                if creating and is_precondition_failed(error):
                    # The clients retry by themselves, so the object there may be this very one, and the answer was lost.
                    if self._holds(source):
                        return
                    raise FileExistsError(f"{self.uri} exists") from error
                # Seconds later, a refusal is still a refusal and a missing bucket still missing.
                lasting = isinstance(error, PermissionError | FileNotFoundError) and not upload_is_gone(error)
                tries += 1
                if lasting or tries == _TRIES:
                    failure = PublishError(f"{self.uri} could not be written", response=error_text(error), hint=_HINT)
                    failure.retryable = not lasting  # another try of the task would read the whole interval for nothing
                    raise refusal(error, self.uri) or failure from error
                pause = _BACKOFF.delay(tries)
                self._log.warning("%s could not be written (%s); trying again in %.1f s", self.uri, error_text(error), pause)
                time.sleep(pause)
            else:
                return

    def _put_once(self, source: Path, options: dict[str, Any]) -> None:
        def put(is_alive: Callable[[], None]) -> None:
            # `is_alive` is called for each part that has arrived. Once nobody waits any more it raises, so the filesystem aborts.
            self._fs.put_file(str(source), self._key, callback=_callback(is_alive), **options)

        # Up to two parts travel together. Without a known size of a part, the whole object may travel without a sign of life.
        size = source.stat().st_size
        piece = min(size, 2 * options["chunksize"]) if "chunksize" in options else size
        self._within_limit(put, doing=f"writing {self.uri}", limit=upload_limit(piece))

    def _holds(self, source: Path) -> bool:
        """Whether the object has exactly the bytes of a local file; ``False`` where that can't be found out."""
        try:
            info = self.stat()
            if info is None or info.size != source.stat().st_size:
                return False
            with open_tempdir() as tempdir:
                copy = tempdir.file()
                self.copy_to(copy)
                return sha256_of(copy) == sha256_of(source)
        except Exception:  # noqa: BLE001  # whatever the store raises: unknown is not "the same"
            return False

    def _abort_unfinished_uploads(self) -> None:
        """On S3, abort every unfinished upload of this object, and log it. Google and Azure drop theirs within a week.

        What the store refuses is logged, and no reason to fail.
        """
        if private.is_s3(self._fs):
            self._within_limit(lambda _: self._abort_s3_uploads(), doing=f"looking for unfinished uploads of {self.uri}")

    def _abort_s3_uploads(self) -> None:
        fs, key = self._fs, self._key
        try:
            uploads = private.list_s3_uploads(fs, key)
            for upload in uploads:
                private.abort_s3_upload(fs, key, upload)
        except Exception as error:  # noqa: BLE001  # the store's own errors; the object itself does not depend on it
            self._log.info("Whether unfinished uploads of %s are left is unknown (%s)", key, error_text(error))
            return
        if uploads:
            self._log.warning("Aborted %d unfinished uploads of %s, left by a killed run or a lost answer", len(uploads), key)

    def _raise_refusal(self) -> None:
        """Where no object was found or shown: raise what would make a write fail.

        Needs no right but to write. Only a refusal is raised; any other failure of the store is left to the upload.
        """
        self._within_limit(lambda _: self._ask_for_refusal(), doing=f"asking for {self.uri}")

    def _ask_for_read_refusal(self) -> None:
        fs, key, uri = self._fs, self._key, self.uri
        bucket, _, name = key.partition("/")
        protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
        try:
            if private.is_s3(fs):
                fs.cat_file(key, start=0, end=1)
            elif "gs" in protocols:
                private.list_google_bucket(fs, bucket, name)
            elif "abfs" in protocols:
                fs.info(bucket)
        except Exception as error:  # each filesystem has its own tree of errors
            if isinstance(error, FileNotFoundError) and not private.is_s3(fs):
                raise bucket_missing(uri, error) from error  # at Google and Azure, it was the bucket that was asked for
            if refused := refusal(error, uri):
                raise refused from error

    def _ask_for_refusal(self) -> None:
        self._ask_for_read_refusal()
        if not private.is_s3(self._fs):
            return
        try:
            self._begin_and_abort_upload()
        except PermissionError as error:
            raise refusal(error, self.uri) or _may_not_write(self.uri, error) from error
        except Exception:  # noqa: BLE001  # the store's own errors; the upload itself will meet them again
            return

    def _begin_and_abort_upload(self) -> None:
        """Begin an upload on S3 and abort it at once: the one test of the right to write that leaves no trace.

        Does nothing where the credential may not abort, since the upload would stay.

        :raises Exception: whatever the filesystem raises where an upload can't be begun.
        """
        fs, key = self._fs, self._key
        try:
            private.abort_s3_upload(fs, key, "none")
        except Exception as error:  # noqa: BLE001  # a store that lets this credential abort does not know such an upload
            if not upload_is_gone(error):
                return
        upload = private.begin_s3_upload(fs, key)
        try:
            private.abort_s3_upload(fs, key, upload)
        except Exception as error:  # another run was faster to abort it; anything else, the next upload aborts
            if not upload_is_gone(error):
                raise

    def _within_limit(self, call: Callable[[Callable[[], None]], _Result], *, doing: str, limit: float | None = None) -> _Result:
        return run_limited(call, doing=doing, log=self._log, limit=limit, hint=_HINT_FOR_SILENCE)


def _put_options(fs: AbstractFileSystem, size: int, *, create: bool) -> dict[str, Any]:
    """Small parts, where the filesystem lets them be chosen; and to write only where no object is, where it can do that."""
    # s3fs and gcsfs take the size of a part, s3fs and adlfs how many travel at once; a filesystem that takes neither streams.
    accepted = private.put_options_of(fs)
    options: dict[str, Any] = {"chunksize": max(_PART, -(-size // _MOST_PARTS // _PART) * _PART), "max_concurrency": _PARTS_AT_ONCE}
    if create:
        options |= _CREATE_ONLY
    return {name: value for name, value in options.items() if name in accepted}


def _callback(is_alive: Callable[[], None]) -> object:
    from fsspec.callbacks import Callback

    return Callback(hooks={"is_alive": lambda *_, **__: is_alive()})


def _may_not_write(uri: str, error: BaseException) -> DestinationError:
    return DestinationError(
        f"The credential may not write {uri}",
        response=error_text(error),
        hint="give the credential the right to write there (s3:PutObject, and with a KMS key kms:GenerateDataKey and kms:Decrypt), or "
        "correct the bucket's name: some stores say the same of a bucket that does not exist",
    )
