"""JSON read and written so that whatever is not changed stays as it was written: numbers, the order of keys, and keys that stand twice."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

__all__ = ["DEEPEST", "Number", "Object", "fields_in", "read", "write", "write_text"]

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_BLANKS: Final = frozenset(" \t\n\r")
# Half a surrogate pair, which UTF-8 can't carry; and what text tools take for the end of a line.
_TO_ESCAPE: Final = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Object(list[tuple[str, Any]]):
    """An object as its pairs of key and value, in their order."""

    __slots__ = ()


def _reject(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON


DEEPEST: Final = 64
"""Levels of objects and lists that are looked into. What is nested more deeply counts as no JSON."""

_decoder = json.JSONDecoder(object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=_reject)


def read(text: str) -> Any:  # noqa: ANN401  # it is what JSON is: text, Number, Object, list, bool or None
    """Read one JSON value.

    :raises ValueError: the text is not JSON, or is nested more than :data:`DEEPEST` levels deep.
    """
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("{") + text.count("[") > DEEPEST:
        _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    level = [value] if isinstance(value, list) else []
    for _ in range(DEEPEST):
        level = [each for inner in level for each in _items(inner) if isinstance(each, list)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _items(value: list[Any]) -> list[Any]:
    return [each for _, each in value] if isinstance(value, Object) else value


def write(value: object) -> str:
    """One line of JSON, without blanks."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return write_text(value)
    if isinstance(value, Object):
        return "{" + ",".join([f"{write_text(key)}:{write(each)}" for key, each in value]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


def write_text(text: str) -> str:
    """A JSON string that UTF-8 can carry, without line breaks of any kind."""
    written = json.encoder.encode_basestring(text)
    return written if written.isascii() else _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", written)


def fields_in(text: str) -> list[tuple[str, str]]:
    """The fields of an object, each with the JSON of its value as it stands there.

    :raises ValueError: the text is not one JSON object, or is nested more deeply than Python reads.
    """
    fields: list[tuple[str, str]] = []
    at = _past("{", text, 0)
    while text.startswith('"', at):
        try:
            name, at = _decoder.parse_string(text, at + 1)  # type: ignore[attr-defined]  # they are there; raw_decode without its wrapping
            begin = _past(":", text, at)
            _, at = _decoder.scan_once(text, begin)  # type: ignore[attr-defined]  # as above
        except StopIteration:
            raise ValueError("no value") from None
        except RecursionError:
            raise ValueError("nested too deeply") from None
        fields.append((name, text[begin:at]))
        at = _after_blank(text, at)
        if not text.startswith(",", at):
            break
        at = _past(",", text, at)
    _past("}", text, at)
    return fields


def _past(sign: str, text: str, at: int) -> int:
    if not text.startswith(sign, at):
        at = _after_blank(text, at)
    if not text.startswith(sign, at):
        raise ValueError("not an object")
    return _after_blank(text, at + 1)


def _after_blank(text: str, at: int) -> int:
    if text[at : at + 1] not in _BLANKS:  # nearly always
        return at
    match = _BLANK.match(text, at)
    return match.end() if match else at
