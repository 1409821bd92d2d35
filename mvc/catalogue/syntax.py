"""A query as values, and as text again. What `mvc.catalogue.parser` reads, `text_of` writes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

Operator = Literal[
    "=", "!=", "<", "<=", ">", ">=", "~", "!~", "like", "not like", "ilike", "not ilike", "in", "not in",
    "is null", "is not null", "is nan", "is not nan",
]  # fmt: skip

SECTIONS = ("params", "metrics", "tags", "environment", "links")
"""Where names are the user's own. What stands in no section is an attribute, of which there is a list."""

_PLAIN_NAME = re.compile(r"[\w./@:-]+\Z")


@dataclass(frozen=True, slots=True)
class Field:
    """What is asked about: `params.lr`, or with `section` None an attribute of the commit, `author`."""

    section: str | None
    name: str
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.section is None:
            return self.name
        plain = _PLAIN_NAME.match(self.name)
        return f"{self.section}.{self.name if plain else quoted(self.name, '`')}"


@dataclass(frozen=True, slots=True)
class Value:
    """A constant: a number, words, or true and false."""

    value: int | float | str | bool
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)
    raw: str = field(default="", compare=False)
    """As it was typed, without quotes: the tag 1.10 is not 1.1."""

    @property
    def bare(self) -> bool:
        """Whether these are words without quotes."""
        return isinstance(self.value, str) and bool(self.raw)

    @property
    def text(self) -> str:
        """What it is where text is compared."""
        return self.raw or (self.value if isinstance(self.value, str) else str(self))

    def __eq__(self, other: object) -> bool:
        # 1 is not True, nor 1.0: they are written in another way. NaN is itself.
        return isinstance(other, Value) and (type(self.value), str(self)) == (type(other.value), str(other))

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self.raw and not isinstance(self.value, str):
            return self.raw
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, float) and not math.isfinite(self.value):
            return str(self.value)
        return quoted(self.value, "'") if isinstance(self.value, str) else repr(self.value)


@dataclass(frozen=True, slots=True)
class Compare:
    """`field operator values`: of `in` as many as there are, of `is ...` none, else one."""

    field: Field
    operator: Operator
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """Full text: commits whose message or card holds these words in a row."""

    text: str
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    inner: Query


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Query, ...]


Query = Compare | Words | Not | And | Or


def quoted(text: str, quote: str) -> str:
    """Text in quotes, as a query holds it."""
    return f"{quote}{text.replace(quote, quote * 2)}{quote}"


def text_of(query: Query) -> str:
    """The query as text: with brackets wherever one stands in another."""
    if isinstance(query, Words):
        return quoted(query.text, "'")
    if isinstance(query, Compare):
        return _comparison(query)
    if isinstance(query, Not):
        return f"not {_inside(query.inner)}"
    return (" and " if isinstance(query, And) else " or ").join(map(_inside, query.parts))


def _inside(query: Query) -> str:
    text = text_of(query)
    return text if isinstance(query, (Compare, Words)) else f"({text})"


def _comparison(query: Compare) -> str:
    if query.operator in ("in", "not in"):
        return f"{query.field} {query.operator} ({', '.join(map(str, query.values))})"
    return " ".join([str(query.field), query.operator, *map(str, query.values)])
