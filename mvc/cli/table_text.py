"""A commit's tables (a confusion matrix), and what became of one, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from mvc.cli.commit_text import shown, table_text
from mvc.cli.sizes import counted
from mvc.cli.tables import table as aligned
from mvc.cli.tables import text_width
from mvc.cli.text import one_line
from mvc.metadata.model import Table

MOST_COLUMNS = 16
"""Of a table that is shown cell by cell: more fit no page."""

_MOST_ROWS = 32
_MOST_CELL = 40


class Cell(NamedTuple):
    """What a cell says; where it differs, "3 -> 5"."""

    text: str
    differs: bool


class Cells(NamedTuple):
    """A table cell by cell."""

    head: list[str]
    rows: list[list[Cell]]


def table_lines(table: Table, width: int) -> list[str]:
    """The table with its columns in line; none where it is too large for `width` columns, or for a screen."""
    if len(table.rows) > _MOST_ROWS or len(table.columns) > MOST_COLUMNS:
        return []
    rows = [[_cell(value) for value in row] for row in table.rows]
    align = "".join(">" if _is_number_column(table, at) else "<" for at in range(len(table.columns)))
    lines = aligned(rows, align=align, header=[_cell(name) for name in table.columns])
    return lines if all(text_width(line) <= width for line in lines) else []


def change_summary(old: Table | None, new: Table | None) -> str:
    """ "2 of 9 cells differ", or what the table is where nothing can be held against it."""
    if new is None:
        return "removed"
    if old is None or not _alike(old, new):
        return table_text(new)
    pairs = zip(chain.from_iterable(old.rows), chain.from_iterable(new.rows), strict=True)
    differ = sum(repr(one) != repr(other) for one, other in pairs)
    return f"{differ:,} of {counted(len(new.rows) * len(new.columns), 'cell')} differ"


def changed_cells(old: Table | None, new: Table) -> Cells | None:
    """The cells of `new`, "3 -> 5" where `old` said something else; None for a table of too many columns."""
    if len(new.columns) > MOST_COLUMNS:
        return None
    before: Sequence[Sequence[Any]] = old.rows if old is not None and _alike(old, new) else new.rows
    rows = [
        [_changed(a, b) for a, b in zip(one, other, strict=True)] for one, other in zip(before, new.rows, strict=True)
    ]
    return Cells([_cell(name) for name in new.columns], rows)


def _alike(old: Table, new: Table) -> bool:
    return old.columns == new.columns and len(old.rows) == len(new.rows)


def _is_number_column(table: Table, at: int) -> bool:
    values = [row[at] for row in table.rows if row[at] is not None]
    return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _changed(old: Any, new: Any) -> Cell:
    # repr tells NaN from a number, and finds NaN equal to itself.
    return Cell(_cell(new), False) if repr(old) == repr(new) else Cell(f"{_cell(old)} -> {_cell(new)}", True)


def _cell(value: Any) -> str:
    text = "" if value is None else one_line(shown(value))
    return text if len(text) <= _MOST_CELL else f"{text[: _MOST_CELL - 1]}…"
