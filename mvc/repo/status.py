"""What is staged with respect to HEAD, what changed since in the worktree, what is not versioned."""

from __future__ import annotations

import stat as modes
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from mvc.objects import trees
from mvc.objects.model import TreeItem
from mvc.objects.refs import Head
from mvc.objects.trees import TreeChange
from mvc.progress import SILENT, Progress
from mvc.repo import inprogress
from mvc.repo.inprogress import InProgress
from mvc.repo.pathbytes import in_order
from mvc.repo.pathspec import EVERYTHING, Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Scan, Untracked, scan
from mvc.repo.stage import Stage, StageEntry


class Change(Enum):
    """What became of a file; the value is Git's letter."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"
    RENAMED = "R"
    TYPECHANGED = "T"


class FileChange(NamedTuple):
    """One file. `old_path` is set for a rename."""

    path: str
    change: Change
    old_path: str | None = None


class Conflict(NamedTuple):
    """A file of an unfinished merge; `code` as Git's: UU, AA, DD, AU, UA, DU, UD."""

    path: str
    code: str


class Status(NamedTuple):
    """The state of a worktree; each list is ordered by path."""

    head: Head
    operation: InProgress | None
    staged: tuple[FileChange, ...]
    """The stage with respect to HEAD's tree."""
    unstaged: tuple[FileChange, ...]
    """The worktree with respect to the stage."""
    conflicts: tuple[Conflict, ...]
    untracked: tuple[str, ...]
    """A folder with nothing tracked in it as `folder/`."""
    ignored: tuple[str, ...]
    odd: tuple[str, ...]
    """What cannot be versioned: sockets, pipes, devices, names that are reserved."""

    @property
    def clean(self) -> bool:
        """Does the worktree hold just what HEAD's commit does (and perhaps what is not versioned)?"""
        return not (self.staged or self.unstaged or self.conflicts)


_CODES = {
    frozenset((1,)): "DD",
    frozenset((2,)): "AU",
    frozenset((3,)): "UA",
    frozenset((1, 2)): "UD",
    frozenset((1, 3)): "DU",
    frozenset((2, 3)): "AA",
    frozenset((1, 2, 3)): "UU",
}


def read_status(
    repo: Repository,
    stage: Stage,
    pathspec: Pathspec = EVERYTHING,
    *,
    untracked: Untracked = Untracked.NORMAL,
    list_ignored: bool = False,
    progress: Progress = SILENT,
) -> Status:
    """Look. What was learnt on the way (stats, the tree that the stage equals) is put into `stage`, for the
    caller to save (mvc.repo.locking.refresh_stage), so that the next look is quicker."""
    head = repo.refs.head()
    tree = repo.objects.commit(head.id).tree if head.id else None
    found = scan(repo, stage, pathspec, untracked=untracked, list_ignored=list_ignored, progress=progress)
    for path, stat in found.refreshed.items():
        stage.refresh(path, stat)
    conflicts = stage.conflicts()
    return Status(
        head=head,
        operation=inprogress.current(repo),
        staged=staged_changes(repo, stage, tree, pathspec),
        unstaged=unstaged_changes(found, conflicts),
        conflicts=tuple(Conflict(path, _CODES[frozenset(conflicts[path])]) for path in pathspec.select(conflicts)),
        untracked=found.untracked,
        ignored=found.ignored,
        odd=found.odd,
    )


def staged_changes(
    repo: Repository, stage: Stage, tree: str | None, pathspec: Pathspec = EVERYTHING
) -> tuple[FileChange, ...]:
    """The stage with respect to a tree, with exact renames told as such; paths in conflict are left out."""
    changes = _differences(repo, stage, tree)
    if not changes:
        if tree is not None and not stage.conflicts():
            stage.tree = tree
        return ()
    return tuple(change for change in _with_renames(changes) if pathspec.matches(change.path))


def unstaged_changes(found: Scan, conflicts: Mapping[str, object] | None = None) -> tuple[FileChange, ...]:
    """A scan's outcome as changes; paths in conflict are left out."""
    changes = {
        **dict.fromkeys(found.modified, Change.MODIFIED),
        **dict.fromkeys(found.deleted, Change.DELETED),
        **dict.fromkeys(found.typechanged, Change.TYPECHANGED),
    }
    return tuple(FileChange(path, changes[path]) for path in in_order(changes) if path not in (conflicts or ()))


def _differences(repo: Repository, stage: Stage, tree: str | None) -> list[TreeChange]:
    """Where stage and tree differ, without `.mvcmeta` and paths in conflict."""
    conflicts = stage.conflicts()
    known = stage.tree
    if known is not None and not conflicts:
        return [] if known == tree else list(trees.diff(repo.objects, tree, known))
    committed = trees.flatten(repo.objects, tree)
    staged = stage.items()
    paths = [path for path in in_order(staged.keys() | committed.keys()) if path not in conflicts]
    return [
        TreeChange(path, committed.get(path), staged.get(path))
        for path in paths
        if committed.get(path) != staged.get(path)
    ]


def _with_renames(changes: Iterable[TreeChange]) -> list[FileChange]:
    """A removed and an added file with the same content are one that was renamed, rather to the same base name."""
    removed: dict[TreeItem, list[str]] = {}
    for path, old, new in changes:
        if old is not None and new is None:
            removed.setdefault(_content(old), []).append(path)
    sources: dict[str, str] = {}
    added = [(path, new) for path, old, new in changes if old is None and new is not None]
    for same_name in (True, False):
        for path, item in added:
            left = removed.get(_content(item), [])
            fitting = [old for old in left if not same_name or _name(old) == _name(path)]
            if path not in sources and fitting:
                sources[path] = fitting[0]
                left.remove(fitting[0])
    gone = set(sources.values())
    found = [_change(change, sources) for change in changes if change.path not in gone]
    order = {path: number for number, path in enumerate(in_order(change.path for change in found))}
    return sorted(found, key=lambda change: order[change.path])


def _change(change: TreeChange, sources: Mapping[str, str]) -> FileChange:
    path, old, new = change
    if path in sources:
        return FileChange(path, Change.RENAMED, sources[path])
    if old is None:
        return FileChange(path, Change.ADDED)
    if new is None:
        return FileChange(path, Change.DELETED)
    same_kind = modes.S_IFMT(old.mode) == modes.S_IFMT(new.mode)
    return FileChange(path, Change.MODIFIED if same_kind else Change.TYPECHANGED)


def _content(item: TreeItem) -> TreeItem:
    """What must be equal for a rename: kind and blob, not the executable bit."""
    return TreeItem(modes.S_IFMT(item.mode), item.id)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def entry_sizes(stage: Stage, paths: Iterable[str]) -> dict[str, int]:
    """The sizes in bytes of staged files, for those of the paths that are staged."""
    found: dict[str, int] = {}
    for path in paths:
        entry: StageEntry | None = stage.get(path)
        if entry is not None:
            found[path] = entry.size
    return found
