"""Reads the form in which mvc writes `.mvcmeta/*.yaml`, without a YAML library: `log` has no time to load one.

Whatever else somebody put there goes to the full reader (`mvc.metadata.files`).
"""

from __future__ import annotations

import re
from typing import Any

from mvc.lazy import load
from mvc.metadata.values import MAX_DEPTH, scalar

_JSON_LOADS = "json:loads"
"""Loaded for strings in quotes and lists alone: most params and metrics are numbers and words."""

_LINE = re.compile(r'( *)("(?:[^"\\]|\\.)*"|[^\s:"#\[\]{},&*!|>\'%@`-][^:"#]*):(?: (.*))?\Z')
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+()-]+)*\Z", re.ASCII)


def loads(text: str) -> dict[str, Any] | None:
    """What `dumps` wrote; None when `text` is not of that form (then a YAML library must read it)."""
    groups: dict[str, Any] = {}
    stack: list[dict[str, Any]] = [groups]
    opened: dict[str, Any] | None = None
    for line in text.split("\n"):
        if not line:
            continue
        found = _LINE.match(line)
        if found is None:
            return None
        depth, odd = divmod(len(found[1]), 2)
        if opened is not None:
            if depth != len(stack):
                return None
            stack.append(opened)
        if odd or depth >= len(stack) or depth > MAX_DEPTH:
            return None
        del stack[depth + 1 :]
        try:
            key = _read_string(found[2])
            opened = {} if found[3] is None else None
            value = opened if opened is not None else _read(found[3])
        except (ValueError, RecursionError):
            return None
        if key in stack[-1]:
            return None
        stack[-1][key] = value
    return groups if opened is None else None


def _read_string(text: str) -> str:
    value = load(_JSON_LOADS)(text) if text.startswith('"') else scalar(text)
    if not isinstance(value, str):
        raise ValueError(text)
    return value


def _read(text: str) -> Any:
    if text[:1] in ('"', "[", "{"):
        return load(_JSON_LOADS)(text, object_pairs_hook=_distinct, parse_constant=_refuse)
    if text.startswith((".", "-.")) or _PLAIN.match(text):
        return scalar(text)
    value = scalar(text)
    if isinstance(value, str):
        raise ValueError(text)
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _refuse(word: str) -> Any:
    raise ValueError(f"{word}: a string to YAML, a number to this parser")
