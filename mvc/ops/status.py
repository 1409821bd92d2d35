"""`mvc status`: what is staged, changed, not versioned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mvc.gitlink.branches import Branches, branches
from mvc.gitlink.lockfile import locked_commit
from mvc.ops.tracking import Tracking, tracking
from mvc.progress import SILENT, Progress
from mvc.repo.locking import read_stage, refresh_stage
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked
from mvc.repo.status import Status, entry_sizes, read_status


class StatusResult(NamedTuple):
    """The status, and what only `mvc status` tells."""

    status: Status
    sizes: dict[str, int]
    """Bytes of the files that are staged, by path."""
    branches: Branches | None
    """Git's branch and mvc's; None outside of a Git project."""
    prefix: str
    """The folder of the worktree in which it was asked."""
    tracking: Tracking | None = None
    """How the branch stands to its upstream."""
    locked: str | None = None
    """The commit that `mvc.lock` names, where it is another than HEAD's."""


def status(
    repo: Repository,
    specs: Sequence[str] = (),
    *,
    prefix: str = "",
    untracked: Untracked = Untracked.NORMAL,
    ignored: bool = False,
    progress: Progress = SILENT,
) -> StatusResult:
    """Look at stage and worktree. The stage's stats are brought up to date on the way, if no lock is held."""
    stage = read_stage(repo)
    found = read_status(
        repo,
        stage,
        Pathspec.parse(specs, prefix, repo.locate),
        untracked=untracked,
        list_ignored=ignored,
        progress=progress,
    )
    sizes = entry_sizes(stage, (change.path for change in found.staged))
    refresh_stage(repo, stage)
    both = branches(repo)
    locked = locked_commit(repo.worktree) if both is not None and repo.worktree is not None else None
    return StatusResult(
        found,
        sizes,
        both,
        prefix,
        tracking(repo, found.head.branch),
        locked if locked != found.head.id else None,
    )
