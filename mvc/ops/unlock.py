"""`mvc unlock`: the locks that stand in a repository, and breaking them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.repo.repository import Repository
from mvc.store.locks import LockInfo, break_lock, list_locks

_NO_LOCKS_BELOW = {"objects", "chunks", "intents", "tmp"}


@dataclass(frozen=True, slots=True)
class StandingLock:
    """A lock file. `name` is its path inside `.mvc`; `stale`: whoever held it is gone, so the next who wants it
    breaks it anyway; `age` in seconds since the holder's last sign of life."""

    path: Path
    name: str
    holder: str
    stale: bool
    age: float


def find_locks(repo: Repository) -> tuple[StandingLock, ...]:
    """All locks of the repository, those of refs and config too, in Git's form or mvc's."""
    found = []
    for folder in _folders(repo):
        found += [_standing(repo, lock) for lock in list_locks(folder)]
    return tuple(found)


def unlock(locks: Sequence[StandingLock]) -> tuple[StandingLock, ...]:
    """Break these locks, whoever holds them; returns those that were still there.

    A process that does hold one may then write beside another: what it commits fails or wins by
    compare-and-swap, but the stage may lose what one of them staged.
    """
    return tuple(lock for lock in locks if break_lock(lock.path) is not None)


def _standing(repo: Repository, lock: LockInfo) -> StandingLock:
    name = os.path.relpath(lock.path, repo.common_dir).replace(os.sep, "/")
    return StandingLock(lock.path, name, lock.holder, lock.stale, lock.age_seconds)


def _folders(repo: Repository) -> Iterator[Path]:
    """The folders of `.mvc` in which a lock stands."""
    for folder, folders, files in os.walk(repo.common_dir):
        if Path(folder) == repo.common_dir:
            folders[:] = [name for name in folders if name not in _NO_LOCKS_BELOW]
        folders.sort()
        if any(".lock" in name for name in files):
            yield Path(folder)
