"""`mvc remote show` and `mvc remote prune`: a remote as it is now, beside what is known of it here."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.objects.ancestry import is_ancestor
from mvc.objects.refnames import short
from mvc.objects.refspec import tracking_ref
from mvc.objects.upstream import HEADS, upstream
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect
from mvc.ops.push_plan import PushOptions, plan
from mvc.ops.remote import RemoteUrls, delete_refs, get_urls, require
from mvc.repo.repository import Repository
from mvc.sync.state import State


@dataclass(frozen=True, slots=True)
class RemoteBranch:
    """A branch there. `state`: "tracked", "new" (the next fetch brings it), "stale" (it is gone there), or ""
    where the remote was not asked."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Pushable:
    """A branch that a push without refspecs moves. `state`: "up to date", "fast-forwardable", "local out of date",
    "create", or "" where the remote was not asked."""

    name: str
    target: str
    state: str


@dataclass(frozen=True, slots=True)
class RemoteInfo:
    """What `mvc remote show` tells."""

    urls: RemoteUrls
    asked: bool
    head: str | None
    """The branch that its HEAD is on."""
    branches: tuple[RemoteBranch, ...]
    pulls: tuple[tuple[str, str, bool], ...]
    """(branch here, branch there, whether it is rebased) of those that follow it."""
    pushes: tuple[Pushable, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """Remote-tracking branches that are gone there: short names ("origin/old")."""

    url: str
    names: tuple[str, ...]


def show(repo: Repository, name: str, *, ask: bool = True, outside: Outside) -> RemoteInfo:
    """A remote. Without `ask` nothing is asked of it. Raises NotFound."""
    config = require(repo.config, name)
    state = None
    if ask:
        with connect(repo, config, outside) as remote:
            state = remote.state()
    return RemoteInfo(
        urls=get_urls(repo, name),
        asked=ask,
        head=short(state.head) if state is not None and state.head in state.refs else None,
        branches=tuple(_branches(repo, name, state)),
        pulls=tuple(_pulls(repo, name)),
        pushes=tuple(_pushes(repo, name, state)),
    )


def prune(repo: Repository, name: str, *, dry_run: bool = False, outside: Outside, caller: Caller) -> Pruned:
    """Delete the remote-tracking branches whose branch there is gone."""
    config = require(repo.config, name)
    with connect(repo, config, outside) as remote:
        state = remote.state()
        url = remote.backend.url
    stale = _stale(repo, name, state)
    if not dry_run:
        delete_refs(repo, stale, "remote: prune", caller)
    return Pruned(url, tuple(short(ref) for ref in stale))


def _stale(repo: Repository, name: str, state: State) -> list[str]:
    specs = require(repo.config, name).fetch
    found = []
    for ref in repo.refs.list("refs/"):
        sources = [source for spec in specs if not spec.negative and (source := spec.unmaps(ref)) is not None]
        if sources and not any(source in state.refs for source in sources) and not _is_head(repo, ref):
            found.append(ref)
    return found


def _is_head(repo: Repository, ref: str) -> bool:
    return ref.endswith("/HEAD") and repo.refs.symbolic(ref) is not None


def _branches(repo: Repository, name: str, state: State | None) -> list[RemoteBranch]:
    specs = require(repo.config, name).fetch
    if state is None:
        known = [ref for ref in repo.refs.list("refs/remotes/") if not _is_head(repo, ref)]
        sources = (source for ref in known for spec in specs if (source := spec.unmaps(ref)) is not None)
        return [RemoteBranch(short(source), "") for source in sorted(sources)]
    found = []
    for ref in sorted(state.refs):
        seen = tracking_ref(specs, ref) if ref.startswith(HEADS) else None
        if seen is not None:
            found.append(RemoteBranch(short(ref), "tracked" if repo.refs.read(seen) is not None else "new"))
    found += [RemoteBranch(ref, "stale") for ref in _stale(repo, name, state)]
    return sorted(found, key=lambda one: one.name)


def _pulls(repo: Repository, name: str) -> list[tuple[str, str, bool]]:
    names = sorted({key.split(".", 1)[1].rpartition(".")[0] for key, _ in repo.config.items() if _is_merge(key)})
    found = []
    for branch in names:
        follows = upstream(repo.config, HEADS + branch)
        if follows is not None and follows.remote == name:
            rebases = (repo.config.get(f"branch.{branch}.rebase") or "false").lower() not in {"false", "no", "off", "0"}
            found.append((branch, short(follows.merge), rebases))
    return found


def _is_merge(key: str) -> bool:
    return key.startswith("branch.") and key.endswith(".merge")


def _pushes(repo: Repository, name: str, state: State | None) -> list[Pushable]:
    """The branches that both sides have, as with Git."""
    if state is None:
        return []
    found = []
    for one in plan(repo, name, [":"], PushOptions(), state.refs):
        new, old = one.update.source, state.refs.get(one.update.target)
        found.append(Pushable(short(one.source), short(one.update.target), _stands(repo, old, new)))
    return found


def _stands(repo: Repository, old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "create"
    if old == new:
        return "up to date"
    known = repo.objects.contains(old)
    return "fast-forwardable" if known and is_ancestor(repo.objects, old, new) else "local out of date"
