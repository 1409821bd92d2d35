"""Operations that stopped half-way (merge, rebase, ...): their state files, as Git's. (Skeleton.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mvc.repo.repository import Repository


class Operation(Enum):
    """What is unfinished; the value is the verb that continues or aborts it."""

    MERGE = "merge"
    REVERT = "revert"
    CHERRY_PICK = "cherry-pick"
    REBASE = "rebase"
    BISECT = "bisect"


@dataclass(frozen=True, slots=True)
class InProgress:
    operation: Operation
    head: str | None
    """MERGE_HEAD, REVERT_HEAD, CHERRY_PICK_HEAD: the commit; for a rebase the one that it stopped at."""
    detail: str = ""
    """For people: the branch being rebased, the step."""


def current(repo: Repository) -> InProgress | None:
    """The unfinished operation, if any (BISECT only if there is no other)."""
    raise NotImplementedError


def read(repo: Repository, name: str) -> str | None:
    """The text of a state file of this worktree (`MERGE_HEAD`, `MERGE_MSG`, `rebase-merge/onto`), stripped at the end; None if absent."""
    raise NotImplementedError


def write(repo: Repository, files: Mapping[str, str]) -> None:
    """Write state files durably, each atomically, in the given order; folders are made."""
    raise NotImplementedError


def clear(repo: Repository, *names: str) -> None:
    """Remove state files or whole state folders; absent ones are fine."""
    raise NotImplementedError


def state_objects(repo: Repository) -> list[str]:
    """All commit ids that state files name (gc keeps them)."""
    raise NotImplementedError
