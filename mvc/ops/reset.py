"""`mvc reset`: the branch goes elsewhere, and with it, by mode, the stage and the worktree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mvc.errors import Refused
from mvc.objects import trees
from mvc.objects.model import TreeItem
from mvc.objects.revparse import resolve_commit
from mvc.ops import sequence
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths
from mvc.ops.project import note_head
from mvc.ops.record import MERGE_STATE, advance, remember_head
from mvc.ops.restore import RestoreOptions, restore
from mvc.repo import inprogress
from mvc.repo.locking import edit_stage
from mvc.repo.materialize import restore_paths, switch_tree
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage


class Mode(Enum):
    """What `reset` changes besides the branch."""

    SOFT = "soft"
    """Nothing."""
    MIXED = "mixed"
    """The stage."""
    HARD = "hard"
    """The stage and the worktree: changes to tracked files are given up."""


@dataclass(frozen=True, slots=True)
class ResetResult:
    """Where the branch is now. `unstaged`: tracked files that differ from the stage (only for MIXED)."""

    before: str | None
    commit: str | None
    summary: str
    unstaged: tuple[str, ...] = ()


def reset(repo: Repository, revision: str = "HEAD", mode: Mode = Mode.MIXED, *, caller: Caller) -> ResetResult:
    """Move HEAD's branch to a revision. ORIG_HEAD keeps where it was. An unfinished merge, pick or revert is
    over, but for SOFT, which refuses in the middle of a merge."""
    head = repo.refs.head()
    target = _target(repo, revision)
    tree = repo.objects.commit(target).tree if target else None
    with edit_stage(repo, wait=caller.wait, what="reset") as stage:
        if mode is Mode.SOFT and (stage.conflicts() or inprogress.read(repo, "MERGE_HEAD")):
            raise Refused("cannot do a soft reset in the middle of a merge", hint="mvc merge --abort")
        if mode is Mode.HARD:
            switch_tree(repo, stage, tree, force=True, progress=caller.progress)
        elif mode is Mode.MIXED:
            _stage_becomes(repo, stage, tree, caller)
            stage.save(repo.stage_path)
        if target is not None:
            remember_head(repo, head.id)
            advance(repo, target, old=head.id, message=f"reset: moving to {revision}", caller=caller)
            note_head(repo, stage)
        if mode is not Mode.SOFT:
            inprogress.clear(repo, *MERGE_STATE)
            if (unfinished := sequence.load(repo)) is not None and unfinished.verb is not sequence.Verb.REBASE:
                sequence.forget(repo)
        unstaged: tuple[str, ...] = ()
        if mode is Mode.MIXED and repo.worktree is not None:
            unstaged = tuple(changed_paths(scan(repo, stage, untracked=Untracked.NO, progress=caller.progress)))
    return ResetResult(head.id, target, repo.objects.commit(target).summary if target else "", unstaged)


def reset_paths(
    repo: Repository, specs: Sequence[str], revision: str = "HEAD", *, prefix: str = "", caller: Caller
) -> tuple[str, ...]:
    """Unstage: what the stage holds at these paths is what the revision holds. Returns the paths."""
    options = RestoreOptions(source=revision, staged=True, worktree=False)
    done = restore(repo, specs, options, prefix=prefix, caller=caller)
    return tuple(sorted((*done.restored, *done.removed)))


def _target(repo: Repository, revision: str) -> str | None:
    if revision in ("HEAD", "@") and repo.refs.head().id is None:
        return None
    return resolve_commit(repo.objects, repo.refs, revision)


def _stage_becomes(repo: Repository, stage: Stage, tree: str | None, caller: Caller) -> None:
    """The stage equals a tree. Entries that do not change keep the stat of their file."""
    committed = trees.flatten(repo.objects, tree)
    staged = stage.items()
    items: dict[str, TreeItem | None] = dict.fromkeys([*staged, *stage.conflicts()])
    items.update(committed)
    different = {path: item for path, item in items.items() if staged.get(path) != item or item is None}
    restore_paths(repo, stage, different, to_stage=True, to_worktree=False, progress=caller.progress)
    stage.tree = tree
