"""The comparison of two sorted streams of records: against sets and dicts, which hold everything in memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.export.comparison import differences, is_same_content, paired, shares_of

KEYS = st.tuples(st.integers(0, 3), st.sampled_from("abcdé"))
SIDES = st.dictionaries(KEYS, st.sampled_from([b'{"x":1}', b'{"x":2}', b'{ "x": 1 }']), max_size=12)


def entries(side):
    return sorted(side.items())


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES)
def test_each_difference_is_told_once_in_order_and_nothing_else(in_api, in_object):
    both = in_api.keys() & in_object.keys()
    expected = [
        *(("absent", key) for key in in_api.keys() - in_object.keys()),
        *(("surplus", key) for key in in_object.keys() - in_api.keys()),
        *(("changed", key) for key in both if json.loads(in_api[key]) != json.loads(in_object[key])),
    ]
    assert list(differences(entries(in_api), entries(in_object))) == sorted(expected, key=lambda each: each[1])


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES)
def test_pairs_are_those_of_a_full_join(left, right):
    assert list(paired(entries(left), entries(right))) == [
        (key, left.get(key), right.get(key)) for key in sorted(left.keys() | right.keys())
    ]


def test_no_more_than_one_record_of_a_side_is_held():
    taken = []

    def endless(name, step):
        for number in range(0, 10**9, step):
            taken.append(name)
            yield (number, "a"), b"{}"

    found = paired(endless("left", 1), endless("right", 2))
    for _ in range(100):
        next(found)
    assert taken.count("left") <= 102
    assert taken.count("right") <= 52


# Two texts of a record, and whether they have the same content.
CONTENTS = [
    ('{"a":1,"b":"x"}', '{ "b": "x", "a": 1 }', True),
    (r'{"a":"\u00e9\/"}', '{"a":"é/"}', True),
    ('{"a":{"b":[1,{"c":2,"d":3}]}}', '{"a":{"b":[1,{"d":3,"c":2}]}}', True),
    ('{"a":-0}', '{"a":0}', True),
    ('{"a":1e400}', '{"a": 1e400}', True),
    ('{"a":1e400}', '{"a":1e401}', False),
    ('{"a":1.5}', '{"a":1.50}', False),
    ('{"a":1}', '{"a":1.0}', False),
    ('{"a":12345678901234567890}', '{"a":12345678901234567891}', False),
    ('{"a":1}', '{"a":true}', False),
    ('{"a":0}', '{"a":false}', False),
    ('{"a":1}', '{"a":"1"}', False),
    ('{"a":null}', "{}", False),
    ('{"a":[1,2]}', '{"a":[2,1]}', False),
    ("{" + '"a":[' * 5000 + "1" + "]" * 5000 + "}", "{}", False),
    ("1" * 5000, "1" * 5000 + " ", True),
    ("1" * 5000, "2" + "1" * 4999, False),
]


@pytest.mark.parametrize(("one", "other", "same"), CONTENTS, ids=[str(number) for number in range(len(CONTENTS))])
def test_what_counts_as_content(one, other, same):
    assert is_same_content(one.encode(), other.encode()) is same
    assert is_same_content(other.encode(), one.encode()) is same


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.integers(0, 120))
def test_shares_use_what_there_is_and_crowd_nobody_out(counts, most):
    shares = shares_of(counts, most)
    assert all(0 <= share <= count for share, count in zip(shares, counts, strict=True))
    assert sum(shares) == min(most, sum(counts))
    cut = [share for share, count in zip(shares, counts, strict=True) if share < count]
    assert not cut or max(shares) - min(cut) <= 1
