"""The words of a query, each with where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from mvc.errors import QueryError

MAX_LENGTH = 20_000
"""Characters of a query."""

Kind = Literal["word", "string", "operator", "bracket", "comma", "end"]

_SPACE = re.compile(r"\s+")
_OPERATOR = re.compile(r"!=|!~|<=|>=|<>|==|=|<|>|~")
_PLAIN = re.compile(r"""[^\s'"`(),=<>~!]+""")
_QUOTES = "'\"`"


class Token(NamedTuple):
    """`start` and `end` count characters of the query."""

    kind: Kind
    text: str
    """What it says: of a string what is inside of the quotes, of a word all its parts joined."""
    start: int
    end: int
    section: str | None = None
    """Of a word with a dot: what stands before the first one, when that is not quoted."""
    quoted: bool = False
    """Whether a part of a word stands in quotes: then it is a name, and nothing else."""


def tokens(query: str) -> list[Token]:
    """The words of `query`, and an end. Raises QueryError for a quote that is never closed."""
    if len(query) > MAX_LENGTH:
        raise QueryError(f"a query is at most {MAX_LENGTH:,} characters long", query[:40], 0, 1)
    return [*_scan(query), Token("end", "", len(query), len(query))]


def _scan(query: str) -> Iterator[Token]:
    at = 0
    while at < len(query):
        if found := _SPACE.match(query, at):
            at = found.end()
            continue
        char = query[at]
        if char in "()":
            token = Token("bracket", char, at, at + 1)
        elif char == ",":
            token = Token("comma", char, at, at + 1)
        elif char in "'\"":
            text, end = _string(query, at)
            token = Token("string", text, at, end)
        elif found := _OPERATOR.match(query, at):
            token = Token("operator", found[0], at, found.end())
        elif char == "!":
            raise QueryError("'!' is no operator", query, at, 1, hint="write: not, !=")
        else:
            token = _word(query, at)
        yield token
        at = token.end


def _word(query: str, start: int) -> Token:
    """A word, parts of which may stand in quotes behind a dot: metrics.`acc@model.safetensors`."""
    at, quoted = start, False
    parts: list[str] = []
    first: str | None = None
    while at < len(query):
        if query[at] == "`" or (query[at] in _QUOTES and parts and parts[-1].endswith(".")):
            text, at = _string(query, at)
            parts.append(text)
            quoted = True
            if query[at : at + 1] != ".":
                break
        elif found := _PLAIN.match(query, at):
            if first is None and not quoted:
                first = found[0]
            parts.append(found[0])
            at = found.end()
        else:
            break
    section = first.partition(".")[0] if first is not None and "." in first else None
    return Token("word", "".join(parts), start, at, section, quoted)


def _string(query: str, start: int) -> tuple[str, int]:
    """What is between quotes, and where it ends. A quote inside is written twice, as in SQL."""
    quote = query[start]
    at = start + 1
    parts = []
    while True:
        end = query.find(quote, at)
        if end < 0:
            raise QueryError(f"this {_NAMES[quote]} is never closed", query, start, 1)
        parts.append(query[at:end])
        if query[end + 1 : end + 2] != quote:
            return quote.join(parts), end + 1
        at = end + 2


_NAMES = {"'": "quote", '"': "double quote", "`": "backtick"}
