"""How Sphinx builds these pages; nothing imports this file. ``index.md`` gets the repository's README in front of its list of pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_capillary import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parents[1]

project = "airflow-provider-capillary"
author = "the authors of airflow-provider-capillary"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
# The anchors that a repository's web page makes of headings.
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"{project} {version}"
html_show_sourcelink = False
# Signatures are long, and what types they have is in the docstrings.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
# Lexers that Pygments lacks for blocks that are shown all the same.
suppress_warnings = ["misc.highlighting_failure"]


def _links_of_readme(text: str) -> str:
    """The README's links, as they are written in the pages."""
    text = text.replace("](airflow_provider_capillary/docs/", "](")
    return re.sub(r"\]\((?=example_dags/|tests/|\.github/|LICENSE|CHANGELOG)", "](../../", text)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    del app
    if name == "index":
        source[0] = f"{_links_of_readme((ROOT / 'README.md').read_text())}\n{source[0]}"
    text = source[0].replace("](../../README.md", "](index.md")
    # What is outside of the pages' folder is no page, so it is copied as a file.
    source[0] = text.replace("](../../", "](path:../../")


def setup(app: Sphinx) -> None:
    """Have each page's links changed as it is read."""
    app.connect("source-read", _read)
