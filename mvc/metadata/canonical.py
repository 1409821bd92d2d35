"""The form in which `.mvcmeta/*.yaml` is written: one way to write each value, plain YAML for any reader.

`loads` reads that form without a YAML library, since `log` has no time to load one; whatever
else somebody put there goes to the full reader (`mvc.metadata.files`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from mvc.errors import ParseError
from mvc.metadata.values import MAX_DEPTH, scalar

# Words that no YAML, 1.1 or 1.2, reads as anything but a string.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+()-]+)*\Z", re.ASCII)
_WORDS_OF_1_1 = re.compile(r"(?:y|n|yes|no|on|off|true|false|null)\Z", re.IGNORECASE)
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_LINE = re.compile(r'( *)("(?:[^"\\]|\\.)*"|[^\s:"#\[\]{},&*!|>\'%@`-][^:"#]*):(?: (.*))?\Z')


def dumps(groups: Mapping[str, Any]) -> str:
    """Nested groups as YAML, block style, lists in flow style, in the order given."""
    lines: list[str] = []
    _write(groups, 0, lines)
    return "".join(line + "\n" for line in lines)


def _write(groups: Mapping[str, Any], depth: int, lines: list[str]) -> None:
    indent = "  " * depth
    for key, value in groups.items():
        if isinstance(value, dict) and value:
            lines.append(f"{indent}{_string(key)}:")
            _write(value, depth + 1, lines)
        else:
            lines.append(f"{indent}{_string(key)}: {flow(value, plain=True)}")


def flow(value: Any, *, plain: bool = False) -> str:
    """A value on one line. `plain`: a string that needs no quotes has none (in a list it always has)."""
    if isinstance(value, str):
        return _string(value) if plain else _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)}: {flow(item)}" for key, item in value.items()) + "}"
    raise ParseError(f"a value of type {type(value).__name__} cannot be recorded")


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 wants the dot: "1e-05" would be a string there.
    return text if "." in text else text.replace("e", ".0e")


def _string(text: str) -> str:
    return text if _PLAIN.match(text) and not _WORDS_OF_1_1.match(text) else _quoted(text)


def _quoted(text: str) -> str:
    # A JSON string is a YAML double-quoted scalar; the rest is what YAML counts as line ends or not printable.
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


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
    value = json.loads(text) if text.startswith('"') else scalar(text)
    if not isinstance(value, str):
        raise ValueError(text)
    return value


def _read(text: str) -> Any:
    if text[:1] in ('"', "[", "{"):
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse)
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
