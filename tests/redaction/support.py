"""What the tests of redaction share: records, a key, and a redactor for a rule."""

from __future__ import annotations

import hmac
import json

KEY = "a key of the tests, longer than it need be"
NAMED = {"key": {"variable": "capillary_redaction_secret"}}
RECORD = {
    "startTime": 1_758_171_830_945,
    "responseTime": 408,
    "orgId": 100737,
    "status": "EVENT_SUCCESS",
    "eventName": "order",
    "inputRequest": "{}",
    "id": "ff972d37-9c47-4fdd-b956-f57890479305",
    "webhookId": "67b62dffb7f5337f8a8237970bd0a467",
    "parentOrgId": -1,
    "message": "Event processed successfully",
}


def hashed(normal, key=KEY):
    """The hash of a normal form, as the documentation says that it is made."""
    return hmac.new(key.encode(), normal.encode(), "sha256").hexdigest()


def redactor(rule, key=KEY):
    from airflow_provider_capillary.redaction.apply import Redactor
    from airflow_provider_capillary.redaction.rules import parse_redact

    parsed = parse_redact(rule)
    return Redactor(parsed, key.encode() if parsed.key else None)


def as_sent(text):
    """The record as it comes out of an answer of the API."""
    from airflow_provider_capillary.api.effects import Response
    from airflow_provider_capillary.api.responses import read_page

    body = f'{{"data": [{text}], "warnings": [], "errors": []}}'.encode()
    (record,) = read_page(Response(status=200, headers={}, body=body, received=0.0), "GET").records
    return record


def input_after(rule, sent):
    """What becomes of an ``inputRequest``, text or a value that is sent as JSON text; ``None`` where the field is gone."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    return redactor(rule)(as_sent(json.dumps(RECORD | {"inputRequest": text}))).get("inputRequest")
