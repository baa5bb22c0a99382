"""What the detectors find in a text, what they leave, and what they hash it as."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_capillary.redaction.detectors import find
from airflow_provider_capillary.redaction.rules import DETECTORS

# Each row: a text, and what is found: the detector, the part of the text, and its normal form.
FOUND = [
    ("919800012345", [("phone", "919800012345", "919800012345")]),
    ("No customer for 9148574269.", [("phone", "9148574269", "9148574269")]),
    ("call +91 98000-12345 or (022) 2345-6789", [("phone", "+91 98000-12345", "919800012345"), ("phone", "(022) 2345-6789", "2223456789")]),
    ("98000-12345 / 91234-56789", [("phone", "98000-12345", "9800012345"), ("phone", "91234-56789", "9123456789")]),
    ("+91 98000 12345 020 7946 0958", [("phone", "+91 98000 12345", "919800012345"), ("phone", "020 7946 0958", "2079460958")]),
    ("(call 98000 12345)", [("phone", "98000 12345", "9800012345")]),
    ("+44 20 7946 0958", [("phone", "+44 20 7946 0958", "442079460958")]),
    ("+6512345678!", [("phone", "+6512345678", "6512345678")]),
    ("+65 1234567", [("phone", "+65 1234567", "651234567")]),
    ("0091 98000 12345", [("phone", "0091 98000 12345", "919800012345")]),
    ("91-9800012345", [("phone", "91-9800012345", "919800012345")]),
    ("for 91-9800012345", [("phone", "91-9800012345", "919800012345")]),
    ("91 9800012345", [("phone", "91 9800012345", "919800012345")]),
    ("order 12 919800012345", [("phone", "919800012345", "919800012345")]),
    ("+919800012345 12", [("phone", "+919800012345", "919800012345")]),
    ("cust_919800012345_x", [("phone", "919800012345", "919800012345")]),
    ("2025-09-18 919800012345", [("phone", "919800012345", "919800012345")]),
    ("98000\u00a012345", [("phone", "98000\u00a012345", "9800012345")]),
    ("\u0669\u0661\u0669\u0668\u0660\u0660\u0660\u0661\u0662\u0663\u0664\u0665 x", [("phone", None, "919800012345")]),
    ("to Asha.K+shop@Mail.Example.co.in, please", [("email", "Asha.K+shop@Mail.Example.co.in", "asha.k+shop@mail.example.co.in")]),
    ("to=a%40b.co&x", [("email", "to=a%40b.co", "to=a@b.co")]),
    ('"asha k"@example.com', [("email", '"asha k"@example.com', '"asha k"@example.com')]),
    ("m\u00fcller@b\u00fccher.example", [("email", "m\u00fcller@b\u00fccher.example", "m\u00fcller@b\u00fccher.example")]),
    ("a@b.co,919800012345@c.de", [("email", "a@b.co", "a@b.co"), ("email", "919800012345@c.de", "919800012345@c.de")]),
    ("card 4111 1111 1111 1111 of 919800012345", [("card", "4111 1111 1111 1111", None), ("phone", "919800012345", "919800012345")]),
    ("378282246310005", [("card", "378282246310005", "378282246310005")]),
    ("4111-1111-1111-1111 12", [("card", "4111-1111-1111-1111", "4111111111111111")]),
    ("x5555555555554444x", [("card", None, None)]),
]
# Each row: a text in which nothing is found.
LEFT = [
    "Event processed successfully",
    "12345 67",
    "2025-09-18 12:30:00",
    "18/09/2025 1234",
    "1756882119609",
    "at 1756882119609 ms",
    "20250918123000",
    "604c79d5-0be4-4363-b16a-776123456789",
    "67b62dffb7f5337f1234567890bd0a467",
    "12345678901234567",
    "4111111111111112",
    "me@localhost",
    "a @ b.co",
    "1,234,567,890",
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_what_is_found(text, expected):
    found = find(text, DETECTORS)
    assert [match.kind for match in found] == [kind for kind, _, _ in expected]
    for match, (_, part, normal) in zip(found, expected, strict=True):
        assert part is None or text[match.begin : match.end] == part
        assert normal is None or match.normal == normal


@pytest.mark.parametrize("text", LEFT)
def test_what_is_left(text):
    assert find(text, DETECTORS) == []


# Each detector alone: the others find nothing in what it finds, or find it as their own.
@pytest.mark.parametrize(("kind", "expected"), [("phone", {"919800012345"}), ("email", {"a@b.co"}), ("card", {"4111111111111111"})])
def test_only_the_detectors_that_are_named_look(kind, expected):
    text = "a@b.co, 919800012345, 4111111111111111"
    assert {text[match.begin : match.end] for match in find(text, [kind])} == expected


# Each row: a text for which a careless pattern takes minutes.
@pytest.mark.parametrize(
    "text",
    [
        "1 " * 100_000,
        "9" * 200_000,
        "a" * 300_000 + "@",
        "a.b" * 100_000 + "@" + "c." * 100_000,
        "(" * 200_000,
        "@" * 100_000,
        "+" * 100_000,
    ],
)
def test_no_text_takes_long(text):
    begun = time.process_time()
    find(text, DETECTORS)
    assert time.process_time() - begun < 5


DIGITS = st.text("123456789", min_size=1, max_size=1).flatmap(
    lambda first: st.text("0123456789", min_size=9, max_size=9).map(first.__add__)
)
GROUPED = st.sampled_from(["{}{}{}", "{} {} {}", "({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "{}\u00a0{}\u00a0{}"])
PLACES = st.sampled_from(["{}", "for {}.", "a {}, b", "id={};x", "[{}]", "<{}>", "x_{}_y", "(call {})", "2025-09-18 {}", "tel:{}", '"{}"'])


@st.composite
def spelt(draw):
    """A phone number of ten digits in some spelling, and a text that holds it."""
    digits = draw(DIGITS)
    country = draw(st.sampled_from(["", "+91 ", "+91", "+1-", "0091 "]))
    number = draw(GROUPED).format(digits[:3], digits[3:6], digits[6:])
    return country + number, draw(PLACES).format(country + number)


@settings(max_examples=500, deadline=None)
@given(drawn=spelt(), kinds=st.sampled_from([("phone",), DETECTORS]))
def test_a_phone_number_is_found_whole_however_it_is_spelt(drawn, kinds):
    number, text = drawn
    (match,) = find(text, kinds)
    digits = re.sub(r"\D", "", number)
    left = text[: match.begin] + text[match.end :]
    assert re.sub(r"\D", "", left) == re.sub(r"\D", "", text.replace(number, "", 1))
    assert match.normal == digits.lstrip("0")
