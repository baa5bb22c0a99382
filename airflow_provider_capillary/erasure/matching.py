"""Which records of an object are meant: by their ids, or by a value, as it was sent or hashed by ``redact``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.errors import ConfigurationError
from airflow_provider_capillary.redaction.detectors import find
from airflow_provider_capillary.redaction.hashing import normal_form, normal_number
from airflow_provider_capillary.redaction.json_text import Number, Object, read
from airflow_provider_capillary.redaction.rules import DETECTORS, INPUT, name_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_capillary.redaction.hashing import Hasher

__all__ = ["Matcher"]

_ANYWHERE: Final = "*"
_SHORTEST_ANYWHERE: Final = 6


@dataclass(frozen=True)
class _Wanted:
    """A value under a key, or anywhere."""

    key: str
    value: str
    normal: str
    hashed: str | None


class Matcher:
    """Decides record by record.

    :param ids: the ``id`` of records.
    :param matches: each ``KEY=VALUE``: records in whose ``inputRequest`` the key has this value, at any depth, in lists and in JSON inside
        of texts; or ``*=VALUE``: records that hold the value in any field and any text. Keys are compared as ``redact`` compares them, and
        values by the form in which it hashes them, so ``+91 98000 12345`` finds the number 919800012345.
    :param hasher: makes the hashes of the objects, where their records were hashed.
    :raises ConfigurationError: a match is not ``KEY=VALUE``, or nothing is to be matched.
    """

    def __init__(self, *, ids: Collection[str], matches: Iterable[str], hasher: Hasher | None = None) -> None:
        self._ids = frozenset(ids)
        self._wanted = [_wanted(match, number, hasher) for number, match in enumerate(matches, 1)]
        if not self._ids and not self._wanted:
            raise ConfigurationError("Nothing says which records to erase", hint="give at least one --id or --match")

    @property
    def needs_values(self) -> bool:
        """Whether it looks for values, which may be hashed."""
        return bool(self._wanted)

    def matches(self, record_id: str, line: bytes) -> bool:
        """Whether a record is meant.

        :param line: its JSON.
        """
        if record_id in self._ids:
            return True
        if not self._wanted:
            return False
        try:
            fields = read(line.decode())
        except ValueError:  # nested too deeply
            return any(_is_within(line.decode(), each) for each in self._wanted)
        return any(self._in_field(name, value) for name, value in fields)

    def _in_field(self, name: str, value: Any) -> bool:  # noqa: ANN401  # any JSON
        wanted = [each for each in self._wanted if each.key == _ANYWHERE or name_of(name) == name_of(INPUT)]
        return bool(wanted) and self._in(value, wanted, key=None)

    def _in(self, value: Any, wanted: list[_Wanted], *, key: str | None) -> bool:  # noqa: ANN401  # any JSON
        if type(value) is Object:
            return any(self._in_key(name, wanted) or self._in(each, wanted, key=name_of(name)) for name, each in value)
        if type(value) is list:
            return any(self._in(each, wanted, key=key) for each in value)
        if type(value) is Number:
            return any(_concerns(each, key) and normal_form(normal_number(value)) == each.normal for each in wanted)
        return type(value) is str and self._in_text(value, wanted, key=key)

    def _in_key(self, name: str, wanted: list[_Wanted]) -> bool:
        # Personal data is sometimes the key itself.
        return any(each.key == _ANYWHERE and _equals(name, each) for each in wanted)

    def _in_text(self, text: str, wanted: list[_Wanted], *, key: str | None) -> bool:
        if text.lstrip("\ufeff \t\r\n").startswith(("{", "[", '"')):
            try:
                return self._in(read(text.strip().lstrip("\ufeff")), wanted, key=key)
            except ValueError:
                # No JSON, so no key tells where the value would be.
                return any(_is_within(text, each) for each in wanted)
        return any(_equals(text, each) or _is_within(text, each) for each in wanted if _concerns(each, key) or _names(text, each))


def _wanted(match: str, number: int, hasher: Hasher | None) -> _Wanted:
    key, separator, value = match.partition("=")
    if not separator or not name_of(key) or not value.strip():
        # Not shown: it holds personal data.
        raise ConfigurationError(f"Match {number} is not KEY=VALUE", hint="write mobile=919800012345, or *=919800012345 for any place")
    if key == _ANYWHERE and len(value.strip()) < _SHORTEST_ANYWHERE:
        raise ConfigurationError(
            f"The value of match {number} is shorter than {_SHORTEST_ANYWHERE} characters, so it would be found in many places",
            hint="name its key, as in externalId=123",
        )
    normal = normal_form(value)
    return _Wanted(key if key == _ANYWHERE else name_of(key), value, normal, hasher(normal) if hasher else None)


def _concerns(wanted: _Wanted, key: str | None) -> bool:
    return wanted.key in (_ANYWHERE, key)


def _names(text: str, wanted: _Wanted) -> bool:
    """Whether a text that is no JSON may hold the key and its value, as ``mobile=98...``."""
    return wanted.key in name_of(text)


def _equals(text: str, wanted: _Wanted) -> bool:
    return normal_form(text) == wanted.normal or (wanted.hashed is not None and text == wanted.hashed)


def _is_within(text: str, wanted: _Wanted) -> bool:
    if wanted.hashed is not None and wanted.hashed in text:
        return True
    words = "|".join({re.escape(wanted.value.strip()), re.escape(wanted.normal)})
    if re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE):
        return True
    return any(match.normal == wanted.normal for match in find(text, DETECTORS))
