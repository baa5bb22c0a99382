"""The connection form of Airflow 3.3 in a real browser; run by hand, since a browser is large and not from PyPI.

What the form saves when nothing but host, login and password is filled in has to be a connection that works.

.. code-block:: bash

    apt-get install chromium chromium-driver
    .venv/bin/pip install ".[test]" "selenium>=4.20"
    CAPILLARY_TEST_BROWSER=1 .venv/bin/pytest tests/browser
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from airflow_provider_capillary.connection.fields import EXTRA_FIELDS
from airflow_provider_capillary.emulator import Emulator

DEADLINE = 60.0


class Form:
    """The form, filled in as a person would: by the names and texts on the screen."""

    def __init__(self, browser, site):
        self.browser, self.site = browser, site

    def until(self, condition):
        """Wait for what the page does in its own time; while it draws itself anew, what was found goes stale."""
        ends = time.monotonic() + DEADLINE
        while True:
            try:
                if found := condition():
                    return found
            except (StaleElementReferenceException, ElementNotInteractableException, ElementClickInterceptedException):
                pass
            assert time.monotonic() < ends, self.browser.find_element(By.TAG_NAME, "body").text
            time.sleep(0.2)

    def found(self, selector):
        return self.until(lambda: self.browser.find_elements(By.CSS_SELECTOR, selector))[0]

    def done(self, act):
        """Do something to the page, again where it was not ready."""

        def try_it():
            act()
            return True

        self.until(try_it)

    def click(self, path):
        def find_and_click():
            self.until(lambda: self.browser.find_elements(By.XPATH, path))[0].click()

        self.done(find_and_click)

    def add(self, conn_id):
        self.browser.get(f"{self.site.url}/connections")
        self.press("Add Connection")
        self.type_into("connection_id", conn_id)
        self.done(lambda: self.found("[role=dialog] input[role=combobox]:not([disabled])").send_keys("Capillary", Keys.ENTER))

    def edit(self, conn_id):
        self.browser.get(f"{self.site.url}/connections")
        row = f"//tr[contains(., '{conn_id}')]//button[contains(@aria-label, 'Edit')]"
        self.click(row)

    def type_into(self, name, text):
        self.done(lambda: self.found(f"input[name='{name}']").send_keys(Keys.CONTROL, "a"))
        self.done(lambda: self.found(f"input[name='{name}']").send_keys(text))
        self.until(lambda: self.found(f"input[name='{name}']").get_attribute("value") == text)

    def press(self, text):
        button = f"//button[normalize-space(.)='{text}' and not(@disabled)]"
        self.click(button)

    def choose(self, name, choice):
        """Open a list of choices, and take one."""
        box = f"//input[@name='element_{name}']/ancestor::*[.//input[@role='combobox']][1]//input[@role='combobox']"
        self.click(box)
        texts = self.until(lambda: [each.text for each in self.browser.find_elements(By.CSS_SELECTOR, "[role=option]")])
        option = f"//*[@role='option' and normalize-space(.)='{choice}']"
        self.click(option)
        return texts

    def save(self, conn_id):
        self.press("Save")
        self.until(lambda: not self.browser.find_elements(By.CSS_SELECTOR, "[role=dialog]"))
        (row,) = self.until(lambda: self.rows(conn_id))
        return json.loads(row[0])

    def rows(self, conn_id):
        with closing(sqlite3.connect(f"file:{self.site.database}?mode=ro", uri=True)) as database:
            return database.execute("SELECT extra FROM connection WHERE conn_id = ?", [conn_id]).fetchall()


@pytest.fixture
def form(browser, site):
    return Form(browser, site)


def works(site, conn_id):
    code, said = site.command("connections", "test", conn_id)
    assert code == 0, said
    assert "Connection success!" in said


def fill_in(form, conn_id, host, login, password):
    form.add(conn_id)
    form.type_into("host", host)
    form.type_into("login", login)
    form.type_into("password", password)


def test_host_login_and_password_alone_are_a_connection_that_works(form, site):
    with Emulator(events=20) as api:
        given = json.loads(api.connection_json())
        fill_in(form, "alone", given["host"], given["login"], given["password"])
        saved = form.save("alone")
        assert "***" not in json.dumps(saved)
        works(site, "alone")
        assert len(api.requests) == 1


def test_every_extra_comes_empty(form, site):
    fill_in(form, "empty", "https://x.example", "u", "p")
    form.press("Extra Fields")
    saved = form.save("empty")
    assert saved == dict.fromkeys([field.key for field in EXTRA_FIELDS])


def test_oauth(form, site):
    with Emulator(events=20, auth_type="oauth") as api:
        given = json.loads(api.connection_json())
        fill_in(form, "by_oauth", given["host"], given["login"], given["password"])
        form.press("Extra Fields")
        assert form.choose("auth_type", "oauth") == ["basic (default)", "basic", "oauth"]
        assert form.save("by_oauth")["auth_type"] == "oauth"
        works(site, "by_oauth")
        assert [seen.method for seen in api.requests] == ["POST", "GET"]


def test_a_plain_password(form, site):
    with Emulator(events=20) as api:
        given = json.loads(api.connection_json(password_format="plain"))
        fill_in(form, "by_word", given["host"], given["login"], given["password"])
        form.press("Extra Fields")
        assert form.choose("basic_format", "plain") == ["md5 (default)", "md5", "plain"]
        assert form.save("by_word")["basic_format"] == "plain"
        works(site, "by_word")


# Extras of a connection as it was saved; editing it in the form keeps each of them.
@pytest.mark.parametrize(
    "extra",
    [
        # as it was written by hand, under the public names
        {"password_format": "plain", "oauth_header": "X-OWN", "proxies": {"no_proxy": "127.0.0.1", "http": "http://u:hunter2@127.0.0.1:1"}},
        # as the form of an earlier version saved it
        {"basic_format": "plain", "password_format": "***", "oauth_header": "***", "page_size": 100},
    ],
    ids=["by hand", "masked"],
)
def test_a_connection_that_is_edited_still_works(form, site, extra):
    conn_id = f"edited_{len(extra)}"
    with Emulator(events=20) as api:
        given = json.loads(api.connection_json(password_format="plain"))
        code, said = site.command("connections", "add", conn_id, "--conn-json", json.dumps(given | {"extra": extra}))
        assert code == 0, said
        works(site, conn_id)
        form.edit(conn_id)
        form.type_into("host", f"{given['host']}/")
        saved = form.save(conn_id)
        assert {key: value for key, value in saved.items() if value is not None} == extra
        works(site, conn_id)
