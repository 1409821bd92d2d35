"""`mvc.yaml`: where a project keeps its params, metrics, series, datasets (docs/project-file.md).

Read from the top of the worktree. Sections that this module knows nothing of are plain values in `sections`, for
those who do: `gates`, `aliases`, `runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mvc.errors import ParseError
from mvc.lazy import load
from mvc.metadata.values import MAX_BYTES

NAME = "mvc.yaml"

_YAML = "mvc.metadata.yaml12:read_marked"

SECTIONS = (
    "params",
    "metrics",
    "series",
    "tables",
    "datasets",
    "tags",
    "base",
    "card",
    "gates",
    "aliases",
    "runs",
    "better",
    "hooks",
)
"""What may stand at the top."""

_DATASET_FIELDS = ("path", "uri", "digest", "split", "licence", "license")


@dataclass(frozen=True, slots=True)
class DeclaredDataset:
    """A dataset: a path below the worktree's top (or absolute) or a URI, as typed after `--dataset NAME=`."""

    location: str
    split: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """What a project declares. Paths are relative to the worktree's top, "/"-separated."""

    params: tuple[str, ...] = ()
    """Files of params: YAML, JSON, TOML."""
    metrics: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    """Files of metrics by step: CSV, JSON Lines."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Files of tables by name: CSV, JSON."""
    datasets: Mapping[str, DeclaredDataset] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    base: tuple[str, ...] = ()
    """What models are made from: revisions or URIs."""
    card: str | None = None
    """Where the model card is, if not README.md."""
    sections: Mapping[str, Any] = field(default_factory=dict)
    """All of the file, as plain values."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """In which line each section begins."""
    problems: tuple[str, ...] = ()
    """Warnings: names that mean nothing, with file and line."""
    path: Path | None = None
    """None where there is no such file."""

    def __bool__(self) -> bool:
        return self.path is not None


def read_project(path: Path) -> ProjectFile:
    """The file `path` (`TOP/mvc.yaml`); an empty one where there is none.

    Raises ParseError, with file and line, for one that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ProjectFile()
    return parse_project(data, path)


def parse_project(data: bytes, path: Path) -> ProjectFile:
    """The content of a project file. Raises as `read_project`."""
    if len(data) > MAX_BYTES:
        raise ParseError(f"{NAME} is larger than {MAX_BYTES >> 20} MiB")
    try:
        groups, lines = load(_YAML)(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ParseError(f"{NAME}: not UTF-8, at byte {error.start}") from error
    except ParseError as error:
        raise ParseError(f"{NAME}: {error.message}") from error
    if not isinstance(groups, dict):
        raise ParseError(f"{NAME}: no names at its top, but a list or a single value")
    return _Parser(groups, lines).file(path)


class _Parser:
    """Takes the sections apart; an error names the line of the section, or of the name in it."""

    def __init__(self, groups: dict[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
        self._groups = groups
        self._lines = lines
        self._problems = [
            f"{self._where(name)}: '{name}' means nothing here{_nearby(name, SECTIONS)}"
            for name in groups
            if name not in SECTIONS
        ]

    def file(self, path: Path) -> ProjectFile:
        return ProjectFile(
            params=self._files("params"),
            metrics=self._files("metrics"),
            series=self._files("series"),
            tables=self._tables(),
            datasets=self._datasets(),
            tags=self._tags(),
            base=self._files("base"),
            card=self._card(),
            sections=MappingProxyType(self._groups),
            lines=MappingProxyType({name[0]: line for name, line in self._lines.items() if len(name) == 1}),
            problems=tuple(self._problems),
            path=path,
        )

    def _files(self, section: str) -> tuple[str, ...]:
        found = self._groups.get(section)
        found = [found] if isinstance(found, str) else found or []
        if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
            raise self._error(f"'{section}' takes a path, or a list of them", section)
        return tuple(dict.fromkeys(found))

    def _tables(self) -> dict[str, str]:
        found = self._group("tables", "names, each with the path of a file")
        for name, path in found.items():
            if not isinstance(path, str) or not path:
                raise self._error(f"the table '{name}' takes the path of a file", "tables", name)
        return found

    def _tags(self) -> dict[str, Any]:
        found = self._group("tags", "names, each with a word")
        for name, value in found.items():
            if isinstance(value, (dict, list)):
                raise self._error(f"the tag '{name}' takes a single value", "tags", name)
        return found

    def _card(self) -> str | None:
        card = self._groups.get("card")
        if card is not None and (not isinstance(card, str) or not card):
            raise self._error("'card' takes the path of a file", "card")
        return card

    def _datasets(self) -> dict[str, DeclaredDataset]:
        found = self._group("datasets", "names, each with a path or URI")
        return {name: self._dataset(name, fields) for name, fields in found.items()}

    def _dataset(self, name: str, fields: Any) -> DeclaredDataset:
        if isinstance(fields, str) and fields:
            return DeclaredDataset(fields)
        if not isinstance(fields, dict):
            raise self._error(f"the dataset '{name}' takes a path, a URI, or a group with one", "datasets", name)
        for key, value in fields.items():
            if key not in _DATASET_FIELDS:
                where = self._where("datasets", name, key)
                self._problems.append(f"{where}: '{key}' means nothing here{_nearby(key, _DATASET_FIELDS)}")
            elif not isinstance(value, str) or not value:
                raise self._error(f"'{key}' of the dataset '{name}' takes a word", "datasets", name, key)
        location = fields.get("path") or fields.get("uri")
        if not isinstance(location, str) or ("path" in fields) == ("uri" in fields):
            raise self._error(f"the dataset '{name}' takes either a path or a uri", "datasets", name)
        digest = fields.get("digest")
        return DeclaredDataset(
            f"{location}@{digest}" if digest else location,
            fields.get("split"),
            fields.get("licence") or fields.get("license"),
        )

    def _group(self, section: str, form: str) -> dict[str, Any]:
        found = self._groups.get(section) or {}
        if not isinstance(found, dict):
            raise self._error(f"'{section}' takes {form}", section)
        return found

    def _error(self, text: str, *name: str) -> ParseError:
        return ParseError(f"{self._where(*name)}: {text}")

    def _where(self, *name: str) -> str:
        line = self._lines.get(name) or self._lines.get(name[:-1])
        return f"{NAME}: line {line}" if line else NAME


def _nearby(name: str, among: tuple[str, ...]) -> str:
    """A name that was meant, perhaps: it begins alike, or one letter is off."""
    near = [one for one in among if name.lower().startswith(one[:4]) or one.startswith(name.lower()[:4])]
    return f" (is '{near[0]}' meant?)" if near and len(name) > 1 else ""
