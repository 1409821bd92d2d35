"""Three-way merges of trees by path, in objects alone: no worktree, no stage.

Only what differs from the base on either side is read, so two versions of a folder of 100,000
files merge in the time that their differences take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from mvc.objects import trees
from mvc.objects.ancestry import merge_bases
from mvc.objects.batch import ObjectBatch
from mvc.objects.merge import Conflict, merge_trees, same_file
from mvc.objects.model import EMPTY_TREE, TreeItem
from mvc.objects.reader import ObjectReader


class Favour(Enum):
    """Which side a path in conflict is taken from, wholly."""

    NONE = ""
    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """A merge: what changes with respect to `ours` (None: the path goes), what is left to the user, and what
    was settled by taking one side."""

    changes: Mapping[str, TreeItem | None]
    conflicts: tuple[Conflict, ...]
    settled: tuple[Conflict, ...] = ()


def three_way(
    objects: ObjectReader, base: str | None, ours: str | None, theirs: str | None, favour: Favour = Favour.NONE
) -> ThreeWay:
    """Merge the tree `theirs` into `ours`; `.mvcmeta/` is no part of it. None is the empty tree."""
    by_us = {change.path: change for change in trees.diff(objects, base, ours)}
    by_them = {change.path: change for change in trees.diff(objects, base, theirs)}
    sides: tuple[dict[str, TreeItem], ...] = ({}, {}, {})
    for path in sorted({*by_us, *by_them}):
        we, they = by_us.get(path), by_them.get(path)
        before = we.old if we else they.old if they else None
        for side, item in zip(sides, (before, we.new if we else before, they.new if they else before), strict=True):
            if item is not None:
                side[path] = item
    merged = merge_trees(*sides, same=same_file(objects))
    conflicts, items = _favoured(merged.conflicts, merged.items, favour)
    in_conflict = {conflict.path for conflict in conflicts}
    touched = sides[1].keys() | items.keys()
    changes = {
        path: items.get(path)
        for path in sorted(touched)
        if path not in in_conflict and items.get(path) != sides[1].get(path)
    }
    settled = tuple(conflict for conflict in merged.conflicts if conflict.path not in in_conflict)
    return ThreeWay(changes, tuple(conflicts), settled)


def _favoured(
    conflicts: Sequence[Conflict], items: Mapping[str, TreeItem], favour: Favour
) -> tuple[list[Conflict], dict[str, TreeItem]]:
    """Settle conflicts for one side. A file that a folder stands in the way of stays in conflict."""
    settled = dict(items)
    left: list[Conflict] = []
    for conflict in conflicts:
        if favour is Favour.NONE or conflict.kind == "file/folder":
            left.append(conflict)
            continue
        item = conflict.ours if favour is Favour.OURS else conflict.theirs
        if item is not None:
            settled[conflict.path] = item
    return left, settled


def common_base(batch: ObjectBatch, ours: str, theirs: str) -> str | None:
    """The tree to merge two commits by: that of their merge base; None for unrelated histories.

    Of several merge bases (a criss-cross) one tree is made by merging them, as Git's `recursive`
    does; where they conflict, what stood before both is taken.
    """
    bases = merge_bases(batch.reader, ours, [theirs])
    if not bases:
        return None
    return _virtual_base(batch, bases, _DEEPEST)


_DEEPEST = 16


def _virtual_base(batch: ObjectBatch, bases: Sequence[str], levels: int) -> str:
    reader = batch.reader
    tree = reader.commit(bases[0]).tree
    if levels == 0:
        return tree
    for other in bases[1:]:
        older = merge_bases(reader, bases[0], [other])
        before = _virtual_base(batch, older, levels - 1) if older else EMPTY_TREE
        merge = three_way(reader, before, tree, reader.commit(other).tree)
        settled = {conflict.path: conflict.base for conflict in merge.conflicts}
        tree = merged_tree(batch, tree, ThreeWay({**merge.changes, **settled}, ()))
    return tree


def merged_tree(batch: ObjectBatch, ours: str | None, merge: ThreeWay) -> str:
    """The tree `ours` with the merge's changes; paths in conflict stay as ours. `.mvcmeta/` goes."""
    return trees.update(batch, ours, merge.changes)
