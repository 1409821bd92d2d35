"""Search: a query over all commits that a branch, tag, alias, run or fetched remote holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.catalogue.compile import Compiler
from mvc.catalogue.home import Catalogue
from mvc.catalogue.parser import UnknownField, parse, parse_field
from mvc.catalogue.plan import SORTABLE, Order, Planner
from mvc.catalogue.rows import Row, read_rows
from mvc.catalogue.schema import get
from mvc.catalogue.syntax import And, Compare, Field, Not, Or, Query, Value, Words
from mvc.catalogue.tokens import tokens
from mvc.errors import QueryError, UsageError
from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Which of the commits that fulfil the query, in which order."""

    sort: tuple[str, ...] = ()
    """Fields, each with ":asc" or ":desc" if need be: "metrics.acc:desc". Then the newest first."""
    limit: int | None = None
    branches: tuple[str, ...] = ()
    """Only commits that one of these holds; globs."""


@dataclass(frozen=True, slots=True)
class Found:
    """`fields`: what query and sort ask about, each once, in order. `more`: there are others beyond the limit."""

    rows: tuple[Row, ...]
    more: bool
    fields: tuple[Field, ...]
    notes: tuple[str, ...]
    """What the user should know: names that no commit has, commits that cannot be read."""
    total: int
    """Commits in the catalogue."""


def search(
    repo: Repository,
    query: str,
    options: SearchOptions = SearchOptions(),
    *,
    home: Path | None,
    progress: Progress = SILENT,
    now: int | None = None,
) -> Found:
    """The commits that fulfil `query`; all for an empty one. `home`: MVC_HOME; None: the catalogue is made in memory.

    Raises QueryError, which points at what is wrong with the query (or with a field to sort by).
    """
    catalogue = Catalogue(repo, home, progress)
    try:
        wanted = parse(query)
        order = [_order(text) for text in options.sort]
    except UnknownField as error:
        unknown = error
        # Names are the user's own: which one was meant is known when the catalogue is.
        raise catalogue.ask(lambda db: _explained(db, unknown)) from None
    found = catalogue.ask(lambda db: _answer(db, query, wanted, order, options, now))
    return Found(found.rows, found.more, found.fields, (*catalogue.notes, *found.notes), found.total)


def known_fields(repo: Repository, *, home: Path | None, progress: Progress = SILENT) -> list[Field]:
    """All names that commits have, with their sections: what can be asked about."""
    rows = Catalogue(repo, home, progress).ask(
        lambda db: db.execute("SELECT section, name FROM name ORDER BY section, name").fetchall()
    )
    return [Field(section, name) for section, name in rows]


def split_list(text: str) -> list[str]:
    """The parts of a list with commas, none of which stands in quotes: "metrics.acc:desc, params.`a,b`"."""
    commas = [token for token in tokens(text) if token.kind == "comma"]
    starts, ends = [0, *(token.end for token in commas)], [*(token.start for token in commas), len(text)]
    return [part for start, end in zip(starts, ends, strict=True) if (part := text[start:end].strip())]


def _answer(
    db: sqlite3.Connection,
    text: str,
    wanted: Query | None,
    order: Sequence[Order],
    options: SearchOptions,
    now: int | None,
) -> Found:
    compiler = Compiler(db, text, now)
    limit = options.limit
    asked = _on_branches(wanted, options.branches)
    total = int(get(db, "count") or 0)
    if total and wanted is not None:
        _check_names(compiler, wanted, text)
    if total:
        for given, one in zip(options.sort, order, strict=True):
            if one.field.section is not None and compiler.name_id(one.field) is None:
                _check_way(given, lambda field: compiler.name_id(field) is not None)
        compiler.unknown.clear()
    numbers = Planner(db, compiler).numbers(asked, order, None if limit is None else limit + 1)
    more = limit is not None and len(numbers) > limit
    rows = read_rows(db, numbers[:limit])
    notes = [f"no commit has {field}" for field in dict.fromkeys(compiler.unknown)] if total else []
    if unreadable := len((get(db, "unreadable") or "").split()):
        notes.append(f"{unreadable} commit{'s' if unreadable > 1 else ''} cannot be read: mvc fsck tells why")
    fields = [*_fields(wanted), *(one.field for one in order)]
    return Found(tuple(rows), more, tuple(dict.fromkeys(fields)), tuple(notes), total)


def _check_names(compiler: Compiler, wanted: Query, text: str) -> None:
    """A name that no commit has, while another has nearly that: raises QueryError, for it is a slip of the pen."""
    for field in _fields(wanted):
        if field.section is not None and compiler.name_id(field) is None:
            hint = compiler.suggestion(field.name, field.section)
            if hint is not None:
                raise QueryError(f"no commit has {field}", text, field.start, field.end - field.start, hint=hint)
    compiler.unknown.clear()


def explained_field(
    repo: Repository, error: UnknownField, *, home: Path | None, progress: Progress = SILENT
) -> QueryError:
    """The error of a field that was given beside a query (a column), with the names that there are."""
    return Catalogue(repo, home, progress).ask(lambda db: _explained(db, error))


def _check_way(text: str, known: Callable[[Field], bool]) -> None:
    """Raises QueryError where `text` is a known field with something behind a colon that is no direction."""
    name, colon, way = text.rpartition(":")
    if colon and _is_field(name, known):
        hint = f"{name}:asc or {name}:desc"
        raise QueryError(f"'{way}' is no direction to sort in", text, len(name) + 1, len(way), hint=hint)


def _is_field(text: str, known: Callable[[Field], bool]) -> bool:
    try:
        return known(parse_field(text))
    except QueryError:
        return False


def _explained(db: sqlite3.Connection, error: UnknownField) -> QueryError:
    """The error with the names that there are."""
    name = error.name.partition(".")[2] if error.name.lower().startswith(("run.", "attr")) else error.name
    hint = Compiler(db, error.query).suggestion(name) or error.hint
    return UnknownField(error.name, error.query, error.at, error.length, hint=hint or "mvc search --help lists them")


def _order(text: str) -> Order:
    """A field to sort by. MLflow's form "metrics.acc DESC" does as well."""
    name, way = text.strip(), ""
    for separator in (":", " "):
        before, found, after = name.rpartition(separator)
        if found and after.lower() in ("asc", "desc"):
            name, way = before.strip(), after.lower()
            break
    try:
        field = parse_field(name)
    except UnknownField:
        _check_way(text, lambda field: field.section is None and field.name in SORTABLE)
        raise
    if field.section is None and field.name not in SORTABLE:
        raise UsageError(
            f"commits cannot be sorted by {field}", hint=f"by metrics.NAME, params.NAME, {', '.join(SORTABLE)}"
        )
    return Order(field, way == "desc")


def _on_branches(wanted: Query | None, branches: tuple[str, ...]) -> Query | None:
    if not branches:
        return wanted
    field = Field(None, "branch")
    only = tuple(Compare(field, "~", (Value(one),)) for one in branches)
    scope: Query = only[0] if len(only) == 1 else Or(only)
    return scope if wanted is None else And((*(wanted.parts if isinstance(wanted, And) else (wanted,)), scope))


def _fields(query: Query | None) -> list[Field]:
    """The fields that a query asks about, in order."""
    if query is None or isinstance(query, Words):
        return []
    if isinstance(query, Compare):
        return [query.field]
    if isinstance(query, Not):
        return _fields(query.inner)
    return [field for part in query.parts for field in _fields(part)]
