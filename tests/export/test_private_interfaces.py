"""What the export uses of other packages without their promise, checked against the installed version: each message says what breaks."""

from __future__ import annotations

import inspect
import uuid
from datetime import timedelta

import pytest
from export.support import target_at
from operators.support import daily

from airflow_provider_capillary.export import _private_interfaces as private
from airflow_provider_capillary.export import store_errors


@pytest.fixture
def filesystem(bucket):
    return target_at(bucket.uri("x.jsonl"))._fs


def test_s3fs_lists_begins_and_aborts_uploads_by_call_s3(bucket, filesystem):
    key = f"{bucket.name}/x.jsonl"
    assert private.is_s3(filesystem), "s3fs has no call_s3 any more: uploads that a killed run left are never aborted, and are billed"
    assert private.list_s3_uploads(filesystem, key) == []
    upload = private.begin_s3_upload(filesystem, key)
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key="x.jsonl.gz")
    assert private.list_s3_uploads(filesystem, key) == [upload], (
        "s3fs sends or splits keys in another way: uploads to other objects would be aborted, or none"
    )
    private.abort_s3_upload(filesystem, key, upload)
    assert private.list_s3_uploads(filesystem, key) == [], "s3fs does not abort by call_s3 any more: unfinished uploads stay"


def test_s3fs_keeps_botocore_s_answer_as_the_cause_of_its_own_error(bucket, filesystem):
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the class is what s3fs chooses, the code is what counts
        private.abort_s3_upload(filesystem, f"{bucket.name}/x.jsonl", "none")
    assert "NoSuchUpload" in private.error_codes(caught.value), (
        "s3fs hides the store's code: no refusal, lost upload or failed condition is told apart from a broken network"
    )
    with pytest.raises(FileNotFoundError) as caught:
        filesystem.info(f"no-bucket-{uuid.uuid4()}/x.jsonl")
    assert store_errors.was_answered(caught.value), "s3fs hides the store's code: a rejected credential is found only after reading"


# What each filesystem's `put_file` takes. The packages of the other two stores are large; their names are checked where installed.
PUT_OPTIONS = [
    ("s3fs", "S3FileSystem", {"chunksize", "max_concurrency", "mode"}),
    ("gcsfs", "GCSFileSystem", {"chunksize", "mode"}),
    ("adlfs", "AzureBlobFileSystem", {"max_concurrency", "overwrite"}),
]


@pytest.mark.parametrize(("package", "name", "options"), PUT_OPTIONS)
def test_the_filesystems_take_these_options_for_an_upload(package, name, options):
    filesystem = getattr(pytest.importorskip(package, reason=f"{package} comes with an optional extra"), name)
    missing = options - set(inspect.signature(filesystem._put_file).parameters)
    assert not missing, f"{package} does not take {missing} any more: parts are 50 MiB in memory, or two runs at once replace each other"


def test_the_options_of_an_upload_are_read_off_the_filesystem(filesystem):
    assert {"chunksize", "max_concurrency", "mode"} <= private.put_options_of(filesystem), (
        "fsspec has no _put_file any more: parts of unknown size, and no upload that only creates"
    )


def test_fsspec_s_parent_names_the_listing_that_is_cached(bucket, filesystem):
    bucket.write("folder/x.jsonl", b"1")
    key = f"{bucket.name}/folder/x.jsonl"
    assert private.parent_of(filesystem, key) == f"{bucket.name}/folder", "fsspec's _parent gives something else: see the next assertion"
    assert filesystem.ls(f"{bucket.name}/folder", detail=True)[0]["size"] == 1
    bucket.write("folder/x.jsonl", b"22")
    filesystem.invalidate_cache(private.parent_of(filesystem, key))
    assert filesystem.info(key)["size"] == 2, "a listing stays cached: the object of another run is not seen, and is replaced unnoticed"


def test_gcsfs_sends_any_request_by_call():
    gcsfs = pytest.importorskip("gcsfs", reason="gcsfs comes with the extra gcs")
    taken = inspect.signature(gcsfs.GCSFileSystem._call).parameters
    assert {"method", "path", "json_out"} <= set(taken), "gcsfs's call changed: a missing bucket at Google is found only after reading"
    assert hasattr(gcsfs.GCSFileSystem, "call"), "gcsfs has no call any more: a missing bucket at Google is found only after reading"


def test_airflow_tells_which_filesystems_are_installed():
    assert private.has_filesystem("s3"), "Airflow's has_fs does not know s3: every export to S3 fails with advice to install what is there"
    assert not private.has_filesystem("nosuch"), "Airflow's has_fs knows everything: a misspelt scheme is not refused while parsing"


def test_a_path_tells_its_connection():
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    assert private.connection_id_of(ObjectStoragePath("file://my_conn@/d/x.jsonl")) == "my_conn", (
        "ObjectStoragePath keeps its connection id elsewhere: a missing connection is replaced by the worker's own credentials"
    )
    assert private.connection_id_of(ObjectStoragePath("file:///d/x.jsonl")) is None


def test_a_path_is_rebuilt_with_another_text_and_its_connection():
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    filled = private.with_path(ObjectStoragePath("file://my_conn@/d/{x}.jsonl"), str(ObjectStoragePath("file://my_conn@/d/1.jsonl")))
    assert (type(filled), str(filled)) == (ObjectStoragePath, str(ObjectStoragePath("file://my_conn@/d/1.jsonl"))), (
        "ObjectStoragePath serializes in another way: placeholders in a path object are not filled in"
    )
    assert private.connection_id_of(filled) == "my_conn", "a path with placeholders loses its connection"


def timetables():
    """A timetable, settings that it has, its zone, and whether its runs have a data interval."""
    try:
        from airflow.sdk import CronTriggerTimetable, DeltaDataIntervalTimetable
    except ImportError:
        from airflow.timetables.interval import DeltaDataIntervalTimetable
        from airflow.timetables.trigger import CronTriggerTimetable
    return [
        (CronTriggerTimetable("0 3 * * *", timezone="Europe/London"), {"expression": "0 3 * * *"}, "Europe/London", False),
        (CronTriggerTimetable("0 3 * * *", timezone="UTC", interval=timedelta(days=1)), {"interval": timedelta(days=1)}, "UTC", True),
        (DeltaDataIntervalTimetable(timedelta(hours=6)), {"delta": timedelta(hours=6)}, None, True),
        (daily("Europe/London"), {"expression": "0 0 * * *"}, "Europe/London", True),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_timetable_tells_what_it_was_made_with(number):
    timetable, expected, zone, with_intervals = timetables()[number]
    settings = private.timetable_settings(timetable)
    assert expected.items() <= settings.items(), (
        "timetables keep their settings elsewhere: the error of a run without an interval does not show the DAG's own schedule"
    )
    shown = settings.get("timezone")
    assert getattr(shown, "name", shown) == zone, "timetables keep their zone elsewhere: the error shows the schedule with a wrong zone"
    assert private.has_data_intervals(timetable) == with_intervals, (
        "timetables with data intervals have other names: the error proposes a schedule that the DAG has already, or does not propose one"
    )
