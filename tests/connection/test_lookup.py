"""Connections that Airflow can't read: what is wrong with them is told, and none of what they hold."""

from __future__ import annotations

import json
import re

import pytest
from hooks.support import CONN, PASSWORD, read

from airflow_provider_capillary.errors import ConnectionSettingsError
from airflow_provider_capillary.hooks.capillary import CapillaryHook

pytestmark = pytest.mark.usefixtures("airflow_db")

HOST = "eu.api.example.com"
UNREADABLE = {
    # the environment variable, words of the problem, words of the hint
    "nothing": (None, "There is no Airflow connection 'capillary_default'", "in Admin > Connections"),
    "a comma at the end": ('{"conn_type": "capillary", "password": "server123",}', "not JSON, from its character", "a comma at the end"),
    "cut off": ('{"conn_type": "capillary", "password": "server123"', "not JSON, from its character 51", "as JSON"),
    "single quotes": ("{'conn_type': 'capillary', 'password': 'server123'}", "not JSON, from its character 2", "in double quotes"),
    "quotes around it": ('\'{"conn_type": "capillary", "password": "server123"}\'', "not JSON", "as JSON"),
    "a list": ('["capillary", "server123"]', "JSON that is not an object (of type list)", "as JSON"),
    "a port of text": ('{"conn_type": "capillary", "port": "server123"}', "`port` is no number", "remove it"),
    "an unknown key": ('{"conn_type": "capillary", "hots": "server123"}', "unknown key 'hots'", "did you mean 'host'?"),
    "an extra beside": ('{"conn_type": "capillary", "host": "x", "page_size": 5}', "unknown key 'page_size'", "go into extra"),
    "an extra that is not JSON": (
        '{"conn_type": "capillary", "host": "x", "extra": "page_size=5"}',
        "`extra` is text that is not",
        "object",
    ),
    "an extra that is a list": (
        '{"conn_type": "capillary", "host": "x", "login": "u", "password": "p", "extra": [5]}',
        "list",
        "JSON object",
    ),
    "no scheme": (f"u:server123@{HOST}", "neither JSON nor a URI", "capillary://"),
    "a word": ("server123", "neither JSON nor a URI", "capillary://"),
    "another type": (f"aws://u:server123@{HOST}", "is of the type 'aws', not 'capillary'", "'capillary'"),
    "another type in JSON": ('{"conn_type": "http", "password": "server123"}', "is of the type 'http'", "'capillary'"),
    "a base URL": (f"https://u:server123@{HOST}", "is of the type 'https'", "'capillary'"),
    "a slash": (f"capillary://u:server/123@{HOST}", "has a / in it", "write the / as %2F"),
    "a slash behind digits": (f"capillary://u:123/server123@{HOST}", "has a / in it", "%2F"),
    "a slash in the user name": (f"capillary://u/server123:p@{HOST}", "has a / in it", "%2F"),
    "a slash, with https": (f"capillary://https://u:server/123@{HOST}", "has a / in it", "%2F"),
    "a question mark": (f"capillary://u:server?123@{HOST}", "has a ? in it", "%3F"),
    "a question mark behind digits": (f"capillary://u:123?server123@{HOST}/?page_size=5", "has a ? in it", "%3F"),
    "a hash": (f"capillary://u:server#123@{HOST}", "has a # in it", "%23"),
    "a bracket": (f"capillary://u:server[123@{HOST}", "a bracket", "%5B"),
    "a colon and two slashes": (f"capillary://u:server123@https://{HOST}", "one :// too many", "capillary://https://user:password@host"),
    "a port of letters": (f"capillary://u:server123@{HOST}:port", "port is no number", "%3A"),
    "an empty object": ('{"conn_type": "capillary"}', "login is missing", "login"),
    "another scheme of the host": (f"capillary://ftp://u:server123@{HOST}", "host begins with ftp://", "https://"),
    "half a surrogate pair": (json.dumps({"host": "x", "login": "y", "password": "server123\ud800"}), "surrogate", "again"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_connection_that_can_not_be_read_says_why_and_shows_nothing(monkeypatch, caplog, case):
    text, problem, hint = UNREADABLE[case]
    monkeypatch.delenv(CONN, raising=False)
    if text is not None:
        monkeypatch.setenv(CONN, text)
    error = read(CapillaryHook()).error
    assert type(error) is ConnectionSettingsError
    assert problem in error.problem
    assert hint in error.hint
    good, said = CapillaryHook().test_connection()
    assert not good
    assert hint in said
    assert "capillary_default" not in said.lower()
    logged = "".join(record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_capillary"))
    behind = repr(error.__cause__) + repr(None if error.__suppress_context__ else error.__context__)
    for part in (PASSWORD, "server", "123@"):
        assert part not in f"{error}{said}{logged}{behind}", part


READ = [
    # the environment variable, which a glance could take for a wrong one
    f"capillary://u:p%2Fq%40@{HOST}",
    f"capillary://u:p@q@{HOST}",
    f"capillary://https://u:p@{HOST}:8443",
    f"capillary://u:p@{HOST}/https?page_size=5",
    f"capillary://u:p@{HOST}/?oauth_header=a.b&date_format=%25d@",
    f'  {{"conn_type": "capillary", "login": "u", "password": "p", "host": "{HOST}", "extra": "{{\\"page_size\\": 5}}", "port": "443"}}',
]


@pytest.mark.parametrize("text", READ)
def test_a_connection_that_can_be_read_is(monkeypatch, text):
    monkeypatch.setenv(CONN, text)
    settings = CapillaryHook().settings
    assert HOST in settings.base_url
    assert settings.login == "u"


@pytest.mark.parametrize("place", ["hunter{}secret", "{}secret", "12{}secret", "secret{}"])
def test_no_character_in_a_password_of_a_uri_leads_to_an_error_that_shows_it(monkeypatch, place):
    errors = {}
    for char in (chr(code) for code in range(33, 127) if not chr(code).isalnum()):
        monkeypatch.setenv(CONN, f"capillary://u:{place.format(char)}@{HOST}")
        hook = CapillaryHook()
        try:
            assert hook.settings.password == place.format(char)
        except ConnectionSettingsError as error:
            errors[char] = error
    assert {"/", "?", "#"} <= set(errors) <= set("/?#[]")
    for error in errors.values():
        assert not re.search("secret|hunter|12", str(error))
        assert "%" in error.hint


def test_what_stands_in_the_environment_does_not_explain_a_connection_from_elsewhere(monkeypatch):
    """Another secrets backend comes before the environment."""
    from airflow.providers.common.compat.sdk import Connection

    monkeypatch.setenv(CONN, '{"conn_type": "capillary", "login": "u", "password": "p"}')
    monkeypatch.setattr(
        CapillaryHook, "get_connection", staticmethod(lambda _id: Connection(conn_id="capillary_default", conn_type="aws", host="x"))
    )
    assert "is of the type 'aws'" in str(read(CapillaryHook()).error)
