"""How a query is answered: which of its terms finds the commits, and in which order they come.

The rarest term of those that must all hold finds commits by its index, and the others are asked about those alone;
where all are common, commits are walked in the order that is wanted, the newest first or down the index of the
metric, until there are enough.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mvc.catalogue.compile import Compiler, Parameter, Sql, Term, all_of, any_of
from mvc.catalogue.schema import SHIFT
from mvc.catalogue.syntax import And, Compare, Field, Not, Or, Query, Words
from mvc.catalogue.values import FIRST_WORDS, NULL

COMMON = 30_000
"""A term that so many commits fulfil is not counted on."""
_WORTH = 4
"""To find all for another term costs about as much as to ask a quarter as many commits for it one by one."""


@dataclass(frozen=True, slots=True)
class Order:
    """A field to sort by."""

    field: Field
    descending: bool


class Planner:
    """Makes the statements of one query."""

    def __init__(self, db: sqlite3.Connection, compiler: Compiler) -> None:
        self._db = db
        self._compiler = compiler

    def numbers(self, query: Query | None, order: Sequence[Order], limit: int | None) -> list[int]:
        """The numbers of the commits, in order; those without what is sorted by come last, the newest before older."""
        parts = () if query is None else query.parts if isinstance(query, And) else (query,)
        terms = [self._term(part) for part in parts]
        keys = [_Key(one, self._compiler) for one in order]
        counts = [self._count(term.find) for term in terms]
        rarest = min(range(len(terms)), key=lambda i: counts[i], default=None)
        if rarest is not None and counts[rarest] < COMMON:
            most = _WORTH * max(counts[rarest], 1)
            tests = [
                _found(term) if term.find is not None and counts[i] <= most else term.test
                for i, term in enumerate(terms)
                if i != rarest
            ]
            find = terms[rarest].find
            assert find is not None
            start = Sql(f"({find.text}) d CROSS JOIN entry c ON c.no = d.no", find.params)
            return self._select(start, tests, keys, limit)
        if limit is None:
            tests = [_found(term) if term.find is not None else term.test for term in terms]
            return self._select(Sql("entry c"), tests, keys, None)
        return self._walk([term.test for term in terms], keys, limit)

    def _walk(self, tests: list[Sql], keys: list[_Key], limit: int) -> list[int]:
        if keys and keys[0].name is not None:
            start = Sql(f"value s CROSS JOIN entry c ON c.no = s.key >> {SHIFT}")
            first = Sql("s.name = ? AND s.num IS NOT NULL", (keys[0].name,))
            ordered = [f"s.num {keys[0].direction}", *(key.sql for key in keys[1:]), _NEWEST]
            params = tuple(param for key in keys[1:] for param in key.params)
            text = (
                f"SELECT c.no FROM {start.text} WHERE {_and([first, *tests]).text}"
                f" ORDER BY {', '.join(ordered)} LIMIT ?"
            )
            found = self._run(text, (*_and([first, *tests]).params, *params, limit))
            if len(found) >= limit:
                return found
        start = Sql("entry c" if keys else "entry c INDEXED BY entry_by_time")
        return self._select(start, tests, keys, limit)

    def _select(self, start: Sql, tests: list[Sql], keys: list[_Key], limit: int | None) -> list[int]:
        where = _and(tests)
        params: list[Parameter] = [*start.params, *where.params]
        for key in keys:
            params += key.params
        text = (
            f"SELECT c.no FROM {start.text} WHERE {where.text}"
            f" ORDER BY {', '.join([*(key.sql for key in keys), _NEWEST])}"
        )
        if limit is not None:
            text += " LIMIT ?"
            params.append(limit)
        return self._run(text, tuple(params))

    def _run(self, text: str, params: tuple[Parameter, ...]) -> list[int]:
        return [no for (no,) in self._db.execute(text, params)]

    def _count(self, find: Sql | None) -> int:
        """How many commits a term finds, up to COMMON."""
        if find is None:
            return COMMON
        text = f"SELECT count(*) FROM (SELECT 1 FROM ({find.text}) LIMIT {COMMON})"
        return int(self._db.execute(text, find.params).fetchone()[0])

    def _term(self, query: Query) -> Term:
        if isinstance(query, Compare | Words):
            return self._compiler.term(query)
        if isinstance(query, Not):
            inner = self._term(query.inner).test
            return Term(Sql(f"NOT ({inner.text})", inner.params))
        parts = [self._term(part) for part in query.parts]
        if isinstance(query, Or):
            finds = [part.find for part in parts if part.find is not None]
            find = _union(finds) if len(finds) == len(parts) else None
            return Term(any_of([part.test for part in parts]), find)
        finds = [part.find for part in parts if part.find is not None]
        rarest = min(finds, key=self._count, default=None) if len(finds) > 1 else next(iter(finds), None)
        test = all_of([part.test for part in parts])
        if rarest is None:
            return Term(test)
        find = Sql(
            f"SELECT c.no AS no FROM ({rarest.text}) d CROSS JOIN entry c ON c.no = d.no WHERE {test.text}",
            rarest.params + test.params,
        )
        return Term(test, find)


_NEWEST = "c.time DESC, c.no DESC"


class _Key:
    """A field as terms of ORDER BY. Numbers come before words, and NaN and what is missing last, either way."""

    def __init__(self, order: Order, compiler: Compiler) -> None:
        self.direction = "DESC" if order.descending else "ASC"
        self.name: int | None = None
        self.params: tuple[Parameter, ...] = ()
        field = order.field
        if field.section is None:
            column = _COLUMNS[field.name]
            self.sql = f"{column} IS NULL, {column} {self.direction}"
            return
        self.name = compiler.name_id(field)
        if self.name is None:
            self.sql = "c.no IS NULL"
            return
        at = f"FROM value WHERE key = (c.no << {SHIFT} | ?)"
        number = f"(SELECT num {at})"
        word = f"(SELECT t.text {at.replace('FROM value', 'FROM value JOIN text t ON t.id = value.text')}"
        word += f" AND value.text >= {FIRST_WORDS} AND value.text IS NOT {NULL})"
        self.sql = f"{number} IS NULL, {number} {self.direction}, {word} IS NULL, {word} {self.direction}"
        self.params = (self.name,) * 4


_COLUMNS = {
    "date": "c.time", "size": "c.size", "parents": "c.parents", "id": "c.id", "subject": "c.subject",
    "message": "coalesce(c.message, c.subject)",
    "author": "(SELECT name FROM person WHERE id = c.author)",
    "name": "(SELECT min(short) FROM ref WHERE ref.no = c.no AND field IN ('branch', 'tag', 'alias', 'run'))",
    "branch": "(SELECT min(short) FROM ref WHERE ref.no = c.no AND field = 'branch')",
    "tag": "(SELECT min(short) FROM ref WHERE ref.no = c.no AND field = 'tag')",
    "alias": "(SELECT min(short) FROM ref WHERE ref.no = c.no AND field = 'alias')",
    "run": "(SELECT min(short) FROM ref WHERE ref.no = c.no AND field = 'run')",
}  # fmt: skip
SORTABLE = tuple(_COLUMNS)


def _and(tests: Sequence[Sql]) -> Sql:
    if not tests:
        return Sql("1")
    return Sql(" AND ".join(f"({test.text})" for test in tests), tuple(p for test in tests for p in test.params))


def _found(term: Term) -> Sql:
    assert term.find is not None
    return Sql(f"c.no IN ({term.find.text})", term.find.params)


def _union(finds: Sequence[Sql]) -> Sql:
    """All that one of them finds. Each stands in brackets of its own, as it may be a union itself."""
    text = " UNION ".join(f"SELECT no FROM ({find.text})" for find in finds)
    return Sql(text, tuple(p for find in finds for p in find.params))
