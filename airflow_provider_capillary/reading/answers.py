"""From the bytes of an answer to checked records, or to the error that they are.

The envelope is ``{"data": [...], "warnings": [], "errors": []}``. Other v2 endpoints put ``null`` or ``[{}]`` where nothing is to be
said, so both count as empty here; anything else in ``errors`` is a failure, data beside it or not.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_capillary.errors import AuthenticationError, MalformedAnswerError
from airflow_provider_capillary.reading.retries import printable, request_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.reading.steps import Record, Reply

__all__ = ["LATEST", "Answer", "codes_of", "errors_in", "read_answer", "read_json"]

LATEST = 6 * 10**13
"""Milliseconds; the year 3871. A startTime beyond it is no time, and as long before 1970 the calendar still has years."""

TOKEN_CODES = frozenset({401, 498})
"""An older API of Capillary's says these inside the body, with ``"success": "true"`` beside them."""

_CODE = re.compile(r"-?[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """The records of one answer, in its order, and how many warnings stood beside them."""

    records: list[Record] = field(repr=False)
    warnings: int = 0

    def __len__(self) -> int:
        return len(self.records)


class _NotAnEnvelopeError(Exception):
    """Raised inside the parser; becomes a MalformedAnswerError with the request beside it."""


def _reject_constant(name: str) -> NoReturn:
    msg = f"{name} in the JSON"
    raise _NotAnEnvelopeError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _reject_constant("a number beyond any float")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys: an answer with two `data` would silently lose the first.
    made = dict(pairs)
    if len(made) != len(pairs):
        msg = "an object with the same key twice"
        raise _NotAnEnvelopeError(msg)
    return made


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_reject_constant, parse_float=_finite)


def read_json(reply: Reply) -> Any:  # noqa: ANN401  # it is what JSON is
    """Decode a body strictly.

    :raises ValueError: for what is not one JSON value in UTF-8; the text of the error names no content.
    """
    if not reply.body.strip():
        msg = "an empty body"
        raise ValueError(msg)
    try:
        return _decoder.decode(reply.body.decode("utf-8-sig"))
    except _NotAnEnvelopeError as error:
        raise ValueError(str(error)) from None
    except UnicodeDecodeError:
        msg = "a body that is not UTF-8"
        raise ValueError(msg) from None
    except (ValueError, RecursionError):
        kind = printable(reply.headers.get("content-type", "no content type").split(";")[0], 60)
        msg = f"a body of {len(reply.body)} bytes ({kind}) that is not JSON, or is cut off"
        raise ValueError(msg) from None


def read_answer(reply: Reply, asked: str) -> Answer:
    """Check a 200 and take its records.

    :raises MalformedAnswerError: for anything but the documented envelope with whole records; another try may help.
    :raises AuthenticationError: where ``errors`` says that the token has ended.
    """
    try:
        envelope = read_json(reply)
        if not isinstance(envelope, dict):
            _fail(f"JSON that is not an object ({_kind(envelope)})")
        _check_errors(envelope, asked, reply)
        if "data" not in envelope:
            _fail("JSON without `data`")
        data = envelope["data"]
        if not isinstance(data, list):
            _fail(f"`data` that is not a list ({_kind(data)})")
        for record in data:
            _check_record(record)
    except ValueError as error:
        raise MalformedAnswerError(
            "The API answered 200 with something else than event logs",
            asked=asked,
            answered=str(error),
            request_id=request_id(reply.headers),
            cure="if it stays so, check that the connection's host is the API and not a portal or a proxy in front of it",
        ) from None
    warnings = envelope.get("warnings")
    return Answer(data, sum(map(bool, warnings if isinstance(warnings, list) else [warnings])))


def _fail(what: str) -> NoReturn:
    raise ValueError(what)


def _kind(value: object) -> str:
    return {type(None): "null", dict: "object", list: "list", str: "string", bool: "boolean"}.get(type(value), "number")


def errors_in(envelope: dict[str, Any]) -> list[Any]:
    """What stands in ``errors``, without what other endpoints put there for nothing."""
    errors = envelope.get("errors")
    return [item for item in (errors if isinstance(errors, list) else [errors]) if item]


def codes_of(items: list[Any]) -> list[int]:
    """The codes of such items, sorted; a code is a number, or the digits of one."""
    codes: Iterator[Any] = (item.get("code") for item in items if isinstance(item, dict))
    return sorted({int(code) for code in codes if type(code) in (int, str) and _CODE.fullmatch(str(code))})


def _check_errors(envelope: dict[str, Any], asked: str, reply: Reply) -> None:
    said = errors_in(envelope)
    # An older API says it in a `status`, of the answer or of the `response` in it.
    inner = envelope.get("response")
    statuses = [part.get("status") for part in (envelope, inner) if isinstance(part, dict)]
    refusals = TOKEN_CODES.intersection(codes_of([*said, *([] if isinstance(envelope.get("data"), list) else [envelope, *statuses])]))
    if refusals:
        raise AuthenticationError(
            "The API does not accept the credential",
            asked=asked,
            answered=f"HTTP 200 with error code {', '.join(map(str, sorted(refusals)))}",
            request_id=request_id(reply.headers),
            cure="check login and password of the connection",
        )
    if said:
        codes = codes_of(said)
        _fail(f"{len(said)} non-empty `errors`" + (f" with codes {codes[:5]}" if codes else "") + " beside the data")


def _check_record(record: object) -> None:
    if not isinstance(record, dict):
        _fail(f"a record that is not an object ({_kind(record)})")
    if not isinstance(record.get("id"), str) or not record["id"]:
        _fail("a record without an `id`, by which records are told apart")
    start = record.get("startTime")
    if type(start) is not int or not 0 <= start < LATEST:
        _fail("a record whose `startTime` is not epoch milliseconds")
