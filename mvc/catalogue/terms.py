"""Parts of a statement, and how they are joined: what holds of a commit, in SQL over `mvc.catalogue.schema`."""

from __future__ import annotations

from typing import NamedTuple

Parameter = int | float | str | bytes | None


class Sql(NamedTuple):
    """Text with its parameters, in order."""

    text: str
    params: tuple[Parameter, ...] = ()


class Term(NamedTuple):
    """`test`: a condition on the commit `c`. `find`: selects the numbers of the commits for which it holds, as `no`."""

    test: Sql
    find: Sql | None = None
    """Each once; some may be gone from the catalogue."""
    probe: Sql | None = None
    """The test as it is quickest where few commits are asked about; None: as `test` is."""
    words: str | None = None
    """In FTS5's language, where the term asks for words in messages and for nothing else."""
    light: bool = False
    """Whether the test asks for nothing of the commit but its number: it can be made before the commit is looked up."""


NO, YES = Sql("0"), Sql("1")
NEVER, ALWAYS = Term(NO, Sql("SELECT 0 AS no WHERE 0")), Term(YES)


def in_messages(param: str, condition: str = "{0} MATCH ?", words: str | None = None) -> Term:
    """That there are such words in the message."""
    select = f"SELECT rowid AS no FROM message_words WHERE {condition.format('message_words')}"
    probe = Sql(f"EXISTS ({select} AND rowid = c.no)", (param,))
    return Term(Sql(f"c.no IN ({select})", (param,)), Sql(select, (param,)), probe, words, light=True)


def opposite(term: Term) -> Term:
    """What does not fulfil it."""
    made = YES if term.test == NO else Sql(f"NOT ({term.test.text})", term.test.params)
    return Term(made, light=term.light)


def either(terms: list[Term]) -> Term:
    """What fulfils one of these terms. Those that nothing can fulfil are left out."""
    possible = [term for term in terms if term.test != NO]
    if len(possible) < 2:
        return possible[0] if possible else NEVER
    finds = [term.find for term in possible if term.find is not None]
    return Term(
        any_of([term.test for term in possible]),
        union(finds) if len(finds) == len(possible) else None,
        any_of([term.probe or term.test for term in possible]) if any(term.probe for term in possible) else None,
        light=all(term.light for term in possible),
    )


def union(finds: list[Sql]) -> Sql:
    """All that one of them finds. Each stands in brackets of its own, as it may be a union itself."""
    text = " UNION ".join(f"SELECT no FROM ({find.text})" for find in finds)
    return Sql(text, tuple(p for find in finds for p in find.params))


def any_of(conditions: list[Sql]) -> Sql:
    possible = [one for one in conditions if one != NO]
    return _joined(possible, " OR ") if possible else NO


def all_of(conditions: list[Sql]) -> Sql:
    if NO in conditions:
        return NO
    needed = [one for one in conditions if one != YES]
    return _joined(needed, " AND ") if needed else YES


def _joined(conditions: list[Sql], word: str) -> Sql:
    if len(conditions) == 1:
        return conditions[0]
    # In halves: SQLite takes no expression that is a thousand deep, and a chain of a thousand is one.
    half = len(conditions) // 2
    one, two = _joined(conditions[:half], word), _joined(conditions[half:], word)
    return Sql(f"(({one.text}){word}({two.text}))", one.params + two.params)
