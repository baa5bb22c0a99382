"""Finds phone numbers, e-mail addresses and card numbers in a text. Best effort: they are found by their form alone.

===========  =========================================================================================================================
detector     what it finds
===========  =========================================================================================================================
``email``    ``local@domain.tld``, the ``@`` also as ``%40``
``card``     13 to 19 digits whose check digit (Luhn) is right, alone or in groups: ``4111 1111 1111 1111``
``phone``    10 to 15 digits together, ``919800012345``; as many in groups of up to six, ``(022) 2345-6789``; 8 to 15 after a ``+``
===========  =========================================================================================================================

Between groups there may be blanks, dots, dashes, slashes and brackets. Not found: phone numbers of fewer digits; digits inside a UUID or
inside a hexadecimal number of 16 digits or more; dates; 13 digits that begin with 1 and 14 that are a date and a time, which are points
in time. Names and addresses are not looked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_capillary.redaction.hashing import SEPARATORS, digits_of, normal_form

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Match", "find", "kind_of_number"]

# The local part has at most 64 characters (RFC 5321), which also bounds how far each search goes.
_LOCAL: Final = re.compile(r"""(?:"[^"\n@]{1,64}"|[\w.!#$%&'*+/=?^`{|}~-]{1,64})\Z""")
_DOMAIN: Final = re.compile(r"(?:[\w-]{1,63}\.){1,10}[^\W\d_]{2,63}")
_AT: Final = re.compile("@|%40|\uff20")
_LONGEST_LOCAL: Final = 66
_ANYTHING: Final = re.compile(r"[\d@\uff20]")
_RUN: Final = re.compile(rf"[+\uff0b]?\(?\d(?:[\d{SEPARATORS}]*\d)?")
_ONE_NUMBER: Final = re.compile(rf"\s*[+\uff0b]?[\d{SEPARATORS}]+\s*")
_DIGITS: Final = re.compile(r"\d+")
_CODE: Final = re.compile(r"(?:00)?\d{1,3}")
_WIDEST_GAP: Final = 3
"""Characters between two groups of one number, as in ``+91 (0) 22``."""
_UUID_OR_HEX: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[0-9]*[a-f])[0-9a-f]{16,})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    r"(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d)(?!\d)"
)
_DATE_AND_TIME: Final = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")

_FEWEST, _FEWEST_AFTER_PLUS, _MOST = 10, 8, 15
_FEWEST_OF_CARD, _MOST_OF_CARD = 13, 19
_LONGEST_GROUP: Final = 6


@dataclass(frozen=True, slots=True)
class Match:
    """What was found, and where in the text."""

    kind: str
    begin: int
    end: int
    normal: str
    """Its normal form, see :mod:`.hashing`."""


def find(text: str, kinds: Collection[str]) -> list[Match]:
    """What the detectors ``kinds`` find in a text, in its order, without overlaps."""
    if not _ANYTHING.search(text):  # nearly always
        return []
    if whole := _whole_number(text, kinds):
        return [whole]
    emails: list[Match] = []
    if "email" in kinds and ("@" in text or "%40" in text or "\uff20" in text):
        emails = list(_emails(text))
    if not ("phone" in kinds or "card" in kinds):
        return emails
    taken = [(match.begin, match.end) for match in emails]
    found = list(emails)
    runs = [run for run in _RUN.finditer(text) if run.end() - run.start() >= _FEWEST_AFTER_PLUS]
    if runs:
        taken += [match.span() for match in _UUID_OR_HEX.finditer(text)]
    for run in runs:
        found += [match for match in _numbers_in(run, kinds) if not any(begin < match.end and match.begin < end for begin, end in taken)]
    return sorted(found, key=lambda match: match.begin)


def kind_of_number(digits: str, kinds: Collection[str]) -> str | None:
    """Which of ``kinds`` a number is that stands alone, by its digits."""
    if _is_time(digits):
        return None
    if "card" in kinds and _is_card(digits):
        return "card"
    return "phone" if "phone" in kinds and _FEWEST <= len(digits) <= _MOST else None


def _whole_number(text: str, kinds: Collection[str]) -> Match | None:
    """A text that is one number and nothing else, however it is grouped."""
    if not _ONE_NUMBER.fullmatch(text) or _DATE.match(text.strip()):
        return None
    digits = digits_of(text)
    *others, _ = _DIGITS.findall(text) or [""]
    if any(len(group) >= _FEWEST for group in others):  # a number, and then another
        return None
    if "+" in text and _FEWEST_AFTER_PLUS <= len(digits) < _FEWEST and "phone" in kinds:
        kind: str | None = "phone"
    else:
        kind = kind_of_number(digits, kinds)
    return Match(kind, 0, len(text), normal_form(text)) if kind else None


