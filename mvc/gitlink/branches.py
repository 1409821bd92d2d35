"""mvc's branch follows Git's: in a Git project the two are on branches of the same name."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from mvc.errors import MvcError, Refused
from mvc.gitlink.lockfile import read_lock
from mvc.objects.ancestry import is_ancestor
from mvc.objects.model import Signature
from mvc.objects.outergit import git_branch
from mvc.objects.refs import RefChange
from mvc.repo.repository import Repository
from mvc.repo.worktrees import checked_out

_HEADS = "refs/heads/"


class Branches(NamedTuple):
    """Where Git and mvc are. None: that one's HEAD is detached."""

    git: str | None
    mvc: str | None

    @property
    def apart(self) -> bool:
        """Is Git on a branch, and mvc not on the one of that name?"""
        return self.git is not None and self.git != self.mvc


def branches(repo: Repository) -> Branches | None:
    """The two branches; None outside of a Git project."""
    project = repo.git_project
    return None if project is None else Branches(git_branch(project), repo.refs.head().short)


def follow(repo: Repository, who: Signature) -> str | None:
    """Before a commit: go to the branch that Git is on, if no file changes by that. Returns its name if HEAD moved.

    A branch that mvc does not have yet begins at HEAD's commit. One behind a detached HEAD moves forward to it where
    `mvc.lock` names that commit: Git checked it out, and then went on to its branch (`rebase --apply` does). Raises
    Refused where the branch is at another commit: going there changes files, which is for `mvc switch` to do.
    """
    found = branches(repo)
    if found is None or not found.apart or found.git is None:
        return None
    full = _HEADS + found.git
    head, target = repo.refs.head(), repo.refs.read(full)
    forward = head.short is None and head.id is not None and target is not None and _is_locked(repo, head.id)
    forward = forward and is_ancestor(repo.objects, target or "", head.id or "")
    if target is not None and target != head.id and not forward:
        raise Refused(
            f"Git is on branch {found.git}, mvc on {found.mvc or 'no branch'}", hint=f"mvc switch {found.git}"
        )
    other = checked_out(repo).get(full)
    if other is not None:
        raise Refused(f"Git is on branch {found.git}, which mvc has checked out in {other}")
    if head.id is not None and target != head.id:
        message = f"branch: {'Reset to' if target else 'Created from'} {found.mvc or 'HEAD'}"
        repo.refs.update([RefChange(full, target, head.id)], message=message, author=who, head_follows=False)
    repo.refs.set_head(full, message=f"checkout: moving from {found.mvc or head.id} to {found.git}", author=who)
    return found.git


def _is_locked(repo: Repository, commit: str) -> bool:
    """Does `mvc.lock` name this commit?"""
    with suppress(MvcError):
        lock = read_lock(repo.require_worktree())
        return lock is not None and lock.commit == commit
    return False


def refuse_detached(repo: Repository) -> None:
    """Raise Refused if Git is on a branch: mvc's HEAD is never detached then, or commits would be lost to it."""
    found = branches(repo)
    if found is not None and found.git is not None:
        raise Refused(
            f"Git is on branch {found.git}: mvc's HEAD stays on it too",
            hint="mvc restore --source=REV . brings old files back; or git switch --detach first",
        )
