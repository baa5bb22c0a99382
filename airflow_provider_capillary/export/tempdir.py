"""Local disk for one export: temporary files without a name, so that nothing is left of them however the process ends.

A killed task runs no ``finally``. What the kernel keeps for a file without a name goes with the last process that has it open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_capillary.errors import PublishError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TempDir", "local_disk_errors", "open_tempdir"]

_PREFIX = "capillary-export-"


class TempDir:
    """Temporary files of one export, in the temporary directory. See :func:`open_tempdir`."""

    def __init__(self, folder: str, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack

    def __str__(self) -> str:
        return self._folder

    def descriptor(self) -> int:
        """Open a new, empty file without a name, for reading and writing; it is closed with the tempdir.

        :raises PublishError: the temporary directory cannot be written.
        """
        with local_disk_errors(self):
            return self._stack.enter_context(tempfile.TemporaryFile(prefix=_PREFIX, dir=self._folder, buffering=0)).fileno()

    def file(self) -> Path:
        """A path that leads to a new, empty file until the tempdir is closed, in this process alone.

        The file has no name of its own where the system opens an open file anew by ``/proc/self/fd/N`` or ``/dev/fd/N``, as Linux does.
        Elsewhere (macOS opens the same file at the same position instead, which the libraries of the stores can't know) it has one,
        under which the user alone can read it, and a ``SIGKILL`` leaves it behind.

        :raises PublishError: the temporary directory cannot be written.
        """
        descriptor = self.descriptor()
        for path in (Path(f"/proc/self/fd/{descriptor}"), Path(f"/dev/fd/{descriptor}")):
            if _opens_anew(path, descriptor):
                return path
        with local_disk_errors(self):
            return Path(self._stack.enter_context(tempfile.NamedTemporaryFile(prefix=_PREFIX, dir=self._folder)).name)

    def file_in(self, folder: Path) -> Path | None:
        """A path as of :meth:`file`, to a file on the disk of another folder, with the access rights of any new file there.

        It can be given a name in that folder, by :func:`os.link`. ``None`` where the system or the disk has no such files.
        """
        try:
            # Not by TemporaryFile, whose file nobody else may read.
            descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except (AttributeError, OSError):  # only Linux has the flag
            return None
        self._stack.callback(os.close, descriptor)
        path = Path(f"/proc/self/fd/{descriptor}")
        return path if _opens_anew(path, descriptor) else None


def _opens_anew(path: Path, descriptor: int) -> bool:
    """Whether a path leads to the open, empty file, each time from its beginning."""
    try:
        os.write(descriptor, b"?")
        return path.read_bytes() == b"?"
    except OSError:
        return False
    finally:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)


@contextlib.contextmanager
def open_tempdir() -> Iterator[TempDir]:
    """Temporary files that go when this ends, and, but for what :meth:`TempDir.file` says of macOS, with a ``SIGKILL`` too.

    :raises PublishError: no temporary directory can be written.
    """
    with local_disk_errors(None):
        folder = tempfile.gettempdir()
    with contextlib.ExitStack() as stack:
        yield TempDir(folder, stack)


@contextlib.contextmanager
def local_disk_errors(tempdir: TempDir | None) -> Iterator[None]:
    """Turn what a full or read-only local disk raises into an error that names the directory and the way to another one.

    :param tempdir: where the work is done; ``None`` while the temporary directory is still looked for.
    :raises PublishError: instead of ``OSError``.
    """
    try:
        yield
    except OSError as error:
        # The first mention of tempfile.gettempdir() may be what failed.
        where = tempdir or tempfile.tempdir or "one of TMPDIR, /tmp, /var/tmp and the working directory"
        raise PublishError(
            f"Local disk for the export cannot be used: {where}",
            response=f"{errno.errorcode.get(error.errno or 0, type(error).__name__)}, {error.strerror or 'no usable temporary directory'}",
            hint="free space there, or set the environment variable TMPDIR of the worker to a directory with room for the export "
            "(its records uncompressed, and the finished object)",
        ) from error
