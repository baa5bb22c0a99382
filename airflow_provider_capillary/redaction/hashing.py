"""Keyed hashes, the same for every spelling of the same phone number, card number or e-mail address.

A hash is the 64 hexadecimal digits of HMAC-SHA256 over the normal form of a value, so that other tools can compute it:

.. code-block:: python

    hmac.new(key.encode(), "919800012345".encode(), "sha256").hexdigest()
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Final

__all__ = ["Hasher", "digits_of", "normal_form", "normal_number"]

SEPARATORS: Final = r" \t\u00a0\u2009\u202f().\-/\u2010-\u2015"
"""What people write between the digits of a number, for a class of a regular expression."""
_NUMBER: Final = re.compile(rf"\+?[\d{SEPARATORS}]+")
_NO_DIGITS: Final = re.compile("[^0-9]+")
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_FEWEST_DIGITS, _MOST_DIGITS = 8, 19
_MOST_PLACES: Final = 40
_FINGERPRINT: Final = b"\x00fingerprint of the key"
"""No normal form begins with this character."""


class Hasher:
    """Makes the hashes of one key.

    :param key: secret; in no attribute as it is.
    """

    def __init__(self, key: bytes) -> None:
        self._start = hmac.new(key, digestmod="sha256")

    def __call__(self, normal: str) -> str:
        """The hash of a normal form, 64 hexadecimal digits."""
        made = self._start.copy()
        made.update(normal.encode(errors="surrogatepass"))
        return made.hexdigest()

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell one key from another and do not give it away."""
        made = self._start.copy()
        made.update(_FINGERPRINT)
        return made.hexdigest()[:8]


def normal_form(text: str) -> str:
    """The text that is hashed in place of a text.

    The text in Unicode's form NFKC, without blanks at either end. Of that, an e-mail address in lower case. Of 8 to 19 digits, which may
    have a ``+`` before them and blanks, dots, dashes, slashes and brackets between them, the digits alone, without zeros at the beginning.
    Anything else stays as it is, case included. So a phone number with its country's code and without have two hashes.

    >>> normal_form(" +91 98000-12345 "), normal_form("00919800012345"), normal_form("Asha@Example.COM"), normal_form("007")
    ('919800012345', '919800012345', 'asha@example.com', '007')
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if _NUMBER.fullmatch(text):
        digits = digits_of(text)
        if _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS:
            return digits.lstrip("0") or "0"
    if _EMAIL.fullmatch(text):
        return text.casefold()
    return text


def normal_number(text: str) -> str:
    """The text that is hashed in place of a JSON number: without an exponent and without zeros after the point.

    >>> normal_number("919800012345"), normal_number("9.19800012345E11"), normal_number("-1.50")
    ('919800012345', '919800012345', '-1.5')
    """
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of more digits than Decimal takes
        return text
    if abs(number.adjusted()) > _MOST_PLACES:
        return text
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


def digits_of(text: str) -> str:
    """The decimal digits in a text, of any script, as ASCII."""
    if text.isascii():
        return _NO_DIGITS.sub("", text)
    return "".join(str(unicodedata.decimal(letter)) for letter in text if letter.isdecimal())
