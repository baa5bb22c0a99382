"""The fenced blocks and the tables of the README, each under the heading where it stands, and for which Airflow it is."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["AIRFLOW", "README", "Block", "block", "blocks", "table"]

README = Path(__file__).resolve().parents[2] / "README.md"
AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])

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


def blocks() -> list[Block]:
    """All of them, in order."""
    text = README.read_text()
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        before = _FENCE.sub("", text[: match.start()])
        section = re.findall(r"^#+ (.+)$", before, re.MULTILINE)[-1]
        number = 1 + sum(each.section == section and each.language == match[1] for each in found)
        lead = before.rstrip().rpartition("\n\n")[2]
        found.append(Block(section=section, language=match[1], number=number, text=match[2], lead=lead))
    return found


def block(section: str, language: str, number: int = 1) -> Block:
    """One of them."""
    (found,) = [each for each in blocks() if each.key == (section, language, number)]
    return found


def table(section: str, header: str) -> list[list[str]]:
    """The cells of a table, without those of its header: the one of a section whose header begins with some text."""
    text = README.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (lines,) = [part.splitlines() for part in text.split("\n\n") if part.lstrip().startswith(f"| {header} |")]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]
