"""Trees into the worktree: what is written is beside first, then renamed; what is equal is not touched."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from mvc.errors import WouldOverwrite
from mvc.objects import trees
from mvc.objects.manifest import identity, is_manifest
from mvc.objects.model import TreeItem, is_link
from mvc.objects.reader import ObjectReader
from mvc.progress import SILENT, Progress
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.scan import is_equal
from mvc.repo.selection import is_left_out, selection_of
from mvc.repo.stage import Stage, StageEntry, Stat, stat_of
from mvc.repo.writing import Written, remove_leftovers, write_items

Flat = Mapping[str, TreeItem]

CURRENT = "current"
"""As `current_tree` of `switch_tree`: the tree of HEAD's commit."""


@dataclass(slots=True)
class _Plan:
    """What a switch will do: `write` (None removes), `leave` (nobody wants it here), `adopt` (equal already), and what
    stands in the way."""

    write: dict[str, TreeItem | None] = field(default_factory=dict)
    leave: dict[str, TreeItem] = field(default_factory=dict)
    adopt: dict[str, TreeItem] = field(default_factory=dict)
    unstage: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)


def switch_tree(
    repo: Repository,
    stage: Stage,
    target_tree: str | None,
    *,
    current_tree: str | None = CURRENT,
    force: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Take worktree and stage from the current tree to `target_tree`, by Git's two-tree rule.

    Paths that both trees hold alike keep their staged and unstaged changes. Elsewhere uncommitted
    work raises WouldOverwrite with all its paths, before anything is written; `force` gives it up.
    The stage is saved before this returns, and thus before the caller moves HEAD: a checkout that
    was killed anywhere is completed by repeating it, since a file or an entry that equals its
    target already never counts as work. Raises NoSpace before a byte is written.
    """
    if current_tree == CURRENT:
        head = repo.refs.head().id
        current_tree = repo.objects.commit(head).tree if head else None
    target = trees.flatten(repo.objects, target_tree)
    plan = _plan(repo, stage, current_tree, target, force=force)
    _refuse(plan.blocked)
    _leave_out(repo, plan)
    _clear(repo, stage, plan.adopt)
    written = write_items(repo, plan.write, standing=stage.get, force=force, progress=progress)
    for path in plan.unstage:
        stage.remove(path)
    with Placer(repo.require_worktree()) as placer:
        for path, item in plan.adopt.items():
            stage.put(staged_entry(repo.objects, path, item, _stat_of(placer, path)))
    for path, item in plan.leave.items():
        stage.put(staged_entry(repo.objects, path, item))
    for path, new in plan.write.items():
        if new is None:
            stage.remove(path)
        else:
            stage.put(_entry(path, new, written[path]))
    if force or _equals(stage, target):
        stage.tree = target_tree
    stage.save(repo.stage_path)


def check_switches(repo: Repository, stage: Stage, first: str | None, second: str | None, third: str | None) -> None:
    """Raise WouldOverwrite where `switch_tree` would, from the tree `first` to the `second`, then to the `third`;
    nothing is written."""
    middle, end = trees.flatten(repo.objects, second), trees.flatten(repo.objects, third)
    _refuse(_plan(repo, stage, first, middle, force=False).blocked)
    blocked = _plan(repo, stage, first, end, force=False).blocked
    if blocked:
        # What both steps touch passed the first: a run that was killed may have written it already.
        start = trees.flatten(repo.objects, first)
        _refuse([path for path in blocked if start.get(path) == middle.get(path)])


def _plan(repo: Repository, stage: Stage, current_tree: str | None, target: Flat, *, force: bool) -> _Plan:
    with Placer(repo.require_worktree()) as placer:
        if force:
            return _forced(repo, stage, target, placer)
        return _careful(repo, stage, trees.flatten(repo.objects, current_tree), target, placer)


def _refuse(blocked: list[str]) -> None:
    if blocked:
        raise WouldOverwrite(
            f"uncommitted changes to {_some(blocked)} would be overwritten",
            paths=sorted(blocked),
            hint="commit or stash them, or give them up with --force",
        )


def restore_paths(
    repo: Repository,
    stage: Stage,
    items: Mapping[str, TreeItem | None],
    *,
    to_stage: bool,
    to_worktree: bool,
    named: Container[str] = (),
    progress: Progress = SILENT,
) -> None:
    """Put these items into the stage, the worktree or both (None removes), whatever stands there.

    What nobody wants in the worktree (mvc.repo.selection) gets there only if it is `named`.
    """
    written: dict[str, Written] = {}
    if to_worktree:
        wanted = {
            path: item
            for path, item in items.items()
            if not _stands(repo, path, item) and (item is None or path in named or not is_left_out(repo, path, item))
        }
        _clear(repo, stage, [path for path in items if path not in wanted])
        written = write_items(repo, wanted, standing=stage.get, force=True, progress=progress)
    with Placer(repo.require_worktree()) as placer:
        for path, item in items.items():
            if to_stage:
                if item is None:
                    stage.remove(path)
                elif path in written:
                    stage.put(_entry(path, item, written[path]))
                else:
                    stat = _stat_of(placer, path) if to_worktree else None
                    stage.put(staged_entry(repo.objects, path, item, stat))
            elif path in written and item is not None:
                entry = stage.get(path)
                if entry is not None and (entry.mode, entry.id) == item:
                    stage.refresh(path, written[path].stat)


def _leave_out(repo: Repository, plan: _Plan) -> None:
    """Take out of what is to be written what is not there and nobody wants there."""
    if selection_of(repo.config).everything:
        return
    for path, item in list(plan.write.items()):
        if item is not None and is_left_out(repo, path, item):
            plan.leave[path] = item
            del plan.write[path]


def staged_entry(objects: ObjectReader, path: str, item: TreeItem, stat: Stat | None = None) -> StageEntry:
    """The stage's entry for a tree's item. Raises MissingObject, ParseError."""
    size, digest = content_identity(objects, item)
    return StageEntry(path, item.mode, item.id, size, digest, stat)


def _entry(path: str, item: TreeItem, written: Written) -> StageEntry:
    return StageEntry(path, item.mode, item.id, written.size, written.blake3, written.stat)


def content_identity(objects: ObjectReader, item: TreeItem) -> tuple[int, bytes | None]:
    """(bytes of the file, its BLAKE3 if the item is a manifest)."""
    blob = objects.raw(item.id)[1]
    if not is_link(item.mode) and is_manifest(blob):
        return identity(blob)
    return len(blob), None


def _forced(repo: Repository, stage: Stage, target: Flat, placer: Placer) -> _Plan:
    plan = _Plan()
    # Tracked is what the stage holds: a file that is only in the current tree was unstaged, and is the user's.
    for path in [*stage.paths(), *stage.conflicts()]:
        if path not in target:
            plan.write[path] = None
    for path, item in target.items():
        if _matches(repo, stage.get(path), placer.lstat(path), path, item):
            plan.adopt[path] = item
        else:
            plan.write[path] = item
    return plan


def _careful(repo: Repository, stage: Stage, current: Flat, target: Flat, placer: Placer) -> _Plan:
    plan = _Plan(blocked=list(stage.conflicts()))
    for path in sorted(current.keys() | target.keys()):
        old, new = current.get(path), target.get(path)
        if old == new:
            continue
        entry = stage.get(path)
        staged = TreeItem(entry.mode, entry.id) if entry is not None else None
        if staged == new:
            continue
        found = placer.lstat(path)
        # First what is nearly always so: where only its content can tell, a file is read once.
        if staged == old and _unchanged(repo, entry, found, path, old):
            plan.write[path] = new
        elif new is not None and _matches(repo, entry, found, path, new):
            plan.adopt[path] = new
        else:
            plan.blocked.append(path)
    going = {path for path, item in plan.write.items() if item is None}
    clear: set[str] = set()
    for path, item in plan.write.items():
        if item is not None:
            plan.blocked.extend(_in_the_way(repo, placer, path, going, clear))
    return plan


def _unchanged(
    repo: Repository, entry: StageEntry | None, found: os.stat_result | None, path: str, item: TreeItem | None
) -> bool:
    """Whether nothing would be lost at `path`: the file is as committed, or is not there at all."""
    if found is None:
        return True
    if item is None:
        # Nothing was tracked here: a folder is judged by what is in it, anything else is the user's.
        return _is_folder(found.st_mode)
    return _is_folder(found.st_mode) or _matches(repo, entry, found, path, item)


def _matches(
    repo: Repository, entry: StageEntry | None, found: os.stat_result | None, path: str, item: TreeItem
) -> bool:
    """Whether the worktree's file is this item: by its stat if the stage's `entry` knows it, else by its content."""
    if found is None or _is_folder(found.st_mode):
        return False
    if entry is not None and entry.stat is not None and entry.stat == stat_of(found):
        return (entry.mode, entry.id) == item
    size, digest = content_identity(repo.objects, item)
    return found.st_size == size and is_equal(repo, path, item.mode, item.id, size, digest)


def _stands(repo: Repository, path: str, item: TreeItem | None) -> bool:
    if item is None:
        return False
    size, digest = content_identity(repo.objects, item)
    return is_equal(repo, path, item.mode, item.id, size, digest)


def _in_the_way(repo: Repository, placer: Placer, path: str, going: set[str], clear: set[str]) -> Iterable[str]:
    """Untracked files and folders that must not be replaced by the file `path` or a folder on its way.

    `clear`: folders whose ways were looked at already.
    """
    above = path.rpartition("/")[0]
    parts = above.split("/") if above not in clear else []
    for depth in range(1, len(parts) + 1):
        folder = "/".join(parts[:depth])
        found = placer.lstat(folder) if folder else None
        if found is None:
            break
        if not _is_folder(found.st_mode) and folder not in going:
            yield folder
            return
    clear.add(above)
    found = placer.lstat(path)
    if found is not None and _is_folder(found.st_mode):
        top = repo.require_worktree() / path
        for inside in sorted(top.rglob("*")):
            relative = inside.relative_to(repo.require_worktree()).as_posix()
            if (inside.is_symlink() or not inside.is_dir()) and relative not in going:
                yield relative


def _clear(repo: Repository, stage: Stage, paths: Iterable[str]) -> None:
    """Remove leftovers beside files that are as they shall be, but not as the stage knows them: a run may have
    been killed right after it put them there. (Where something is to be written, `write_items` looks.)"""
    entries = {path: stage.get(path) for path in paths}
    with Placer(repo.require_worktree()) as placer:
        changed = [path for path, entry in entries.items() if entry is None or entry.stat != _stat_of(placer, path)]
    remove_leftovers(repo, changed)


def _stat_of(placer: Placer, path: str) -> Stat | None:
    found = placer.lstat(path)
    return stat_of(found) if found is not None else None


def _is_folder(mode: int) -> bool:
    return mode & 0o170000 == 0o040000


def _equals(stage: Stage, target: Flat) -> bool:
    return not stage.conflicts() and stage.items() == {path: tuple(item) for path, item in target.items()}


def _some(paths: list[str]) -> str:
    shown = ", ".join(f"'{path}'" for path in sorted(paths)[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"
