"""The form in which `.mvcmeta/*.yaml` is written: one way to write each value, plain YAML for any reader.

docs/format/metadata.md specifies it; `mvc.metadata.lean` reads it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from mvc.errors import ParseError

# Words that no YAML, 1.1 or 1.2, reads as anything but a string.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+()-]+)*\Z", re.ASCII)
_WORDS_OF_1_1 = re.compile(r"(?:y|n|yes|no|on|off|true|false|null)\Z", re.IGNORECASE)
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


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
