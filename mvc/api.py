"""The Python interface: `import mvc; repo = mvc.Repo.open(".")`. docs/python.md shows it at work.

Everything here stands on `mvc.ops`, as the command line does: what one writes the other reads.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mvc.catalogue.home import home_of
from mvc.catalogue.rows import Row
from mvc.catalogue.search import SearchOptions, search
from mvc.codecs.values import as_array
from mvc.errors import NotFound, UsageError
from mvc.formats.base import Tensor
from mvc.metadata.model import CommitMetadata
from mvc.metadata.tree import SERIES, read_metadata
from mvc.metadata.values import flatten
from mvc.objects import trees
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.model import Commit, Signature, TreeItem, is_file, is_tree
from mvc.objects.revparse import resolve
from mvc.objects.walk import Selection, walk
from mvc.ops import alias as alias_ops
from mvc.ops.add import AddResult, add
from mvc.ops.alias import Span
from mvc.ops.annotate import Said, annotate
from mvc.ops.caller import Caller
from mvc.ops.commit import CommitOptions, commit
from mvc.ops.commit_files import CommitFilesOptions, commit_files
from mvc.ops.connect import Outside, supply
from mvc.ops.gate import GateResult, gate
from mvc.ops.gather import from_values
from mvc.ops.known import Known
from mvc.ops.lineage import DEPTH, Node, lineage, made_from
from mvc.ops.model_file import Buffer, ModelFile, read_file, segment_of
from mvc.ops.status import StatusResult, status
from mvc.ops.switch import find_destination, switch
from mvc.progress import SILENT, Progress
from mvc.repo.bringing import ensure_files
from mvc.repo.chunks import open_chunks
from mvc.repo.create import init
from mvc.repo.repository import Repository
from mvc.repo.tensors import file_chunks, read_tensor
from mvc.sync.promised import promised

Nested = Mapping[str, Any]
Datasets = Mapping[str, str | Mapping[str, str]]
Series = Iterable[tuple[int, Mapping[str, Any]]]
Tables = Mapping[str, Sequence[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit with its metadata. `params` and `metrics` are flat: dotted names to values."""

    id: str
    parents: tuple[str, ...]
    author: Signature
    message: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    datasets: tuple[Any, ...]
    environment: Mapping[str, Any]
    tags: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, Any] = field(default_factory=dict)
    bases: tuple[Any, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict)


class Aliases(Mapping[str, str]):
    """The aliases of a repository by name, each with the commit that it stands for: `repo.aliases["production"]`.

    What was removed is not among them. Setting one, going back and removing are steps: nothing is lost.
    """

    def __init__(self, repository: Repository, caller: Callable[[Signature | None], Caller]) -> None:
        self._repo, self._caller = repository, caller

    def __getitem__(self, name: str) -> str:
        try:
            return alias_ops.read_alias(self._repo, name).target or ""
        except NotFound as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return (one.name for one in alias_ops.list_aliases(self._repo))

    def __len__(self) -> int:
        return len(alias_ops.list_aliases(self._repo))

    def set(
        self, name: str, revision: str, why: str = "", *, force: bool = False, author: Signature | None = None
    ) -> str:
        """Let `name` stand for a revision; returns the commit. Raises Refused where mvc.yaml asks for what the commit
        has not, unless `force`."""
        alias_ops.set_alias(self._repo, name, revision, self._caller(author), why=why, force=force)
        return self[name]

    def rollback(
        self, name: str, revision: str | None = None, why: str = "", *, author: Signature | None = None
    ) -> str:
        """Back to what `name` stood for before, or to `revision`, for which it once stood; returns the commit."""
        alias_ops.roll_back(self._repo, name, revision, self._caller(author), why=why)
        return self[name]

    def remove(self, name: str, why: str = "", *, author: Signature | None = None) -> None:
        """Let `name` stand for nothing. Raises NotFound."""
        alias_ops.remove_alias(self._repo, name, self._caller(author), why=why)

    def log(self, name: str) -> list[Span]:
        """What `name` stood for, from when to when, with who, when and why of each step: the newest first."""
        return list(alias_ops.history(self._repo, name))

    def at(self, name: str, when: datetime) -> str | None:
        """The commit that `name` stood for at a time; None for nothing. Raises NotFound before its first step."""
        return alias_ops.alias_at(self._repo, name, int(when.timestamp())).step.target


