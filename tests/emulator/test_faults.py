"""Each fault over real HTTP, as a raw client meets it; and the rules that choose them."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
import zlib
from contextlib import closing
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from airflow_provider_capillary.emulator import FAULTS, Emulator, FaultRule, FaultSettings, documented_records
from airflow_provider_capillary.emulator.fake_api import FakeResponse, refusal
from airflow_provider_capillary.emulator.faults import apply_fault, plan

NOW = 1_758_153_600.0
TEN = documented_records()


def meet(fault, *, headers=(), timeout=10.0, **options):
    """Return what a client meets: status, headers and body, or at which step which exception."""
    with Emulator(faults=[fault] if fault else (), clock=lambda: NOW, **options) as api:
        client = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=timeout)
        with closing(client) as connection:
            connection.request("GET", "/v2/events/logs", headers={"Authorization": api.authenticator.basic_header, **dict(headers)})
            try:
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                return "no answer", type(error), api.requests
            assert answer.headers["X-Cap-RequestID"] == api.requests[0].request_id
            assert api.requests[0].fault == fault
            try:
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException) as error:
                return answer.status, answer.headers, error


PAGES = {"http_403_html": 403, "http_502": 502, "http_504": 504, "http_520": 520, "http_521": 521, "html_200": 200}
REFUSALS = {
    "http_400": (400, 400),
    "http_401": (401, 401),
    "http_403": (403, 4000),
    "http_404": (404, 404),
    "http_461": (461, 461),
    "http_498": (498, 498),
    "http_500": (500, 500),
    "http_503": (503, 4001),
}
THROTTLED = {
    "throttled_seconds": "7",
    "throttled_date": NOW + 7,
    "throttled_absurd": "31536000",
    "throttled_absent": None,
    "throttled_garbage": "soon",
}
REDIRECTS = {f"redirect_{status}": status for status in (301, 302, 307, 308)}
CHANGED = {
    "no_data": {"warnings": [], "errors": []},
    "data_null": {"data": None, "warnings": [], "errors": []},
    "data_not_a_list": {"data": {"records": TEN}, "warnings": [], "errors": []},
    "errors_blank_item": {"data": TEN, "warnings": [], "errors": [{}]},
    "errors_null": {"data": TEN, "warnings": [], "errors": None},
}
RAW = {
    "empty_200": lambda body: body == b"",
    "null": lambda body: body == b"null",
    "invalid_utf8": lambda body: b'"message":"\xff\xfe\xc3("' in body,
    "duplicate_keys": lambda body: body.count(b'"data":[') == 2 and json.loads(body)["data"] == [],
    "huge_start_time": lambda body: json.loads(body)["data"][0]["startTime"] > 10**24 and json.loads(body)["data"][1:] == TEN[1:],
    "huge_digits": lambda body: b'"startTime":' + b"9" * 5000 + b"," in body,
    "cut_json": lambda body: json.dumps({"data": TEN}, separators=(",", ":")).encode().startswith(body) and len(body) > 100,
    "nan": lambda body: b'"responseTime":NaN' in body,
    "big_body": lambda body: len(body) > 100_000 and json.loads(body)["data"] == TEN,
    "slow_drip": lambda body: json.loads(body)["data"] == TEN,
}


def test_without_a_fault_there_is_none():
    status, _, body = meet(None)
    assert status == 200
    assert json.loads(body)["data"] == TEN


@pytest.mark.parametrize(("fault", "status"), PAGES.items())
def test_pages_in_place_of_json(fault, status):
    found, headers, body = meet(fault)
    assert found == status
    assert headers["Content-Type"].startswith("text/html")
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(("fault", "expected"), REFUSALS.items())
def test_refusals(fault, expected):
    status, _, body = meet(fault)
    assert (status, json.loads(body)["errors"][0]["code"]) == expected
    assert "data" not in json.loads(body)


@pytest.mark.parametrize(("fault", "expected"), THROTTLED.items())
def test_throttling(fault, expected):
    status, headers, _ = meet(fault, throttle_seconds=7)
    assert status == 429
    found = headers["Retry-After"]
    assert (parsedate_to_datetime(found).timestamp() if fault == "throttled_date" else found) == expected


@pytest.mark.parametrize(("fault", "expected"), REDIRECTS.items())
def test_redirects_lead_to_another_host(fault, expected):
    status, headers, body = meet(fault, redirect_to="http://other.invalid/x")
    assert (status, headers["Location"], body) == (expected, "http://other.invalid/x", b"")


@pytest.mark.parametrize(("fault", "expected"), CHANGED.items())
def test_envelopes(fault, expected):
    status, _, body = meet(fault)
    assert (status, json.loads(body)) == (200, expected)


@pytest.mark.parametrize(("fault", "status"), [("errors_beside_data", 200), ("created_201_errors", 201)])
def test_errors_beside_data(fault, status):
    found, _, body = meet(fault)
    assert found == status
    assert json.loads(body)["data"] == TEN
    assert json.loads(body)["errors"][0]["message"]


@pytest.mark.parametrize(("fault", "holds"), RAW.items())
def test_bodies(fault, holds):
    status, headers, body = meet(fault, big_body_bytes=100_000, drip_seconds=0.1)
    assert status == 200
    assert int(headers["Content-Length"]) == len(body)
    assert holds(body)


def test_a_big_body_may_come_without_its_length():
    status, headers, body = meet("big_body_unannounced", big_body_bytes=100_000)
    assert status == 200
    assert "Content-Length" not in headers
    assert len(json.loads(body)["padding"]) == 100_000


def test_a_big_body_is_made_while_it_is_sent():
    response = apply_fault("big_body", FakeResponse(200, {"data": TEN}, {}), FaultSettings(big_body_bytes=10**12))
    assert (response.padding, len(response.body) < 20_000) == (10**12, True)


def test_a_dripping_body_takes_its_time():
    begun = time.monotonic()
    meet("slow_drip", drip_seconds=0.4)
    assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize(
    ("fault", "error"),
    [("reset_before_headers", ConnectionResetError), ("reset_in_headers", (ConnectionResetError, http.client.HTTPException))],
)
def test_a_reset_before_the_body(fault, error):
    step, found, (seen,) = meet(fault)
    assert step == "no answer"
    assert issubclass(found, error)
    assert not issubclass(found, http.client.RemoteDisconnected), "closed, not reset"
    assert seen.fault == fault
    assert seen.status == (None if fault == "reset_before_headers" else 200)


def test_a_reset_in_the_body():
    status, _, error = meet("reset_in_body")
    assert status == 200
    assert isinstance(error, ConnectionResetError)


def test_a_length_that_says_too_much():
    status, headers, error = meet("length_too_long")
    assert status == 200
    assert isinstance(error, http.client.IncompleteRead)
    assert int(headers["Content-Length"]) == len(error.partial) + 64
    assert json.loads(error.partial)["data"] == TEN


def test_a_length_that_says_too_little():
    status, headers, body = meet("length_too_short")
    assert status == 200
    assert len(body) == int(headers["Content-Length"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize("accepts", [(), (("Accept-Encoding", "gzip"),)])
def test_truncated_gzip(accepts):
    status, headers, body = meet("truncated_gzip", headers=accepts)
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert len(body) == int(headers["Content-Length"])
    with pytest.raises(EOFError):
        gzip.decompress(body)
    assert TEN[0]["id"].encode() in zlib.decompressobj(wbits=31).decompress(body)


def test_a_hanging_answer_outlasts_the_clients_patience():
    step, found, (seen,) = meet("hang", timeout=0.2)
    assert (step, found, seen.status) == ("no answer", TimeoutError, None)


def test_a_hanging_answer_ends_by_itself():
    assert meet("hang", hang_seconds=0.1)[:2] == ("no answer", http.client.RemoteDisconnected)


def test_a_stop_releases_a_hanging_answer():
    arrived = threading.Event()

    def choose(_number, _params):
        arrived.set()
        return "hang"

    api = Emulator(faults=choose, hang_seconds=60).start()
    with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=60)) as connection:
        connection.request("GET", "/v2/events/logs")
        assert arrived.wait(timeout=10)
        begun = time.monotonic()
        api.stop()
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        assert time.monotonic() - begun < 5


def test_every_fault_is_in_a_table_or_a_test_of_its_own():
    alone = {"errors_beside_data", "created_201_errors", "reset_before_headers", "reset_in_headers", "reset_in_body"}
    alone |= {"big_body_unannounced", "length_too_long", "length_too_short", "truncated_gzip", "hang"}
    assert set(FAULTS) == {*PAGES, *REFUSALS, *THROTTLED, *REDIRECTS, *CHANGED, *RAW, *alone}


def test_the_connection_is_whole_again_after_a_fault_that_left_it_open():
    with Emulator(faults=["http_500@1", "cut_json@2", "null@3"]) as api:
        with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=10)) as connection:
            statuses = []
            for _ in range(4):
                connection.request("GET", "/v2/events/logs", headers={"Authorization": api.authenticator.basic_header})
                answer = connection.getresponse()
                body = answer.read()
                statuses.append(answer.status)
        assert statuses == [500, 200, 200, 200]
        assert json.loads(body)["data"] == TEN
        assert [seen.fault for seen in api.requests] == ["http_500", "cut_json", "null", None]


def test_a_callable_gets_number_and_parameters_and_tokens_have_their_own_faults():
    calls = []

    def choose(number, params):
        calls.append((number, dict(params)))
        return "http_503" if params.get("limit") == "2" else None

    with Emulator(faults=choose, token_faults=["http_502@1"]) as api:
        client = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=10)
        with closing(client) as connection:

            def status(method, path):
                connection.request(
                    method, path, body="{}" if method == "POST" else None, headers={"Authorization": api.authenticator.basic_header}
                )
                answer = connection.getresponse()
                answer.read()
                return answer.status

            asked = [("POST", "/v3/oauth/token/generate"), ("GET", "/v2/events/logs?limit=1"), ("GET", "/v2/events/logs?limit=2")]
            assert [status(*one) for one in [*asked, asked[0]]] == [502, 200, 503, 401]
    assert calls == [(1, {"limit": "1"}), (2, {"limit": "2"})]


@pytest.mark.parametrize(
    ("rule", "hit"),
    [
        ("null", {1, 2, 3, 4, 5, 6}),
        ("null@2", {2}),
        ("null@2,5", {2, 5}),
        ("null@2..4", {2, 3, 4}),
        ("null@1,4..", {1, 4, 5, 6}),
        ("null:0", set()),
        ("null:1.0@3", {3}),
    ],
)
def test_a_rule_names_its_requests(rule, hit):
    choose = plan([rule])
    assert {number for number in range(1, 7) if choose(number, {})} == hit


def test_a_probability_is_kept_and_can_be_repeated():
    hits = [number for number in range(1, 2001) if plan(["null:0.15"], seed=4)(number, {})]
    assert 200 < len(hits) < 400
    assert hits == [number for number in range(1, 2001) if plan(["null:0.15"], seed=4)(number, {})]
    assert hits != [number for number in range(1, 2001) if plan(["null:0.15"], seed=5)(number, {})]


def test_the_first_rule_that_applies_wins():
    choose = plan(["http_500@2", "null"])
    assert [choose(number, {}) for number in (1, 2, 3)] == ["null", "http_500", "null"]


@pytest.mark.parametrize(
    "text", ["", "http_5000", "null:", "null:2", "null@", "null@x", "null@1..x", "null:0.1:0.2", "null@1,,2", "null:1.2.3"]
)
def test_a_rule_that_cannot_be_read_is_refused_by_name(text):
    with pytest.raises(ValueError, match="fault=") as raised:
        FaultRule.parse(text)
    assert (text.partition(":")[0] if text == "null:2" else text) in str(raised.value)


TOKEN = {"data": {"accessToken": "t", "ttlSeconds": 60}, "errors": None}
SPOILT_TOKENS = {
    "no_data": {"errors": None},
    "data_not_a_list": {"data": {"records": TOKEN["data"]}, "errors": None},
    "errors_blank_item": {**TOKEN, "errors": [{}]},
    "huge_start_time": {**TOKEN, "data": {"accessToken": "t", "ttlSeconds": int("1" * 25)}},
}


@pytest.mark.parametrize(("fault", "expected"), SPOILT_TOKENS.items())
def test_a_fault_inside_the_data_applies_to_a_token_too(fault, expected):
    assert json.loads(apply_fault(fault, FakeResponse(200, TOKEN, {})).body) == expected


def test_a_fault_inside_the_data_leaves_a_refusal_as_it_is():
    refused = refusal(400, "no")
    assert apply_fault("nan", refused) == apply_fault(None, refused)
    assert apply_fault("reset_in_body", refused).transport == "reset_in_body"
    with pytest.raises(ValueError, match="choose among"):
        apply_fault("nothing", refused)
