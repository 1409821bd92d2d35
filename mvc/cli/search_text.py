"""What `mvc search` shows: a table for people, or JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mvc.catalogue.parser import parse_field
from mvc.catalogue.rows import Row
from mvc.catalogue.search import Found
from mvc.catalogue.syntax import SECTIONS, Field
from mvc.cli.dates import iso_date, relative_date
from mvc.cli.names import short_id
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.tables import table, text_width
from mvc.cli.text import one_line
from mvc.lazy import load

_METRICS = 4
"""So many are shown where nothing was asked about."""
_SUBJECT = 24
"""Columns of a subject, at least."""
_CELL = 28
"""Columns of another text, at most."""
_USUAL = ("id", "date", "name", "subject")
_LIST = ", "
_JSON = "json:dumps"


def columns_of(names: Sequence[str]) -> tuple[Field, ...]:
    """The columns that `--columns` names: fields, and sections with globs as `metrics.*`. Raises QueryError."""
    return tuple(dict.fromkeys(parse_field(name) for name in names))


def expanded(columns: Sequence[Field], rows: Sequence[Row]) -> list[Field]:
    """The columns, globs replaced by the names that the rows have."""
    found: dict[Field, None] = {}
    for column in columns:
        if column.section is None or not any(char in column.name for char in "*?["):
            found[column] = None
            continue
        names = {name for row in rows for name in getattr(row, column.section) if fnmatchcase(name, column.name)}
        found.update((Field(column.section, name), None) for name in sorted(names))
    return list(found)


def table_lines(session: Session, found: Found, columns: Sequence[Field]) -> Iterator[str]:
    """A line a commit, below a header."""
    shown = expanded(columns, found.rows) or [*(Field(None, name) for name in _USUAL), *_asked(found)]
    now = int(time.time())
    cells = [[_cell(session, row, column, now) for column in shown] for row in found.rows]
    head = [_head(column) for column in shown]
    subject = next((i for i, column in enumerate(shown) if column == Field(None, "subject")), None)
    for i in range(len(shown)):
        if i != subject:
            _cut(cells, i, _CELL)
    if subject is not None:
        widths = [max(text_width(row[i]) for row in [head, *cells]) for i in range(len(shown)) if i != subject]
        _cut(cells, subject, max(session.width - sum(widths) - 2 * len(widths), _SUBJECT))
    numeric = "".join(">" if _is_numeric(found.rows, column) else "<" for column in shown)
    lines = table(cells, align=numeric, header=head)
    yield session.paint(lines[0], "bold")
    first_is_id = shown[0] == Field(None, "id")
    for row, line in zip(cells, lines[1:], strict=True):
        yield session.paint(row[0], "yellow") + line[len(row[0]) :] if first_is_id else line


def row_json(row: Row, columns: Sequence[Field]) -> dict[str, Any]:
    """A commit for JSON; with columns, its id and these."""
    if columns:
        fields = expanded(columns, [row])
        return {"id": row.id} | {str(field): json_value(row, field) for field in fields}
    return {
        "id": row.id,
        "date": iso_date(row.author),
        "author": {"name": row.author.name, "email": row.author.email},
        "subject": row.subject,
        "message": row.message,
        "parents": row.parents,
        "size": row.size,
        "branches": list(row.branches),
        "names": {kind: list(names) for kind, names in row.names.items()},
        **{section: dict(getattr(row, section)) for section in SECTIONS},
        "labels": {kind: list(texts) for kind, texts in row.labels.items()},
        "problem": row.problem,
    }


def json_value(row: Row, field: Field) -> Any:
    """What a field is of a commit, for JSON and CSV."""
    if field.section is None and field.name == "date":
        return iso_date(row.author)
    value = row.get(field)
    if field.section is None and field.name == "author":
        return str(row.author)
    return list(value) if isinstance(value, tuple) else value


def _asked(found: Found) -> list[Field]:
    """The columns beside the usual: what query and sort ask about, else the metrics that most have."""
    asked = [field for field in found.fields if field.section is not None or field.name in ("size", "author", "run")]
    if asked:
        return asked
    counts: dict[str, int] = {}
    for row in found.rows:
        for name in row.metrics:
            counts[name] = counts.get(name, 0) + 1
    return [Field("metrics", name) for name in sorted(counts, key=lambda name: -counts[name])[:_METRICS]]


def _head(column: Field) -> str:
    return one_line(column.name if column.section in ("metrics", "params") else str(column))


def _cell(session: Session, row: Row, column: Field, now: int) -> str:
    if column.section is None:
        if column.name == "id":
            return short_id(session, row.id)
        if column.name == "date":
            return relative_date(row.author.time, now)
        if column.name == "author":
            return one_line(row.author.name)
        if column.name == "size":
            return "" if row.size is None else human_bytes(row.size)
        if column.name == "name":
            return one_line(_LIST.join(_names(row.names)))
    return one_line(plain(row.get(column)))


def _names(names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for kind in ("alias", "branch", "tag", "run"):
        for name in names.get(kind, ()):
            yield f"@{name}" if kind == "alias" else name


def plain(value: Any) -> str:
    """A value in few characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return _LIST.join(value)
    return str(load(_JSON)(value, ensure_ascii=False))


def _is_numeric(rows: Sequence[Row], column: Field) -> bool:
    if column.section is None:
        return column.name in ("size", "parents")
    values = [row.get(column) for row in rows]
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _cut(cells: list[list[str]], index: int, most: int) -> None:
    """Shorten the texts of a column."""
    for row in cells:
        if text_width(row[index]) > most:
            text = row[index]
            while text_width(text) > most - 1:
                text = text[:-1]
            row[index] = text.rstrip() + "…"
