"""Patterns as SQLite's GLOB takes them, which is exact about case, as LIKE is not."""

from __future__ import annotations

_SPECIAL = "*?["


def from_like(pattern: str) -> str:
    """SQL's: "%" stands for anything, "_" for a character."""
    return "".join("*" if c == "%" else "?" if c == "_" else f"[{c}]" if c in _SPECIAL else c for c in pattern)


def from_glob(pattern: str) -> str:
    """A shell's: "*", "?", "[abc]", "[!abc]". A bracket that is never closed stands for itself."""
    parts = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = _set_end(pattern, at) if char == "[" else -1
        if end > 0:
            inside = pattern[at + 1 : end]
            parts.append(f"[^{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]")
            at = end + 1
            continue
        parts.append("[[]" if char == "[" else char)
        at += 1
    return "".join(parts)


def _set_end(pattern: str, start: int) -> int:
    """Where the set that begins at `start` ends; -1 for none. A bracket that comes first is one of the set."""
    first = start + 1
    if pattern[first : first + 1] in ("!", "^"):
        first += 1
    return pattern.find("]", first + 1)
