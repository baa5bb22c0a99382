"""Records on local disk, in the order of ``(startTime, id)``, each once, in memory that does not grow with their number.

The order and the uniqueness are SQLite's: a table whose primary key is ``(start_time, id)`` and that has no other order of rows. The
records are kept as the line of JSON that they become.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.errors import MalformedAnswerError, ReadingStoppedError
from airflow_provider_capillary.export.workspace import local_disk_errors
from airflow_provider_capillary.reading.statuses import SUCCESS, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["OTHER_STATUSES", "Spool", "pair_line", "to_json"]

OTHER_STATUSES = "OTHER_STATUSES"
"""Where statuses are counted once :data:`_MOST_STATUSES` different ones have been seen."""

# The list of statuses is open. Six are documented; a server that writes data into the field must not fill memory and XCom.
_MOST_STATUSES = 200

_CACHE_KIB = 8 * 1024

# The years 1 to 9999, in epoch milliseconds: what a datetime, and with it the receipt, can say.
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999

# What JSON allows raw inside a string and text tools take for the end of a line, and lone surrogates, which UTF-8 cannot carry.
_TO_ESCAPE = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def to_json(value: object) -> str:
    """One line of JSON that UTF-8 can carry: fields in their own order, text readable, no line break of any kind.

    Numbers keep their value (integers of any size); lone surrogates and the line separators of Unicode are escaped.

    :raises MalformedAnswerError: something that did not come from JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"A record cannot be written as JSON ({type(error).__name__})") from error
    return text if text.isascii() else _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def pair_line(start_time: int, record_id: str) -> bytes:
    """What one record adds to the digest of the ids: ``[startTime,"id"]`` and a line feed, in ASCII."""
    return (json.dumps([start_time, record_id], separators=(",", ":")) + "\n").encode("ascii")


class Spool:
    """Takes records in any order, gives them back sorted.

    :param folder: an existing folder for the temporary file.
    :param stop: asked at every record; once it says true, adding and iterating raise :class:`ReadingStoppedError`.

    Times are epoch milliseconds. The counters cover each kept record once: a second record of the same ``(startTime, id)`` is dropped.
    """

    def __init__(self, folder: Path, *, stop: Callable[[], bool]) -> None:
        self._folder = folder
        self._stop = stop
        self.events = 0
        self.failures = 0
        self.statuses: dict[str, int] = {}
        self.first_start_time: int | None = None
        self.last_start_time: int | None = None
        with local_disk_errors(folder):
            self._database = sqlite3.connect(folder / "spool.sqlite", isolation_level=None)
            # Nothing here outlives the process, so nothing has to survive a crash: no journal, no syncing, one open transaction.
            for statement in (
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "PRAGMA locking_mode = EXCLUSIVE",
                f"PRAGMA cache_size = -{_CACHE_KIB}",
                "CREATE TABLE spool (start_time INTEGER, id BLOB, body BLOB, PRIMARY KEY (start_time, id)) WITHOUT ROWID",
                "BEGIN",
            ):
                self._database.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(sqlite3.Error):  # the folder goes too
            self._database.close()

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, unless one with its ``(startTime, id)`` is kept already.

        :raises MalformedAnswerError: ``id`` is not a string, or ``startTime`` not an integer within the years 1 to 9999.
        :raises PublishError: the local disk is full or cannot be written.
        :raises ReadingStoppedError: the task is being stopped.
        """
        self._keep(record, to_json(record).encode())

    def add_line(self, line: bytes) -> None:
        """Keep a record of an earlier object, its text as it is, unless one with its ``(startTime, id)`` is kept already.

        :param line: one JSON object, UTF-8, without a line feed.
        :raises CapillaryError: as :meth:`add`.
        """
        self._keep(json.loads(line), line)

    def _keep(self, record: Mapping[str, Any], text: bytes) -> None:
        self._check_stop()
        start_time, key = _key(record)
        row = (start_time, key, text)
        with local_disk_errors(self._folder):
            added = self._database.execute("INSERT OR IGNORE INTO spool VALUES (?, ?, ?)", row).rowcount
        if added == 1:
            self._count(record, start_time)

    def _count(self, record: Mapping[str, Any], start_time: int) -> None:
        self.events += 1
        status = status_of(record)
        self.failures += status != SUCCESS
        if status not in self.statuses and len(self.statuses) >= _MOST_STATUSES:
            status = OTHER_STATUSES
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.first_start_time is None or start_time < self.first_start_time:
            self.first_start_time = start_time
        if self.last_start_time is None or start_time > self.last_start_time:
            self.last_start_time = start_time

    def lines(self) -> Iterator[bytes]:
        """Each record once, sorted by ``(startTime, id)``, as UTF-8 JSON without a line feed; ids are ordered by code point."""
        for (body,) in self._rows("SELECT body FROM spool ORDER BY start_time, id"):
            yield body

    def ids_sha256(self) -> str:
        """SHA-256 over :func:`pair_line` of every record in order: equal for equal sets of ``(startTime, id)``, whatever the bodies."""
        digest = hashlib.sha256()
        for start_time, key in self._rows("SELECT start_time, id FROM spool ORDER BY start_time, id"):
            digest.update(pair_line(start_time, key.decode("utf-8", "surrogatepass")))
        return digest.hexdigest()

    def count_of(self, pairs: Iterable[tuple[int, str]]) -> tuple[int, int]:
        """How many of these distinct pairs there are, and how many of them are spooled."""
        total = known = 0
        for start_time, record_id in pairs:
            self._check_stop()
            total += 1
            key = record_id.encode("utf-8", "surrogatepass")
            with local_disk_errors(self._folder):
                found = self._database.execute("SELECT 1 FROM spool WHERE start_time = ? AND id = ?", (start_time, key)).fetchone()
            known += found is not None
        return total, known

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with local_disk_errors(self._folder):
            cursor = self._database.execute(query)
            while True:
                self._check_stop()
                row = cursor.fetchone()
                if row is None:
                    return
                yield row

    def _check_stop(self) -> None:
        if self._stop():
            raise ReadingStoppedError("The task was stopped while it exported; nothing was published")


def _key(record: Mapping[str, Any]) -> tuple[int, bytes]:
    start_time, record_id = record.get("startTime"), record.get("id")
    if isinstance(start_time, bool) or not isinstance(start_time, int) or not _EARLIEST <= start_time <= _LATEST:
        raise MalformedAnswerError(f"A record's startTime is not in epoch milliseconds of the years 1 to 9999, it is {_kind(start_time)}")
    if not isinstance(record_id, str):
        raise MalformedAnswerError(f"A record's id is not a string but {_kind(record_id)}")
    # SQLite compares blobs byte by byte, which for UTF-8 is the order of code points; text with a lone surrogate it would refuse.
    return start_time, record_id.encode("utf-8", "surrogatepass")


def _kind(value: object) -> str:
    return "absent" if value is None else f"of type {type(value).__name__}"
