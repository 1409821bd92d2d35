"""Reads a query (docs/commands/search.md has the grammar): MLflow's filter, with `or`, `not`, brackets and full text.

query      = [either]
either     = all {"or" all}
all        = one {["and"] one}              "and" may be left out behind words of full text
one        = "not" one | "(" either ")" | comparison | WORD | STRING
comparison = FIELD OPERATOR value | FIELD ["not"] ("like" | "ilike") value
           | FIELD ["not"] "in" "(" value {"," value} ")" | FIELD "is" ["not"] ("null" | "nan")
"""

from __future__ import annotations

import math
import re
from typing import NoReturn, cast

from mvc.catalogue.fields import ATTRIBUTE_OF, ATTRIBUTE_PREFIXES, SECTION_OF, near
from mvc.catalogue.syntax import And, Compare, Field, Not, Operator, Or, Query, Value, Words
from mvc.catalogue.tokens import Token, tokens
from mvc.errors import QueryError

MAX_DEPTH = 60
"""Brackets in brackets."""

MAX_TERMS = 400
MAX_VALUES = 1000
"""In all lists of `in` together."""

_SYMBOLS: dict[str, Operator] = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "~": "~", "!~": "!~",
}  # fmt: skip
_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "ilike", "is", "between", "rlike"})
_FOREIGN = {"&&": "and", "||": "or", "&": "and", "|": "or", "between": ">= and <=", "rlike": "~ with a glob"}
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]+\Z", re.ASCII)
_SPECIAL = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "infinity": math.inf}
_MOST_DIGITS = 4000


class UnknownField(QueryError):
    """A field that no commit has. `name` is as typed."""

    def __init__(self, name: str, query: str, at: int, length: int, *, hint: str | None = None) -> None:
        super().__init__(f"there is no field '{name}'", query, at, length, hint=hint)
        self.name = name


def parse(query: str) -> Query | None:
    """The query, or None for one that asks nothing. Raises QueryError, which points at what is wrong."""
    return _Parser(query).whole()


def parse_field(text: str) -> Field:
    """A field alone, as `--sort` and `--columns` take it. Raises QueryError."""
    parser = _Parser(text)
    token = parser.take()
    if token.kind != "word" or parser.next.kind != "end":
        parser.fail(token if token.kind != "word" else parser.next, "a field is expected here", hint="metrics.acc")
    return parser.field(token)


