"""Sorted runs of records in one file without a name, and their merge by blocks.

A block holds some hundred records: an index (time and id, status) and the records themselves. The least and the greatest key of a block
are read apart from the index, and the index apart from the records. So a block that overlaps with no other is neither decoded nor split,
and counting costs a tenth of reading.
"""

from __future__ import annotations

import json
import os
import struct
from bisect import bisect_left
from functools import cached_property, partial
from heapq import heapify, heappop, heapreplace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from airflow_provider_capillary.export.json_lines import pair_lines
from airflow_provider_capillary.export.tempdir import local_disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.usual_pages import ListDecoder
    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Block", "BlockForm", "Key", "RunFile", "merge"]

Key: TypeAlias = tuple[int, str]
"""``(startTime, id)``; text compares by code point."""

# Records; the least and the greatest time; bytes of the least id, of the greatest id, of all pairs, of the content.
_HEAD = struct.Struct("=IqqQQQQ")
_UTF8 = ("utf-8", "surrogatepass")
"""An id may hold a lone surrogate."""


class BlockForm(Protocol):
    """How the records of a block are written: :class:`.json_lines.JsonLines` or :class:`.parquet.Columns`.

    :ivar decode: what decodes answers for :meth:`of_page`; ``None`` for the usual way.
    """

    decode: ListDecoder | None

    def of_page(self, records: EventLogs) -> bytes | None:
        """The records of one answer, or ``None`` where each has to be looked at by itself: :meth:`of_lines`."""

    def of_lines(self, lines: list[bytes]) -> bytes:
        """Records as :func:`.json_lines.line_of` gives them."""

    def opened(self, content: bytes) -> Any:  # noqa: ANN401  # what `part` takes
        """A block from which parts are taken."""

    def part(self, opened: Any, low: int, high: int) -> bytes:  # noqa: ANN401  # what `opened` gives
        """The records from ``low`` up to ``high``."""

    def joined(self, contents: list[bytes]) -> bytes:
        """The records of all of them."""


class Block:
    """Neighbouring records of a run, in order, each key once.

    :param first: the least key.
    :param last: the greatest key.
    :param size: how many records.
    :param index: what gives :func:`.json_lines.pair_line` of each, and a byte for the status of each.
    :param content: what gives the records.
    :param form: how they are written.
    """

    def __init__(
        self,
        first: Key,
        last: Key,
        size: int,
        *,
        index: Callable[[], tuple[bytes, bytes]],
        content: Callable[[], bytes],
        form: BlockForm,
    ) -> None:
        self.first = first
        self.last = last
        self._size = size
        self._read_index = index
        self.content = content
        self._form = form

    @classmethod
    def of(cls, times: Sequence[int], ids: Sequence[str], statuses: bytes, content: bytes, form: BlockForm) -> Block:
        """A block in memory."""
        pairs, first, last = pair_lines(times, ids), (times[0], ids[0]), (times[-1], ids[-1])
        return cls(first, last, len(ids), index=lambda: (pairs, statuses), content=lambda: content, form=form)

    def __len__(self) -> int:
        return self._size

    @cached_property
    def index(self) -> tuple[bytes, bytes]:
        """The pairs and the statuses of all records."""
        return self._read_index()

    @cached_property
    def keys(self) -> list[Key]:
        """The key of each record."""
        return list(map(tuple, json.loads(b"[" + self.index[0][:-1].replace(b"\n", b",") + b"]")))

    def pairs_of(self, low: int, high: int) -> bytes:
        """The pairs of some of the records."""
        pairs = self.index[0]
        return pairs if high - low == len(self) else b"".join(pairs.splitlines(keepends=True)[low:high])

    def content_of(self, low: int, high: int) -> bytes:
        """Some of the records."""
        return self.content() if high - low == len(self) else self._form.part(self._opened, low, high)

    @cached_property
    def _opened(self) -> Any:  # noqa: ANN401  # as the form likes it
        return self._form.opened(self.content())


