"""The budget of requests a minute: for all threads of a hook, and for all processes of one machine that share a credential.

The API counts the requests of a credential, whichever task sends them. So the processes of one user on one machine keep the state of the
budget, two times in seconds, in one small file for each base URL and login, and take turns under a lock of that file. The clock is
``time.monotonic``, which all processes of a machine share until it restarts. Across machines nothing is shared.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import struct
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.api.budget import MINUTE, Budget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.connection.settings import Settings

__all__ = ["Turns"]

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STATE: Final = struct.Struct("<dd")
LONGEST: Final = 4 * MINUTE
"""Seconds from now. A time in the file that lies further ahead is of a clock that has begun anew since."""

log = logging.getLogger(__name__)
_said: set[str] = set()


class Turns:
    """Lets threads and processes take requests from one budget, one at a time.

    Where the file can't be used, this process keeps a budget of its own, and the log says so once.
    """

    def __init__(self, settings: Settings) -> None:
        self._budget = Budget(settings.requests_per_minute)
        self._lock = threading.Lock()
        # Without the secret: the limit is that of the login, whatever its password, and a name of a file is no place for it.
        who = f"{settings.base_url} {settings.auth_type} {settings.login}"
        self._name = hashlib.blake2b(who.encode(), digest_size=16, person=b"capillary-turns").hexdigest()

    def take(self, now: float) -> float:
        """:meth:`.Budget.take`."""
        with self._lock, self._shared(now):
            return self._budget.take(now)

    def hold(self, now: float, seconds: float) -> None:
        """:meth:`.Budget.hold`."""
        with self._lock, self._shared(now):
            self._budget.hold(now, seconds)

    @contextmanager
    def _shared(self, now: float) -> Iterator[None]:
        """Read the budget's state from the file, and write it back."""
        file = self._open()
        if file is None:
            yield
            return
        try:
            # Ends with the file descriptor, also where the process is killed.
            fcntl.flock(file, fcntl.LOCK_EX)
            stored = os.pread(file, STATE.size, 0)
            times = STATE.unpack(stored) if len(stored) == STATE.size else (0.0, 0.0)
            self._budget.full_at, self._budget.held_until = (time if time < now + LONGEST else 0.0 for time in times)
            yield
            os.pwrite(file, STATE.pack(self._budget.full_at, self._budget.held_until), 0)
        finally:
            os.close(file)

    def _open(self) -> int | None:
        """The file, opened anew each time: somebody may tidy up the folder."""
        if fcntl is None:
            return None
        folder = ""
        try:
            # By plain calls: for each request, pathlib would cost twice as much.
            folder = f"{tempfile.gettempdir()}/airflow-capillary-{os.getuid()}"
            try:
                found = os.lstat(folder)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(folder, mode=0o700)  # noqa: PTH102
                found = os.lstat(folder)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
                _say(f"{folder} is not a folder of this user alone")
                return None
            return os.open(f"{folder}/{self._name}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _say(f"{folder} can't be used: {type(error).__name__}")
            return None


def _say(why: str) -> None:
    if why not in _said:
        _said.add(why)
        log.warning("The budget of requests a minute is not shared with other processes: %s", why)
