"""Destinations: local paths, URIs and mistakes, by the same rule while the DAG is parsed and in the run."""

from __future__ import annotations

import pathlib
import re

import pytest
from export.support import export, make_records
from operators.support import ALL, export_task

from airflow_provider_capillary.errors import DestinationError
from airflow_provider_capillary.export.destination import Destination, check_destination, parse_destination

SECRET = "verysecret"

# Each row: a misspelled destination, and the spelling that the error proposes.
MISSPELLED = [
    ("s3:/b/x.jsonl", "s3://b/x.jsonl"),
    ("s3:b/x.jsonl", "s3://b/x.jsonl"),
    ("s3:///b/x.jsonl", "s3://b/x.jsonl"),
    ("gs:////b/x.jsonl", "gs://b/x.jsonl"),
    ("s3://c@/b/x.jsonl", "s3://c@b/x.jsonl"),
    ("s3://@b/x.jsonl", "s3://b/x.jsonl"),
    (pathlib.Path("s3://b/x.jsonl"), "s3://b/x.jsonl"),
    (pathlib.PurePosixPath("s3://c@b/d/x.jsonl"), "s3://c@b/d/x.jsonl"),
    (pathlib.Path("/d/x.jsonl"), "file:///d/x.jsonl"),
    (pathlib.PureWindowsPath("C:\\d\\x.jsonl"), "file:///mnt/c/d/x.jsonl"),
    ("file:/d/x.jsonl", "file:///d/x.jsonl"),
    ("file:d/x.jsonl", "file:///d/x.jsonl"),
    ("file:////d/x.jsonl", "file:///d/x.jsonl"),
    ("file://localhost/d/x.jsonl", "file:///d/x.jsonl"),
    ("file://conn@/d/x.jsonl", "file:///d/x.jsonl"),
    ("C:\\d\\x.jsonl", "file:///mnt/c/d/x.jsonl"),
    ("C:/d/x.jsonl", "file:///mnt/c/d/x.jsonl"),
    ("d:\\it's me@home\\x.jsonl", "file:///mnt/d/it's me@home/x.jsonl"),
    ("file:///C:/d/x.jsonl", "file:///mnt/c/d/x.jsonl"),
    ("\\\\server\\share\\x.jsonl", "file:///mnt/server/share/x.jsonl"),
    ("//server/share/x.jsonl", "/server/share/x.jsonl"),
    ("s3:\\\\b\\x.jsonl", "s3://b/x.jsonl"),
    ("s3://b/x.jsonl#part", "s3://b/x.jsonl"),
    ("/d/x.jsonl#part", "/d/x.jsonl"),
    ("s3://b/x.jsonl?versionId=3", "s3://b/x.jsonl"),
    (" s3://b/x.jsonl", "s3://b/x.jsonl"),
    ("s3://b/x.jsonl\n", "s3://b/x.jsonl"),
    ("s3://b/\tx.jsonl", "s3://b/x.jsonl"),
    ("s3://b/a/../x.jsonl", "s3://b/x.jsonl"),
    ("s3://b/a/./x.jsonl", "s3://b/a/x.jsonl"),
    ("s3://b/../../x.jsonl", "s3://b/x.jsonl"),
    ("/d/e/../x.jsonl", "/d/x.jsonl"),
    ("s3://b//x.jsonl", "s3://b/x.jsonl"),
    ("s3://b/a//x.jsonl", "s3://b/a/x.jsonl"),
    ("/d//x.jsonl", "/d/x.jsonl"),
    ("s3://b/x.jsonl/", "s3://b/x.jsonl"),
    ("S3://b/x.jsonl", "s3://b/x.jsonl"),
    ("FILE:///d/x.jsonl", "file:///d/x.jsonl"),
    ("az://b/x.jsonl", "abfs://b/x.jsonl"),
    ("wasbs://c@account.blob.core.windows.net/x.jsonl", "abfss://my_conn@c/x.jsonl"),
    ("abfs://c@account.dfs.core.windows.net/x.jsonl", "abfs://my_conn@c/x.jsonl"),
    ("https://b.s3.eu-west-1.amazonaws.com/d/x.jsonl", "s3://b/d/x.jsonl"),
    ("https://s3.amazonaws.com/b/d/x.jsonl", "s3://b/d/x.jsonl"),
    ("https://storage.googleapis.com/b/x.jsonl", "gs://b/x.jsonl"),
    ("https://account.blob.core.windows.net/c/x.jsonl", "abfs://c/x.jsonl"),
    # Everything at once.
    ("S3:/b//a/../x.jsonl/#1 ", "s3://b/x.jsonl"),
    # What surrounds a template decides already.
    ("s3:/b/{{ ds }}.jsonl", "s3://b/{{ ds }}.jsonl"),
    ("s3://b//{{ ds }}/{{ ts }}.jsonl", "s3://b/{{ ds }}/{{ ts }}.jsonl"),
    ("s3://b/a/../{{ ds }}.jsonl", "s3://b/{{ ds }}.jsonl"),
    ("{{ base }}/a//{{ ds }}.jsonl", "{{ base }}/a/{{ ds }}.jsonl"),
    ("C:\\{{ ds }}\\x.jsonl", "file:///mnt/c/{{ ds }}/x.jsonl"),
    ("gs:/b/{interval_start:%Y//%m}/x.jsonl", "gs://b/{interval_start:%Y//%m}/x.jsonl"),
    ("s3://b/{{ ds }}.jsonl?versionId={{ v }}", "s3://b/{{ ds }}.jsonl"),
]


