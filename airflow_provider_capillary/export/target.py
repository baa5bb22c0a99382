"""One object at its place, in an object store or on local disk: what is there, and how the object is replaced as a whole.

Only ``path.fs`` and ``path.path`` of an ``ObjectStoragePath`` are used. Its own methods are not safe here: an exception inside
``with path.open("wb")`` publishes what was written so far, and without a connection id in the URI some methods use another filesystem, with
another cache, than ``open`` does.
"""

from __future__ import annotations

import abc
import hashlib
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from airflow_provider_capillary.errors import PublishError
from airflow_provider_capillary.export.tempdir import local_disk_errors

if TYPE_CHECKING:
    import logging
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Create", "ObjectInfo", "Target", "sha256_of", "without_connection"]

Create = Literal["no", "if possible", "surely"]
"""Whether to write only where no object is. A store that can't do that overwrites for ``if possible``, and fails for ``surely``."""


class ObjectInfo(NamedTuple):
    """What a store says about an object."""

    size: int
    """Bytes."""
    etag: str | None
    """The store's own tag for exactly this content or generation; ``None`` where it has none."""
    version: str | None
    """Changes when the object is replaced: the tag, or on local disk the inode and the time of the last change."""


class Target(abc.ABC):
    """The place of one object, whether the object exists or not. See :class:`.local_disk.LocalFile`, :class:`.object_store.StoreObject`.

    :param uri: as ``ObjectStoragePath`` spells it, with the connection id.
    :param key: the path inside the filesystem.
    :param log: for what is worth a line on the way.
    """

    local_path: Path | None = None
    """The file, where the object is on local disk."""

    def __init__(self, *, uri: str, key: str, log: logging.Logger) -> None:
        self.uri = uri
        self.name = key.rpartition("/")[2]
        self._key = key
        self._log = log

    @property
    @abc.abstractmethod
    def uri_without_connection(self) -> str:
        """The URI for any other tool."""

    @abc.abstractmethod
    def sibling(self, name: str) -> Self:
        """The place of another name in the same folder."""

    @abc.abstractmethod
    def stat_before_reading(self) -> ObjectInfo | None:
        """As :meth:`stat`, and find every reason that is known already why a write would fail.

        :raises DestinationError: the object can't be written there.
        :raises PermissionError: as :meth:`stat`.
        :raises PublishError: as :meth:`stat`.
        """

    @abc.abstractmethod
    def stat(self) -> ObjectInfo | None:
        """What is there now, never from a cache; ``None`` for nothing.

        :raises PermissionError: the credential may not read the object's metadata. It may still be allowed to write.
        :raises DestinationError: the store rejects the credential, or there is none.
        :raises PublishError: the store can't be asked.
        """

    def stat_to_read(self) -> ObjectInfo | None:
        """As :meth:`stat`, and where nothing is there, find out whether the bucket is there and the credential may read it. Writes nothing.

        :raises DestinationError: it is not, or may not.
        :raises PermissionError: as :meth:`stat`.
        :raises PublishError: as :meth:`stat`.
        """
        return self.stat()

    @abc.abstractmethod
    def copy_to(self, path: Path) -> None:
        """Copy the object to a local file, a block at a time.

        :raises Exception: whatever the store or the disk raises.
        """

    def local_copy(self, tempdir: TempDir) -> Path:
        """The object as a local file: itself on local disk, else a copy of it.

        :raises Exception: whatever the store or the disk raises.
        """
        if self.local_path is None:
            path = tempdir.file()
            self.copy_to(path)
        else:
            path = self.local_path
            path.open("rb").close()  # says whether it may be read
        return path

    @abc.abstractmethod
    def remove(self) -> None:
        """Remove the object, if there is one.

        :raises PublishError: the store refused.
        """

    @abc.abstractmethod
    def make_folder(self) -> None:
        """On local disk, make the folder, whose own folder exists; object stores have no folders.

        :raises PublishError: the folder can't be made.
        """

    def file_to_build(self, tempdir: TempDir) -> Path:
        """A path to a new, empty local file for the object, as of :meth:`.TempDir.file`."""
        return tempdir.file()

    def errors_of_building(self, tempdir: TempDir) -> AbstractContextManager[None]:
        """Turn the errors of writing into :meth:`file_to_build` into such as name the disk.

        :raises PublishError: instead of ``OSError``.
        """
        return local_disk_errors(tempdir)

    @abc.abstractmethod
    def _put(self, source: Path, *, create: Create) -> None:
        """Write the object whole; errors as :meth:`publish`."""

    def publish(self, source: Path, *, create: Create = "no") -> ObjectInfo | None:
        """Write a finished local file there, whole: a reader finds the earlier object or the new one, never a part.

        :param source: the local file.
        :param create: whether to write only where no object is. The store or the disk checks that in the same step.
        :return: what the store says afterwards; ``None`` where the credential may write and not read.
        :raises FileExistsError: ``create``, and another object is there. Nothing was touched.
        :raises PublishError: the object could not be written, and the earlier one is still there (or the new one, where only the store's
            answer was lost); or another object is there now.
        """
        size = source.stat().st_size
        self._put(source, create=create)
        try:
            info = self.stat()
        except PermissionError:
            self._log.info("Wrote %s. Its size was not checked: this credential may not read the object's metadata", self.uri)
            return None
        except PublishError as error:
            raise PublishError(
                f"{self.uri} was written whole, and the store did not confirm it afterwards", response=error.response, hint=error.hint
            ) from error
        if info is None or info.size != size:
            raise PublishError(
                f"{self.uri} is not what this run wrote there",
                request=f"{size} bytes",
                response="nothing" if info is None else f"{info.size} bytes",
                hint="make sure that no two runs write the same object; then run this one again",
            )
        return info


def without_connection(uri: str) -> str:
    """The URI of an object for other tools, which do not know this Airflow's connection ids.

    >>> without_connection("s3://my_aws_conn@bucket/events.jsonl")
    's3://bucket/events.jsonl'
    """
    scheme, _, rest = uri.partition("://")
    authority, slash, key = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{key}"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
