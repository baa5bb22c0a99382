"""Sorted runs of records in one file without a name, and their merge by blocks.

A block holds some hundred records: an index (time and id, status) and the lines themselves. The index is read apart from the lines, so
that counting costs a tenth of reading.
"""

from __future__ import annotations

import json
import os
import struct
from array import array
from bisect import bisect_left
from functools import cached_property, partial
from heapq import heapify, heappop, heapreplace
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_capillary.export.tempdir import local_disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_capillary.export.tempdir import TempDir

__all__ = ["Block", "Key", "RunFile", "merge"]

Key: TypeAlias = tuple[int, str]
"""``(startTime, id)``; text compares by code point."""

# Records, bytes of the pairs, bytes of the lines.
_HEAD = struct.Struct("=IQQ")
_WRITE_BYTES = 1024 * 1024


class Block:
    """Neighbouring records of a run, in order, each key once.

    :param pairs: :func:`.json_lines.pair_line` of each.
    :param statuses: a number for each.
    :param text: the lines, each with its line feed; or what gives them, each time that they are wanted.
    """

    def __init__(self, pairs: bytes, statuses: array[int], text: bytes | Callable[[], bytes]) -> None:
        self.pairs = pairs
        self.statuses = statuses
        self._text = text

    def __len__(self) -> int:
        return len(self.statuses)

    @cached_property
    def first(self) -> Key:
        """The least key."""
        return _key_of(self.pairs[: self.pairs.index(b"\n")])

    @cached_property
    def last(self) -> Key:
        """The greatest key."""
        return _key_of(self.pairs[self.pairs.rfind(b"\n", 0, -1) + 1 :])

    @cached_property
    def keys(self) -> list[Key]:
        """The key of each record."""
        return list(map(tuple, json.loads(b"[" + self.pairs[:-1].replace(b"\n", b",") + b"]")))

    def pairs_of(self, low: int, high: int) -> bytes:
        """The pairs of some of the records."""
        return self.pairs if high - low == len(self) else b"".join(self.pairs.splitlines(keepends=True)[low:high])

    def text_of(self, low: int, high: int) -> bytes:
        """The lines of some of the records."""
        return self._whole_text() if high - low == len(self) else b"".join(self._split[low:high])

    def _whole_text(self) -> bytes:
        return self._text if isinstance(self._text, bytes) else self._text()

    @cached_property
    def _split(self) -> list[bytes]:
        # Not by splitlines, which splits at carriage returns too.
        return [line + b"\n" for line in self._whole_text()[:-1].split(b"\n")]


def _key_of(pair: bytes) -> Key:
    start_time, record_id = json.loads(pair)
    return start_time, record_id


class RunFile:
    """A file without a name that holds runs one after another."""

    def __init__(self, tempdir: TempDir) -> None:
        self._tempdir = tempdir
        self._file = tempdir.descriptor()
        self._ends = [0]

    def write_run(self, blocks: Iterable[Block]) -> None:
        """Append a run.

        :raises PublishError: the disk is full or cannot be written.
        """
        pending, end = bytearray(), self._ends[-1]
        for block in blocks:
            text = block.text_of(0, len(block))
            pending += _HEAD.pack(len(block), len(block.pairs), len(text))
            pending += block.pairs
            pending += block.statuses.tobytes()
            pending += text
            if len(pending) >= _WRITE_BYTES:
                end += self._write(pending)
                pending.clear()
        end += self._write(pending)
        self._ends.append(end)

    def runs(self) -> list[Iterator[Block]]:
        """The blocks of each run, in the order in which the runs were written."""
        return [self._read_run(begin, end) for begin, end in pairwise(self._ends)]

    def _write(self, content: bytearray) -> int:
        with local_disk_errors(self._tempdir), memoryview(content) as view:
            written = 0
            while written < len(view):
                written += os.write(self._file, view[written:])
        return len(content)

    def _read_run(self, at: int, end: int) -> Iterator[Block]:
        while at < end:
            count, pairs_size, text_size = _HEAD.unpack(self._read(at, _HEAD.size))
            at += _HEAD.size
            statuses = array("H")
            index = self._read(at, pairs_size + count * statuses.itemsize)
            statuses.frombytes(index[pairs_size:])
            at += len(index)
            yield Block(index[:pairs_size], statuses, partial(self._read, at, text_size))
            at += text_size

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
