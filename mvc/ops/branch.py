"""`mvc branch`: list, make, rename, copy and delete branches. No file of the worktree is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from mvc.errors import NotFastForward, NotFound, Refused, UsageError
from mvc.objects.ancestry import is_ancestor
from mvc.objects.model import Commit
from mvc.objects.refnames import branch_ref
from mvc.objects.refs import LOCK_WAIT, RefChange, Refs
from mvc.objects.revparse import resolve_commit
from mvc.objects.upstream import upstream
from mvc.ops.branch_use import refuse_if_used
from mvc.ops.caller import Caller
from mvc.ops.names import HEADS, REMOTES, refuse_alias
from mvc.ops.tag import Sort, by_version
from mvc.ops.tracking import Followed, Tracking, drop_settings, follow_start, move_settings, tracking
from mvc.repo.repository import Repository
from mvc.repo.worktrees import all_git_dirs, list_worktrees


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch. `ref` is its full name; `worktree`, if it is checked out in another worktree, that one's folder.

    `target`: the name of the branch that it stands for (`remotes/origin/HEAD`). `tracking` is there if it was asked
    for, and the branch has an upstream.
    """

    ref: str
    name: str
    commit: Commit
    is_head: bool
    worktree: Path | None = None
    target: str | None = None
    tracking: Tracking | None = None


@dataclass(frozen=True, slots=True)
class BranchFilter:
    """Which branches to list; all conditions must hold. The revisions are as typed."""

    patterns: tuple[str, ...] = ()
    local: bool = True
    remote: bool = False
    contains: str | None = None
    merged: str | None = None
    no_merged: str | None = None
    points_at: str | None = None
    sort: Sort = "name"
    tracking: bool = False
    """Look how far each is ahead of its upstream and behind it, too."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A branch that was deleted, and the commit it was at."""

    name: str
    id: str


def list_branches(repo: Repository, wanted: BranchFilter) -> tuple[Branch, ...]:
    """The branches that fit, in order."""
    head = repo.refs.head()
    elsewhere = _checked_out(repo)
    branches = [
        Branch(ref, name, repo.objects.commit(target), ref == head.branch, elsewhere.get(ref), _target(repo, ref))
        for ref, name, target in _refs(repo, wanted)
    ]
    kept = [branch for branch in branches if _fits(repo, branch.commit.id, wanted)]
    if wanted.tracking:
        kept = [replace(one, tracking=tracking(repo, one.ref) if one.ref.startswith(HEADS) else None) for one in kept]
    if wanted.sort.endswith("date"):
        kept.sort(key=lambda branch: branch.commit.committer.time)
    if wanted.sort.endswith("version"):
        kept.sort(key=lambda branch: by_version(branch.name))
    if wanted.sort.startswith("-"):
        kept.reverse()
    return tuple(kept)


def create_branch(
    repo: Repository, name: str, start: str, caller: Caller, *, force: bool = False, track: bool | None = None
) -> Followed | None:
    """Make a branch at the revision `start`; returns what it follows: `start`, if that is a remote-tracking branch
    (`track`: as mvc.ops.tracking.follow_start).

    With `force` an existing one is moved, unless a worktree is on it. Raises UsageError for a name
    that Git forbids, Refused if there is one, NotFound for the start.
    """
    repo.require_writable()
    ref = branch_ref(name)
    commit = resolve_commit(repo.objects, repo.refs, start)
    standing = repo.refs.read(ref)
    if standing is not None and not force:
        raise Refused(f"there is a branch '{name}' already", hint=f"mvc branch --force {name} {start}, to move it")
    if force:
        _refuse_checked_out(repo, ref, "moved")
    elif standing is None:
        refuse_alias(repo, name)
    message = f"branch: {'Reset to' if standing else 'Created from'} {start}"
    change = RefChange(ref, standing, commit)
    repo.refs.update([change], message=message, author=caller.who, head_follows=False, wait=max(caller.wait, LOCK_WAIT))
    return follow_start(repo, name, start, track)


