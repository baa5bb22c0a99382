"""Records as lines of JSON: the API's own text where there is one, and numbers that keep theirs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.event_logs import EventLog
from airflow_provider_capillary.errors import MalformedAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.api.usual_pages import ListDecoder

__all__ = ["JsonLines", "are_lines", "exact_fields_of", "fields_of", "flat_json", "line_of", "pair_line", "pair_lines", "to_json"]

# What JSON allows raw inside a string and text tools take for the end of a line, and lone surrogates, which UTF-8 cannot carry.
_TO_ESCAPE = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
# Never inside a string, where JSON wants them escaped.
_LINE_BREAKS = re.compile(rb"[\r\n][ \t\r\n]*")
# The same line separators in UTF-8. Text of the API holds no lone surrogates, which UTF-8 can't carry.
_SEPARATORS = ((b"\xc2\x85", rb"\u0085"), (b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))
_LEADS = frozenset(raw[0] for raw, _ in _SEPARATORS)

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii
_quoted_as_read = json.encoder.encode_basestring
_CONSTANTS = {None: "null", True: "true", False: "false"}


class _Number(float):
    """A number as it was written."""

    __slots__ = ("text",)

    text: str


def _number(text: str) -> _Number:
    number = _Number(text)
    number.text = text
    return number


def _integer(text: str) -> int | _Number:
    try:
        value = int(text)
    except ValueError:  # more digits than Python converts
        return _number(text)
    return value if value or text == "0" else _number(text)  # -0


_exact = json.JSONDecoder(parse_float=_number, parse_int=_integer)


def fields_of(line: bytes) -> dict[str, Any]:
    """The fields of a record, numbers as ``json`` decodes them.

    :raises ValueError: it is not JSON.
    """
    try:
        return json.loads(line)  # type: ignore[no-any-return]  # of a type that is known at run time only
    except ValueError:  # it may be an integer of more digits than Python converts
        return exact_fields_of(line)


def exact_fields_of(line: bytes) -> dict[str, Any]:
    """The fields of a record; every number that Python would round or write otherwise is kept as :func:`to_json` writes it again.

    :raises ValueError: it is not JSON.
    """
    return _exact.decode(line.decode())  # type: ignore[no-any-return]  # of a type that is known at run time only


def line_of(record: Mapping[str, Any]) -> bytes:
    """One record as a line without its end, in UTF-8: the text that the API sent, or :func:`to_json` of a record that has none.

    Of the API's text, line breaks between its fields are left out, and line separators inside of strings escaped.

    :raises MalformedAnswerError: something that did not come from JSON.
    """
    if not isinstance(record, EventLog):
        return to_json(record).encode()
    line = record.raw
    if b"\n" in line or b"\r" in line:
        line = _LINE_BREAKS.sub(b"", line)
    if not line.isascii():
        for separator, escape in _SEPARATORS:
            line = line.replace(separator, escape)
    return line


def are_lines(text: bytes, count: int) -> bool:
    """Whether :func:`line_of` surely changes none of so many texts of records, each with a line feed behind it; one look for all."""
    return text.count(b"\n") == count and b"\r" not in text and not _has_separators(text)


def _has_separators(text: bytes) -> bool:
    if text.isascii() or not any(lead in text for lead in _LEADS):
        return False
    return any(separator in text for separator, _ in _SEPARATORS)


class JsonLines:
    """Blocks of records as lines of JSON in UTF-8, each with a line feed behind it; a form of :class:`.runs.Block`."""

    decode: ListDecoder | None = None

    def of_page(self, records: EventLogs) -> bytes | None:
        """See :class:`.runs.BlockForm`."""
        text = records.lines()
        # Where no line break can be inside of a record, none is looked for.
        is_fit = are_lines(text, len(records)) if records.has_line_breaks else not _has_separators(text)
        return text if is_fit else None

    def of_lines(self, lines: list[bytes]) -> bytes:
        """See :class:`.runs.BlockForm`."""
        return b"\n".join([*lines, b""])

    def opened(self, content: bytes) -> list[bytes]:
        """See :class:`.runs.BlockForm`."""
        # Not by splitlines, which splits at carriage returns too.
        return content[:-1].split(b"\n")

    def part(self, opened: list[bytes], low: int, high: int) -> bytes:
        """See :class:`.runs.BlockForm`."""
        return self.of_lines(opened[low:high])

    def joined(self, contents: list[bytes]) -> bytes:
        """See :class:`.runs.BlockForm`."""
        return b"".join(contents)


def to_json(value: object) -> str:
    """One line of JSON that UTF-8 can carry: fields in their own order, text readable, no line break of any kind.

    Numbers keep their value (integers of any size), those of :func:`exact_fields_of` their text; lone surrogates and the line separators of
    Unicode are escaped.

    :raises MalformedAnswerError: something that did not come from JSON.
    """
    try:
        text = _written(value) if _has_number(value) else _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"A record cannot be written as JSON ({type(error).__name__})") from error
    return _carried(text)


def flat_json(fields: Mapping[str, Any]) -> str | None:
    """What :func:`to_json` writes of fields that need no more than what ``json`` decodes, in a fraction of its time.

    :return: ``None`` where a value may have been written otherwise, or is no text, integer, truth or null: fractions, and 0, once ``-0``.
    """
    parts = []
    for name, value in fields.items():
        if type(value) is str:
            text = _quoted_as_read(value)
        elif type(value) is int and value:
            text = str(value)
        elif value is None or value is True or value is False:
            text = _CONSTANTS[value]
        else:
            return None
        parts.append(f"{_quoted_as_read(name)}:{text}")
    return _carried("{" + ",".join(parts) + "}")


def _has_number(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_number, value))
    return isinstance(value, _Number)


def _written(value: object) -> str:
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{_written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _carried(text: str) -> str:
    return text if text.isascii() else _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def pair_line(start_time: int, record_id: str) -> bytes:
    """What one record adds to the digest of the ids: ``[startTime,"id"]`` and a line feed, in ASCII."""
    return f"[{start_time},{_quoted(record_id)}]\n".encode("ascii")


def pair_lines(times: Sequence[int], ids: Sequence[str]) -> bytes:
    """:func:`pair_line` of each, joined."""
    by_msgspec = fast.optional("msgspec.json")
    if by_msgspec is not None and (lines := _pair_lines_by_msgspec(by_msgspec, times, ids)) is not None:
        return lines
    joined = "".join(ids)
    pairs = zip(times, ids, strict=True)
    if joined.isascii() and joined.isprintable() and '"' not in joined and "\\" not in joined:  # nothing that JSON escapes
        return "".join([f'[{start_time},"{record_id}"]\n' for start_time, record_id in pairs]).encode("ascii")
    return b"".join([pair_line(*pair) for pair in pairs])


def _pair_lines_by_msgspec(by_msgspec: ModuleType, times: Sequence[int], ids: Sequence[str]) -> bytes | None:
    try:
        lines: bytes = by_msgspec.Encoder().encode_lines(zip(times, ids, strict=True))
    except UnicodeError:  # a lone surrogate
        return None
    # It leaves DEL as it is, and what is not ASCII. It escapes all else that `json` escapes, though not always alike.
    return lines if lines.isascii() and b"\\" not in lines and b"\x7f" not in lines else None
