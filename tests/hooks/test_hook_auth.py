"""Credentials: what is sent, to whom, when it is renewed, and that it shows nowhere."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest
from bench import Emulator
from hooks.support import (
    BASIC,
    EMPTY,
    END,
    MD5,
    PASSWORD,
    SECRETS,
    START,
    RawServer,
    always,
    answer,
    check_error,
    check_whole,
    connection,
    hook_of,
    read,
)

from airflow_provider_capillary import errors
from airflow_provider_capillary.errors import (
    AuthenticationError,
    CapillaryError,
    ConfigurationError,
    MalformedAnswerError,
    RequestRefusedError,
)
from airflow_provider_capillary.hooks.capillary import CapillaryHook

SMALL = {"events": 40, "limit_cap": 15}


def header(server, number=0):
    return server.heads[number].decode("latin-1")


@pytest.mark.parametrize(("form", "password"), [("md5", MD5), ("plain", PASSWORD)])
def test_basic_sends_the_documented_vector(monkeypatch, clock, form, password):
    with RawServer(always(answer(EMPTY))) as server:
        made = json.loads(connection(server.url, password_format=form)) | {"password": password}
        end = read(hook_of(monkeypatch, json.dumps(made)))
    assert end.error is None
    assert f"Authorization: Basic {BASIC}\r\n" in header(server)


REFUSED = [
    # password, extras, words of the problem, words of the hint: what was sent, and what to change
    (PASSWORD, {}, "as it stands, which is not an md5", "set the extra `basic_format` (or `password_format`) to `plain`"),
    (MD5, {}, "Basic with the password field as it stands", "`plain`"),
    (MD5.upper(), {}, "an md5 in upper case", "write the md5 in lower case"),
    (f"{PASSWORD} ", {}, "as it stands", "blank or line break before or after password"),
    (PASSWORD, {"password_format": "plain"}, "the md5 of the password field", "`basic_format` (or `password_format`) to `md5`"),
    (MD5, {"basic_format": "plain"}, "the md5 of the password field, which looks like an md5 itself", "to `md5`"),
    (f"{PASSWORD}\n", {"basic_format": "plain"}, "the md5 of", "blank or line break before or after password"),
]


@pytest.mark.parametrize("fault", ["http_401", "http_498"])
@pytest.mark.parametrize(("password", "extras", "problem", "hint"), REFUSED)
def test_a_401_says_which_form_was_sent_and_what_to_change(monkeypatch, clock, fault, password, extras, problem, hint):  # noqa: PLR0917  # the columns of the table
    with Emulator(**SMALL, password="another", faults=[fault]) as api:
        made = json.loads(api.connection_json(**extras)) | {"password": password}
        end = read(hook_of(monkeypatch, json.dumps(made)))
    check_error(end.error, AuthenticationError, response=f"HTTP {fault[-3:]}")
    assert problem in end.error.problem
    assert hint in end.error.hint
    assert MD5.upper() not in str(end.error)
    assert len(api.requests) == 1


@pytest.mark.parametrize("fault", ["http_401", "http_498", "body_401"])
def test_a_refused_token_speaks_of_oauth_and_of_no_md5(monkeypatch, clock, fault):
    options = {"token_requests": 0, "token_end": fault} if fault == "body_401" else {"faults": [fault]}
    with Emulator(**SMALL, auth_type="oauth", oauth_header="X-Own", **options) as api:
        end = read(hook_of(monkeypatch, api))
    check_error(end.error, AuthenticationError)
    text = str(end.error)
    assert "in the header X-Own" in end.error.problem
    for word in ("OAuth token", "key and secret", "`oauth_http_header`"):
        assert word in text, word
    for word in ("md5", "plain", "Basic", "password"):
        assert word not in text, word


def test_a_token_in_another_header_than_is_read_is_refused_and_the_header_is_named(monkeypatch, clock):
    with Emulator(**SMALL, auth_type="oauth") as api:
        end = read(hook_of(monkeypatch, api, oauth_http_header="X-Wrong"))
        assert read(hook_of(monkeypatch, api, oauth_http_header="X-CAP-API-OAUTH-TOKEN")).error is None
    assert "in the header X-Wrong" in end.error.problem


@pytest.mark.parametrize("auth_type", ["basic", "oauth"])
def test_netrc_does_not_replace_the_credential(monkeypatch, clock, tmp_path, auth_type):
    (tmp_path / ".netrc").write_text("default login intruder password intrusion\nmachine 127.0.0.1 login intruder password intrusion\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Emulator(**SMALL, auth_type=auth_type) as api:
        check_whole(read(hook_of(monkeypatch, api)), api)


@pytest.mark.parametrize("status", ["301 Moved", "302 Records", "303 See", "307 Temporary", "308 Permanent", "300 Choices", "304 Same"])
@pytest.mark.parametrize("target", ["{}/v2/events/logs", "http://[", "//", ""])
def test_a_redirect_is_an_error_and_its_target_hears_nothing(monkeypatch, clock, status, target):
    with RawServer(always(answer(EMPTY))) as other:
        moved = answer(
            b"" if status.startswith("304") else b"canary-of-a-body", status=status, headers=[f"Location: {target.format(other.url)}"]
        )
        with RawServer(always(moved)) as server:
            hook = hook_of(monkeypatch, connection(server.url))
            check_error(read(hook).error, RequestRefusedError, response=f"HTTP {status[:3]}")
            assert len(server.heads) == 1
            assert hook.get_conn().get(server.url + "/v2/events/logs").status_code == int(status[:3])
    assert other.connections == 0


def test_the_session_gives_the_credential_to_the_api_alone(monkeypatch, clock):
    with RawServer(always(answer(EMPTY))) as other, Emulator(**SMALL, auth_type="oauth") as api:
        hook = hook_of(monkeypatch, api)
        session = hook.get_conn()
        session.get(other.url + "/anything")
        assert session.get(api.url + "/v2/events/logs").status_code == 200
        hook.get_conn()
    assert "oauth" not in header(other).lower()
    assert "emulator-token" not in header(other)
    assert sum("oauth" in seen.path for seen in api.requests) == 1


def test_a_token_is_fetched_once_and_kept_for_further_readings(monkeypatch, clock):
    with Emulator(**SMALL, auth_type="oauth") as api:
        hook = hook_of(monkeypatch, api)
        check_whole(read(hook), api)
        check_whole(read(hook), api)
    assert [seen.path for seen in api.requests].count("/v3/oauth/token/generate") == 1


def test_a_token_is_renewed_before_it_ends(monkeypatch, clock):
    with Emulator(**SMALL, auth_type="oauth", token_ttl=100, clock=lambda: clock.now) as api:
        hook = hook_of(monkeypatch, api, requests_per_minute=4)
        check_whole(read(hook), api)
    assert {seen.status for seen in api.requests if "oauth" in seen.path} == {200}
    assert sum("oauth" in seen.path for seen in api.requests) > 1
    assert 401 not in {seen.status for seen in api.requests}


def test_a_token_is_renewed_while_a_try_waits(monkeypatch, clock):
    with Emulator(**SMALL, auth_type="oauth", token_ttl=80, clock=lambda: clock.now, faults=["throttled_absurd@2..4"]) as api:
        check_whole(read(hook_of(monkeypatch, api)), api)
    assert 401 not in {seen.status for seen in api.requests}


@pytest.mark.parametrize("token_end", ["401", "498", "body_401", "body_498"])
def test_a_token_that_ends_early_is_renewed_every_time(monkeypatch, clock, token_end):
    with Emulator(**SMALL, auth_type="oauth", token_requests=3, token_end=token_end) as api:
        check_whole(read(hook_of(monkeypatch, api)), api)
    assert sum("oauth" in seen.path for seen in api.requests) >= 3
    assert not clock.slept


def test_a_token_that_ends_between_failures_is_renewed_too(monkeypatch, clock):
    with Emulator(**SMALL, auth_type="oauth", token_requests=2, faults=["http_500:0.3"], seed=3) as api:
        check_whole(read(hook_of(monkeypatch, api)), api)


OLD_SHAPES = [
    {"response": {"status": {"success": "true", "code": 498, "message": "canary-of-a-body"}}},
    {"status": {"success": "true", "code": "401"}},
    {"success": "true", "code": 498},
    {"data": [], "errors": [{"code": "498"}]},
]


@pytest.mark.parametrize("body", OLD_SHAPES)
def test_an_end_of_the_token_inside_a_body_is_understood_in_each_shape(monkeypatch, clock, body):
    token = answer({"data": {"accessToken": "emulator-token-x", "ttlSeconds": 3600}, "errors": None})

    def serve(conn, head, number):
        conn.sendall(token if b"POST" in head else answer(body if number == 2 else EMPTY))
        return True

    with RawServer(serve) as server:
        assert read(hook_of(monkeypatch, connection(server.url, auth_type="oauth"))).error is None
    assert [head[:4] for head in server.heads[:4]] == [b"POST", b"GET ", b"POST", b"GET "]


@pytest.mark.parametrize("fault", ["http_401", "http_498"])
def test_a_second_refusal_right_after_is_an_error(monkeypatch, clock, fault):
    with Emulator(**SMALL, auth_type="oauth", faults=[fault]) as api:
        end = read(hook_of(monkeypatch, api))
    check_error(end.error, AuthenticationError, response=f"HTTP {fault[-3:]}")
    assert [seen.method for seen in api.requests] == ["POST", "GET", "POST", "GET"]


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422])
def test_a_refused_key_names_key_and_secret(monkeypatch, clock, status):
    with Emulator(**SMALL, auth_type="oauth", client_secret="another", refused_key_status=status) as api:
        made = json.loads(api.connection_json()) | {"password": "emulator-secret"}
        end = read(hook_of(monkeypatch, json.dumps(made)))
    check_error(end.error, AuthenticationError, response=f"HTTP {status}")
    assert "key" in end.error.hint
    assert "secret" in end.error.hint
    assert "password_format" not in str(end.error)
    assert len(api.requests) == 1


NO_TOKENS = [
    b"",
    b"null",
    b"[]",
    b"<html>canary-of-a-body",
    {"data": None},
    {"data": {"accessToken": None}},
    {"data": {"accessToken": "  "}},
    {"data": {"accessToken": "canary-of-a-body\r\nX: y"}},
    {"data": {"accessToken": "\ud800"}},
    {"data": {"accessToken": 5}},
]


@pytest.mark.parametrize("body", NO_TOKENS)
def test_an_answer_without_a_token_is_an_error(monkeypatch, clock, body):
    with RawServer(always(answer(body))) as server:
        end = read(hook_of(monkeypatch, connection(server.url, auth_type="oauth")))
    check_error(end.error, MalformedAnswerError)
    assert len(server.heads) == 9


@pytest.mark.parametrize("life", [None, "3600", "soon", 0, -5, 1e300, 10**400, True, [], "nan"])
def test_any_life_of_a_token_is_bearable(monkeypatch, clock, life):
    raw = json.dumps({"data": {"accessToken": "emulator-token-x", "ttlSeconds": life}}).encode()

    def serve(conn, head, _number):
        conn.sendall(answer(raw if b"POST" in head else EMPTY))
        return True

    with RawServer(serve) as server:
        end = read(hook_of(monkeypatch, connection(server.url, auth_type="oauth")))
    assert end.error is None or len(raw) > 4300  # more digits than Python reads


@pytest.mark.parametrize("auth_type", ["basic", "oauth"])
@pytest.mark.parametrize("faults", [[], ["http_500@2", "html_200@3", "reset_in_body@4", "http_403@6.."], ["errors_beside_data@2.."]])
def test_no_log_shows_a_secret_or_a_record(monkeypatch, clock, caplog, capfd, auth_type, faults):  # noqa: PLR0917  # fixtures
    concealed = []
    for module in ("capillary", "_driver"):
        monkeypatch.setattr(f"airflow_provider_capillary.hooks.{module}.conceal", concealed.append)
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    with Emulator(**SMALL, auth_type=auth_type, faults=faults) as api:
        hook = hook_of(monkeypatch, api)
        end = read(hook)
    assert (end.error is None) is (not faults)
    out = (
        caplog.text
        + "".join(capfd.readouterr())
        + repr(hook)
        + repr(hook.settings)
        + repr(hook.__dict__)
        + repr(hook._session.requests.auth)
    )
    assert "/v2/events/logs" in out, "urllib3's lines are among them"
    assert not [secret for secret in SECRETS if secret in out]
    expected = {"emulator-secret", "emulator-token-0001"} if auth_type == "oauth" else {MD5, BASIC}
    assert expected <= set(concealed)


def test_passwords_of_proxies_are_concealed(monkeypatch, clock):
    concealed = []
    for module in ("capillary", "_driver"):
        monkeypatch.setattr(f"airflow_provider_capillary.hooks.{module}.conceal", concealed.append)
    hook = hook_of(monkeypatch, connection("https://x.example", proxies={"https": "http://u:p%40ss-word@127.0.0.1:1", "no_proxy": "a,b"}))
    assert hook.settings.proxies
    assert {"p%40ss-word", "p@ss-word"} <= set(concealed)


def test_secrets_are_masked_by_airflow(monkeypatch, clock):
    from airflow.providers.common.compat.sdk import redact

    with Emulator(**SMALL, auth_type="oauth") as api:
        assert read(hook_of(monkeypatch, api)).error is None
    shown = str(redact("emulator-secret emulator-token-0001"))
    assert "emulator" not in shown


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda hook: pickle.loads(pickle.dumps(hook))])  # noqa: S301  # made a moment ago
def test_a_hook_is_copied_without_its_credential(monkeypatch, clock, copied):
    with Emulator(**SMALL) as api:
        hook = hook_of(monkeypatch, api)
        assert read(hook).error is None
        assert MD5.encode() not in pickle.dumps(hook)
        again = copied(hook)
        assert "settings" not in again.__dict__
        check_whole(read(again), api)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "CapillaryError"])
def test_every_error_survives_pickling(name):
    error = getattr(errors, name)("problem", request="a", response="b", request_id="c", hint="d", retry_after=1.5)
    error.retryable = False
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  # made a moment ago
    assert type(back) is type(error)
    assert back.__dict__ == error.__dict__
    assert str(back) == str(error)


ARGUMENTS = [
    ({"event_name": 5}, ConfigurationError),
    ({"event_name": b"x"}, ConfigurationError),
    ({"event_name": "\ud800"}, ConfigurationError),
    ({"statuses": "EVENT_SUCCESS"}, ConfigurationError),
    ({"statuses": 5}, ConfigurationError),
    ({"statuses": [None]}, ConfigurationError),
    ({"start": "2025-09-01"}, errors.IntervalError),
    ({"start": END, "end": START}, errors.IntervalError),
    ({"start": None}, errors.IntervalError),
]


@pytest.mark.parametrize(("arguments", "kind"), ARGUMENTS)
def test_arguments_are_refused_at_once(monkeypatch, arguments, kind):
    with pytest.raises(kind) as caught:
        CapillaryHook().iter_event_logs(**{"start": START, "end": END, **arguments})
    assert isinstance(caught.value, CapillaryError)
    assert caught.value.hint


def test_statuses_may_be_an_iterator(monkeypatch, clock):
    with Emulator(**SMALL) as api:
        end = read(hook_of(monkeypatch, api), statuses=iter(["EVENT_SUCCESS"]))
    assert end.ids


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Los_Angeles"])
@pytest.mark.parametrize("date_format", ["iso", "date", "epoch_ms"])
def test_all_of_time_can_be_asked_for(monkeypatch, clock, zone, date_format):
    with Emulator(**SMALL, timezone=zone, date_format=date_format, precision="day" if date_format == "date" else "ms") as api:
        end = read(hook_of(monkeypatch, api, date_format=date_format), start="0001-01-01T00:00:00Z", end="9999-12-31T23:59:59.999Z")
    assert end.error is not None or len(end.ids) == len(api.records) == len(set(end.ids))
    assert end.error is None or isinstance(end.error, errors.CompletenessError), end.error


def test_verify_is_not_overridden_by_the_environment(monkeypatch, clock):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")
    hook = hook_of(monkeypatch, connection("https://127.0.0.1:1", verify=False))
    seen = []
    adapter = hook.get_conn().get_adapter("https://127.0.0.1:1/")
    monkeypatch.setattr(
        adapter, "send", lambda _request, **options: seen.append(options["verify"]) or (_ for _ in ()).throw(OSError(1, "x"))
    )
    assert read(hook).error is not None
    with pytest.raises(OSError, match="x"):
        hook.get_conn().get("https://127.0.0.1:1/")
    assert set(seen) == {False}
