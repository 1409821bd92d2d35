"""In a Git project: verbs that move HEAD go with Git's branch, and write `mvc.lock`. Elsewhere nothing is done."""

from __future__ import annotations

from collections.abc import Callable

from mvc.errors import Refused
from mvc.gitlink.branches import branches, follow, refuse_detached
from mvc.gitlink.ignorefile import update_ignore_file
from mvc.gitlink.lockfile import update_lock
from mvc.lazy import load
from mvc.objects import trees
from mvc.objects.refnames import short
from mvc.ops.caller import Caller
from mvc.ops.differences import staged_differences
from mvc.ops.sequence import Verb
from mvc.repo import inprogress
from mvc.repo.repository import Repository
from mvc.repo.stage import Stage, StageEntry

ENTRIES = {"staged": "mvc.repo.materialize:staged_entry"}
"""Loaded only where the stage holds more than the commit, as it takes numpy and zstandard."""
STAGING = {"lock": "mvc.gitlink.lockstaging:stage_lock"}
"""Loaded where `mvc.lock` changed: it starts git."""


def follow_git(repo: Repository, caller: Caller) -> None:
    """Before a verb that commits: be on the branch that Git is on. Raises Refused if files would change by that."""
    if repo.git_project is not None and inprogress.read(repo, f"{Verb.REBASE.folder}/head-name") is None:
        follow(repo, caller.who)


def refuse_apart(repo: Repository, branch: str | None) -> None:
    """Raise Refused if HEAD is about to go to a branch (full name; None: detached) that Git is not on."""
    if repo.git_project is None:
        return
    if branch is None:
        refuse_detached(repo)
        return
    found = branches(repo)
    name = short(branch)
    if found is not None and found.git is not None and found.git != name:
        raise Refused(f"Git is on branch {found.git}, and mvc goes with it", hint=f"git switch {name}, then again")


def note_head(repo: Repository, stage: Stage) -> None:
    """After HEAD has moved: Git ignores what is tracked now, and `mvc.lock` names the commit and its files, staged for
    Git's next commit."""
    head = repo.refs.head().id
    if repo.git_project is None or head is None or repo.worktree is None:
        return
    update_ignore_file(repo, stage)
    tree = repo.objects.commit(head).tree
    committed = stage
    if stage.conflicts() or staged_differences(repo, stage, tree):
        committed = committed_stage(repo, tree)
    if update_lock(repo, committed, head, remote=repo.config.get("remote.origin.url")):
        stage_lock: Callable[[Repository], bool] = load(STAGING["lock"])
        stage_lock(repo)


def committed_stage(repo: Repository, tree: str) -> Stage:
    """A stage that holds what `tree` does."""
    committed = Stage()
    entry_of: Callable[..., StageEntry] = load(ENTRIES["staged"])
    items = trees.flatten(repo.objects, tree).items()
    committed.replace(entry_of(repo.objects, path, item) for path, item in items)
    return committed
