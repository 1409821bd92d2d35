"""`mvc hooks sync`, and what runs behind Git's checkout, merge and rebase: the models that `mvc.lock` names.

mvc's branch goes with Git's: it is made, or moved forward, to the commit of the lock. It moves back only where
something else holds what would be left behind. Uncommitted work is never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvc.errors import MvcError, NotFound, Refused
from mvc.gitlink.branches import branches
from mvc.gitlink.lockfile import Lock, read_lock
from mvc.gitlink.outer import Project
from mvc.lazy import load
from mvc.objects.ancestry import is_ancestor, only_in
from mvc.objects.refs import Head, RefChange
from mvc.objects.upstream import HEADS, remote_names
from mvc.ops.caller import Caller
from mvc.repo.repository import MVC_DIR, Repository

if TYPE_CHECKING:
    from mvc.ops.connect import Outside
    from mvc.ops.switch import Destination

LATE = {
    "fetch": "mvc.ops.fetch:fetch",
    "fetch_options": "mvc.ops.fetch:FetchOptions",
    "switch": "mvc.ops.switch:switch",
    "destination": "mvc.ops.switch:Destination",
}
"""Loaded where something is to be done: most of Git's checkouts change no model, and Git waits."""

LOCKED = "refs/locked/"
"""On a remote: mvc commits that Git commits name, and that no branch of mvc's holds. By their id."""


@dataclass(frozen=True, slots=True)
class BringOptions:
    """`force`: uncommitted changes are given up, and a branch moves back though commits of its own are lost to it.
    `files` false: HEAD and branch move, but no file is written. `branch`: the one to be on though Git's
    HEAD is detached just now."""

    force: bool = False
    files: bool = True
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of one repository. `branch`: short name, None if HEAD is detached."""

    top: Path
    commit: str
    branch: str | None
    moved: bool
    """HEAD, files or branch are other than before."""
    fetched: bool = False
    carried: tuple[str, ...] = ()
    """Files with uncommitted changes, which are as they were."""
    summary: str = ""


def find_repository(project: Project, folder: str, *, global_configs: Sequence[Path] = ()) -> Repository | None:
    """The mvc repository of the project's folder ("" is the top), if it is there."""
    top = project.require_top() / folder
    if not os.path.lexists(top / MVC_DIR):
        return None
    return Repository.open(top, global_configs=global_configs)


def bring(repo: Repository, options: BringOptions, *, outside: Callable[[], Outside], caller: Caller) -> Brought | None:
    """Go to the commit that `mvc.lock` names, on the branch that Git is on; None where there is no lock.

    Raises ParseError for a lock that cannot be read (a conflict of Git's), WouldOverwrite for uncommitted work in
    the way, Refused where the branch would lose commits, NotFound where no remote has the commit, NetworkError.
    """
    top = repo.require_worktree()
    lock = read_lock(top)
    found = branches(repo)
    if lock is None or found is None:
        return None
    head = repo.refs.head()
    branch = found.git or options.branch
    if head.id == lock.commit and head.short == branch and not options.force:
        return Brought(top, lock.commit, head.short, False)
    fetched = not has_commit(repo, lock.commit)
    if fetched:
        fetch_commit(repo, lock, outside=outside(), caller=caller)
    destination = _destination(repo, lock.commit, branch, force=options.force)
    if options.files:
        done: Any = load(LATE["switch"])(repo, destination, force=options.force, caller=caller)
        return Brought(top, lock.commit, done.now.short, True, fetched, tuple(done.carried), done.summary)
    _point(repo, destination, head, caller)
    return Brought(top, lock.commit, branch, True, fetched, (), repo.objects.commit(lock.commit).summary)


def has_commit(repo: Repository, commit: str) -> bool:
    """Is the commit here?"""
    with suppress(MvcError):
        return repo.objects.kind(commit) == "commit"
    return False


def fetch_commit(repo: Repository, lock: Lock, *, outside: Outside, caller: Caller) -> None:
    """Bring the history of a lock's commit: with a branch, else by its own name. Raises NotFound."""
    short = lock.commit[:10]
    if not remote_names(repo.config):
        hint = f"mvc remote add origin {lock.remote or 'URL'}, then: mvc hooks sync"
        raise NotFound(f"the models of this Git commit ({short}) are not here, and there is no remote", hint=hint)
    fetch = load(LATE["fetch"])
    fetch(repo, None, (), outside=outside, caller=caller)
    if has_commit(repo, lock.commit):
        return
    with suppress(NotFound):
        options = load(LATE["fetch_options"])(tags="none")
        fetch(repo, None, (LOCKED + lock.commit,), options, outside=outside, caller=caller)
    if not has_commit(repo, lock.commit):
        hint = "whoever made that Git commit has to push them: mvc push"
        raise NotFound(f"the models of this Git commit ({short}) are not here, nor on the remote", hint=hint)


def _destination(repo: Repository, commit: str, branch: str | None, *, force: bool) -> Destination:
    make: type[Destination] = load(LATE["destination"])
    if branch is None:
        return make(commit)
    ref = HEADS + branch
    tip = repo.refs.read(ref)
    if tip is None:
        return make(commit, ref, create=True)
    if tip == commit:
        return make(commit, ref)
    if not force and not is_ancestor(repo.objects, tip, commit) and (lost := _lost(repo, ref, tip, commit)):
        one = repo.objects.commit(tip)
        more = "it" if lost == 1 else f"the last of {lost} commits"
        raise Refused(
            f"mvc's branch {branch} is ahead of mvc.lock ({commit[:10]}): nothing else holds {tip[:10]} "
            f"'{one.summary[:40]}', {more}",
            hint=f"mvc branch NAME {tip[:10]} keeps it; then mvc hooks sync --force goes to what mvc.lock names",
        )
    return make(commit, ref, create=True, reset=True, start=commit, track=False)


def _lost(repo: Repository, ref: str, tip: str, commit: str) -> int:
    """How many commits of the branch nothing would hold any more."""
    others = [repo.objects.peel(target) for name, target in repo.refs.list().items() if name != ref]
    held = [other for other in others if repo.objects.kind(other) == "commit"]
    return len(only_in(repo.objects, [tip], [commit, *held]))


def _point(repo: Repository, destination: Destination, head: Head, caller: Caller) -> None:
    """Move HEAD and branch without a file: what was checked out is no more than history here."""
    from_ = head.short or head.id or "nothing"
    message = f"checkout: moving from {from_} to {destination.branch or destination.commit}"
    branch, commit = destination.branch, destination.commit
    assert commit is not None
    if branch is not None and destination.create:
        repo.refs.update(
            [RefChange(branch, repo.refs.read(branch), commit)], message=message, author=caller.who, head_follows=False
        )
    repo.refs.set_head(branch or commit, message=message, author=caller.who)
