"""The graph beside `log --graph`, drawn as Git draws it.

A line of history holds a column, two characters wide. After each commit its columns move to
where its parents are awaited: one place a row, "\\" to the right, "/" to the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Rows(NamedTuple):
    """What stands before a commit's lines: `node` before the first, each of `moves` before one of the next,
    `rest` before any other."""

    node: str
    moves: tuple[str, ...]
    rest: str


class Graph:
    """Fed with commits in an order in which no parent comes before its children."""

    def __init__(self) -> None:
        self._columns: list[str] = []
        """The commit that each column waits for."""

    def add(self, commit: str, parents: Sequence[str]) -> Rows:
        """The rows for the next commit."""
        before = self._columns
        if commit not in before:
            before = [*before, commit]
        at = before.index(commit)
        node = " ".join("*" if index == at else "|" for index in range(len(before)))
        # First each parent gets a column beside its child's, then those that wait for the same commit meet.
        spread = [*before[:at], *parents, *before[at + 1 :]]
        self._columns = list(dict.fromkeys(spread))
        more = max(len(parents) - 1, 0)
        opening = [(index, index + more if index > at else index) for index in range(len(before))]
        opening += [(at, at + step) for step in range(1, more + 1)]
        if parents:
            closing = [(index, self._columns.index(name)) for index, name in enumerate(spread)]
        else:
            closing = [(index, index - (index > at)) for index in range(len(before)) if index != at]
        return Rows(node, (*_draw(opening), *_draw(closing)), " ".join("|" for _ in self._columns))


def _draw(edges: Sequence[tuple[int, int]]) -> list[str]:
    """The rows in which lines that do not go straight down reach their columns."""
    rows: list[str] = []
    moving = sorted(set(edges))
    while any(start != end for start, end in moving):
        cells: dict[int, str] = {}
        for start, end in moving:
            if start == end:
                cells.setdefault(2 * start, "|")
            elif start < end:
                cells[2 * start + 1] = "\\"
            else:
                cells[2 * start - 1] = "/"
        rows.append("".join(cells.get(place, " ") for place in range(max(cells) + 1)))
        moving = sorted({(start + (end > start) - (end < start), end) for start, end in moving})
    return rows
