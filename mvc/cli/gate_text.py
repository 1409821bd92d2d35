"""What gates came to: for the terminal, as Markdown, JSON and JUnit XML."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from mvc.cli.commit_text import shown
from mvc.cli.markdown import code, escaped
from mvc.cli.session import Session
from mvc.cli.sizes import counted, human_bytes
from mvc.cli.tables import text_width
from mvc.cli.text import one_line
from mvc.ops.gate import GateResult
from mvc.ops.gate_check import Figure, Outcome, Part, Seen
from mvc.ops.gate_facts import Dtypes

MARKS = {True: "✅ pass", False: "❌ fail"}
"""In Markdown: the words for who cannot see or tell the signs."""

_WORDS = {True: "pass", False: "FAIL"}
_BYTES = ("size", "tensors.bytes")
_MOST_COLUMN = 60


def gate_lines(session: Session, result: GateResult) -> list[str]:
    """A line a gate, and one that sums up."""
    texts = [one_line(one.text) for one in result.outcomes]
    width = min(max((text_width(text) for text in texts), default=0), _MOST_COLUMN)
    lines = []
    for text, one in zip(texts, result.outcomes, strict=True):
        fill = " " * max(width - text_width(text), 0)
        word = session.paint(_WORDS[one.passed], "green" if one.passed else "red bold")
        first, *more = told(one) or [""]
        lines.append(f"{word}  {text}{fill}  {one_line(first)}".rstrip())
        lines += [f"{' ' * (width + 6)}  {one_line(line)}" for line in more]
    return [*lines, session.paint(summary(result), "bold" if result.passed else "red bold")]


def summary(result: GateResult) -> str:
    """ "3 gates: 1 passed, 2 failed; 1a2b3c4 against production (9f8e7d6)"."""
    failed = len(result.failed)
    passed = len(result.outcomes) - failed
    parts = [f"{passed} passed"] if passed else []
    parts += [f"{failed} failed"] if failed else []
    return f"{counted(len(result.outcomes), 'gate')}: {', '.join(parts)}; {against(result)}"


def against(result: GateResult) -> str:
    """What was held against what."""
    if result.base is None:
        return f"{result.commit[:7]}, with no base"
    return f"{result.commit[:7]} against {one_line(result.base_name)} ({result.base[:7]})"


def gate_markdown(result: GateResult) -> list[str]:
    """A table for a pull request."""
    lines = [f"**{_verdict(result)}** {escaped(summary(result))}", "", "| | gate | found |", "|---|---|---|"]
    for one in result.outcomes:
        mark = MARKS[one.passed]
        lines.append(f"| {mark} | {code(one.text)} | {'<br>'.join(escaped(line) for line in told(one))} |")
    return lines


def gate_document(result: GateResult) -> dict[str, Any]:
    """The fields of `--json`. Numbers that JSON has not are text."""
    return {
        "passed": result.passed,
        "commit": result.commit,
        "revision": result.revision,
        "base": {"commit": result.base, "name": result.base_name} if result.base is not None else None,
        "gates": [
            {
                "gate": one.text,
                "passed": one.passed,
                "comparisons": [_part_json(part) for part in one.parts],
            }
            for one in result.outcomes
        ],
    }


def told(one: Outcome) -> list[str]:
    """What was found, a line a comparison; of a gate that failed those that did not hold."""
    parts = one.parts if one.passed else one.failed
    several = len(one.parts) > 1
    lines = []
    for part in parts:
        text = _found(part)
        lines.append(f"{part.text}: {text}" if several else text)
    return lines


def _found(part: Part) -> str:
    if part.passed is None:
        hint = f"; did you mean {' or '.join(part.near)}?" if part.near else ""
        values = ", ".join(seen_text(one) for one in part.seen)
        return f"{part.why}{hint}" + (f" ({values})" if values and not part.near else "")
    return ", ".join(seen_text(one) for one in part.seen)


def seen_text(one: Seen) -> str:
    """ "12 -> 13 (+1, +8.33 %)"."""
    if not one.compared:
        return value_text(one.name, one.value)
    moved = ""
    if one.change is not None:
        sizes = _is_bytes(one.name) and isinstance(one.change, Fraction)
        change = _signed_bytes(int(one.change)) if sizes else signed(one.change)
        ratio = f", {percent_text(one.ratio)}" if one.ratio is not None else ""
        moved = f" ({change}{ratio})"
    return f"{value_text(one.name, one.base)} -> {value_text(one.name, one.value)}{moved}"


def value_text(name: str, value: Any) -> str:
    """A value as people read it: sizes in units, all else as it would be typed."""
    if isinstance(value, Dtypes):
        return ", ".join(f"{dtype} ({count:,})" for dtype, count in sorted(value.counts.items()))
    if isinstance(value, int) and not isinstance(value, bool):
        if _is_bytes(name):
            return human_bytes(value) if value < 1000 else f"{human_bytes(value)} ({value:,} B)"
        return _long(f"{value:,}" if name.startswith("tensors.") else _digits(value))
    return _long(shown(value))


def percent_text(ratio: Figure) -> str:
    """ "+8.33 %", to three digits."""
    number = _float(100 * ratio)
    return f"{number:+.3g} %" if abs(number) < 1000 else f"{number:+.0f} %"


def signed(change: Figure) -> str:
    """A difference with its sign, without the noise of binary fractions."""
    if isinstance(change, Fraction) and change.denominator == 1:
        return _long(f"{'+' if change >= 0 else ''}{_digits(int(change))}")
    return f"{_float(change):+.6g}"


def _float(value: Figure) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _digits(value: int) -> str:
    """Python refuses to write out a number of thousands of digits."""
    return str(value) if abs(value) < 10**30 else f"{'-' if value < 0 else ''}1e{_magnitude(value)} or so"


def _magnitude(value: int) -> int:
    return int(abs(value).bit_length() * math.log10(2))


def _signed_bytes(change: int) -> str:
    return f"{'-' if change < 0 else '+'}{human_bytes(abs(change))}"


def _is_bytes(name: str) -> bool:
    bare = name.removeprefix("base(").removesuffix(")").partition("@")[0]
    return bare in _BYTES


def _long(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."


def _verdict(result: GateResult) -> str:
    return "Passed." if result.passed else "Failed."


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "comparison": part.text,
        "passed": part.passed,
        "why": part.why or None,
        "near": list(part.near),
        "values": [_seen_json(one) for one in part.seen],
    }


def _seen_json(one: Seen) -> dict[str, Any]:
    row: dict[str, Any] = {"name": one.name, "value": _plain(one.value)}
    if one.compared:
        row |= {
            "base": _plain(one.base),
            "change": None if one.change is None else _float(one.change),
            "ratio": None if one.ratio is None else _float(one.ratio),
        }
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, Dtypes):
        return dict(sorted(value.counts.items()))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**300:
        return _digits(value)
    return value
