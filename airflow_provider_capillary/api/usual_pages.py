"""The records of a usual answer all at once, where that surely gives what :func:`.responses.read_page` finds one by one.

A usual answer is an object of ``data``, ``warnings`` and ``errors``, and its records hold texts and numbers. A decoder takes a whole list
in a fraction of the time. ``msgspec`` accepts an object with the same key twice, which ``read_page`` does not. So ``msgspec`` reads a page
only where encoding what it decoded gives the very same bytes again. Otherwise Python's ``json`` reads it, and the keys of each object are
looked at.

Every other page is left to the plain reader.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.answer_texts import AnswerTexts, items_of
from airflow_provider_capillary.api.event_logs import EventLogs, Texts
from airflow_provider_capillary.api.layouts import Layouts, errors_of_msgspec, items_by_msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["ListDecoder", "decode_records"]

ListDecoder: TypeAlias = "Callable[[bytes, int], EventLogs | None]"
"""Decodes the JSON of a list, each ``startTime`` below the number, as :func:`decode_records` does; ``None`` where it can't."""

# Around the list of records: nothing but `warnings` and `errors` that say nothing.
_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"data"\s*:\s*(?=\[)'.replace(rb"\s", rb"[ \t\r\n]"))
_NOTHING = rb"(?:null|\[\s*\]|\[\s*\{\s*\}\s*\])"
_WARNINGS, _ERRORS = (rb'\s*,\s*"' + name + rb'"\s*:\s*' + _NOTHING for name in (b"warnings", b"errors"))
_TAIL = re.compile(
    (rb"\](?:" + _WARNINGS + rb"(?:" + _ERRORS + rb")?|" + _ERRORS + rb"(?:" + _WARNINGS + rb")?)?\s*\}\s*\Z").replace(
        rb"\s", rb"[ \t\r\n]"
    )
)
_LONGEST_TAIL = 300

_layouts = Layouts()


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def decode_records(body: bytes, latest: int, decode: ListDecoder | None = None) -> EventLogs | None:
    """The records of an answer; ``None`` where the plain reader has to look at it.

    :param latest: every ``startTime`` is below this.
    :param decode: asked first.
    """
    head = _HEAD.match(body)
    if head is None:
        return None
    tail = _TAIL.search(body, max(head.end(), len(body) - _LONGEST_TAIL))
    if tail is None:
        return None
    # With what is known of head and tail, the body is one JSON value if this is one.
    listed = body[head.end() : tail.start() + 1]
    by_msgspec = fast.optional("msgspec.json")
    if by_msgspec is None:
        return (decode(listed, latest) if decode else None) or _decode_plainly(listed, latest)
    return _layouts.decode(listed) or _decode_by_msgspec(listed, latest, by_msgspec)


def _decode_plainly(listed: bytes, latest: int) -> EventLogs | None:
    try:
        records, objects = _objects_of(listed.decode())
    except (ValueError, RecursionError):
        return None
    if set(map(type, records)) != {dict} or objects != len(records) or (identity := _identity_of(records, latest)) is None:
        return None
    return _decoded(identity, records, AnswerTexts(listed, partial(items_of, count=len(records))))


def _decode_by_msgspec(listed: bytes, latest: int, by_msgspec: ModuleType) -> EventLogs | None:
    try:
        records: list[dict[str, Any]] = by_msgspec.decode(listed, type=list[dict[str, Any]])
        if not records or (identity := _identity_of(records, latest)) is None:
            return None
        is_same = by_msgspec.encode(records) == listed
    except errors_of_msgspec():
        return None
    _layouts.learn(records, latest, as_encoded=is_same)
    return _decoded(identity, records, AnswerTexts(listed, items_by_msgspec)) if is_same else _decode_plainly(listed, latest)


def _objects_of(text: str) -> tuple[list[Any], int]:
    """The items of a list, and how many objects are in it, at any depth.

    :raises ValueError: an object has the same key twice, or it is not JSON.
    """
    count = 0

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal count
        count += 1
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError
        return made

    decoder = json.JSONDecoder(object_pairs_hook=to_object, parse_constant=_reject_constant)
    return decoder.decode(text), count


def _identity_of(records: list[dict[str, Any]], latest: int) -> tuple[list[int], list[str]] | None:
    """The time and the id of each record; ``None`` where one has none."""
    times: list[Any] = [record.get("startTime") for record in records]
    ids: list[Any] = [record.get("id") for record in records]
    if set(map(type, ids)) != {str} or set(map(type, times)) != {int} or not all(ids) or min(times) < 0 or max(times) >= latest:
        return None
    return times, ids


def _decoded(identity: tuple[list[int], list[str]], records: list[dict[str, Any]], texts: AnswerTexts) -> EventLogs:
    return EventLogs(*identity, records, texts=Texts(texts, range(len(records))))
