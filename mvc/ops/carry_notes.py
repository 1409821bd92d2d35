"""Notes between repositories: what was said of commits on one side gets to the other, and nothing of either is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mvc.errors import MvcError, NotFound
from mvc.lazy import load
from mvc.metadata.model import NOTES
from mvc.objects.refspec import Refspec
from mvc.ops.caller import Caller
from mvc.ops.notes import contains, join
from mvc.sync import fetch as engine
from mvc.sync.remotes import Remote
from mvc.sync.verdicts import RefUpdate

if TYPE_CHECKING:
    from collections.abc import Callable

_PUSH = "mvc.sync.push:push"
"""Loaded where there is something to push."""

_ATTEMPTS = 20


def bring_notes(remote: Remote, refs: Mapping[str, str], caller: Caller, *, jobs: int = 0) -> bool:
    """Fetch the notes of a remote, whose refs are `refs`, and join them to ours; whether there was something new."""
    theirs = refs.get(NOTES)
    repo = remote.repo
    if theirs is None or repo.refs.read(NOTES) == theirs or contains(repo, theirs):
        return False
    spec = Refspec(NOTES, "")
    result = engine.fetch(remote, [spec], who=caller.who, tags="none", depth=None, jobs=jobs, progress=caller.progress)
    fetched = next((ref.new for ref in result.refs if ref.source == NOTES), None)
    if fetched is None:
        return False
    join(repo, repo.objects.peel(fetched, "commit"), caller.who)
    return True


def send_notes(remote: Remote, there: Mapping[str, str], caller: Caller, *, jobs: int = 0) -> bool:
    """Bring our notes to a remote, joined with those that stand there; whether any went.

    `there`: its refs as last seen. What goes wrong is a warning: what was pushed before stands, and the next push
    sends them.
    """
    here = remote.repo.refs.read(NOTES)
    if here is None or there.get(NOTES) == here:
        return False
    try:
        return _send(remote, caller, jobs)
    except MvcError as error:
        caller.progress.warn(f"annotations were not pushed: {error.message}")
        return False


def _send(remote: Remote, caller: Caller, jobs: int) -> bool:
    repo = remote.repo
    push: Callable[..., Any] = load(_PUSH)
    for _ in range(_ATTEMPTS):
        try:
            refs = remote.state().refs
        except NotFound:
            return False  # nobody has pushed there: notes alone make no remote
        theirs = refs.get(NOTES)
        if theirs is not None and not contains(repo, theirs):
            bring_notes(remote, refs, caller, jobs=jobs)
        here = repo.refs.read(NOTES)
        if here is None or here == theirs:
            return False
        update = RefUpdate(here, NOTES, theirs)
        result = push(remote, [update], who=caller.who, jobs=jobs, progress=caller.progress)
        if not result.rejected:
            return True
    raise NotFound("others annotate all the time", hint="mvc push, once more")
