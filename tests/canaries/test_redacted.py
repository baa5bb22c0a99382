"""Every identifier of a canary data set is gone under the rule that promises it: from the object, the manifest, the spool and the logs.

The canaries are distinct texts, in every place where such data has been seen, and in spellings that a careless search would miss. What is
scanned is everything that the export writes: whatever goes to a file, one without a name included, the log, and the receipt.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re

import pytest
from export.support import ENDINGS, START_MS, export, unpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redaction.support import RECORD, as_sent, hashed, redactor

from airflow_provider_capillary import fast

KEYED = {"key": {"variable": "capillary_redaction_secret"}}
PHONES = ["919800012345", "+91 98000 54321", "(022) 2345-6789", "9148574269"]
EMAILS = ["Canary.One@Example.com", "canary+two@mail.example.co.in"]
CARDS = ["4111 1111 1111 1111", "5555555555554444"]
NAMES = ["Canarina", "von Kanarienvogel"]
WEBHOOK, TEXT, OTHER = "67b62dffb7f5337fcanarywebhook000", "a canary wrote this", "a canary in a field that nobody knows"

BY_KEY = {
    "inputRequest": {"mobile": "hash", "email": "hash", "card_number": "hash", "firstName": "drop", "lastName": "drop"},
    "message": "drop",
    "webhookId": "hash",
    "*": "drop",
    **KEYED,
}
BY_DETECTOR = {"detect": {"phone": "hash", "email": "hash", "card": "hash"}, "webhookId": "drop", **KEYED}
WHOLE = {"inputRequest": "hash", "message": "hash", "webhookId": "hash", "*": "hash", **KEYED}
ALLOWED = {"inputRequest": {"event_name": "keep", "*": "drop"}, "message": "drop", "webhookId": "drop", "*": "drop"}


def by_key(phone, email, card, name):
    """Requests in which personal data stands under a key, in each shape."""
    person = {"firstName": name, "last_name": name, "Mobile": phone, "EMAIL": email, "cardNumber": card}
    yield {"event_name": "x", **person}
    yield {"event_name": "x", "data": {"customers": [{"identifiers": person}]}}
    yield [person, {"mobile": [phone, [phone]], "email": {"work": email}}]
    yield {"event_name": "x", "payload": json.dumps(person), "again": json.dumps({"inner": json.dumps(person)})}
    yield {"event_name": "x", "query": f"mobile={phone}&email={email}&firstName={name}&cardNumber={card}"}
    yield f'{{"mobile":"{phone}","mobile":"{phone}","lastName":"{name}","email":"{email}","card_number":"{card}","x":1.50}}'
    yield f'{{"mobile":"{phone}","email":"{email}", cut off {name} {card}'
    yield f"<xml><mobile>{phone}</mobile><email>{email}</email><lastName>{name}</lastName>{card}</xml>"
    yield f'{{"mobile":"{phone}","x":NaN,"email":"{email}","y":"{name} {card}"}}'


def by_detector(phone, email, card):
    """Requests in which personal data stands anywhere."""
    yield {"event_name": "x", "text": f"Call {phone} or write to {email}, card {card}.", "list": [phone, email, card]}
    yield {"event_name": "x", phone: {"a": 1}, email: [1], card: 2}
    yield {"event_name": "x", "json": json.dumps({"a": [phone, {"b": email}], "c": card})}
    yield f"not JSON {phone} {email} {card}"


def records(requests, **changes):
    for number, request in enumerate(requests):
        text = request if isinstance(request, str) else json.dumps(request)
        yield RECORD | {"id": f"r{number}", "startTime": START_MS + number, "inputRequest": text} | changes


def signs(values):
    """What of a value may not be found anywhere: its letters and digits, whatever stands between them."""
    return [re.sub(r"[\W_]", "", value).casefold() for value in values]


def check_clean(content, canaries):
    text = re.sub(r"[\W_]", "", content.decode("utf-8", "replace") if isinstance(content, bytes) else content).casefold()
    assert [sign for sign in signs(canaries) if sign in text] == []


@pytest.fixture
def written(monkeypatch, caplog):
    """Everything that goes to a file by any of the ways by which the package writes one, and the log."""
    caplog.set_level("DEBUG")
    parts = []
    for name in ("write", "pwrite", "writev"):
        real = getattr(os, name)

        def spy(descriptor, data, *more, real=real):
            parts.append(b"".join(data) if isinstance(data, list) else bytes(data))
            return real(descriptor, data, *more)

        monkeypatch.setattr(os, name, spy)
    return lambda: b"".join(parts) + caplog.text.encode()


ROWS = [
    # a rule, the records, and what of them is gone
    (BY_KEY, lambda p, e, c, n: records(by_key(p, e, c, n), message=TEXT, webhookId=WEBHOOK, other=OTHER), lambda p, e, c, n: [p, e, c, n]),
    (BY_DETECTOR, lambda p, e, c, _: records(by_detector(p, e, c), message=f"{p}, {e}, {c}", other={"a": p}), lambda p, e, c, _: [p, e, c]),
    (WHOLE, lambda p, e, c, n: records(by_key(p, e, c, n), message=TEXT, webhookId=WEBHOOK, other=OTHER), lambda p, e, c, n: [p, e, c, n]),
    (
        ALLOWED,
        lambda p, e, c, n: records(by_key(p, e, c, n), message=TEXT, webhookId=WEBHOOK, other=OTHER),
        lambda p, e, c, n: [p, e, c, n],
    ),
]


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("row", ROWS, ids=["by key", "by detector", "whole", "allowed alone"])
def test_every_identifier_is_gone(tmp_path, monkeypatch, written, *, row, ending, is_fast):
    if not is_fast:
        monkeypatch.setattr(fast, "optional", lambda _name: None)
    # A run of records is written to disk whenever there are a few.
    monkeypatch.setattr("airflow_provider_capillary.export.spool._RUN_BYTES", 4096)
    rule, make, gone = row
    apply = redactor(rule)
    people = list(zip(itertools.cycle(PHONES), itertools.cycle(EMAILS), itertools.cycle(CARDS), itertools.cycle(NAMES), range(4)))
    for number, (*person, _) in enumerate(people):
        uri = str(tmp_path / f"{number}{ending}")
        sent = [as_sent(json.dumps(record)) for record in make(*person)]
        receipt = export(sent, uri, apply=apply, log=logging.getLogger("airflow_provider_capillary.tests"))
        canaries = [*gone(*person), TEXT, WEBHOOK, OTHER]
        everything = json.dumps(receipt).encode() + written()
        for path in (path for path in tmp_path.rglob("*") if path.is_file()):
            everything += path.read_bytes()
        made = unpack((tmp_path / f"{number}{ending}").read_bytes(), ending)
        assert len(made) == len(sent)
        check_clean(everything + json.dumps(made, default=str).encode(), canaries)
        assert b"key_fingerprint" in everything


def test_the_scan_sees_a_canary_in_the_spool(tmp_path, monkeypatch, written):
    monkeypatch.setattr("airflow_provider_capillary.export.spool._RUN_BYTES", 1)
    export([as_sent(json.dumps(record)) for record in records([{"a": PHONES[0]}] * 3)], str(tmp_path / "x.jsonl"))
    with pytest.raises(AssertionError):
        check_clean(written(), PHONES)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_hashes_are_the_same_in_every_format_and_in_every_run(tmp_path, ending):
    requests = [{"mobile": "+91 98000 12345"}, {"MOBILE": 919800012345}, {"a": json.dumps({"mobile": "919800012345"})}]
    for name in ("x", "y"):
        export([as_sent(json.dumps(record)) for record in records(requests)], str(tmp_path / f"{name}{ending}"), apply=redactor(BY_KEY))
    assert (tmp_path / f"x{ending}").read_bytes() == (tmp_path / f"y{ending}").read_bytes()
    for record in unpack((tmp_path / f"x{ending}").read_bytes(), ending):
        assert hashed("919800012345") in record["inputRequest"]


SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
NAMES_OF_KEYS = st.sampled_from(["mobile", "MOBILE", "first_name", "firstName", "other", "\u017f", ""]) | st.text(max_size=4)


@st.composite
def trees(draw):
    """Any JSON, in which some objects, lists and texts hold a canary under a key that is redacted."""
    secret = st.just("canary0815") | st.just(["canary0815"]) | st.just({"x": "canary0815", "canary0815": 1})
    planted = st.dictionaries(st.sampled_from(["mobile", "Mobile", "first-name", "FIRSTNAME"]), secret, min_size=1, max_size=2)
    leaves = SCALARS | planted

    def grow(inner):
        boxes = st.lists(inner, max_size=3) | st.dictionaries(NAMES_OF_KEYS, inner, max_size=3)
        return boxes | boxes.map(json.dumps) | st.tuples(planted, inner).map(lambda pair: pair[0] | {"in": pair[1]})

    return draw(st.recursive(leaves, grow, max_leaves=12))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees(), is_hash=st.booleans())
def test_what_stands_under_a_key_is_gone_whatever_the_tree(tree, is_hash):
    rule = {"inputRequest": {"mobile": "hash" if is_hash else "drop", "firstName": "drop"}} | (KEYED if is_hash else {})
    made = redactor(rule)(as_sent(json.dumps(RECORD | {"inputRequest": json.dumps(tree)})))
    check_clean(made.raw, ["canary0815"])
    assert json.loads(made.text) == made


PLAIN = SCALARS.filter(lambda value: not isinstance(value, str) or not re.search(r"mobile|^\s*[\[{\ufeff]", value, re.IGNORECASE))


@settings(max_examples=200, deadline=None)
@given(tree=st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)))
def test_what_no_rule_names_is_unharmed_whatever_the_tree(tree):
    sent = json.dumps({"data": [tree], "mobile": "x"})
    made = redactor({"inputRequest": {"mobile": "drop"}})(as_sent(json.dumps(RECORD | {"inputRequest": sent})))
    assert json.dumps(json.loads(made["inputRequest"])) == json.dumps({"data": [tree]})
