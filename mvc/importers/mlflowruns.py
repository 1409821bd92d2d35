"""A run as MLflow keeps it, and the commit that it makes. Both kinds of store give the same."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from mvc.importers.facts import fit_names
from mvc.metadata.model import CommitMetadata, Dataset, Point
from mvc.metadata.secrets import without_credentials
from mvc.metadata.values import scalar
from mvc.objects.model import Signature

_OWN = "mlflow."
"""How the names of tags begin that MLflow itself sets."""
_LARGEST_STEP = 2**63 - 1
STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


class Measured(NamedTuple):
    """A value of a metric; `time` in milliseconds since 1970."""

    name: str
    step: int
    time: int
    value: float


@dataclass(slots=True)
class Run:
    """Times in milliseconds since 1970. `artifacts`: where they are said to lie, and under which folder of the commit
    ("" for the run's own, the name of a logged model for its)."""

    id: str
    experiment: str
    name: str
    status: str
    user: str
    start: int
    end: int
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    artifacts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def version(self) -> str:
        """The run as it stands now: one that goes on makes another commit."""
        told = [self.id, self.name, self.status, self.end, self.params, self.tags, self.artifacts, len(self.measured)]
        last = max(((one.time, one.name, repr(one.value)) for one in self.measured), default=None)
        text = json.dumps([*told, last], sort_keys=True, default=repr)
        return f"{self.id}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def last_step(self) -> int:
        return max((one.step for one in self.measured), default=0)


class ModelVersion(NamedTuple):
    """A version of a registered model, and the run that made it. `stage`: "Production", or None."""

    model: str
    version: int
    run: str
    stage: str | None = None


class Alias(NamedTuple):
    """A name that moves, of a registered model."""

    model: str
    name: str
    version: int


def signatures(run: Run) -> tuple[Signature, Signature]:
    """Who made the run, when it began and when it ended."""
    user = run.user or "mlflow"
    email = user if "@" in user else ""
    end = run.end or run.start
    return Signature(user, email, run.start // 1000), Signature(user, email, end // 1000)


def message(run: Run) -> str:
    """The run's name, and the note that was made of it."""
    note = run.tags.get("mlflow.note.content", "").strip()
    return f"{run.name or run.id}\n" + (f"\n{note}\n" if note else "")


def metadata(run: Run) -> CommitMetadata:
    """Params, the last value of each metric, all of them as series, tags, datasets."""
    latest: dict[str, Measured] = {}
    for one in run.measured:
        standing = latest.get(one.name)
        if standing is None or (one.step, one.time) >= (standing.step, standing.time):
            latest[one.name] = one
    tags = {name: value for name, value in run.tags.items() if not name.startswith(_OWN)}
    code = {
        "code.commit": run.tags.get("mlflow.source.git.commit"),
        "code.branch": run.tags.get("mlflow.source.git.branch"),
    }
    told = {"run.name": run.name or run.id, "run.status": run.status.lower()}
    links = {"mlflow.run": run.id, "mlflow.parent": run.tags.get("mlflow.parentRunId")}
    return CommitMetadata(
        params=fit_names({_name(name): scalar(value) for name, value in run.params.items()}),
        metrics=fit_names({_name(name): _number(one.value) for name, one in latest.items()}),
        datasets=tuple(run.datasets),
        environment={name: value for name, value in code.items() if value},
        tags={"experiment": run.experiment, **{_name(k): v for k, v in tags.items()}, **told},
        links={name: value for name, value in links.items() if value},
        series=tuple(_points(run.measured)),
    )


def _points(measured: Sequence[Measured]) -> Iterator[Point]:
    """By step; of several values at one step the last counts."""
    steps: dict[int, dict[str, float | int]] = {}
    repeated = {one.name for one in measured if one.step} | _named_twice(measured)
    for one in sorted(measured, key=lambda one: (one.step, one.time)):
        if one.name in repeated:
            steps.setdefault(one.step, {})[_name(one.name)] = _number(one.value)
    for step in sorted(steps):
        yield Point(step, steps[step])


def _named_twice(measured: Sequence[Measured]) -> set[str]:
    seen: set[str] = set()
    return {one.name for one in measured if one.name in seen or seen.add(one.name)}  # type: ignore[func-returns-value]


def _number(value: float) -> float | int:
    """A whole number as one: MLflow knows only floats."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 2**53
    return int(value) if whole and value != 0 else value


def _name(name: str) -> str:
    """A name as given, but for the scope's sign and empty parts between dots, which mean something here."""
    return re.sub(r"\.(?=\.)|^\.|\.$", "_", name.replace("@", "_at_")) or "_"


def dataset(name: str, digest: str, source: str) -> Dataset:
    """A dataset as MLflow logs it: `source` is JSON whose fields depend on its kind."""
    location = source
    try:
        fields = json.loads(source)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict):
        named = [fields[key] for key in ("uri", "url", "path", "delta_table_name") if isinstance(fields.get(key), str)]
        location = named[0] if named else source
    return Dataset(
        name or "dataset", without_credentials(location[:2000]) or "-", f"mlflow:{digest}" if digest else None
    )


class Places:
    """From what a store says of a run's artefacts to a folder of this machine that may be read.

    Never one outside of `roots`: a store that somebody handed over could name any folder. One that was moved is found
    by the ends of its paths.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in roots]

    def find(self, uri: str) -> Path | None:
        """The folder; None if none of the roots has it."""
        path = _path_of(uri)
        if path is None:
            return None
        for root in self._roots:
            candidates = [Path(path)] if path.startswith("/") else [root / path]
            parts = [part for part in path.split("/") if part not in ("", ".", "..")]
            candidates += [root.joinpath(*parts[-count:]) for count in (5, 4, 3, 2) if count <= len(parts)]
            for one in candidates:
                real = Path(os.path.realpath(one))
                if real.is_dir() and real.is_relative_to(root) and real != root:
                    return real
        return None


def is_here(uri: str) -> bool:
    """Whether artefacts lie, or lay, in folders of a machine, and not in an object store."""
    return _path_of(uri) is not None


def holds_files(uri: str) -> bool:
    """Whether there is anything in the folder of this machine that `uri` names."""
    path = _path_of(uri)
    with suppress(OSError, ValueError):
        return path is not None and path.startswith("/") and bool(os.listdir(path))
    return False


def _path_of(uri: str) -> str | None:
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return unquote(parts.path) if parts.scheme else uri
    return unquote(parts.path).lstrip("/") if parts.scheme == "mlflow-artifacts" else None


def latest_stages(versions: Iterable[ModelVersion]) -> Mapping[tuple[str, str], ModelVersion]:
    """(model, stage) to the newest version that is in it."""
    found: dict[tuple[str, str], ModelVersion] = {}
    for one in sorted(versions, key=lambda one: one.version):
        if one.stage and one.stage != "None":
            found[one.model, one.stage.lower()] = one
    return found
