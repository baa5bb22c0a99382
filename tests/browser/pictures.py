"""Makes the pictures of the documentation from a real Airflow 3.3 in a real browser: the connection form, the grid, the log of a task.

.. code-block:: bash

    apt-get install chromium chromium-driver
    .venv/bin/pip install ".[test]" "selenium>=4.20"
    .venv/bin/python tests/browser/pictures.py

What is to be seen is the README's daily export, with a folder of this machine as destination, and the emulator as its API.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "airflow_provider_capillary" / "docs" / "pictures"
LARGEST = 200_000
"""Bytes of a picture."""
FIRST, LAST = datetime(2025, 9, 12, tzinfo=UTC), datetime(2025, 9, 19, tzinfo=UTC)
DEADLINE = 120.0
sys.path.insert(0, str(ROOT / "tests"))


def migrated_database(folder: Path) -> Path:
    """An Airflow's database without anything in it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    environment |= {"AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    return folder / "airflow.db"


def daily_export(exports: Path) -> str:
    """The README's DAG, for a week, into a folder."""
    from readme.blocks import block

    text = block("The daily export", "python").text
    changes = {
        "s3://my_aws_conn@my-bucket": f"file://{exports}",
        "start_date=datetime(2025, 9, 1, tzinfo=UTC)": f"start_date=datetime(2025, 9, {FIRST.day}, tzinfo=UTC),\n"
        f"    end_date=datetime(2025, 9, {LAST.day - 1}, tzinfo=UTC)",
        "catchup=False": "catchup=True",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Camera:
    """A browser that looks at one Airflow."""

    def __init__(self, url: str, folder: Path) -> None:
        from browser.conftest import FLAGS
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        self.url = url
        self.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))

    def look_at(self, path: str, *, height: int, until: str) -> None:
        """Open a page, and wait until a text is on it and what the page still loads has arrived."""
        self.browser.set_window_size(1280, height)
        self.browser.get(self.url + path)
        self.wait_for(until)
        time.sleep(3)

    def wait_for(self, text: str) -> None:
        from selenium.webdriver.common.by import By

        ends = time.monotonic() + DEADLINE
        while text not in (shown := self.browser.find_element(By.TAG_NAME, "body").text):
            assert time.monotonic() < ends, f"{text!r} is not in: {shown}"
            time.sleep(0.5)

    def widen_the_grid(self) -> None:
        """Drag what separates the grid from the details, which closes them: the runs of a week don't fit beside them."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.by import By

        handle = self.browser.find_element(By.CSS_SELECTOR, "[data-panel-resize-handle-id], [role=separator]")
        ActionChains(self.browser).click_and_hold(handle).move_by_offset(150, 0).release().perform()
        ActionChains(self.browser).move_by_offset(0, -150).perform()
        time.sleep(2)

    def wrap_the_log(self) -> None:
        """The key of the UI for it."""
        from selenium.webdriver.common.by import By

        self.browser.find_element(By.TAG_NAME, "body").send_keys("w")
        time.sleep(2)

    def take(self, name: str, selector: str | None = None) -> None:
        """Save what the window, or one element of the page, shows."""
        from selenium.webdriver.common.by import By

        path = PICTURES / name
        seen = self.browser if selector is None else self.browser.find_element(By.CSS_SELECTOR, selector)
        path.write_bytes(seen.get_screenshot_as_png() if selector is None else seen.screenshot_as_png)
        assert path.stat().st_size < LARGEST, f"{path} has {path.stat().st_size} bytes"
        print(path, path.stat().st_size)


def take_form(camera: Camera, site: object) -> None:
    """The form with host, login and password filled in."""
    from browser.test_form import Form

    form = Form(camera.browser, site)
    camera.browser.set_window_size(1280, 900)
    form.add("capillary_default")
    form.type_into("host", "https://eu.api.capillarytech.com")
    form.type_into("login", "till.user")
    form.type_into("password", "5f4dcc3b5aa765d61d8327deb882cf99")
    time.sleep(1)
    camera.take("connection-form.png", "[role=dialog]")


def main() -> None:
    """Start everything, take the pictures, end everything."""
    from live.airflow_processes import Airflow

    from airflow_provider_capillary.emulator import Emulator

    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        database = migrated_database(folder)
        with Emulator(documented=False, events=2_500, limit_cap=100, start=FIRST, end=LAST) as api:
            environment = {
                "AIRFLOW_CONN_CAPILLARY_DEFAULT": api.connection_json(requests_per_minute=6000),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            }
            (folder / "home").mkdir()
            airflow = Airflow(folder / "home", database=database, environment=environment)
            # The UI too.
            command = airflow._commands["api-server"]
            command[command.index("execution")] = "all"
            airflow.url = f"http://127.0.0.1:{command[command.index('--port') + 1]}"
            (airflow.dags / "event_logs.py").write_text(daily_export(folder / "exports"))
            with airflow:
                airflow.until(lambda: airflow.rows("SELECT 1 FROM dag WHERE dag_id = 'event_logs'"))
                airflow.command("dags", "unpause", "event_logs")
                query = "SELECT run_id FROM dag_run WHERE dag_id = 'event_logs' AND state = 'success' ORDER BY logical_date"
                airflow.until(lambda: len(airflow.rows(query)) == (LAST - FIRST).days)
                camera = Camera(airflow.url, folder / "browser")
                try:
                    run_id = airflow.rows(query)[-1][0]
                    camera.look_at("/dags/event_logs", height=640, until="export")
                    camera.widen_the_grid()
                    camera.take("grid.png")
                    camera.look_at(f"/dags/event_logs/runs/{run_id}/tasks/export", height=760, until="Read ")
                    camera.wrap_the_log()
                    camera.take("task-log.png")
                    take_form(camera, airflow)
                finally:
                    camera.browser.quit()
        print(json.dumps({path.name: path.stat().st_size for path in sorted(PICTURES.glob("*.png"))}))


if __name__ == "__main__":
    main()
