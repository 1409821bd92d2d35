"""A query as SQL over the tables of `mvc.catalogue.schema`. What the user typed goes in as parameters, never as text.

Each term is true or false of a commit, never NULL: a comparison holds only where the commit has the value, `not`
turns that round. A term is made in two forms: a test of one commit `c`, by the value's key; and where an index allows
it a search that finds all commits. `mvc.catalogue.plan` chooses.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable
from typing import NoReturn

from mvc.catalogue import values, words
from mvc.catalogue.fields import ATTRIBUTES, near
from mvc.catalogue.moments import bounds
from mvc.catalogue.patterns import from_glob, from_like
from mvc.catalogue.schema import SHIFT, get
from mvc.catalogue.scopes import marks, unpacked
from mvc.catalogue.syntax import Compare, Field, Operator, Value, Words
from mvc.catalogue.terms import (
    ALWAYS,
    NEVER,
    NO,
    Parameter,
    Sql,
    Term,
    all_of,
    any_of,
    either,
    in_messages,
    opposite,
)
from mvc.errors import QueryError, UsageError

_POSITIVE: dict[str, Operator] = {
    "!=": "=", "!~": "~", "not like": "like", "not ilike": "ilike", "not in": "in",
    "is not null": "is null", "is not nan": "is nan",
}  # fmt: skip
_ORDER = ("<", "<=", ">", ">=")
_PATTERNS = ("~", "like", "ilike")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgtp]?)(i?)b?\Z", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]{1,40}\Z")
_SHORTEST_ID = 4
_WORD = "'s', 'b', 'j', 'n'"
_FEW = 50
"""So many texts or commits at most stand in a statement by their numbers; more are looked for by it."""
_NUMBER = re.compile(r"[-0-9in*?\[]")
"""How a pattern begins that a number may fit: numbers are matched as Python writes them, infinity too."""


class Compiler:
    """Makes terms of one query. Looks names up in the catalogue, and says which nobody uses."""

    def __init__(self, db: sqlite3.Connection, query: str, now: int | None = None) -> None:
        """`now` stands in for the present in dates."""
        self._db = db
        self._query = query
        self._now = now
        self._full_text = get(db, "full_text") == "1"
        self.unknown: list[Field] = []
        """Names that no commit has."""

    def term(self, node: Compare | Words) -> Term:
        """Raises QueryError where field, operator and value do not go together."""
        if isinstance(node, Words):
            return self._words(node.text, node.start, node.end, "text")
        if node.field.section is not None:
            return self._value(node, self.name_id(node.field))
        kind = ATTRIBUTES[node.field.name].kind
        made: Term = getattr(self, f"_on_{kind}")(node)
        return made

    def name_id(self, field: Field) -> int | None:
        """The catalogue's number of a name; None (and noted) for one that no commit has."""
        row = self._db.execute(
            "SELECT id FROM name WHERE section = ? AND name = ?", (field.section, values.clean(field.name))
        ).fetchone()
        if row is None:
            self.unknown.append(field)
            return None
        return int(row[0])

    def suggestion(self, name: str, section: str | None = None) -> str | None:
        """ "did you mean metrics.accuracy?", from the names that there are."""
        rows = self._db.execute("SELECT section, name FROM name").fetchall()
        own = [one for where, one in rows if where == section]
        found = [f"{section}.{one}" for one in near(name, own)] if section else []
        if not found:
            others: dict[str, str] = {}
            for where, one in rows:
                if where != section and where in ("metrics", "params", "tags"):
                    others.setdefault(one, where)
            exact = [name] if name in others else []
            found = [f"{others[one]}.{one}" for one in (*exact, *near(name, list(others)))]
        return f"did you mean {' or '.join(found[:2])}?" if found else None

    # -- values of params, metrics, tags, ...

    def _value(self, node: Compare, name: int | None) -> Term:
        if name is None:
            return ALWAYS if node.operator == "is null" else NEVER
        if node.operator == "is null":
            return Term(Sql(f"NOT {_EXISTS}", (name,)), light=True)
        if node.operator == "is not null":
            return _of_name(name, Sql("1"))
        positive = _POSITIVE.get(node.operator)
        condition = self._condition(node, positive or node.operator)
        if positive is not None:
            condition = Sql(f"NOT coalesce(({condition.text}), 0)", condition.params)
        return _of_name(name, condition)

    def _condition(self, node: Compare, operator: Operator) -> Sql:
        """On the columns `num` and `text` of a value. (It may be NULL, which holds as little as false.)"""
        if operator == "is nan":
            return _EQUALS_NAN
        if operator == "in":
            return any_of([self._equals(value) for value in node.values])
        value = node.values[0]
        if operator == "=":
            if node.field.section == "metrics" and value.bare and values.reads_as(str(value.value)) is None:
                self.fail(value, f"a metric is compared with a number, not with '{value.value}'", "as text: in quotes")
            return self._equals(value)
        if operator in _PATTERNS:
            return self._matches(operator, value)
        return self._ordered(node, operator, value)

    def _equals(self, value: Value) -> Sql:
        constant = value.value
        if isinstance(constant, bool):
            known = values.TRUE if constant else values.FALSE
            word = "true" if constant else "false"
            by_word = self._texts("kind = 's' AND text IN (?, ?, ?)", (word, word.title(), word.upper()))
            return _within("num IS NULL AND {}", any_of([Sql(f"text = {known}"), by_word]))
        if not isinstance(constant, str):
            number = values.comparable(constant)
            return _EQUALS_NAN if number is None else Sql("num = ?", (number,))
        text = values.clean(constant)
        number = values.reads_as(constant)
        same = self._texts("text = ? AND kind IN ('s', 'j')", (text,))
        if number is not None:
            either = any_of([Sql("text IS NULL"), Sql("text < 0"), same])
            return Sql(f"num = ? AND ({either.text})", (number, *either.params))
        if text.lower() in ("true", "false"):
            known = values.TRUE if text.lower() == "true" else values.FALSE
            same = any_of([Sql(f"text = {known}"), same])
        elif text.lower() in ("nan", ".nan"):
            same = any_of([_EQUALS_NAN, same])
        return _within("num IS NULL AND {}", same)

    def _ordered(self, node: Compare, operator: Operator, value: Value) -> Sql:
        constant = value.value
        if isinstance(constant, bool) or (isinstance(constant, float) and math.isnan(constant)):
            self.fail(value, f"nothing is smaller or larger than {value}", f"{node.field} = {value}")
        if not isinstance(constant, str):
            return Sql(f"num {operator} ?", (values.comparable(constant),))
        number = values.reads_as(constant)
        if number is None and value.bare and node.field.section == "metrics":
            self.fail(value, f"a metric is compared with a number, not with '{constant}'", "as text: in quotes")
        by_word = f"text IN (SELECT id FROM text WHERE kind = 's' AND text {operator} ?)"
        if number is None:
            return Sql(by_word, (values.clean(constant),))
        by_number = f"(num {operator} ? AND (text IS NULL OR text < 0))"
        return Sql(f"{by_number} OR {by_word}", (number, values.clean(constant)))

    def _matches(self, operator: Operator, value: Value) -> Sql:
        column, pattern = _pattern(operator, value)
        by_word = self._texts(f"{column} GLOB ? AND kind IN ({_WORD})", (pattern,))
        by_number = Sql("text IS NULL AND number_text(num) GLOB ?", (pattern,)) if _NUMBER.match(pattern) else NO
        return any_of([by_word, by_number])

    def _texts(self, condition: str, params: tuple[Parameter, ...]) -> Sql:
        """That a value's text is one of those that fulfil a condition: by their numbers where they are few."""
        select = f"SELECT id FROM text WHERE {condition}"
        found = self._db.execute(f"{select} LIMIT {_FEW + 1}", params).fetchall()
        return _one_of("text", found) or Sql(f"text IN ({select})", params)

    # -- attributes

    def _on_id(self, node: Compare) -> Term:
        def test(operator: Operator, value: Value) -> Sql:
            text = value.text
            if operator in _PATTERNS:
                _, pattern = _pattern(operator, value)
                return Sql("lower(hex(c.id)) GLOB ?", (pattern.lower(),))
            if operator != "=":
                self.fail(value, "ids have no order", f"{node.field} = {text}")
            if _HEX.match(text) is None or len(text) < _SHORTEST_ID:
                self.fail(
                    value, f"an id is at least {_SHORTEST_ID} hex digits", "mvc rev-parse NAME tells that of a name"
                )
            low, high = bytes.fromhex(text.ljust(40, "0")), bytes.fromhex(text.ljust(40, "f"))
            return Sql("c.id BETWEEN ? AND ?", (low, high))

        made = self._each(node, test, Sql("c.id IS NULL"))
        if node.operator not in ("=", "in"):
            return made
        return Term(made.test, Sql(f"SELECT no FROM entry c WHERE {made.test.text}", made.test.params))

    def _on_text(self, node: Compare) -> Term:
        column = "c.subject" if node.field.name == "subject" else "coalesce(c.message, c.subject)"
        if node.operator in ("~", "!~"):
            return self._full_text_of(node)
        return self._each(node, lambda operator, value: _text_test(column, operator, value), Sql(f"{column} = ''"))

    def _on_words(self, node: Compare) -> Term:
        if node.field.name == "card" and node.operator in ("is null", "is not null"):
            return Term(Sql(f"c.card {node.operator}"))
        if node.operator not in ("~", "!~"):
            at = node.values[0] if node.values else Value("", node.field.start, node.field.end)
            self.fail(at, f"{node.field} is looked through for words", f"{node.field} ~ 'words'")
        return self._full_text_of(node)

    def _full_text_of(self, node: Compare) -> Term:
        value = node.values[0]
        kind = "message" if node.field.name in ("subject", "message") else node.field.name
        parts = [one.strip('"') for one in re.findall(r'"[^"]*"?|\S+', value.text)]
        found = [self._words(one, value.start, value.end, kind) for one in parts if words.phrase(one) is not None]
        if not found:
            self.fail(value, "there is no word in it", "letters or digits; LIKE '%...%' finds any characters")
        if node.operator != "!~" and len(found) == 1:
            return found[0]
        made = Term(all_of([term.test for term in found]))
        return opposite(made) if node.operator == "!~" else made

    def _words(self, text: str, start: int, end: int, where: str) -> Term:
        wanted = words.phrase(text)
        if wanted is None:
            self.fail(Value(text, start, end), "there is no word in it", "letters or digits")
        if self._full_text:
            condition, param = "{0} MATCH ?", words.match_of(wanted)
        else:
            condition, param = "words GLOB ?", words.plain_glob(wanted)
        terms = []
        if where in ("text", "message"):
            terms.append(in_messages(param, condition, param if self._full_text else None))
        if where in ("text", "card"):
            select = f"SELECT rowid FROM card_words WHERE {condition.format('card_words')}"
            found = self._db.execute(f"{select} LIMIT {_FEW + 1}", (param,)).fetchall()
            terms.append(_with_card(_one_of("c.card", found) or Sql(f"c.card IN ({select})", (param,))))
        return either(terms)

    def _on_branch(self, node: Compare) -> Term:
        def test(operator: Operator, value: Value) -> Sql:
            condition = _text_test("short", operator, value, folded="folded")
            bits = 0
            query = f"SELECT bits FROM scope WHERE field = 'branch' AND {condition.text}"
            for (data,) in self._db.execute(query, condition.params):
                bits |= unpacked(data)
            return Sql("substr(?, c.no + 1, 1) = x'31'", (marks(bits),)) if bits else NO

        some = test("like", Value("%"))
        return self._each(node, test, Sql(f"NOT ({some.text})", some.params))

    def _on_names(self, node: Compare) -> Term:
        field = node.field.name
        positive = _POSITIVE.get(node.operator, node.operator)
        if positive in ("is null", "is nan"):
            fields = "1" if field == "name" else f"field = '{field}'"
            named = Sql(f"NOT c.no IN (SELECT no FROM ref WHERE {fields} AND no IS NOT NULL)")
            return self._each(node, lambda operator, value: NO, named)
        operator: Operator = "=" if positive == "in" else positive
        found = either([term for value in node.values for term in self._named(field, operator, value)])
        return opposite(found) if node.operator in _POSITIVE else found

    def _named(self, field: str, operator: Operator, value: Value) -> list[Term]:
        """What has this name: the commits that a ref is at, and with `name` those whose card or tags say so."""
        condition = _text_test("short", operator, value, folded="folded")
        fields = "field IN ('branch', 'tag', 'alias', 'run')" if field == "name" else f"field = '{field}'"
        select = f"SELECT no FROM ref WHERE {fields} AND no IS NOT NULL AND {condition.text}"
        found = self._db.execute(f"SELECT DISTINCT no FROM ({select}) LIMIT {_FEW + 1}", condition.params).fetchall()
        at = _one_of("c.no", found) or Sql(f"c.no IN ({select})", condition.params)
        terms = [Term(at, Sql(f"SELECT no FROM entry c WHERE {at.text}", at.params), light=True)]
        if field != "name":
            return terms
        title = _text_test("title", operator, value)
        select = f"SELECT id FROM card WHERE title IS NOT NULL AND {title.text}"
        found = self._db.execute(f"{select} LIMIT {_FEW + 1}", title.params).fetchall()
        terms.append(_with_card(_one_of("c.card", found) or Sql(f"c.card IN ({select})", title.params)))
        for name in ("name", "run_name", "mlflow.runName"):
            row = self._db.execute("SELECT id FROM name WHERE section = 'tags' AND name = ?", (name,)).fetchone()
            if row is not None:
                terms.append(self._value(Compare(Field("tags", name), operator, (value,)), row[0]))
        return terms

    def _on_person(self, node: Compare) -> Term:
        def test(operator: Operator, value: Value) -> Sql:
            columns = ("name", "email", "name || ' <' || email || '>'")
            condition = any_of([_text_test(column, operator, value) for column in columns])
            return Sql(f"c.author IN (SELECT id FROM person WHERE {condition.text})", condition.params)

        return self._each(node, test, Sql("0"))

    def _on_date(self, node: Compare) -> Term:
        def test(operator: Operator, value: Value) -> Sql:
            if isinstance(value.value, bool) or operator in _PATTERNS:
                self.fail(value, "a date is compared with a date", "date >= 2026-01-31, date > '2 weeks ago'")
            try:
                first, last = bounds(value.value, self._now)
            except UsageError as error:
                self.fail(value, error.message, error.hint)
            if operator == "=":
                return Sql("c.time BETWEEN ? AND ?", (first, last))
            return Sql(f"c.time {operator} ?", (first if operator in ("<", ">=") else last,))

        return self._each(node, test, Sql("0"))

    def _on_number(self, node: Compare) -> Term:
        column = f"c.{node.field.name}"

        def test(operator: Operator, value: Value) -> Sql:
            if operator in _PATTERNS:
                self.fail(value, f"{node.field} is a number", f"{node.field} > 1000")
            return Sql(f"coalesce({column} {operator} ?, 0)", (self._amount(node.field, value),))

        return self._each(node, test, Sql(f"{column} IS NULL"))

    def _amount(self, field: Field, value: Value) -> int | float:
        constant = value.value
        if not isinstance(constant, bool | str) and not (isinstance(constant, float) and math.isnan(constant)):
            return values.comparable(constant) or 0
        found = _SIZE.match(constant) if isinstance(constant, str) and field.name == "size" else None
        if found is None:
            hint = "100MB, 1.5GiB" if field.name == "size" else f"{field} > 1"
            self.fail(value, f"{field} is compared with a number", hint)
        unit = 1024 if found[3] else 1000
        amount = float(found[1]) * unit ** (" kmgtp".index(found[2].lower() or " "))
        return int(amount) if amount < values.LARGEST else amount

    def _on_label(self, node: Compare) -> Term:
        field = node.field.name

        def condition(operator: Operator, value: Value) -> Sql:
            if field == "base" and operator == "=" and _is_start_of_id(value.text):
                inner = Sql("text GLOB ?", (value.text.lower() + "*",))
            else:
                inner = _text_test("text", operator, value, folded="coalesce(folded, text)")
            return Sql(f"text IN (SELECT id FROM text WHERE {inner.text} AND kind = 's')", inner.params)

        positive = _POSITIVE.get(node.operator, node.operator)
        if positive in ("is null", "is nan"):
            made = Sql("1") if positive == "is null" else Sql("0")
        else:
            made = any_of([condition("=" if positive == "in" else positive, value) for value in node.values])
        test = Sql(
            f"EXISTS (SELECT 1 FROM label WHERE no = c.no AND field = ? AND ({made.text}))", (field, *made.params)
        )
        # The labels of a commit say "is null" the other way round.
        if (node.operator in _POSITIVE) != (positive == "is null"):
            return Term(Sql(f"NOT {test.text}", test.params))
        return Term(
            test, Sql(f"SELECT DISTINCT no FROM label WHERE field = ? AND ({made.text})", (field, *made.params))
        )

    def _each(self, node: Compare, test: _Test, nothing: Sql) -> Term:
        """A term of an attribute: `test` makes the positive condition of one value, `nothing` says that there is
        none.
        """
        positive = _POSITIVE.get(node.operator, node.operator)
        if positive == "is null":
            made = nothing
        elif positive == "is nan":
            made = Sql("0")
        else:
            made = any_of([test("=" if positive == "in" else positive, value) for value in node.values])
        return opposite(Term(made)) if node.operator in _POSITIVE else Term(made)

    def fail(self, value: Value, why: str, hint: str | None = None) -> NoReturn:
        """Point at a value."""
        raise QueryError(why, self._query, value.start, value.end - value.start, hint=hint)


