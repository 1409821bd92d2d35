"""Gates as text: `accuracy >= 0.92 and delta(latency_ms) <= 5%`. docs/commands/gate.md specifies the grammar. Pure.

    gate       = either { "or" either }             either   = term { "and" term }
    term       = "not" term | "(" gate ")" | comparison
    comparison = value op value | value ["not"] "in" "(" value { "," value } ")"
    value      = number | string | "true" | "false" | "null" | function "(" value { "," value } ")" | name ["@" path]

Numbers are exact fractions: 0.3 - 0.2 is 0.1 here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mvc.errors import QueryError

Unit = Literal["", "%", "B"]
FUNCTIONS = {"delta": 1, "base": 1, "abs": 1, "min": 2, "max": 2}
"""With how many arguments at least; min and max take more."""

UNITS = {"B": 1} | {
    prefix + middle + "B": step**power
    for middle, step in (("", 1000), ("i", 1024))
    for power, prefix in enumerate("KMGTP", 1)
}
_OPERATORS = {"≥": ">=", "≤": "<=", "≠": "!=", "==": "="}
_LONGEST = 10_000
_DEEPEST = 60
_MOST_DIGITS = 40
_WORDS = {"true": True, "false": False, "null": None}

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<op>>=|<=|!=|==|[=<>≥≤≠])
    |(?P<mark>[(),])
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<number>[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    |(?P<name>(?:`[^`]+`|[^\s()<>=!≥≤≠,'"`@%])+(?P<scope>@(?:"[^"]*"|'[^']*'|[^\s()<>=!≥≤≠,'"]+))?)
    """,
    re.VERBOSE,
)
_UNIT = re.compile(r"\s*(%|[A-Za-z]+)")
_GLUED = re.compile(r"[^\s()<>=!≥≤≠,]")


class GateSyntax(QueryError):
    """A gate that cannot be read: `at` is the place of the first character that makes no sense (from 0)."""

    def __init__(self, why: str, text: str, at: int) -> None:
        super().__init__(f"gate, character {at + 1}: {why}", text, at, hint="mvc gate --help")


@dataclass(frozen=True, slots=True)
class Number:
    """A number: bytes where a unit of bytes stood behind it; "5%" is 5/100, with the unit "%"."""

    value: Fraction
    unit: Unit
    at: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A string, true, false or null."""

    value: str | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """What a commit knows: a metric, `params.x`, `tensors.nan`; `scope` is the path behind "@", None without."""

    name: str
    scope: str | None
    at: int

    def __str__(self) -> str:
        return self.name if self.scope is None else f"{self.name}@{self.scope}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of FUNCTIONS."""

    function: str
    arguments: tuple[Value, ...]
    at: int


Value = Number | Plain | Name | Call


@dataclass(frozen=True, slots=True)
class Comparison:
    """`op` is one of = != < <= > >=, "in", "not in" (then `right` may be many). `relative`: a percentage stands in it,
    so that delta() is relative to the base."""

    left: Value
    op: str
    right: tuple[Value, ...]
    relative: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Logic:
    """`op` is "and", "or", "not"."""

    op: str
    parts: tuple[Condition, ...]


