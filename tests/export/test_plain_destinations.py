"""The pattern that spares most destinations the rules, against the rules themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.export.destination import EXTRAS, check_destination
from airflow_provider_capillary.export.placeholders import check_placeholders
from airflow_provider_capillary.export.plain_destinations import is_plain

# Each row: a destination as users write it, which has to be spared the rules.
SPARED = [
    "s3://bucket/events.jsonl",
    "s3://my_conn@bucket/event_logs/dt={interval_start:%Y-%m-%d}/events.jsonl.gz",
    "gs://my-bucket/a/b/{interval_start:%Y/%m/%d}/part.0001+x,y.parquet",
    "abfs://azure@container/{interval_start:%Y-%m-%dT%H%z}_{interval_end:%Y-%m-%dT%H%z}.jsonl.zst",
    "file:///data/dt={{ ds }}/events.jsonl",
    "/data/{{ params.folder }}/{interval_start:%Y-%m-%d}.jsonl",
    "s3://bucket/{{ dag_run.run_id }}.jsonl",
]

# Each row: a destination that only the rules can judge, right or wrong.
NOT_SPARED = [
    "s3:/bucket/events.jsonl",
    "s3://bucket.with.points/events.jsonl",
    "memory://bucket/events.jsonl",
    "s3://user:password@bucket/events.jsonl",
    "s3://bucket//events.jsonl",
    "s3://bucket/../events.jsonl",
    "s3://bucket/events.json",
    "s3://bucket/.jsonl",
    "s3://bucket/dt={interval_start}/events.jsonl",
    "s3://bucket/{interval_start:%d}/events.jsonl",
    "s3://bucket/{{ interval_start }}/events.jsonl",
    "s3://bucket/{{ '/' }}/events.jsonl",
    "s3://bucket/events.jsonl\n",
    "events.jsonl",
    "~/events.jsonl",
    "",
]


def assert_right(text):
    assert check_destination(text) in {None, *EXTRAS}
    check_placeholders(text, rendered=False)


@pytest.mark.parametrize("text", SPARED)
def test_what_users_write_is_spared_the_rules(text):
    assert is_plain(text)
    assert_right(text)


@pytest.mark.parametrize("text", NOT_SPARED)
def test_anything_else_is_left_to_the_rules(text):
    assert not is_plain(text)


PIECES = st.sampled_from(
    [
        *("s3://", "file://", "gs:/", "nosuch://", "my_conn@", "bucket", "b.points", "u:p@", "/", "//", "x", "dt=", "None", "é"),
        *("{interval_start:%Y-%m-%d}", "{interval_end:%Y/%m/%d}", "{interval_end:%d}", "{interval_start:%H}", "{interval_start:%a}"),
        *("{{ ds }}", "{{ params.x }}", "{{ interval_start }}", "{{- interval_end }}", "{{ ", " }}", "{% if x %}", "{#", "{", "}", "%Y"),
        *(".", "..", "~", "\\", " ", "\n", "?", "#", ":", "@", "=", "+", ",", "c:", ".jsonl", ".parquet"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SPARED), st.lists(st.tuples(st.integers(0, 90), PIECES, st.integers(0, 3)), max_size=3))
def test_whatever_is_spared_passes_the_rules(text, changes):
    for place, piece, removed in changes:
        text = text[:place] + piece + text[place + removed :]
    if is_plain(text):
        assert_right(text)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=9), st.sampled_from([".jsonl", ".jsonl.gz", ".parquet"]))
def test_whatever_is_spared_of_pieces_in_any_order_passes_the_rules(pieces, ending):
    if is_plain(text := "".join(pieces) + ending):
        assert_right(text)