def _emails(text: str) -> Iterator[Match]:
    # Back from each @: a search from each letter on would try 64 letters at each place.
    end = 0
    for sign in _AT.finditer(text):
        domain = _DOMAIN.match(text, sign.end())
        local = _LOCAL.search(text, max(end, sign.start() - _LONGEST_LOCAL), sign.start()) if domain else None
        if domain and local:
            end = domain.end()
            yield Match("email", local.start(), end, normal_form(text[local.start() : end].replace("%40", "@")))


def _numbers_in(run: re.Match[str], kinds: Collection[str]) -> Iterator[Match]:
    """The numbers in a run of digits and separators."""
    text, groups = run.string, list(_DIGITS.finditer(run.string, *run.span()))
    at = 0
    while at < len(groups):
        begin = groups[at].start()
        if date := _DATE.match(text, begin):
            at += sum(group.start() < date.end() for group in groups[at : at + 3])
            continue
        after_plus = at == 0 and run[0][0] in "+\uff0b"
        kind, count = _number_at(text, groups[at : at + _MOST_OF_CARD], kinds, after_plus=after_plus)
        if kind is None:
            at += 1
            continue
        end = groups[at + count - 1].end()
        if at == 0:
            # With the + and with a bracket that is closed inside.
            begin = run.start() + (text[run.start()] == "(" and ")" not in text[begin:end])
        yield Match(kind, begin, end, normal_form(digits_of(text[begin:end])))
        at += count


def _number_at(text: str, groups: list[re.Match[str]], kinds: Collection[str], *, after_plus: bool) -> tuple[str | None, int]:
    """What begins with the first of these groups, and how many of them it takes."""
    groups = _neighbours(groups)
    lengths = [group.end() - group.start() for group in groups]
    if "card" in kinds:
        for count in range(len(groups), 0, -1):
            if _FEWEST_OF_CARD <= sum(lengths[:count]) <= _MOST_OF_CARD:
                digits = digits_of(text[groups[0].start() : groups[count - 1].end()])
                if _is_card(digits) and not (count == 1 and _is_time(digits)):
                    return "card", count
    if "phone" not in kinds:
        return None, 0
    count = _groups_of_phone(lengths, text, groups, after_plus=after_plus)
    return ("phone", count) if count else (None, 0)


def _neighbours(groups: list[re.Match[str]]) -> list[re.Match[str]]:
    """The groups at the beginning that are close enough to be one number."""
    for place in range(1, len(groups)):
        if groups[place].start() - groups[place - 1].end() > _WIDEST_GAP:
            return groups[:place]
    return groups


def _groups_of_phone(lengths: list[int], text: str, groups: list[re.Match[str]], *, after_plus: bool) -> int:
    """How many groups make a phone number; 0 for none."""
    if not after_plus and lengths[0] >= _FEWEST:
        return int(lengths[0] <= _MOST and not _is_time(digits_of(groups[0][0])))
    fewest = _FEWEST_AFTER_PLUS if after_plus else _FEWEST
    total = best = 0
    for count, length in enumerate(lengths, 1):
        total += length
        if total > _MOST:
            break
        whole = length > _LONGEST_GROUP
        if whole and not after_plus and not _is_country_before(text, groups, count):
            break
        if total >= fewest:
            best = count
            # What is left over may be a number by itself: 98000 12345 / 91234 56789.
            if whole or (total >= _FEWEST and sum(lengths[count:]) >= _FEWEST):
                break
    return best


def _is_country_before(text: str, groups: list[re.Match[str]], count: int) -> bool:
    """Whether the first group is a country's code, of up to three digits, before a whole number: ``91-9800012345``, ``0091 9800012345``."""
    if count != 2:  # noqa: PLR2004  # the code and the number
        return False
    code, gap = groups[0][0], text[groups[0].end() : groups[1].start()]
    return bool(_CODE.fullmatch(code)) and (gap == "-" or code.startswith("00"))


def _is_time(digits: str) -> bool:
    return (len(digits) == _FEWEST_OF_CARD and digits[0] == "1") or bool(_DATE_AND_TIME.fullmatch(digits))


def _is_card(digits: str) -> bool:
    return _FEWEST_OF_CARD <= len(digits) <= _MOST_OF_CARD and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = "0246813579"
    return sum(int(doubled[int(digit)] if place % 2 else digit) for place, digit in enumerate(reversed(digits))) % 10 == 0
