"""Plain tables: columns in line, nothing else, so that they are pleasant to read and easy to cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def text_width(text: str) -> int:
    """How many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(
    rows: Sequence[Sequence[str]], *, align: str = "", header: Sequence[str] | None = None, gap: str = "  "
) -> list[str]:
    """The rows as lines with their columns aligned: `align` has "<" or ">" a column ("<" where it ends).

    Cells must be plain text (colour a line afterwards, or a cell of the last column before).
    """
    every = [header, *rows] if header is not None else list(rows)
    if not every:
        return []
    columns = max(len(row) for row in every)
    sides = align.ljust(columns, "<")
    widths = [max((text_width(row[i]) for row in every if i < len(row)), default=0) for i in range(columns)]
    return [_line(row, widths, sides, gap) for row in every]


def _line(row: Sequence[str], widths: Sequence[int], sides: str, gap: str) -> str:
    cells = []
    for i, cell in enumerate(row):
        fill = " " * (widths[i] - text_width(cell))
        cells.append(fill + cell if sides[i] == ">" else cell + fill)
    return gap.join(cells).rstrip()
