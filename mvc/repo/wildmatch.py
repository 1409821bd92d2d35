"""Git's wildcards as regular expressions: `*`, `?`, `[a-z]`, `[[:digit:]]`, `**`, backslash.

After wildmatch.c of Git and gitignore(5), held against real git by tests. Matches characters where
Git matches bytes, which differs for `?` and ranges on names beyond ASCII.

Ignore files come with what others send, so no pattern may take time without end: what stands between
two wildcards is taken where it is found first, and never looked for again (atomic groups). That
loses no match: whatever the first could not take, the second can.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_NEVER = "(?!)"
_ANY, _IN_NAME, _FOLDERS = ".*", "[^/]*", "(?:[^/]*/)*?"
"""What stars stand for: anything, anything in a name, any folders (`**/`)."""
_WILD = frozenset((_ANY, _IN_NAME))
GLOB_CHARACTERS = frozenset("*?[\\")


def is_glob(pattern: str) -> bool:
    """Does the pattern mean anything but itself?"""
    return not GLOB_CHARACTERS.isdisjoint(pattern)


def literal_prefix(pattern: str) -> str:
    """What every match begins with: the pattern up to its first wildcard."""
    return re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str, *, by_folder: bool, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern as a regular expression for `fullmatch`.

    With `by_folder` (gitignore, `:(glob)`) `*` stops at "/", and `**` between slashes stands for
    any folders; else `*` takes slashes too (Git's plain pathspecs).
    """
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.compile(_translate(pattern, by_folder), flags)


def _translate(pattern: str, by_folder: bool) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            part, at = _stars(pattern, at, by_folder)
        elif char == "?":
            part, at = ("[^/]" if by_folder else "."), at + 1
        elif char == "[":
            part, at = _bracket(pattern, at, by_folder)
        elif char == "\\":
            if at + 1 == len(pattern):
                return _NEVER
            part, at = re.escape(pattern[at + 1]), at + 2
        else:
            part, at = re.escape(char), at + 1
        parts.append(part)
    return _join(parts)


def _join(parts: list[str]) -> str:
    """The expression. What comes between two `**/` ends with a slash, so where it begins tells where it ends."""
    pieces: list[list[str]] = [[]]
    for part in parts:
        if part == _FOLDERS:
            pieces.append([])
        else:
            pieces[-1].append(part)
    first, *others = map(_piece, pieces)
    if not others:
        return first
    return first + "".join(f"(?>{_FOLDERS}{piece})" for piece in others[:-1]) + _FOLDERS + others[-1]


def _piece(parts: list[str]) -> str:
    """The expression of parts without `**/`."""
    starts = [at for at, part in enumerate(parts) if part in _WILD]
    if not starts:
        return "".join(parts)
    between = ("".join(parts[start + 1 : end]) for start, end in pairwise(starts))
    atoms = (f"(?>{parts[start]}?{fixed})" for start, fixed in zip(starts, between, strict=False))
    return "".join((*parts[: starts[0]], *atoms, *parts[starts[-1] :]))


def _stars(pattern: str, at: int, by_folder: bool) -> tuple[str, int]:
    """One or more stars from `at`: their expression, and where they end."""
    end = at
    while end < len(pattern) and pattern[end] == "*":
        end += 1
    if not by_folder:
        return _ANY, end
    whole = end - at >= 2 and (at == 0 or pattern[at - 1] == "/")
    if whole and end == len(pattern):
        return _ANY, end
    if whole and pattern[end] == "/":
        return _FOLDERS, end + 1
    if whole and pattern.startswith("\\/", end):
        return _FOLDERS, end + 2
    return _IN_NAME, end


def _bracket(pattern: str, at: int, by_folder: bool) -> tuple[str, int]:
    """A bracket expression from `at`; one that never ends matches nothing, as in Git."""
    end = at + 1
    negated = pattern[end : end + 1] in ("!", "^")
    end += negated
    parts: list[str] = []
    first = True
    while True:
        char = pattern[end : end + 1]
        if not char:
            return _NEVER, len(pattern)
        if char == "]" and not first:
            break
        first = False
        if char == "[" and pattern[end + 1 : end + 2] == ":":
            close = pattern.find(":]", end + 2)
            name = pattern[end + 2 : close] if close >= 0 else ""
            if close >= 0:
                if name not in _CLASSES:
                    return _NEVER, len(pattern)
                parts.append(_CLASSES[name])
                end = close + 2
                continue
        low, end = _member(pattern, end)
        if pattern[end : end + 1] == "-" and pattern[end + 1 : end + 2] not in ("]", ""):
            high, end = _member(pattern, end + 1)
            if low and high and low <= high:
                parts.append(f"{re.escape(low)}-{re.escape(high)}")
            continue
        parts.append(re.escape(low))
    inside = "".join(parts)
    guard = "(?!/)" if by_folder else ""
    if not inside:
        return (guard + "." if negated else _NEVER), end + 1
    return f"{guard}[{'^' if negated else ''}{inside}]", end + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    """A character of a bracket expression, perhaps escaped, and where the next begins."""
    if pattern[at] == "\\" and at + 1 < len(pattern):
        return pattern[at + 1], at + 2
    return pattern[at], at + 1
