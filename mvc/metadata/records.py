"""Datasets, tags, bases and tables of a commit, between values and groups as the files hold them.

docs/format/metadata.md says what stands in each file; `mvc.metadata.tree` reads and writes the files, and loads
this module for those that have more to them than names and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mvc.errors import ParseError
from mvc.metadata.model import Base, Dataset, Table
from mvc.metadata.values import MAX_VALUES

MAX_BASES = 1000
"""Of one commit."""

_MOST_COLUMNS = 1000
_ID = 40
_SCALARS = (type(None), bool, int, float, str)


def dataset_groups(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """A group a dataset, by name."""
    return {one.name: _said(one._asdict(), leave="name") for one in datasets}


def datasets(groups: Mapping[str, Any]) -> tuple[Dataset, ...]:
    """What `dataset_groups` made. A field of another kind than it has to be counts as missing."""
    # A dataset's name may hold dots, so the groups are taken as they stand.
    return tuple(_dataset(name, fields) for name, fields in groups.items())


def tag_groups(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Tags by name; a dot in a name joins nothing, as "a" and "a.b" may both stand."""
    return dict(sorted(tags.items()))


def tags(groups: Mapping[str, Any]) -> dict[str, Any]:
    """What `tag_groups` made; where a person nested them, names are joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in _joined(groups, ""):
        if name in flat:
            raise ParseError(f"'{name}' stands twice")
        flat[name] = value
    return flat


def base_groups(bases: Sequence[Base]) -> dict[str, Any]:
    """The bases, numbered from 1 in their order."""
    if len(bases) > MAX_BASES:
        raise ParseError(f"more than {MAX_BASES:,} bases")
    return {"bases": {f"b{number}": _said(one._asdict()) for number, one in enumerate(bases, 1)}} if bases else {}


def bases(groups: Mapping[str, Any]) -> tuple[Base, ...]:
    """What `base_groups` made. Raises ParseError for a base that names neither a commit, a location nor a path."""
    found = groups.get("bases", {})
    rows = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(rows, list) or len(rows) > MAX_BASES:
        raise ParseError("'bases' is neither a list nor groups, or of too many")
    return tuple(_base(row) for row in rows)


def table_groups(tables: Mapping[str, Table]) -> dict[str, Any]:
    """A group a table, by name: its columns, and its rows."""
    for name, table in tables.items():
        check_table(name, table)
    return {
        name: {"columns": list(table.columns), "rows": [list(row) for row in table.rows]}
        for name, table in sorted(tables.items())
    }


def tables(groups: Mapping[str, Any]) -> dict[str, Table]:
    """What `table_groups` made. Raises ParseError for rows that do not fit their columns."""
    found = {}
    for name, fields in groups.items():
        if not isinstance(fields, dict):
            raise ParseError(f"'{name}' is no table: it has no columns and rows")
        columns, rows = fields.get("columns"), fields.get("rows", [])
        if (
            not isinstance(columns, list)
            or not isinstance(rows, list)
            or not all(isinstance(row, list) for row in rows)
        ):
            raise ParseError(f"the table '{name}' needs lists: 'columns', and 'rows' of lists")
        found[name] = Table(tuple(map(str, columns)), tuple(map(tuple, rows)))
        check_table(name, found[name])
    return found


def check_table(name: str, table: Table) -> None:
    """Raise ParseError for a table that is not one, or too large."""
    width = len(table.columns)
    if not 0 < width <= _MOST_COLUMNS:
        raise ParseError(f"the table '{name}' has {width:,} columns, not 1 to {_MOST_COLUMNS:,}")
    if width * (len(table.rows) + 1) > MAX_VALUES:
        raise ParseError(f"the table '{name}' has more than {MAX_VALUES:,} cells")
    for number, row in enumerate(table.rows, 1):
        if len(row) != width:
            raise ParseError(f"the table '{name}': row {number} has {len(row)} cells, there are {width} columns")
        if not all(isinstance(cell, _SCALARS) for cell in row):
            raise ParseError(f"the table '{name}': row {number} holds more than single values")


def _said(fields: Mapping[str, Any], leave: str = "") -> dict[str, Any]:
    """The fields that say something."""
    return {key: value for key, value in fields.items() if key != leave and value is not None and value is not False}


def _dataset(name: str, fields: Any) -> Dataset:
    if not isinstance(fields, dict) or not isinstance(fields.get("location"), str):
        raise ParseError(f"'{name}' has no location")
    return Dataset(
        name,
        fields["location"],
        _text(fields, "digest"),
        _count(fields, "size"),
        _count(fields, "files"),
        _text(fields, "split"),
        _text(fields, "licence"),
    )


def _base(fields: Any) -> Base:
    if not isinstance(fields, dict):
        raise ParseError("a base is a group: commit, location, path, of, found")
    commit, location = _text(fields, "commit"), _text(fields, "location")
    if commit is not None and not (len(commit) == _ID and set(commit) <= set("0123456789abcdef")):
        raise ParseError("the commit of a base is not 40 hex digits")
    path = _text(fields, "path")
    if commit is None and location is None and path is None:
        raise ParseError("a base has neither a commit, a location nor a path")
    return Base(commit, location, path, _text(fields, "of"), fields.get("found") is True)


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) and value else None


def _count(fields: Mapping[str, Any], key: str) -> int | None:
    value = fields.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _joined(groups: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in groups.items():
        if isinstance(value, dict) and value:
            yield from _joined(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
