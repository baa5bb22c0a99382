"""A response body as checked records, or as an error.

The envelope is ``{"data": [...], "warnings": [], "errors": []}``. Other v2 endpoints send ``null`` or ``[{}]`` for an empty list, so both
count as empty here. Anything else in ``errors`` is a failure, with data beside it or without.

The records are decoded one by one. So each keeps its own JSON text, and an error can name the place and the time of an invalid record.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_capillary.api.event_logs import EventLogs, event_log
from airflow_provider_capillary.api.retries import printable, request_id
from airflow_provider_capillary.api.usual_pages import decode_records
from airflow_provider_capillary.errors import AuthenticationError, MalformedAnswerError
from airflow_provider_capillary.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_capillary.api.effects import Response
    from airflow_provider_capillary.api.event_logs import EventLog
    from airflow_provider_capillary.api.usual_pages import ListDecoder

__all__ = ["LATEST", "Page", "codes_of", "errors_in", "read_json", "read_page"]

LATEST = 6 * 10**13
"""Epoch milliseconds in the year 3871. A later ``startTime`` is not a time; as long before 1970, the calendar still has years."""

TOKEN_CODES = frozenset({401, 498})
"""Codes that an older API of Capillary's sends inside the body of a 200, with ``"success": "true"`` beside them."""

TRIES_OF_A_BAD_RECORD = 2
"""An invalid record in a complete response is probably stored like that. One more try, in case the response was built at a bad moment."""

_CODE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_BLANK = re.compile(r"[ \t\n\r]*")
_UNDECODED = re.compile("[\udc80-\udcff]")
_NOT_UTF8 = "a body that is not UTF-8"


@dataclass(frozen=True, slots=True)
class Page:
    """The records of one response, in its order, and the number of warnings beside them."""

    records: EventLogs = field(repr=False)
    warnings: int = 0

    def __len__(self) -> int:
        return len(self.records)


class _NotJsonError(Exception):
    """Python's decoder accepts this and JSON forbids it. Raised inside the decoder; the text holds no content."""


class _BadRecordError(Exception):
    """A record is invalid; the text holds no content."""


def _reject_constant(name: str) -> NoReturn:
    msg = f"{name} in the JSON"
    raise _NotJsonError(msg)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # `json` keeps the last of two equal keys: of two `data`, the first would be lost silently.
    made = dict(pairs)
    if len(made) != len(pairs):
        msg = "an object with the same key twice"
        raise _NotJsonError(msg)
    return made


def _integer(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts; the text of the record keeps them
        return float(text)


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_reject_constant)
_decode = _decoder.raw_decode
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # it is there; _decode without its wrapping: StopIteration where nothing begins
# Slower, one call per integer: for the rare response with an integer beyond Python's limit of digits.
_decode_long = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_reject_constant, parse_int=_integer).raw_decode
# Accepts what the others refuse, to find the end and the time of an invalid record.
_decode_loosely = json.JSONDecoder(parse_int=_integer).raw_decode


def read_json(response: Response) -> Any:  # noqa: ANN401  # it is what JSON is
    """Decode a body strictly.

    :raises ValueError: the body is not one JSON value in UTF-8; the text of the error holds no content.
    """
    text, is_utf8 = _text_of(response)
    if not is_utf8:
        _fail(_NOT_UTF8)
    with _strictly(response):
        return _decoder.decode(text)


def _text_of(response: Response) -> tuple[str, bool]:
    """The body as text, and whether it is UTF-8; bytes that are not become lone surrogates."""
    if not response.body.strip():
        _fail("an empty body")
    try:
        return response.body.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return response.body.decode("utf-8-sig", "surrogateescape"), False


@contextlib.contextmanager
def _strictly(response: Response) -> Iterator[None]:
    try:
        yield
    except _NotJsonError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        kind = printable(response.headers.get("content-type", "no content type").split(";")[0], 60)
        msg = f"a body of {len(response.body)} bytes ({kind}) that is not JSON, or is cut off"
        raise ValueError(msg) from None


