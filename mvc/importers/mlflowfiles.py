"""MLflow's file store, `mlruns/`: a folder an experiment, in it one a run, in that a file a param, metric or tag.

Source: `mlflow/store/tracking/file_store.py` and `mlflow/store/model_registry/file_store.py`; held by folders that
mlflow 3.17 wrote (tests/importers/data). No link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mvc.errors import IntegrityError, MvcError, ParseError
from mvc.fsio import read_small
from mvc.importers.mlflowruns import STATUS, Alias, Measured, ModelVersion, Run, dataset
from mvc.metadata.yaml12 import read

_META = "meta.yaml"
_MAX_META = 4 * 1024 * 1024
_MAX_VALUE = 1024 * 1024
_MAX_METRIC = 512 * 1024 * 1024
_MAX_DEPTH = 32
_MODELS = "models"
_NO_EXPERIMENTS = frozenset((_MODELS, ".trash"))


class FileStore:
    """The store at `path`. `warn` is told what cannot be read, which is left out."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._top, self._warn = path, warn

    def run_ids(self) -> list[tuple[str, str]]:
        """(experiment's folder, run's folder), oldest experiment first; without what was deleted."""
        found: list[tuple[str, str]] = []
        for experiment in _folders(self._top):
            if experiment in _NO_EXPERIMENTS or not (self._top / experiment / _META).is_file():
                continue
            inner = _folders(self._top / experiment)
            found += [(experiment, run) for run in inner if (self._top / experiment / run / _META).is_file()]
        return found

    def run(self, experiment: str, run_id: str) -> Run | None:
        """A run; None if it was deleted, or cannot be read."""
        folder = self._top / experiment / run_id
        try:
            meta, about = _meta(folder), _meta(self._top / experiment)
        except MvcError as error:
            self._warn(f"the run {run_id} is left out: {error.message}")
            return None
        if meta.get("lifecycle_stage") == "deleted" or about.get("lifecycle_stage") == "deleted":
            return None
        status = meta.get("status")
        run = Run(
            run_id,
            str(about.get("name") or experiment),
            str(meta.get("run_name") or ""),
            STATUS.get(status, "UNKNOWN") if isinstance(status, int) else str(status or "UNKNOWN"),
            str(meta.get("user_id") or ""),
            _whole(meta.get("start_time")),
            _whole(meta.get("end_time")),
        )
        run.params = dict(self._values(folder / "params"))
        run.tags = dict(self._values(folder / "tags"))
        run.name = run.name or run.tags.get("mlflow.runName", "")
        run.measured = [one for name in _files(folder / "metrics") for one in self._metric(folder / "metrics", name)]
        run.artifacts = [("", str(meta.get("artifact_uri") or ""))]
        # Made empty where they go elsewhere (an experiment's artifact_location).
        if any(_files(folder / "artifacts")):
            run.artifacts = [("", os.fspath(folder / "artifacts"))]
        run.artifacts += self._models_of(experiment, run_id)
        run.datasets = [one for one in map(self._dataset_of(experiment), self._inputs(folder)) if one is not None]
        return run

    def model_versions(self) -> Iterator[ModelVersion]:
        for model, folder in self._registered():
            for name in _folders(folder):
                if not name.startswith("version-"):
                    continue
                try:
                    meta = _meta(folder / name)
                except MvcError as error:
                    self._warn(f"a version of the model {model} is left out: {error.message}")
                    continue
                run = meta.get("run_id")
                if isinstance(run, str) and isinstance(meta.get("version"), int):
                    yield ModelVersion(model, meta["version"], run, str(meta.get("current_stage") or "") or None)

    def aliases(self) -> Iterator[Alias]:
        for model, folder in self._registered():
            for name, value in self._values(folder / "aliases"):
                if value.strip().isdecimal():
                    yield Alias(model, name, int(value))

    def _registered(self) -> Iterator[tuple[str, Path]]:
        top = self._top / _MODELS
        for name in _folders(top):
            try:
                yield str(_meta(top / name).get("name") or name), top / name
            except MvcError as error:
                self._warn(f"the registered model {name} is left out: {error.message}")

    def _values(self, folder: Path) -> Iterator[tuple[str, str]]:
        for name in _files(folder):
            try:
                yield name, read_small(folder / name, _MAX_VALUE).decode("utf-8", "replace").rstrip("\n")
            except (OSError, IntegrityError) as error:
                self._warn(f"'{folder / name}' is left out: {error}")

    def _metric(self, folder: Path, name: str) -> Iterator[Measured]:
        try:
            lines = read_small(folder / name, _MAX_METRIC).decode("utf-8", "replace").splitlines()
        except (OSError, IntegrityError) as error:
            self._warn(f"'{folder / name}' is left out: {error}")
            return
        for line in lines:
            cells = line.split()
            try:
                time, value, step = int(cells[0]), float(cells[1]), int(cells[2]) if len(cells) > 2 else 0
            except (ValueError, IndexError):
                self._warn(f"'{folder / name}' holds a line that is no value: {line[:60]!r}")
                continue
            yield Measured(name, step, time, value)

    def _models_of(self, experiment: str, run_id: str) -> Iterator[tuple[str, str]]:
        """Models that were logged (MLflow 3 keeps them beside the runs)."""
        top = self._top / experiment / _MODELS
        for name in _folders(top):
            try:
                meta = _meta(top / name)
            except MvcError:
                continue
            if meta.get("source_run_id") == run_id and (top / name / "artifacts").is_dir():
                yield str(meta.get("name") or name), os.fspath(top / name / "artifacts")

    def _inputs(self, folder: Path) -> Iterator[str]:
        for name in _folders(folder / "inputs"):
            try:
                meta = _meta(folder / "inputs" / name)
            except MvcError:
                continue
            if meta.get("source_type") == "DATASET" and isinstance(meta.get("source_id"), str):
                yield meta["source_id"]

    def _dataset_of(self, experiment: str) -> Callable[[str], Any]:
        def find(dataset_id: str) -> Any:
            if "/" in dataset_id or dataset_id in (".", ".."):
                return None
            try:
                meta = _meta(self._top / experiment / "datasets" / dataset_id)
            except MvcError:
                return None
            return dataset(str(meta.get("name") or ""), str(meta.get("digest") or ""), str(meta.get("source") or ""))

        return find


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / _META
    try:
        found = read(read_small(path, _MAX_META).decode())
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"{path}: {error}") from error
    except ParseError as error:
        raise ParseError(f"{path}: {error.message}") from error
    if not isinstance(found, dict):
        raise ParseError(f"{path}: no names at its top")
    return found


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as found:
            return sorted(one.name for one in found if one.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(path: Path, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Files below a folder, by their paths from it: a name with slashes is folders."""
    try:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda one: one.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for one in entries:
        if one.is_dir(follow_symlinks=False) and depth < _MAX_DEPTH:
            yield from _files(Path(one.path), f"{prefix}{one.name}/", depth + 1)
        elif one.is_file(follow_symlinks=False):
            yield prefix + one.name


def _whole(value: Any) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
