"""Git's config syntax: text to entries, and entries to text. git-config(1), "CONFIGURATION FILE".

A text is cut into parts that join to the very same text again, so that an edit leaves all else as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mvc.errors import ParseError, UsageError

_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)\s*(?:[ \t]"((?:[^"\\\n]|\\[^\n])*)"\s*)?\]')
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\f\v]*(?:[#;][^\n]*)?(?:\n|\Z))+")
_KEY = re.compile(r"([A-Za-z0-9-]+)\.(?:(.*)\.)?([A-Za-z][A-Za-z0-9-]*)\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", "\\": "\\", '"': '"'}
_ESCAPED = {char: f"\\{letter}" for letter, char in _ESCAPES.items()}
MAX_FILE = 8 * 1024 * 1024


class Part(NamedTuple):
    """A piece of a config file. `section` is what it belongs to ("core", "remote.origin"); `name` is the key's last
    part for an entry, None for a section's header and for blanks and comments (`header` tells which)."""

    text: str
    section: str
    name: str | None = None
    value: str = ""
    header: bool = False

    @property
    def key(self) -> str | None:
        """The whole key, in the form of `normal_key`."""
        return None if self.name is None else f"{self.section}.{self.name}"


def normal_key(key: str) -> str:
    """A key with section and name in lower case. Raises UsageError if it is none."""
    match = _KEY.match(key)
    if match is None:
        raise UsageError(f"{key!r} is not a key", hint="a key is as in: core.threads, remote.origin.url")
    section, subsection, name = match.groups()
    middle = f".{subsection}" if subsection is not None else ""
    return f"{section.lower()}{middle}.{name.lower()}"


def parse(text: str) -> list[Part]:
    """The parts of a config file. Raises ParseError with the line's number."""
    return list(_parts(text))


def _parts(text: str) -> Iterator[Part]:
    section = ""
    at = 1 if text.startswith("\ufeff") else 0
    if at:
        yield Part(text[:1], section)
    while at < len(text):
        begin = at
        blank = _BLANK.match(text, at)
        if blank is not None and blank.end() > at:
            at = blank.end()
            yield Part(text[begin:at], section)
            continue
        at = _skip(text, at)
        head = _SECTION.match(text, at)
        if head is not None:
            section = _section_name(head[1], head[2])
            at = head.end()
            yield Part(text[begin:at], section, header=True)
            continue
        name = _NAME.match(text, at)
        if name is None or not section:
            raise _error(text, at, "a section or a key was expected")
        value, at = _value(text, name.end())
        yield Part(text[begin:at], section, name[1].lower(), value)


def _section_name(section: str, subsection: str | None) -> str:
    if subsection is None:
        return section.lower()
    return section.lower() + "." + re.sub(r"\\(.)", r"\1", subsection)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r":
        at += 1
    return at


def _value(text: str, at: int) -> tuple[str, int]:
    """The value behind a name, and where the next line begins. A name alone means true."""
    if at >= len(text) or text[at] in "\r\n#;":
        return "true", _line_end(text, at)
    if text[at] != "=":
        raise _error(text, at, "'=' was expected")
    at = _skip(text, at + 1)
    out: list[str] = []
    quoted = False
    solid = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\n":
            if quoted:
                raise _error(text, at - 1, "a quote is not closed")
            break
        if char == "\\":
            following = text[at : at + 2] if text[at : at + 2] == "\r\n" else text[at : at + 1]
            at += len(following)
            if following in {"\n", "\r\n"}:
                continue
            if following not in _ESCAPES:
                raise _error(text, at - 1, "an unknown escape")
            out.append(_ESCAPES[following])
        elif char == '"':
            quoted = not quoted
        elif char in "#;" and not quoted:
            at = _line_end(text, at)
            break
        else:
            out.append(char)
            if char in " \t\r" and not quoted:
                continue
        solid = len(out)
    else:
        if quoted:
            raise _error(text, at, "a quote is not closed")
    return "".join(out[:solid]), at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _error(text: str, at: int, why: str) -> ParseError:
    return ParseError(f"line {text.count(chr(10), 0, at) + 1} of the config: {why}")


def dump_entry(name: str, value: str) -> str:
    """An entry as a line."""
    if "\0" in value:
        raise UsageError(f"the value of {name} holds a NUL")
    escaped = "".join([_ESCAPED.get(char, char) for char in value])
    if value != value.strip() or any(char in value for char in "#;\r\f\v"):
        escaped = f'"{escaped}"'
    return f"\t{name} = {escaped}\n"


def dump_header(section: str) -> str:
    """A section's header as a line."""
    name, dot, subsection = section.partition(".")
    if not dot:
        return f"[{name}]\n"
    if "\n" in subsection or "\0" in subsection:
        raise UsageError(f"{section!r} cannot be a section")
    escaped = subsection.replace("\\", "\\\\").replace('"', '\\"')
    return f'[{name} "{escaped}"]\n'
