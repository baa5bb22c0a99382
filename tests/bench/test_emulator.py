"""The bench's emulator over HTTP: how tokens end, and records that show late."""

from __future__ import annotations

import pytest
from emulator.test_server import ask, fetch_token

from airflow_provider_capillary.emulator import documented_records
from bench import Emulator, Late


# How the end of a token shows: the option, the status, the code in the body.
@pytest.mark.parametrize(
    ("token_end", "status", "code"), [("401", 401, 401), ("498", 498, 498), ("body_401", 200, 401), ("body_498", 200, 498)]
)
def test_a_revoked_token_shows_as_chosen(token_end, status, code):
    with Emulator(token_requests=2, token_end=token_end) as api:
        token = {"X-CAP-API-OAUTH-TOKEN": fetch_token(api)[2]["data"]["accessToken"]}
        assert [ask(api, headers=token)[0] for _ in range(2)] == [200, 200]
        found, _, envelope = ask(api, headers=token)
    assert found == status
    assert envelope["errors"][0]["code"] == code
    assert not envelope.get("data")
    assert ("success" in envelope) == token_end.startswith("body")


@pytest.mark.parametrize("status", [200, 401])
def test_a_refused_key_shows_as_chosen(status):
    with Emulator(refused_key_status=status) as api:
        found, _, answer = fetch_token(api, secret="wrong")
        assert fetch_token(api)[0] == 200
    assert (found, answer["errors"][0]["code"]) == (status, 320001)


def test_a_token_expires_by_its_time_too():
    now = [0.0]
    with Emulator(token_ttl=60, token_end="498", clock=lambda: now[0]) as api:
        token = {"X-CAP-API-OAUTH-TOKEN": fetch_token(api)[2]["data"]["accessToken"]}
        assert ask(api, headers=token)[0] == 200
        now[0] += 60
        assert ask(api, headers=token)[0] == 498
        assert ask(api, headers={"X-CAP-API-OAUTH-TOKEN": "none"})[0] == 401


def test_a_record_can_be_added_late():
    with Emulator() as api:
        api.add({**documented_records()[0], "id": "new", "startTime": 1758171830946}, late=Late(request=2))
        assert ask(api, limit="1")[2]["data"][0]["id"] != "new"
        assert ask(api, limit="1")[2]["data"][0]["id"] == "new"


def test_an_impossible_end_of_a_token_is_refused():
    with pytest.raises(ValueError, match=r"token_end='never'.*498"):
        Emulator(token_end="never")
