"""The section `hooks` of `mvc.yaml`: what the hook pre-commit lets into Git.

hooks:
  weights: 5 MB            # raw weights from this size on are refused; 0: never
  allow: [tests/data/*]    # paths that pass whatever they hold
  globals: [mymodels.Net]  # what pickles may load besides
  pickles: strict          # refuse pickles that load what is not known to be safe
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from mvc.errors import ParseError
from mvc.gitlink.guard import Rules
from mvc.metadata.project import NAME, read_project

SECTION = "hooks"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b?)", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def read_rules(top: Path) -> Rules:
    """The rules that `TOP/mvc.yaml` gives; the usual ones where there is none. Raises ParseError."""
    section = read_project(top / NAME).sections.get(SECTION) if (top / NAME).is_file() else None
    if section is None:
        return Rules()
    if not isinstance(section, dict):
        raise ParseError(f"{NAME}: '{SECTION}' takes names and values")
    if odd := set(section) - {"weights", "allow", "globals", "pickles"}:
        raise ParseError(f"{NAME}: '{SECTION}' has no '{min(map(str, odd))}'", hint="weights, allow, globals, pickles")
    rules = Rules()
    if "weights" in section:
        rules = replace(rules, weights=parse_size(section["weights"]))
    if section.get("pickles", "dangerous") not in ("dangerous", "strict"):
        raise ParseError(f"{NAME}: '{SECTION}.pickles' is dangerous or strict")
    return replace(
        rules,
        allow=_texts(section, "allow"),
        globals=_texts(section, "globals"),
        strict=section.get("pickles") == "strict",
    )


def parse_size(value: Any) -> int:
    """Bytes of `5242880`, "5 MB" (10**6), "5 MiB" or "5m" (2**20). Raises ParseError."""
    found = _SIZE.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if found is None:
        raise ParseError(f"'{value}' is no size", hint="as in: 5 MB, 512k, 0 for no limit")
    unit = 1000 if found[3].lower() == "b" else 1024
    return int(float(found[1]) * unit ** _UNITS[found[2].lower()])


def _texts(section: dict[str, Any], name: str) -> tuple[str, ...]:
    value = section.get(name) or []
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ParseError(f"{NAME}: '{SECTION}.{name}' takes a list of texts")
    return tuple(value)