def read_page(response: Response, request: str, decode: ListDecoder | None = None) -> Page:
    """Check a 200 and return its records.

    :param request: the request in words, for errors.
    :param decode: asked first for the records of a usual answer.
    :raises MalformedAnswerError: the body is not the documented envelope with valid records; another try may help. An invalid record in a
        complete response is named by its place and its time, and requested only twice.
    :raises AuthenticationError: ``errors`` says that the token has ended.
    """
    if (records_at_once := decode_records(response.body, LATEST, decode)) is not None:
        return Page(records_at_once)
    try:
        text, is_utf8 = _text_of(response)
        records = _Records(is_utf8=is_utf8)
        with _strictly(response):
            envelope = _decode_envelope(text, records)
        if not is_utf8 and not records.bad:
            _fail(_NOT_UTF8)
        if not isinstance(envelope, dict):
            _fail(f"JSON that is not an object ({_kind(envelope)})")
        _check_errors(envelope, request, response)
        if "data" not in envelope:
            _fail("JSON without `data`")
        data = envelope["data"]
        if data is not records.good:
            _fail(f"`data` that is not a list ({_kind(data)})")
    except ValueError as error:
        raise MalformedAnswerError(
            "The API answered 200 without event logs",
            request=request,
            response=str(error),
            request_id=request_id(response.headers),
            hint="if it happens again, check that the connection's host is the API and not a portal or a proxy in front of it",
        ) from None
    if records.bad:
        raise records.error(request, response)
    warnings = envelope.get("warnings")
    return Page(EventLogs.of(records.good), sum(map(bool, warnings if isinstance(warnings, list) else [warnings])))


def _decode_envelope(text: str, records: _Records) -> Any:  # noqa: ANN401  # any JSON; where it is an object, a dict
    """Decode the body; the records of a list ``data`` go into :class:`_Records`.

    :raises ValueError: the body is not one JSON value.
    """
    at = _after_blank(text, 0)
    if not text.startswith("{", at):
        return _decoder.decode(text)
    pairs: list[tuple[str, Any]] = []
    at = _after_blank(text, at + 1)
    while text.startswith('"', at):
        name, at = _decode(text, at)
        at = _after_blank(text, _past(":", text, _after_blank(text, at)))
        value: Any
        if name == "data" and text.startswith("[", at):
            if records.good or records.bad:
                _object([("data", 1), ("data", 2)])
            value, at = records.good, records.take(text, at)
        else:
            value, at = _decode_any(text, at)
        pairs.append((name, value))
        at = _after_blank(text, at)
        if not text.startswith(",", at):
            break
        at = _after_blank(text, at + 1)
        if not text.startswith('"', at):
            _fail("a comma before nothing")
    if _after_blank(text, _past("}", text, at)) != len(text):
        _fail("more than one value")
    return _object(pairs)


class _Records:
    """The valid records of one response, and the problem of the first invalid one.

    :param is_utf8: whether the body is UTF-8.
    """

    def __init__(self, *, is_utf8: bool) -> None:
        self.good: list[EventLog] = []
        self.bad = 0
        self._is_utf8 = is_utf8
        self._first = ""

    def take(self, text: str, at: int) -> int:
        """Decode the list that begins at ``at``.

        :return: the position after it.
        :raises ValueError: the list is not JSON, or cut off.
        """
        at = _after_blank(text, at + 1)
        if text.startswith("]", at):
            return at + 1
        add, is_utf8 = self.good.append, self._is_utf8
        while True:
            begin = at
            try:
                decoded, at = _scan(text, begin)
                _check_record(decoded)
                if not is_utf8:
                    _check_utf8(text[begin:at])
                add(event_log(decoded, text[begin:at].encode()))
            except (ValueError, RecursionError, StopIteration, _NotJsonError, _BadRecordError):
                at = self._take_slowly(text, begin)
            if text.startswith(",{", at):  # nearly always
                at += 1
                continue
            at = _after_blank(text, at)
            if not text.startswith(",", at):
                return _past("]", text, at)
            at = _after_blank(text, at + 1)

    def _take_slowly(self, text: str, begin: int) -> int:
        # A failure here means that the body is not JSON at all.
        loose, at = _decode_loosely(text, begin)
        try:
            decoded, _ = _decode_long(text, begin)
            _check_record(decoded)
            _check_utf8(text[begin:at])
        except (_NotJsonError, _BadRecordError) as error:
            self.bad += 1
            if self.bad == 1:
                self._first = f"record {len(self.good) + 1}{_time_of(loose)}: {error}"
            return at
        self.good.append(event_log(decoded, text[begin:at].encode()))
        return at

    def error(self, request: str, response: Response) -> MalformedAnswerError:
        """The error for :attr:`bad` records."""
        count = len(self.good) + self.bad
        error = MalformedAnswerError(
            f"The API answered with an invalid record, {self._first}",
            request=request,
            response=f"invalid records: {self.bad} of {count}",
            request_id=request_id(response.headers),
            hint="give the time of the record and the request id to Capillary's support; it is stored like that, so a retry rarely helps",
        )
        error.most_tries = TRIES_OF_A_BAD_RECORD
        return error


