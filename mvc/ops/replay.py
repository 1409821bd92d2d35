"""Commits applied one after the other on top of another commit, in objects alone.

Nothing of the worktree is touched, so a rebase of fifty commits writes each model once, at its end,
and a run that succeeds moves its branch once. (`git replay` works like this.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvc.errors import Refused
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.model import Commit, Signature
from mvc.ops.messages import picked_message, revert_message
from mvc.ops.sequence import Policy, Step
from mvc.ops.three_way import ThreeWay, merged_tree, three_way


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run stopped at a step: conflicts, or (`merge.conflicts` is empty) since it changes nothing any more."""

    step: Step
    merge: ThreeWay
    message: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far a run came. `head` is the last commit; `left` the steps not done, the one it stopped at first."""

    head: str
    made: tuple[Commit, ...] = ()
    reused: int = 0
    """Commits that stood at the right place already."""
    dropped: tuple[Step, ...] = ()
    """Left out, since what they change is there already."""
    left: tuple[Step, ...] = ()
    stop: Stop | None = None
    metadata_left: tuple[str, ...] = ()
    """Commits whose params and metrics stay with them: those tell of the model as it was there."""


def replay(
    batch: ObjectBatch, head: str, steps: Sequence[Step], policy: Policy, who: Signature, *, reuse: bool = False
) -> Replayed:
    """Apply `steps` on the commit `head`. With `reuse` a commit that stands on the right parent is kept as it is.

    Raises Refused for a merge without a mainline.
    """
    run = _Run(batch, head, policy, who, reuse)
    for number, step in enumerate(steps):
        stop = run.apply(step)
        if stop is not None:
            return run.outcome(steps[number:], stop)
    return run.outcome((), None)


def changed_by(batch: ObjectBatch, step: Step, policy: Policy) -> tuple[str | None, str | None]:
    """The trees before and after the change that a step makes."""
    commit = batch.reader.commit(step.commit)
    parent = _parent(commit, policy.mainline)
    before = batch.reader.commit(parent).tree if parent else None
    return (commit.tree, before) if step.undo else (before, commit.tree)


class _Run:
    def __init__(self, batch: ObjectBatch, head: str, policy: Policy, who: Signature, reuse: bool) -> None:
        self._batch, self._policy, self._who, self._reuse = batch, policy, who, reuse
        self._head = batch.reader.commit(head)
        self._made: list[Commit] = []
        self._dropped: list[Step] = []
        self._metadata_left: list[str] = []
        self._reused = 0

    def apply(self, step: Step) -> Stop | None:
        commit = self._batch.reader.commit(step.commit)
        if self._reuse and not step.undo and commit.parents == (self._head.id,):
            self._head = commit
            self._reused += 1
            return None
        base, theirs = changed_by(self._batch, step, self._policy)
        merge = three_way(self._batch.reader, base, self._head.tree, theirs, self._policy.favour)
        message = self._message(commit, step)
        if merge.conflicts:
            return Stop(step, merge, message)
        if not merge.changes and not self._policy.keep_empty:
            was_empty = trees.same_content(self._batch.reader, base, theirs)
            if not self._policy.drop_empty:
                return Stop(step, merge, message)
            if not was_empty:
                self._dropped.append(step)
                return None
        self._commit(commit, step, merge, message)
        return None

    def outcome(self, left: Sequence[Step], stop: Stop | None) -> Replayed:
        return Replayed(
            head=self._head.id,
            made=tuple(self._made),
            reused=self._reused,
            dropped=tuple(self._dropped),
            left=tuple(left),
            stop=stop,
            metadata_left=tuple(self._metadata_left),
        )

    def _commit(self, commit: Commit, step: Step, merge: ThreeWay, message: str) -> None:
        tree = merged_tree(self._batch, self._head.tree, merge)
        author = self._who if step.undo else commit.author
        new = self._batch.commit(tree, [self._head.id], author, self._who, message)
        self._head = self._batch.reader.commit(new)
        self._made.append(self._head)
        if not step.undo and trees.metadata_tree(self._batch.reader, commit.tree) is not None:
            self._metadata_left.append(commit.id)

    def _message(self, commit: Commit, step: Step) -> str:
        if step.undo:
            return revert_message(commit, self._policy.mainline if len(commit.parents) > 1 else None)
        return picked_message(commit, note_origin=self._policy.note_origin)


def _parent(commit: Commit, mainline: int | None) -> str | None:
    if len(commit.parents) > 1:
        if mainline is None:
            text = f"{commit.id[:10]} is a merge: it is not said against which parent"
            raise Refused(text, hint="-m 1 takes it against the branch that it was merged into")
        if mainline > len(commit.parents):
            raise Refused(f"{commit.id[:10]} has no parent number {mainline}")
        return commit.parents[mainline - 1]
    if mainline is not None and mainline > 1:
        raise Refused(f"{commit.id[:10]} is no merge: it has no parent number {mainline}")
    return commit.parents[0] if commit.parents else None
