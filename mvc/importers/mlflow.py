"""An MLflow store as a source: each run a commit under `refs/runs/`, registered versions tags, aliases and stages
aliases. Nothing of MLflow is needed, and no pickle is ever loaded: artefacts are bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from mvc.errors import NotFound, UnsafePath
from mvc.fsio import RandomFile
from mvc.importers.base import Entry, Snapshot, SourceCommit, SourceRef
from mvc.importers.mlflowdb import MAGIC, DatabaseStore
from mvc.importers.mlflowfiles import FileStore
from mvc.importers.mlflowruns import (
    Alias,
    ModelVersion,
    Places,
    Run,
    holds_files,
    is_here,
    latest_stages,
    message,
    metadata,
    signatures,
)
from mvc.importers.standing import file_size
from mvc.objects.model import EXEC, FILE
from mvc.objects.refnames import is_valid
from mvc.repo.sourcefiles import Opened

_MAX_DEPTH = 64


class Store(Protocol):
    """What both kinds of store tell."""

    def run_ids(self) -> list[tuple[str, str]]: ...

    def run(self, experiment: str, run_id: str) -> Run | None: ...

    def model_versions(self) -> Iterator[ModelVersion]: ...

    def aliases(self) -> Iterator[Alias]: ...


class MlflowSource:
    """The store at `path`: a folder `mlruns`, one that holds it, or a SQLite database."""

    kind = "mlflow"

    def __init__(self, path: Path, *, artifacts: Path | None = None, branches: bool = False) -> None:
        """`artifacts`: where artefacts lie, if not beside or in the store. `branches`: each run a branch, and not a
        ref under `refs/runs/`. Raises NotFound, ParseError."""
        top = _store_at(Path(os.path.abspath(path)))
        self.place = os.fspath(top)
        self._branches = branches
        self._warned: dict[str, None] = {}
        self._store: Store = FileStore(top, self._warn) if top.is_dir() else DatabaseStore(top, self._warn)
        roots = [top if top.is_dir() else top.parent]
        self._places = Places([*([artifacts] if artifacts else []), *roots])
        self._paths: dict[str, Path] = {}
        self._run = lru_cache(maxsize=4)(self._read_run)
        self._snapshot = lru_cache(maxsize=4)(self._make_snapshot)
        self._versions = self._find()

    def ids(self) -> Sequence[str]:
        return list(self._versions)

    def commit(self, commit_id: str) -> SourceCommit:
        run = self._of(commit_id)
        author, committer = signatures(run)
        return SourceCommit(commit_id, (), author, committer, message(run))

    def snapshot(self, commit_id: str) -> Snapshot:
        return self._snapshot(commit_id)

    def refs(self) -> Sequence[SourceRef]:
        by_run = {run_id: version for version, (_, run_id, _, _) in self._versions.items()}
        found = [SourceRef(ref, version) for version, (_, _, ref, _) in self._versions.items()]
        if not self._branches:
            found += [SourceRef(f"{one.ref.rpartition('/')[0]}/summary", one.target) for one in found]
        registered = list(self._store.model_versions())
        runs = {(one.model, one.version): by_run.get(one.run) for one in registered}
        named = [(f"refs/tags/{_slug(one.model)}/v{one.version}", by_run.get(one.run)) for one in registered]
        stages = latest_stages(registered)
        named += [
            (f"refs/aliases/{_slug(model)}-{_slug(stage)}", by_run.get(one.run))
            for (model, stage), one in stages.items()
        ]
        for alias in self._store.aliases():
            named.append(
                (f"refs/aliases/{_slug(alias.model)}-{_slug(alias.name)}", runs.get((alias.model, alias.version)))
            )
        for ref, version in named:
            if version is None:
                self._warn(f"{ref.removeprefix('refs/')} is left out: its run is not in the store")
            elif is_valid(ref):
                found.append(SourceRef(ref, version))
        return found

    def head(self) -> str | None:
        return None

    def size(self, entry: Entry) -> int | None:
        path = self._paths.get(entry.key)
        return file_size((path,), follow=False) if path is not None else None

    def open(self, entry: Entry) -> Opened:
        if self.size(entry) is None:
            raise NotFound(f"{entry.key} is not in the store")
        return RandomFile(self._paths[entry.key])

    def warnings(self) -> Sequence[str]:
        return tuple(self._warned)

    def close(self) -> None:
        if isinstance(self._store, DatabaseStore):
            self._store.close()

    def _find(self) -> dict[str, tuple[str, str, str, int]]:
        """Version -> (experiment, run, its ref, when it began), the oldest first."""
        found: dict[str, tuple[str, str, str, int]] = {}
        for experiment, run_id in self._store.run_ids():
            run = self._store.run(experiment, run_id)
            if run is not None:
                name = f"{_slug(run.name)}-{_slug(run.id)[:8]}" if run.name else _slug(run.id)
                ref = (
                    f"refs/heads/{_slug(run.experiment)}/{name}"
                    if self._branches
                    else f"refs/runs/{name}/{run.last_step}"
                )
                found[run.version] = (experiment, run_id, ref, run.start)
        return dict(sorted(found.items(), key=lambda one: one[1][3]))

    def _of(self, version: str) -> Run:
        experiment, run_id, _, _ = self._versions[version]
        return self._run(experiment, run_id)

    def _read_run(self, experiment: str, run_id: str) -> Run:
        run = self._store.run(experiment, run_id)
        if run is None:
            raise NotFound(f"the run {run_id} is gone from the store")
        return run

    def _make_snapshot(self, commit_id: str) -> Snapshot:
        run = self._of(commit_id)
        files: dict[str, Entry] = {}
        for inside, uri in run.artifacts:
            folder = self._places.find(uri) if uri else None
            above = f"{inside.strip('/')}/" if inside.strip("/") else ""
            if folder is not None:
                for path in self._walk(folder, folder, 0):
                    files[above + path.relative_to(folder).as_posix()] = self._entry(run, path)
            elif uri and (not is_here(uri) or holds_files(uri) or self._had_artifacts(run)):
                self._warn(
                    f"the artefacts of run {run.id[:12]} lie in {uri[:200]}, which is not read (--artifacts DIR)"
                )
                files[f"{above}artifacts"] = Entry(FILE, f"lost:{quote(uri, safe=':/')}")
        return Snapshot(files, metadata(run))

    def _had_artifacts(self, run: Run) -> bool:
        return "mlflow.log-model.history" in run.tags

    def _entry(self, run: Run, path: Path) -> Entry:
        found = os.lstat(path)
        key = f"file:{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
        self._paths[key] = path
        return Entry(EXEC if found.st_mode & 0o100 else FILE, key, found.st_size)

    def _walk(self, folder: Path, top: Path, depth: int) -> Iterator[Path]:
        if depth > _MAX_DEPTH:
            raise UnsafePath(f"{top} holds folders deeper than {_MAX_DEPTH}")
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: one.name)
        for one in entries:
            if one.is_dir(follow_symlinks=False):
                yield from self._walk(Path(one.path), top, depth + 1)
            elif one.is_file(follow_symlinks=False):
                yield Path(one.path)
            else:
                self._warn(f"'{one.path}' is left out: it is a link, or no file")

    def _warn(self, text: str) -> None:
        self._warned.setdefault(text)


def _store_at(path: Path) -> Path:
    """The folder or database of the store. Raises NotFound."""
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return path
    for one in (path / "mlruns", path):
        if one.is_dir() and any((child / "meta.yaml").is_file() for child in one.iterdir() if child.is_dir()):
            return one
    if (path / "mlflow.db").is_file():
        return path / "mlflow.db"
    raise NotFound(f"{path} is no store of MLflow: neither a folder mlruns nor a SQLite database")


def _slug(text: str) -> str:
    """A name as a part of a ref."""
    made = re.sub(r"[^\w.+-]+", "-", text, flags=re.UNICODE).strip("-.+")
    return re.sub(r"\.{2,}|\.lock$", "-", made)[:80] or "unnamed"
