"""The JSON of each record of an answer, cut out of the answer's list when somebody asks for it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from airflow_provider_capillary.api.event_logs import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AnswerTexts", "cuts_of", "items_of"]

_BEGINNING = re.compile(rb'\[\{"[A-Za-z0-9]')
_NO_ITEM = re.compile(r"[ \t\r\n,]*\]?")
_scan = json.JSONDecoder(parse_int=float).raw_decode


class AnswerTexts:
    """Cuts a list into its items when it is called, and keeps these in place of the list.

    :param listed: a list of objects, valid JSON in UTF-8.
    :param cut: gives the items of such a list.
    """

    def __init__(self, listed: bytes, cut: Callable[[bytes], Pieces]) -> None:
        self._listed = listed
        self._cut = cut
        self._pieces: Pieces | None = None

    def __call__(self) -> Pieces:
        """The items."""
        if self._pieces is None:
            self._pieces, self._listed = self._cut(self._listed), b""
        return self._pieces


def cuts_of(listed: bytes) -> Iterator[Pieces]:
    """A list of objects, none of which holds another one, cut where an object surely ends: into its items, if they are as many.

    Two ways to cut it, of which the second is for answers with a space behind each comma.
    """
    # A quote before a letter ends no string. So what stands before it is no string's content: one object ends, and another begins.
    if _BEGINNING.match(listed) and listed.endswith(b"}]"):
        begin = listed[1:4]
        for comma in (b",", b", "):
            yield Pieces(begin, listed[4:-2].split(b"}" + comma + begin), b"}")


def items_of(listed: bytes, count: int) -> Pieces:
    """The items of a list of so many objects, none of which holds another object."""
    for cut in cuts_of(listed):
        if len(cut.pieces) == count:
            return cut
    text, items = listed.decode(), []
    at = _after(text, 1)
    while at < len(text):
        _, end = _scan(text, at)
        items.append(text[at:end].encode())
        at = _after(text, end)
    return Pieces(b"", items, b"")


def _after(text: str, at: int) -> int:
    match = _NO_ITEM.match(text, at)
    return match.end() if match else at
