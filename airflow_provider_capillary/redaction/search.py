"""Looks through a JSON value for keys and for personal data, and makes the value without them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.redaction.detectors import find, kind_of_number
from airflow_provider_capillary.redaction.hashing import normal_form, normal_number
from airflow_provider_capillary.redaction.json_text import DEEPEST, Number, Object, read, write
from airflow_provider_capillary.redaction.rules import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_capillary.redaction.hashing import Hasher
    from airflow_provider_capillary.redaction.rules import Action

__all__ = ["DROPPED", "GONE", "Searcher", "TooDeepError", "hash_of"]

DROPPED: Final = "[dropped]"
"""What stands in place of a text inside of ``inputRequest`` that can't be looked into, where the rule has no key to hash it with."""
GONE: Final = object()
"""In place of a value that is to be removed."""


class TooDeepError(Exception):
    """A value is nested too deeply to be looked into."""


def hash_of(value: Any, hasher: Hasher) -> Any:  # noqa: ANN401  # any JSON
    """A value hashed: a text, a number, true or false as one, a list item by item, an object as one; null and blank text stay."""
    if value is None or (type(value) is str and not value.strip()):
        return value
    if type(value) is list:
        return [hash_of(each, hasher) for each in value]
    if type(value) is str:
        return hasher(normal_form(value))
    if type(value) is Number:
        return hasher(normal_number(value))
    return hasher(write(_sorted(value)))


def _sorted(value: Any) -> Any:  # noqa: ANN401  # any JSON
    if type(value) is Object:
        return Object(sorted(((key, _sorted(each)) for key, each in value), key=lambda pair: (pair[0], write(pair[1]))))
    return [_sorted(each) for each in value] if type(value) is list else value


class Searcher:
    """Applies the part of a rule that looks into values.

    :param keys: what happens to the values of these keys, at any depth; names as :func:`.rules.name_of` gives them.
    :param other_keys: what happens to texts, numbers, true and false under other keys.
    :param detect: what happens to what each detector finds.
    :param hasher: ``None`` only where nothing is to be hashed.
    """

    def __init__(
        self, *, keys: Mapping[str, Action], other_keys: Action | None, detect: Mapping[str, Action], hasher: Hasher | None
    ) -> None:
        self._keys = keys
        self._other_keys = other_keys
        self._detect = detect
        self._hasher = hasher
        self._has_keys = other_keys in ("drop", "hash") or bool({"drop", "hash"} & set(keys.values()))
        self._key_in_text = _key_in_text([name for name, action in keys.items() if action != "keep"])

    @property
    def does_anything(self) -> bool:
        """Whether any value could be changed."""
        return self._has_keys or bool(self._detect)

    def opaque(self, text: str) -> str:
        """What stands in place of a text that can't be looked into: its hash, or :data:`DROPPED`."""
        return self._hasher(normal_form(text)) if self._hasher else DROPPED

    def redacted(self, value: Any, depth: int = 0, *, keep: bool = False) -> Any:  # noqa: ANN401  # any JSON
        """The value without what the rule removes, or :data:`GONE`; equal to the value where nothing was found.

        :param depth: how many objects, lists and JSON texts it is in.
        :param keep: whether it is under a key that is kept.
        :raises TooDeepError: it is nested too deeply.
        """
        if depth > DEEPEST:
            raise TooDeepError
        if type(value) is Object:
            pairs = ((key, self._under(key, each, depth, keep=keep)) for key, each in value)
            return Object((key if keep else self._without_found(key), each) for key, each in pairs if each is not GONE)
        if type(value) is list:
            items = (self.redacted(each, depth + 1, keep=keep) for each in value)
            return [each for each in items if each is not GONE]
        if type(value) is str:
            return self._text(value, depth, keep=keep)
        if keep or value is None:
            return value
        if self._other_keys in ("drop", "hash"):
            return self._done(self._other_keys, value)
        return self._number(value) if type(value) is Number else value

    def _under(self, key: str, value: Any, depth: int, *, keep: bool) -> Any:  # noqa: ANN401  # any JSON
        action = self._keys.get(name_of(key))
        if action in ("drop", "hash"):
            return self._done(action, value)
        return self.redacted(value, depth + 1, keep=keep or action == "keep")

    def _done(self, action: Action, value: Any) -> Any:  # noqa: ANN401  # any JSON
        if action == "drop" or self._hasher is None:
            return GONE
        return hash_of(value, self._hasher)

    def _text(self, text: str, depth: int, *, keep: bool) -> Any:  # noqa: ANN401  # text or GONE
        json = text.strip().lstrip("\ufeff").lstrip()
        if json.startswith(("{", "[", '"')):
            try:
                return self._json(text, read(json), depth, keep=keep)
            except ValueError:
                if self._has_keys and not keep and json[0] != '"':
                    return self.opaque(text)
        if keep or not text.strip():
            return text
        if self._other_keys in ("drop", "hash"):
            return self._done(self._other_keys, text)
        if self._key_in_text is not None and self._key_in_text.search(text):
            return self.opaque(text)
        return self._without_found(text)

    def _json(self, text: str, inner: Any, depth: int, *, keep: bool) -> Any:  # noqa: ANN401  # any JSON; text or GONE
        new = self.redacted(inner, depth + 1, keep=keep)
        if new is GONE or new == inner:
            return GONE if new is GONE else text
        return write(new)

    def _number(self, number: Number) -> Any:  # noqa: ANN401  # a number or text
        if not self._detect:
            return number
        normal = normal_number(number)
        kind = kind_of_number(normal, self._detect) if normal.isdecimal() else None
        return number if kind is None else self._in_place(kind, normal)

    def _without_found(self, text: str) -> str:
        if not self._detect:
            return text
        parts, at = [], 0
        for match in find(text, self._detect):
            parts += [text[at : match.begin], self._in_place(match.kind, match.normal)]
            at = match.end
        return "".join([*parts, text[at:]]) if parts else text

    def _in_place(self, kind: str, normal: str) -> str:
        return self._hasher(normal) if self._detect[kind] == "hash" and self._hasher else f"[{kind}]"


def _key_in_text(names: list[str]) -> re.Pattern[str] | None:
    """Finds a key and its value in a text that isn't JSON: ``mobile=98...``, ``<email>``, ``payload={"mobile":...}``."""
    if not names:
        return None
    spellings = "|".join(r"[\s_-]?".join(map(re.escape, name)) for name in names)
    return re.compile(rf"""(?:{spellings})(?:\\*["']|%22)?\s*(?:[:=>]|%3[ad])""", re.IGNORECASE)
