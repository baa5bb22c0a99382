"""The four formats of an object, chosen by the ending of its name, written from and read back to sorted records.

The same records give the same bytes: gzip carries no time and no name, Zstandard and parquet use fixed settings, and the row groups of
parquet depend on the records alone. Bytes are compared between runs of one environment; another version of zlib, zstandard or pyarrow
may compress differently, so does ISA-L (of the extra ``fast``) in zlib's place, and pyarrow writes its version into each file.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from airflow_provider_capillary import fast
from airflow_provider_capillary.errors import DestinationError
from airflow_provider_capillary.export.json_lines import JsonLines, fields_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from airflow_provider_capillary.export.runs import BlockForm

__all__ = [
    "ENDINGS",
    "ForeignObjectError",
    "block_form",
    "format_of",
    "read_entries",
    "read_lines",
    "read_pairs",
    "require_format",
    "write_object",
]

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
"""The endings, each the name of its format."""

_NEEDS = {".jsonl.zst": ("zstandard", "zstd"), ".parquet": ("pyarrow", "parquet")}

_GZIP_LEVEL = 6  # zlib's own default: level 9 takes twice the time for about one percent
_ISAL_LEVEL = (
    1  # of 0 to 3: a tenth more bytes than zlib's level 6, in less than a tenth of its time; level 2 saves 1 percent in half as much again
)
_ZSTD_LEVEL = 3  # the library's default

_CHUNK = 256 * 1024
_LONGEST_LINE = 128 * 1024 * 1024
"""Bytes. The largest answer that is taken from the API has half of that. An object whose line is longer was not written here, and must
not fill memory when it is looked at."""


class ForeignObjectError(Exception):
    """What stands at the destination was not written by this package, or is damaged. Never leaves :mod:`.export`."""


def format_of(destination: object) -> str:
    """The ending of a destination, one of :data:`ENDINGS`.

    Looks at nothing but the end of the text, so that it can be asked while a DAG file is parsed and of a template such as
    ``s3://bucket/{{ ds }}.jsonl.gz``.

    :param destination: a URI or an ``ObjectStoragePath``.
    :raises DestinationError: any other ending (they are case-sensitive), or nothing before the ending.
    """
    text = str(destination)
    name = text.rpartition("/")[2]
    for ending in ENDINGS:
        if name.endswith(ending):
            if name == ending:
                break
            return ending
    raise DestinationError(
        f"destination={text!r} does not say in which format to write",
        hint=f"end the name of the object with one of {', '.join(ENDINGS)}, as in s3://my_conn@bucket/events/2025-09-18.jsonl.gz",
    )


def require_format(ending: str) -> None:
    """Make sure that the package which writes the format is installed.

    :raises DestinationError: it is not; names the extra to install.
    """
    if ending not in _NEEDS:
        return
    module, extra = _NEEDS[ending]
    try:
        with _memory_of_arrow():
            importlib.import_module(module)
    except ImportError as error:
        raise DestinationError(
            f"A destination that ends in {ending} needs the package {module}, which cannot be imported ({type(error).__name__})",
            hint=f"pip install 'airflow-provider-capillary[{extra}]'",
        ) from error


@contextlib.contextmanager
def _memory_of_arrow() -> Iterator[None]:
    """Let a pyarrow that is imported now allocate by ``malloc``: with its own default, it takes 16 MiB more to write the same, and longer.

    pyarrow looks at this variable once, when it is imported. What a user has chosen stays.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" in os.environ:
        yield
        return
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    try:
        yield
    finally:
        del os.environ["ARROW_DEFAULT_MEMORY_POOL"]


def block_form(ending: str) -> BlockForm:
    """How the records of such an object are spooled for :func:`write_object`.

    :raises DestinationError: as :func:`require_format`.
    """
    require_format(ending)
    if ending == ".parquet":
        from airflow_provider_capillary.export.parquet import Columns

        return Columns()
    return JsonLines()


def write_object(blocks: Iterable[bytes], target: Path, *, ending: str) -> None:
    """Write a local file.

    :param blocks: records of the :func:`block_form` of this ending, in the order to write.
    :param target: path of the local file, replaced if it exists.
    """
    with target.open("wb") as raw:
        if ending == ".parquet":
            from airflow_provider_capillary.export.parquet import write_parquet

            write_parquet(blocks, raw)
            return
        with contextlib.ExitStack() as stack:
            out: BinaryIO = raw
            if ending == ".jsonl.gz":
                out = cast("BinaryIO", stack.enter_context(_gzip_file(raw)))
            elif ending == ".jsonl.zst":
                import zstandard

                compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True, threads=0)
                out = stack.enter_context(compressor.stream_writer(raw, closefd=False))
            for chunk in _chunks(blocks):
                out.write(chunk)


