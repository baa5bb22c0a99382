"""Airflow's own ways to test a connection, as they are on the version that is installed: its Test button, and its command line."""

from __future__ import annotations

import importlib.metadata
import json
import os

import pytest
from hooks.support import MD5, PASSWORD

from airflow_provider_capillary.connection.fields import EXTRA_FIELDS, PREFIX
from airflow_provider_capillary.emulator import Emulator

pytestmark = pytest.mark.usefixtures("airflow_db")

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    """Testing is off by default; and Airflow writes into the environment of a process of its own."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")


def as_airflow_2_sends_it(given):
    """What ``connection_form.js`` makes of the form: each extra that is filled in as text, under its name with a prefix, and without."""
    extra = {}
    for key, value in given["extra"].items():
        if value not in (None, ""):
            extra[f"{PREFIX}{key}"] = extra[key] = str(value)
    return given | {"connection_id": "mine", "extra": json.dumps(extra)}


def as_airflow_3_sends_it(given):
    """An extra that is not filled in is ``null``."""
    extra = {field.key: None for field in EXTRA_FIELDS} | given["extra"]
    return given | {"connection_id": "mine", "extra": json.dumps(extra)}


def press_the_button(given):
    """The code behind the button, without the log-in that stands before it: whether it is green, and what it says."""
    if AIRFLOW < (3, 0):
        from airflow.api_connexion.endpoints.connection_endpoint import test_connection
        from flask import Flask

        with Flask("test").test_request_context("/", method="POST", json=as_airflow_2_sends_it(given)):
            said = test_connection.__wrapped__()
        return said["status"], said["message"]
    from airflow.api_fastapi.core_api.datamodels.connections import ConnectionBody
    from airflow.api_fastapi.core_api.routes.public import connections

    body = ConnectionBody(**as_airflow_3_sends_it(given))
    # Since 3.2, it is asked whether the user may see a connection of this name that is there already; there is none.
    names = connections.test_connection.__code__.co_varnames[: connections.test_connection.__code__.co_argcount]
    said = connections.test_connection(body, **{name: Anybody() for name in names if name != "test_body"})
    return said.status, said.message


class Anybody:
    def is_authorized_connection(self, **_):
        return False


def given(api, **extras):
    made = json.loads(api.connection_json(**extras))
    return {"conn_type": "capillary", **made, "extra": made.get("extra") or {}}


WORKING = [
    # the API, extras as the form holds them
    ({}, {}),
    ({}, {"page_size": 500, "connect_timeout": 5, "verify": "true", "timezone": "UTC", "auth_type": "basic"}),
    ({}, {field.key: field.default_text for field in EXTRA_FIELDS}),
    ({}, {"password_format": "plain"}),
    ({}, {"basic_format": "plain", "password_format": "plain"}),
    ({"auth_type": "oauth"}, {}),
    ({"auth_type": "oauth", "oauth_header": "X-OWN"}, {"oauth_http_header": "X-OWN"}),
    ({}, {"proxies": '{"http": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}'}),
]


@pytest.mark.parametrize(("options", "extras"), WORKING, ids=str)
def test_the_button_is_green(options, extras):
    with Emulator(events=20, **options) as api:
        good, said = press_the_button(given(api, **extras))
    assert good, said
    assert "Connected. Saw" in said


REFUSED = [
    # what is wrong, words of the message
    ({"login": ""}, "login is missing"),
    ({"password": ""}, "password is missing"),
    ({"password": PASSWORD}, "which is not an md5"),
    ({"password": f"{MD5} "}, "with a blank"),
    ({"host": "ftp://x"}, "host begins with ftp://"),
    ({"extra": {"page_size": "many"}}, "has to be a whole number"),
    ({"extra": {"nothing": "5"}}, "there is no extra"),
]


@pytest.mark.parametrize(("wrong", "words"), REFUSED, ids=str)
def test_the_button_says_what_is_wrong_and_names_no_id_that_nobody_has_seen(monkeypatch, wrong, words):
    seen = set()
    with Emulator(events=20) as api:
        made = given(api) | wrong

        class Environment(dict):
            def __setitem__(self, name, value):
                seen.add(name)
                super().__setitem__(name, value)

        monkeypatch.setattr(os, "environ", Environment(os.environ))
        good, said = press_the_button(made)
    assert not good
    assert words in said
    (transient,) = [name.removeprefix("AIRFLOW_CONN_") for name in seen if name.startswith("AIRFLOW_CONN_")]
    assert transient.lower() not in said.lower()
    assert not [secret for secret in (PASSWORD, MD5) if secret in said]


def run_the_command(*arguments):
    from airflow.cli.cli_parser import get_parser

    parsed = get_parser().parse_args(["connections", *arguments])
    parsed.func(parsed)


@pytest.mark.parametrize(("options", "extras"), WORKING[:5] + WORKING[5:6], ids=str)
def test_the_command_line_tests_a_connection_of_the_database(capsys, options, extras):
    with Emulator(events=20, **options) as api:
        run_the_command("add", "of_the_database", "--conn-json", json.dumps(given(api, **extras)))
        try:
            run_the_command("test", "of_the_database")
            assert "Connection success!" in capsys.readouterr().out
            assert api.requests
        finally:
            run_the_command("delete", "of_the_database")


def test_the_command_line_says_why_it_fails(capsys, monkeypatch):
    with Emulator(events=20, password="another") as api:
        monkeypatch.setenv("AIRFLOW_CONN_OF_THE_ENVIRONMENT", json.dumps(given(api) | {"password": PASSWORD}))
        try:
            run_the_command("test", "of_the_environment")
        except SystemExit as ended:
            assert ended.code == 1  # noqa: PT017  # Airflow 2 goes on with 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Connection failed!" in out
    assert "which is not an md5 (32 hexadecimal digits)" in out
    assert PASSWORD not in out
