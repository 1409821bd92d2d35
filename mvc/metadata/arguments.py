"""What the command line says of a commit: `--param(s)`, `--metric(s)`, `--tag`, and other pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mvc.errors import ParseError, UsageError
from mvc.lazy import load
from mvc.metadata.files import load_values
from mvc.metadata.values import flatten, nest, scalar

_YAML = "mvc.metadata.yaml12:read"
_NO_NUMBERS = ("nan", "inf", "+inf", "-inf", "infinity", "-infinity")
_FORMS = {
    "--dataset": "NAME=PATH|URI[@DIGEST]",
    "--dataset-split": "NAME=SPLIT",
    "--dataset-licence": "NAME=LICENCE",
    "--table": "NAME=FILE",
}
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def collect_params(assignments: Sequence[str], files: Sequence[Path]) -> dict[str, Any]:
    """All params as dotted names. An assignment goes before what a file says; two files must not disagree.

    Raises UsageError for what is not `name=value` or given twice, and what `load_values` raises.
    """
    return _collect(assignments, files, "--param")


def collect_metrics(assignments: Sequence[str], files: Sequence[Path]) -> dict[str, Any]:
    """As `collect_params`, but what is assigned must be a number. `acc@PATH=0.9` belongs to one file alone."""
    return _collect(assignments, files, "--metric", numbers=True)


def collect_tags(texts: Sequence[str]) -> dict[str, str]:
    """The tags of `name=word`, by name. They are words, whatever they look like; without "=", "true"."""
    tags: dict[str, str] = {}
    for text in texts:
        name, value = _split(text if "=" in text else f"{text}=true", "--tag", "name=word")
        if name in tags:
            raise UsageError(f"--tag {name} is given twice")
        tags[name] = value
    return tags


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE`, each name once."""
    found: dict[str, str] = {}
    for text in texts:
        name, value = _split(text, option, _FORMS.get(option, "NAME=VALUE"))
        if name in found:
            raise UsageError(f"{option} {name} is given twice")
        found[name] = value
    return found


def parse_assignment(text: str, option: str = "--param") -> tuple[str, Any]:
    """`name=value` as (name, value); the value is a YAML scalar, or a flow list or group: 3e-5, true, [1, 2], "a b"."""
    name, value = _split(text, option, "name=value")
    if value[:1] not in ("[", "{", '"', "'"):
        return name, scalar(value)
    try:
        return name, load(_YAML)(value)
    except ParseError as error:
        raise UsageError(f"{option} {name}: {error.message.removeprefix('line 1: ')}") from error


def _collect(
    assignments: Sequence[str], files: Iterable[Path], option: str, *, numbers: bool = False
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    for path in files:
        for name, value in load_values(path).items():
            if name in values and repr(values[name]) != repr(value):
                raise UsageError(f"'{name}' is in {origin[name]} and, with another value, in {path}")
            values[name], origin[name] = value, path
    assigned: dict[str, Any] = {}
    for text in assignments:
        name, value = parse_assignment(text, option)
        if numbers and isinstance(value, str) and value.lower() in _NO_NUMBERS:
            value = float(value)  # as every program prints it; YAML wants ".nan"
        if numbers and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise UsageError(f"{option} {name}: {value!r} is not a number")
        if name in assigned:
            raise UsageError(f"{option} {name} is given twice")
        assigned[name] = value
    values.update(assigned)
    try:
        checked = flatten(values)
        nest(checked)
    except ParseError as error:
        raise UsageError(f"{option}: {error.message}") from error
    return checked


def _split(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise UsageError(f"{option} takes {form}, not '{text}'")
    if _CONTROL.search(text):
        raise UsageError(f"{option} {name!a}: control characters, or bytes that are not UTF-8")
    return name, value.strip()
