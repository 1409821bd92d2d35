"""`mvc pull`: fetch, then merge or rebase."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from mvc.errors import NotFastForward, NotFound, Refused, UsageError
from mvc.objects import trees
from mvc.objects.ancestry import is_ancestor
from mvc.objects.refnames import short
from mvc.objects.upstream import seen_as, upstream
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, streamed, supplied
from mvc.ops.fetch import Fetched, FetchHead
from mvc.ops.merge import FastForward, MergeOptions, MergeResult, merge
from mvc.ops.rebase import RebaseResult, rebase
from mvc.progress import Progress
from mvc.repo.materialize import content_identity
from mvc.repo.repository import Repository

if TYPE_CHECKING:
    from mvc.sync.chunks import FromRemotes
    from mvc.sync.streamed import Streamed


class Join(Enum):
    """How what was fetched is joined with what is here."""

    MERGE = "merge"
    REBASE = "rebase"
    FF_ONLY = "ff-only"


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to join. None: as `branch.NAME.rebase`, `pull.rebase` and `pull.ff` say."""

    join: Join | None = None
    no_ff: bool = False
    store: bool = True
    """Keep the chunks that come; else they go into the files of the worktree alone."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of it: one of the two."""

    merged: MergeResult | None = None
    rebased: RebaseResult | None = None
    chunks: int = 0
    """Bytes of chunks that came for what was checked out."""
    size: int = 0
    """Bytes of the files that changed."""


def check_pull(repo: Repository, name: str | None, specs: tuple[str, ...]) -> None:
    """Before anything is fetched: is it known what is to be merged? Raises UsageError, Refused in Git's words."""
    if specs:
        return
    branch = repo.refs.head().branch
    if branch is None:
        raise UsageError("You are not currently on a branch.", hint="mvc pull REMOTE BRANCH")
    follows = upstream(repo.config, branch)
    if follows is None or (name is not None and name != follows.remote):
        raise UsageError(
            "There is no tracking information for the current branch.",
            hint=f"mvc pull REMOTE BRANCH, or: mvc branch --set-upstream-to={name or 'origin'}/BRANCH {short(branch)}",
        )


def pull(repo: Repository, fetched: Fetched, options: PullOptions, *, outside: Outside, caller: Caller) -> Pulled:
    """Join what was fetched to be merged into HEAD's branch; chunks come for what is checked out by that.

    Raises NotFound if nothing was, Refused where the histories have diverged and nothing says how to join them,
    NotFastForward with FF_ONLY; and what `merge` and `rebase` raise.
    """
    before = repo.refs.head().id
    give: Callable[[Repository, Outside, Progress], tuple[Repository, FromRemotes | Streamed]]
    give = supplied if options.store else streamed
    repo, source = give(repo, outside, caller.progress)
    with closing(source):
        done = _integrate(repo, fetched, options, caller)
    return replace(done, chunks=source.moved, size=_changed(repo, before, repo.refs.head().id))


def _changed(repo: Repository, before: str | None, after: str | None) -> int:
    """The sum of the sizes of the files that are other than they were."""
    old, new = (repo.objects.commit(one).tree if one is not None else None for one in (before, after))
    items = [change.new for change in trees.diff(repo.objects, old, new) if change.new is not None]
    return sum(content_identity(repo.objects, item)[0] for item in items)


def _integrate(repo: Repository, fetched: Fetched, options: PullOptions, caller: Caller) -> Pulled:
    heads = [one for one in fetched.heads if one.merge]
    if not heads:
        raise NotFound(
            "Your configuration specifies to merge with a ref of the remote, but no such ref was fetched.",
            hint=f"mvc ls-remote {fetched.name}".rstrip(),
        )
    if len(heads) > 1:
        raise UsageError("mvc pull joins one branch at a time", hint="mvc fetch, then mvc merge for each")
    head, ours = heads[0], repo.refs.head()
    theirs = repo.objects.peel(head.id, "commit")
    name = _name(repo, fetched, head)
    join = options.join or _configured(repo, ours.short)
    apart = ours.id is not None and not is_ancestor(repo.objects, ours.id, theirs)
    apart = apart and not is_ancestor(repo.objects, theirs, ours.id or "")
    if apart and join is Join.FF_ONLY:
        raise NotFastForward("Not possible to fast-forward, aborting.", hint="mvc pull --no-rebase, or --rebase")
    if apart and join is None and not options.no_ff:
        raise Refused(
            "Need to specify how to reconcile divergent branches.",
            hint="mvc pull --no-rebase (merge), --rebase or --ff-only; for good: mvc config pull.rebase false",
        )
    if join is Join.REBASE and ours.id is not None and not is_ancestor(repo.objects, theirs, ours.id):
        return Pulled(rebased=rebase(repo, name, caller=caller))
    way = FastForward.NEVER if options.no_ff else FastForward.ALLOWED
    message = _message(repo, fetched, head, ours.short)
    return Pulled(merged=merge(repo, name, MergeOptions(message=message, fast_forward=way), caller=caller))


def _configured(repo: Repository, branch: str | None) -> Join | None:
    config = repo.config
    value = (config.get(f"branch.{branch}.rebase") if branch else None) or config.get("pull.rebase")
    if (config.get("pull.ff") or "").lower() == "only" and value is None:
        return Join.FF_ONLY
    if value is None:
        return Join.MERGE if config.get("pull.ff") is not None else None
    return Join.MERGE if value.lower() in {"false", "no", "off", "0"} else Join.REBASE


def _name(repo: Repository, fetched: Fetched, head: FetchHead) -> str:
    """How it is called here: "origin/main" where that is kept, else its id."""
    seen = seen_as(repo.config, fetched.name, head.source) if fetched.name else None
    return short(seen) if seen is not None and repo.refs.read(seen) == head.id else head.id


def _message(repo: Repository, fetched: Fetched, head: FetchHead, into: str | None) -> str:
    defaults = (repo.settings.default_branch, "main", "master")
    tail = " into HEAD" if into is None else "" if into in defaults else f" into {into}"
    return f"Merge {head.describe(fetched.url)}{tail}\n"
