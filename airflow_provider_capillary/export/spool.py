"""Records on local disk, in the order of ``(startTime, id)``, each once, in memory that does not grow with their number.

An external merge sort in one file without a name: records gather in memory, are sorted and appended to the file as a *run* where there are
:data:`_RUN_BYTES` of them, and are merged from all runs each time that they are read back. What fits into one run never touches the disk.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_capillary.api.statuses import SUCCESS, status_of
from airflow_provider_capillary.errors import MalformedAnswerError, ReadingStoppedError
from airflow_provider_capillary.export.json_lines import fields_of, line_of, pair_line, to_json
from airflow_provider_capillary.export.tempdir import local_disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["OTHER_STATUSES", "Spool", "pair_line", "to_json"]

OTHER_STATUSES = "OTHER_STATUSES"
"""Where statuses are counted once :data:`_MOST_STATUSES` different ones have been seen."""

# The list of statuses is open. Six are documented; a server that writes data into the field must not fill memory and XCom.
_MOST_STATUSES = 200

_RUN_BYTES = 16 * 1024 * 1024
_OVERHEAD = 200
"""About the bytes that Python needs beside those of a record."""

# All runs are read at once, each in blocks; together the blocks take this much, unless there are thousands of runs (60 GiB of records).
_MERGE_BYTES = 16 * 1024 * 1024
_LEAST_BLOCK, _MOST_BLOCK = 4 * 1024, 256 * 1024
_WRITE_BLOCK = 1024 * 1024

# The years 1 to 9999, in epoch milliseconds: what a datetime, and with it the receipt, can say.
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999

# A key sorts as bytes: eight for the time, which may be negative, then the id.
_BIAS = 1 << 63
_TIME_BYTES = 8

_Entry: TypeAlias = tuple[bytes, bytes, int]
"""Key, line, and which status, as a place in the list of those seen."""
_HEAD = struct.Struct(">IIH")
_by_key = itemgetter(0)


@dataclass
class _Totals:
    """What is counted of the records, each once."""

    events: int = 0
    failures: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    ids_sha256: str = ""


class Spool:
    """Takes records in any order, gives them back sorted.

    :param tempdir: for the temporary file.
    :param stop: asked at every record; once it says true, adding and iterating raise :class:`ReadingStoppedError`.

    Of several records of one ``(startTime, id)`` the first is kept. Times are epoch milliseconds. What is counted is found by reading all
    records once more, at the first question after one was added.
    """

    def __init__(self, tempdir: TempDir, *, stop: Callable[[], bool]) -> None:
        self._tempdir = tempdir
        self._stop = stop
        self._file = tempdir.descriptor()
        self._runs = [0]
        """Where each run ends in the file, and with it where the next one begins."""
        self._latest: list[_Entry] = []
        self._latest_bytes = 0
        self._latest_is_sorted = True
        self._status_names = [SUCCESS, OTHER_STATUSES]
        self._status_numbers = {SUCCESS: 0, OTHER_STATUSES: 1}
        self._totals: _Totals | None = None

    @property
    def events(self) -> int:
        """How many records there are."""
        return self._counted().events

    @property
    def failures(self) -> int:
        """How many of them have any status but ``EVENT_SUCCESS``, or none."""
        return self._counted().failures

    @property
    def statuses(self) -> dict[str, int]:
        """How many there are of each status."""
        return self._counted().statuses

    @property
    def first_start_time(self) -> int | None:
        """The least ``startTime``; ``None`` without records."""
        return self._counted().first

    @property
    def last_start_time(self) -> int | None:
        """The greatest ``startTime``; ``None`` without records."""
        return self._counted().last

    def ids_sha256(self) -> str:
        """SHA-256 over :func:`pair_line` of every record in order: equal for equal sets of ``(startTime, id)``, whatever the bodies."""
        return self._counted().ids_sha256

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, unless one with its ``(startTime, id)`` is kept already.

        :raises MalformedAnswerError: ``id`` is not a string, or ``startTime`` not an integer within the years 1 to 9999.
        :raises PublishError: the local disk is full or cannot be written.
        :raises ReadingStoppedError: the task is being stopped.
        """
        self._keep(record, line_of(record))

    def add_line(self, line: bytes) -> None:
        """Keep a record of an earlier object, its text as it is, unless one with its ``(startTime, id)`` is kept already.

        :param line: one JSON object, UTF-8, without a line feed.
        :raises CapillaryError: as :meth:`add`.
        """
        self._keep(fields_of(line), line)

    def _keep(self, record: Mapping[str, Any], line: bytes) -> None:
        self._check_stop()
        self._totals = None
        self._latest.append((_key_of(record), line, self._number_of(status_of(record))))
        self._latest_is_sorted = False
        self._latest_bytes += len(line) + _OVERHEAD
        if self._latest_bytes >= _RUN_BYTES:
            self._write_run()

    def _number_of(self, status: str) -> int:
        number = self._status_numbers.get(status)
        if number is None:
            if len(self._status_names) - 2 >= _MOST_STATUSES:
                return self._status_numbers[OTHER_STATUSES]
            number = self._status_numbers[status] = len(self._status_names)
            self._status_names.append(status)
        return number

    def _write_run(self) -> None:
        pending, end = bytearray(), self._runs[-1]
        for key, line, status in self._sorted_latest():
            pending += _HEAD.pack(len(key), len(line), status)
            pending += key
            pending += line
            if len(pending) >= _WRITE_BLOCK:
                end += self._write(pending)
                pending.clear()
        end += self._write(pending)
        self._runs.append(end)
        self._latest, self._latest_bytes = [], 0

    def _write(self, content: bytearray) -> int:
        with local_disk_errors(self._tempdir), memoryview(content) as view:
            written = 0
            while written < len(view):
                written += os.write(self._file, view[written:])
        return len(content)

    def _sorted_latest(self) -> list[_Entry]:
        if not self._latest_is_sorted:
            self._latest.sort(key=_by_key)  # stable, so that the first of two is before the second
            self._latest_is_sorted = True
        return self._latest

    def lines(self) -> Iterator[bytes]:
        """Each record once, sorted by ``(startTime, id)``, as UTF-8 JSON without a line feed; ids are ordered by code point."""
        for _, line, _ in self._merged():
            yield line

    def count_of(self, pairs: Iterable[tuple[int, str]]) -> tuple[int, int]:
        """How many of these distinct pairs there are, and how many of them are spooled.

        :param pairs: in ascending order, as :func:`.formats.read_pairs` gives them.
        """
        total = known = 0
        entries = self._merged()
        key = b""
        for start_time, record_id in pairs:
            self._check_stop()
            total += 1
            if not _EARLIEST <= start_time <= _LATEST:
                continue
            wanted = _packed(start_time, record_id)
            while key < wanted:
                entry = next(entries, None)
                if entry is None:
                    # No more are known; the rest is counted.
                    return total + sum(1 for _ in pairs), known
                key = entry[0]
            known += key == wanted
        return total, known

    def _merged(self) -> Iterator[_Entry]:
        block = max(_LEAST_BLOCK, min(_MOST_BLOCK, _MERGE_BYTES // len(self._runs)))
        runs: list[Iterable[_Entry]] = [self._read_run(begin, end, block) for begin, end in pairwise(self._runs)]
        runs.append(self._sorted_latest())
        previous = b""
        # Of equal keys, that of the earlier run comes first.
        for entry in heapq.merge(*runs, key=_by_key) if len(runs) > 1 else runs[0]:
            self._check_stop()
            if entry[0] != previous:
                previous = entry[0]
                yield entry

    def _read_run(self, begin: int, end: int, block: int) -> Iterator[_Entry]:
        content, at = b"", 0
        while begin < end or at < len(content):
            if len(content) - at >= _HEAD.size:
                key_size, line_size, status = _HEAD.unpack_from(content, at)
                of_key = at + _HEAD.size
                of_line = of_key + key_size
                behind = of_line + line_size
                if behind <= len(content):
                    yield content[of_key:of_line], content[of_line:behind], status
                    at = behind
                    continue
                block = max(block, behind - at)
            with local_disk_errors(self._tempdir):
                more = os.pread(self._file, min(block, end - begin), begin)
            if not more:
                raise OSError("The spool is shorter than what was written to it")
            content, at = content[at:] + more, 0
            begin += len(more)

    def _counted(self) -> _Totals:
        if self._totals is not None:
            return self._totals
        totals, digest, counts = _Totals(), hashlib.sha256(), [0] * len(self._status_names)
        start_time = None
        for key, _, status in self._merged():
            start_time = int.from_bytes(key[:_TIME_BYTES]) - _BIAS
            if totals.first is None:
                totals.first = start_time
            totals.events += 1
            counts[status] += 1
            digest.update(pair_line(start_time, key[_TIME_BYTES:].decode("utf-8", "surrogatepass")))
        totals.last = start_time
        totals.failures = totals.events - counts[0]
        totals.statuses = {name: count for name, count in zip(self._status_names, counts, strict=True) if count}
        totals.ids_sha256 = digest.hexdigest()
        self._totals = totals
        return totals

    def _check_stop(self) -> None:
        if self._stop():
            raise ReadingStoppedError("The task was stopped while it exported; nothing was published")


def _key_of(record: Mapping[str, Any]) -> bytes:
    start_time, record_id = record.get("startTime"), record.get("id")
    if isinstance(start_time, bool) or not isinstance(start_time, int) or not _EARLIEST <= start_time <= _LATEST:
        raise MalformedAnswerError(f"A record's startTime is not in epoch milliseconds of the years 1 to 9999, it is {_kind(start_time)}")
    if not isinstance(record_id, str):
        raise MalformedAnswerError(f"A record's id is not a string but {_kind(record_id)}")
    return _packed(start_time, record_id)


def _packed(start_time: int, record_id: str) -> bytes:
    # The order of bytes is, for UTF-8, that of code points.
    return (start_time + _BIAS).to_bytes(_TIME_BYTES) + record_id.encode("utf-8", "surrogatepass")


def _kind(value: object) -> str:
    return "absent" if value is None else f"of type {type(value).__name__}"
