"""The table of :mod:`export_cost` as bars: CPU a record, by page size and format."""

from __future__ import annotations

from html import escape

__all__ = ["svg_of"]

WIDTH, LABEL, BAR, GAP = 900, 330, 18, 6
COLOURS = {"ours plain": "#1b7f5a", "ours fast": "#2fbf8a", "bare json": "#8892a0", "bare raw": "#c0c6ce"}


def svg_of(rows: list[dict[str, object]]) -> str:
    """An SVG with one bar for each row."""
    longest = max(row["us"] for row in rows)
    height = len(rows) * (BAR + GAP) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="10" y="22" font-size="14">CPU in microseconds a record; less is better</text>',
    ]
    for number, row in enumerate(rows):
        top = 40 + number * (BAR + GAP)
        length = (WIDTH - LABEL - 80) * row["us"] / longest
        label = escape(f"{row['subject']}, {row['format']}, pages of {row['page']}")
        parts.append(f'<text x="{LABEL - 8}" y="{top + 13}" text-anchor="end">{label}</text>')
        colour = COLOURS.get(row["subject"], "#d08b3e")
        parts.append(f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
        parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{top + 13}">{row["us"]:.1f}</text>')
    return "\n".join([*parts, "</svg>", ""])
