"""Connections as Airflow hands them over, and the settings, or the one error, that each makes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from airflow_provider_capillary.connection.fields import EXTRA_FIELDS
from airflow_provider_capillary.connection.settings import Settings
from airflow_provider_capillary.errors import ConnectionSettingsError

PASSWORD = "8a16a6b70505eb1f1ff7cdc0cd5559a7"


@dataclass
class Conn:
    """The attributes that every Airflow's Connection has."""

    conn_id: str = "cap"
    conn_type: Any = "capillary"
    host: Any = "https://eu.api.example.com"
    port: Any = None
    schema: Any = None
    login: Any = "store.server"
    password: Any = PASSWORD
    extra: Any = None

    @property
    def extra_dejson(self):
        try:
            return json.loads(self.extra) if self.extra else {}
        except ValueError:
            return {}


DEFAULTS = Settings(
    base_url="https://eu.api.example.com",
    login="store.server",
    password=PASSWORD,
    auth_type="basic",
    password_format="md5",
    oauth_header="X-CAP-API-OAUTH-TOKEN",
    date_format="auto",
    timezone="UTC",
    page_size=1000,
    requests_per_minute=60,
    connect_timeout=10.0,
    read_timeout=60.0,
    verify=True,
    proxies=None,
)


def typed(settings):
    """The settings with the type of each, since ``True == 1 == 1.0``."""
    return {field.name: (type(getattr(settings, field.name)), getattr(settings, field.name)) for field in fields(settings)}


def test_a_connection_of_the_least_has_the_documented_defaults():
    assert typed(Settings.from_connection(Conn())) == typed(DEFAULTS)


HOSTS = [
    # host, port, schema, base_url
    ("eu.api.example.com", None, None, "https://eu.api.example.com"),
    ("eu.api.example.com", None, "", "https://eu.api.example.com"),
    ("eu.api.example.com", None, "https", "https://eu.api.example.com"),
    ("eu.api.example.com", None, "http", "http://eu.api.example.com"),
    ("eu.api.example.com", None, "HTTP", "http://eu.api.example.com"),
    ("eu.api.example.com", 8443, None, "https://eu.api.example.com:8443"),
    ("eu.api.example.com", "8443", None, "https://eu.api.example.com:8443"),
    ("eu.api.example.com", 0, None, "https://eu.api.example.com"),
    ("eu.api.example.com:8443", None, None, "https://eu.api.example.com:8443"),
    ("eu.api.example.com:8443", 8443, None, "https://eu.api.example.com:8443"),
    ("eu.api.example.com/prefix/", None, None, "https://eu.api.example.com/prefix"),
    ("https://eu.api.example.com/", None, None, "https://eu.api.example.com"),
    ("https://eu.api.example.com/a/b//", None, None, "https://eu.api.example.com/a/b"),
    ("HTTPS://EU.api.example.com/Prefix", None, "https", "https://eu.api.example.com/Prefix"),
    ("http://127.0.0.1:8080", None, None, "http://127.0.0.1:8080"),
    ("http://127.0.0.1", 8080, "http", "http://127.0.0.1:8080"),
    ("http://[::1]:8080", None, None, "http://[::1]:8080"),
    ("[::1]", 8080, "http", "http://[::1]:8080"),
    ("  https://eu.api.example.com\n", None, None, "https://eu.api.example.com"),
    ("stub_server", 80, "http", "http://stub_server:80"),
    ("bücher.example", None, None, "https://xn--bcher-kva.example"),
]


@pytest.mark.parametrize(("host", "port", "schema", "base_url"), HOSTS)
def test_host_port_and_schema_make_one_url(host, port, schema, base_url):
    settings = Settings.from_connection(Conn(host=host, port=port, schema=schema))
    assert typed(settings) == typed(replace(DEFAULTS, base_url=base_url))


