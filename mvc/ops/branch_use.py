"""Branches by name, and which worktree is on one: no two may be, for one were left behind when the other commits."""

from __future__ import annotations

from pathlib import Path

from mvc.errors import Refused
from mvc.objects.refnames import is_valid_short
from mvc.objects.refs import Refs
from mvc.repo.repository import Repository
from mvc.repo.worktrees import all_git_dirs, list_worktrees


def branch_tip(repo: Repository, name: str) -> str | None:
    """The commit of the branch `name`; None if there is none, or if only another revision could be spelt so."""
    return repo.refs.read(f"refs/heads/{name}") if is_valid_short(name) else None


def used_by(repo: Repository, branch: str) -> Path | None:
    """Another worktree than `repo`'s whose HEAD is on `branch` (a full name): its git_dir, or None."""
    for git_dir in all_git_dirs(repo):
        if git_dir != repo.git_dir and Refs(git_dir, repo.common_dir).symbolic("HEAD") == branch:
            return git_dir
    return None


def refuse_if_used(repo: Repository, branch: str) -> None:
    """Raise Refused if another worktree has the branch checked out."""
    git_dir = used_by(repo, branch)
    if git_dir is None:
        return
    places = {linked.git_dir: linked.worktree for linked in list_worktrees(repo)}
    where = places.get(git_dir, repo.common_dir.parent)
    raise Refused(f"branch '{branch.removeprefix('refs/heads/')}' is checked out at '{where}'")
