"""Exceptions as text for logs, errors and events, without what such text could give away."""

from __future__ import annotations

import re

from airflow_provider_capillary.errors import CapillaryError

__all__ = ["error_text", "safe_error_text"]

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^\s/@]+@|\?\S+")
_LONGEST = 200


def error_text(error: BaseException) -> str:
    """The class and the text of an error of a store or a disk.

    The text is cut to 200 characters and loses the part of each URL that may hold a user, a password or a signature.

    >>> error_text(OSError("GET https://user:secret@host/key?sig=1 failed."))
    'OSError, GET https://host/key failed'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = _CREDENTIALS_IN_URL.sub("", " ".join(text.split()))[:_LONGEST]
    return f"{type(error).__name__}, {text.rstrip('. ')}" if text else type(error).__name__


def safe_error_text(error: BaseException) -> str:
    """The text of an error of this package, which never holds a secret; of any other error the class alone, because its text may.

    >>> safe_error_text(ValueError("secret"))
    'ValueError'
    """
    return str(error) if isinstance(error, CapillaryError) else type(error).__name__
