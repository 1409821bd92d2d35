"""Whether a commit passes gates: comparisons that hold, fail, or cannot be told, and then do not pass."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mvc.ops.gate_facts import Absent, Dtypes, Facts
from mvc.ops.gate_grammar import Call, Comparison, Condition, Gate, Name, Number, Plain, Value

Figure = Fraction | float
"""A number; a float only where it is infinite."""

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that a comparison looked at. `change` is new minus old, `ratio` that by the size of the old; None where
    nothing was compared with the base, or that cannot be told."""

    name: str
    value: Any = None
    base: Any = None
    change: Figure | None = None
    ratio: Figure | None = None
    compared: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One comparison. `passed` is None where it cannot be told: `why` says why, `near` what was perhaps meant."""

    text: str
    passed: bool | None
    seen: tuple[Seen, ...]
    why: str = ""
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one gate."""

    text: str
    passed: bool
    parts: tuple[Part, ...]

    @property
    def failed(self) -> tuple[Part, ...]:
        """The comparisons that did not hold; all, where what failed is a "not"."""
        if self.passed:
            return ()
        return tuple(part for part in self.parts if not part.passed) or self.parts


class _Unclear(Exception):
    def __init__(self, why: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.why, self.near = why, near


def check(gates: Sequence[Gate], facts: Facts, base: Facts | None) -> tuple[Outcome, ...]:
    """Hold a commit against gates. `base` is what delta() and base() look at."""
    found = []
    for gate in gates:
        run = _Check(gate, facts, base)
        passed = run.condition(gate.condition)
        found.append(Outcome(gate.text, passed is True, tuple(run.parts)))
    return tuple(found)


class _Check:
    def __init__(self, gate: Gate, facts: Facts, base: Facts | None) -> None:
        self._gate, self._facts, self._base = gate, facts, base
        self._seen: list[Seen] = []
        self.parts: list[Part] = []

    def condition(self, condition: Condition) -> bool | None:
        """Three values, as Kleene's logic has them: what cannot be told makes true only an "or" with what holds."""
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        found = [self.condition(part) for part in condition.parts]
        if condition.op == "not":
            return None if found[0] is None else not found[0]
        decisive = condition.op == "or"
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    def _comparison(self, one: Comparison) -> bool | None:
        self._seen = []
        text = self._gate.text[one.start : one.end]
        passed: bool | None = None
        why = ""
        near: tuple[str, ...] = ()
        try:
            left = self._value(one.left, one.relative)
            right = self._right(one, left)
            names = [str(value) if isinstance(value, Name) else "a side" for value in (one.left, one.right[0])]
            passed = _holds(left, one.op, right, names)
        except (_Unclear, Absent) as error:
            why, near = error.why, error.near
        self.parts.append(Part(text, passed, tuple(self._seen), why, near))
        return passed

    # ---- values

    def _right(self, one: Comparison, left: Any) -> list[Any]:
        try:
            return [self._value(value, one.relative) for value in one.right]
        except Absent as error:
            if isinstance(left, str | Dtypes):
                raise _Unclear(f"{error.why}; a word stands in quotes: 'word'") from error
            raise

    def _value(self, value: Value, relative: bool) -> Any:
        if isinstance(value, Name):
            found = self._facts.value(value.name, value.scope, self._base)
            self._seen.append(Seen(str(value), found))
            return _plain(found, str(value))
        if isinstance(value, Number | Plain):
            return value.value
        return self._call(value, relative)

    def _call(self, call: Call, relative: bool) -> Any:
        if call.function in ("delta", "base"):
            name = call.arguments[0]
            assert isinstance(name, Name)  # the parser takes nothing else
            return self._delta(name, relative) if call.function == "delta" else self._before(name)
        found = [_figure(self._value(one, relative), call.function) for one in call.arguments]
        if call.function == "abs":
            return abs(found[0])
        return min(found) if call.function == "min" else max(found)

    def _before(self, name: Name) -> Any:
        found = self._of_base(name)
        self._seen.append(Seen(f"base({name})", found))
        return _plain(found, f"base({name})")

    def _of_base(self, name: Name) -> Any:
        if self._base is None:
            raise Absent("there is no base to compare with")
        try:
            return self._base.value(name.name, name.scope)
        except Absent as error:
            raise Absent(f"in the base {self._base.id[:7]} {error.why}", error.near) from error

    def _delta(self, name: Name, relative: bool) -> Figure:
        now = self._facts.value(name.name, name.scope, self._base)
        before = self._of_base(name)
        try:
            new, old = _figure(_plain(now, str(name)), str(name)), _figure(_plain(before, f"base({name})"), str(name))
            change, ratio = _minus(new, old), _ratio(new, old)
        except _Unclear:
            self._seen.append(Seen(str(name), now, before, compared=True))
            raise
        self._seen.append(Seen(str(name), now, before, change, ratio, True))
        found = ratio if relative else change
        if found is None:
            raise _Unclear(f"the change of '{name}' is no number")
        return found


def _holds(left: Any, op: str, right: Sequence[Any], names: Sequence[str]) -> bool:
    """`names`: what the sides are called, for people."""
    if isinstance(left, Dtypes):
        return _dtypes(left, op, right)
    if any(isinstance(one, Dtypes) for one in right):
        raise _Unclear("dtypes stand to the left of a comparison")
    if op in ("in", "not in"):
        return any(_equal(left, one) for one in right) == (op == "in")
    if op in ("=", "!="):
        return _equal(left, right[0]) == (op == "=")
    return _OPS[op](_figure(left, names[0]), _figure(right[0], names[1]))


def _equal(left: Any, right: Any) -> bool:
    """Whether two values are the same; numbers by their value, true is none of them."""
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    return bool(left == right)


def _dtypes(left: Dtypes, op: str, right: Sequence[Any]) -> bool:
    named = {one.upper() for one in right if isinstance(one, str)}
    have = {one.upper() for one in left.counts}
    if op in ("=", "in"):
        return have <= named
    if op in ("!=", "not in"):
        return have.isdisjoint(named)
    raise _Unclear("dtypes have no order")


def _plain(value: Any, name: str) -> Any:
    """A value as it can be compared: numbers exact. Raises _Unclear for NaN and for what is no single value."""
    if isinstance(value, bool) or value is None or isinstance(value, str | Dtypes | Fraction):
        return value
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        if math.isnan(value):
            raise _Unclear(f"'{name}' is NaN")
        # By its shortest text, so that 0.3 - 0.2 is 0.1.
        return value if math.isinf(value) else Fraction(repr(value))
    raise _Unclear(f"'{name}' is no single value")


def _figure(value: Any, name: str) -> Figure:
    if isinstance(value, Fraction) or (isinstance(value, float) and not isinstance(value, bool)):
        return value
    what = "a text" if isinstance(value, str) else "null" if value is None else "no number"
    raise _Unclear(f"'{name}' is {what}, not a number" if what != "no number" else f"'{name}' is no number")


def difference(new: Any, old: Any) -> tuple[Figure | None, Figure | None]:
    """(new minus old, that by the size of old) of two values; None for what is no number, or cannot be told."""
    try:
        after, before = _figure(_plain(new, ""), ""), _figure(_plain(old, ""), "")
    except _Unclear:
        return None, None
    return _minus(after, before), _ratio(after, before)


def _minus(new: Figure, old: Figure) -> Figure | None:
    if isinstance(new, Fraction) and isinstance(old, Fraction):
        return new - old
    if new == old:
        return None
    return new if isinstance(new, float) else -float(old)


def _ratio(new: Figure, old: Figure) -> Figure | None:
    if isinstance(old, float):
        return None
    if isinstance(new, float):
        return new
    if old == 0:
        return Fraction(0) if new == 0 else math.inf if new > 0 else -math.inf
    return (new - old) / abs(old)
