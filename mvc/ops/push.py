"""`mvc push`: refs, and all that they reach and the remote lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mvc.errors import NotFound
from mvc.objects.refnames import short
from mvc.objects.upstream import HEADS, push_remote, upstream
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect, find_remote
from mvc.ops.fetch import expand_tags
from mvc.ops.push_plan import Planned, PushOptions, plan, sets_up
from mvc.ops.tracking import Followed, follow
from mvc.repo.repository import Repository
from mvc.sync import push as engine
from mvc.sync.push import PushedRef, PushResult
from mvc.sync.remotes import Remote, RemoteConfig


@dataclass(frozen=True, slots=True)
class PushRow:
    """What became of one ref; `source` and `shown`: as in `Planned`."""

    source: str
    ref: PushedRef
    shown: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed, or would be."""

    url: str
    rows: tuple[PushRow, ...]
    result: PushResult | None
    """None: there was nothing to push."""
    followed: tuple[Followed, ...] = ()
    """Branches that were made to follow what they pushed."""
    head: str | None = None
    """The branch here, full name."""


def push(
    repo: Repository,
    name_or_url: str | None = None,
    specs: Sequence[str] = (),
    options: PushOptions | None = None,
    *,
    outside: Outside,
    caller: Caller,
) -> Pushed:
    """Push to a remote (None: the one that HEAD's branch is pushed to). Refs that are rejected are in the result.

    Raises NotFound (no such remote; a ref that is neither here nor there), UsageError, Refused (nothing says what to
    push), MissingObject, NetworkError, AuthError.
    """
    options = options or PushOptions()
    head = repo.refs.head()
    config = find_remote(repo, name_or_url or push_remote(repo.config, head.branch), outside)
    name = config.name or config.push_url
    with connect(repo, config, outside, push=True) as remote:
        url = remote.backend.url
        there = _refs_there(remote)
        planned = plan(repo, name, expand_tags(specs), options, there)
        for one in planned:
            if one.update.source is None and one.update.target not in there:
                raise NotFound(f"unable to delete '{short(one.update.target)}': remote ref does not exist")
        if not planned:
            return Pushed(url, (), None, head=head.branch)
        result = engine.push(
            remote,
            [one.update for one in planned],
            atomic=options.atomic,
            dry_run=options.dry_run,
            head=_first_branch(head.branch, planned),
            who=caller.who,
            jobs=options.jobs,
            progress=caller.progress,
        )
    rows = tuple(PushRow(one.source, ref, one.shown) for one, ref in zip(planned, result.refs, strict=True))
    wanted = options.set_upstream or (not specs and sets_up(repo) and _lacks_upstream(repo, head.branch))
    followed = _follow(repo, config, rows, dry_run=options.dry_run) if wanted else ()
    return Pushed(url, rows, result, followed, head.branch)


def _refs_there(remote: Remote) -> Mapping[str, str]:
    """The refs of the remote; none where nobody has pushed yet: the push itself makes it, if it comes to that."""
    try:
        return remote.state().refs
    except NotFound:
        return {}


def _first_branch(head: str | None, planned: Sequence[Planned]) -> str:
    """The branch that HEAD of a new remote is to name: ours, if it goes there, else the first that does."""
    branches = [one.update.target for one in planned if one.update.source and one.update.target.startswith(HEADS)]
    ours = next((one.update.target for one in planned if one.source == head and one.update.target in branches), None)
    return ours or (branches[0] if branches else "")


def _lacks_upstream(repo: Repository, branch: str | None) -> bool:
    return branch is not None and upstream(repo.config, branch) is None


def _follow(repo: Repository, config: RemoteConfig, rows: Sequence[PushRow], *, dry_run: bool) -> tuple[Followed, ...]:
    found = []
    for row in rows:
        target = row.ref.target
        if row.source.startswith(HEADS) and target.startswith(HEADS) and row.ref.status != "rejected":
            if not dry_run:
                follow(repo, row.source, config.name or config.url, target)
            remote, there = config.name or config.url, short(target)
            found.append(Followed(short(row.source), f"{remote}/{there}", remote, there))
    return tuple(found)
