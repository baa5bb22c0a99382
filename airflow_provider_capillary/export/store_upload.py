"""A finished local file, put to an object store: patiently, in parts, and only where nothing stands if that is asked for."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from airflow_provider_capillary.errors import PublishError
from airflow_provider_capillary.export.access import refusal
from airflow_provider_capillary.export.error_text import error_text
from airflow_provider_capillary.export.multipart import (
    abort_unfinished_uploads,
    is_conditional_write_unsupported,
    is_precondition_failed,
    upload_is_gone,
)
from airflow_provider_capillary.export.time_limit import StoreHangsError, upload_limit

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from fsspec import AbstractFileSystem

__all__ = ["CURE", "Create", "StoreUpload"]

CURE = "check that the bucket or container exists and that the connection of the destination may read and write there"

Create = Literal["no", "if possible", "surely"]

_Result = TypeVar("_Result")

# Seconds before each further try to put an object. The clients of the stores try again by themselves (s3fs five times, on top of
# botocore); these two are for what outlasts that, because the alternative is to read the whole interval again.
_PAUSES = (1.0, 5.0)

# s3fs reads parts of 50 MiB, ten at a time, and gcsfs chunks of 50 MiB; the smallest that S3 allows keep memory flat. A store takes at
# most 10,000 parts, so an object beyond 44 GiB has larger ones.
_PART = 5 * 1024 * 1024
_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 2

# How the filesystems are told to create an object only where none is: s3fs and gcsfs; adlfs.
_CREATING: dict[str, Any] = {"mode": "create", "overwrite": False}


class _WithinLimit(Protocol):
    """Makes a call that is given up where nothing is heard of it for too long."""

    def __call__(self, call: Callable[[Callable[[], None]], _Result], *, doing: str, limit: float | None = None) -> _Result: ...


class StoreUpload:
    """Puts one object.

    :param key: of the object, bucket first.
    :param uri: of the object, for log and errors.
    :param holds: whether the very bytes of a local file stand there already.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        *,
        key: str,
        uri: str,
        within_limit: _WithinLimit,
        holds: Callable[[Path], bool],
        log: logging.Logger,
    ) -> None:
        self._fs = fs
        self._key = key
        self._uri = uri
        self._within_limit = within_limit
        self._holds = holds
        self._log = log

    def put(self, source: Path, *, create: Create) -> None:
        """Put a local file there, whole.

        :param create: as in :meth:`.target.Target.publish`.
        :raises FileExistsError: ``create``, and something else stands there.
        :raises PublishError: it could not be written.
        """
        size = source.stat().st_size
        options = self._options(size, create=create != "no")
        if create == "surely" and _CREATING.keys().isdisjoint(options):
            raise PublishError(f"{self._uri} cannot be written only where nothing stands: this filesystem does not know how", hint=CURE)
        self._abort_unfinished()
        try:
            self._put_patiently(source, size, options, create=create)
        except StoreHangsError:
            raise  # it would not answer this either; the next run aborts what is left
        except BaseException:
            self._abort_parts(size, options)
            raise
        self._abort_parts(size, options)

    def _abort_parts(self, size: int, options: dict[str, Any]) -> None:
        # Even a success may have begun an upload whose id was lost with the answer.
        if size >= options.get("chunksize", 0):
            self._abort_unfinished()

    def _abort_unfinished(self) -> None:
        doing = f"looking for unfinished uploads of {self._uri}"
        self._within_limit(lambda _: abort_unfinished_uploads(self._fs, self._key, log=self._log), doing=doing)

    def _put_patiently(self, source: Path, size: int, options: dict[str, Any], *, create: Create) -> None:
        pauses = iter(_PAUSES)
        while True:
            try:
                self._put_once(source, size, options)
            except StoreHangsError:
                raise  # to begin anew would be to upload it twice at once
            except Exception as error:
                creating = not _CREATING.keys().isdisjoint(options)
                if create == "if possible" and creating and is_conditional_write_unsupported(error):
                    self._log.info("%s: this store cannot create an object only where none is (%s)", self._uri, error_text(error))
                    options = {name: value for name, value in options.items() if name not in _CREATING}
                    continue
                if creating and is_precondition_failed(error):
                    # The clients try again by themselves: what stands there may be this very object, its answer lost.
                    if self._holds(source):
                        return
                    raise FileExistsError(f"{self._uri} exists") from error
                # Neither a refusal nor a bucket that is not there changes within seconds.
                lasting = isinstance(error, PermissionError | FileNotFoundError) and not upload_is_gone(error)
                pause = None if lasting else next(pauses, None)
                if pause is None:
                    failure = PublishError(f"{self._uri} could not be written", response=error_text(error), hint=CURE)
                    failure.retryable = not lasting  # another try would read the whole interval for nothing
                    raise refusal(error, self._uri) or failure from error
                self._log.warning("%s could not be written (%s); trying again in %g s", self._uri, error_text(error), pause)
                time.sleep(pause)
            else:
                return

    def _put_once(self, source: Path, size: int, options: dict[str, Any]) -> None:
        from fsspec.callbacks import Callback

        def put(is_alive: Callable[[], None]) -> None:
            # Called at each part that has arrived. Where nobody waits any more it raises, and the filesystem aborts the upload.
            self._fs.put_file(str(source), self._key, callback=Callback(hooks={"is_alive": lambda *_, **__: is_alive()}), **options)

        # Up to two parts travel as one. Without parts of a known size, the whole object may travel in silence.
        piece = min(size, 2 * options["chunksize"]) if "chunksize" in options else size
        self._within_limit(put, doing=f"writing {self._uri}", limit=upload_limit(piece))

    def _options(self, size: int, *, create: bool) -> dict[str, Any]:
        """Smaller parts, where the filesystem lets them be chosen; and whether to create only, where it can."""
        # s3fs and gcsfs take the size of a part, s3fs and adlfs how many travel at once; a filesystem that takes neither streams.
        accepted = inspect.signature(getattr(self._fs, "_put_file", self._fs.put_file)).parameters
        options: dict[str, Any] = {"chunksize": max(_PART, -(-size // _MOST_PARTS // _PART) * _PART), "max_concurrency": _PARTS_AT_ONCE}
        if create:
            options |= _CREATING
        return {name: value for name, value in options.items() if name in accepted}
