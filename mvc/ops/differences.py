"""Where stage and worktree differ from what is committed: what every verb asks before it writes."""

from __future__ import annotations

from collections.abc import Iterable

from mvc.objects import trees
from mvc.objects.model import TreeItem
from mvc.ops.caller import Caller
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Scan, Untracked, scan
from mvc.repo.stage import Stage


def staged_differences(repo: Repository, stage: Stage, tree: str | None) -> dict[str, TreeItem | None]:
    """Where the stage differs from a tree: path to what is staged (None: removed). Conflicts are left out."""
    if stage.tree is not None and tree is not None and not stage.conflicts():
        if stage.tree == tree:
            return {}
        return {change.path: change.new for change in trees.diff(repo.objects, tree, stage.tree)}
    staged, committed = stage.items(), trees.flatten(repo.objects, tree)
    conflicts = stage.conflicts()
    paths = {path for path, item in staged.items() if committed.get(path) != item} | (committed.keys() - staged.keys())
    return {path: staged.get(path) for path in sorted(paths) if path not in conflicts}


def scan_paths(repo: Repository, stage: Stage, paths: Iterable[str], caller: Caller) -> Scan:
    """Hold just these files of the worktree against the stage."""
    wanted = [f":(top,literal){path}" for path in paths]
    if not wanted:
        return Scan()
    return scan(repo, stage, Pathspec.parse(wanted), untracked=Untracked.NO, progress=caller.progress)


def changed_paths(found: Scan) -> list[str]:
    """The tracked paths that differ from the stage."""
    return sorted({*found.modified, *found.deleted, *found.typechanged})
