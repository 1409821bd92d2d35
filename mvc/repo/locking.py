"""The lock of a worktree's stage, which spans the swap of ref and stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvc.errors import Locked
from mvc.lazy import load
from mvc.repo import outlived
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage

LOCKS = {"hold": "mvc.store.locks:hold"}
"""Loaded by who writes: a status that finds nothing to note does without."""


@contextmanager
def edit_stage(repo: Repository, *, wait: float = 0.0, what: str = "") -> Iterator[Stage]:
    """Hold the stage's lock, give the Stage as it is now, save it at the end (not if the block raises,
    nor if nothing changed). Raises Locked after `wait` seconds; `what` names the verb to whoever waits.

    Encode before; inside only put and remove. A commit moves the ref inside the block, so the ref
    comes first, then the stage is saved. Also hold it while worktree files are written by the stage.
    """
    repo.require_writable()
    try:
        with load(LOCKS["hold"])(lock_path(repo), what=what or "change the stage", wait=wait) as lock:
            stage = read_stage(repo)
            yield stage
            if stage.changed:
                lock.check()
                stage.save(repo.stage_path)
    finally:
        outlived.release()


def read_stage(repo: Repository) -> Stage:
    """The stage as it is now, without a lock: for reading.

    Its `tree` is a hint that no ref holds: one that `git gc` took meanwhile is forgotten here.
    """
    stage = Stage.load(repo.stage_path)
    if stage.tree is not None and not repo.objects.contains(stage.tree):
        stage.forget_tree()
    return stage


def refresh_stage(repo: Repository, stage: Stage) -> bool:
    """Save a stage in which only stats and the tree were brought up to date, if that is possible at once.

    Nothing is lost where it is not: another process holds the lock, or has changed the stage since
    `stage` was loaded, or the repository cannot be written to. Returns whether it was saved.
    """
    if not stage.changed:
        return False
    try:
        with load(LOCKS["hold"])(lock_path(repo), what="refresh the stage", wait=0.0):
            if Stage.load(repo.stage_path).columns().dump() != stage.base.dump():
                return False
            stage.save(repo.stage_path)
            return True
    except (Locked, OSError):
        return False


def lock_path(repo: Repository) -> Path:
    """The lock of this worktree's stage. Linked worktrees have their own."""
    if repo.git_dir == repo.common_dir:
        return repo.locks_dir / "stage.lock"
    return repo.locks_dir / f"stage-{repo.git_dir.name}.lock"
