"""How a query is answered: which of its terms finds the commits, and in which order they come.

The rarest term of those that must all hold finds commits by its index, and the others are asked about those alone;
where all are common, commits are walked in the order that is wanted, the newest first or down the index of the
metric, until there are enough.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from mvc.catalogue.compile import Compiler
from mvc.catalogue.schema import SHIFT, get
from mvc.catalogue.syntax import And, Compare, Field, Not, Query, Words
from mvc.catalogue.terms import NEVER, NO, YES, Parameter, Sql, Term, all_of, either, in_messages, opposite
from mvc.catalogue.values import NULL

_MOST = 30_000
"""Commits that fulfil a term are counted up to so many."""
_FEW = 1000
"""Commits up to so many are always counted. So many with a word tell how many there are in all."""
_PLACES, _BESIDE = 32, 4
"""A term is asked about commits from so many places of the history, so many beside each other (their values lie on one
page of the file)."""
_SEEN = 10
"""Where at least so many of them fulfil it, that tells how many there are in all."""
_UNSURE = 1.5
"""A walk must look so many times shorter to be tried."""
_PATIENCE, _STEPS = 20, 100_000
"""A walk that is tried takes at most so many times so many steps of SQLite's machine: some 30 ms."""
_WORTH = 4
"""To find all for another term costs about as much as to ask a quarter as many commits for it one by one."""
_PROBE = 160
"""To look words up for one commit takes as long as to find so many commits with them."""


class Order(NamedTuple):
    """A field to sort by."""

    field: Field
    descending: bool


