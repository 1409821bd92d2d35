"""What a new commit is to say of itself: from what was given, from what `mvc.yaml` declares, from the environment."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mvc.errors import AmbiguousName, NotFound, ParseError, UsageError
from mvc.metadata.arguments import collect_metrics, collect_params, collect_tags, pairs
from mvc.metadata.datasets import describe_dataset
from mvc.metadata.environment import Surroundings, capture
from mvc.metadata.layers import layered
from mvc.metadata.links import find_links
from mvc.metadata.model import NOTHING, Base, CommitMetadata, Dataset, Point, Table
from mvc.metadata.project import NAME, DeclaredDataset, ProjectFile, read_project
from mvc.metadata.secrets import without_credentials
from mvc.metadata.seriesfiles import SeriesFile
from mvc.metadata.tablefiles import read_table
from mvc.objects.revparse import resolve_commit, split_path
from mvc.repo.repository import Repository

DATASET_CACHE = "dataset-cache"
"""The folder of `.mvc` where digests of datasets' files are remembered."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?://)?[^:].*")
_AT_COMMIT = re.compile(r"(.+)@([0-9a-f]{40})\Z")


@dataclass(frozen=True, slots=True)
class Given:
    """What was said of a commit, as typed. Files are seen from the current folder."""

    params: tuple[str, ...] = ()
    param_files: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    metric_files: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    """NAME=FILE."""
    datasets: tuple[str, ...] = ()
    """NAME=PATH|URI[@DIGEST]."""
    splits: tuple[str, ...] = ()
    """NAME=SPLIT, of a dataset."""
    licences: tuple[str, ...] = ()
    """NAME=LICENCE, of a dataset."""
    tags: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    """REV or URI."""
    no_environment: bool = False
    no_project: bool = False
    """Do not read `mvc.yaml`."""

    def __bool__(self) -> bool:
        """Whether anything was said of the commit."""
        texts = (self.params, self.param_files, self.metrics, self.metric_files, self.series, self.tables)
        return any((*texts, self.datasets, self.splits, self.licences, self.tags, self.bases))


@dataclass(frozen=True, slots=True)
class Gathered:
    """The metadata, and what a person should be told."""

    metadata: CommitMetadata
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Gathering:
    repo: Repository
    problems: list[str] = field(default_factory=list)

    def given(self, given: Given, cwd: Path) -> CommitMetadata:
        splits, licences = pairs(given.splits, "--dataset-split"), pairs(given.licences, "--dataset-licence")
        datasets = {name: DeclaredDataset(text) for name, text in pairs(given.datasets, "--dataset").items()}
        return CommitMetadata(
            params=collect_params(given.params, [cwd / name for name in given.param_files]),
            metrics=collect_metrics(given.metrics, [cwd / name for name in given.metric_files]),
            datasets=self.datasets(_with_fields(datasets, splits, licences), cwd),
            tags=collect_tags(given.tags),
            bases=tuple(dict.fromkeys(find_base(self.repo, text) for text in given.bases)),
            tables={name: read_table(name, cwd / file) for name, file in pairs(given.tables, "--table").items()},
            series=self.series([cwd / name for name in given.series]),
        )

    def project(self, leave: Collection[str], *, amend: bool = False, hint: str) -> CommitMetadata:
        """What the `mvc.yaml` of the worktree names, if there is one. `hint`: for one that cannot be read."""
        top = self.repo.worktree
        if top is None:
            return NOTHING
        try:
            project = read_project(top / NAME)
            # HEAD is now the commit that is replaced: what a revision meant when that was made, it knows itself.
            return self.declared(replace(project, base=()) if amend else project, top, leave)
        except (ParseError, UsageError) as error:
            raise type(error)(error.message, hint=error.hint or hint) from error

    def declared(self, project: ProjectFile, top: Path, leave: Collection[str]) -> CommitMetadata:
        """What `mvc.yaml` names. `leave`: datasets that are given, and so not hashed for nothing."""
        self.problems += project.problems
        datasets = {name: one for name, one in project.datasets.items() if name not in leave}
        bases = [found for text in project.base if (found := self._declared_base(project, text)) is not None]
        tables = {
            name: top / file
            for name, file in project.tables.items()
            if self._there(project, top / file, f"tables.{name}")
        }
        return CommitMetadata(
            params=collect_params((), self._those_there(project, top, "params", project.params)),
            metrics=collect_metrics((), self._those_there(project, top, "metrics", project.metrics)),
            datasets=self.datasets(
                {name: one for name, one in datasets.items() if self._dataset_there(project, top, name, one)}, top
            ),
            tags={name: "" if value is None else value for name, value in project.tags.items()},
            bases=tuple(dict.fromkeys(bases)),
            tables={name: read_table(name, path) for name, path in tables.items()},
            series=self.series(self._those_there(project, top, "series", project.series)),
        )

    def datasets(self, wanted: Mapping[str, DeclaredDataset], cwd: Path) -> tuple[Dataset, ...]:
        remembered = self.repo.common_dir / DATASET_CACHE
        found = []
        for name, one in sorted(wanted.items()):
            described = describe_dataset(name, one.location, cwd, self.repo.worktree, remembered)
            found.append(described._replace(split=one.split, licence=one.licence))
        return tuple(found)

    def series(self, paths: Iterable[Path]) -> tuple[Point, ...]:
        points: list[Point] = []
        for path in paths:
            file = SeriesFile(path)
            points += file.points()
            self.problems += file.problems()
        return tuple(points)

    def _those_there(self, project: ProjectFile, top: Path, section: str, names: Sequence[str]) -> list[Path]:
        return [top / name for name in names if self._there(project, top / name, section)]

    def _there(self, project: ProjectFile, path: Path, section: str) -> bool:
        if path.exists():
            return True
        line = project.lines.get(section.partition(".")[0])
        where = f"{NAME}: line {line}" if line else NAME
        shown = path.relative_to(self.repo.worktree) if self.repo.worktree else path
        self.problems.append(f"{where}: {section}: {shown} is not there: the commit says nothing of it")
        return False

    def _dataset_there(self, project: ProjectFile, top: Path, name: str, one: DeclaredDataset) -> bool:
        if _URI.match(one.location):
            return True
        bare = one.location.rpartition("@")[0] or one.location
        return (top / one.location).exists() or self._there(project, top / bare, f"datasets.{name}")

    def _declared_base(self, project: ProjectFile, text: str) -> Base | None:
        try:
            return find_base(self.repo, text)
        except NotFound as error:
            line = project.lines.get("base")
            self.problems.append(f"{NAME}: line {line}: base: {error.message}")
            return None


