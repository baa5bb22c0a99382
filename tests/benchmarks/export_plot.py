"""The table of :mod:`export_cost` as bars: CPU a record, in one group for each page size and format."""

from __future__ import annotations

from html import escape
from itertools import groupby

__all__ = ["svg_of"]

WIDTH, LABEL, BAR, GAP, HEAD = 760, 130, 16, 4, 34
COLOURS = {"ours plain": "#1b7f5a", "ours fast": "#2fbf8a", "bare json": "#8892a0", "bare raw": "#c0c6ce"}


def svg_of(rows: list[dict[str, object]]) -> str:
    """An SVG with one bar for each row; all bars have one scale."""
    longest = max(row["us"] for row in rows)
    parts, top = [], 36
    for (page, ending), group in groupby(sorted(rows, key=group_of), key=group_of):
        top += HEAD
        parts.append(f'<text x="10" y="{top - 8}" font-weight="bold">{escape(f"{ending}, pages of {page:,}")}</text>')
        for row in sorted(group, key=lambda row: row["us"]):
            length = (WIDTH - LABEL - 70) * row["us"] / longest
            parts.append(f'<text x="{LABEL - 8}" y="{top + 12}" text-anchor="end">{escape(str(row["subject"]))}</text>')
            colour = COLOURS.get(row["subject"], "#d08b3e")
            parts.append(f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{top + 12}">{row["us"]:.1f}</text>')
            top += BAR + GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 20}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{top + 20}" fill="white"/>',
        '<text x="10" y="22" font-size="14">CPU in microseconds a record; less is better</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def group_of(row: dict[str, object]) -> tuple[int, str]:
    """Page size and format; a tool that writes in its own format stands with ``.jsonl.gz``."""
    return row["page"], ".jsonl.gz" if row["format"] == "its own" else row["format"]
