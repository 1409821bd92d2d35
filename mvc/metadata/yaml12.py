"""YAML to plain values, by the core schema of YAML 1.2, from events: no object is ever constructed by a tag.

Refused with the line: a key that stands twice, any tag but the core ones, aliases that would
expand to more than MAX_VALUES values or that hold themselves, groups deeper than MAX_DEPTH.
The merge key `<<` works, as many configurations use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from mvc.errors import ParseError
from mvc.metadata.values import MAX_DEPTH, MAX_VALUES, scalar

# The scanner in C is 20 times as fast. Both give the same events, and neither constructs anything.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_STRING_TAGS = {"!", _CORE + "str"}
_SCALAR_TAGS = {_CORE + kind for kind in ("null", "bool", "int", "float")}


@dataclass(slots=True)
class _Built:
    """A value, and how many values it is when every alias in it is written out."""

    value: Any
    weight: int


def read(text: str, most: int = MAX_VALUES) -> Any:
    """The single document of `text`, of at most so many values: {} when there is none. Raises ParseError."""
    return read_marked(text, most)[0]


def read_marked(text: str, most: int = MAX_VALUES) -> tuple[Any, dict[tuple[str, ...], int]]:
    """As `read`, and in which line each name of a group stands: ("datasets", "train") -> 3."""
    try:
        reader = _Reader(yaml.parse(text, Loader=_LOADER), most)
        return reader.document(), reader.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ParseError(f"{where}{error.problem or error.context or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise ParseError("not YAML: " + str(error).split("\n", 1)[0]) from error


class _Reader:
    def __init__(self, events: Iterator[Any], most: int) -> None:
        self._events, self._most = events, most
        self._anchors: dict[str, _Built | None] = {}
        self._total = 0
        self._path: list[str] = []
        self.lines: dict[tuple[str, ...], int] = {}
        """Where names of groups stand, those inside of lists left out."""

    def document(self) -> Any:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return {}
        built = self._node(next(self._events), 0)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _error(after, "a second document")
        return {} if built.value is None else built.value

    def _node(self, event: Any, depth: int) -> _Built:
        if depth > MAX_DEPTH:
            raise _error(event, f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            built = _Built(_scalar(event), 1)
        elif isinstance(event, yaml.SequenceStartEvent):
            built = self._sequence(event, depth)
        else:
            built = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = built
        self._count(event, 1)
        return built

    def _alias(self, event: Any) -> _Built:
        if event.anchor not in self._anchors:
            raise _error(event, f"no anchor '{event.anchor}' before it")
        built = self._anchors[event.anchor]
        if built is None:
            raise _error(event, f"'{event.anchor}' holds itself")
        self._count(event, built.weight)
        return built

    def _sequence(self, event: Any, depth: int) -> _Built:
        _check_tag(event, "seq")
        items: list[Any] = []
        weight = 1
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            built = self._node(inner, depth + 1)
            items.append(built.value)
            weight += built.weight
        return _Built(items, weight)

    def _mapping(self, event: Any, depth: int) -> _Built:
        _check_tag(event, "map")
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        weight = 1
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key, is_merge = self._key(inner)
            self._path.append(key)
            self.lines.setdefault(tuple(self._path), inner.start_mark.line + 1)
            built = self._node(next(self._events), depth + 1)
            self._path.pop()
            weight += built.weight
            if is_merge:
                _merge(inner, merged, built.value)
            elif key in own:
                raise _error(inner, f"'{key}' stands twice")
            else:
                own[key] = built.value
        return _Built({**merged, **own}, weight)

    def _key(self, event: Any) -> tuple[str, bool]:
        """A key as text, and whether it is the merge key."""
        if isinstance(event, yaml.AliasEvent):
            value = self._alias(event).value
            if not isinstance(value, str):
                raise _error(event, "a name must be a plain word")
            return value, False
        if not isinstance(event, yaml.ScalarEvent):
            raise _error(event, "a name must be a plain word")
        if event.anchor is not None:
            self._anchors[event.anchor] = _Built(event.value, 1)
        _check_tag(event, "str", "int", "float", "bool", "null")
        return event.value, event.value == "<<" and event.implicit[0]

    def _count(self, event: Any, weight: int) -> None:
        self._total += weight
        if self._total > self._most:
            raise _error(event, f"more than {self._most:,} values, aliases written out")


def _merge(event: Any, into: dict[str, Any], value: Any) -> None:
    sources = value if isinstance(value, list) else [value]
    for source in sources:
        if not isinstance(source, dict):
            raise _error(event, "'<<' takes groups only")
        for key, item in source.items():
            into.setdefault(key, item)


def _scalar(event: Any) -> Any:
    if event.tag in _STRING_TAGS or (event.tag is None and not event.implicit[0]):
        return event.value
    _check_tag(event, "null", "bool", "int", "float")
    value = scalar(event.value)
    if event.tag == _CORE + "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if event.tag is not None and isinstance(value, str):
        raise _error(event, f"'{event.value}' is not what its tag says")
    return value


def _check_tag(event: Any, *kinds: str) -> None:
    if event.tag is not None and event.tag != "!" and event.tag not in {_CORE + kind for kind in kinds}:
        raise _error(event, f"the tag {event.tag.replace(_CORE, '!!')} is not built here")


def _error(event: Any, text: str) -> ParseError:
    return ParseError(f"line {event.start_mark.line + 1}: {text}")
