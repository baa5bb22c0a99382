"""A rule applied to records; see :class:`Redactor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_capillary.api.event_logs import EventLog, event_log
from airflow_provider_capillary.errors import MalformedAnswerError
from airflow_provider_capillary.redaction.hashing import Hasher
from airflow_provider_capillary.redaction.json_text import Object, fields_in, read, write, write_text
from airflow_provider_capillary.redaction.rules import DOCUMENTED, INPUT, SEARCHED, name_of
from airflow_provider_capillary.redaction.search import GONE, Searcher, TooDeepError, hash_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_capillary.redaction.rules import Rule

__all__ = ["Redactor"]

_DOCUMENTED: Final = {name_of(name) for name in DOCUMENTED}
_SEARCHED: Final = {name_of(name) for name in SEARCHED}
_INPUT: Final = name_of(INPUT)

# An integer of more digits than Python converts becomes infinity; the text of the record keeps them.
_decode = json.JSONDecoder(parse_int=lambda text: int(text) if len(text) < 4000 else float(text)).decode  # noqa: PLR2004  # Python's limit is 4300


class Redactor:
    r"""Applies a rule to records, before anything else sees them.

    :param rule: what to do.
    :param key: the key of the hashes; ``None`` only where the rule hashes nothing.

    .. code-block:: text

        redact={"inputRequest": {"mobile": "hash", "firstName": "drop"}, "detect": {"email": "drop"}, "webhookId": "hash", "key": ...}

        {"id": "ff97", "startTime": 1758171830945, "webhookId": "67b62dff", "message": "No customer asha@example.com",
         "inputRequest": "{\"data\": {\"firstName\": \"Asha\", \"Mobile\": [\"+91 98000 12345\"], \"points\": 1.50}}"}
        becomes
        {"id": "ff97", "startTime": 1758171830945, "webhookId": "6c1f...", "message": "No customer [email]",
         "inputRequest": "{\"data\":{\"Mobile\":[\"0b5a...\"],\"points\":1.50}}"}

    **The fields of a record.** ``keep`` leaves the field as it is, ``drop`` removes it, ``hash`` puts its hash in its place. A field that
    is not named is kept, but for ``"*"``, and for what ``detect`` finds in it: ``detect`` looks in ``inputRequest``, in ``message`` and in
    fields that are not documented. ``id``, ``startTime`` and ``status`` are always kept.

    **The keys of** ``inputRequest`` count at any depth, in lists and in texts that are JSON themselves. ``drop`` removes the key and its
    value. ``hash`` hashes a text or a number, a list item by item, and an object as one; null and blank texts stay. ``keep`` protects
    texts and numbers under the key from ``detect`` and ``"*"``. ``"*"`` is for texts, numbers, true and false under keys that are not
    named. Names are compared without regard to case, blanks, ``_`` and ``-``. Of a key that stands twice, each value is redacted.

    **What can't be looked into** is hashed whole, or dropped whole where the rule has no key: an ``inputRequest`` that is neither a JSON
    object nor a list; a text inside it that looks like JSON and is none (with NaN, for instance), or that names one of the keys, as in
    ``mobile=98...`` and ``<email>``; an ``inputRequest`` that is nested more than 64 levels deep.

    **Hashes**: see :func:`.hashing.normal_form`. ``detect`` with ``drop`` writes ``[phone]``, ``[email]`` or ``[card]``; see
    :mod:`.detectors`. It looks at the keys of objects too, and at JSON numbers.

    Everything else stays as the API wrote it: order of fields, numbers, unknown fields. An ``inputRequest`` in which nothing was redacted
    is kept to the byte; any other is written without blanks.
    """

    def __init__(self, rule: Rule, key: bytes | None = None) -> None:
        self._rule = rule
        self._hasher = Hasher(key) if key is not None else None
        self._input = Searcher(keys=rule.keys, other_keys=rule.other_keys, detect=rule.detect, hasher=self._hasher)
        self._others = Searcher(keys={}, other_keys=None, detect=rule.detect, hasher=self._hasher)

    def to_dict(self) -> dict[str, Any]:
        """What the manifest says: the rule and the fingerprint of the key; equal where equal records become equal."""
        return {**self._rule.to_dict(), "key_fingerprint": self._hasher.fingerprint if self._hasher else None}

    def __call__(self, record: Mapping[str, Any]) -> EventLog:
        """The redacted record; the record itself is not changed.

        :raises MalformedAnswerError: the record's own JSON can't be read.
        """
        raw = record.raw if isinstance(record, EventLog) else json.dumps(record).encode()
        try:
            fields = fields_in(raw.decode())
        except ValueError:
            raise MalformedAnswerError("A record can't be redacted, because its JSON can't be read") from None
        redacted, written, is_changed = dict(record), [], False
        for name, text in fields:
            new = self._field(name_of(name), text)
            if new is not None:
                written.append(f"{write_text(name)}:{new}")
            if new is text:
                continue
            is_changed = True
            if new is None:
                del redacted[name]
            else:
                redacted[name] = _decode(new)
        return event_log(redacted, ("{" + ",".join(written) + "}").encode() if is_changed else raw)

    def _field(self, name: str, text: str) -> str | None:
        """The JSON of a field after redaction: the very same text where nothing changes, ``None`` where the field goes."""
        action = self._rule.fields.get(name)
        if action is None and name not in _DOCUMENTED:
            action = self._rule.other_fields
        if action == "keep" or (action is None and name in _DOCUMENTED and name not in _SEARCHED):
            return text
        if action == "drop":
            return None
        try:
            value = read(text)
            if action == "hash":
                new = hash_of(value, self._hasher) if self._hasher else GONE
            else:
                new = self._input_request(value) if name == _INPUT else self._others.redacted(value)
        except (ValueError, TooDeepError):
            value, new = None, self._opaque(text)
        if new is GONE:
            return None
        return text if new == value else write(new)

    def _input_request(self, value: Any) -> Any:  # noqa: ANN401  # any JSON
        if not self._input.does_anything or value is None:
            return value
        if type(value) is not str:
            return self._input.redacted(value) if type(value) in (Object, list) else self._opaque(write(value))
        if not value.strip():
            return value
        try:
            inner = read(value)
            if type(inner) in (Object, list):
                new = self._input.redacted(inner)
                return value if new == inner else write(new)
        except (ValueError, TooDeepError):
            pass
        # It holds something, and no keys that would say what.
        return self._opaque(value)

    def _opaque(self, text: str) -> Any:  # noqa: ANN401  # text or GONE
        return self._input.opaque(text) if self._hasher else GONE
