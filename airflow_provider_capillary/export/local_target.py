"""Putting a file on local disk: whole, in one step, and there after the power went."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

__all__ = ["copy_file", "create_file", "make_folder", "replace_file"]

_BLOCK = 1024 * 1024


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, a block at a time."""
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, _BLOCK)


def replace_file(source: Path, target: Path, *, log: logging.Logger) -> None:
    """Copy to a sibling, flush it to disk, and move it over the target in one step; whatever fails leaves the target as it was.

    :raises OSError: the disk refused.
    """
    _put(source, target, Path.replace, log=log)


def create_file(source: Path, target: Path, *, log: logging.Logger) -> None:
    """Do as :func:`replace_file` does, where nothing stands at the target.

    :raises FileExistsError: something does, and stands as it was.
    :raises OSError: the disk refused.
    """
    _put(source, target, _link, log=log)


def _link(temporary: Path, target: Path) -> None:
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. Two runs that come here within one moment replace each other.
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        temporary.replace(target)
    else:
        temporary.unlink()


def _put(source: Path, target: Path, move: Callable[[Path, Path], object], *, log: logging.Logger) -> None:
    _remove_leftovers(target, log=log)
    temporary, descriptor = _make_locked_sibling(target)
    try:
        with source.open("rb") as read, os.fdopen(descriptor, "wb", closefd=False) as write:
            shutil.copyfileobj(read, write, _BLOCK)
        os.fsync(descriptor)
        move(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)
    _flush_folder(target.parent)


def make_folder(folder: Path) -> None:
    """Make a folder in one that exists, unless it is there.

    :raises OSError: the disk refused.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """The names in it; what stands under them is flushed by itself."""
    with contextlib.suppress(OSError):  # some file systems can't flush a folder; the file itself is on disk
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
        if _still_names(temporary, descriptor):
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
                    if _lock_is_free(descriptor):
                        Path(entry.path).unlink()
                        log.warning("Removed %s, which a killed run had left", entry.path)
                finally:
                    os.close(descriptor)


def _lock_is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock; if so, this process does from now on, until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _still_names(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to the file or folder that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
