"""Text from a repository, made safe for a terminal: nobody's file name or commit message may move its cursor."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ODD_IN_PATH = re.compile('[\x00-\x1f\x7f-\x9f"\\\\\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_SHORT = {
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def printable(text: str) -> str:
    """`text` with control and direction characters shown as escapes; tabs and line ends stay."""
    return _CONTROL.sub(lambda found: _escape(found[0]), text)


def printable_path(path: str) -> str:
    """`path` as it is, or quoted in C's style as Git does it when it holds odd characters."""
    if _ODD_IN_PATH.search(path) is None:
        return path
    return '"' + _ODD_IN_PATH.sub(lambda found: _SHORT.get(found[0]) or _octal(found[0]), path) + '"'


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
