"""Which refs of a push may move: Git's rules, over the state that the remote is in."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mvc.errors import MvcError, UsageError
from mvc.objects import ancestry
from mvc.objects.database import Objects
from mvc.objects.paths import parents
from mvc.objects.refnames import ALIASES, REVIEWS, is_valid
from mvc.sync.state import State

PushStatus = Literal["new", "ok", "forced", "up-to-date", "deleted", "rejected"]

_STEPPED = {
    "fetch first": "set there meanwhile: fetch, then set it again",
    "non-fast-forward": "set there meanwhile: fetch, then set it again",
}

ANY = "any"
"""As `RefUpdate.expected`: whatever stands there."""


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref to move. `source` is an object id (40 hex), None deletes; `target` the full name of a remote ref.

    `expected`: what must stand there (`--force-with-lease`): an id, None for no ref, ANY for whatever.
    Without `force` (or a lease that holds) a branch moves only forward, and a tag not at all.
    """

    source: str | None
    target: str
    expected: str | None = ANY
    force: bool = False


@dataclass(frozen=True, slots=True)
class PushedRef:
    """What became of one update, in the order given."""

    target: str
    old: str | None
    new: str | None
    status: PushStatus
    reason: str = ""
    """Of a rejected one, as Git words it: "non-fast-forward", "fetch first", "stale info", "already exists",
    "atomic push failed", "remote ref does not exist", "deletion of the current branch prohibited", "a ref of the
    remote is in the way", "not a commit"."""

    @property
    def moves(self) -> bool:
        """Whether the remote's ref is to change."""
        return self.status not in {"up-to-date", "rejected"}


def check_updates(objects: Objects, updates: Sequence[RefUpdate]) -> None:
    """Raises UsageError for a ref that none can be named, or that is to move twice; MissingObject."""
    targets = [update.target for update in updates]
    for target in targets:
        if not (target.startswith("refs/") and target.count("/") > 1 and is_valid(target)):
            raise UsageError(f"'{target}' cannot be a ref of a remote")
    if len(set(targets)) != len(targets):
        raise UsageError("one ref of the remote is to be moved twice")
    for update in updates:
        if update.source is not None:
            objects.kind(update.source)


def judge(objects: Objects, state: State, updates: Sequence[RefUpdate], *, atomic: bool) -> tuple[PushedRef, ...]:
    """What each update comes to. With `atomic`, one that is rejected rejects all."""
    names = sorted(state.refs)
    found = [_judge(objects, state, names, update) for update in updates]
    if atomic and any(one.status == "rejected" for one in found):
        return tuple(
            PushedRef(one.target, one.old, one.new, "rejected", "atomic push failed") if one.moves else one
            for one in found
        )
    return tuple(found)


def moved(refs: dict[str, str], verdicts: Sequence[PushedRef]) -> dict[str, str]:
    """The refs as they are to be."""
    refs = dict(refs)
    for one in verdicts:
        if one.moves and one.new is None:
            refs.pop(one.target, None)
        elif one.moves and one.new is not None:
            refs[one.target] = one.new
    return refs


def _judge(objects: Objects, state: State, names: list[str], update: RefUpdate) -> PushedRef:
    old, new = state.refs.get(update.target), update.source

    def verdict(status: PushStatus, reason: str = "") -> PushedRef:
        return PushedRef(update.target, old, new, status, reason)

    if update.expected not in {ANY, old}:
        return verdict("rejected", "stale info")
    if new is None:
        if old is None:
            return verdict("rejected", "remote ref does not exist")
        if update.target == state.head:
            return verdict("rejected", "deletion of the current branch prohibited")
        return verdict("deleted")
    if new == old:
        return verdict("up-to-date")
    if update.target.startswith("refs/heads/") and objects.kind(new) != "commit":
        return verdict("rejected", "not a commit")
    if old is None:
        return (
            verdict("rejected", "a ref of the remote is in the way")
            if _blocked(names, update.target)
            else verdict("new")
        )
    reason = _why_not(objects, update.target, old, new)
    if not reason:
        return verdict("ok")
    if update.target.startswith((ALIASES, REVIEWS)) and not (update.force and update.expected == old):
        # No force makes one forget a step. (What purge rewrites knows what it takes the place of.)
        return verdict("rejected", _STEPPED.get(reason, reason))
    if update.force or update.expected == old:
        return verdict("forced")
    return verdict("rejected", reason)


def _why_not(objects: Objects, target: str, old: str, new: str) -> str:
    """Why a ref may not go from `old` to `new` without force; "" if it may."""
    if target.startswith("refs/tags/"):
        return "already exists"
    if not objects.contains(old):
        return "fetch first"
    try:
        before, after = (objects.peel(one, "commit") for one in (old, new))
        return "" if ancestry.is_ancestor(objects, before, after) else "non-fast-forward"
    except MvcError:
        return "non-fast-forward"


def _blocked(names: list[str], target: str) -> bool:
    """Whether a ref is a folder of `target`, or the other way round."""
    at = bisect_left(names, target + "/")
    if at < len(names) and names[at].startswith(target + "/"):
        return True
    return any(_holds(names, folder) for folder in parents(target))


def _holds(names: list[str], name: str) -> bool:
    at = bisect_left(names, name)
    return at < len(names) and names[at] == name
