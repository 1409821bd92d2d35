"""Metadata that another tool kept, in the form in which mvc's commits hold it. What does not fit is told, not fatal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mvc.errors import MvcError, ParseError
from mvc.metadata.canonical import dumps
from mvc.metadata.files import KINDS, flat_values
from mvc.metadata.model import CommitMetadata, Point
from mvc.metadata.series import MAX_BYTES, dump_point
from mvc.metadata.values import nest, split_name

Warn = Callable[[str], None]


def read_values(data: bytes, path: str, warn: Warn) -> dict[str, Any]:
    """The values of a file of params or metrics, by its suffix; none, with a warning, where it cannot be read."""
    kind = KINDS.get("." + path.rpartition(".")[2].lower())
    if kind is None:
        return {}
    try:
        return flat_values(data, kind, path)
    except MvcError as error:
        warn(f"no values are taken from {error.message}")
        return {}


def joined(files: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The values of several files as one. A name that two files give different values has its file's before it."""
    rows = list(files)
    owners: dict[str, set[str]] = {}
    for _, values in rows:
        for name, value in values.items():
            owners.setdefault(name, set()).add(repr(value))
    found: dict[str, Any] = {}
    for path, values in rows:
        stem = path.rpartition("/")[2].rpartition(".")[0] or path
        for name, value in values.items():
            found[name if len(owners[name]) == 1 else f"{stem}.{name}"] = value
    return found


def fit_names(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Names that can stand together: a value whose name is also a group's gets ".value" behind it."""
    groups = {".".join(parts[:at]) for parts in map(split_name, flat) for at in range(1, len(parts))}
    return {f"{name}.value" if name in groups else name: value for name, value in flat.items()}


def fitted(given: CommitMetadata, warn: Warn) -> CommitMetadata:
    """What of it can be recorded: parts that cannot are left out, and a series that is too long is thinned."""
    changes: dict[str, Any] = {"tables": {}, "series": thinned(given.series, warn)}
    for part in ("params", "metrics", "environment", "links"):
        values = fit_names(getattr(given, part))
        try:
            if len(dumps(nest(values)).encode()) > MAX_BYTES // 4:
                raise ParseError("too much")
        except (MvcError, UnicodeEncodeError, AttributeError) as error:
            warn(f"the {part} are left out: {error}")
            values = {}
        changes[part] = values
    return given._replace(**changes)


def thinned(points: tuple[Point, ...], warn: Warn) -> tuple[Point, ...]:
    """Every second, fourth, eighth... step, so that the series fits; points that cannot be recorded go."""
    sizes: list[int] = []
    sound: list[Point] = []
    for point in points:
        try:
            sizes.append(len(dump_point(point)))
            sound.append(point)
        except ParseError as error:
            warn(f"a step is left out: {error.message}")
    step = 1
    while sum(sizes[::step]) > MAX_BYTES - (1 << 20):
        step *= 2
    if step > 1:
        warn(f"a series of {len(sound):,} steps is too long: every {step}th is taken")
    return tuple(sound[::step])
