"""Files of params and metrics: YAML, JSON, TOML, nested. Nothing is ever built from them but plain values."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvc.errors import NotFound, ParseError, UsageError
from mvc.lazy import load
from mvc.metadata.values import MAX_BYTES, MOST_DIGITS, exact, flatten

_YAML = "mvc.metadata.yaml12:read"
"""Loads PyYAML, which takes as long as all else of a `log` together."""

KINDS = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


def load_values(path: Path) -> dict[str, Any]:
    """The values of a file, as dotted names. Raises NotFound, UsageError (kind, size), ParseError (file and line)."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: of which kind is it?", hint="a name that ends in .yaml, .yml, .json or .toml")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no such file: {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder") from error
    return flat_values(data, kind, str(path))


def flat_values(data: bytes, kind: str, name: str) -> dict[str, Any]:
    """The values of a file's bytes, as dotted names; `kind` is "yaml", "json" or "toml", `name` goes into errors."""
    groups = grouped_values(data, kind, name)
    try:
        return flatten(groups)
    except ParseError as error:
        raise ParseError(f"{name}: {error.message}") from error


def grouped_values(data: bytes, kind: str, name: str) -> dict[str, Any]:
    """As `flat_values`, with the groups as they are nested in the file."""
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name} is larger than {MAX_BYTES >> 20} MiB: too large for params or metrics")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(f"{name}: not UTF-8, at byte {error.start}") from error
    try:
        groups = _READERS[kind](text)
    except ParseError as error:
        raise ParseError(f"{name}: {error.message}") from error
    except RecursionError as error:
        raise ParseError(f"{name}: nested too deep") from error
    if not isinstance(groups, dict):
        raise ParseError(f"{name}: no names at its top, but a list or a single value")
    return groups


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=distinct_names(text), parse_float=exact, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ParseError(f"line {error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}") from error


def _whole(text: str) -> Any:
    if len(text) > MOST_DIGITS:
        raise ParseError("a number has too many digits")
    return int(text)


def distinct_names(text: str, first: int = 1) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """For `object_pairs_hook`: `json` would take the last of a name that stands twice in `text`, whose first line is
    number `first` of its file. Here that is a ParseError."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                raise ParseError(f"'{key}' stands twice{_lines_of(text, key, first)}")
            made[key] = value
        return made

    return distinct


def _lines_of(text: str, key: str, first: int) -> str:
    """Where a key of JSON stands; the standard parser does not tell. Shows no more than it found."""
    found = re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)
    lines = list(dict.fromkeys(str(text.count("\n", 0, match.start()) + first) for match in found))[:8]
    return f" (line{'s' * (len(lines) > 1)} {', '.join(lines)})" if lines else ""


def _toml(text: str) -> Any:
    try:
        return _plain_values(tomllib.loads(text, parse_float=_toml_float))
    except tomllib.TOMLDecodeError as error:
        raise ParseError(str(error)) from error
    except ValueError as error:
        raise ParseError("a number has too many digits") from error


def _toml_float(text: str) -> Any:
    """TOML's own words for what is no number, too."""
    return float(text) if text.lstrip("+-") in ("inf", "nan") else exact(text.replace("_", ""))


def _plain_values(value: Any) -> Any:
    """TOML's dates and times as the text they were."""
    if isinstance(value, dict):
        return {key: _plain_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_values(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _yaml(text: str) -> Any:
    return load(_YAML)(text)


_READERS: dict[str, Callable[[str], Any]] = {"yaml": _yaml, "json": _json, "toml": _toml}
