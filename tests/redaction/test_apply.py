"""What becomes of a record: its fields, the keys of ``inputRequest``, what can't be looked into; and that nothing else changes."""

from __future__ import annotations

import json

import pytest
from redaction.support import NAMED, RECORD, as_sent, hashed, input_after, redactor

from airflow_provider_capillary import fast

PHONE, EMAIL = "919800012345", "asha@example.com"
H = hashed(PHONE)
GONE = "the field is gone"


def record_of(**changes):
    return as_sent(json.dumps(RECORD | changes))


# Each row: a rule, changes of the usual record, and what becomes of the changed fields.
FIELDS = [
    ({"message": "drop"}, {"message": "x"}, {"message": GONE}),
    ({"webhookId": "hash", **NAMED}, {"webhookId": "abc"}, {"webhookId": hashed("abc")}),
    ({"WEBHOOK_ID": "hash", **NAMED}, {"webhookId": "abc"}, {"webhookId": hashed("abc")}),
    ({"orgId": "hash", **NAMED}, {"orgId": 100737}, {"orgId": hashed("100737")}),
    ({"message": "drop"}, {"webhookId": "abc", "other": PHONE}, {"webhookId": "abc", "other": PHONE}),
    ({"other": "drop"}, {"other": {"a": 1}, "more": 2}, {"other": GONE, "more": 2}),
    ({"*": "drop"}, {"other": {"a": 1}, "more": 2, "message": "x"}, {"other": GONE, "more": GONE, "message": "x"}),
    ({"*": "drop", "more": "keep"}, {"other": 1, "more": 2}, {"other": GONE, "more": 2}),
    ({"message": "hash", **NAMED}, {"message": None}, {"message": None}),
    ({"message": "hash", **NAMED}, {"message": ""}, {"message": ""}),
    ({"inputRequest": "drop"}, {"inputRequest": "{}"}, {"inputRequest": GONE}),
    ({"inputRequest": "hash", **NAMED}, {"inputRequest": '{"a":1}'}, {"inputRequest": hashed('{"a":1}')}),
    ({"detect": {"phone": "drop"}}, {"message": f"No {PHONE}."}, {"message": "No [phone]."}),
    ({"detect": {"phone": "hash"}, **NAMED}, {"message": f"No {PHONE}."}, {"message": f"No {H}."}),
    ({"detect": {"phone": "drop"}}, {"message": f'{{"a":"{PHONE}"}}'}, {"message": '{"a":"[phone]"}'}),
    ({"detect": {"phone": "drop"}, "message": "keep"}, {"message": PHONE}, {"message": PHONE}),
    ({"detect": {"phone": "drop"}}, {"other": {"a": [PHONE, 5]}}, {"other": {"a": ["[phone]", 5]}}),
    ({"detect": {"phone": "drop"}, "other": "keep"}, {"other": PHONE}, {"other": PHONE}),
    ({"detect": {"phone": "drop"}}, {"webhookId": PHONE, "eventName": PHONE}, {"webhookId": PHONE, "eventName": PHONE}),
]


@pytest.mark.parametrize(("rule", "changes", "expected"), FIELDS)
def test_fields(rule, changes, expected):
    sent = record_of(**changes)
    before = dict(sent)
    made = redactor(rule)(sent)
    assert {name: made.get(name, GONE) for name in changes} == expected
    assert json.loads(made.text) == made
    assert sent == before


