"""What a store's or a disk's error says, fit for a log."""

from __future__ import annotations

import re

__all__ = ["error_text"]

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^\s/@]+@|\?\S+")
_LONGEST_CAUSE = 200


def error_text(error: BaseException) -> str:
    """The class of an error and the beginning of what it says, without what a URL in it may carry (user, password, signature)."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = _CREDENTIALS_IN_URL.sub("", " ".join(text.split()))[:_LONGEST_CAUSE]
    return f"{type(error).__name__}, {text.rstrip('. ')}" if text else type(error).__name__