class Repo:
    """A repository. Methods raise the errors of `mvc.errors`, and print nothing.

    What is read or checked out and not here comes from the repository's remotes, and nothing else does.

    One object may be used from one thread at a time; several processes may use one repository. `close` lets go of
    connections, as leaving a `with` block does; they are opened again when needed.
    """

    def __init__(
        self, repository: Repository, progress: Progress = SILENT, *, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment`: where credentials for remotes and the author's name are looked for, by default the process's
        own."""
        self._environment = os.environ if environment is None else environment
        outside = Outside(self._environment, Path.cwd())
        self._remotes = supply(repository, outside, progress)
        has_remotes = any(key.startswith("remote.") for key, _ in repository.config.items())
        if has_remotes:
            repository = replace(repository, missing_chunks=self._remotes, promised=promised(repository))
        self._repo = repository
        self._progress = progress

    def __enter__(self) -> Repo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections to remotes, and files."""
        self._remotes.close()
        self._repo.objects.close()

    @classmethod
    def open(cls, path: str | Path = ".", *, progress: Progress = SILENT) -> Repo:
        """The repository of the folder `path`, or of the nearest folder above. Raises NotARepository."""
        return cls(Repository.discover(Path(path).absolute(), global_configs=_global_configs()), progress)

    @classmethod
    def init(cls, path: str | Path = ".", *, branch: str | None = None, progress: Progress = SILENT) -> Repo:
        """Make a repository in `path` (made if need be), or open the one that stands there."""
        made, _ = init(Path(path).absolute(), initial_branch=branch, global_configs=_global_configs())
        return cls(made, progress)

    @property
    def worktree(self) -> Path:
        """The top folder of the files. Raises Refused in a bare repository."""
        return self._repo.require_worktree()

    @property
    def head(self) -> str | None:
        """The id of the commit that is checked out; None before the first."""
        return self._repo.refs.head().id

    @property
    def branch(self) -> str | None:
        """The branch that is checked out; None where HEAD is detached."""
        return self._repo.refs.head().short

    def branches(self) -> dict[str, str]:
        """Branches by name, with the commit that each is at."""
        return _short(self._repo.refs.list("refs/heads/"), "refs/heads/")

    def tags(self) -> dict[str, str]:
        """Tags by name, with the commit that each stands for."""
        found = _short(self._repo.refs.list("refs/tags/"), "refs/tags/")
        return {name: self._repo.objects.peel(target) for name, target in found.items()}

    @property
    def aliases(self) -> Aliases:
        """Aliases by name, with the commit that each stands for; and how to move them."""
        return Aliases(self._repo, self._caller)

    def gate(
        self, gates: Sequence[str] = (), revision: str = "HEAD", *, base: str | None = None, alias: str = ""
    ) -> GateResult:
        """Hold a revision against gates such as "accuracy >= 0.92" (none: those of mvc.yaml).

        `base` is what delta() compares with; None: what `alias` stands for, else `production`, else the first parent.
        The result has `passed`, and the `outcomes`. Raises UsageError for a gate that cannot be read. No weights are
        read.
        """
        return gate(self._repo, revision, gates, base=base, alias=alias)

    def resolve(self, revision: str) -> str:
        """The commit that a revision ("main", "v1", "HEAD~2", a short id) names. Raises NotFound."""
        return resolve(self._repo.objects, self._repo.refs, f"{revision}^{{commit}}")

    def status(self) -> StatusResult:
        """What is staged, changed and not versioned."""
        return status(self._repo, progress=self._progress)

    def add(self, paths: Sequence[str | Path], *, update: bool = False, force: bool = False) -> AddResult:
        """Stage files and folders, given relative to the worktree's top or absolute."""
        specs = [self._relative(path) for path in paths]
        return add(self._repo, specs, update=update, force=force, progress=self._progress)

    def commit(
        self,
        message: str,
        *,
        params: Nested | None = None,
        metrics: Nested | None = None,
        tags: Mapping[str, str] | None = None,
        datasets: Datasets | None = None,
        base: str | Sequence[str] = (),
        series: Series = (),
        tables: Tables | None = None,
        environment: Nested | None = None,
        stage_all: bool = False,
        allow_empty: bool = False,
        author: Signature | None = None,
        project: bool = True,
    ) -> str:
        """Commit what is staged, and return the new commit's id.

        `params` and `metrics` may be nested; `datasets` maps names to a local path (hashed) or a URI
        (`URI@DIGEST`), or to a group of `location`, `split`, `licence`. `base`: revisions or URIs that it was
        fine-tuned from. `series`: (step, {metric: number}) in order. `tables`: rows by name, the first of them the
        columns. What is given goes before what `mvc.yaml` declares, name by name; `project=False` leaves that alone. A
        file that it declares and that is not there is a UserWarning. Raises Refused when there is nothing to commit.
        """
        options = CommitOptions(
            author=author,
            metadata=self._metadata(params, metrics, tags, datasets, base, series, tables, environment, project),
            stage_all=stage_all,
            allow_empty=allow_empty,
        )
        return commit(self._repo, message, options, caller=self._caller(author)).id

    def commit_files(
        self,
        ref: str,
        files: Mapping[str, str | Path],
        message: str,
        *,
        params: Nested | None = None,
        metrics: Nested | None = None,
        tags: Mapping[str, str] | None = None,
        datasets: Datasets | None = None,
        base: str | Sequence[str] = (),
        series: Series = (),
        tables: Tables | None = None,
        replace: bool = False,
        author: Signature | None = None,
    ) -> str:
        """Commit files from anywhere on the disk to any ref, without touching HEAD, stage or worktree.

        `files` maps paths in the tree to files on the disk; the other files of the ref's last commit
        stay, unless `replace`. `ref` is a branch's name or a full one (`refs/runs/a/100`); it is made if
        need be. Several processes may commit to one ref at once: each commit is whole, none is lost.
        Returns the new commit's id.
        """
        metadata = self._metadata(params, metrics, tags, datasets, base, series, tables, None, False)
        options = CommitFilesOptions(author=author, metadata=metadata, replace_all=replace)
        return commit_files(
            self._repo,
            ref,
            {path: Path(file) for path, file in files.items()},
            message,
            options,
            caller=self._caller(author),
        ).id

    def annotate(
        self,
        revision: str = "HEAD",
        *,
        params: Nested | None = None,
        metrics: Nested | None = None,
        tags: Mapping[str, str] | None = None,
        remove: Sequence[str] = (),
        note: str | None = None,
        author: Signature | None = None,
    ) -> str:
        """Add what became known of a commit, or an annotated tag, only later; returns the annotation's id.

        `show`, `log` and `search` count it in. `remove`: names that hold no longer, as "metrics.acc". Several processes
        may annotate at once; none is lost.
        """
        said = Said(flatten(params or {}), flatten(metrics or {}), tags or {}, tuple(remove), note)
        return annotate(self._repo, revision, said, caller=self._caller(author)).annotation.id

    def lineage(self, revision: str = "HEAD", *, down: bool = False, depth: int = DEPTH) -> Node:
        """What the model of "REV" or "REV:PATH" was made from, as a tree of `nodes`; with `down` what from it."""
        return (made_from if down else lineage)(self._repo, revision, depth=depth)

    def checkout(self, revision: str, *, force: bool = False) -> None:
        """Go to a branch, or detach HEAD at a revision. Raises WouldOverwrite where uncommitted work is in the way."""
        branch = f"refs/heads/{revision}" in self._repo.refs.list("refs/heads/")
        destination = find_destination(self._repo, revision, detach=not branch, guess=False)
        switch(self._repo, destination, force=force, caller=self._caller(None, commits=False))

    def log(
        self, revision: str = "HEAD", *, paths: Sequence[str] = (), max_count: int | None = None
    ) -> Iterator[CommitInfo]:
        """The history of a revision, newest first, read as it is asked for."""
        start = self.resolve(revision)
        known = Known(self._repo)
        for found in walk(self._repo.objects, Selection(include=[start], paths=tuple(paths), max_count=max_count)):
            yield self._info(found, known)

    def search(
        self,
        query: str = "",
        *,
        sort: str | Sequence[str] = (),
        limit: int | None = None,
        branches: Sequence[str] = (),
    ) -> list[Row]:
        """The commits of all branches, tags, aliases, runs and fetched remotes that fulfil a query, the newest first.

        docs/commands/search.md has the language: "metrics.acc > 0.92 and tags.task = 'ner'". `sort`: fields as
        "metrics.acc:desc". `branches`: globs; only commits that such a branch holds. Raises mvc.errors.QueryError.
        """
        fields = (sort,) if isinstance(sort, str) else tuple(sort)
        options = SearchOptions(fields, limit, tuple(branches))
        home = home_of(self._environment)
        return list(search(self._repo, query, options, home=home, progress=self._progress).rows)

    def show(self, revision: str = "HEAD") -> CommitInfo:
        """One commit with its metadata."""
        return self._info(self._repo.objects.commit(self.resolve(revision)), Known(self._repo))

    def series(self, revision: str = "HEAD") -> list[tuple[int, Mapping[str, Any]]]:
        """The metrics by step of one commit: (step, {metric: number}), in order."""
        tree = self._repo.objects.commit(self.resolve(revision)).tree
        found = read_metadata(self._repo.objects, tree, files=(SERIES,)).series
        return [(point.step, point.values) for point in found]

    def files(self, revision: str = "HEAD") -> list[str]:
        """The paths of all files of a revision, in order."""
        return list(trees.flatten(self._repo.objects, self._repo.objects.commit(self.resolve(revision)).tree))

    def tensors(self, revision: str, path: str) -> dict[str, Tensor]:
        """The tensors of a model by name, with dtype and shape. No weights are read."""
        segments = self._model(revision, path).manifest.segments
        return {segment.tensor.name: segment.tensor for segment in segments if segment.tensor is not None}

    def read_tensor(self, revision: str, path: str, name: str) -> np.ndarray[Any, Any]:
        """One tensor as a numpy array of its shape, reading its chunks alone.

        BF16 and FP8 come in the dtypes of `ml_dtypes` where that is installed, else as their bits
        (uint16, uint8); quantised blocks as flat uint8. Raises NotFound for a path or tensor that is not there.
        """
        file = self._model(revision, path)
        offset, segment = segment_of(file, name)
        tensor = segment.tensor
        assert tensor is not None
        data: Buffer
        if file.blob is not None:
            data = file.blob[offset : offset + segment.length]
        else:
            data = read_tensor(open_chunks(self._repo), file.manifest, name).data
        array = as_array(data, tensor.dtype, _ml_dtypes())
        count = int(np.prod(tensor.shape, dtype=np.int64))
        return array.reshape(tensor.shape) if array.size == count else array

    def read_file(self, revision: str, path: str) -> bytes:
        """A whole file of a revision, in memory. Raises NotFound."""
        item = self._item(revision, path)
        blob = self._repo.objects.blob(item.id)
        if not is_file(item.mode) or not is_manifest(blob):
            return blob
        chunks, manifest = open_chunks(self._repo), parse(blob)
        ensure_files(chunks, [manifest])
        return b"".join(bytes(chunks.read(ref.name)) for _, ref, _ in file_chunks(chunks, manifest))

    def _item(self, revision: str, path: str) -> TreeItem:
        tree = self._repo.objects.commit(self.resolve(revision)).tree
        item = trees.entry_at(self._repo.objects, tree, path)
        if item is None or is_tree(item.mode):
            raise NotFound(f"there is no file '{path}' in {revision}", hint=f"mvc show {revision}")
        return item

    def _model(self, revision: str, path: str) -> ModelFile:
        item = self._item(revision, path)
        if not is_file(item.mode):
            raise NotFound(f"'{path}' is a symbolic link in {revision}", hint=f"mvc show {revision}:{path}")
        return read_file(self._repo, path, item)

    def _info(self, found: Commit, known_of: Known) -> CommitInfo:
        known = known_of.of_tree(found.id, found.tree)
        return CommitInfo(
            id=found.id,
            parents=found.parents,
            author=found.author,
            message=found.message,
            params=known.params,
            metrics=known.metrics,
            datasets=known.datasets,
            environment=known.environment,
            tags=known.tags,
            links=known.links,
            bases=known.bases,
            tables=known.tables,
        )

    def _metadata(
        self,
        params: Nested | None,
        metrics: Nested | None,
        tags: Mapping[str, str] | None,
        datasets: Datasets | None,
        base: str | Sequence[str],
        series: Series,
        tables: Tables | None,
        environment: Nested | None,
        project: bool,
    ) -> CommitMetadata:
        found = from_values(
            self._repo,
            params=flatten(params or {}),
            metrics=flatten(metrics or {}),
            tags=tags or {},
            environment=flatten(environment or {}),
            datasets=datasets or {},
            bases=[base] if isinstance(base, str) else base,
            series=series,
            tables=tables or {},
            cwd=Path.cwd(),
            project=project,
        )
        for problem in found.problems:
            warnings.warn(problem, stacklevel=3)
        return found.metadata

    def _caller(self, author: Signature | None, *, commits: bool = True) -> Caller:
        """For whom an operation runs. Nobody need be named for one that writes reflog lines at most."""
        if author is None:
            known = self._repo.settings.author
            name = self._environment.get("MVC_AUTHOR_NAME") or (known.name if known else "")
            email = self._environment.get("MVC_AUTHOR_EMAIL") or (known.email if known else "")
            if not (name and email) and commits:
                raise UsageError(
                    "it is not known who you are",
                    hint="pass author=, set MVC_AUTHOR_NAME and MVC_AUTHOR_EMAIL, or: mvc config --global user.name",
                )
            name, email = (name, email) if name and email else ("unknown", "unknown@localhost")
            now = int(time.time())
            author = Signature(name, email, now, time.localtime(now).tm_gmtoff // 60)
        return Caller(author, self._progress, wait=30.0)

    def _relative(self, path: str | Path) -> str:
        if Path(path).is_absolute():
            return self._repo.locate(Path(path)) or "."
        return str(path)


def _short(refs: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): target for name, target in refs.items()}


def _global_configs() -> tuple[Path, ...]:
    """The user's config files, Git's first (for the author); where `XDG_CONFIG_HOME` is set, pass a Repository."""
    home = Path.home()
    return (home / ".config/git/config", home / ".gitconfig", home / ".config/mvc/config")


def _ml_dtypes() -> Any:
    """The module, when it is installed."""
    return import_module("ml_dtypes") if find_spec("ml_dtypes") else None
