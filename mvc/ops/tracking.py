"""What a branch follows: how far it is ahead and behind, and setting it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mvc.errors import NotFound, UsageError
from mvc.lazy import load
from mvc.objects import ancestry
from mvc.objects.config import ConfigFile
from mvc.objects.refnames import short
from mvc.objects.upstream import HEADS, HERE, fetch_refspecs, remote_names, upstream
from mvc.repo.repository import Repository

_RESOLVE = "mvc.objects.revparse:resolve_ref"
"""Loaded to set what a branch follows: `status` only asks."""


class Tracking(NamedTuple):
    """A branch and its upstream. `name` as people say it ("origin/main")."""

    name: str
    remote: str
    merge: str
    """The ref as the remote calls it."""
    gone: bool
    """The upstream is configured, but no longer (or not yet) there."""
    ahead: int
    """Commits that the branch alone has."""
    behind: int
    """Commits that the upstream alone has."""


class Followed(NamedTuple):
    """A branch that was made to follow another; `name` is that one's short name here, `there` on `remote`."""

    branch: str
    name: str
    remote: str = HERE
    there: str = ""


def tracking(repo: Repository, branch: str | None) -> Tracking | None:
    """How the branch (a full name) stands to its upstream; None if it has none, or one that is not kept here.

    Nothing is asked of the remote.
    """
    found = upstream(repo.config, branch) if branch is not None else None
    if found is None or branch is None or found.tracking is None:
        return None
    ours, theirs = repo.refs.read(branch), repo.refs.read(found.tracking)
    if ours is None or theirs is None:
        return Tracking(found.name, found.remote, found.merge, theirs is None, 0, 0)
    ahead, behind = ancestry.ahead_behind(repo.objects, ours, theirs)
    return Tracking(found.name, found.remote, found.merge, False, ahead, behind)


def follow(repo: Repository, branch: str, remote: str, merge: str) -> None:
    """Write into the config that `branch` (a full name) follows the ref `merge` of `remote`."""
    name = _local(branch)

    def edit(file: ConfigFile) -> None:
        file.set(f"branch.{name}.remote", remote)
        file.set(f"branch.{name}.merge", merge)

    _edit(repo, edit)


def set_upstream(repo: Repository, branch: str | None, spec: str) -> Followed:
    """`branch -u SPEC [BRANCH]`: follow a remote-tracking or local branch. None: the branch of HEAD.

    Raises NotFound for one that does not exist, UsageError for what is no branch.
    """
    ref = HEADS + branch if branch is not None else repo.refs.head().branch
    if ref is None:
        raise UsageError("HEAD is on no branch", hint="mvc branch -u UPSTREAM BRANCH")
    if branch is not None and repo.refs.read(ref) is None:
        raise NotFound(f"there is no branch '{branch}'", hint="mvc branch")
    source = load(_RESOLVE)(repo.refs, spec)
    if source is None:
        raise NotFound(f"the requested upstream branch '{spec}' does not exist", hint="mvc fetch, then: mvc branch -r")
    found = followed(repo, source)
    if found is None:
        raise UsageError(f"cannot set up tracking information: '{spec}' is not a branch")
    if (found[0], found[1]) == (HERE, ref):
        raise UsageError(f"a branch cannot be its own upstream: '{_local(ref)}'")
    follow(repo, ref, *found)
    return Followed(_local(ref), short(source))


def unset_upstream(repo: Repository, branch: str | None) -> None:
    """`branch --unset-upstream [BRANCH]`. Raises NotFound if it has none."""
    ref = HEADS + branch if branch is not None else repo.refs.head().branch
    if ref is None or upstream(repo.config, ref) is None:
        raise NotFound(f"branch '{_local(ref or 'HEAD')}' has no upstream information")
    name = _local(ref)

    def edit(file: ConfigFile) -> None:
        file.unset(f"branch.{name}.remote")
        file.unset(f"branch.{name}.merge")

    _edit(repo, edit)


def follow_start(repo: Repository, branch: str, start: str | None, track: bool | None = None) -> Followed | None:
    """A branch was made at the revision `start`: follow that if it is a remote-tracking branch, as
    `branch.autoSetupMerge` says (`track`: yes or no whatever that says; yes takes a local branch too)."""
    way = (repo.config.get("branch.autosetupmerge") or "true").lower()
    if track is False or (track is None and way in {"false", "no", "off", "0"}):
        return None
    source = load(_RESOLVE)(repo.refs, start) if start else repo.refs.head().branch
    source = repo.refs.symbolic(source) or source if source else None
    found = followed(repo, source) if source else None
    if found is None or (found[0] == HERE and not (track or way == "always")):
        if track:
            raise UsageError("cannot set up tracking information: the starting point is not a branch")
        return None
    follow(repo, HEADS + branch, *found)
    return Followed(branch, short(source or ""))


def followed(repo: Repository, ref: str) -> tuple[str, str] | None:
    """(remote, ref there) that the ref here stands for: of a remote-tracking one its remote; (".", ref) of a branch."""
    if ref.startswith(HEADS):
        return HERE, ref
    for remote in remote_names(repo.config):
        for spec in fetch_refspecs(repo.config, remote):
            source = spec.unmaps(ref)
            if source is not None:
                return remote, source
    return None


def move_settings(repo: Repository, old: str, new: str) -> None:
    """A branch got another name: `[branch "old"]` becomes `[branch "new"]`."""

    def edit(file: ConfigFile) -> None:
        file.remove_section(f"branch.{new}")
        file.rename_section(f"branch.{old}", f"branch.{new}")

    if _has_settings(repo, old):
        _edit(repo, edit)


def drop_settings(repo: Repository, name: str) -> None:
    """A branch is gone, and with it what is said of it."""
    if _has_settings(repo, name):
        _edit(repo, lambda file: file.remove_section(f"branch.{name}"))


def _has_settings(repo: Repository, name: str) -> bool:
    return any(key.startswith(f"branch.{name}.") for key, _ in repo.config.items())


def _edit(repo: Repository, edit: Callable[[ConfigFile], object]) -> None:
    repo.require_writable()
    file = ConfigFile(repo.common_dir / "config")
    edit(file)
    file.save()


def _local(ref: str) -> str:
    return ref.removeprefix(HEADS)