HASH = {"inputRequest": {"mobile": "hash", "email": "hash", "firstName": "drop"}, **NAMED}
DROP = {"inputRequest": {"mobile": "drop"}}
DEEP = {"detect": {"phone": "drop"}}
# Each row: a rule, an inputRequest (a text, or what its JSON is of), and what becomes of it (None: the field is gone).
INPUTS = {
    "a key": (HASH, {"mobile": PHONE}, {"mobile": H}),
    "case, _ and - of a key": (
        HASH,
        {"MOBILE": PHONE, "\uff4dobile": PHONE, "First_Name": 1, "first-name": 2, "e mail": EMAIL},
        {"MOBILE": H, "\uff4dobile": H, "e mail": hashed(EMAIL)},
    ),
    "a key written with escapes": (HASH, f'{{"\\u006dobile":"{PHONE}"}}', {"mobile": H}),
    "any depth": (HASH, {"a": [{"b": [[{"mobile": PHONE}]]}]}, {"a": [{"b": [[{"mobile": H}]]}]}),
    "a list at the top": (HASH, [{"mobile": PHONE}, 5], [{"mobile": H}, 5]),
    "a list under a key": (HASH, {"mobile": [PHONE, [919800012345, None]]}, {"mobile": [H, [H, None]]}),
    "an object under a key": (HASH, {"email": {"b": EMAIL, "a": 1}}, {"email": hashed(f'{{"a":1,"b":"{EMAIL}"}}')}),
    "what is dropped with all that is in it": (HASH, {"firstName": [{"mobile": PHONE}], "a": 1}, {"a": 1}),
    "JSON in a text": (HASH, {"a": json.dumps({"mobile": PHONE, "b": 1})}, {"a": f'{{"mobile":"{H}","b":1}}'}),
    "JSON in JSON in a text": (HASH, {"a": json.dumps(json.dumps([{"mobile": PHONE}]))}, {"a": json.dumps(f'[{{"mobile":"{H}"}}]')}),
    "JSON in a text, after a mark": (HASH, {"a": f'\ufeff {{"mobile":"{PHONE}"}}'}, {"a": f'{{"mobile":"{H}"}}'}),
    "JSON in a text, nothing in it": (HASH, {"a": '{ "b" : 1 }', "mobile": ""}, {"a": '{ "b" : 1 }', "mobile": ""}),
    "broken JSON in a text": (HASH, {"a": f'{{"mobile":"{PHONE}"'}, {"a": hashed(f'{{"mobile":"{PHONE}"')}),
    "broken JSON in a text, no key": (DROP, {"a": "[x"}, {"a": "[dropped]"}),
    "NaN in a text": (DROP, {"a": '{"x":NaN}'}, {"a": "[dropped]"}),
    "a form in a text": (DROP, {"a": f"mobile={PHONE}&x=1", "b": f"Mobile : {PHONE}"}, {"a": "[dropped]", "b": "[dropped]"}),
    "an encoded form in a text": (DROP, {"a": f"%22mobile%22%3A%22{PHONE}%22"}, {"a": "[dropped]"}),
    "XML in a text": ({"inputRequest": {"firstName": "drop"}}, {"a": "<first_name>Asha</first_name>"}, {"a": "[dropped]"}),
    "JSON after words": (DROP, {"a": f'got {{"mobile":"{PHONE}"}}', "b": 'got {{\\"mobile\\": 1}}'}, {"a": "[dropped]", "b": "[dropped]"}),
    "a key's name among words": (DROP, {"a": "no mobile was passed"}, {"a": "no mobile was passed"}),
    "no JSON, hashed": (HASH, f"mobile={PHONE}", hashed(f"mobile={PHONE}")),
    "no JSON, dropped": (DROP, "x", None),
    "no JSON, detectors": (DEEP, "x", None),
    "JSON cut off": (DROP, f'{{"mobile":"{PHONE}"', None),
    "two values": (DROP, '{"a":1}{"mobile":1}', None),
    "NaN": (HASH, '{"a":NaN}', hashed('{"a":NaN}')),
    "Infinity": (DROP, '{"a":-Infinity}', None),
    "a text alone": (DROP, '"x"', None),
    "a number alone": (HASH, PHONE, H),
    "nothing": (DROP, "", ""),
    "null alone": (DROP, "null", None),
    "no rule that looks": ({"message": "drop"}, f"mobile={PHONE}", f"mobile={PHONE}"),
    "a key twice": (HASH, f'{{"mobile":"{PHONE}","a":1,"mobile":"x"}}', f'{{"mobile":"{H}","a":1,"mobile":"{hashed("x")}"}}'),
    "a key twice, dropped": (DROP, '{"mobile":1,"a":1,"Mobile":2,"a":2}', '{"a":1,"a":2}'),
    "numbers keep their text": (
        DROP,
        '{"a":1.50,"b":1e5,"c":-0,"d":123456789012345678901234567890.10,"mobile":1}',
        '{"a":1.50,"b":1e5,"c":-0,"d":123456789012345678901234567890.10}',
    ),
    "untouched, to the byte": (DROP, '{ "a" : 1.50,\n"b":"\\u00e9" }', '{ "a" : 1.50,\n"b":"\\u00e9" }'),
    "64 levels": (DROP, "[" * 64 + '"x"' + "]" * 64, "[" * 64 + '"x"' + "]" * 64),
    "65 levels": (DROP, "[" * 65 + "]" * 65, None),
    "levels, hashed": (HASH, "[" * 65 + "]" * 65, hashed("[" * 65 + "]" * 65)),
    "100,000 levels": (HASH, "[" * 100_000 + "]" * 100_000, hashed("[" * 100_000 + "]" * 100_000)),
    "100,000 levels under a key": (DROP, '{"mobile":' + "[" * 100_000 + "]" * 100_000 + "}", None),
    "levels of texts": (DROP, {"a": "[" * 40 + json.dumps("[" * 40 + "]" * 40) + "]" * 40}, None),
    "half a surrogate pair": (HASH, '{"a":"\\ud800","mobile":"x"}', f'{{"a":"\\ud800","mobile":"{hashed("x")}"}}'),
    "* drops what is not named": (
        {"inputRequest": {"*": "drop", "a": "keep"}},
        {"a": PHONE, "b": 1, "c": {"d": True, "a": 2}, "e": [1, None]},
        {"a": PHONE, "c": {"a": 2}, "e": [None]},
    ),
    "* hashes what is not named": (
        {"inputRequest": {"*": "hash", "x": "drop"}, **NAMED},
        {"m": PHONE, "x": 1, "l": [PHONE]},
        {"m": H, "l": [H]},
    ),
    "* in JSON in a text": ({"inputRequest": {"*": "drop", "a": "keep"}}, {"t": '{"a":1,"b":2}', "a": "{x"}, {"t": '{"a":1}', "a": "{x"}),
    "a detector in texts": (DEEP, {"a": f"call {PHONE}", "b": "2025-09-18"}, {"a": "call [phone]", "b": "2025-09-18"}),
    "a detector in numbers": (
        DEEP,
        f'{{"a":{PHONE},"b":1758171830945,"c":9.19800012345e11,"d":12}}',
        '{"a":"[phone]","b":1758171830945,"c":"[phone]","d":12}',
    ),
    "a detector in keys": (DEEP, {PHONE: {"a": 1}}, {"[phone]": {"a": 1}}),
    "a detector in JSON in a text": (DEEP, {"a": '{"b":"\\u00391 98000 12345"}'}, {"a": '{"b":"[phone]"}'}),
    "a key kept from a detector": (
        {**DEEP, "inputRequest": {"a": "keep"}},
        {"a": [PHONE, {"b": PHONE}], "b": PHONE},
        {"a": [PHONE, {"b": PHONE}], "b": "[phone]"},
    ),
    "kept all in all": ({**DEEP, "inputRequest": "keep"}, {"a": PHONE}, {"a": PHONE}),
    "keys before detectors": ({**DEEP, **HASH}, {"mobile": PHONE, "x": PHONE}, {"mobile": H, "x": "[phone]"}),
}


