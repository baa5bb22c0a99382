"""What Airflow masks once a connection was looked up: each secret, and no ordinary word.

Airflow masks the password, and the value of each extra whose name it takes for a secret's, in everything that is logged.
"""

from __future__ import annotations

import json

import pytest
from hooks.support import CONN, MD5, PASSWORD

from airflow_provider_capillary.connection.fields import EXTRA_FIELDS
from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.errors import AuthenticationError
from airflow_provider_capillary.hooks.capillary import CapillaryHook

WORDS = "a plain Basic oauth md5 in X-CAP-API-OAUTH-TOKEN, auto iso UTC true 1000"


@pytest.fixture(autouse=True)
def masker(monkeypatch):
    """Airflow's own, as it is in a process that has just started."""
    from airflow.providers.common.compat import sdk

    modules = [sdk.mask_secret.__module__, sdk.redact.__module__]
    import sys

    own = next(module._secrets_masker() for name in modules if hasattr(module := sys.modules[name], "_secrets_masker"))
    monkeypatch.setattr(own, "patterns", set())
    monkeypatch.setattr(own, "replacer", None)
    return own


def shown(text):
    from airflow.providers.common.compat.sdk import redact

    return str(redact(text))


def connection(password=PASSWORD, **extra):
    return json.dumps({"conn_type": "capillary", "host": "https://x.example", "login": "u", "password": password, "extra": extra})


AS_THE_FORM_SAVES_THEM = [
    # extras under the keys of the form, each with a value of its own
    {"basic_format": "plain"},
    {"basic_format": "md5", "auth_type": "basic"},
    {"oauth_http_header": "X-CAP-API-OAUTH-TOKEN", "auth_type": "oauth"},
    {field.key: field.default_text for field in EXTRA_FIELDS},
]


@pytest.mark.parametrize("extra", AS_THE_FORM_SAVES_THEM, ids=str)
def test_no_value_of_an_extra_is_masked_but_the_secrets_are(monkeypatch, extra):
    monkeypatch.setenv(CONN, connection(**extra))
    settings = CapillaryHook().settings
    assert shown(WORDS) == WORDS
    assert PASSWORD not in shown(f"sent {settings.password}")
    if extra.get("basic_format") == "plain":
        assert MD5 not in shown(f"sent {MD5}")


def test_the_check_sees_a_word_that_is_masked():
    """Under its public name: most versions of Airflow mask it as they look the connection up. Hence the other key."""
    from airflow.providers.common.compat.sdk import mask_secret

    mask_secret({"password_format": "plain"})
    assert "plain" not in shown(WORDS)


@pytest.mark.parametrize("extra", [{"password_format": "plain"}, {"password_format": "md5"}], ids=str)
def test_a_401_can_be_understood_with_that_word_masked(monkeypatch, extra):
    with Emulator(events=5, password="another") as api:
        monkeypatch.setenv(CONN, json.dumps(json.loads(api.connection_json(**extra)) | {"password": PASSWORD}))
        with pytest.raises(AuthenticationError) as caught:
            list(CapillaryHook().iter_event_logs("2025-09-01T00:00:00Z", "2025-10-01T00:00:00Z"))
    other = {"plain": "`md5`", "md5": "`plain`"}[extra["password_format"]]
    said = shown(str(caught.value))
    assert other in said
    assert "the password field" in said
    assert "`basic_format` (or `password_format`)" in said


def test_a_password_that_is_an_ordinary_word_is_masked_all_the_same(monkeypatch):
    """It is one; nothing tells it from others. What helps is another password."""
    monkeypatch.setenv(CONN, connection(password="plain"))
    assert CapillaryHook().settings.password == "plain"
    assert "plain" not in shown(WORDS)
