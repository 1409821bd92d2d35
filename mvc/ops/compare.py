"""`mvc compare`: what several commits say of themselves, name by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from mvc.errors import UsageError
from mvc.metadata.direction import less_is_better
from mvc.metadata.model import CommitMetadata, Dataset
from mvc.metadata.project import NAME, ProjectFile
from mvc.objects.model import Commit
from mvc.ops.commits_named import ANYWHERE, Asking, commits_named, is_query
from mvc.ops.known import Known
from mvc.repo.repository import Repository

MOST: Final = 200
"""Commits that a range may bring; a table of more is of no use to anybody."""


WAYS: Final = ("min", "max")


class _Missing:
    """The one value that no file of metadata can hold."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Compared:
    """A commit, and how it was named."""

    name: str
    commit: Commit
    metadata: CommitMetadata


@dataclass(frozen=True, slots=True)
class Row:
    """One name: a value a commit, in their order; MISSING where a commit says nothing of it."""

    section: str
    """"params", "metrics", "tags", "datasets" or "environment"."""
    name: str
    values: tuple[Any, ...]
    differs: bool
    best: frozenset[int] = frozenset()
    """Positions of the best values of a metric that differs."""
    deltas: tuple[float | None, ...] = ()
    """Of numbers of a metric: the change from the first commit's value, as a share of it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The commits, the first of which the others are held against; the rows in order of section and name."""

    commits: tuple[Compared, ...]
    rows: tuple[Row, ...]


def compare_commits(
    repo: Repository,
    revisions: Sequence[str],
    *,
    better: Mapping[str, str] | None = None,
    environment: bool = False,
    asking: Asking = ANYWHERE,
) -> Comparison:
    """Hold commits against each other.

    `revisions`: names as typed; a range `A..B` or a query stands for its commits, the oldest first. `better`: globs of
    metrics to "min" or "max", where their names do not tell. Raises NotFound for what is no commit,
    UsageError for a range of too many, ParseError for metadata that cannot be read.
    """
    known = Known(repo)
    compared = [
        Compared(name, commit, known.of_tree(commit.id, commit.tree))
        for name, commit in _commits(repo, revisions, asking)
    ]
    rows: list[Row] = []
    for section, values in _sections([one.metadata for one in compared], environment):
        for name in sorted({name for one in values for name in one}):
            rows.append(_row(section, name, tuple(one.get(name, MISSING) for one in values), better))
    return Comparison(tuple(compared), tuple(rows))


def chosen(found: Comparison, *, only: Sequence[str] = (), differing: bool = False) -> Comparison:
    """The rows whose names fit one of the globs `only` (all, where there is none), and with `differing` differ."""
    rows = (
        row
        for row in found.rows
        if (row.differs or not differing) and (not only or any(fnmatchcase(row.name, glob) for glob in only))
    )
    return Comparison(found.commits, tuple(rows))


def directions(project: ProjectFile, given: Sequence[str] = ()) -> dict[str, str]:
    """Globs of metrics to "min" or "max": `given` as "GLOB=min", then the section `better` of mvc.yaml.

    Raises UsageError for another word than the two.
    """
    found: dict[str, str] = {}
    for text in given:
        glob, equals, way = text.rpartition("=")
        if not equals or not glob or way not in WAYS:
            raise UsageError(f"--better takes GLOB=min or GLOB=max, not '{text}'")
        found.setdefault(glob, way)
    section = project.sections.get("better") or {}
    if not isinstance(section, dict) or any(way not in WAYS for way in section.values()):
        line = project.lines.get("better", 1)
        raise UsageError(f"{NAME}: line {line}: 'better' takes names of metrics, each with min or max")
    for glob, way in section.items():
        found.setdefault(glob, way)
    return found


def _commits(repo: Repository, revisions: Sequence[str], asking: Asking) -> Iterator[tuple[str, Commit]]:
    for name in revisions:
        found = commits_named(repo, name, asking, most=MOST + 1)
        if len(found) > MOST:
            raise UsageError(f"'{name}' holds more than {MOST} commits", hint="mvc search finds the ones that matter")
        alone = len(found) == 1 and not is_query(name) and ".." not in name
        yield from ((name if alone else commit.id[:7], commit) for commit in found)


def _sections(metadata: Sequence[CommitMetadata], environment: bool) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    yield "metrics", [one.metrics for one in metadata]
    yield "params", [one.params for one in metadata]
    yield "tags", [one.tags for one in metadata]
    yield "datasets", [{dataset.name: _pinned(dataset) for dataset in one.datasets} for one in metadata]
    if environment:
        yield "environment", [one.environment for one in metadata]


def _pinned(dataset: Dataset) -> str:
    """What a dataset was, in a word: where it has a digest, nothing else matters."""
    return dataset.digest or dataset.location


def _row(section: str, name: str, values: tuple[Any, ...], better: Mapping[str, str] | None) -> Row:
    # repr tells NaN from a number and 1 from true, and finds NaN equal to itself.
    differs = len({repr(value) for value in values}) > 1
    if section != "metrics" or not differs:
        return Row(section, name, values, differs)
    numbers = {at: float(value) for at, value in enumerate(values) if _is_number(value)}
    best: frozenset[int] = frozenset()
    # What is infinite was not measured, or went wrong: it is never the best.
    finite = {at: value for at, value in numbers.items() if math.isfinite(value)}
    if finite and len(numbers) > 1:
        top = (min if less_is_better(name, better) else max)(finite.values())
        best = frozenset(at for at, value in finite.items() if value == top)
        if len(best) == len(values):
            best = frozenset()
    return Row(section, name, values, differs, best, tuple(_delta(numbers, at) for at in range(len(values))))


def _delta(numbers: Mapping[int, float], at: int) -> float | None:
    if at == 0 or at not in numbers or not numbers.get(0):
        return None
    share = (numbers[at] - numbers[0]) / abs(numbers[0])
    return share if math.isfinite(share) else None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False
