"""What the export uses of fsspec and the stores' clients without their promise, as installed here: each message says what breaks."""

from __future__ import annotations

import inspect
import uuid

import pytest
from export.support import target_at

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
