"""Stage and worktree after a merge, a pick, a revert: all that merged cleanly is written, conflicts are kept.

The caller holds the stage (`mvc.repo.locking.edit_stage`). A path in conflict stays in the worktree
as ours, or as theirs where we had removed it; the stage holds the versions of base, ours, theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from mvc.errors import WouldOverwrite
from mvc.objects import trees
from mvc.objects.merge import Conflict
from mvc.objects.model import TreeItem
from mvc.ops.caller import Caller
from mvc.ops.differences import changed_paths, scan_paths, staged_differences
from mvc.ops.three_way import ThreeWay, merged_tree
from mvc.repo.materialize import check_switches, content_identity, restore_paths, staged_entry, switch_tree
from mvc.repo.repository import Repository
from mvc.repo.scan import is_equal
from mvc.repo.selection import is_left_out
from mvc.repo.stage import Stage, StageEntry

_FILE_AND_FOLDER = "file/folder"


def unlike(repo: Repository, paths: Iterable[str], items: Mapping[str, TreeItem]) -> list[str]:
    """Those of `paths` where the worktree is not as `items` say. What a killed run wrote already is no work."""
    return [path for path in paths if not _stands(repo, path, items.get(path))]


def _stands(repo: Repository, path: str, item: TreeItem | None) -> bool:
    if item is None:
        return not os.path.lexists(repo.require_worktree() / path)
    size, digest = content_identity(repo.objects, item)
    return is_equal(repo, path, item.mode, item.id, size, digest) or is_left_out(repo, path, item)


def land(repo: Repository, stage: Stage, ours: str | None, merge: ThreeWay, caller: Caller) -> None:
    """Take stage and worktree from the tree `ours` to the merge's outcome.

    Raises WouldOverwrite, before anything is written, for staged changes that are not part of the
    outcome, and for changes in the worktree to paths that the merge touches.
    """
    _guard(repo, stage, ours, merge, caller)
    switch_tree(repo, stage, _shown_tree(repo, ours, merge), current_tree=ours, progress=caller.progress)
    if merge.conflicts:
        for conflict in merge.conflicts:
            stage.put_conflict(conflict.path, _versions(repo, conflict))
        # Before the caller writes MERGE_HEAD: otherwise a crash in between would make a commit of our side alone.
        stage.save(repo.stage_path)


def check_landing(repo: Repository, stage: Stage, before: str | None, after: str | None, merge: ThreeWay) -> None:
    """Raise WouldOverwrite if a step that stops could not be written, before anything is: neither the way from the
    tree `before` to `after`, what the steps ahead of it made, nor from there to what `land` shows."""
    check_switches(repo, stage, before, after, _shown_tree(repo, after, merge))


def _shown_tree(repo: Repository, ours: str | None, merge: ThreeWay) -> str | None:
    """What the worktree gets: all that merged cleanly, of conflicts our version, or theirs where we have none."""
    shown = {conflict.path: conflict.theirs for conflict in merge.conflicts if _shows_theirs(conflict)}
    with repo.objects.batch() as batch:
        tree = merged_tree(batch, ours, ThreeWay({**merge.changes, **shown}, ()))
        batch.seal()
    return tree


def unwind(repo: Repository, stage: Stage, tree: str | None, caller: Caller) -> None:
    """Give up what is staged or in conflict, back to `tree` (`git reset --merge`).

    Files that differ from the stage alone keep their changes. Raises WouldOverwrite where a file was
    changed further after it had been staged.
    """
    staged = staged_differences(repo, stage, tree)
    committed = trees.flatten(repo.objects, tree)
    further = unlike(repo, changed_paths(scan_paths(repo, stage, staged, caller)), committed)
    if further:
        raise WouldOverwrite(
            "files were changed after they were staged", paths=further, hint="mvc reset --hard gives them up"
        )
    items: Mapping[str, TreeItem | None] = {path: committed.get(path) for path in (*staged, *stage.conflicts())}
    restore_paths(repo, stage, items, to_stage=True, to_worktree=True, progress=caller.progress)
    if not staged_differences(repo, stage, tree):
        stage.tree = tree


def _guard(repo: Repository, stage: Stage, ours: str | None, merge: ThreeWay, caller: Caller) -> None:
    staged = staged_differences(repo, stage, ours)
    lost = [path for path, item in staged.items() if path not in merge.changes or merge.changes[path] != item]
    lost += changed_paths(scan_paths(repo, stage, [c.path for c in merge.conflicts if c.path not in lost], caller))
    if lost:
        raise WouldOverwrite(
            "your local changes would be overwritten", paths=sorted(lost), hint="commit or stash them first"
        )


def _shows_theirs(conflict: Conflict) -> bool:
    return conflict.ours is None and conflict.theirs is not None and conflict.kind != _FILE_AND_FOLDER


def _versions(repo: Repository, conflict: Conflict) -> list[StageEntry]:
    sides = (conflict.base, conflict.ours, conflict.theirs)
    return [
        staged_entry(repo.objects, conflict.path, item)._replace(conflict=number)
        for number, item in enumerate(sides, start=1)
        if item is not None
    ]
