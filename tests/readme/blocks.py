"""The fenced blocks and the tables of the README and of the pages, each under the heading where it stands, and for which Airflow it is."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["AIRFLOW", "PAGES", "README", "Block", "block", "blocks", "documents", "headings", "table", "tables"]

README = Path(__file__).resolve().parents[2] / "README.md"
PAGES = README.parent / "airflow_provider_capillary" / "docs"
AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])

if not PAGES.is_dir():
    # The tests, beside a package that was installed from a wheel. Each module that reads the pages says so among the skipped ones.
    pytest.skip("the pages of the documentation are in a clone, not in a wheel", allow_module_level=True)

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VERSIONS = re.compile(r"[Oo]n Airflow ((?:\d+(?:\.\d+)?(?:, | and (?=\d))?)+)( and later)?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block.

    :param section: the heading above it.
    :param number: which of its language and section it is, from 1 on.
    :param lead: the paragraph before it, which says for which Airflow it is.
    """

    section: str
    language: str
    number: int
    text: str
    lead: str

    @property
    def key(self) -> tuple[str, str, int]:
        return self.section, self.language, self.number

    @property
    def is_for_this_airflow(self) -> bool:
        """Whether the paragraph before it names no Airflow, or this one."""
        named = _VERSIONS.search(self.lead)
        if named is None:
            return True
        versions = [tuple(int(part) for part in text.split(".")) for text in re.findall(r"\d+(?:\.\d+)?", named[1])]
        return any(version <= AIRFLOW if named[2] else AIRFLOW[: len(version)] == version for version in versions)


def documents() -> list[Path]:
    """The README, then each page."""
    return [README, *sorted(PAGES.glob("*.md"))]


def headings(document: Path) -> list[str]:
    """Its headings, in order; a line of a fenced block that begins with ``#`` is none."""
    return [match[2] for match in _HEADING.finditer(_FENCE.sub("", document.read_text()))]


def blocks() -> list[Block]:
    """All of them, in order."""
    found: list[Block] = []
    for document in documents():
        text = document.read_text()
        for match in _FENCE.finditer(text):
            before = _FENCE.sub("", text[: match.start()])
            section = _HEADING.findall(before)[-1][1]
            number = 1 + sum(each.section == section and each.language == match[1] for each in found)
            lead = " ".join(before.rstrip().rpartition("\n\n")[2].split())
            found.append(Block(section=section, language=match[1], number=number, text=match[2], lead=lead))
    return found


def block(section: str, language: str, number: int = 1) -> Block:
    """One of them."""
    (found,) = [each for each in blocks() if each.key == (section, language, number)]
    return found


def _text_below(section: str) -> str:
    """What stands below a heading, up to the next one."""
    (text,) = [
        parts[place + 1]
        for parts in (re.split(r"^#+ (.+)$", _FENCE.sub("", document.read_text()), flags=re.MULTILINE) for document in documents())
        for place in range(1, len(parts), 2)
        if parts[place] == section
    ]
    return text


def tables(section: str, header: str) -> list[list[list[str]]]:
    """The cells of each table below a heading whose header begins with some text, without those of the header."""
    return [
        [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in part.strip().splitlines()[2:]]
        for part in _text_below(section).split("\n\n")
        if part.lstrip().startswith(f"| {header} |")
    ]


def table(section: str, header: str) -> list[list[str]]:
    """The only one of them."""
    (found,) = tables(section, header)
    return found
