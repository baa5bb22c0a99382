"""The operator's argument ``redact``: what is kept, dropped or hashed of each record.

.. code-block:: python

    redact={
        "inputRequest": {"mobile": "hash", "email": "hash", "firstName": "drop"},
        "message": "drop",
        "webhookId": "hash",
        "detect": {"phone": "hash", "email": "hash", "card": "drop"},
        "key": {"variable": "capillary_redaction_secret"},
    }

A field of the record stands under its own name, with what happens to it: ``"keep"``, ``"drop"`` or ``"hash"``. ``inputRequest`` may have a
dict instead: what happens to each key inside it. ``"*"`` stands for every key that is not named; beside the fields, for every field that
Capillary doesn't document. ``detect`` looks for personal data in texts. ``key`` names the Airflow variable or connection that holds the key
of the hashes. :class:`.apply.Redactor` says exactly what each of them does.
"""

from __future__ import annotations

import difflib
import functools
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from airflow_provider_capillary.errors import ConfigurationError
from airflow_provider_capillary.validation import is_template

__all__ = [
    "DETECTORS",
    "DOCUMENTED",
    "INPUT",
    "SEARCHED",
    "Action",
    "KeyReference",
    "Rule",
    "key_of",
    "name_of",
    "parse_redact",
    "rule_in_manifest",
]

Action: TypeAlias = Literal["keep", "drop", "hash"]

INPUT: Final = "inputRequest"
DOCUMENTED: Final = frozenset(
    ("startTime", "responseTime", "orgId", "status", "eventName", INPUT, "id", "webhookId", "parentOrgId", "message")
)
SEARCHED: Final = (INPUT, "message")
"""The documented fields in which ``detect`` looks, as it does in every field that is not documented."""
DETECTORS: Final = ("phone", "email", "card")
OTHERS: Final = "*"
_ACTIONS: Final = ("keep", "drop", "hash")
_REQUIRED: Final = {
    "id": "records are told apart by it",
    "startTime": "records are sorted by it",
    "status": "failures are counted by it",
}
_VERSION: Final = 1
"""Of what a rule does. A version of this package that hashes or finds otherwise has to raise it, so that no object mixes the two."""
_KEY_HINT: Final = (
    'name the Airflow variable or connection that holds it: "key": {"variable": "capillary_redaction_secret"} or {"connection": "..."} '
    "(its password); the key itself never stands in a DAG"
)