Condition = Comparison | Logic


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that was read."""

    text: str
    condition: Condition


def parse_gate(text: str) -> Gate:
    """Raises GateSyntax."""
    return Gate(text, _Parser(text).whole())


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int
    end: int
    node: Value | None = None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > _LONGEST:
            raise GateSyntax(f"a gate has at most {_LONGEST:,} characters", text, _LONGEST)
        self._tokens = self._read()
        self._next = 0
        self._depth = 0

    def whole(self) -> Condition:
        found = self._either()
        if self._peek().kind != "end":
            raise self._wrong("'and', 'or' or the end was expected")
        return found

    # ---- words

    def _read(self) -> list[_Token]:
        found: list[_Token] = []
        at = 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise GateSyntax(self._odd(at), self._text, at)
            kind, end = match.lastgroup or "", match.end()
            if match["name"] is not None:
                found.append(self._name(match))
            elif match["number"] is not None:
                found.append(self._number(match))
                end = found[-1].end
            elif kind == "text":
                found.append(_Token("value", match[0], at, end, Plain(match[0][1:-1], at)))
            elif kind != "blank":
                found.append(_Token(kind, _OPERATORS.get(match[0], match[0]), at, end))
            at = end
        found.append(_Token("end", "", len(self._text), len(self._text)))
        return found

    def _odd(self, at: int) -> str:
        char = self._text[at]
        if char in "'\"`":
            return f"the {char} is not closed"
        return "'!=' was expected" if char == "!" else f"{char!r} makes no sense here"

    def _name(self, match: re.Match[str]) -> _Token:
        at, scope = match.start(), match["scope"]
        whole = match["name"]
        raw = whole[: len(whole) - len(scope)] if scope else whole
        low = raw.lower()
        if scope is None and low in ("and", "or", "not", "in"):
            return _Token("word", low, at, match.end())
        if scope is None and low in _WORDS:
            return _Token("value", raw, at, match.end(), Plain(_WORDS[low], at))
        path = scope[1:] if scope else None
        if path is not None and path[:1] in "'\"":
            path = path[1:-1]
        if path == "":
            raise GateSyntax("a path was expected behind '@'", self._text, at + len(raw) + 1)
        return _Token("name", raw, at, match.end(), Name(raw.replace("`", ""), path, at))

    def _number(self, match: re.Match[str]) -> _Token:
        at, end, digits = match.start(), match.end(), match["number"].replace("_", "")
        exponent = re.search("[eE]([-+]?[0-9]+)", digits)
        if len(digits) > _MOST_DIGITS or (exponent and abs(int(exponent[1])) > 400):
            raise GateSyntax("a number of so many digits is not read", self._text, at)
        value = Fraction(digits)
        unit: Unit = ""
        found = _UNIT.match(self._text, end)
        if found is not None and found[1] == "%":
            value, unit, end = value / 100, "%", found.end()
        elif found is not None and found[1].lower() not in ("and", "or", "in", "not"):
            size = UNITS.get(found[1]) or (UNITS.get(found[1].upper().replace("I", "i")) if len(found[1]) > 1 else None)
            if size is None:
                why = f"'{found[1]}' is no unit (%, B, KB, MB, GB, KiB, MiB ...)"
                raise GateSyntax(why, self._text, found.start(1))
            value, unit, end = value * size, "B", found.end()
        if _GLUED.match(self._text, end):
            raise GateSyntax(f"{self._text[end]!r} makes no sense behind a number", self._text, end)
        return _Token("value", self._text[at:end], at, end, Number(value, unit, at))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> bool:
        """Take the next word if it is one of these."""
        token = self._peek()
        if token.kind in ("word", "mark", "op") and token.text in texts:
            self._next += 1
            return True
        return False

    def _wrong(self, expected: str) -> GateSyntax:
        return GateSyntax(expected, self._text, self._peek().at)

    # ---- sentences

    def _either(self) -> Condition:
        parts = [self._every()]
        while self._take("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Logic("or", tuple(parts))

    def _every(self) -> Condition:
        parts = [self._term()]
        while self._take("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Logic("and", tuple(parts))

    def _term(self) -> Condition:
        self._deeper()
        try:
            if self._take("not"):
                return Logic("not", (self._term(),))
            if self._take("("):
                found = self._either()
                if not self._take(")"):
                    raise self._wrong("')' was expected")
                return found
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        start = self._peek().at
        left = self._value()
        token = self._peek()
        if token.kind == "op":
            self._next += 1
            right: tuple[Value, ...] = (self._value(),)
            op = token.text
        elif self._take("in"):
            op, right = "in", self._arguments()
        elif self._take("not"):
            if not self._take("in"):
                raise self._wrong("'in' was expected")
            op, right = "not in", self._arguments()
        else:
            raise self._wrong("a comparison was expected: = != < <= > >= in")
        numbers = [one for value in (left, *right) for one in _numbers(value)]
        relative = any(one.unit == "%" for one in numbers)
        if relative and (other := next((one for one in numbers if one.unit == "B"), None)):
            raise GateSyntax("bytes and percentages do not go together", self._text, other.at)
        return Comparison(left, op, right, relative, start, self._tokens[self._next - 1].end)

    def _value(self) -> Value:
        token = self._peek()
        if token.node is None:
            raise self._wrong("a name, a number or a string was expected")
        self._next += 1
        if isinstance(token.node, Name) and self._peek().text == "(" and self._peek().kind == "mark":
            return self._call(token.node)
        return token.node

    def _call(self, name: Name) -> Call:
        least = FUNCTIONS.get(name.name)
        if least is None or name.scope is not None:
            raise GateSyntax(f"there is no function '{name}' ({', '.join(FUNCTIONS)})", self._text, name.at)
        arguments = self._arguments()
        if len(arguments) < least or (least == 1 and len(arguments) != 1):
            few = "one value" if least == 1 else "two values or more"
            raise GateSyntax(f"'{name.name}' takes {few}", self._text, name.at)
        if name.name in ("delta", "base") and any(not isinstance(one, Name) for one in arguments):
            raise GateSyntax(f"'{name.name}' takes a name", self._text, arguments[0].at)
        return Call(name.name, arguments, name.at)

    def _arguments(self) -> tuple[Value, ...]:
        self._deeper()
        if not self._take("("):
            raise self._wrong("'(' was expected")
        found = [self._value()]
        while self._take(","):
            found.append(self._value())
        if not self._take(")"):
            raise self._wrong("',' or ')' was expected")
        self._depth -= 1
        return tuple(found)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong("nested too deep")


def _numbers(value: Value) -> list[Number]:
    if isinstance(value, Call):
        return [one for argument in value.arguments for one in _numbers(argument)]
    return [value] if isinstance(value, Number) else []