def _time_of(record: object) -> str:
    start = record.get("startTime") if isinstance(record, dict) else None
    if type(start) is not int or not 0 <= start < LATEST:
        return " (without a time)"
    return f" ({format_timestamp(start, timespec='milliseconds')})"


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _past(sign: str, text: str, at: int) -> int:
    if not text.startswith(sign, at):
        _fail("another character")
    return at + 1


def _decode_any(text: str, at: int) -> tuple[Any, int]:
    try:
        return _decode(text, at)
    except ValueError:
        return _decode_long(text, at)


def _fail(what: str) -> NoReturn:
    raise ValueError(what)


def _kind(value: object) -> str:
    return {type(None): "null", dict: "object", list: "list", str: "string", bool: "boolean"}.get(type(value), "number")


def errors_in(envelope: dict[str, Any]) -> list[Any]:
    """The items of ``errors``, without the empty ones that other endpoints send."""
    errors = envelope.get("errors")
    return [item for item in (errors if isinstance(errors, list) else [errors]) if item]


def codes_of(items: list[Any]) -> list[int]:
    """The codes of such items, sorted. A code is a number or its digits."""
    codes: Iterator[Any] = (item.get("code") for item in items if isinstance(item, dict))
    return sorted({int(code) for code in codes if type(code) in (int, str) and _CODE.fullmatch(str(code))})


def _check_errors(envelope: dict[str, Any], request: str, response: Response) -> None:
    errors = errors_in(envelope)
    # An older API has the code in a `status`, of the envelope or of the `response` in it.
    inner = envelope.get("response")
    statuses = [part.get("status") for part in (envelope, inner) if isinstance(part, dict)]
    refusals = TOKEN_CODES.intersection(codes_of([*errors, *([] if isinstance(envelope.get("data"), list) else [envelope, *statuses])]))
    if refusals:
        raise AuthenticationError(
            "The API does not accept the credential",
            request=request,
            response=f"HTTP 200 with error code {', '.join(map(str, sorted(refusals)))}",
            request_id=request_id(response.headers),
            hint="check login and password of the connection",
        )
    if errors:
        codes = codes_of(errors)
        _fail(f"{len(errors)} non-empty `errors`" + (f" with codes {codes[:5]}" if codes else "") + " beside the data")


def _check_record(record: object) -> None:
    if not isinstance(record, dict):
        _refuse(f"a record that is not an object ({_kind(record)})")
    name = record.get("id")
    if not isinstance(name, str) or not name:
        _refuse("a record without an `id`, which has to be unique")
    start = record.get("startTime")
    if type(start) is not int or not 0 <= start < LATEST:
        _refuse("a record whose `startTime` is not epoch milliseconds")


def _check_utf8(text: str) -> None:
    if _UNDECODED.search(text):
        _refuse("bytes that are not UTF-8")


def _refuse(what: str) -> NoReturn:
    raise _BadRecordError(what)
