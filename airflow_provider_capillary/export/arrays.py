"""Arrays of pyarrow, made without ``pyarrow.array``.

That function imports pandas where pandas is installed: half a second, and 50 MiB, in each process that writes parquet.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyarrow import Array, Buffer, DataType, StringArray

__all__ = ["are_arrays", "array_of", "starts_of"]


def are_arrays(columns: Sequence[object]) -> bool:
    """Whether :meth:`.EventLogs.columns` has given arrays of pyarrow, in place of lists."""
    import pyarrow as pa

    return all(isinstance(column, pa.Array) for column in columns)


def array_of(values: Sequence[Any], kind: DataType) -> Array:
    """These values as an array; ``None`` is null.

    :param kind: of texts, or one that is stored as integers of 64 bits.
    :raises TypeError: a value is no text, or no integer. ``True`` and ``False`` are taken for integers.
    :raises UnicodeError: a text holds a lone surrogate.
    :raises OverflowError: an integer is out of range, or the texts have more than 2 GiB.
    """
    import pyarrow as pa

    if values and values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    are_texts = pa.types.is_string(kind)
    validity = None
    if None in values:
        validity = _bits_of(value is not None for value in values)
        values = [("" if are_texts else 0) if value is None else value for value in values]
    buffers = _text_buffers_of(values) if are_texts else [array("q", values)]
    return pa.Array.from_buffers(kind, len(values), [validity, *map(pa.py_buffer, buffers)])


def _text_buffers_of(texts: Sequence[str]) -> list[array[int] | bytes]:
    joined = "".join(texts)
    data = joined.encode()
    lengths = map(len, texts) if len(data) == len(joined) else [len(text.encode()) for text in texts]
    return [array("i", list(accumulate(lengths, initial=0))), data]


def _bits_of(are_set: Iterable[bool]) -> Buffer:
    """A bit for each, the first one lowest, as Arrow wants them."""
    import pyarrow as pa

    digits = "".join(["1" if is_set else "0" for is_set in are_set])
    return pa.py_buffer(int(digits[::-1], 2).to_bytes((len(digits) + 7) // 8, "little"))


def starts_of(texts: StringArray) -> Sequence[int]:
    """Where each text begins among the bytes of all, and where the last one ends. A null takes none."""
    starts = memoryview(texts.buffers()[1]).cast("i")
    return starts[texts.offset : texts.offset + len(texts) + 1]