def _gzip_file(raw: BinaryIO) -> gzip.GzipFile:
    igzip = fast.optional("isal.igzip")
    if igzip is not None:
        return cast("gzip.GzipFile", igzip.IGzipFile(filename="", mode="wb", compresslevel=_ISAL_LEVEL, fileobj=raw, mtime=0))
    return gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=raw, mtime=0)


def _chunks(blocks: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    # Of one size, whatever the blocks: a compressor may look at where its input was cut.
    pending = b""
    for block in blocks:
        view = memoryview(block)
        if len(pending) + len(view) < _CHUNK:
            pending += block
            continue
        at = _CHUNK - len(pending)
        yield pending + view[:at]
        for begin in range(at, len(view) - _CHUNK + 1, _CHUNK):
            yield view[begin : begin + _CHUNK]
            at = begin + _CHUNK
        pending = bytes(view[at:])
    if pending:
        yield pending


class _Entry(NamedTuple):
    """A record of an object."""

    start_time: int
    record_id: str
    line: bytes
    """Its JSON; empty where nobody asked and it would have had to be made."""


def read_pairs(source: Path, *, ending: str) -> Iterator[tuple[int, str]]:
    """The ``(startTime, id)`` of each record of an object that this package wrote, in its order.

    :param source: path of a local copy.
    :raises ForeignObjectError: it does not read as such an object: damaged, another format, unsorted, a record twice.
    """
    for entry in _read(source, ending=ending, lines=False):
        yield entry.start_time, entry.record_id


def read_lines(source: Path, *, ending: str) -> Iterator[bytes]:
    """The JSON of each record of an object that this package wrote, in its order: what :func:`write_object` makes the same object of.

    From lines it is the text that stands there, byte for byte; from parquet the columns, then what ``_extra`` holds, as it stands there.

    :param source: path of a local copy.
    :raises ForeignObjectError: as :func:`read_pairs`.
    """
    for entry in _read(source, ending=ending, lines=True):
        yield entry.line


def read_entries(source: Path, *, ending: str) -> Iterator[tuple[tuple[int, str], bytes]]:
    """The ``(startTime, id)`` and the JSON of each record of an object that this package wrote: :func:`read_pairs`, :func:`read_lines`."""
    for entry in _read(source, ending=ending, lines=True):
        yield (entry.start_time, entry.record_id), entry.line


def _read(source: Path, *, ending: str, lines: bool) -> Iterator[_Entry]:
    if ending == ".parquet":
        from airflow_provider_capillary.export.parquet import read_parquet_lines, read_parquet_pairs

        entries = read_parquet_lines(source) if lines else ((*pair, b"") for pair in read_parquet_pairs(source))
    else:
        entries = _read_line_entries(source, ending=ending)
    previous: tuple[int, str] | None = None
    with contextlib.closing(entries):
        while True:
            try:
                entry = next(entries, None)
            except ForeignObjectError:
                raise
            except Exception as error:
                # zlib.error, EOFError, ZstdError, ArrowException, KeyError and more: each says the same thing about a file.
                raise ForeignObjectError(type(error).__name__) from error
            if entry is None:
                return
            start_time, record_id, line = entry
            if isinstance(start_time, bool) or not isinstance(start_time, int) or not isinstance(record_id, str):
                raise ForeignObjectError("a record without startTime or id")
            if previous is not None and (start_time, record_id) <= previous:
                raise ForeignObjectError("records out of order")
            previous = (start_time, record_id)
            yield _Entry(start_time, record_id, line)


def _read_line_entries(source: Path, *, ending: str) -> Generator[tuple[int, str, bytes]]:
    with contextlib.ExitStack() as stack:
        raw: BinaryIO = stack.enter_context(source.open("rb"))
        if ending == ".jsonl.gz":
            raw = cast("BinaryIO", stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")))
        elif ending == ".jsonl.zst":
            raw = cast("BinaryIO", stack.enter_context(io.BufferedReader(_ZstdFrame(raw), _CHUNK)))
        while line := raw.readline(_LONGEST_LINE):
            if not line.endswith(b"\n"):
                raise ForeignObjectError("a line without its end")
            record = fields_of(line)
            yield record["startTime"], record["id"], line[:-1]


class _ZstdFrame(io.RawIOBase):
    """One Zstandard frame, read to its end; the library's own reader takes a frame that is cut off for one that ends there."""

    _INPUT = 64 * 1024

    def __init__(self, raw: BinaryIO) -> None:
        import zstandard

        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._pending and not self._frame.eof:
            packed = self._raw.read(self._INPUT)
            if not packed:
                raise ForeignObjectError("cut off")
            self._pending = self._frame.decompress(packed)
        view = memoryview(buffer).cast("B")
        taken = self._pending[: len(view)]
        view[: len(taken)] = taken
        self._pending = self._pending[len(taken) :]
        return len(taken)
