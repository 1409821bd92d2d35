"""The merge driver of `mvc.lock`, at work: the three versions are files, and the result replaces ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mvc import fsio
from mvc.errors import NotARepository, NotFound, ParseError
from mvc.gitlink.lockfile import Lock, dump, make_lock
from mvc.gitlink.mergelocks import merge_locks
from mvc.gitlink.outer import ask, find_project
from mvc.objects.ancestry import is_ancestor
from mvc.ops.bring import fetch_commit, has_commit
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside
from mvc.ops.project import committed_stage
from mvc.repo.repository import Repository


def merge_files(
    lock: Path,
    base: Path,
    ours: Path,
    theirs: Path,
    *,
    equip: Callable[[Repository], Repository],
    outside: Outside,
    caller: Caller,
    global_configs: Sequence[Path] = (),
) -> str | None:
    """Merge; returns what to do where it is a conflict, else None. `lock`: the file in the worktree."""
    try:
        repo = equip(Repository.open(lock.parent, global_configs=global_configs))
    except NotARepository:
        return _as_text(base, ours, theirs, "there is no mvc repository here that could tell which is newer")
    fetched: set[str] = set()

    def comes_before(one: str, other: str) -> bool:
        for commit in (one, other):
            if not has_commit(repo, commit) and commit not in fetched:
                fetched.add(commit)
                fetch_commit(repo, Lock(commit, ()), outside=outside, caller=caller)
        if not (has_commit(repo, one) and has_commit(repo, other)):
            raise NotFound("one of them is not here")
        return is_ancestor(repo.objects, one, other)

    try:
        merged = merge_locks(
            base.read_bytes(),
            ours.read_bytes(),
            theirs.read_bytes(),
            comes_before,
            lambda: _now(repo),
            _goes_on(lock.parent),
        )
    except ParseError:
        return _as_text(base, ours, theirs, "one side is no lock that mvc reads")
    fsio.write_atomic(ours, merged.data, sync=False)
    return merged.conflict


def _now(repo: Repository) -> bytes | None:
    """The lock of mvc's HEAD: mvc may have merged before Git does."""
    head = repo.refs.head().id
    if head is None:
        return None
    stage = committed_stage(repo, repo.objects.commit(head).tree)
    return dump(make_lock(stage, head, repo.config.get("remote.origin.url")))


def _goes_on(folder: Path) -> str:
    """The command that ends Git's merge: in a rebase a commit would not."""
    rebasing = find_project(folder).in_progress("rebase-merge", "rebase-apply/rebasing")
    return "git rebase --continue" if rebasing else "git commit"


def _as_text(base: Path, ours: Path, theirs: Path, why: str) -> str | None:
    """Git's own merge of lines; a conflict is told with what kept mvc from doing better."""
    labels = [part for label in ("ours", "base", "theirs") for part in ("-L", label)]
    done = ask(ours.parent, "merge-file", *labels, os.fspath(ours), os.fspath(base), os.fspath(theirs))
    return None if done is not None else f"mvc.lock conflicts, and {why}"
