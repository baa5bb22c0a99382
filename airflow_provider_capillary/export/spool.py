"""Records on local disk, in the order of ``(startTime, id)``, each once, in memory that does not grow with their number.

An external merge sort in one file without a name (:mod:`.runs`). Records gather in memory; where they take :data:`_RUN_BYTES`, they are
sorted and written as one *run*. The reader's windows hardly overlap, so most of the merge copies whole blocks of a run and looks at no
record of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from operator import eq
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary.api.event_logs import EventLog
from airflow_provider_capillary.api.statuses import NO_STATUS, SUCCESS, name_of
from airflow_provider_capillary.errors import MalformedAnswerError, ReadingStoppedError
from airflow_provider_capillary.export.json_lines import JsonLines, are_lines, fields_of, line_of, pair_line, to_json
from airflow_provider_capillary.export.runs import Block, RunFile, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.export.runs import BlockForm, Key
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["OTHER_STATUSES", "Spool", "pair_line", "to_json"]

OTHER_STATUSES = "OTHER_STATUSES"
"""Where statuses are counted once :data:`_MOST_STATUSES` different ones have been seen."""

# The list of statuses is open. Six are documented; a server that writes data into the field must not fill memory and XCom. The number of
# a status has to fit into one byte.
_MOST_STATUSES = 200

_RUN_BYTES = 8 * 1024 * 1024
_OVERHEAD = 250
"""About the bytes that Python needs beside those of a record's text: its key, and the headers of both."""
_BLOCK_BYTES = 64 * 1024
"""Of text. The merge reads one block of each run at a time; ten million records are some 900 runs."""
_BATCH = 500
"""Records that are checked together; between two batches the spool looks whether the task is being stopped."""

