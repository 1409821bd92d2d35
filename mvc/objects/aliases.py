"""Aliases: names that move from commit to commit, and remember each step. docs/format/aliases.md specifies them.

`refs/aliases/NAME` is at the newest of a chain of commits, the *steps*. A step's parents are the step before it and the
commit that the alias stands for from then on, which so stays reachable; its message says which is which, who, when and
why. A chain only grows. What others sent is held against these rules: a step that lies is an IntegrityError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from mvc.errors import IntegrityError, MvcError, NotFound, ParseError, UsageError
from mvc.objects import trailers
from mvc.objects.batch import ObjectBatch
from mvc.objects.encoding import is_id
from mvc.objects.model import EMPTY_TREE, Commit, Signature
from mvc.objects.reader import ObjectReader
from mvc.objects.refnames import ALIASES, is_valid_short

Action = Literal["set", "rollback", "remove"]

_KEYS = ("Alias", "Action", "Target")
_ACTIONS: Mapping[str, Action] = {"set": "set", "rollback": "rollback", "remove": "remove"}
_NONE = "none"


class Step(NamedTuple):
    """One step of an alias. `target` is None where it was removed; `before` is the step before, None for the first."""

    id: str
    alias: str
    action: Action
    target: str | None
    before: str | None
    who: Signature
    """And when, by the clock of who made it."""
    why: str
    named: str
    """The revision as it was typed, "" where none was."""


def alias_ref(name: str) -> str:
    """The full name of an alias. Raises UsageError for what cannot be one."""
    if not is_valid_short(name) or name == "HEAD" or is_id(name) or not name.isprintable():
        raise UsageError(f"{name!r} is not a valid name for an alias")
    return ALIASES + name


def write_step(
    batch: ObjectBatch,
    name: str,
    action: Action,
    target: str | None,
    before: str | None,
    who: Signature,
    *,
    why: str = "",
    named: str = "",
) -> str:
    """Write a step; returns its id. The tree is the target's, so that git checks out what the alias stands for."""
    tree = batch.reader.commit(target).tree if target is not None else batch.tree([])
    parents = [one for one in (before, target) if one is not None]
    shown = f"{named or target} ({target[:7]})" if target is not None else "nothing"
    fields = {"Alias": name, "Action": action, "Target": target or _NONE}
    if named:
        fields["Named"] = named
    return batch.commit(tree, parents, who, who, trailers.compose(f"{name}: {action} {shown}", why, fields))


def read_step(objects: ObjectReader, step_id: str, name: str) -> Step:
    """The step with this id, of the alias `name`. Raises IntegrityError for a commit that is none, or lies."""
    try:
        return parse_step(objects.commit(step_id), name)
    except ParseError as error:
        raise IntegrityError(f"alias '{name}': {step_id} is no step of it: {error.message}") from error


def parse_step(commit: Commit, name: str) -> Step:
    """A step from its commit. Raises ParseError unless message, parents and tree tell the same."""
    _, why, fields = trailers.split(commit.message, _KEYS, optional=("Named",))
    action = _ACTIONS.get(fields["Action"])
    if fields["Alias"] != name or action is None:
        raise ParseError("it is a step of another alias" if action else f"'{fields['Action'][:40]}' is no action")
    target, parents = fields["Target"], commit.parents
    if (target == _NONE) != (action == "remove") or not (target == _NONE or is_id(target)):
        raise ParseError("its action and its target do not go together")
    if target == _NONE:
        if len(parents) != 1 or commit.tree != EMPTY_TREE:
            raise ParseError("a removal has one parent, the step before, and no files")
        return Step(commit.id, name, action, None, parents[0], commit.committer, why, "")
    if not 1 <= len(parents) <= 2 or parents[-1] != target:
        raise ParseError("the target that it claims is not its last parent")
    before = parents[0] if len(parents) == 2 else None
    return Step(commit.id, name, action, target, before, commit.committer, why, fields.get("Named", ""))


def is_step(commit: Commit) -> bool:
    """Whether a commit says that it is a step of any alias."""
    try:
        trailers.split(commit.message, _KEYS, optional=("Named",))
    except ParseError:
        return False
    return True


def judged(commit: Commit) -> str | None:
    """The commit that a step of an alias, or a review, stands for by its message and its last parent; None for any
    other commit, and for a removal."""
    target = commit.parents[-1] if commit.parents else ""
    if not target or f"\nTarget: {target}\n" not in commit.message:
        return None
    for keys, optional in ((_KEYS, ("Named",)), (("Review", "Verdict", "Target"), ())):
        try:
            trailers.split(commit.message, keys, optional=optional)
        except ParseError:
            continue
        return target
    return None


def history(objects: ObjectReader, tip: str, name: str) -> Iterator[Step]:
    """The steps, the newest first. Raises IntegrityError at one that is none; MissingObject."""
    at: str | None = tip
    while at is not None:
        step = read_step(objects, at, name)
        yield step
        at = step.before


def check_chain(objects: ObjectReader, tip: str, name: str, known: str | None = None) -> list[Step]:
    """The steps that are new behind `known` (a step that was checked before), the newest first.

    Raises IntegrityError for a chain that lies, or (with `known`) does not lead there.
    """
    fresh: list[Step] = []
    for step in history(objects, tip, name):
        if step.id == known:
            return fresh
        if step.target is not None:
            commit = objects.commit(step.target)
            if is_step(commit):
                raise IntegrityError(f"alias '{name}': {step.id} stands for a step of an alias, not for a model")
            if commit.tree != objects.commit(step.id).tree:
                raise IntegrityError(f"alias '{name}': {step.id} has not the files of its target")
        fresh.append(step)
    if known is not None:
        raise IntegrityError(f"alias '{name}': its steps do not lead back to {known[:12]}")
    return fresh


def contains(objects: ObjectReader, tip: str, name: str, step_id: str) -> bool:
    """Whether a chain holds a step. False, too, where it cannot be read."""
    try:
        return any(step.id == step_id for step in history(objects, tip, name))
    except MvcError:
        return False


def target_of(objects: ObjectReader, tip: str, name: str) -> str:
    """What an alias stands for. Raises NotFound for one that was removed, IntegrityError."""
    step = read_step(objects, tip, name)
    if step.target is None:
        raise NotFound(f"the alias '{name}' was removed", hint=f"mvc alias log {name}")
    return step.target


def in_order(objects: ObjectReader, tip: str, name: str) -> list[tuple[int, Step]]:
    """(from when, step), the oldest first. A step whose clock went behind the one before counts from that one on."""
    rows: list[tuple[int, Step]] = []
    for step in reversed(list(history(objects, tip, name))):
        rows.append((max(step.who.time, rows[-1][0]) if rows else step.who.time, step))
    return rows


def step_at(objects: ObjectReader, tip: str, name: str, when: int) -> Step | None:
    """The step that counted at a time (seconds since 1970); None before the first."""
    return next((step for since, step in reversed(in_order(objects, tip, name)) if since <= when), None)


def step_back(objects: ObjectReader, tip: str, name: str, count: int) -> Step:
    """The step `count` before the newest. Raises NotFound if there were not so many."""
    for number, step in enumerate(history(objects, tip, name)):
        if number == count:
            return step
    raise NotFound(f"the alias '{name}' has not moved {count} times", hint=f"mvc alias log {name}")
