"""What of an exception reaches a log: its class, and of its text no more than is known to be safe."""

from __future__ import annotations

import errno
import os

import pytest

from airflow_provider_capillary.error_text import error_text, safe_error_text
from airflow_provider_capillary.errors import ServerError

# Each row: an error of a store or a disk, and its text.
TEXTS = [
    (ValueError("too small"), "ValueError, too small"),
    (ValueError("Too small. "), "ValueError, Too small"),
    (ValueError(), "ValueError"),
    (ValueError("two\n lines"), "ValueError, two lines"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/path"), "OSError, No space left on device"),
    (RuntimeError("PUT https://user:secret@host/key?X-Amz-Signature=secret failed"), "RuntimeError, PUT https://host/key failed"),
    (RuntimeError("s3://key:secret@bucket/x"), "RuntimeError, s3://bucket/x"),
    (RuntimeError("x" * 300), "RuntimeError, " + "x" * 200),
]


@pytest.mark.parametrize(("error", "text"), TEXTS)
def test_an_error_of_a_store_is_told_without_credentials(error, text):
    assert error_text(error) == text


# Each row: an error of any kind, and its text.
SAFE = [(ServerError("The API fails", hint="wait"), "The API fails. How to fix: wait."), (KeyError("secret"), "KeyError")]


@pytest.mark.parametrize(("error", "text"), SAFE)
def test_a_foreign_error_is_told_by_its_class_alone(error, text):
    assert safe_error_text(error) == text
