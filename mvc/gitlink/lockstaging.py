"""`mvc.lock` on its way into Git: staged there when mvc wrote it, so that the next Git commit names the models."""

from __future__ import annotations

from contextlib import suppress

from mvc.errors import MvcError
from mvc.gitlink.outer import ask
from mvc.objects.outergit import LOCK_FILE
from mvc.repo.repository import Repository


def stage_lock(repo: Repository) -> bool:
    """`git add mvc.lock`; returns whether Git took it. One that the project ignores, or that Git cannot take just now
    (its index is locked), is left: `git status` shows it."""
    top = repo.worktree
    if top is None or repo.git_project is None:
        return False
    with suppress(MvcError, OSError):
        # Literal: no magic in a pathspec. A merge that conflicts in this file is settled by it.
        return ask(top, "--literal-pathspecs", "add", "--", LOCK_FILE) is not None
    return False