READ = [
    # extra, value, what it becomes
    ("auth_type", "oauth", "oauth"),
    ("auth_type", " basic ", "basic"),
    ("password_format", "plain", "plain"),
    ("oauth_header", "CAP-API-ACCESS-TOKEN", "CAP-API-ACCESS-TOKEN"),
    ("date_format", "epoch_ms", "epoch_ms"),
    ("date_format", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M"),
    ("timezone", "Asia/Kolkata", "Asia/Kolkata"),
    ("timezone", "+05:30", "+05:30"),
    ("timezone", "-12:00", "-12:00"),
    ("page_size", 1, 1),
    ("page_size", "500", 500),
    ("page_size", 500.0, 500),
    ("page_size", 2**31 - 1, 2**31 - 1),
    ("requests_per_minute", " 100 ", 100),
    ("connect_timeout", 3, 3.0),
    ("connect_timeout", 0.5, 0.5),
    ("read_timeout", "2.5", 2.5),
    ("read_timeout", 86400, 86400.0),
    ("verify", False, False),
    ("verify", "false", False),
    ("verify", "True", True),
    ("verify", __file__, __file__),
    ("proxies", {"https": "http://proxy.example:3128"}, {"https": "http://proxy.example:3128"}),
    ("proxies", '{"all": "socks5://proxy.example", "no_proxy": "a.example"}', {"all": "socks5://proxy.example", "no_proxy": "a.example"}),
    ("proxies", {"https://eu.api.example.com": "http://proxy.example"}, {"https://eu.api.example.com": "http://proxy.example"}),
    ("proxies", {}, None),
]


@pytest.mark.parametrize(("name", "value", "becomes"), READ)
def test_an_extra_is_read(name, value, becomes):
    settings = Settings.from_connection(Conn(extra=json.dumps({name: value})))
    assert typed(settings) == typed(replace(DEFAULTS, **{name: becomes}))


@pytest.mark.parametrize("nothing", [None, "", "  "])
@pytest.mark.parametrize("name", [extra.name for extra in EXTRA_FIELDS])
def test_nothing_means_the_default(name, nothing):
    assert typed(Settings.from_connection(Conn(extra=json.dumps({name: nothing})))) == typed(DEFAULTS)


SPELLINGS = [
    # extra, what it becomes: every key of a setting, and the same setting twice, as Airflow 2's Test button sends it
    ({"basic_format": "plain"}, {"password_format": "plain"}),
    ({"password_format": "plain"}, {"password_format": "plain"}),
    ({"basic_format": "plain", "password_format": "plain"}, {"password_format": "plain"}),
    ({"basic_format": None, "password_format": "plain"}, {"password_format": "plain"}),
    ({"basic_format": "plain", "password_format": "***"}, {"password_format": "plain"}),
    ({"oauth_http_header": "X-T"}, {"oauth_header": "X-T"}),
    ({"oauth_header": "X-T", "oauth_http_header": ""}, {"oauth_header": "X-T"}),
    ({"extra__capillary__page_size": "50"}, {"page_size": 50}),
    ({"extra__capillary__page_size": "50", "page_size": 50}, {"page_size": 50}),
    ({"extra__capillary__page_size": "", "page_size": 50}, {"page_size": 50}),
    ({"extra__capillary__basic_format": "plain", "basic_format": "plain", "password_format": "plain"}, {"password_format": "plain"}),
    ({"extra__capillary__verify": "true", "verify": True}, {}),
    ({"extra__capillary__proxies": '{"https": "http://p:1"}', "proxies": {"https": "http://p:1"}}, {"proxies": {"https": "http://p:1"}}),
]


@pytest.mark.parametrize(("extra", "becomes"), SPELLINGS, ids=str)
def test_a_setting_is_read_under_each_of_its_keys(extra, becomes):
    assert typed(Settings.from_connection(Conn(extra=json.dumps(extra)))) == typed(replace(DEFAULTS, **becomes))


DISAGREEING = [
    # extra: one setting under two keys, with two meanings
    {"extra__capillary__page_size": "51", "page_size": 50},
    {"basic_format": "plain", "password_format": "md5"},
    {"oauth_header": "X-A", "oauth_http_header": "X-B"},
    {"extra__capillary__proxies": '{"https": "http://u:hunter2@p:1"}', "proxies": {"https": "http://u:hunter3@p:1"}},
]


@pytest.mark.parametrize("extra", DISAGREEING, ids=str)
def test_a_setting_that_is_there_twice_with_two_meanings_is_an_error_that_names_both_keys(extra):
    with pytest.raises(ConnectionSettingsError, match="different values") as caught:
        Settings.from_connection(Conn(extra=json.dumps(extra)))
    for key in extra:
        assert repr(key) in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("key", [key for extra in EXTRA_FIELDS for key in extra.keys])
def test_an_extra_that_was_saved_masked_counts_as_not_set_with_a_warning_that_names_it(key, caplog):
    assert typed(Settings.from_connection(Conn(extra=json.dumps({key: "***"})))) == typed(DEFAULTS)
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert f"Connection 'cap': the extra `{key}` was saved as ***" in warning.getMessage()


def test_an_object_of_masked_values_counts_as_not_set_too(caplog):
    assert typed(Settings.from_connection(Conn(extra='{"proxies": {"http": "***", "https": "***"}}'))) == typed(DEFAULTS)
    assert "`proxies` was saved as ***" in caplog.text
    with pytest.raises(ConnectionSettingsError):  # an unknown one says nothing less for being masked
        Settings.from_connection(Conn(extra='{"api_key": "***"}'))


REFUSED_EXTRAS = [
    # extra, value, words of the error
    ("page_size", "many", "'many' (of type str)", "a whole number from 1"),
    ("page_size", 0, "0 (of type int)", "from 1"),
    ("page_size", -5, "-5", "from 1"),
    ("page_size", 10.5, "10.5 (of type float)", "a whole number"),
    ("page_size", True, "True (of type bool)", "a whole number"),
    ("page_size", "1_000", "'1_000'", "a whole number"),
    ("page_size", "1e3", "'1e3'", "a whole number"),
    ("page_size", "\u0661\u0660", "of type str", "a whole number"),
    ("page_size", 2**31, "2147483648", "to 2147483647"),
    ("page_size", [1000], "of type list", "a whole number"),
    ("requests_per_minute", "0", "'0'", "or remove it for the default, 60"),
    ("connect_timeout", 0, "0 (of type int)", "above 0"),
    ("connect_timeout", False, "of type bool", "above 0"),
    ("read_timeout", -1.5, "-1.5", "above 0"),
    ("read_timeout", float("inf"), "inf", "at most 86400"),
    ("read_timeout", float("nan"), "nan", "above 0"),
    ("read_timeout", "nan", "'nan'", "above 0"),
    ("read_timeout", {"connect": 1}, "of type dict", "seconds"),
    ("auth_type", "Basic", "'Basic'", "did you mean 'basic'?"),
    ("auth_type", "oauth2", "'oauth2'", "did you mean 'oauth'?"),
    ("auth_type", 1, "of type int", "'basic' or 'oauth'"),
    ("password_format", "sha1", "'sha1'", "'md5' or 'plain'"),
    ("oauth_header", "X-Token: a\r\nHost", "of type str", "name of an HTTP header"),
    ("date_format", "epoch", "'epoch'", "did you mean 'epoch_ms'?"),
    ("date_format", "YYYY-MM-DD", "'YYYY-MM-DD'", "strftime string"),
    ("date_format", 1, "of type int", "strftime string"),
    ("timezone", "Asia/Kolkatta", "'Asia/Kolkatta'", "did you mean 'Asia/Kolkata'?"),
    ("timezone", "asia", "'asia'", "IANA"),
    ("timezone", "Asia", "'Asia'", "IANA"),
    ("timezone", "../UTC", "'../UTC'", "IANA"),
    ("timezone", "+5:30", "'+5:30'", "'+05:30'"),
    ("timezone", "+25:00", "'+25:00'", "'+05:30'"),
    ("timezone", "+05:75", "'+05:75'", "'+05:30'"),
    ("timezone", 5.5, "of type float", "IANA"),
    ("verify", 1, "of type int", "true, false"),
    ("verify", "no", "'no'", "true, false"),
    ("verify", "/nowhere/ca.pem", "'/nowhere/ca.pem'", "existing file"),
]


@pytest.mark.parametrize(("name", "value", "found", "expected"), REFUSED_EXTRAS)
def test_an_extra_of_the_wrong_kind_is_one_error_that_names_it(name, value, found, expected):
    with pytest.raises(ConnectionSettingsError) as caught:
        Settings.from_connection(Conn(extra=json.dumps({name: value})))
    text = str(caught.value)
    for words in ("Connection 'cap'", f"extra {name!r}", found, expected, "How to fix: "):
        assert words in text, text


@pytest.mark.parametrize(
    "value",
    [
        "http://user:hunter2@proxy",
        '{"https": "hunter2"',
        '["hunter2"]',
        {"htps": "http://user:hunter2@proxy"},
        {"https": ["hunter2"]},
        {"https": ""},
        5,
        True,
    ],
)
def test_proxies_that_are_refused_are_not_shown(value):
    with pytest.raises(ConnectionSettingsError, match=re.escape("extra 'proxies' is of type")) as caught:
        Settings.from_connection(Conn(extra=json.dumps({"proxies": value})))
    shown = f"{caught.value}{caught.value!r}{caught.value.__context__!r}"
    assert "hunter2" not in shown
    assert '"https"' in str(caught.value)


def test_an_unknown_extra_is_named_with_the_nearest_name_and_without_its_value():
    with pytest.raises(ConnectionSettingsError) as caught:
        Settings.from_connection(Conn(extra=json.dumps({"page_size": 5, "paeg_size": "hunter2"})))
    text = str(caught.value)
    assert "Connection 'cap': there is no extra 'paeg_size' (its value is of type str)" in text
    assert "did you mean 'page_size'?" in text
    assert "requests_per_minute" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("extra", "found"), [("{page_size: hunter2}", "not valid JSON"), ('["hunter2"]', "of type list"), ("5", "of type int")]
)
def test_an_extra_that_is_no_object_is_an_error_and_not_the_defaults(extra, found):
    with pytest.raises(ConnectionSettingsError, match=found) as caught:
        Settings.from_connection(Conn(extra=extra))
    assert "hunter2" not in f"{caught.value}{caught.value.__context__!r}"