def delete_branches(
    repo: Repository, names: Sequence[str], caller: Caller, *, force: bool = False, remote: bool = False
) -> tuple[Deleted, ...]:
    """Delete branches, all or none. Without `force` only those whose commits the upstream has as well, or HEAD
    where there is none.

    Raises NotFound, Refused for one that a worktree is on, NotFastForward for one that is not merged.
    """
    repo.require_writable()
    deleted = []
    for name in dict.fromkeys(names):
        ref = (REMOTES if remote else HEADS) + name
        standing = repo.refs.read(ref)
        if standing is None:
            raise NotFound(f"there is no branch '{name}'", hint="mvc branch --all")
        _refuse_checked_out(repo, ref, "deleted")
        if not force and not remote and not _is_merged(repo, ref, standing):
            raise NotFastForward(f"the branch '{name}' is not fully merged", hint=f"mvc branch -D {name}, to lose it")
        deleted.append(Deleted(name, standing))
    changes = [RefChange((REMOTES if remote else HEADS) + one.name, one.id, None) for one in deleted]
    repo.refs.update(
        changes, message="branch: deleted", author=caller.who, head_follows=False, wait=max(caller.wait, LOCK_WAIT)
    )
    for one in () if remote else deleted:
        drop_settings(repo, one.name)
    return tuple(deleted)


def _is_merged(repo: Repository, ref: str, commit: str) -> bool:
    followed = upstream(repo.config, ref)
    into = repo.refs.read(followed.tracking) if followed and followed.tracking else None
    into = into or repo.refs.head().id
    return into is not None and is_ancestor(repo.objects, commit, into)


def rename_branch(repo: Repository, old: str | None, new: str, caller: Caller, *, force: bool = False) -> str:
    """Rename a branch (None: the present one) with its reflog; a HEAD on it follows. Returns the old name."""
    repo.require_writable()
    head = repo.refs.head()
    if old is None and head.short is None:
        raise UsageError("HEAD is on no branch", hint="mvc branch -m OLD NEW")
    name = old or head.short or ""
    source, target = HEADS + name, branch_ref(new)
    if repo.refs.read(source) is None and source != head.branch:
        raise NotFound(f"there is no branch '{name}'", hint="mvc branch")
    if source == target:
        return name
    if repo.refs.read(target) is not None and not force:
        raise Refused(f"there is a branch '{new}' already", hint=f"mvc branch -M {name} {new}, to replace it")
    if force:
        _refuse_checked_out(repo, target, "replaced")
    else:
        refuse_alias(repo, new)
    refuse_if_used(repo, source)
    message = f"branch: renamed {source} to {target}"
    wait = max(caller.wait, LOCK_WAIT)
    repo.refs.rename(source, target, message=message, author=caller.who, force=force, wait=wait)
    move_settings(repo, name, new)
    return name


def current_branch(repo: Repository) -> str | None:
    """The name of the branch that HEAD is on, or None."""
    return repo.refs.head().short


def _target(repo: Repository, ref: str) -> str | None:
    found = repo.refs.symbolic(ref) if ref.startswith(REMOTES) and ref.endswith("/HEAD") else None
    return found.removeprefix(REMOTES) if found else None


def _refs(repo: Repository, wanted: BranchFilter) -> Iterator[tuple[str, str, str]]:
    """(full name, name as listed, id) by name."""
    for prefix, listed in ((HEADS, wanted.local), (REMOTES, wanted.remote)):
        if not listed:
            continue
        for ref, target in repo.refs.list(prefix).items():
            name = ref.removeprefix(prefix)
            if not wanted.patterns or any(fnmatchcase(name, pattern) for pattern in wanted.patterns):
                shown = name if prefix == HEADS or not wanted.local else f"remotes/{name}"
                yield ref, shown, target


def _fits(repo: Repository, commit: str, wanted: BranchFilter) -> bool:
    def at(spec: str) -> str:
        return resolve_commit(repo.objects, repo.refs, spec)

    objects = repo.objects
    return (
        (wanted.contains is None or is_ancestor(objects, at(wanted.contains), commit))
        and (wanted.merged is None or is_ancestor(objects, commit, at(wanted.merged)))
        and (wanted.no_merged is None or not is_ancestor(objects, commit, at(wanted.no_merged)))
        and (wanted.points_at is None or commit == at(wanted.points_at))
    )


def _refuse_checked_out(repo: Repository, ref: str, what: str) -> None:
    name = ref.removeprefix(HEADS)
    if repo.refs.head().branch == ref:
        raise Refused(
            f"the branch '{name}' is checked out here: it cannot be {what}", hint="mvc switch another branch first"
        )
    refuse_if_used(repo, ref)


def _checked_out(repo: Repository) -> dict[str, Path]:
    """The branches that other worktrees are on, and where those are."""
    places = {linked.git_dir: linked.worktree for linked in list_worktrees(repo)}
    found: dict[str, Path] = {}
    for git_dir in all_git_dirs(repo):
        branch = Refs(git_dir, repo.common_dir).symbolic("HEAD")
        if git_dir != repo.git_dir and branch is not None:
            found[branch] = places.get(git_dir, repo.common_dir.parent)
    return found