@pytest.mark.parametrize(("written", "right"), MISSPELLED)
def test_a_misspelled_destination_is_refused_with_the_right_spelling(written, right):
    with pytest.raises(DestinationError) as caught:
        check_destination(written)
    assert f"destination={right!r}" in caught.value.hint
    # The proposed spelling is accepted.
    check_destination(right)


# Each row: a destination that could mean several things, and words of the hint.
UNCLEAR = [
    ("out/x.jsonl", "'file:///data/out/x.jsonl', or put s3://my_conn@bucket/ before it"),
    ("x.jsonl", "'file:///data/x.jsonl'"),
    ("./x.jsonl", "file:///data/"),
    ("out/{{ ds }}.jsonl", "'file:///data/out/{{ ds }}.jsonl'"),
    ("out/{interval_start:%Y}.jsonl", "'file:///data/out/{interval_start:%Y}.jsonl'"),
    ("events:2/x.jsonl", "file:///data/events:2/x.jsonl"),
    ("~/x.jsonl", "file:///home/airflow/"),
    ("~airflow/{{ ds }}.jsonl", "file:///home/airflow/"),
    ("file:///~/x.jsonl", "file:///home/airflow/"),
    ("file://out/x.jsonl", "write three"),
    ("s3://b", "add the name of the object"),
    ("s3://c@b/", "add the name of the object"),
    ("s3://minio:9000/b/x.jsonl", "extra endpoint_url"),
    ("s3://b /x.jsonl", "s3://my_conn@bucket"),
    ("s3://a@c@b/x.jsonl", "s3://my_conn@bucket"),
    ("https://example.com/x.jsonl", "s3://my_conn@bucket"),
    ("s3://b/{{ ds }}/../x.jsonl", "write the path without"),
    ("", "s3://my_conn@bucket"),
    (" \n", "s3://my_conn@bucket"),
    (pathlib.Path("out/x.jsonl"), "as text"),
]


@pytest.mark.parametrize(("written", "hint"), UNCLEAR)
def test_an_ambiguous_destination_is_refused_with_examples(written, hint):
    with pytest.raises(DestinationError, match=r"destination=") as caught:
        check_destination(written)
    assert hint in caught.value.hint


# Destinations with a password or a signature, which no error may show.
WITH_SECRETS = [
    f"s3://user:{SECRET}@b/x.jsonl",
    f"s3://user:very/{SECRET}@b/x.jsonl",
    f"s3:/user:{SECRET}@b/x.jsonl",
    f"s3://:{SECRET}@b/x.jsonl",
    f"user:{SECRET}@b/x.jsonl",
    f" s3://user:{SECRET}@b//x.jsonl#",
    f"s3://user:{SECRET}@{{{{ bucket }}}}/x.jsonl",
    f"https://user:{SECRET}@b.s3.amazonaws.com/x.jsonl",
    f"https://b.s3.amazonaws.com/x.jsonl?X-Amz-Signature={SECRET}",
    f"abfs://c/x.jsonl?sig={SECRET}",
    "s3://{{ conn.a.login }}:{{ conn.a.password }}@b/x.jsonl",
]


@pytest.mark.parametrize("written", WITH_SECRETS)
def test_credentials_in_a_uri_are_refused_and_not_shown(written):
    for check in (check_destination, parse_destination, export_task):
        with pytest.raises(DestinationError, match=r"\*\*\*|conn\.a\.login") as caught:
            check(written)
        assert SECRET not in str(caught.value)
        assert "connection" in caught.value.hint or "?" in written


