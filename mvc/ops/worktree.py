"""`mvc worktree`: more folders of files on one repository, each on its own branch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mvc.errors import Refused, WouldOverwrite
from mvc.fsio import unlink, write_atomic
from mvc.objects.refnames import branch_ref
from mvc.objects.refs import Head, RefChange, Refs
from mvc.objects.revparse import resolve_commit
from mvc.ops.branch_use import branch_tip, refuse_if_used
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths, staged_differences
from mvc.ops.names import refuse_alias
from mvc.repo.locking import edit_stage, read_stage
from mvc.repo.materialize import switch_tree
from mvc.repo.removal import remove_tree
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.worktrees import LinkedWorktree, add_worktree, drop_worktree, find_worktree, list_worktrees


@dataclass(frozen=True, slots=True)
class WorktreeInfo:
    """A worktree. `name` is None for the main one; `locked` is the reason, None if it is not locked."""

    path: Path
    head: Head
    name: str | None = None
    locked: str | None = None
    gone: bool = False
    """Its folder is not there any more: `prune` would forget it."""


@dataclass(frozen=True, slots=True)
class Added:
    """A new worktree. `created`: its branch is new."""

    path: Path
    branch: str | None
    commit: str
    summary: str
    created: bool


def worktrees(repo: Repository) -> list[WorktreeInfo]:
    """All of them, the main one first."""
    found = [WorktreeInfo(repo.common_dir.parent, Refs(repo.common_dir, repo.common_dir).head())]
    for linked in list_worktrees(repo):
        head = Refs(linked.git_dir, repo.common_dir).head()
        found.append(WorktreeInfo(linked.worktree, head, linked.name, linked.locked, linked.gone))
    return found


def add(
    repo: Repository,
    path: Path,
    revision: str | None = None,
    *,
    new_branch: str | None = None,
    detach: bool = False,
    caller: Caller,
) -> Added:
    """Make a worktree in the folder `path`, on the branch `revision`, or on `new_branch` made at it.

    With neither, the branch has the name of the folder, and is made at HEAD if there is none. Any
    other revision is detached. Raises Refused for a branch that another worktree has.
    """
    repo.require_writable()
    branch, commit, create = _destination(repo, path, revision, new_branch, detach)
    if create and branch is not None:
        repo.refs.update(
            [RefChange(branch, None, commit)],
            message=f"branch: Created from {revision or 'HEAD'}",
            author=caller.who,
            head_follows=False,
        )
    elif branch is not None:
        refuse_if_used(repo, branch)
    made = add_worktree(repo, path, branch=branch, commit=commit)
    found = made.objects.commit(commit)
    with edit_stage(made, wait=caller.wait, what="worktree add") as stage:
        switch_tree(made, stage, found.tree, current_tree=None, progress=caller.progress)
    return Added(made.require_worktree(), branch, commit, found.summary, create)


def remove(repo: Repository, name: str, *, force: bool = False, caller: Caller) -> LinkedWorktree:
    """Remove a worktree: its folder and what mvc knows of it. Raises WouldOverwrite while it holds changes or
    files that are not versioned, Refused for a locked one, both but with `force`."""
    linked = find_worktree(repo, name)
    if linked.git_dir == repo.git_dir:
        raise Refused("this is the worktree you are in", hint="go to another one first")
    if linked.locked is not None and not force:
        reason = f": {linked.locked}" if linked.locked else ""
        raise Refused(f"{linked.worktree} is locked{reason}", hint=f"mvc worktree unlock {linked.name}")
    if not linked.gone:
        if not force and (paths := _would_lose(Repository.open(linked.worktree), caller)):
            raise WouldOverwrite(f"{linked.worktree} holds uncommitted work", paths=paths, hint="--force gives it up")
        remove_tree(linked.worktree, repo.tmp_dir)
    drop_worktree(repo, linked.name)
    return linked


def prune(repo: Repository, *, dry_run: bool = False) -> list[LinkedWorktree]:
    """Forget worktrees whose folders are gone, but for locked ones."""
    gone = [linked for linked in list_worktrees(repo) if linked.gone and linked.locked is None]
    if not dry_run:
        for linked in gone:
            drop_worktree(repo, linked.name)
    return gone


def lock(repo: Repository, name: str, reason: str = "") -> LinkedWorktree:
    """Keep a worktree from being pruned or removed (it lies on a disk that is not always there)."""
    linked = find_worktree(repo, name)
    if linked.locked is not None:
        raise Refused(f"{linked.worktree} is locked already", hint=linked.locked or None)
    write_atomic(linked.git_dir / "locked", reason.encode(), tmp_dir=repo.tmp_dir)
    return linked


def unlock(repo: Repository, name: str) -> LinkedWorktree:
    """End a `lock`."""
    linked = find_worktree(repo, name)
    if linked.locked is None:
        raise Refused(f"{linked.worktree} is not locked")
    unlink(linked.git_dir / "locked", missing_ok=True)
    return linked


def _destination(
    repo: Repository, path: Path, revision: str | None, new_branch: str | None, detach: bool
) -> tuple[str | None, str, bool]:
    """(branch or None, commit, is the branch to be made)."""
    if new_branch is not None:
        ref = branch_ref(new_branch)
        if repo.refs.read(ref) is not None:
            raise Refused(f"a branch named '{new_branch}' exists already")
        refuse_alias(repo, new_branch)
        return ref, resolve_commit(repo.objects, repo.refs, revision or "HEAD"), True
    if revision is None and not detach:
        ref = branch_ref(path.name)
        standing = repo.refs.read(ref)
        if standing is not None:
            return ref, standing, False
        refuse_alias(repo, path.name)
        return ref, resolve_commit(repo.objects, repo.refs, "HEAD"), True
    name = revision or "HEAD"
    standing = branch_tip(repo, name) if not detach else None
    if standing is not None:
        return f"refs/heads/{name}", standing, False
    return None, resolve_commit(repo.objects, repo.refs, name), False


def _would_lose(linked: Repository, caller: Caller) -> list[str]:
    stage = read_stage(linked)
    found = scan(linked, stage, untracked=Untracked.NORMAL, progress=caller.progress)
    head = linked.refs.head().id
    tree = linked.objects.commit(head).tree if head else None
    staged = staged_differences(linked, stage, tree)
    return sorted({*changed_paths(found), *found.untracked, *staged, *stage.conflicts()})