@pytest.mark.parametrize("row", INPUTS)
def test_input_requests(row):
    rule, sent, expected = INPUTS[row]
    if expected is not None and not isinstance(expected, str):
        assert json.loads(input_after(rule, sent)) == expected
    else:
        assert input_after(rule, sent) == expected


def test_an_input_request_that_is_json_and_no_text_is_looked_into_as_well():
    made = redactor(HASH)(record_of(inputRequest={"mobile": PHONE, "a": [1]}))
    assert made["inputRequest"] == {"mobile": H, "a": [1]}
    assert redactor(DROP)(record_of(inputRequest=5)).get("inputRequest") is None
    assert redactor(HASH)(record_of(inputRequest=5))["inputRequest"] == hashed("5")
    assert redactor(HASH)(record_of(inputRequest=None))["inputRequest"] is None


LONG = "9" * 5000
RAW = (
    r'{"startTime": 1758171830945, "x": 1.50, "big": 123456789012345678901234567890.10, "inputRequest": "{\"mobile\":\"1\"}",'
    r' "id": "a", "text": "\u00e9\n", "long": ' + LONG + ', "nested": {"b": -0, "a": [1e400]}}'
)
WRITTEN = (
    r'{"startTime":1758171830945,"x":1.50,"big":123456789012345678901234567890.10,"inputRequest":"{\"mobile\":\"' + hashed("1") + r'\"}",'
    r'"id":"a","text":"\u00e9\n","long":' + LONG + ',"nested":{"b": -0, "a": [1e400]}}'
)


# As each decoder of answers gives the record: with and without the extra `fast`.
@pytest.mark.parametrize("is_fast", [True, False])
def test_the_rest_of_a_record_keeps_the_api_s_own_text(monkeypatch, is_fast):
    if not is_fast:
        monkeypatch.setattr(fast, "optional", lambda _name: None)
    made = redactor(HASH)(as_sent(RAW))
    assert made.text == WRITTEN
    assert made["id"] == "a"


def test_a_record_in_which_nothing_is_redacted_is_the_same_to_the_byte():
    sent = as_sent(RAW.replace("mobile", "other"))
    assert redactor(HASH)(sent).raw == sent.raw


# Each row: what stands in a record's text and would break the line, or UTF-8.
@pytest.mark.parametrize("text", ["\u2028", "\x85", "a\nb", "\ud800", '"', "\\"])
def test_what_is_written_is_one_line_of_utf_8(text):
    made = redactor(HASH)(record_of(inputRequest=json.dumps({"a": text, "mobile": "1"})))
    assert len(made.text.splitlines()) == 1
    assert json.loads(json.loads(made.text)["inputRequest"])["a"] == text