# The years 1 to 9999, in epoch milliseconds: what a datetime, and with it the receipt, can say.
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999


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
    :param form: how the records are kept and given back; ``None`` for lines of JSON.
    :param stop: asked every few hundred records; once it says true, adding and iterating raise :class:`ReadingStoppedError`.

    Of several records of one ``(startTime, id)`` the first is kept. Times are epoch milliseconds. What is counted is found by reading the
    index of all records, at the first question after one was added. On disk a record takes its text, its time and id once more, and a
    byte.
    """

    def __init__(self, tempdir: TempDir, *, stop: Callable[[], bool], form: BlockForm | None = None) -> None:
        self._stop = stop
        self._form = form or JsonLines()
        self._file = RunFile(tempdir, self._form)
        self._blocks: list[Block] = []
        """One for each answer that came; or, where records came otherwise, of each of them:"""
        self._keys: list[Key] = []
        self._lines: list[bytes] = []
        self._statuses: list[int] = []
        self._bytes = 0
        self._last_run: list[Block] = []
        """The run that is sorted and not written: what fits into one run never touches the disk."""
        self._status_names = [SUCCESS, OTHER_STATUSES]
        self._status_numbers: dict[str | None, int] = {SUCCESS: 0, OTHER_STATUSES: 1}
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
        self._check_stop()
        self._keep(record, line_of(record))

    def add_all(self, records: Iterable[Mapping[str, Any]]) -> None:
        """:meth:`add` for each of many records, in a fraction of the time.

        :raises CapillaryError: as :meth:`add`, and whatever ``records`` raises.
        """
        iterator = iter(records)
        while batch := list(islice(iterator, _BATCH)):
            self._check_stop()
            if not self._keep_batch(batch):
                for record in batch:
                    self._keep(record, line_of(record))

    def add_page(self, records: EventLogs) -> None:
        """:meth:`add` for each record of an answer, in a fraction of the time of :meth:`add_all`.

        :raises CapillaryError: as :meth:`add`.
        """
        self._check_stop()
        if not records.is_text:
            self.add_all(records)
            return
        records = records.ordered()
        if not records:
            return
        content = self._form.of_page(records)
        if content is None:
            self.add_all(records)
            return
        if self._keys:
            self._sort()
        try:
            statuses = bytes(map(self._status_numbers.__getitem__, records.column("status")))
        except (KeyError, TypeError):  # a new status; one that is a list
            statuses = bytes(map(self._number_of, records.column("status")))
        self._totals = None
        self._blocks.append(Block.of(records.times, records.ids, statuses, content, self._form))
        self._grow(len(content) + len(records) * _OVERHEAD)

    def add_line(self, line: bytes) -> None:
        """Keep a record of an earlier object, its text as it is, unless one with its ``(startTime, id)`` is kept already.

        :param line: one JSON object, UTF-8, without a line feed.
        :raises CapillaryError: as :meth:`add`.
        """
        self._check_stop()
        self._keep(fields_of(line), line)

    def blocks(self) -> Iterator[bytes]:
        """Each record once, sorted by ``(startTime, id)``; each item holds some, in the spool's form.

        Ids are ordered by code point.
        """
        for block, low, high in self._merged():
            yield block.content_of(low, high)

    def drain(self) -> Iterator[bytes]:
        """:meth:`blocks` for the last time: what has been given takes no more room on disk. Counts can still be asked for."""
        self._counted()
        for block, low, high in self._merged(once=True):
            yield block.content_of(low, high)

    def entries(self) -> Iterator[tuple[Key, bytes]]:
        """Each record once, sorted by ``(startTime, id)``: that key, and the line without its end; of a spool of lines."""
        for block, low, high in self._merged():
            yield from zip(block.keys[low:high], block.content_of(low, high)[:-1].split(b"\n"), strict=True)

    def count_of(self, pairs: Iterable[Key]) -> tuple[int, int]:
        """How many of these distinct pairs there are, and how many of them are spooled.

        :param pairs: in ascending order, as :func:`.formats.read_pairs` gives them.
        """
        total = known = 0
        keys = (key for block, low, high in self._merged() for key in block.keys[low:high])
        key = next(keys, None)
        for number, pair in enumerate(pairs):
            if number % _BATCH == 0:
                self._check_stop()
            total += 1
            while key is not None and key < pair:
                key = next(keys, None)
            known += key == pair
        return total, known

    def _keep_batch(self, batch: list[Mapping[str, Any]]) -> bool:
        """Keep records of the API as they are, all or none of them: what :meth:`_keep` does, for the usual case."""
        try:
            times, ids = [record["startTime"] for record in batch], [record["id"] for record in batch]
            lines = [record.raw for record in batch if type(record) is EventLog]
            known = [self._status_numbers.get(record.get("status")) for record in batch]
        except (KeyError, TypeError):  # no time or id; a status that is a list
            return False
        if set(map(type, times)) != {int} or set(map(type, ids)) != {str} or min(times) < _EARLIEST or max(times) > _LATEST:
            return False
        if len(lines) != len(batch) or not are_lines(b"\n".join([*lines, b""]), len(lines)):
            return False
        if self._blocks:
            self._sort()
        self._totals = None
        self._keys += zip(times, ids, strict=True)
        self._lines += lines
        self._statuses += known if None not in known else map(self._status_of, batch)  # type: ignore[arg-type]  # it has none
        self._grow(sum(map(len, lines)) + len(batch) * _OVERHEAD)
        return True

    def _keep(self, record: Mapping[str, Any], line: bytes) -> None:
        if self._blocks:
            self._sort()
        self._totals = None
        self._keys.append(_key_of(record))
        self._lines.append(line)
        self._statuses.append(self._status_of(record))
        self._grow(len(line) + _OVERHEAD)

    def _status_of(self, record: Mapping[str, Any]) -> int:
        return self._number_of(record.get("status"))

    def _number_of(self, value: object) -> int:
        """Which status, as a place in the list of those seen."""
        status = name_of(value)
        number = self._status_numbers.get(status)
        if number is None:
            if len(self._status_names) - 2 >= _MOST_STATUSES:
                return self._status_numbers[OTHER_STATUSES]
            number = self._status_numbers[status] = len(self._status_names)
            self._status_names.append(status)
        if status == NO_STATUS:
            self._status_numbers[None] = self._status_numbers[""] = number
        return number

    def _grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes >= _RUN_BYTES:
            self._sort()
            self._write_last_run()

    def _write_last_run(self) -> None:
        if self._last_run:
            self._file.write_run(self._last_run)
            self._last_run = []

    def _sort(self) -> None:
        """Make a run of what has gathered."""
        if not self._keys and not self._blocks:
            return
        self._write_last_run()
        if self._blocks:
            self._last_run = list(_joined(merge([iter([block]) for block in self._blocks]), self._form))
            self._blocks, self._bytes = [], 0
            return
        keys, lines, statuses = self._keys, self._lines, self._statuses
        order = sorted(range(len(keys)), key=keys.__getitem__)  # stable, so that the first of two is before the second
        ordered = [keys[place] for place in order]
        if any(map(eq, ordered, islice(ordered, 1, None))):
            order = [place for at, place in enumerate(order) if at == 0 or ordered[at] != ordered[at - 1]]
            ordered = [keys[place] for place in order]
        step = max(1, len(order) * _BLOCK_BYTES // self._bytes)
        for begin in range(0, len(order), step):
            places = order[begin : begin + step]
            content = self._form.of_lines([lines[place] for place in places])
            numbers = bytes([statuses[place] for place in places])
            times, ids = zip(*ordered[begin : begin + step], strict=True)
            self._last_run.append(Block.of(times, ids, numbers, content, self._form))
        self._keys, self._lines, self._statuses, self._bytes = [], [], [], 0

    def _merged(self, *, once: bool = False) -> Iterator[tuple[Block, int, int]]:
        self._sort()
        last_run = iter(self._last_run)
        if once:
            last_run, self._last_run = _emptied(self._last_run), []
        for part in merge([*self._file.runs(once=once), last_run]):
            self._check_stop()
            yield part
        self._check_stop()

    def _counted(self) -> _Totals:
        if self._totals is not None:
            return self._totals
        totals, digest, counts = _Totals(), hashlib.sha256(), Counter[int]()
        for block, low, high in self._merged():
            if totals.first is None:
                totals.first = block.first[0] if low == 0 else block.keys[low][0]
            totals.last = block.last[0] if high == len(block) else block.keys[high - 1][0]
            totals.events += high - low
            statuses = block.index[1][low:high]
            counts.update({number: statuses.count(number) for number in set(statuses)})
            digest.update(block.pairs_of(low, high))
        totals.failures = totals.events - counts[0]
        totals.statuses = {name: counts[number] for number, name in enumerate(self._status_names) if counts[number]}
        totals.ids_sha256 = digest.hexdigest()
        self._totals = totals
        return totals

    def _check_stop(self) -> None:
        if self._stop():
            raise ReadingStoppedError("The task was stopped while it exported; nothing was published")


def _emptied(blocks: list[Block]) -> Iterator[Block]:
    """The blocks, none of which is kept here once it is given."""
    blocks.reverse()
    while blocks:
        yield blocks.pop()


def _joined(parts: Iterable[tuple[Block, int, int]], form: BlockForm) -> Iterator[Block]:
    """Blocks of a useful size, each of one part or of several small ones."""
    small: list[tuple[Block, int, int]] = []
    size = 0
    for part in parts:
        block, low, high = part
        is_large = high - low == len(block) and len(block.content()) >= _BLOCK_BYTES
        if not is_large:
            small.append(part)
            size += len(block.content()) * (high - low) // len(block)
        if small and (is_large or size >= _BLOCK_BYTES):
            yield _one_of(small, form)
            small, size = [], 0
        if is_large:
            yield block
    if small:
        yield _one_of(small, form)


def _one_of(parts: list[tuple[Block, int, int]], form: BlockForm) -> Block:
    keys = [key for block, low, high in parts for key in block.keys[low:high]]
    statuses = b"".join([block.index[1][low:high] for block, low, high in parts])
    content = form.joined([block.content_of(low, high) for block, low, high in parts])
    times, ids = zip(*keys, strict=True)
    return Block.of(times, ids, statuses, content, form)


def _key_of(record: Mapping[str, Any]) -> Key:
    start_time, record_id = record.get("startTime"), record.get("id")
    if isinstance(start_time, bool) or not isinstance(start_time, int) or not _EARLIEST <= start_time <= _LATEST:
        raise MalformedAnswerError(f"A record's startTime is not in epoch milliseconds of the years 1 to 9999, it is {_kind(start_time)}")
    if not isinstance(record_id, str):
        raise MalformedAnswerError(f"A record's id is not a string but {_kind(record_id)}")
    return start_time, record_id


def _kind(value: object) -> str:
    return "absent" if value is None else f"of type {type(value).__name__}"