class Planner:
    """Makes the statements of one query."""

    def __init__(self, db: sqlite3.Connection, compiler: Compiler) -> None:
        self._db = db
        self._compiler = compiler
        self._every = int(get(db, "count") or 0)
        self._counts: dict[Sql, float] = {}

    def numbers(self, query: Query | None, order: Sequence[Order], limit: int | None) -> list[int]:
        """The numbers of the commits, in order; those without what is sorted by come last, the newest before older."""
        terms = [] if query is None else _words_together(self._terms(query))
        if any(term.test == NO for term in terms):
            return []
        keys = [_Key(one, self._compiler, f"s{index}") for index, one in enumerate(order)]
        rarest = self._rarest(terms)
        if limit is not None and (not keys or keys[0].name is not None):
            steps = min(limit / max(self._share(terms), 1 / _FAR), self._every)
            if rarest is None or _UNSURE * steps < self._count(rarest):
                tests = [self._test(term, steps) for term in terms]
                found = self._walk(tests, keys, limit, None if rarest is None else _PATIENCE)
                if found is not None:
                    return found
        if rarest is None:
            return self._select(Sql("entry c"), [term.test for term in terms], keys, limit)
        return self._select(self._from(rarest, terms), [t.test for t in terms if not t.light], keys, limit)

    def _rarest(self, terms: list[Term]) -> Term | None:
        """The one that finds the fewest commits by an index."""
        return min((term for term in terms if term.find is not None), key=self._count, default=None)

    def _share(self, terms: list[Term]) -> float:
        """How many of all commits fulfil all of these, were they independent of each other."""
        return math.prod(min(self._count(term) / max(self._every, 1), 1.0) for term in terms)

    def _from(self, rarest: Term, terms: list[Term]) -> Sql:
        """The commits that the rarest finds, and of which the others hold that can be told by the number alone."""
        found, asked = self._count(rarest), []
        for term in terms:
            if term is rarest or not term.light:
                continue
            few = term.find is not None and self._count(term) <= _WORTH * max(found, 1)
            asked.append(_found(term) if few else self._test(term, found))
        assert rarest.find is not None
        inner = Sql(f"({rarest.find.text})", rarest.find.params)
        if asked:
            where = _and(asked)
            inner = Sql(f"(SELECT c.no AS no FROM {inner.text} c WHERE {where.text})", inner.params + where.params)
        return Sql(f"{inner.text} d CROSS JOIN entry c ON c.no = d.no", inner.params)

    def _test(self, term: Term, commits: float) -> Sql:
        """The test that is quicker where so many commits are asked."""
        return term.probe if term.probe is not None and _PROBE * commits < self._count(term) else term.test

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

    def _count(self, term: Term) -> float:
        """About how many commits fulfil a term."""
        known = self._counts.get(term.test)
        if known is None:
            known = self._counts[term.test] = self._counted(term)
        return known

    def _counted(self, term: Term) -> float:
        if term.test in (NO, YES):
            return self._every if term.test == YES else 0
        if term.words is not None and term.find is not None:
            text = f"SELECT count(*), coalesce(max(no), 1) FROM (SELECT no FROM ({term.find.text}) LIMIT {_FEW})"
            hits, last = map(int, self._db.execute(text, term.find.params).fetchone())
            return hits if hits < _FEW else min(hits * self._last / last, self._every)
        if term.find is not None and (found := self._found(term.find, _FEW)) < _FEW:
            return found
        asked, seen = self._sampled(term.probe or term.test)
        if asked and (term.find is None or seen >= _SEEN):
            return max(seen, 0.5) * (self._every / asked)
        return self._every if term.find is None else self._found(term.find, _MOST)

    def _found(self, find: Sql, most: int) -> int:
        text = f"SELECT count(*) FROM (SELECT 1 FROM ({find.text}) LIMIT {most})"
        return int(self._db.execute(text, find.params).fetchone()[0])

    @cached_property
    def _last(self) -> int:
        """The highest number that a commit may have."""
        return int(get(self._db, "next") or 1) - 1

    def _sampled(self, test: Sql) -> tuple[int, int]:
        """Of how many commits a test was made (some of the numbers may be unused), and of how many it held."""
        some = ",".join(
            str(1 + at * self._last // _PLACES + beside) for at in range(_PLACES) for beside in range(_BESIDE)
        )
        text = f"SELECT count(*), sum(CASE WHEN {test.text} THEN 1 ELSE 0 END) FROM entry c WHERE c.no IN ({some})"
        asked, seen = self._db.execute(text, test.params).fetchone()
        return int(asked), int(seen or 0)

    def _terms(self, query: Query) -> list[Term]:
        """What must all hold."""
        if isinstance(query, And):
            return [term for part in query.parts for term in self._terms(part)]
        if isinstance(query, Compare | Words):
            return [self._compiler.term(query)]
        if isinstance(query, Not):
            return [opposite(self._together(self._terms(query.inner)))]
        parts = [self._terms(part) for part in query.parts]
        possible = [terms for terms in parts if all(term.test != NO for term in terms)]
        if len(possible) < 2:
            return possible[0] if possible else [NEVER]
        return [either([self._together(terms) for terms in possible])]

    def _together(self, terms: list[Term]) -> Term:
        """Terms that must all hold as one."""
        if len(terms) == 1:
            return terms[0]
        made = Term(all_of([term.test for term in terms]), light=all(term.light for term in terms))
        rarest = self._rarest(terms)
        if rarest is None or made.test == NO:
            return made
        others = [term.test for term in terms if term is not rarest]
        find = self._from(rarest, [])
        where = _and(others)
        return made._replace(
            find=Sql(f"SELECT c.no AS no FROM {find.text} WHERE {where.text}", find.params + where.params)
        )


_FAR = 1_000_000
"""A walk to what no commit of the sample has is not begun."""


def _words_together(terms: list[Term]) -> list[Term]:
    """Words that must all stand in the message are looked up at once."""
    asked = [term.words for term in terms if term.words is not None]
    if len(asked) < 2:
        return terms
    words = " AND ".join(asked)
    return [*(term for term in terms if term.words is None), in_messages(words, words=words)]


_NEWEST = "c.time DESC, c.no DESC"


class _Patience:
    """Tells SQLite to stop when it was asked so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self) -> int:
        self._left -= 1
        return int(self._left <= 0)


class _Key:
    """A field as a term of ORDER BY. Numbers come before words (false and true among them), and NaN and what is
    missing last, either way."""

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
        word = f"(SELECT t.text FROM text t WHERE t.id = {alias}.text AND t.id > 0 AND t.id <> {NULL})"
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