_Test = Callable[[Operator, Value], Sql]
_EXISTS = f"EXISTS (SELECT 1 FROM value WHERE key = (c.no << {SHIFT} | ?) AND text IS NOT {values.NULL})"
_EQUALS_NAN = Sql("text IN (SELECT id FROM text WHERE kind = 'n' AND text = 'nan')")


def _of_name(name: int, condition: Sql) -> Term:
    """A condition on the value of this name, where it is not null."""
    if condition == NO:
        return NEVER
    where = f"({condition.text}) AND text IS NOT {values.NULL}"
    test = f"EXISTS (SELECT 1 FROM value WHERE key = (c.no << {SHIFT} | ?) AND {where})"
    find = f"SELECT key >> {SHIFT} AS no FROM value INDEXED BY value_by_number WHERE name = ? AND {where}"
    return Term(Sql(test, (name, *condition.params)), Sql(find, (name, *condition.params)), light=True)


def _text_test(column: str, operator: Operator, value: Value, folded: str | None = None) -> Sql:
    """A condition on a column of text. `folded`: what holds it without case."""
    if operator in _PATTERNS:
        pattern = _pattern(operator, value)[1]
        return Sql(f"{(folded or f'folded({column})') if operator == 'ilike' else column} GLOB ?", (pattern,))
    return Sql(f"{column} {operator} ?", (values.clean(value.text),))


