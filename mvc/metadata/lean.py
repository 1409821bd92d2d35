"""Reads the form in which mvc writes `.mvcmeta/*.yaml`, without a YAML library: `log` has no time to load one.

Whatever else somebody put there goes to the full reader (`mvc.metadata.files`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from mvc.lazy import load
from mvc.metadata.values import MAX_DEPTH, MAX_VALUES, scalar

_JSON_LOADS = "json:loads"
"""Loaded for strings in quotes and lists alone: most params and metrics are numbers and words."""

_LINE = re.compile(r'( *)("(?:[^"\\]|\\.)*"|[^\s:"#\[\]{},&*!|>\'%@`-](?:[^:"#]*[^\s:"#])?):(?: (.*))?\Z')
_ROW = re.compile(
    r'^( *)([^\s:"#\[\]{},&*!|>\'%@`.-](?:[^:"#\n.@]*[^\s:"#.@])?(?:@(?:[^:"#\n]*[^\s:"#])?)?):(?: ([^\n\[{].*))?$',
    re.MULTILINE,
)
"""The usual line: a name without quotes, with no dot but behind an "@"; no list."""
_SHORT = 24
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


def loads_flat(text: str) -> dict[str, Any] | None:
    """`flatten(loads(text))` at once, in a third of the time; None where that could be anything else."""
    rows = _ROW.findall(text)
    if len(rows) != text.count("\n") or text[-1:] != "\n" or len(rows) > MAX_VALUES:
        return None
    flat: dict[str, Any] = {}
    groups: set[str] = set()
    prefixes = [""]  # of the groups that the line stands in
    indent = 0
    opened = False
    try:
        for spaces, key, value in rows:
            if len(spaces) != indent:
                indent = len(spaces)
                if opened or indent % 2 or indent // 2 >= len(prefixes):
                    return None
                del prefixes[indent // 2 + 1 :]
            name = prefixes[-1] + key
            if name in flat or name in groups or not _is_name(key):
                return None
            opened = not value
            if value:
                flat[name] = _read_short(value) if len(value) <= _SHORT else _read(value)
            elif len(prefixes) > MAX_DEPTH or "@" in key:
                return None
            else:
                groups.add(name)
                prefixes.append(name + ".")
                indent += 2
    except ValueError:
        return None
    return None if opened else flat


@lru_cache(maxsize=1024)
def _is_name(key: str) -> bool:
    return isinstance(scalar(key), str)


def _read_string(text: str) -> str:
    value = load(_JSON_LOADS)(text) if text.startswith('"') else scalar(text)
    if not isinstance(value, str):
        raise ValueError(text)
    return value


def _read(text: str) -> Any:
    if text[:1] in ('"', "[", "{"):
        return load(_JSON_LOADS)(text, object_pairs_hook=_distinct, parse_constant=_refuse)
    if _PLAIN.match(text):
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


_read_short = lru_cache(maxsize=1024)(_read)
"""Of scalars alone, which nobody can change; the same ones come again in every commit."""