class KeyReference(NamedTuple):
    """Where the key of the hashes is: the name of an Airflow variable, or the id of a connection that has it as password."""

    kind: Literal["variable", "connection"]
    name: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A checked value of ``redact``. Names are as :func:`name_of` gives them.

    :param fields: what happens to whole fields of the record.
    :param other_fields: what happens to fields that are neither documented nor named.
    :param keys: what happens to keys inside ``inputRequest``, at any depth.
    :param other_keys: what happens to the values of keys that are not named.
    :param detect: what happens to what each detector finds.
    :param key: where the key of the hashes is; ``None`` where nothing is hashed.
    """

    fields: Mapping[str, Action] = field(default_factory=dict)
    other_fields: Action | None = None
    keys: Mapping[str, Action] = field(default_factory=dict)
    other_keys: Action | None = None
    detect: Mapping[str, Action] = field(default_factory=dict)
    key: KeyReference | None = None

    @property
    def does_anything(self) -> bool:
        """Whether it drops or hashes anything, or may once its templates are rendered."""
        return not {"keep", None}.issuperset(self._actions)

    @property
    def hashes(self) -> bool:
        """Whether it hashes anything."""
        return "hash" in self._actions

    @property
    def _actions(self) -> tuple[Action | None, ...]:
        return (*self.fields.values(), *self.keys.values(), self.other_fields, self.other_keys, *self.detect.values())

    def to_dict(self) -> dict[str, Any]:
        """The form in a manifest, without the key: equal for rules that do the same to every record.

        >>> parse_redact({"message": "drop", "webhookId": "keep"}).to_dict()
        {'version': 1, 'fields': {'message': 'drop'}, 'keys': {}, 'detect': {}}
        """
        kept = {name_of(name) for name in SEARCHED} if self.detect else set()
        documented = {name_of(name) for name in DOCUMENTED}
        fields = {
            name: action
            for name, action in self.fields.items()
            # To keep what would be kept anyway says nothing.
            if action != "keep" or name in kept or (name not in documented and (self.other_fields or self.detect))
        }
        keys = {name: action for name, action in self.keys.items() if action != "keep" or self.detect or self.other_keys}
        if self.other_fields:
            fields[OTHERS] = self.other_fields
        if self.other_keys:
            keys[OTHERS] = self.other_keys
        parts = {"fields": fields, "keys": keys, "detect": self.detect}
        return {"version": _VERSION, **{name: dict(sorted(part.items())) for name, part in parts.items()}}


def rule_in_manifest(form: Mapping[str, Any], key: KeyReference | None) -> Rule:
    """The rule of which a manifest holds the form that :meth:`Rule.to_dict` makes: it does the same to every record.

    :param key: where the key of the hashes is; a manifest does not say it.
    :raises ValueError: it is no such form, or of a version of which this package does not know what it did.
    """
    if form.get("version") != _VERSION:
        raise ValueError("a rule of another version")
    parts = [form.get(name) for name in ("fields", "keys", "detect")]
    if not all(isinstance(part, Mapping) and set(part.values()) <= set(_ACTIONS) for part in parts):
        raise ValueError("no rule")
    fields, keys, detect = (dict(cast("Mapping[str, Action]", part)) for part in parts)
    return Rule(other_fields=fields.pop(OTHERS, None), fields=fields, other_keys=keys.pop(OTHERS, None), keys=keys, detect=detect, key=key)


@functools.lru_cache(maxsize=1024)
def name_of(text: str) -> str:
    """The name of a field or a key as it is compared: without regard to case, blanks, ``_`` and ``-``.

    >>> name_of("First_Name") == name_of("firstName")
    True
    """
    return "".join(unicodedata.normalize("NFKC", text).split()).replace("_", "").replace("-", "").casefold()


_DOCUMENTED_NAMES: Final = {name_of(name): name for name in DOCUMENTED}


def parse_redact(value: object, *, rendered: bool = True) -> Rule | None:
    """Check a value of ``redact``; ``None`` where it is left out.

    :param rendered: whether templates have got their values. Until then, a template stands for any action.
    :raises ConfigurationError: names the part that is wrong, its value and what to write instead. No value under ``key`` is shown.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"redact={value!r:.200} (of type {type(value).__name__}) is not a dict",
            hint='write it into the DAG as a dict, as in redact={"message": "drop", "inputRequest": {"mobile": "drop"}}',
        )
    fields, keys = _fields(value, rendered=rendered)
    rule = Rule(
        fields={name: action for name, action in fields.items() if name != OTHERS},
        other_fields=fields.get(OTHERS),
        keys={name: action for name, action in keys.items() if name != OTHERS},
        other_keys=keys.get(OTHERS),
        detect=_detectors(value.get("detect", {}), rendered=rendered),
        key=key_of(value["key"]) if "key" in value else None,
    )
    if rule.key is None and rule.hashes:
        raise ConfigurationError("redact hashes, and has no key for it", hint=_KEY_HINT)
    if not rule.does_anything:
        raise ConfigurationError(
            f"redact={dict(value)!r:.200} drops and hashes nothing" if "key" not in value else "redact drops and hashes nothing",
            hint='write "drop" or "hash" for a field, a key of inputRequest or a detector; or leave redact out',
        )
    return rule


def _fields(value: Mapping[Any, object], *, rendered: bool) -> tuple[dict[str, Action], dict[str, Action]]:
    """What happens to fields, and what happens to keys inside ``inputRequest``."""
    fields: dict[str, Action] = {}
    keys: dict[str, Action] = {}
    for name, action in value.items():
        if not isinstance(name, str) or not name_of(name):
            raise ConfigurationError(f"redact has the key {name!r:.100}, which is no name", hint="name fields of the record in quotes")
        if name in ("detect", "key"):
            continue
        if name_of(name) == name_of(INPUT) and isinstance(action, Mapping):
            keys = _keys(action, rendered=rendered)
            continue
        _check_field(name)
        _add(fields, name, _action(f"redact[{name!r}]", action, rendered=rendered), f"redact[{name!r}]")
    for name, reason in _REQUIRED.items():
        if fields.get(name_of(name), "keep") != "keep":
            raise ConfigurationError(f"redact[{name!r}] can't be redacted: {reason}", hint=f"leave {name} out of redact")
    return fields, keys


