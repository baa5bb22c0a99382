"""The emulator over HTTP, as raw clients meet it: contract, credentials, life cycle."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from contextlib import closing
from urllib.parse import urlencode, urlsplit

import pytest

from airflow_provider_capillary.emulator import Emulator, documented_records
from airflow_provider_capillary.emulator.data import synthetic_records

# The documentation's checked vector for the user store.server with the password server123.
BASIC = {"Authorization": "Basic c3RvcmUuc2VydmVyOjhhMTZhNmI3MDUwNWViMWYxZmY3Y2RjMGNkNTU1OWE3"}
LOGS = "/v2/events/logs"
TOKEN = "/v3/oauth/token/generate"


def connect(api):
    return closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=10))


def ask(api, path=LOGS, *, headers=BASIC, method="GET", body=None, **params):
    """Ask once over a connection of its own; return the status, the headers and the decoded body."""
    with connect(api) as connection:
        connection.request(method, f"{path}?{urlencode(params)}" if params else path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())


def fetch_token(api, key="emulator-key", secret="emulator-secret"):
    return ask(api, TOKEN, method="POST", headers={}, body=json.dumps({"key": key, "secret": secret}))


def test_the_documented_contract():
    with Emulator() as api:
        status, headers, envelope = ask(api)
    assert status == 200
    assert envelope == {"data": documented_records(), "warnings": [], "errors": []}
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Cap-RequestID"] == api.requests[0].request_id == "emulator-000001"


def test_parameters_arrive_decoded():
    with Emulator(date_format="iso_z") as api:
        _, _, envelope = ask(api, from_date="2025-09-17T16:49:34.367+05:30", event_name="TestBE-Rutuja", limit="5")
        assert envelope["data"] == documented_records()[:1]
        assert api.requests[0].params == {"from_date": "2025-09-17T16:49:34.367+05:30", "event_name": "TestBE-Rutuja", "limit": "5"}
        assert ask(api, event_name="")[2]["data"] == documented_records()[6:7]


def test_one_connection_serves_many_requests_and_the_log_keeps_their_order():
    with Emulator(events=30, limit_cap=7) as api:
        with connect(api) as connection:
            for number in (1, 2, 3):
                connection.request("GET", f"{LOGS}?limit={number * 3}", headers=BASIC)
                answer = connection.getresponse()
                assert len(json.loads(answer.read())["data"]) == min(number * 3, 7)
                assert not answer.will_close
        assert [(seen.number, seen.method, seen.path, seen.params, seen.status, seen.fault) for seen in api.requests] == [
            (1, "GET", LOGS, {"limit": "3"}, 200, None),
            (2, "GET", LOGS, {"limit": "6"}, 200, None),
            (3, "GET", LOGS, {"limit": "9"}, 200, None),
        ]


def test_a_response_is_compressed_where_the_client_accepts_it():
    with Emulator() as api, connect(api) as connection:
        connection.request("GET", LOGS, headers={**BASIC, "Accept-Encoding": "gzip, deflate"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(body))["data"]) == 10
        assert "Content-Encoding" not in ask(api)[1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/events/log", 404), ("POST", LOGS, 404), ("GET", TOKEN, 404), ("GET", LOGS + "/", 404)],
)
def test_other_resources_are_not_there(method, path, status):
    with Emulator() as api:
        found, headers, envelope = ask(api, path, method=method, body="" if method == "POST" else None)
    assert found == status
    assert envelope["errors"][0]["message"] == "Incorrect resource"
    assert headers["X-Cap-RequestID"]


@pytest.mark.parametrize(
    ("auth_type", "headers", "status"),
    [
        ("both", BASIC, 200),
        ("basic", BASIC, 200),
        ("oauth", BASIC, 401),
        ("both", {}, 401),
        ("both", {"Authorization": "Basic c3RvcmUuc2VydmVyOnNlcnZlcjEyMw=="}, 401),  # the password itself, not its md5
        ("both", {"Authorization": "Basic \xff"}, 401),
        ("both", {"X-CAP-API-OAUTH-TOKEN": "emulator-token-0001"}, 401),
        ("basic", {"X-CAP-API-OAUTH-TOKEN": "x", **BASIC}, 200),
    ],
)
def test_only_its_own_credentials_open_it(auth_type, headers, status):
    with Emulator(auth_type=auth_type) as api:
        found, _, envelope = ask(api, headers=headers)
    assert found == status
    assert ("data" in envelope) == (status == 200)
    assert api.fake_api.request_count == (status == 200)


def test_a_token_opens_it_until_its_time_is_over():
    now = [1_758_153_600.0]
    with Emulator(token_ttl=60, oauth_header="CAP-API-ACCESS-TOKEN", clock=lambda: now[0]) as api:
        status, headers, answer = fetch_token(api)
        assert status == 200
        assert headers["X-Cap-RequestID"]
        assert answer["errors"] is None
        assert answer["data"]["ttlSeconds"] == 60
        token = {"cap-api-access-token": answer["data"]["accessToken"]}
        assert ask(api, headers=token)[0] == 200
        assert ask(api, headers={"X-CAP-API-OAUTH-TOKEN": answer["data"]["accessToken"]})[0] == 401
        now[0] += 60
        assert ask(api, headers=token)[0] == 401
        assert fetch_token(api)[2]["data"]["accessToken"] != answer["data"]["accessToken"]


@pytest.mark.parametrize("body", ["", "[]", '{"key": "emulator-key"}', '{"key": "emulator-key", "secret": "wrong"}'])
def test_a_wrong_key_gets_the_documented_refusal(body):
    with Emulator() as api:
        status, _, answer = ask(api, TOKEN, method="POST", headers={}, body=body)
    assert status == 401
    assert answer == {"data": None, "errors": [{"code": 320001, "message": "Invalid client key and secret"}]}


def test_the_rate_limit_reaches_the_client_with_its_header():
    with Emulator(rate_limit=1, clock=lambda: 1_758_153_600.0) as api:
        assert ask(api)[0] == 200
        status, headers, _ = ask(api)
    assert status == 429
    assert headers["Retry-After"] == "61"


@pytest.mark.parametrize(
    ("options", "extras", "expected"),
    [
        ({}, {}, ("store.server", "8a16a6b70505eb1f1ff7cdc0cd5559a7", {})),
        ({}, {"password_format": "plain"}, ("store.server", "server123", {"password_format": "plain"})),
        ({}, {"auth_type": "oauth"}, ("emulator-key", "emulator-secret", {"auth_type": "oauth"})),
        (
            {"auth_type": "oauth", "oauth_header": "X-T", "timezone": "Asia/Kolkata"},
            {"page_size": 5, "timezone": "UTC"},
            ("emulator-key", "emulator-secret", {"auth_type": "oauth", "oauth_header": "X-T", "page_size": 5, "timezone": "UTC"}),
        ),
    ],
)
def test_the_connection_fits_the_emulator(options, extras, expected):
    with Emulator(**options) as api:
        connection = json.loads(api.connection_json(**extras))
        assert connection.pop("conn_type") == "capillary"
        assert connection.pop("host") == api.url
        assert tuple(connection.values()) == expected


def test_records_can_be_added_from_many_threads_while_it_is_asked():
    own = synthetic_records(400, seed=9)
    answers = []
    with Emulator(documented=False, records=own[:40]) as api:

        def put(share):
            for record in share:
                api.add(record)

        def read():
            with connect(api) as connection:
                for _ in range(30):
                    connection.request("GET", f"{LOGS}?limit=1000", headers=BASIC)
                    moments = [record["startTime"] for record in json.loads(connection.getresponse().read())["data"]]
                    answers.append(len(moments) if moments == sorted(moments, reverse=True) else "out of order")

        threads = [threading.Thread(target=put, args=(own[begin::4],)) for begin in (40, 41, 42, 43)]
        threads += [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert len(answers) == 90
        assert "out of order" not in answers
        held = {record["id"] for record in own[:40]} | {record["id"] for begin in (40, 41, 42, 43) for record in own[begin::4]}
        assert {record["id"] for record in api.records} == held
        assert [seen.number for seen in sorted(api.requests, key=lambda seen: seen.number)] == list(range(1, 91))


def test_a_stop_ends_open_connections_and_frees_the_port():
    api = Emulator().start()
    host = urlsplit(api.url).netloc
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.request("GET", LOGS, headers=BASIC)
        connection.getresponse().read()
        begun = time.monotonic()
        api.stop()
        api.stop()
        assert time.monotonic() - begun < 3
        with pytest.raises((OSError, http.client.HTTPException)):  # noqa: PT012  # either half may notice
            connection.request("GET", LOGS, headers=BASIC)
            connection.getresponse()
    with pytest.raises(RuntimeError, match="not running"):
        _ = api.url
    with Emulator(port=int(host.rpartition(":")[2])) as second:
        assert ask(second)[0] == 200


def test_an_error_of_the_callable_that_chooses_faults_is_logged_without_a_body(caplog):
    def choose(_number, _params):
        raise LookupError("a mistake in the callable")

    with Emulator(faults=choose) as api, pytest.raises(http.client.RemoteDisconnected):
        ask(api)
    assert "a mistake in the callable" in caplog.text
    assert "inputRequest" not in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit_caps": 3}, ["'limit_caps'", "limit_cap"]),
        ({"auth_type": "none"}, ["auth_type='none'", "oauth"]),
        ({"late_share": 0.5}, ["'late_share'", "limit_cap"]),
        ({"faults": ["http_5000"]}, ["'http_5000'", "http_500"]),
    ],
)
def test_impossible_options_are_refused_before_anything_listens(options, words):
    with pytest.raises(ValueError, match=r".") as raised:
        Emulator(**options)
    for word in words:
        assert word in str(raised.value)