# Each row: a right destination and its parts. The key is taken literally, whatever it looks like.
RIGHT = [
    ("/d/x.jsonl", ("file", None, "", "/d/x.jsonl")),
    ("file:///d/x.jsonl", ("file", None, "", "/d/x.jsonl")),
    ("local:///d/x.jsonl", ("file", None, "", "/d/x.jsonl")),
    ("s3://b/x.jsonl", ("s3", None, "b", "x.jsonl")),
    ("s3a://my-conn.1@b/d/x.jsonl", ("s3a", "my-conn.1", "b", "d/x.jsonl")),
    ("gs://c@b/a b/k:1@x%20.jsonl", ("gs", "c", "b", "a b/k:1@x%20.jsonl")),
    ("abfss://c@b/..a/~/x..jsonl", ("abfss", "c", "b", "..a/~/x..jsonl")),
    (
        "s3://c@arn:aws:s3:us-west-2:123456789012:accesspoint/ap/x.jsonl",
        ("s3", "c", "arn:aws:s3:us-west-2:123456789012:accesspoint", "ap/x.jsonl"),
    ),
    ("sftp://c@host:22/x.jsonl", ("sftp", "c", "host:22", "x.jsonl")),
    ("hdfs:///d/x.jsonl", ("hdfs", None, "", "d/x.jsonl")),
]


@pytest.mark.parametrize(("written", "parts"), RIGHT)
def test_a_right_destination_is_taken_apart(written, parts):
    destination = parse_destination(written)
    assert destination == Destination(*parts, path=written)
    assert destination.ending == ".jsonl"


# Destinations that are right or wrong depending on what their templates become.
UNDECIDED = [
    "{{ params.path }}",
    "{{ base }}/x.jsonl",
    "{{ scheme }}://b/x.jsonl",
    "s{{ x }}://b/x.jsonl",
    "s3:{{ x }}/x.jsonl",
    "s3:/{{ x }}/x.jsonl",
    "s3://{{ x }}",
    "s3://b{{ x }}",
    "s3://{{ conn }}@{{ bucket }}/x.jsonl",
    "file://{{ path }}/x.jsonl",
    "file://{{ path }}",
    "/{{ ds }}.jsonl",
    "s3://b/{% if a %}x{% else %}y{% endif %}.jsonl",
    "s3://b/{{ 'a' if x else 'c?#//..' }}.jsonl",
    "s3://b/{# ?? #}x.jsonl",
    "s3://b-{interval_start:%Y:%m}/{interval_end:%d//%H}.jsonl",
]


@pytest.mark.parametrize("written", UNDECIDED)
def test_a_destination_that_a_template_may_make_right_is_left_to_the_run(written):
    check_destination(written)


def airflow_path(text):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(text)


def test_an_object_storage_path_goes_by_what_it_says():
    assert parse_destination(airflow_path("s3://b/d/x.jsonl"))[:4] == ("s3", None, "b", "d/x.jsonl")
    assert parse_destination(airflow_path("file:///d") / "x.jsonl")[:4] == ("file", None, "", "/d/x.jsonl")
    with pytest.raises(DestinationError, match="doubled slash"):
        parse_destination(airflow_path("s3://b//x.jsonl"))


class Foreign:
    """What another library calls a path to an object, as ``cloudpathlib`` does."""

    def __fspath__(self):
        raise AssertionError("this would download the object")

    def __str__(self):
        return "s3://b/x.jsonl"


@pytest.mark.parametrize("value", [Foreign(), 7, None, f"s3://u:{SECRET}@b/x.jsonl".encode(), [f"s3://u:{SECRET}@b/x.jsonl"]])
def test_a_value_of_another_type_is_refused_by_its_type(value):
    with pytest.raises(DestinationError, match=rf"{type(value).__name__}.* neither an ObjectStoragePath nor its URI") as caught:
        check_destination(value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("scheme", ["s4", "gss", "nosuch"])
def test_a_scheme_that_no_provider_has_is_refused_while_the_dag_is_parsed(scheme):
    with pytest.raises(DestinationError, match=rf"No filesystem for {scheme}://") as caught:
        export_task(f"{scheme}://c@b/{{{{ ds }}}}.jsonl")
    meant = {"s4": "s3", "gss": "gs"}.get(scheme)
    assert meant is None or f"destination='{meant}://c@b/{{{{ ds }}}}.jsonl'" in caught.value.hint
    assert "gcs, gs, s3" in caught.value.hint


@pytest.mark.parametrize("written", ["s3:/b/x.jsonl", "out/x.jsonl", "s3://b/x.jsonl?versionId=3", pathlib.Path("/d/x.jsonl")])
def test_the_operator_gives_the_same_error_while_parsing_and_in_the_run(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = export_task("{{ params.path }}", **ALL)
    with pytest.raises(DestinationError) as before:
        task.__class__(task_id="other", destination=written)
    task.destination = written
    with pytest.raises(Exception, match=re.escape(str(before.value))):
        task.execute({})
    with pytest.raises(DestinationError, match=re.escape(str(before.value))):
        export(make_records(3), written)
    assert list(tmp_path.iterdir()) == []
