"""`mvc runs`: which trainings there are, how they stand, what they stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mvc.errors import MvcError, NotFound
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.objects.model import Commit
from mvc.ops.checkpoint import STATUS
from mvc.ops.known import Known
from mvc.ops.runfiles import LOCK, SPOOL, RunRefs, load_log, local_runs, read_state, run_folder, runs_of
from mvc.repo.repository import Repository
from mvc.store.locks import list_locks


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint. `time`: seconds since 1970."""

    step: int
    commit: str
    time: int
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run. Times are seconds since 1970."""

    name: str
    status: str
    """running, finished, failed, interrupted; "killed" where it said running and its process is gone."""
    started: float | None
    updated: float | None
    step: int | None
    """The last that was logged or stored."""
    checkpoints: tuple[int, ...]
    waiting: int
    """Checkpoints that are put aside and not stored yet."""
    here: bool
    """Whether its process runs or ran in this repository."""
    writer: str
    """The process that writes it now; "" for none."""
    metadata: CommitMetadata
    note: str = ""
    """Why it failed."""


def list_runs(repo: Repository, patterns: Sequence[str] = ()) -> list[RunInfo]:
    """The runs, the newest first; of those whose names fit a glob. Raises NotFound for a pattern that fits none."""
    every = runs_of(repo.refs.list("refs/runs/"))
    names = sorted({*every, *local_runs(repo)})
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise NotFound(f"there is no run '{pattern}'", hint="mvc runs list")
    chosen = [name for name in names if not patterns or any(fnmatchcase(name, one) for one in patterns)]
    known = Known(repo)
    found = [_info(repo, known, name, every.get(name, RunRefs())) for name in chosen]
    return sorted(found, key=lambda one: (-(one.started or 0), one.name))


def checkpoints_of(repo: Repository, run: str) -> list[StoredCheckpoint]:
    """The checkpoints of a run, in order."""
    refs = runs_of(repo.refs.list(f"refs/runs/{run}/")).get(run, RunRefs())
    known = Known(repo)
    found = []
    for step, commit_id in refs.steps.items():
        commit = repo.objects.commit(commit_id)
        found.append(StoredCheckpoint(step, commit_id, commit.committer.time, known.read(commit_id).metrics))
    return found


def _info(repo: Repository, known: Known, name: str, refs: RunRefs) -> RunInfo:
    folder = run_folder(repo, name)
    state = read_state(folder)
    target = refs.summary or (refs.steps[max(refs.steps)] if refs.steps else None)
    commit, metadata = _said(repo, known, target)
    said = metadata.tags.get(STATUS, "running")
    lock = next((one for one in list_locks(folder) if one.path.name == LOCK), None) if folder.is_dir() else None
    writer = lock.holder if lock is not None and not lock.stale else ""
    status = state.get("status", said) if state else said
    if status == "running" and state and not writer:
        status = "killed"
    log = load_log(repo, name)
    steps = [*log.points, *refs.steps]
    return RunInfo(
        name=name,
        status=str(status),
        started=_time(state.get("started")) or (float(commit.author.time) if commit else None),
        updated=_time(state.get("updated")) or (float(commit.committer.time) if commit else None),
        step=max(steps, default=None),
        checkpoints=tuple(refs.steps),
        waiting=sum(1 for _ in (folder / SPOOL).iterdir()) if (folder / SPOOL).is_dir() else 0,
        here=bool(state),
        writer=writer,
        metadata=metadata,
        note=commit.message.partition("\n")[2].strip() if commit and refs.summary else "",
    )


def _said(repo: Repository, known: Known, target: str | None) -> tuple[Commit | None, CommitMetadata]:
    if target is None:
        return None, NOTHING
    try:
        return repo.objects.commit(target), known.read(target)
    except MvcError:
        return None, NOTHING


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
