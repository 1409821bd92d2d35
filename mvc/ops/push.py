"""`mvc push`: refs, and all that they reach and the remote lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mvc.errors import NotFound, Refused
from mvc.lazy import load
from mvc.metadata.model import NOTES
from mvc.objects.refnames import ALIASES, REVIEWS, short
from mvc.objects.refspec import expand_tags
from mvc.objects.upstream import HEADS, push_remote, seen_as, upstream
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect, find_remote
from mvc.ops.push_plan import TAGS, Planned, PushOptions, plan, sets_up
from mvc.ops.tracking import Followed, follow
from mvc.repo.repository import Repository
from mvc.sync.remotes import Remote, RemoteConfig
from mvc.sync.verdicts import PushedRef

if TYPE_CHECKING:
    from mvc.ops.push_names import Along
    from mvc.sync.push import PushResult

_ALONG = "mvc.ops.push_names:along"
"""Loaded where there are aliases or reviews."""

_SEND_NOTES = "mvc.ops.carry_notes:send_notes"
"""Loaded where there are annotations that the remote lacks."""

_RESULT, _TOGETHER = "mvc.sync.push:PushResult", "mvc.sync.push:together"
_ENGINE = "mvc.sync.push:push"
"""Loaded when there is something to push: it takes numpy."""


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
    notes: bool = field(default=False, kw_only=True)
    """Whether annotations went along."""
    stay: tuple[str, ...] = ()
    """Aliases and reviews, full names, that did not go along: a commit that they need is in no branch that went."""
    packs: int = field(default=0, kw_only=True)
    """Packs of history that the remote has where `remote gc` can put them together: each is a request of a clone."""


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
        more: Along | None = None
        later: list[Planned] = []
        if goes_along(repo, specs, options):
            more = load(_ALONG)(repo, config.name, planned, there)
            # An alias that a server refuses must not hold up what it would be approved by.
            at_once = options.atomic or options.dry_run
            later = [] if at_once else [one for one in more.planned if one.update.target.startswith(ALIASES)]
            planned += [one for one in more.planned if one not in later]
        for one in planned:
            if one.update.source is None and one.update.target not in there:
                raise NotFound(f"unable to delete '{short(one.update.target)}': remote ref does not exist")
        if all(_is_there(repo, config, one, there) for one in planned):
            refs = [
                PushedRef(one.update.target, there[one.update.target], one.update.source, "up-to-date")
                for one in planned
            ]
            result = None
        else:
            result = load(_ENGINE)(
                remote,
                [one.update for one in planned],
                atomic=options.atomic,
                dry_run=options.dry_run,
                head=_first_branch(head.branch, planned),
                who=caller.who,
                jobs=options.jobs,
                progress=caller.progress,
            )
            refs = list(result.refs)
        notes = False
        if not options.dry_run and repo.refs.read(NOTES) != there.get(NOTES) and _goes(refs):
            notes = load(_SEND_NOTES)(remote, there, caller, jobs=options.jobs)
        for one in later:
            done = _push_alias(remote, one, options, caller)
            result = done if result is None else load(_TOGETHER)(result, done)
            planned.append(one)
            refs += done.refs
        known = remote.remembered() if remote.backend.capabilities.ask is None else None
    packs = len(known.git_packs) if known is not None and result is not None else 0
    rows = tuple(PushRow(one.source, ref, one.shown) for one, ref in zip(planned, refs, strict=True))
    wanted = options.set_upstream or (not specs and sets_up(repo) and _lacks_upstream(repo, head.branch))
    followed = _follow(repo, config, rows, dry_run=options.dry_run) if wanted else ()
    return Pushed(
        url, rows, result, followed, head.branch, more.stay if more is not None else (), notes=notes, packs=packs
    )


def _push_alias(remote: Remote, one: Planned, options: PushOptions, caller: Caller) -> PushResult:
    """Push one alias, last of all. One that the remote refuses, as it is protected there, is rejected."""
    try:
        done: PushResult = load(_ENGINE)(
            remote, [one.update], who=caller.who, jobs=options.jobs, progress=caller.progress
        )
    except Refused as error:
        reason = error.message.partition(" does not take this: ")[2] or error.message
        old = remote.state().refs.get(one.update.target)
        rejected = PushedRef(one.update.target, old, one.update.source, "rejected", reason)
        done = load(_RESULT)((rejected,))
    return done


def goes_along(repo: Repository, specs: Sequence[str], options: PushOptions) -> bool:
    """Whether aliases and reviews go, too: unless refs were named, or `push.aliases` says no."""
    if options.aliases is False or options.delete or not any(repo.refs.list(prefix) for prefix in (ALIASES, REVIEWS)):
        return False
    return options.aliases is True or (not specs and repo.config.get_bool("push.aliases", True))


def _goes(refs: Sequence[PushedRef]) -> bool:
    """Whether a branch or tag stands there now that is here: what was said of commits goes with them."""
    return any(one.new and one.target.startswith((HEADS, TAGS)) and one.status != "rejected" for one in refs)


def _is_there(repo: Repository, config: RemoteConfig, one: Planned, there: Mapping[str, str]) -> bool:
    """Whether a ref stands there as it is to be, and is known here to do so."""
    target = one.update.target
    seen = seen_as(repo.config, config.name, target) if config.name else None
    return there.get(target) == one.update.source and (seen is None or repo.refs.read(seen) == one.update.source)


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
