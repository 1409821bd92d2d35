"""Catalogues in memory without a repository; and the same questions answered by plain Python, commit by commit."""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from mvc.catalogue import schema
from mvc.catalogue.compile import Compiler
from mvc.catalogue.facts import Facts
from mvc.catalogue.plan import Order, Planner
from mvc.catalogue.scopes import packed
from mvc.catalogue.syntax import And, Compare, Not, Or, Query, Value, Words
from mvc.catalogue.values import values_of
from mvc.catalogue.writer import Writer
from mvc.metadata.model import CommitMetadata
from mvc.metadata.values import scalar
from mvc.objects.model import Commit, Signature


@dataclass(frozen=True)
class Sample:
    """A commit as search sees it."""

    no: int
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    message: str = "a message\n"
    who: tuple[str, str] = ("Ann Other", "ann@example.org")
    time: int = 1_700_000_000
    size: int | None = 100
    parents: tuple[int, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    refs: tuple[tuple[str, str], ...] = ()
    """(field, short name) of what is at it."""
    branches: tuple[str, ...] = ()
    """That hold it."""
    card: str | None = None

    @property
    def id(self) -> str:
        return f"{self.no * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 160):040x}"


def catalogue(samples: list[Sample], *, full_text: bool | None = None) -> sqlite3.Connection:
    """Tables that hold the samples."""
    db = schema.connect(None)
    schema.create(db, full_text=full_text)
    db.execute("BEGIN")
    writer = Writer(db, fresh=True)
    cards: dict[str, int] = {}
    held: dict[str, int] = {}
    for one in samples:
        who = Signature(*one.who, one.time)
        commit = Commit(one.id, "0" * 40, (), who, who, one.message)
        if one.card is not None and one.card not in cards:
            cards[one.card] = writer.card(str(len(cards)), one.card, None)
        said = values_of(CommitMetadata(one.params, one.metrics, tags=one.tags))
        facts = Facts(said, one.labels, one.size, one.card, None)
        writer.add(one.no, commit, one.parents, facts, one.size, None if one.card is None else cards[one.card])
        for index, (kind, short) in enumerate(one.refs):
            row = (f"refs/{kind}/{short}/{one.no}/{index}", one.id, kind, short, short.casefold(), one.no)
            db.execute("INSERT INTO ref VALUES (?,?,?,?,?,?)", row)
        for short in one.branches:
            held[short] = held.get(short, 0) | 1 << one.no
    for short, bits in held.items():
        row = (f"refs/heads/{short}", "branch", short, short.casefold(), "", packed(bits))
        db.execute("INSERT INTO scope VALUES (?,?,?,?,?,?)", row)
    writer.flush()
    schema.put(db, "count", str(len(samples)))
    schema.put(db, "next", str(1 + max((one.no for one in samples), default=0)))
    db.execute("COMMIT")
    schema.finish(db)
    return db


def ask(
    db: sqlite3.Connection,
    query: Query | None,
    text: str = "",
    *,
    order: tuple[Order, ...] = (),
    limit: int | None = None,
) -> list[int]:
    """The numbers that the catalogue finds."""
    compiler = Compiler(db, text, now=1_700_000_000)
    return Planner(db, compiler).numbers(query, order, limit)


def holds(query: Query, one: Sample) -> bool:
    """Whether a query holds of a commit, by the rules of docs/commands/search.md alone."""
    if isinstance(query, And):
        return all(holds(part, one) for part in query.parts)
    if isinstance(query, Or):
        return any(holds(part, one) for part in query.parts)
    if isinstance(query, Not):
        return not holds(query.inner, one)
    if isinstance(query, Words):
        return _has_words(query.text, one.message) or _has_words(query.text, one.card or "")
    return _compared(query, one)


def _compared(query: Compare, one: Sample) -> bool:
    where, name, operator = query.field.section, query.field.name, query.operator
    if where is not None:
        value = getattr(one, where, {}).get(name)
        if operator in ("is null", "is not null"):
            return (value is None) == (operator == "is null")
        if value is None:
            return False
        negative = operator in _NEGATIVE
        found = any(_value(value, _NEGATIVE.get(operator, operator), constant) for constant in query.values or (None,))
        return found != negative
    negative = operator in _NEGATIVE
    positive = _NEGATIVE.get(operator, operator)
    if positive == "is null":
        return (not _attribute(one, name)) != negative
    if positive == "is nan":
        return negative
    positive = "=" if positive == "in" else positive
    found = any(_text(text, positive, constant) for text in _attribute(one, name) for constant in query.values)
    if name == "size":
        found = one.size is not None and any(_number(one.size, positive, constant.value) for constant in query.values)
    if name == "message" and positive == "~":
        found = all(_has_words(word, one.message) for word in query.values[0].text.split())
    return found != negative


_NEGATIVE = {
    "!=": "=", "!~": "~", "not like": "like", "not ilike": "ilike", "not in": "in",
    "is not null": "is null", "is not nan": "is nan",
}  # fmt: skip


def _attribute(one: Sample, name: str) -> list[str]:
    if name == "author":
        return [*one.who, f"{one.who[0]} <{one.who[1]}>"]
    if name in ("message", "subject"):
        return [one.message.strip("\n")]
    if name == "branch":
        return list(one.branches)
    if name == "size":
        return [] if one.size is None else ["it has one"]
    if name in ("tag", "alias", "run"):
        return [short for kind, short in one.refs if kind == name]
    return [text for kind, text in one.labels if kind == name]


def _text(text: str, operator: str, constant: Value) -> bool:
    other = constant.text
    if operator in ("~", "like", "ilike"):
        return _fits(text, operator, other)
    return _ordered(text, operator, other)


def _value(value: Any, operator: str, constant: Value | None) -> bool:
    if operator == "is nan":
        return isinstance(value, float) and math.isnan(value)
    assert constant is not None
    wanted = constant.value
    if operator in ("~", "like", "ilike"):
        shown = (
            "true" if value is True else "false" if value is False else value if isinstance(value, str) else repr(value)
        )
        return _fits(shown, operator, constant.text)
    operator = "=" if operator == "in" else operator
    if isinstance(wanted, bool):
        return value is wanted or (isinstance(value, str) and value in _WORDS[wanted])
    if isinstance(wanted, str):
        return _against_words(value, operator, wanted)
    number = reads(value) if isinstance(value, str) else None if isinstance(value, bool) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    if isinstance(wanted, float) and math.isnan(wanted):
        return operator == "=" and isinstance(value, float) and math.isnan(value)
    return _number(number, operator, wanted)


_WORDS = {True: ("true", "True", "TRUE"), False: ("false", "False", "FALSE")}


def _against_words(value: Any, operator: str, wanted: str) -> bool:
    if isinstance(value, str):
        return _ordered(value, operator, wanted)
    if isinstance(value, bool):
        return operator == "=" and wanted.lower() == str(value).lower()
    number = reads(wanted)
    if isinstance(value, float) and math.isnan(value):
        return operator == "=" and wanted.lower() in ("nan", ".nan")
    return number is not None and isinstance(value, int | float) and _number(value, operator, number)


def reads(text: str) -> int | float | None:
    found = scalar(text)
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found:
        return None
    return found


def _number(one: int | float, operator: str, two: Any) -> bool:
    return _ordered(sane(one), operator, sane(two))


def sane(number: int | float) -> int | float:
    """Whole numbers beyond 64 bits are as their nearest float."""
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        try:
            return float(number)
        except OverflowError:
            return math.inf if number > 0 else -math.inf
    return number


def _ordered(one: Any, operator: str, two: Any) -> bool:
    return {"=": one == two, "<": one < two, "<=": one <= two, ">": one > two, ">=": one >= two}[operator]


def _fits(text: str, operator: str, pattern: str) -> bool:
    if operator == "~":
        return fnmatchcase(text, pattern)
    if operator == "ilike":
        text, pattern = text.casefold(), pattern.casefold()
    made = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
    return re.fullmatch(made, text, re.DOTALL) is not None


def _has_words(wanted: str, text: str) -> bool:
    """Of Latin letters and Chinese: whole words, and runs of characters anywhere."""
    begins = wanted.strip().endswith("*")
    wanted, text = _plain(wanted), _plain(text)
    if not wanted:
        return False
    behind = "" if begins or _is_dense(wanted[-1]) else r"(?![a-z0-9])"
    before = "" if _is_dense(wanted[0]) else r"(?<![a-z0-9])"
    return re.search(before + re.escape(wanted) + behind, text) is not None


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(c if (c.isascii() and c.isalnum()) or _is_dense(c) else " " for c in text)
    text = re.sub(r"(?<=[a-z0-9]) *(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff]) *(?=[a-z0-9])", " ", text)
    return " ".join(text.split())


def _is_dense(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"