REFUSED_FIELDS = [
    # fields of the connection, words of the error
    ({"host": None}, "host is missing"),
    ({"host": " "}, "host is missing"),
    ({"host": 5}, "host is of type int"),
    ({"host": "ftp://eu.api.example.com"}, "host begins with ftp://"),
    ({"host": "https://"}, "names no host"),
    ({"host": "https:/eu.api.example.com"}, "names no host"),
    ({"host": "//eu.api.example.com"}, "names no host"),
    ({"host": "eu..example.com"}, "names no host"),
    ({"host": "eu api.example.com"}, "with a space"),
    ({"host": "eu.api.example.com\\v2"}, "backslash"),
    ({"host": "eu.example.com:0"}, "names no host"),
    ({"host": "eu.example.com:99999"}, "not a URL"),
    ({"host": "eu.example.com:x"}, "not a URL"),
    ({"host": "https://[::1"}, "not a URL"),
    ({"host": "https://store:hunter2@eu.example.com"}, "an @"),
    ({"host": "store:hunter2/x@eu.example.com"}, "an @"),
    ({"host": "https://eu.example.com/?token=hunter2"}, "a query or a fragment"),
    ({"host": "https://eu.example.com/#hunter2"}, "a query or a fragment"),
    ({"host": "eu.example.com", "schema": "prefix"}, "schema is 'prefix'"),
    ({"host": "https://eu.example.com", "schema": "http"}, "host begins with https://, and schema is 'http'"),
    ({"host": "http://eu.example.com", "schema": "https"}, "host begins with http://, and schema is 'https'"),
    ({"host": "eu.example.com:1", "port": 2}, "host has port 1, and port is 2"),
    ({"port": 70000}, "port is 70000"),
    ({"port": True}, "port is True"),
    ({"port": "http"}, "port is 'http'"),
    ({"login": None}, "login is missing"),
    ({"login": ""}, "login is missing"),
    ({"login": "store:hunter2"}, "login contains a colon"),
    ({"password": None}, "password is missing"),
    ({"password": "  "}, "password is missing"),
    ({"password": 12345}, "password is of type int"),
    ({"password": "***"}, "password was saved as ***"),
    ({"login": "***"}, "login was saved as ***"),
    ({"password": "hunter2\ud800"}, "password holds half of a surrogate pair"),
    ({"login": "hunter2\udfff"}, "login holds half of a surrogate pair"),
    ({"password": f"{PASSWORD} "}, "with a blank or a line break before or after it"),
    ({"password": f"\t{PASSWORD.upper()}"}, "with a blank or a line break before or after it"),
    ({"password": f"{PASSWORD}\n"}, "with a blank or a line break before or after it"),
    ({"conn_type": "aws"}, "is of the type 'aws', not 'capillary'"),
    ({"conn_type": "http"}, "is of the type 'http', not 'capillary'"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED_FIELDS)
def test_a_field_that_cannot_be_used_is_one_error_that_names_it(given, words):
    with pytest.raises(ConnectionSettingsError) as caught:
        Settings.from_connection(Conn(**given))
    text = str(caught.value)
    assert text.startswith("Connection 'cap'"), text
    assert words in text
    assert "How to fix: " in text
    assert not [secret for secret in ("hunter2", "12345", PASSWORD, PASSWORD.upper()) if secret in text]


@pytest.mark.parametrize(
    "given", [{"password": "p "}, {"password": f"{PASSWORD} ", "extra": '{"basic_format": "plain"}'}, {"conn_type": None}]
)
def test_what_may_be_meant_is_not_refused(given):
    assert Settings.from_connection(Conn(**given)).password == given.get("password", PASSWORD)


def test_a_label_takes_the_place_of_the_id_in_every_error():
    for given, words in REFUSED_FIELDS:
        with pytest.raises(ConnectionSettingsError) as caught:
            Settings.from_connection(Conn(**given), label="This connection")
        assert str(caught.value).startswith("This connection"), words
        assert "'cap'" not in str(caught.value)


def test_an_oauth_key_may_contain_a_colon():
    assert Settings.from_connection(Conn(login="key:1", extra='{"auth_type": "oauth"}')).login == "key:1"


def test_the_repr_holds_neither_password_nor_proxies():
    shown = repr(Settings.from_connection(Conn(extra='{"proxies": {"https": "http://user:hunter2@proxy"}}')))
    assert "store.server" in shown
    assert PASSWORD not in shown
    assert "hunter2" not in shown


def as_uri(connection, conn_type):
    """The connection as secrets caches and other processes get it."""
    return from_uri(conn_type, connection.get_uri())


def from_uri(conn_type, uri):
    try:
        return conn_type(conn_id="cap", uri=uri)
    except TypeError:  # the task SDK of Airflow 3.0 and 3.1: there, the core's own connection reads it
        from airflow.models.connection import Connection as CoreConnection

        return CoreConnection(conn_id="cap", uri=uri)


def as_it_is(connection, _conn_type):
    return connection


@pytest.mark.parametrize("passed_on", [as_it_is, as_uri])
@pytest.mark.parametrize(
    ("host", "port", "extra", "expected"),
    [
        ("https://eu.api.example.com/v1", None, {}, {"base_url": "https://eu.api.example.com/v1"}),
        ("http://127.0.0.1:8080", None, {"page_size": 5}, {"base_url": "http://127.0.0.1:8080", "page_size": 5}),
        ("eu.api.example.com", 8443, {"verify": False}, {"base_url": "https://eu.api.example.com:8443", "verify": False}),
        ("eu.api.example.com", None, {"page_size": "5", "verify": "false"}, {"page_size": 5, "verify": False}),
        ("eu.api.example.com", None, {"proxies": {"https": "http://p:1"}}, {"proxies": {"https": "http://p:1"}}),
        ("eu.api.example.com", None, {"date_format": "%d/%m/%Y"}, {"date_format": "%d/%m/%Y"}),
    ],
)
def test_airflow_s_own_connections_are_read_alike_by_field_and_by_uri(host, port, extra, expected, passed_on):
    from airflow.providers.common.compat.sdk import Connection

    connection = Connection(
        conn_id="cap",
        conn_type="capillary",
        host=host,
        port=port,
        login="store.server",
        password="p@ss/w:rd?",
        extra=json.dumps(extra),
    )
    settings = Settings.from_connection(passed_on(connection, Connection))
    assert typed(settings) == typed(replace(DEFAULTS, **{"password": "p@ss/w:rd?", **expected}))


def test_a_uri_whose_extras_are_all_strings_is_read():
    from airflow.providers.common.compat.sdk import Connection

    uri = "capillary://store.server:secret@127.0.0.1:8080/http?page_size=20&verify=false&read_timeout=1.5&auth_type=basic"
    settings = Settings.from_connection(from_uri(Connection, uri))
    expected = replace(DEFAULTS, base_url="http://127.0.0.1:8080", password="secret", page_size=20, verify=False, read_timeout=1.5)
    assert typed(settings) == typed(expected)