def _pattern(operator: Operator, value: Value) -> tuple[str, str]:
    """The column of a text that a pattern is held against, and the pattern for GLOB."""
    text = values.clean(value.text)
    if operator == "ilike":
        return "coalesce(folded, text)", from_like(text.casefold())
    return "text", from_like(text) if operator == "like" else from_glob(text)


def _with_card(condition: Sql) -> Term:
    """That a commit has one of these cards."""
    if condition == NO:
        return NEVER
    find = Sql(f"SELECT no FROM entry c WHERE {condition.text}", condition.params)
    return Term(Sql(f"coalesce({condition.text}, 0)", condition.params), find)


def _one_of(column: str, found: list[tuple[int]]) -> Sql | None:
    """That a column is one of these numbers; None where they are too many to write down."""
    if not found:
        return NO
    if len(found) > _FEW:
        return None
    return Sql(f"{column} IN ({','.join(str(int(one)) for (one,) in found)})")


def _within(frame: str, condition: Sql) -> Sql:
    """A condition in brackets, as part of a larger one that holds only where it does."""
    return condition if condition == NO else Sql(frame.format(f"({condition.text})"), condition.params)


def _is_start_of_id(text: str) -> bool:
    return _HEX.match(text) is not None and len(text) >= _SHORTEST_ID
