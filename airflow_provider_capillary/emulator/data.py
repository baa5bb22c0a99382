"""Records for the emulator: the ten documented ones, and synthetic ones of the same shape."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Final

from airflow_provider_capillary.emulator.dates import epoch_ms

__all__ = ["DEFAULT_END", "DEFAULT_START", "documented_records", "synthetic_records"]

DEFAULT_START: Final = datetime(2025, 9, 1, tzinfo=UTC)
DEFAULT_END: Final = datetime(2025, 10, 1, tzinfo=UTC)
"""The month of the newest documented records, for the synthetic ones."""

_SUCCESS: Final = "EVENT_SUCCESS"
_NO_EVENT: Final = "INVALID_EVENT_NAME"
_NO_MAPPING: Final = "INVALID_META_TRANSFORMER_MAPPINGS"
_SHARES: Final = {
    _SUCCESS: 900,
    "EMF_PROCESSOR_FAILED": 35,
    "NO_CUSTOMER_DETAILS_PASSED": 25,
    _NO_EVENT: 15,
    _NO_MAPPING: 10,
    "INVALID_GROUP_IDENTIFIER_PASSED": 10,
    None: 5,
}
"""Every documented status, and none, in parts of a thousand. The names are documented; the shares are a guess."""

_MESSAGES: Final = {
    _SUCCESS: "Event processed successfully",
    "EMF_PROCESSOR_FAILED": "EMF processor failed",
    "NO_CUSTOMER_DETAILS_PASSED": "Customer details not passed",
    _NO_EVENT: "Invalid event name {event}",
    _NO_MAPPING: "Invalid meta transformer mappings: No transformer mapping found",
    "INVALID_GROUP_IDENTIFIER_PASSED": "Invalid group identifier passed",
    None: "Unauthorized",
}
_EVENTS: Final = ("Cart_Abandoned", "Store_Visit", "Product_Viewed", "Review_Posted", "App_Opened")
_UNKNOWN_EVENTS: Final = ("", "Cart-Abandoned", "store visit")
_WEBHOOKS: Final = ("0000000000000000000000000000fa4e", "00000000-0000-4000-8000-00000000fa4e")
_ORG: Final = 100737
_BURST_MS: Final = 2_000
_TIE_SHARE: Final = 0.02
_BURST_SHARE: Final = 0.1


@cache
def _published() -> str:
    return resources.files(__package__).joinpath("documented_answer.json").read_text(encoding="utf-8")


def documented_records() -> list[dict[str, Any]]:
    """Return the ten records of the published example, values as published, newest first.

    One lacks ``status`` and one lacks ``eventName``, as published.
    """
    answer: dict[str, list[dict[str, Any]]] = json.loads(_published())
    return answer["data"]


def synthetic_records(count: int, *, seed: int = 0, start: datetime = DEFAULT_START, end: datetime = DEFAULT_END) -> list[dict[str, Any]]:
    """Return made-up records with the documented fields, the same for the same arguments. They are nobody's data.

    Of a hundred, two repeat the time of another record, and ten follow another within two seconds.

    :param count: how many.
    :param start: aware; the first time that a record may have.
    :param end: aware; the first time after all records.
    :raises ValueError: a negative count, an empty interval, a datetime without an offset.
    """
    if count < 0:
        message = f"count={count!r} is not possible; give a whole number from 0 on"
        raise ValueError(message)
    for name, moment in (("start", start), ("end", end)):
        if moment.utcoffset() is None:
            message = f"{name}={moment.isoformat()} has no offset; give an aware datetime"
            raise ValueError(message)
    if count and epoch_ms(start) >= epoch_ms(end):
        message = f"start={start.isoformat()} is not before end={end.isoformat()}; exchange them"
        raise ValueError(message)
    chance = random.Random(f"event logs {seed}")  # noqa: S311  # variety, not secrecy
    first, last = epoch_ms(start), epoch_ms(end) - 1
    statuses = chance.choices(list(_SHARES), weights=list(_SHARES.values()), k=count)
    records: list[dict[str, Any]] = []
    previous = first
    for number, status in enumerate(statuses, start=1):
        draw = chance.random()
        if records and draw < _TIE_SHARE:
            start_time = previous
        elif records and draw < _TIE_SHARE + _BURST_SHARE:
            start_time = min(previous + chance.randrange(_BURST_MS), last)
        else:
            start_time = chance.randrange(first, last + 1)
        previous = start_time
        records.append(_record(number, start_time, status, chance))
    return records


def _record(number: int, moment: int, status: str | None, chance: random.Random) -> dict[str, Any]:
    event = chance.choice(_UNKNOWN_EVENTS if status == _NO_EVENT else _EVENTS)
    request = {
        "event_name": event,
        "customer": f"customer-{number:06d}@example.invalid",
        "amount": chance.randrange(1, 100_000) / 100,
        "items": [{"sku": f"SKU-{chance.randrange(1000):04d}", "count": chance.randrange(1, 5)}],
    }
    text = json.dumps(request, separators=(",", ":"))
    if chance.random() < 0.002:  # noqa: PLR2004  # the field is documented as text, not as JSON: some texts are no JSON
        text = text[: len(text) // 2]
    record: dict[str, Any] = {
        "startTime": moment,
        "responseTime": int(chance.lognormvariate(4.2, 0.8)) + 13,
        "orgId": _ORG,
        "status": status,
        "eventName": event,
        "inputRequest": text,
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "webhookId": chance.choice(_WEBHOOKS),
        "parentOrgId": -1,
        "message": _MESSAGES[status].format(event=event),
    }
    if status is None:
        del record["status"]
    if status == _NO_MAPPING:
        del record["eventName"]
    return record
