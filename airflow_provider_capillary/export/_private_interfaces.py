"""What the export uses of fsspec and the stores' clients although nobody promises to keep it: undocumented or private names.

Each function wraps one such interface, and nothing else in :mod:`.export` touches it. ``tests/export/test_private_interfaces.py`` checks
each against the real library and says what breaks when a new version changes it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec import AbstractFileSystem

__all__ = [
    "abort_s3_upload",
    "begin_s3_upload",
    "error_codes",
    "is_s3",
    "list_google_bucket",
    "list_s3_uploads",
    "parent_of",
    "put_options_of",
]


def parent_of(fs: AbstractFileSystem, key: str) -> str:
    """The folder of a key, as the filesystem's cache of listings names it (fsspec's ``_parent``)."""
    return str(fs._parent(key))  # noqa: SLF001  # fsspec has no public name for it


def put_options_of(fs: AbstractFileSystem) -> frozenset[str]:
    """The names of the options that ``put_file`` takes: those of ``_put_file`` where the filesystem is asynchronous inside."""
    return frozenset(inspect.signature(getattr(fs, "_put_file", fs.put_file)).parameters)


def is_s3(fs: AbstractFileSystem) -> bool:
    """Whether the filesystem is s3fs, whose ``call_s3`` sends any request of S3's API."""
    return hasattr(fs, "call_s3")


def list_s3_uploads(fs: AbstractFileSystem, key: str) -> list[str]:
    """The ids of the unfinished multipart uploads to one object."""
    bucket, name, _ = fs.split_path(key)
    # S3 sorts by key, so the uploads to this object come before those to objects whose names only begin like it.
    listed = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=name)
    return [upload["UploadId"] for upload in listed.get("Uploads") or () if upload["Key"] == name]


def begin_s3_upload(fs: AbstractFileSystem, key: str) -> str:
    """Begin a multipart upload to one object.

    :return: its id.
    """
    bucket, name, _ = fs.split_path(key)
    return str(fs.call_s3("create_multipart_upload", Bucket=bucket, Key=name)["UploadId"])


def abort_s3_upload(fs: AbstractFileSystem, key: str, upload: str) -> None:
    """Abort one multipart upload.

    :param upload: its id.
    """
    bucket, name, _ = fs.split_path(key)
    fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId=upload)


def list_google_bucket(fs: AbstractFileSystem, bucket: str, prefix: str) -> None:
    """List at most one object of a bucket at Google (gcsfs's ``call`` sends any request of the storage API)."""
    fs.call("GET", "b/{}/o", bucket, prefix=prefix, maxResults=1, json_out=True)


def error_codes(error: BaseException | None) -> Iterator[str]:
    """The codes that a store gave for an error, from the error itself and from the errors that caused it.

    s3fs keeps botocore's error, with its ``response``, as the cause of its own. gcsfs has the HTTP status in ``code``, adlfs Azure's word
    in ``error_code``. Where an answer of S3 has no body, as for ``HEAD``, the code is the HTTP status.
    """
    while error is not None:
        response = getattr(error, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        for each in (code, getattr(error, "error_code", None), getattr(error, "code", None)):
            if each is not None:
                yield str(each)
        error = error.__cause__ or error.__context__
