"""Local disk for one export: a folder of its own, which goes when the export ends, and after a ``SIGKILL`` at the next export.

A killed task runs no ``finally``. What it leaves is found by a lock: everything made here is held under ``flock`` for as long as its
process lives, so whatever can be locked has no owner any more.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import PublishError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

__all__ = ["local_disk_errors", "lock_is_free", "open_workspace", "still_names"]

_PREFIX = "capillary-export-"


@contextlib.contextmanager
def open_workspace(*, log: logging.Logger) -> Iterator[Path]:
    """A private folder in the temporary directory; folders of killed exports of the same user are removed first, and named in the log.

    :raises PublishError: no temporary directory can be written.
    """
    with local_disk_errors(None):
        parent = tempfile.gettempdir()
        _sweep(parent, log=log)
        folder, descriptor = _make_locked_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _make_locked_folder(parent: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Between making and locking, another export may take the folder for a leftover.
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks: nothing is swept there either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if still_names(folder, descriptor):
            return folder, descriptor
        os.close(descriptor)


def _sweep(parent: str, *, log: logging.Logger) -> None:
    for entry in os.scandir(parent):
        if not entry.name.startswith(_PREFIX) or not entry.is_dir(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):  # another user's, or gone already
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if entry.stat(follow_symlinks=False).st_uid == os.getuid() and lock_is_free(descriptor):
                    shutil.rmtree(entry.path, ignore_errors=True)
                    log.warning("Removed %s, which a killed run had left", entry.path)
            finally:
                os.close(descriptor)


def lock_is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock; if so, this process does from now on, until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def still_names(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to the file or folder that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def local_disk_errors(folder: Path | None) -> Iterator[None]:
    """Turn what a full or read-only local disk raises into an error that names the directory and the way to another one.

    :param folder: where the work is done; ``None`` while the temporary directory is still looked for.
    :raises PublishError: instead of ``OSError`` and ``sqlite3.OperationalError``.
    """
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        # The first mention of tempfile.gettempdir() may be what failed.
        where = folder or tempfile.tempdir or "one of TMPDIR, /tmp, /var/tmp and the working directory"
        raise PublishError(
            f"Local disk for the export cannot be used: {where}",
            answered=_in_words(error),
            cure="free space there, or set the environment variable TMPDIR of the worker to a directory with room for the export "
            "(twice its records uncompressed, and the finished object)",
        ) from error


def _in_words(error: OSError | sqlite3.OperationalError) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return str(error)
    return f"{errno.errorcode.get(error.errno or 0, type(error).__name__)}, {error.strerror or 'no usable temporary directory'}"