class _Parser:
    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = tokens(query)
        self._at = 0
        self._depth = 0
        self._terms = self._values = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    def take(self) -> Token:
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token

    def fail(self, token: Token, why: str, *, hint: str | None = None) -> NoReturn:
        raise QueryError(why, self._query, token.start, token.end - token.start, hint=hint)

    def whole(self) -> Query | None:
        if self.next.kind == "end":
            return None
        found = self._either()
        token = self.next
        if token.kind != "end":
            if token.text == ")" and token.kind == "bracket":
                self.fail(token, "this bracket was never opened")
            self._no_operator(token)
        return found

    def _no_operator(self, token: Token) -> NoReturn:
        meant = _FOREIGN.get(token.text.lower())
        if meant and token.kind == "word":
            self.fail(token, f"'{token.text}' is no word of a query", hint=f"write: {meant}")
        self.fail(token, "'and' or 'or' is expected here", hint="words that belong together stand in quotes: 'a b'")

    # -- and, or, not

    def _either(self) -> Query:
        parts = [self._all()]
        while self._keyword("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Query:
        parts = [self._one()]
        while True:
            # Behind a word of full text the next thing is one more to ask; behind a comparison it is a slip of the pen.
            if not self._keyword("and") and not (isinstance(parts[-1], Words) and _begins_term(self.next)):
                break
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Query:
        negative = False
        while self._keyword("not"):
            negative = not negative
        found = self._primary()
        return Not(found) if negative else found

    def _primary(self) -> Query:
        token = self.take()
        if token.kind == "bracket" and token.text == "(":
            return self._bracket(token)
        self._terms += 1
        if self._terms > MAX_TERMS:
            self.fail(token, f"a query has at most {MAX_TERMS} terms")
        if token.kind == "end":
            self.fail(token, "the query ends where something is expected", hint="as in: metrics.acc > 0.92")
        if token.kind in ("operator", "comma", "bracket"):
            self.fail(token, f"a field or a word is expected before '{token.text}'", hint="metrics.acc > 0.92")
        if token.kind == "word" and (token.quoted or not self._is_text(token, alone=True)):
            return self._comparison(token)
        if self.next.kind == "operator":
            self.fail(token, "text in quotes is no field", hint=f"metrics.`{token.text}`, or params.`{token.text}`")
        return Words(token.text, token.start, token.end)

    def _bracket(self, opened: Token) -> Query:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(opened, f"brackets in brackets, more than {MAX_DEPTH} deep")
        found = self._either()
        if self.next.kind == "end":
            self.fail(opened, "this bracket is never closed")
        if not (self.next.kind == "bracket" and self.next.text == ")"):
            self._no_operator(self.next)
        self.take()
        self._depth -= 1
        return found

    def _is_text(self, token: Token, *, alone: bool = False) -> bool:
        """Whether a term that begins here is one of full text. `alone`: the token has been taken."""
        if token.kind == "string":
            return True
        if token.kind != "word" or token.quoted:
            return False
        if token.text.lower() in _KEYWORDS or token.text in _FOREIGN:
            return False
        after = self._tokens[self._at if alone else self._at + 1]
        if after.kind == "operator" or (after.kind == "word" and after.text.lower() in _BEGINS_TEST):
            return not self._begins_test(after, alone)
        return (token.section or "").lower() not in SECTION_OF

    def _begins_test(self, after: Token, alone: bool) -> bool:
        if after.kind == "operator" or after.text.lower() != "not":
            return True
        # "a not b" are words; "a not in (...)" is a comparison.
        behind = self._tokens[min(self._at + (1 if alone else 2), len(self._tokens) - 1)]
        return behind.kind == "word" and behind.text.lower() in ("in", "like", "ilike")

    def _keyword(self, word: str) -> bool:
        token = self.next
        if token.kind == "word" and not token.quoted and token.text.lower() == word:
            self.take()
            return True
        return False

    # -- comparisons

    def _comparison(self, token: Token) -> Compare:
        if token.text in _FOREIGN or (token.text.lower() in _KEYWORDS and not token.quoted):
            hint = f"write: {_FOREIGN[token.text.lower()]}" if token.text.lower() in _FOREIGN else None
            self.fail(token, f"'{token.text}' stands where a field or a word is expected", hint=hint)
        field = self.field(token)
        sign = self.take()
        word = sign.text.lower() if sign.kind == "word" and not sign.quoted else ""
        if sign.kind == "operator":
            return Compare(field, _SYMBOLS[sign.text], (self._value(field),))
        if word == "is":
            return Compare(field, self._is())
        negative = word == "not"
        if negative:
            sign = self.take()
            word = sign.text.lower() if sign.kind == "word" else ""
        if word in ("like", "ilike"):
            return Compare(field, cast(Operator, f"not {word}" if negative else word), (self._value(field),))
        if word == "in":
            return Compare(field, "not in" if negative else "in", self._list(field))
        if word in _FOREIGN:
            self.fail(sign, f"'{word}' is no word of a query", hint=f"write: {_FOREIGN[word]}")
        if sign.kind == "end":
            sign = token
        self.fail(sign, f"{field} is to be compared with something", hint=f"{field} > 0.5, or: {field} is not null")

    def _is(self) -> Operator:
        negative = self._keyword("not")
        token = self.take()
        word = token.text.lower()
        if token.kind != "word" or word not in ("null", "none", "nan"):
            self.fail(token, "'null' or 'nan' is expected here", hint="is null, is not null, is nan")
        word = "nan" if word == "nan" else "null"
        return cast(Operator, f"is not {word}" if negative else f"is {word}")

    def _list(self, field: Field) -> tuple[Value, ...]:
        opened = self.take()
        if opened.text != "(" or opened.kind != "bracket":
            self.fail(opened, "a list in brackets is expected here", hint="in ('a', 'b')")
        values = [self._value(field)]
        while self.next.kind == "comma":
            self.take()
            values.append(self._value(field))
        closing = self.take()
        if closing.kind == "end":
            self.fail(opened, "this bracket is never closed")
        if closing.text != ")" or closing.kind != "bracket":
            self.fail(closing, "',' or ')' is expected here")
        return tuple(values)

    def _value(self, field: Field) -> Value:
        token = self.take()
        self._values += 1
        if self._values > MAX_VALUES + MAX_TERMS:
            self.fail(token, f"at most {MAX_VALUES:,} values")
        if token.kind == "string":
            return Value(token.text, token.start, token.end)
        if token.kind != "word":
            at = token if token.kind != "end" else self._tokens[max(self._at - 1, 0)]
            self.fail(at, f"a value is expected to compare {field} with", hint=f"{field} = 'words', {field} > 0.5")
        if token.quoted or (token.section or "").lower() in {*SECTION_OF, *ATTRIBUTE_PREFIXES}:
            self.fail(token, "a field is compared with a value, not with another field", hint="words stand in quotes")
        value = self._constant(token)
        return Value(value, token.start, token.end, token.text)

    def _constant(self, token: Token) -> int | float | str | bool:
        word = token.text.lower()
        if word in ("true", "false"):
            return word == "true"
        if word in _SPECIAL:
            return _SPECIAL[word]
        if word in _KEYWORDS:
            self.fail(token, f"a value is expected, not '{token.text}'", hint=f"as text it stands in quotes: '{word}'")
        if _NUMBER.match(token.text) is None:
            return token.text
        if len(token.text) > _MOST_DIGITS:
            self.fail(token, f"a number has at most {_MOST_DIGITS:,} digits")
        return int(token.text) if _WHOLE.match(token.text) else float(token.text)

    # -- fields

    def field(self, token: Token) -> Field:
        """What a word names. Raises UnknownField."""
        section = (token.section or "").lower()
        rest = token.text[len(section) + 1 :]
        at = token.start, token.end
        if section in SECTION_OF:
            if not rest:
                self.fail(token, f"a name is expected behind '{token.text}'", hint=f"{SECTION_OF[section]}.NAME")
            return Field(SECTION_OF[section], rest, *at)
        name = rest if section in ATTRIBUTE_PREFIXES else token.text
        known = ATTRIBUTE_OF.get(name.lower())
        if known is None:
            raise UnknownField(token.text, self._query, token.start, token.end - token.start, hint=self._hint(token))
        return Field(None, known, *at)

    def _hint(self, token: Token) -> str | None:
        section, dot, rest = token.text.partition(".")
        if dot and (found := near(section, [*SECTION_OF, *ATTRIBUTE_PREFIXES], 1)):
            return f"did you mean {found[0]}.{rest}?"
        found = list(dict.fromkeys(ATTRIBUTE_OF[one] for one in near(token.text, list(ATTRIBUTE_OF))))[:2]
        return f"did you mean {' or '.join(found)}?" if found else None


def _begins_term(token: Token) -> bool:
    """Whether a term may begin so."""
    if token.kind in ("string", "bracket"):
        return token.kind == "string" or token.text == "("
    word = token.text.lower()
    return token.kind == "word" and (token.quoted or word == "not" or not (word in _KEYWORDS or word in _FOREIGN))


_BEGINS_TEST = frozenset({"is", "in", "not", "like", "ilike", "between", "rlike"})
