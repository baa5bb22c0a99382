"""The pages and the docstrings build as a site, without a warning."""

from __future__ import annotations

import re

import pytest
from readme.blocks import PAGES

import airflow_provider_capillary.errors
from airflow_provider_capillary.get_provider_info import get_provider_info


@pytest.mark.slow
@pytest.mark.once
def test_the_site_builds_without_a_warning(tmp_path, capfd):
    """Everything but the writing of HTML, which warns of nothing and takes as long again."""
    from sphinx.cmd.build import main

    options = ["-W", "--keep-going", "-q", "-E", "-b", "dummy"]
    assert main([*options, "-d", str(tmp_path / "doctrees"), str(PAGES), str(tmp_path / "site")]) == 0, capfd.readouterr().err


def test_every_page_is_in_the_contents():
    contents = re.search(r"```\{toctree\}\n:hidden:\n\n(.*?)```", (PAGES / "index.md").read_text(), re.DOTALL)[1].split()
    assert sorted(contents) == sorted(path.stem for path in PAGES.iterdir() if path.suffix in {".md", ".rst"} and path.stem != "index")


def test_every_public_module_of_airflow_is_in_the_reference():
    reference = (PAGES / "reference.rst").read_text()
    info = get_provider_info()
    entries = [entry for kind in ("hooks", "operators", "sensors", "triggers") for entry in info[kind]]
    modules = {module for entry in entries for module in entry["python-modules"]}
    for module in modules | {airflow_provider_capillary.errors.__name__}:
        assert f":: {module}" in reference, module


def test_no_picture_is_large_and_each_is_on_a_page():
    pictures = {path.name for path in (PAGES / "pictures").iterdir()}
    assert pictures == {name for page in PAGES.glob("*.md") for name in re.findall(r"\]\(pictures/([\w.-]+)\)", page.read_text())}
    assert all((PAGES / "pictures" / name).stat().st_size < 200_000 for name in pictures)
