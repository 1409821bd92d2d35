"""mvc's branch follows Git's: in a Git project the two are on branches of the same name."""

from __future__ import annotations

from typing import NamedTuple

from mvc.errors import Refused
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

    A branch that mvc does not have yet begins at HEAD's commit. Raises Refused where the branch is at another
    commit: going there changes files, which is for `mvc switch` to do.
    """
    found = branches(repo)
    if found is None or not found.apart or found.git is None:
        return None
    full = _HEADS + found.git
    head, target = repo.refs.head(), repo.refs.read(full)
    if target is not None and target != head.id:
        raise Refused(
            f"Git is on branch {found.git}, mvc on {found.mvc or 'no branch'}", hint=f"mvc switch {found.git}"
        )
    other = checked_out(repo).get(full)
    if other is not None:
        raise Refused(f"Git is on branch {found.git}, which mvc has checked out in {other}")
    if target is None and head.id is not None:
        message = f"branch: Created from {found.mvc or 'HEAD'}"
        repo.refs.update([RefChange(full, None, head.id)], message=message, author=who, head_follows=False)
    repo.refs.set_head(full, message=f"checkout: moving from {found.mvc or head.id} to {found.git}", author=who)
    return found.git


def refuse_detached(repo: Repository) -> None:
    """Raise Refused if Git is on a branch: mvc's HEAD is never detached then, or commits would be lost to it."""
    found = branches(repo)
    if found is not None and found.git is not None:
        raise Refused(
            f"Git is on branch {found.git}: mvc's HEAD stays on it too",
            hint="mvc restore --source=REV . brings old files back; or git switch --detach first",
        )
