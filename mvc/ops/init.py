"""`mvc init`: make a repository, or complete one that stands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mvc.gitlink.ignorefile import has_ignore_block, update_ignore_file
from mvc.objects.config import ConfigFile
from mvc.objects.outergit import git_branch
from mvc.repo.create import init as create
from mvc.repo.locking import read_stage
from mvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class InitResult:
    """The repository, and what init found."""

    repo: Repository
    is_new: bool
    branch: str | None
    """The branch of HEAD."""
    git_project: Path | None
    """The Git project around it."""
    ignore_file_changed: bool
    """Did `.gitignore` get a line that keeps `.mvc` out of Git?"""


def init(
    path: Path, *, initial_branch: str | None = None, bare: bool = False, global_configs: Sequence[Path] = ()
) -> InitResult:
    """Make `path/.mvc`. In a Git project the first branch is the one that Git is on, unless one is given."""
    path = Path(os.path.abspath(path))
    branch = initial_branch or (None if bare else _git_branch_around(path))
    repo, is_new = create(path, initial_branch=branch, bare=bare, global_configs=global_configs)
    if is_new and repo.worktree is not None and _note_file_system(repo):
        repo = Repository.open(path, global_configs=global_configs)
    return InitResult(repo, is_new, repo.refs.head().short, repo.git_project, not bare and _keep_out_of_git(repo))


def _keep_out_of_git(repo: Repository) -> bool:
    """Let Git ignore `.mvc`. In a fresh clone of Git's nothing is staged yet, and the block that came with it stays:
    it names the files of the commit that is still to come."""
    stage = read_stage(repo)
    if not stage.paths() and has_ignore_block(repo):
        return False
    return update_ignore_file(repo, stage)


def _git_branch_around(path: Path) -> str | None:
    for folder in (path, *path.parents):
        found = folder / ".git"
        if found.is_file() or (found / "HEAD").exists():
            with suppress(OSError):
                return git_branch(folder)
            return None
    return None


def _note_file_system(repo: Repository) -> bool:
    """Write into the config what this file system cannot do, as Git does. Returns whether there is such."""
    lacking = _lacking(repo.tmp_dir)
    if lacking:
        config = ConfigFile(repo.common_dir / "config")
        for key, value in lacking.items():
            config.set(key, value)
        config.save()
    return bool(lacking)


def _lacking(folder: Path) -> dict[str, str]:
    probe = folder / f"PrObE-{os.urandom(4).hex()}"
    link = folder / f"link-{os.urandom(4).hex()}"
    found: dict[str, str] = {}
    try:
        probe.touch()
        if (folder / probe.name.lower()).exists():
            found["core.ignoreCase"] = "true"
        probe.chmod(0o755)
        runs = probe.stat().st_mode & 0o100
        probe.chmod(0o644)
        if not runs or probe.stat().st_mode & 0o100:
            found["core.fileMode"] = "false"
        try:
            link.symlink_to(probe.name)
        except (OSError, NotImplementedError):
            found["core.symlinks"] = "false"
    finally:
        for path in (probe, link):
            path.unlink(missing_ok=True)
    return found
