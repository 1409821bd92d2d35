"""How a query is answered: which of its terms finds the commits, and in which order they come.

The rarest term of those that must all hold finds commits by its index, and the others are asked about those alone;
where all are common, commits are walked in the order that is wanted, the newest first or down the index of the
metric, until there are enough.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mvc.catalogue.compile import Compiler, Parameter, Sql, Term, all_of, any_of
from mvc.catalogue.schema import SHIFT, get
from mvc.catalogue.syntax import And, Compare, Field, Not, Or, Query, Words
from mvc.catalogue.values import FIRST_WORDS

COMMON = 30_000
"""A term that so many commits fulfil is not counted on."""
_UNSURE = 3
"""A walk must look so many times shorter to be tried."""
_PATIENCE, _STEPS = 20, 100_000
"""A walk that is tried takes at most so many times so many steps of SQLite's machine: some 30 ms."""
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
        keys = [_Key(one, self._compiler, f"s{index}") for index, one in enumerate(order)]
        counts = [self._count(term.count or term.find) for term in terms]
        fewest = min(counts, default=COMMON)
        if limit is not None and (not keys or keys[0].name is not None) and self._is_short(counts, limit):
            probes = [term.probe or term.test for term in terms]
            found = self._walk(probes, keys, limit, _PATIENCE if fewest < COMMON else None)
            if found is not None:
                return found
        if fewest < COMMON:
            return self._from_rarest(terms, counts, keys, limit)
        tests = [_found(term) if term.find is not None else term.test for term in terms]
        return self._select(Sql("entry c"), tests, keys, limit)

    def _is_short(self, counts: list[int], limit: int) -> bool:
        """Whether a walk should have met enough commits before the rarest term has found all of its own."""
        if min(counts, default=COMMON) >= COMMON:
            return True
        every = max(int(get(self._db, "count") or 0), 1)
        share = math.prod(min(count / every, 1.0) for count in counts)
        return share > 0 and _UNSURE * limit / share < min(counts)

    def _from_rarest(self, terms: list[Term], counts: list[int], keys: list[_Key], limit: int | None) -> list[int]:
        rarest = counts.index(min(counts))
        most = _WORTH * max(counts[rarest], 1)
        tests = [
            _found(term) if term.find is not None and counts[i] <= most else term.test
            for i, term in enumerate(terms)
            if i != rarest
        ]
        find = terms[rarest].find
        assert find is not None
        return self._select(Sql(f"({find.text}) d CROSS JOIN entry c ON c.no = d.no", find.params), tests, keys, limit)

    def _walk(self, tests: list[Sql], keys: list[_Key], limit: int, patience: int | None) -> list[int] | None:
        """Commits in the wanted order, until there are enough. None where that took more than `patience` steps of
        SQLite's: what was thought to be common is rare where the walk begins."""
        if patience is None:
            return self._walked(tests, keys, limit)
        self._db.set_progress_handler(_Patience(patience), _STEPS)
        try:
            return self._walked(tests, keys, limit)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return None
        finally:
            self._db.set_progress_handler(None, 0)

    def _walked(self, tests: list[Sql], keys: list[_Key], limit: int) -> list[int]:
        if keys and keys[0].name is not None:
            first = keys[0]
            start = Sql(f"value {first.alias} CROSS JOIN entry c ON c.no = {first.alias}.key >> {SHIFT}")
            own = Sql(f"{first.alias}.name = ? AND {first.alias}.num IS NOT NULL", (first.name,))
            found = self._select(start, [own, *tests], keys, limit, walked=first)
            if len(found) >= limit:
                return found
        start = Sql("entry c" if keys else "entry c INDEXED BY entry_by_time")
        return self._select(start, tests, keys, limit)

    def _select(
        self, start: Sql, tests: list[Sql], keys: list[_Key], limit: int | None, walked: _Key | None = None
    ) -> list[int]:
        """`walked`: the key whose values `start` goes along."""
        joins = [key.join for key in keys if key is not walked and key.join is not None]
        where = _and(tests)
        order = [f"{walked.alias}.num {walked.direction}"] if walked is not None else []
        order += [key.sql for key in keys if key is not walked]
        joined = " ".join([start.text, *(join.text for join in joins)])
        text = f"SELECT c.no FROM {joined} WHERE {where.text} ORDER BY {', '.join([*order, _NEWEST])}"
        params = [*start.params, *(param for join in joins for param in join.params), *where.params]
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


class _Patience:
    """Tells SQLite to stop when it was asked so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self) -> int:
        self._left -= 1
        return int(self._left <= 0)


class _Key:
    """A field as a term of ORDER BY. Numbers come before words, and NaN and what is missing last, either way."""

    def __init__(self, order: Order, compiler: Compiler, alias: str) -> None:
        self.alias = alias
        self.direction = "DESC" if order.descending else "ASC"
        self.name: int | None = None
        self.join: Sql | None = None
        field = order.field
        if field.section is None:
            self.sql = f"{_COLUMNS[field.name]} {self.direction} NULLS LAST"
            return
        self.name = compiler.name_id(field)
        if self.name is None:
            self.sql = "c.no IS NULL"  # a constant that is no column's number
            return
        self.join = Sql(f"LEFT JOIN value {alias} ON {alias}.key = (c.no << {SHIFT} | ?)", (self.name,))
        word = f"(SELECT t.text FROM text t WHERE t.id = {alias}.text AND t.id >= {FIRST_WORDS})"
        word = f"CASE WHEN {alias}.num IS NULL THEN {word} END"
        self.sql = f"{alias}.num {self.direction} NULLS LAST, {word} {self.direction} NULLS LAST"


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
