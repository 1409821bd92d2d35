"""Scalars, and nested groups as dotted names. Pure functions, shared by all readers and the writer.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), not
1.1: `1e-5` is a number, `no` and `on` are words, `010` is ten.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mvc.errors import ParseError

MAX_DEPTH = 32
"""Groups in groups, at most."""

MAX_VALUES = 20_000
"""Values in one file, lists' items and what aliases repeat included."""

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of one file of params or metrics."""

_FIRST_OF_NO_STRING = frozenset("+-.0123456789~nNtTfF")
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?[0-9]+\Z", re.ASCII)
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)\Z")
_NAN = {".nan", ".NaN", ".NAN"}
MOST_DIGITS = 4000
"""Of an integer: Python refuses to convert longer ones, as conversion is quadratic."""


def is_float(text: str) -> bool:
    """Whether this is a finite number as `float` reads it (a whole one too)."""
    return _FLOAT.match(text) is not None


def scalar(text: str) -> Any:
    """What a plain scalar stands for: None, bool, int, float or str."""
    if text and text[0] not in _FIRST_OF_NO_STRING:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if len(text) > MOST_DIGITS:
        return text
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if is_float(text):
        return exact(text)
    if text in _NAN:
        return float("nan")
    if found := _INFINITE.match(text):
        return float(f"{found[1]}inf")
    return text


def exact(text: str) -> Any:
    """The number that a text of digits stands for; the text itself where a float is too small for it (1e400)."""
    value = float(text)
    return text if math.isinf(value) else value


def flatten(groups: Mapping[str, Any]) -> dict[str, Any]:
    """Nested groups as dotted names, in order. ParseError for names that meet, too deep groups, too many values."""
    if len(groups) <= MAX_VALUES and not any(map(_is_group, groups.items())):
        return dict(groups)
    flat: dict[str, Any] = {}
    for name, value in _leaves(groups, "", 0):
        if name in flat:
            raise ParseError(f"'{name}' stands twice")
        flat[name] = value
    _check_no_value_is_a_group(flat)
    if sum(weight(value) for value in flat.values()) > MAX_VALUES:
        raise ParseError(f"more than {MAX_VALUES:,} values")
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested groups, sorted by name. A scope ("acc@dir/model.bin") is not taken apart."""
    groups: dict[str, Any] = {}
    for name in sorted(flat):
        *path, last = split_name(name)
        group = groups
        for part in path:
            group = group.setdefault(part, {})
        group[last] = flat[name]
    return groups


def split_name(name: str) -> list[str]:
    """The parts of a dotted name; dots after an "@" belong to the path that follows it."""
    before, at, scope = name.partition("@")
    parts = before.split(".")
    parts[-1] += at + scope
    return parts


def weight(value: Any, depth: int = 0) -> int:
    """How many values a leaf holds. Raises ParseError when it is nested too deep."""
    if depth > MAX_DEPTH:
        raise ParseError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        return 1 + sum(weight(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return 1 + sum(weight(item, depth + 1) for item in value.values())
    return 1


def _is_group(item: tuple[str, Any]) -> bool:
    """Whether a name and its value need a closer look."""
    return "." in item[0] or isinstance(item[1], (dict, list))


def _leaves(groups: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise ParseError(f"nested deeper than {MAX_DEPTH}")
    for key, value in groups.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, name + ".", depth + 1)
        else:
            yield name, value


def _check_no_value_is_a_group(flat: Mapping[str, Any]) -> None:
    for name in flat:
        parts = split_name(name)
        for count in range(1, len(parts)):
            group = ".".join(parts[:count])
            if group in flat:
                raise ParseError(f"'{group}' is both a value and a group (it holds '{name}')")
