"""The argument ``redact``: what is refused while the DAG is parsed, and what a manifest says of it."""

from __future__ import annotations

import pytest
from operators.support import ALL, export_task
from redaction.support import NAMED, redactor

from airflow_provider_capillary.errors import ConfigurationError
from airflow_provider_capillary.redaction.rules import parse_redact

# Each row: a value that is wrong, and words of the error: what is wrong, the value, what to write instead.
WRONG = [
    ("drop", ["redact='drop'", "is not a dict", '"message": "drop"']),
    ("{{ params.redact }}", ["redact='{{ params.redact }}'", "is not a dict"]),
    (["message"], ["of type list"]),
    ({}, ["redact={} drops and hashes nothing", "leave redact out"]),
    ({"message": "keep"}, ["drops and hashes nothing"]),
    (NAMED, ["drops and hashes nothing"]),
    ({"message": "remove"}, ["redact['message']='remove'", "keep, drop, hash"]),
    ({"message": None}, ["redact['message']=None"]),
    ({"message": True}, ["redact['message']=True"]),
    ({"message": {"mobile": "drop"}}, ["redact['message'] is a dict", "only inputRequest and detect"]),
    ({"inputRequest": {}}, ["redact['inputRequest'] is an empty dict"]),
    ({"inputRequest": {"mobile": "hsah"}}, ["redact['inputRequest']['mobile']='hsah'", "keep, drop, hash"]),
    ({"inputRequest": {5: "drop"}}, ["redact['inputRequest']", "5"]),
    ({"inputRequest": {"data": {"mobile": "drop"}}}, ["redact['inputRequest']['data'] is a dict", "at any depth"]),
    ({"inputRequest": {"first_name": "drop", "firstName": "keep"}}, ["'firstName'", "contradicts another spelling"]),
    ({5: "drop"}, ["has the key 5"]),
    ({"mesage": "drop"}, ["'mesage'", "write 'message'"]),
    ({"input_requests": "drop"}, ["'input_requests'", "write 'inputRequest'"]),
    ({"phone": "drop"}, ["'phone'", 'stand under "detect"']),
    ({"id": "hash", **NAMED}, ["redact['id']", "told apart"]),
    ({"startTime": "drop"}, ["redact['startTime']", "sorted"]),
    ({"Status": "drop"}, ["redact['status']", "counted"]),
    ({"detect": ["phone"]}, ["redact['detect']=['phone']", '"phone": "hash"']),
    ({"detect": {"fax": "drop"}}, ["'fax'", "phone, email, card"]),
    ({"detect": {"phone": "keep"}}, ["redact['detect']['phone']='keep'", "drop, hash"]),
    ({"message": "hash"}, ["hashes, and has no key", '"key": {"variable": "capillary_redaction_secret"}']),
    ({"inputRequest": {"*": "hash"}}, ["has no key"]),
    ({"*": "hash"}, ["has no key"]),
    ({"detect": {"card": "hash"}}, ["has no key"]),
    ({"message": "hash", "key": {"variable": ""}}, ["redact['key']['variable'] is no name"]),
    ({"message": "hash", "key": {"variable": "a", "connection": "b"}}, ["one variable or one connection"]),
    ({"message": "hash", "key": {}}, ["one variable or one connection"]),
]


@pytest.mark.parametrize(("value", "words"), WRONG)
def test_a_wrong_value_is_one_error_while_the_dag_is_parsed(value, words):
    with pytest.raises(ConfigurationError) as caught:
        export_task("file:///x/y.jsonl", redact=value, **ALL)
    for word in words:
        assert word in str(caught.value)
    assert "How to fix: " in str(caught.value)


# Each row: a key that stands in the DAG, or could get there. The error doesn't repeat it.
@pytest.mark.parametrize(
    "key", ["s3cret-s3cret-s3cret", {"value": "s3cret-s3cret-s3cret"}, {"variable": "{{ var.value.s3cret }}"}, ["s3cret"], b"s3cret"]
)
def test_a_key_in_the_dag_is_refused_and_not_shown(key):
    with pytest.raises(ConfigurationError) as caught:
        export_task("file:///x/y.jsonl", redact={"message": "hash", "key": key}, **ALL)
    assert "s3cret" not in str(caught.value)
    assert '"key": {"variable": "capillary_redaction_secret"}' in str(caught.value)


def test_an_action_may_be_a_template_and_is_checked_when_it_is_rendered():
    export_task("file:///x/y.jsonl", redact={"message": "{{ params.action }}"}, **ALL)
    with pytest.raises(ConfigurationError, match="no key"):
        parse_redact({"message": "hash"})
    with pytest.raises(ConfigurationError, match="drops and hashes nothing"):
        parse_redact({"message": "keep"})


def test_nothing_is_imported_for_a_task_without_redact():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator as Operator\n"
        "Operator(task_id='x', destination='/x/y.jsonl')\n"
        "assert 'airflow_provider_capillary.operators.capillary' in sys.modules\n"
        "print([name for name in sys.modules if name.startswith('airflow_provider_capillary.redaction')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# Each row: two spellings of one rule. Their objects may replace one another.
EQUAL = [
    ({"message": "drop", "webhookId": "drop"}, {"webhookId": "drop", "message": "drop"}),
    ({"message": "drop"}, {"message": "drop", "webhookId": "keep"}),
    ({"message": "drop"}, {"Message": "drop", "inputRequest": "keep"}),
    ({"inputRequest": {"firstName": "drop"}}, {"inputRequest": {"first-name": "drop", "x": "keep"}}),
    ({"message": "hash", "key": {"variable": "a"}}, {"message": "hash", "key": {"connection": "b"}}),
]
# Each row: two rules that do different things.
DIFFERENT = [
    ({"message": "drop"}, {"message": "drop", "webhookId": "drop"}),
    ({"inputRequest": {"a": "drop"}}, {"inputRequest": "drop"}),
    ({"inputRequest": {"a": "drop"}}, {"a": "drop"}),
    ({"inputRequest": {"*": "drop"}}, {"inputRequest": {"*": "drop", "a": "keep"}}),
    ({"*": "drop"}, {"inputRequest": {"*": "drop"}}),
    ({"detect": {"phone": "drop"}}, {"detect": {"phone": "drop"}, "message": "keep"}),
    ({"detect": {"phone": "drop"}}, {"detect": {"phone": "drop"}, "customText": "keep"}),
    ({"detect": {"phone": "drop"}}, {"detect": {"card": "drop"}}),
    ({"message": "drop"}, {"message": "drop", **NAMED}),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_rules_that_do_the_same_are_the_same_in_a_manifest(first, second):
    assert redactor(first).to_dict() == redactor(second).to_dict()


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_rules_that_do_different_things_differ_in_a_manifest(first, second):
    assert redactor(first).to_dict() != redactor(second).to_dict()


def test_another_key_has_another_fingerprint_and_neither_shows_the_key():
    rule = {"message": "hash", **NAMED}
    first, second = redactor(rule, "a" * 20), redactor(rule, "b" * 20)
    assert first.to_dict()["key_fingerprint"] != second.to_dict()["key_fingerprint"]
    for made in (first, second):
        assert not {"a" * 20, "b" * 20} & {word.strip("b'\"") for word in f"{made!r} {vars(made)!r} {made.to_dict()!r}".split()}
