"""Reads the form in which mvc writes `.mvcmeta/*.yaml`, without a YAML library: `log` has no time to load one.

Whatever else somebody put there goes to the full reader (`mvc.metadata.files`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from mvc.lazy import load
from mvc.metadata.values import MAX_DEPTH, MAX_VALUES, exact, is_float, scalar

_JSON_LOADS = "json:loads"
"""Loaded for strings in quotes and lists alone: most params and metrics are numbers and words."""

_LINE = re.compile(r'( *)("(?:[^"\\]|\\.)*"|[^\s:"#\[\]{},&*!|>\'%@`-](?:[^:"#]*[^\s:"#])?):(?: (.*))?\Z')
_ROW = re.compile(
    r'( *)("[0-9]+"|[^\s:"#\[\]{},&*!|>\'%@`.-](?:[^:"#\n.@]*[^\s:"#.@])?(?:@(?:[^:"#\n]*[^\s:"#])?)?):'
    r"(?: ([^\n\[{].*))?"
)
"""The usual line: a name without quotes, with no dot but behind an "@", or a number in quotes; no list."""

_Row = tuple[int, str, Any]
"""How far a line is indented, its name, and its value: `_GROUP` where it begins a group."""
_GROUP = object()
_known: dict[str, _Row] = {}
"""Lines that were read before: most params are those of the commit before."""
_heads: dict[str, tuple[int, str]] = {}
"""Of lines with a value, what stood before its colon: how far it was indented, and the name."""
_MOST_KNOWN = 4096
_SHORT = 64

_FLOAT = r"([-+]?[0-9]{1,20}\.[0-9]{0,30}(?:[eE][-+]?[0-9]{1,2})?)"
"""Of no more than 10^119: it fits into a float."""
_OTHER = r"([^\n\[{][^\n]*)"
_MANY = 300
"""So many files are read line by line before the form of one is learnt (it takes some ms)."""
_MOST_FORMS = 8
_LONG = 1000
"""Lines. The form of a file of more is not learnt."""
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


class _Form(NamedTuple):
    """What the files of a history have in common: names and groups, between which the values stand."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]
    floats: tuple[int, ...]
    others: tuple[int, ...]
    """Which of the values are floats, and which anything else."""

    def read(self, text: str) -> dict[str, Any] | None:
        """What a text of this form says; None for one of another."""
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        values: list[Any] = list(found.groups())
        for at in self.floats:
            values[at] = float(values[at])
        try:
            for at in self.others:
                values[at] = _short_value(values[at]) if len(values[at]) <= _SHORT else _read(values[at])
        except (ValueError, RecursionError):
            return None
        return dict(zip(self.names, values, strict=True))


class _Forms:
    """The forms that were learnt. A long history has few, and to read by one takes a fifth of the time."""

    def __init__(self) -> None:
        self._known: list[_Form] = []
        self._slow = 0
        self._next = _MANY

    def read(self, text: str) -> dict[str, Any] | None:
        """What a text of a known form says."""
        for form in self._known:
            found = form.read(text)
            if found is not None:
                return found
        return None

    def missed(self, text: str, flat: dict[str, Any]) -> None:
        """A text was read line by line: now and then the next of its kind is worth while to know."""
        self._slow += 1
        if self._slow < self._next or text.count("\n") > _LONG:
            return
        if len(self._known) >= _MOST_FORMS:
            self._next *= 2  # they are all different
            del self._known[0]
        self._slow = 0
        self._known.append(_form(text, flat))


def _form(text: str, flat: dict[str, Any]) -> _Form:
    """The form of a text that says `flat`."""
    parts: list[str] = []
    floats: list[int] = []
    others: list[int] = []
    for line in text.split("\n")[:-1]:
        head, is_value, value = line.partition(": ")
        if is_value:
            is_number = re.fullmatch(_FLOAT, value) is not None
            (floats if is_number else others).append(len(floats) + len(others))
            head = f"{re.escape(head)}: {_FLOAT if is_number else _OTHER}"
        else:
            head = re.escape(line)
        parts.append(head + "\n")
    return _Form(re.compile("".join(parts)), tuple(flat), tuple(floats), tuple(others))


@lru_cache(maxsize=_MOST_KNOWN)
def _short_value(text: str) -> Any:
    return _read(text)


_forms = _Forms()


def loads_flat(text: str) -> dict[str, Any] | None:
    """`flatten(loads(text))` at once, in a fifth of the time; None where that could be anything else."""
    flat = _forms.read(text)
    if flat is None:
        flat = _line_by_line(text)
        if flat:
            _forms.missed(text, flat)
    return flat


def _line_by_line(text: str) -> dict[str, Any] | None:
    lines = text.split("\n")
    if lines.pop() or len(lines) > MAX_VALUES:
        return None
    flat: dict[str, Any] = {}
    groups: set[str] = set()
    prefixes = [""]  # of the groups that the line stands in
    indent, prefix, opened = 0, "", False
    for line in lines:
        row = _known.get(line) or _row(line)
        if row is None:
            return None
        spaces, key, value = row
        if spaces != indent:
            if opened or spaces % 2 or spaces // 2 >= len(prefixes):
                return None
            indent = spaces
            del prefixes[indent // 2 + 1 :]
            prefix = prefixes[-1]
        name = prefix + key
        if name in flat or name in groups:
            return None
        if value is not _GROUP:
            flat[name] = value
            opened = False
            continue
        if len(prefixes) > MAX_DEPTH:
            return None
        groups.add(name)
        prefix = name + "."
        prefixes.append(prefix)
        indent += 2
        opened = True
    return None if opened else flat


def _row(line: str) -> _Row | None:
    # Nearly all that is not known already is a new number behind a name that is.
    head, _, text = line.partition(": ")
    place = _heads.get(head)
    if place is not None and "." in text and len(line) <= _SHORT and is_float(text):
        return *place, exact(text)
    found = _ROW.fullmatch(line)
    if found is None:
        return None
    spaces, key, value = found.groups()
    if key[0] == '"':
        key = key[1:-1]
    elif not _is_name(key) or (not value and "@" in key):
        return None
    if value and len(line) <= _SHORT and len(_heads) < _MOST_KNOWN:
        _heads[head] = len(spaces), key
    if value and "." in value and len(line) <= _SHORT and is_float(value):
        return len(spaces), key, exact(value)
    try:
        row = (len(spaces), key, _read(value) if value else _GROUP)
    except ValueError:
        return None
    if len(line) <= _SHORT and len(_known) < _MOST_KNOWN:
        _known[line] = row
    return row


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
        return load(_JSON_LOADS)(text, object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=exact)
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
