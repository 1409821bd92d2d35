"""Making a repository, and linked worktrees. (Skeleton.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvc.repo.repository import Repository


def init(path: Path, *, initial_branch: str | None = None, bare: bool = False, global_configs: Sequence[Path] = ()) -> tuple[Repository, bool]:
    """Make `path/.mvc` (or complete one that stands: nothing is lost). Returns it and whether it is new."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class LinkedWorktree:
    """A worktree beside the main one: `.mvc/worktrees/NAME/{HEAD,stage,logs,commondir,gitdir}`."""

    name: str
    git_dir: Path
    worktree: Path
    """As gitdir says; it may be gone."""
    locked: str | None
    """The reason in `locked`, if locked."""

    @property
    def gone(self) -> bool: ...


def list_worktrees(repo: Repository) -> list[LinkedWorktree]:
    """The linked ones, by name."""
    raise NotImplementedError


def add_worktree(repo: Repository, path: Path, *, branch: str | None, commit: str) -> Repository:
    """Make the folder `path` (absent or empty) with `.mvc` as file, and its HEAD: on `branch`, or detached at
    `commit`. Its stage is empty: whoever calls checks out. Raises Refused."""
    raise NotImplementedError


def drop_worktree(repo: Repository, name: str) -> None:
    """Forget a linked worktree: removes `.mvc/worktrees/NAME`, not the files."""
    raise NotImplementedError


def all_git_dirs(repo: Repository) -> list[Path]:
    """The git_dir of every worktree, the main one first: gc looks at each one's HEAD, stage, logs, state files."""
    raise NotImplementedError
