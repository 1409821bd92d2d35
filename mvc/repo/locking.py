"""The lock of a worktree's stage, which spans the swap of ref and stage. (Skeleton.)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mvc.repo.repository import Repository
from mvc.repo.stage import Stage


@contextmanager
def edit_stage(repo: Repository, *, wait: float = 0.0) -> Iterator[Stage]:
    """Hold the stage's lock, give the Stage as it is now, save it at the end (not if the block raises,
    nor if nothing changed). Encode before, inside only put and remove. Raises Locked after `wait` seconds.

    A commit moves the ref inside the block: ref first, then the stage is saved.
    """
    raise NotImplementedError
    yield


def read_stage(repo: Repository) -> Stage:
    """The stage as it is now, without a lock: for reading."""
    raise NotImplementedError
