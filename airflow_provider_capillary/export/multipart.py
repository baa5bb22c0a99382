"""Uploads in parts that were begun on S3 and never ended: invisible, in nobody's way, and paid for until somebody aborts them.

A killed run leaves one. So does a request to begin one whose answer is lost: the store has begun it, and nobody knows its id. A store
gives them no owner and no lock, so all of the object's are aborted. Should one of them belong to a run that is alive, against all advice,
then that run is told that its upload is gone, and uploads its object anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_capillary.export.error_text import error_text

if TYPE_CHECKING:
    import logging

    from fsspec import AbstractFileSystem

__all__ = [
    "abort_unfinished_uploads",
    "begin_and_abort",
    "is_conditional_write_unsupported",
    "is_precondition_failed",
    "upload_is_gone",
]


def abort_unfinished_uploads(fs: AbstractFileSystem, key: str, *, log: logging.Logger) -> None:
    """Abort every upload to this one object that has not ended, and say so.

    Does nothing on other filesystems than S3's: what Google and Azure keep of an unfinished upload goes by itself in a week. What the
    store refuses is logged and no reason to fail.

    :param key: the path inside the filesystem, bucket first.
    """
    if not hasattr(fs, "call_s3"):
        return
    bucket, name, _ = fs.split_path(key)
    try:
        # Sorted by key, so that those of the object itself come first among those whose name begins like it.
        told = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=name)
        uploads = [upload["UploadId"] for upload in told.get("Uploads") or () if upload["Key"] == name]
        for upload in uploads:
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId=upload)
    except Exception as error:  # noqa: BLE001  # the store's own errors; the object itself does not depend on it
        log.info("Whether unfinished uploads of %s are left is unknown (%s)", key, error_text(error))
        return
    if uploads:
        log.warning("Aborted %d unfinished uploads of %s, left by a killed run or a lost answer", len(uploads), key)


def begin_and_abort(fs: AbstractFileSystem, key: str) -> None:
    """Begin an upload of this object on S3 and abort it at once: the one question about the right to write that leaves no trace.

    Does nothing where the credential may not abort, since the upload would stay.

    :param key: the path inside the filesystem, bucket first.
    :raises Exception: whatever the filesystem raises where the upload can't be begun.
    """
    bucket, name, _ = fs.split_path(key)
    try:
        fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId="none")
    except Exception as error:  # noqa: BLE001  # the answer to a question
        if not upload_is_gone(error):
            return
    upload = fs.call_s3("create_multipart_upload", Bucket=bucket, Key=name)["UploadId"]
    try:
        fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId=upload)
    except Exception as error:  # another run that aborts what it finds was faster; anything else, the next upload aborts
        if not upload_is_gone(error):
            raise


def upload_is_gone(error: BaseException) -> bool:
    """Whether the store says that it does not know the upload: ended already, its answer lost, or aborted by another run."""
    return _code(error) == "NoSuchUpload"


def is_precondition_failed(error: BaseException) -> bool:
    """Whether the store says that an object exists, which was to be created only where none does."""
    # 409: another upload to this key, equally conditional, is under way.
    return isinstance(error, FileExistsError) or _code(error) in {"PreconditionFailed", "412", "ConditionalRequestConflict"}


def is_conditional_write_unsupported(error: BaseException) -> bool:
    """Whether the store says that it does not know conditional writes."""
    return _code(error) in {"NotImplemented", "501"}


def _code(error: BaseException) -> str | None:
    """The store's code of an error: S3's, as botocore keeps it below what s3fs makes of it, or Google's, as gcsfs does."""
    response = getattr(error.__cause__ or error, "response", None) or {}
    code = response["Error"].get("Code") if "Error" in response else getattr(error, "code", None)
    return None if code is None else str(code)
