"""The records of a usual answer all at once, where that surely gives what :func:`.responses.read_page` finds one by one.

A usual answer is an object of ``data``, ``warnings`` and ``errors``, and its records hold texts and numbers. The decoders of Python's
``json`` and of ``msgspec``, where it is installed, take a whole list in a fraction of the time. What they accept and ``read_page`` doesn't
is an object with the same key twice. So a page is taken here only where no object in it can have one:

* encoding what was decoded gives the very same bytes again (:mod:`.layouts`, with ``msgspec`` alone);
* or the page has as many strings as its records have keys and texts.

Every other page is left to the plain reader.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_capillary import fast
from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.api.layouts import Layouts, errors_of_msgspec, texts_of

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["decode_records"]

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
_SCALARS = frozenset({str, int, float, bool, type(None)})
# All but quotes, backslashes, and what a backslash may stand before.
_NO_SIGNS = bytes(byte for byte in range(256) if byte not in b'"\\/bfnrtu')

_layouts = Layouts()


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_reject_constant).decode


def decode_records(body: bytes, latest: int) -> EventLogs | None:
    """The records of an answer; ``None`` where the plain reader has to look at it.

    :param latest: every ``startTime`` is below this.
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
        return _decode_plainly(listed, latest)
    return _layouts.decode(listed) or _decode_by_msgspec(listed, latest, by_msgspec)


def _decode_plainly(listed: bytes, latest: int) -> EventLogs | None:
    try:
        records: list[dict[str, Any]] = _decode(listed.decode())
    except (ValueError, RecursionError):
        return None
    if set(map(type, records)) != {dict} or not _have_identity(records, latest) or not _have_each_key_once(records, listed):
        return None
    texts = texts_of(listed, records)
    return None if texts is None else _decoded(records, texts)


def _decode_by_msgspec(listed: bytes, latest: int, by_msgspec: ModuleType) -> EventLogs | None:
    try:
        records: list[dict[str, Any]] = by_msgspec.decode(listed, type=list[dict[str, Any]])
        is_same = False
        if records:
            if not _have_identity(records, latest):
                return None
            is_same = by_msgspec.encode(records) == listed
            if not is_same and not _have_each_key_once(records, listed):
                return None
        # Only what is not the same is known to hold neither lists nor objects.
        texts = None if is_same else texts_of(listed, records)
        if texts is None:
            texts = list(map(bytes, by_msgspec.decode(listed, type=_list_of_raw())))
    except errors_of_msgspec():
        return None
    _layouts.learn(records, latest)
    return _decoded(records, texts)


def _list_of_raw() -> Any:  # noqa: ANN401  # a type of an optional package
    from msgspec import Raw

    return list[Raw]


def _have_identity(records: list[dict[str, Any]], latest: int) -> bool:
    ids, times = [record.get("id") for record in records], [record.get("startTime") for record in records]
    if set(map(type, ids)) != {str} or set(map(type, times)) != {int} or not all(ids):
        return False
    return min(times) >= 0 and max(times) < latest  # type: ignore[type-var, operator]  # integers, as was just seen


def _have_each_key_once(records: list[dict[str, Any]], listed: bytes) -> bool:
    """Whether that is sure of these records, and they hold neither lists nor objects."""
    kinds = list(map(type, chain.from_iterable(map(dict.values, records))))
    if not _SCALARS.issuperset(kinds):
        return False
    # Without escaped backslashes, each backslash before a quote escapes it, and the other quotes begin and end strings.
    text = listed.translate(None, _NO_SIGNS).replace(rb"\\", b"")
    return text.count(b'"') - text.count(rb"\"") == 2 * (sum(map(len, records)) + kinds.count(str))


def _decoded(records: list[dict[str, Any]], texts: list[bytes]) -> EventLogs:
    return EventLogs([record["startTime"] for record in records], [record["id"] for record in records], records, texts=texts)
