"""Metrics by step: `.mvcmeta/series.jsonl`, a line a step (docs/format/metadata.md).

Read and written line by line. A line costs memory only while it is looked at.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mvc.errors import ParseError
from mvc.metadata.model import Point
from mvc.metadata.values import MOST_DIGITS, exact

MAX_BYTES = 16 * 1024 * 1024
"""Of the file."""

MOST_METRICS = 10_000
"""Of one step."""

_MOST_STEP = 2**63
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_UNICODE = re.compile("[\ud800-\udfff]")


def dump_series(points: Iterable[Point]) -> bytes:
    """The file. Raises ParseError for what cannot be recorded, and for more than `MAX_BYTES`."""
    lines: list[bytes] = []
    total = 0
    for point in points:
        line = dump_point(point)
        total += len(line)
        if total > MAX_BYTES:
            raise ParseError(f"the series would be larger than {MAX_BYTES >> 20} MiB: log every tenth step")
        lines.append(line)
    return b"".join(lines)


def dump_point(point: Point) -> bytes:
    """A step's line: `{"step":10,"metrics":{"loss":0.25}}`. NaN and infinities, which JSON lacks, are words."""
    check_point(point)
    values = {name: _written(value) for name, value in point.values.items()}
    text = json.dumps({"step": point.step, "metrics": values}, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def check_point(point: Point) -> None:
    """Raise ParseError unless `point` is a step and numbers by name."""
    step = point.step
    if not isinstance(step, int) or isinstance(step, bool) or not -_MOST_STEP < step < _MOST_STEP:
        raise ParseError(f"the step {str(step)[:40]!r} is not a whole number of 64 bits")
    if len(point.values) > MOST_METRICS:
        raise ParseError(f"more than {MOST_METRICS:,} metrics at step {step}")
    for name, value in point.values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ParseError(f"'{name}' at step {step} is {str(value)[:40]!r}, not a number")
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise ParseError(f"'{name}' at step {step} has too many digits")
        if not name or _UNICODE.search(name):
            raise ParseError(f"{name!a} at step {step} is no name")


def read_series(data: bytes, name: str = "series.jsonl") -> Iterator[Point]:
    """The steps, in the order of the file. Raises ParseError with the line."""
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        line = data[start:end].strip()
        start = end + 1
        if not line:
            continue
        try:
            point = parse_point(line)
        except ParseError as error:
            raise ParseError(f"{name}: line {number}: {error.message}") from error
        yield point


def parse_point(line: bytes) -> Point:
    """What `dump_point` wrote. Raises ParseError."""
    try:
        found = json.loads(line.decode(), object_pairs_hook=_distinct, parse_float=exact)
    except UnicodeDecodeError as error:
        raise ParseError("not UTF-8") from error
    except RecursionError as error:
        raise ParseError("nested too deep") from error
    except ValueError as error:
        raise ParseError("not JSON") from error
    if not isinstance(found, dict) or not isinstance(found.get("metrics"), dict) or "step" not in found:
        raise ParseError('not {"step": NUMBER, "metrics": {...}}')
    point = Point(found["step"], {name: _read(value) for name, value in found["metrics"].items()})
    check_point(point)
    return point


def _written(value: float) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _read(value: Any) -> Any:
    return _WORDS.get(value, value) if isinstance(value, str) else value


def _distinct(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ParseError("a name stands twice")
    return made
