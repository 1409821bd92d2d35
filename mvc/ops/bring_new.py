"""A fresh clone of a Git project, or a new worktree of one: the mvc repository that its `mvc.lock` belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvc.errors import NotARepository, NotFound
from mvc.gitlink.lockfile import Lock, read_lock
from mvc.gitlink.outer import Project
from mvc.objects.outergit import git_branch
from mvc.objects.upstream import HEADS
from mvc.ops.bring import Brought, fetch_commit, has_commit
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, absolute_url
from mvc.ops.init import init
from mvc.ops.remote import add_remote, list_remotes, set_url
from mvc.ops.tracking import follow
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import switch_tree
from mvc.repo.repository import MVC_DIR, Repository
from mvc.repo.worktrees import add_worktree, checked_out


def link_worktree(
    project: Project, folder: str, *, outside: Outside, caller: Caller, global_configs: Sequence[Path] = ()
) -> Repository | None:
    """In a linked worktree of Git's: one of mvc's, which shares all with that of the main one; None where there is
    none. Its HEAD goes to the lock's commit; the files are for `fill`."""
    main = project.main_top() if project.is_linked else None
    top = project.require_top() / folder
    lock = read_lock(top)
    if main is None or lock is None or not (main / folder / MVC_DIR).is_dir():
        return None
    repo = Repository.open(main / folder, global_configs=global_configs)
    if not has_commit(repo, lock.commit):
        fetch_commit(repo, lock, outside=outside, caller=caller)
    branch = git_branch(project.require_top())
    ref = HEADS + branch if branch is not None else None
    fits = ref is not None and ref not in checked_out(repo) and repo.refs.read(ref) == lock.commit
    add_worktree(repo, top, branch=ref if fits else None, commit=lock.commit, standing=True)
    return Repository.open(top, global_configs=global_configs)


def fill(repo: Repository, *, caller: Caller) -> Brought:
    """Write the files of a worktree that has none yet."""
    commit = repo.objects.commit(repo.refs.head().id or "")
    with edit_stage(repo, wait=caller.wait, what="worktree add") as stage:
        switch_tree(repo, stage, commit.tree, current_tree=None, progress=caller.progress)
    return Brought(repo.require_worktree(), commit.id, repo.refs.head().short, True, summary=commit.summary)


def make_repository(
    project: Project,
    folder: str,
    url: str | None,
    *,
    outside: Outside,
    caller: Caller,
    global_configs: Sequence[Path] = (),
) -> Repository:
    """In a fresh clone: a repository whose remote is `url`, else the one that the lock names; its history comes.

    Raises NotARepository where there is no lock, NotFound where no remote is known.
    """
    top = project.require_top() / folder
    lock = read_lock(top)
    if lock is None:
        raise NotARepository(f"there is no mvc repository in {top}, nor an mvc.lock that names one", hint="mvc init")
    address = _address(url, lock, outside)
    made = init(top, global_configs=global_configs).repo
    add_remote(made, "origin", address)
    repo = Repository.open(top, global_configs=global_configs)
    branch = repo.refs.head().branch
    if branch is not None:
        follow(repo, branch, "origin", branch)  # before the network: what it interrupts goes on with the next sync
        repo = Repository.open(top, global_configs=global_configs)
    fetch_commit(repo, lock, outside=outside, caller=caller)
    return Repository.open(top, global_configs=global_configs)


def turn_to(repo: Repository, url: str, *, outside: Outside) -> str | None:
    """Have `origin` be `url` in a repository that stands: one that CI kept in a cache, or a failed sync left.

    Returns where it was until now, None where nothing changed. Raises Refused for a URL with a password.
    """
    wanted = absolute_url(url, outside.cwd)
    was = next((one.fetch for one in list_remotes(repo) if one.name == "origin"), None)
    if was is None:
        add_remote(repo, "origin", wanted)
    elif absolute_url(was, repo.require_worktree()) != wanted:
        set_url(repo, "origin", wanted)
        return was
    return None


def _address(url: str | None, lock: Lock, outside: Outside) -> str:
    if url:
        return absolute_url(url, outside.cwd)
    if lock.remote is None:
        raise NotFound("mvc.lock names no remote", hint="mvc hooks sync --remote URL")
    return lock.remote
