"""Text from a repository, made safe for a terminal: nobody's file name or commit message may move its cursor."""

from __future__ import annotations

import re
from functools import cache

# Directions, and what is no character: besides the control characters.
_UNSEEN = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_UNSEEN}]"
_ODD_IN_PATH = f'[\x00-\x1f\x7f-\x9f"\\\\{_UNSEEN}]'
_ESCAPES = (
    ("\a", "a"),
    ("\b", "b"),
    ("\t", "t"),
    ("\n", "n"),
    ("\v", "v"),
    ("\f", "f"),
    ("\r", "r"),
    ('"', '"'),
    ("\\", "\\"),
)
_SHORT = {character: f"\\{letter}" for character, letter in _ESCAPES}


def printable(text: str) -> str:
    """`text` with control and direction characters shown as escapes; tabs and line ends stay."""
    if text.isprintable():
        return text
    return _pattern(_CONTROL).sub(lambda found: _escape(found[0]), text)


def one_line(text: str) -> str:
    """As `printable`, line ends and tabs shown as escapes too: for messages that quote names."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def printable_path(path: str) -> str:
    """`path` as it is, or quoted in C's style as Git does it when it holds odd characters."""
    if path.isprintable() and '"' not in path and "\\" not in path:
        return path
    odd = _pattern(_ODD_IN_PATH)
    if odd.search(path) is None:
        return path
    return '"' + odd.sub(lambda found: _SHORT.get(found[0]) or _octal(found[0]), path) + '"'


@cache
def _pattern(text: str) -> re.Pattern[str]:
    # Compiled when first needed: it takes a millisecond, and most texts are plain.
    return re.compile(text)


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