def _check_field(name: str) -> None:
    known = _DOCUMENTED_NAMES.get(name_of(name))
    if known is not None or name == OTHERS:
        return
    # A field that no record has would be taken in silence, and the one that was meant be written as it is.
    near = difflib.get_close_matches(name_of(name), [*_DOCUMENTED_NAMES, *DETECTORS, "detect", "key", "keys"], n=1, cutoff=0.75)
    if near:
        meant = _DOCUMENTED_NAMES.get(near[0])
        raise ConfigurationError(
            f"redact has the name {name!r}, which is no documented field of a record",
            hint=f"write {meant!r} if that is meant"
            if meant
            else 'detectors stand under "detect", as in "detect": {"phone": "hash"}, and the key of the hashes under "key"',
        )


def _keys(value: Mapping[Any, object], *, rendered: bool) -> dict[str, Action]:
    shown = f"redact[{INPUT!r}]"
    if not value:
        raise ConfigurationError(f"{shown} is an empty dict", hint='name keys, as in {"mobile": "hash"}, or write "drop" or "hash"')
    keys: dict[str, Action] = {}
    for name, action in value.items():
        if not isinstance(name, str) or not name_of(name):
            raise ConfigurationError(f"{shown} has the key {name!r:.100}, which is no name", hint="name keys of inputRequest in quotes")
        _add(keys, name, _action(f"{shown}[{name!r}]", action, rendered=rendered), f"{shown}[{name!r}]")
    return keys


def _detectors(value: object, *, rendered: bool) -> dict[str, Action]:
    hint = f'write one or more of {", ".join(DETECTORS)}, each with "hash" or "drop": "detect": {{"phone": "hash"}}'
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"redact['detect']={value!r:.200} is not a dict", hint=hint)
    found: dict[str, Action] = {}
    for name, action in value.items():
        if name not in DETECTORS:
            raise ConfigurationError(f"redact['detect'] has no detector {name!r:.100}", hint=hint)
        found[name] = _action(f"redact['detect'][{name!r}]", action, rendered=rendered, choices=("drop", "hash"))
    return found


def _action(shown: str, action: object, *, rendered: bool, choices: tuple[str, ...] = _ACTIONS) -> Action:
    if isinstance(action, str) and (action in choices or (not rendered and is_template(action))):
        return cast("Action", action)
    if isinstance(action, Mapping):
        raise ConfigurationError(f"{shown} is a dict", hint=f"only {INPUT} and detect have one; its keys count at any depth")
    raise ConfigurationError(f"{shown}={action!r:.100} is not known", hint=f"use one of {', '.join(choices)}")


def _add(actions: dict[str, Action], name: str, action: Action, shown: str) -> None:
    compared = OTHERS if name == OTHERS else name_of(name)
    if actions.setdefault(compared, action) != action:
        raise ConfigurationError(
            f"{shown}={action!r} contradicts another spelling of the same name, which has {actions[compared]!r}",
            hint="name it once: case, blanks, _ and - make no difference",
        )


def key_of(value: object, *, name: str = "redact['key']") -> KeyReference:
    """Check where the key of the hashes is, the value of ``redact["key"]``.

    :param name: the argument, for the error.
    :raises ConfigurationError: it does not name one variable or one connection. The error does not show it.
    """
    hint = _KEY_HINT if name == "redact['key']" else _KEY_HINT.replace('"key": ', f"{name}=")
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is not a dict but of type {type(value).__name__}", hint=hint)
    if len(value) != 1 or not set(value) <= {"variable", "connection"}:
        raise ConfigurationError(f"{name} does not name one variable or one connection", hint=hint)
    ((kind, of_key),) = value.items()
    if not isinstance(of_key, str) or not of_key.strip():
        raise ConfigurationError(f"{name}[{kind!r}] is no name", hint=hint)
    if is_template(of_key):
        # A template could fetch the key itself, and Airflow shows what it renders.
        raise ConfigurationError(f"{name}[{kind!r}] is a template", hint=f"write the name itself; {hint}")
    return KeyReference(kind, of_key)
