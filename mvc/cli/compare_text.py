"""A comparison of commits as a table for the terminal, as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from mvc.cli.commit_text import shown
from mvc.cli.dates import iso_date
from mvc.cli.markdown import code, escaped
from mvc.cli.session import Session
from mvc.cli.tables import text_width
from mvc.cli.text import one_line
from mvc.ops.compare import MISSING, Comparison, Row

DIFFERS = "≠"
_GAP = 2
_LONGEST = 40
"""Characters that a value takes at most; a digest or a sentence is cut."""
_SHORTEST = 16
"""To so many it may be cut where a terminal has no room for two commits side by side."""


class Cell(NamedTuple):
    """Text without colour, and the style that it is painted in."""

    text: str
    style: str = ""


def table_lines(session: Session, found: Comparison) -> list[str]:
    """Names down, commits across; where they are too many for the terminal, one block below the other."""
    head = [Cell(one_line(one.name), "yellow") for one in found.commits]
    dates = [Cell(iso_date(one.commit.author)[:10], "dim") for one in found.commits]
    names = max((text_width(_name(row)) for row in found.rows), default=0)
    most = max(_SHORTEST, min(_LONGEST, (session.width - names - 2) // 2 - _GAP))
    rows = {id(row): [_cell(row, at, most) for at in range(len(row.values))] for row in found.rows}
    every = [head, dates, *rows.values()]
    widths = [max(text_width(line[at].text) for line in every) for at in range(len(head))]
    lines: list[str] = []
    for columns in _blocks(widths, session.width - names - 2):
        if lines:
            lines.append("")
        for line in (head, dates):
            lines.append(_line(session, Cell(" " * (names + 2)), [line[at] for at in columns], widths, columns))
        for section, members in groupby(found.rows, key=lambda row: row.section):
            lines.append(session.paint(section, "cyan"))
            for row in members:
                name = Cell(f"{_name(row)}{' ' * (names - text_width(_name(row)) + 2)}", "" if row.differs else "dim")
                cells = [rows[id(row)][at] for at in columns]
                lines.append(_line(session, name, cells, widths, columns))
    return lines


def markdown_lines(found: Comparison) -> list[str]:
    """The same as a table that GitHub shows: the best in bold, what differs marked in front."""
    lines = [
        "| | " + " | ".join(code(one.name) for one in found.commits) + " |",
        "|---|" + "---:|" * len(found.commits),
    ]
    for section, members in groupby(found.rows, key=lambda row: row.section):
        lines.append(f"| **{section}** |" + " |" * len(found.commits))
        for row in members:
            mark = f"{DIFFERS} " if row.differs else ""
            cells = []
            for at in range(len(row.values)):
                text = escaped(value_text(row, at))
                delta = delta_text(row, at)
                text = f"**{text}**" if at in row.best else text
                cells.append(f"{text} ({delta})" if delta else text)
            lines.append(f"| {mark}{escaped(row.name)} | " + " | ".join(cells) + " |")
    return lines


def document(found: Comparison) -> dict[str, Any]:
    """The fields of `--json`. `values`, `missing`, `best` and `deltas` go by the commits' positions."""
    return {
        "commits": [
            {"name": one.name, "id": one.commit.id, "summary": one.commit.summary, "time": one.commit.author.time}
            for one in found.commits
        ],
        "rows": [
            {
                "section": row.section,
                "name": row.name,
                "differs": row.differs,
                "values": [None if value is MISSING else value for value in row.values],
                "missing": [at for at, value in enumerate(row.values) if value is MISSING],
                "best": sorted(row.best),
                "deltas": list(row.deltas),
            }
            for row in found.rows
        ],
    }


def value_text(row: Row, at: int, most: int = _LONGEST) -> str:
    """A value as people read it; "-" where there is none. Words have `most` characters."""
    value = row.values[at]
    if value is MISSING:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else one_line(shown(value))
    most = _LONGEST if isinstance(value, (int, float)) else most
    return text if len(text) <= most else text[: most - 1] + "…"


def delta_text(row: Row, at: int) -> str:
    """ "+2.4 %", or nothing."""
    delta = row.deltas[at] if row.deltas else None
    if delta is None:
        return ""
    share = 100 * delta
    return f"{share:+.1f} %" if abs(share) < 1000 else f"{share:+.2g} %"


def _cell(row: Row, at: int, most: int) -> Cell:
    text, delta = value_text(row, at, most), delta_text(row, at)
    text = f"{text} ({delta})" if delta else text
    if at in row.best:
        return Cell(f"{text} *", "bold green")
    return Cell(f"{text}  " if row.best else text, "" if row.differs else "dim")


def _name(row: Row) -> str:
    name = one_line(row.name)
    return f"{DIFFERS if row.differs else ' '} {name if len(name) <= _LONGEST else '…' + name[1 - _LONGEST :]}"


def _blocks(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Positions of the columns that stand side by side. The first commit, against which all are held, is in each."""
    block: list[int] = []
    used = 0
    for at, width in enumerate(widths):
        if len(block) > (1 if block[:1] == [0] else 0) and used + width + _GAP > room:
            yield block
            block, used = [0], widths[0] + _GAP
        block.append(at)
        used += width + _GAP
    if block:
        yield block


def _line(session: Session, name: Cell, cells: Sequence[Cell], widths: Sequence[int], columns: Sequence[int]) -> str:
    parts = [session.paint(name.text, name.style) if name.style else name.text]
    for cell, at in zip(cells, columns, strict=True):
        fill = " " * (widths[at] - text_width(cell.text) + _GAP)
        parts.append(fill + (session.paint(cell.text, cell.style) if cell.style else cell.text))
    return "".join(parts).rstrip()
