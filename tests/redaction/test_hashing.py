"""The same person has the same hash, however the value is written."""

from __future__ import annotations

import json

import pytest
from redaction.support import NAMED, hashed, input_after

from airflow_provider_capillary.redaction.hashing import normal_form, normal_number

# Each row: spellings of one value, as JSON, and the text that all of them are hashed as.
SAME = [
    (
        [
            '"919800012345"',
            "919800012345",
            '"+919800012345"',
            '"+91 98000 12345"',
            '"0091-98000-12345"',
            '" (91) 98000.12345 "',
            "919800012345.0",
            "9.19800012345E+11",
            '"\\uff0b\\uff19\\uff11 98000\\u00a012345"',
            '"\\u0669\\u0661\\u0669\\u0668\\u0660\\u0660\\u0660\\u0661\\u0662\\u0663\\u0664\\u0665"',
        ],
        "919800012345",
    ),
    (['"09148574269"', '"9148574269"', "9148574269"], "9148574269"),
    (['"Asha@Example.com"', '"asha@example.com"', '" ASHA@EXAMPLE.COM "', '"asha\\uff20example.com"'], "asha@example.com"),
    (['"4111 1111 1111 1111"', '"4111-1111-1111-1111"', "4111111111111111"], "4111111111111111"),
    (["7", '"7"', "7.0", '" 7"'], "7"),
    (["-1.50", '"-1.5"'], "-1.5"),
    (["true", '"true"'], "true"),
    (['{"b":1,"a":[2,{"d":1,"c":2}]}', '{ "a": [2, {"c": 2, "d": 1}], "b": 1 }'], '{"a":[2,{"c":2,"d":1}],"b":1}'),
]
# Each row: two values that are not the same.
NOT_SAME = [('"Asha"', '"asha"'), ('"007"', "7"), ('"919800012345"', '"9800012345"'), ("1.5", "15"), ('"12345678-a"', '"12345678"')]


def after(json_text):
    return json.loads(input_after({"inputRequest": {"x": "hash"}, **NAMED}, f'{{"x":{json_text}}}'))["x"]


@pytest.mark.parametrize(("spellings", "normal"), SAME, ids=lambda value: value if isinstance(value, str) else "")
def test_spellings_of_one_value_have_one_hash(spellings, normal):
    assert {after(each) for each in spellings} == {hashed(normal)}


@pytest.mark.parametrize(("first", "second"), NOT_SAME)
def test_different_values_have_different_hashes(first, second):
    assert after(first) != after(second)


# Each row: what has nothing to hash stays.
@pytest.mark.parametrize("value", ["null", '""', '"  "', "[]", "[null]"])
def test_nothing_stays_nothing(value):
    assert after(value) == json.loads(value)


# Each row: a number that would take Python's int or Decimal long, or beyond what they take.
@pytest.mark.parametrize("text", ["1e999999999", "1E-999999999", "9" * 6000, "1e" + "9" * 50])
def test_a_number_beyond_all_measure_is_hashed_as_it_is_written(text):
    assert normal_number(text) == text
    assert after(text) == hashed(text)


def test_half_a_surrogate_pair_is_hashed_too():
    assert normal_form("\ud800") == "\ud800"
    assert len(after('"\\ud800"')) == 64