def gather(
    repo: Repository,
    given: Given,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    arguments: Sequence[str] = (),
    amend: bool = False,
) -> Gathered:
    """Read files, hash datasets, capture the environment. What is given goes before what `mvc.yaml` declares.

    An amended commit keeps what it says where neither gives another value; its bases are not declared again, and its
    environment stays where nothing is given. `arguments`: the command line.
    Raises NotFound, UsageError, ParseError (file and line).
    """
    gathering = _Gathering(repo)
    said = gathering.given(given, cwd)
    if not given.no_project:
        hint = f"--no-project leaves {NAME} alone"
        said = layered(gathering.project(pairs(given.datasets, "--dataset"), amend=amend, hint=hint), said)
    if not given.no_environment and not (amend and not given):
        captured = capture(Surroundings(arguments, dict(environment), cwd))
        said = said._replace(environment=captured, links=find_links(environment))
    return Gathered(said, tuple(gathering.problems))


def find_base(repo: Repository, text: str) -> Base:
    """The base that `REV`, `REV:PATH` or a URI (of another mvc repository: `URL@COMMIT`) names. Raises NotFound."""
    revision, path = split_path(text)
    try:
        return Base(resolve_commit(repo.objects, repo.refs, revision), None, path or None)
    except AmbiguousName:
        raise
    except (NotFound, UsageError) as error:
        if not _URI.match(text):
            hint = f"a revision, or a URI such as hf://{text if '/' in text else 'bert-base-cased'}"
            raise NotFound(f"the base '{text}' is no revision here and no URI", hint=hint) from error
    at_commit = _AT_COMMIT.match(text)
    if at_commit:
        return Base(at_commit[2], without_credentials(at_commit[1]))
    return Base(None, without_credentials(text))


def from_values(
    repo: Repository,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, Any],
    tags: Mapping[str, Any],
    environment: Mapping[str, Any],
    datasets: Mapping[str, str | Mapping[str, str]],
    bases: Sequence[str],
    series: Iterable[tuple[int, Mapping[str, Any]]],
    tables: Mapping[str, Any],
    cwd: Path,
    project: bool = False,
) -> Gathered:
    """The metadata of a commit from Python: values that are flat already.

    With `project` they go before what `mvc.yaml` declares.
    """
    gathering = _Gathering(repo)
    wanted = {
        name: DeclaredDataset(one) if isinstance(one, str) else _declared(name, one) for name, one in datasets.items()
    }
    said = CommitMetadata(
        params=params,
        metrics=metrics,
        datasets=gathering.datasets(wanted, cwd),
        environment=environment,
        tags=tags,
        bases=tuple(find_base(repo, text) for text in bases),
        tables={name: Table(tuple(one[0]), tuple(tuple(row) for row in one[1:])) for name, one in tables.items()},
        series=tuple(Point(step, dict(values)) for step, values in series),
    )
    if project:
        said = layered(gathering.project(wanted, hint=f"project=False leaves {NAME} alone"), said)
    return Gathered(said, tuple(gathering.problems))


def _declared(name: str, fields: Mapping[str, str]) -> DeclaredDataset:
    unknown = set(fields) - {"location", "split", "licence"}
    if unknown or "location" not in fields:
        raise UsageError(f"the dataset '{name}' takes location, and perhaps split and licence")
    return DeclaredDataset(fields["location"], fields.get("split"), fields.get("licence"))


def _with_fields(
    datasets: Mapping[str, DeclaredDataset], splits: Mapping[str, str], licences: Mapping[str, str]
) -> dict[str, DeclaredDataset]:
    for option, values in (("--dataset-split", splits), ("--dataset-licence", licences)):
        if unknown := next((name for name in values if name not in datasets), None):
            raise UsageError(f"{option} {unknown}: there is no --dataset of this name")
    return {name: DeclaredDataset(one.location, splits.get(name), licences.get(name)) for name, one in datasets.items()}
