"""A file on the worker's own disk, replaced whole, in one step, and still there after a power failure.

The new content is built in a file without a name on the disk of the folder, so that the disk holds it once. The file is flushed to disk,
named as a temporary sibling, ``.events.jsonl.1a2b3c4d.tmp``, and moved over the old file. Where the disk has no files without a name, the
content is built in the temporary directory and copied to the sibling. A name that begins with a dot is no data to any query engine. A
killed run can leave the sibling behind; the next run that writes into the folder while nobody else does removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_capillary.error_text import error_text
from airflow_provider_capillary.errors import DestinationError, PublishError
from airflow_provider_capillary.export.target import ObjectInfo, Target
from airflow_provider_capillary.export.tempdir import local_disk_errors

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from airflow_provider_capillary.export.target import Create
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["LocalFile"]

_BLOCK: Final = 1024 * 1024

_HINTS: Final = {
    errno.ENOSPC: "free space on the disk of that folder, for the object twice if one is there already, or choose another",
    errno.EDQUOT: "raise the quota of the worker's user on the disk of that folder, or choose another",
    errno.EFBIG: "raise the limit to the size of a file for the worker (ulimit -f), or choose a folder on another file system",
    errno.EROFS: "mount the disk of that folder for writing, or choose another",
    errno.EACCES: "give the worker's user the right to write in that folder, or choose another",
    errno.EPERM: "give the worker's user the right to write in that folder, or choose another",
}


class LocalFile(Target):
    """See :class:`.target.Target`."""

    def __init__(self, *, uri: str, key: str, log: logging.Logger) -> None:
        super().__init__(uri=uri, key=key, log=log)
        self.local_path: Path = Path(key)
        self._built: Path | None = None
        """The file without a name that can be named in the folder."""

    @property
    def uri_without_connection(self) -> str:
        """A ``file://`` URI of the absolute path."""
        return f"file://{self._key}"

    def sibling(self, name: str) -> Self:
        """The file of another name in the same folder."""
        return type(self)(uri=self.uri[: -len(self.name)] + name, key=self._key[: -len(self.name)] + name, log=self._log)

    def stat_before_reading(self) -> ObjectInfo | None:
        """Make the folder, and check that it can be written, before hours are spent on reading.

        :raises DestinationError: the folder can't be made or written, or the path is a folder.
        """
        folder = self.local_path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DestinationError(f"The folder of {self.uri} cannot be made", response=error_text(error), hint=_hint_for(error)) from error
        if self.local_path.is_dir():
            raise DestinationError(f"{self.uri} is a folder", hint="name the file to write, not the folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            raise DestinationError(
                f"The folder of {self.uri} may not be written",
                response=error_text(OSError(errno.EROFS, os.strerror(errno.EROFS))) if read_only else None,
                hint=_HINTS[errno.EROFS if read_only else errno.EACCES],
            )
        return self.stat()

    def stat(self) -> ObjectInfo | None:
        """What is there now."""
        try:
            stat = self.local_path.stat()
        except FileNotFoundError:
            return None
        except PermissionError:
            raise
        except OSError as error:
            raise PublishError(f"{self.uri} cannot be examined", response=error_text(error), hint=_hint_for(error)) from error
        return ObjectInfo(size=stat.st_size, etag=None, version=f"{stat.st_ino}-{stat.st_mtime_ns}")

    def copy_to(self, path: Path) -> None:
        """Copy the file, a block at a time."""
        with self.local_path.open("rb") as read, path.open("wb") as write:
            shutil.copyfileobj(read, write, _BLOCK)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        try:
            self.local_path.unlink(missing_ok=True)
        except OSError as error:
            raise PublishError(f"{self.uri} could not be removed", response=error_text(error), hint=_hint_for(error)) from error

    def make_folder(self) -> None:
        """Make the folder in a folder that exists."""
        folder = self.local_path.parent
        try:
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                with _opened(folder.parent) as descriptor:
                    _flush(descriptor)
        except OSError as error:
            raise PublishError(f"The folder of {self.uri} cannot be made", response=error_text(error), hint=_hint_for(error)) from error

    def file_to_build(self, tempdir: TempDir) -> Path:
        """A file on the disk of the folder, if it can have no name; else one in the temporary directory."""
        self._built = tempdir.file_in(self.local_path.parent)
        return self._built or tempdir.file()

    @contextlib.contextmanager
    def errors_of_building(self, tempdir: TempDir) -> Iterator[None]:
        """See :class:`.target.Target`."""
        if self._built is None:
            with local_disk_errors(tempdir):
                yield
            return
        try:
            yield
        except OSError as error:
            raise self._not_written(error) from error

    def _put(self, source: Path, *, create: Create) -> None:
        target = self.local_path
        try:
            with _opened(target.parent) as folder:
                self._remove_leftovers(folder)
                temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
                try:
                    if source != self._built or not _name(source, temporary):
                        _copy(source, temporary)
                    with temporary.open("rb") as file:
                        os.fsync(file.fileno())
                    temporary.replace(target) if create == "no" else _name_if_free(temporary, target)
                finally:
                    with contextlib.suppress(OSError):
                        temporary.unlink(missing_ok=True)
                _flush(folder)
        except FileExistsError:
            raise
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> PublishError:
        return PublishError(f"{self.uri} could not be written", response=error_text(error), hint=_hint_for(error))

    def _remove_leftovers(self, folder: int) -> None:
        """Remove the temporary siblings that killed runs of the same object left.

        Whoever writes into a folder holds a shared lock on it. So whoever gets the exclusive lock knows that every temporary file in there
        belongs to a dead process. Where another run writes, or the file system has no locks, the leftovers stay for a later run.
        """
        leftover = re.compile(rf"\.{re.escape(self.name)}\.[0-9a-f]{{8}}\.tmp")
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in self.local_path.parent.iterdir():
                if leftover.fullmatch(path.name):
                    path.unlink()
                    self._log.warning("Removed %s, which a killed run had left", path)
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)


def _name(source: Path, temporary: Path) -> bool:
    """Give a file without a name this one, if the disk can."""
    try:
        # With a descriptor, though the path is absolute: so Python follows the link of /proc to the file.
        os.link(source, temporary, src_dir_fd=0)
    except OSError:
        return False
    return True


def _copy(source: Path, temporary: Path) -> None:
    with source.open("rb") as read, temporary.open("xb") as write:
        shutil.copyfileobj(read, write, _BLOCK)


def _name_if_free(temporary: Path, target: Path) -> None:
    """Give the file its name, unless another file has it.

    :raises FileExistsError: another file has it.
    """
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. Of two runs that get here in the same moment, the later one replaces the other's file.
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        temporary.replace(target)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flush(folder: int) -> None:
    """Flush the names in a folder to disk; the content of the files is flushed separately."""
    with contextlib.suppress(OSError):  # some file systems can't; the file itself is on disk
        os.fsync(folder)


def _hint_for(error: OSError) -> str:
    return _HINTS.get(error.errno or 0, "choose a folder that the worker can make and write to")
