"""The records of an answer by ``msgspec``, where it surely reads the answer as :func:`.responses.read_page` does without it.

``msgspec`` refuses whatever Python's ``json`` refuses, and more. What it accepts and ``read_page`` doesn't is an object with the same key
twice. So a page is taken here only where no object in it can have one: because encoding what was decoded gives the very same bytes again,
or because the page has as many strings as the records have keys and texts. Every other page is left to the plain reader.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_provider_capillary import fast

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


def decode_records(body: bytes, latest: int) -> tuple[list[dict[str, Any]], list[bytes]] | None:
    """The fields of each record of an answer, and the JSON of each; ``None`` where the plain reader has to look at it.

    :param latest: every ``startTime`` is below this.
    """
    json = fast.optional("msgspec.json")
    head = _HEAD.match(body)
    if json is None or head is None:
        return None
    tail = _TAIL.search(body, max(head.end(), len(body) - _LONGEST_TAIL))
    if tail is None:
        return None
    # With what is known of head and tail, the body is one JSON value if this is one.
    listed = body[head.end() : tail.start() + 1]
    try:
        records: list[dict[str, Any]] = json.decode(listed, type=list[dict[str, Any]])
        texts = list(map(bytes, json.decode(listed, type=_list_of_raw())))
    except (_errors_of_msgspec(), ValueError, RecursionError):
        return None
    if records and not (_have_identity(records, latest) and _have_each_key_once(records, listed, json)):
        return None
    return records, texts


def _errors_of_msgspec() -> type[Exception]:
    """They are ``ValueError`` in the newest versions only."""
    from msgspec import MsgspecError

    return MsgspecError


def _list_of_raw() -> Any:  # noqa: ANN401  # a type of an optional package
    from msgspec import Raw

    return list[Raw]


def _have_identity(records: list[dict[str, Any]], latest: int) -> bool:
    ids, times = [record.get("id") for record in records], [record.get("startTime") for record in records]
    if set(map(type, ids)) != {str} or set(map(type, times)) != {int} or not all(ids):
        return False
    return min(times) >= 0 and max(times) < latest  # type: ignore[type-var, operator]  # integers, as was just seen


def _have_each_key_once(records: list[dict[str, Any]], listed: bytes, json: ModuleType) -> bool:
    if json.encode(records) == listed:
        return True
    kinds = list(map(type, chain.from_iterable(map(dict.values, records))))
    if not _SCALARS.issuperset(kinds):
        return False
    # Without escaped backslashes, each backslash before a quote escapes it, and the other quotes begin and end strings.
    text = listed.replace(rb"\\", b"")
    return text.count(b'"') - text.count(rb"\"") == 2 * (sum(map(len, records)) + kinds.count(str))