class RunFile:
    """A file without a name that holds runs one after another.

    :param form: how the records of all blocks are written.
    """

    def __init__(self, tempdir: TempDir, form: BlockForm) -> None:
        self._tempdir = tempdir
        self._form = form
        self._file = tempdir.descriptor()
        self._ends = [0]

    def write_run(self, blocks: Iterable[Block]) -> None:
        """Append a run.

        :raises PublishError: the disk is full or cannot be written.
        """
        end = self._ends[-1]
        for block in blocks:
            (first, first_id), (last, last_id), content = block.first, block.last, block.content()
            ids = first_id.encode(*_UTF8), last_id.encode(*_UTF8)
            pairs, statuses = block.index
            head = _HEAD.pack(len(block), first, last, *map(len, (*ids, pairs, content)))
            end += self._write([head, *ids, pairs, statuses, content])
        self._ends.append(end)

    def runs(self, *, once: bool = False) -> list[Iterator[Block]]:
        """The blocks of each run, in the order in which the runs were written.

        :param once: give back the room of a run that was read to its end, as soon as all runs that were written after it are.
        """
        unread = set(range(len(self._ends) - 1))

        def read(number: int, begin: int, end: int) -> Iterator[Block]:
            yield from self._read_run(begin, end)
            unread.discard(number)
            if once:
                self._cut(max(unread, default=-1) + 1)

        return [read(number, *span) for number, span in enumerate(pairwise(self._ends))]

    def _cut(self, count: int) -> None:
        """Keep the first runs alone."""
        if count < len(self._ends) - 1:
            del self._ends[count + 1 :]
            with local_disk_errors(self._tempdir):
                os.ftruncate(self._file, self._ends[-1])
                os.lseek(self._file, 0, os.SEEK_END)

    def _write(self, parts: list[bytes]) -> int:
        size = sum(map(len, parts))
        with local_disk_errors(self._tempdir):
            written = os.writev(self._file, parts)
            if written < size:
                rest = memoryview(b"".join(parts))
                while written < size:
                    written += os.write(self._file, rest[written:])
        return size

    def _read_run(self, at: int, end: int) -> Iterator[Block]:
        while at < end:
            count, first, last, first_size, last_size, pairs_size, content_size = _HEAD.unpack(self._read(at, _HEAD.size))
            at += _HEAD.size
            ids = self._read(at, first_size + last_size)
            at += len(ids)
            index = partial(self._read_index, at, count, pairs_size)
            at += pairs_size + count
            content = partial(self._read, at, content_size)
            least, greatest = (first, ids[:first_size].decode(*_UTF8)), (last, ids[first_size:].decode(*_UTF8))
            yield Block(least, greatest, count, index=index, content=content, form=self._form)
            at += content_size

    def _read_index(self, at: int, count: int, pairs_size: int) -> tuple[bytes, bytes]:
        index = self._read(at, pairs_size + count)
        return index[:pairs_size], index[pairs_size:]

    def _read(self, at: int, size: int) -> bytes:
        with local_disk_errors(self._tempdir):
            content = os.pread(self._file, size, at)
            while len(content) < size:
                more = os.pread(self._file, size - len(content), at + len(content))
                if not more:
                    raise OSError("The spool is shorter than what was written to it")
                content += more
        return content


def merge(runs: list[Iterator[Block]]) -> Iterator[tuple[Block, int, int]]:
    """The records of all runs in order, each key once, as ``(block, low, high)``: the records of a block from ``low`` up to ``high``.

    Of equal keys, that of the earlier run is kept. A stretch of one run that lies between two records of the others is one part.
    """
    heap: list[tuple[Key, int, Block, int]] = []
    for rank, run in enumerate(runs):
        if (block := next(run, None)) is not None:
            heap.append((block.first, rank, block, 0))
    heapify(heap)
    previous: Key | None = None
    while heap:
        key, rank, block, low = heap[0]
        if key == previous:  # an earlier run had it
            high = low + 1
        else:
            limit = min(heap[1:3], default=None)
            is_apart = limit is None or block.last < limit[0]
            high = len(block) if is_apart else max(low + 1, bisect_left(block.keys, limit[0]))  # type: ignore[index]  # it is not apart
            yield block, low, high
            previous = block.last if high == len(block) else block.keys[high - 1]
        following: Block | None = block
        if high == len(block):
            following, high = next(runs[rank], None), 0
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.keys[high] if high else following.first, rank, following, high))
