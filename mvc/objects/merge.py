"""Three-way merge by path, on flat maps. Pure: it reads no object but through `same`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mvc.objects import manifest
from mvc.objects.model import TreeItem, is_file
from mvc.objects.paths import parents
from mvc.objects.reader import ObjectReader

Flat = Mapping[str, TreeItem]
Same = Callable[[TreeItem, TreeItem], bool]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that both sides changed differently: what stood in the base, in ours, in theirs (None: nothing).

    `kind` is "content" (both changed), "modify/delete", "add/add" or "file/folder" (one side has a
    file where the other has a folder).
    """

    path: str
    base: TreeItem | None
    ours: TreeItem | None
    theirs: TreeItem | None
    kind: str


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The merged paths, without those in conflict (sorted by path); and the conflicts (sorted by path)."""

    items: dict[str, TreeItem]
    conflicts: tuple[Conflict, ...]


def merge_trees(base: Flat, ours: Flat, theirs: Flat, *, same: Same | None = None) -> MergeResult:
    """Merge `theirs` into `ours`. `same` tells whether two different items are the same file after all
    (manifests with equal size and BLAKE3: see `same_file`); then ours stays as it is."""
    alike = same or _never
    items: dict[str, TreeItem] = {}
    conflicts: list[Conflict] = []
    for path in sorted(base.keys() | ours.keys() | theirs.keys()):
        old, mine, other = base.get(path), ours.get(path), theirs.get(path)
        if _equal(mine, other, alike) or _equal(old, other, alike):
            chosen = mine
        elif _equal(old, mine, alike):
            chosen = other
        else:
            merged = _merge_modes(old, mine, other, alike)
            if merged is None:
                conflicts.append(Conflict(path, old, mine, other, _kind(old, mine, other)))
                continue
            chosen = merged
        if chosen is not None:
            items[path] = chosen
    return _with_folder_conflicts(MergeResult(items, tuple(conflicts)), base, ours, theirs)


def _merge_modes(old: TreeItem | None, mine: TreeItem | None, other: TreeItem | None, same: Same) -> TreeItem | None:
    """Where one side changed the executable bit and the other the content, both are taken."""
    if old is None or mine is None or other is None or not all(is_file(item.mode) for item in (old, mine, other)):
        return None
    bits = TreeItem(old.mode, mine.id), TreeItem(old.mode, other.id)
    if _equal(bits[0], bits[1], same) or _equal(old, bits[1], same):
        content = mine.id
    elif _equal(old, bits[0], same):
        content = other.id
    else:
        return None
    return TreeItem(mine.mode if mine.mode != old.mode else other.mode, content)


def _with_folder_conflicts(result: MergeResult, base: Flat, ours: Flat, theirs: Flat) -> MergeResult:
    """A path cannot be a file and a folder: where the two sides make it so, both sides' paths are in conflict."""
    taken = set(result.items) | {conflict.path for conflict in result.conflicts}
    clashes = {folder for path in taken for folder in parents(path) if folder in taken}
    if not clashes:
        return result
    # Also of a file that one side changed and the other made a folder: to write the one would remove the other.
    found = [
        Conflict(path, base.get(path), ours.get(path), theirs.get(path), "file/folder") for path in sorted(clashes)
    ]
    found += [conflict for conflict in result.conflicts if conflict.path not in clashes]
    items = {path: item for path, item in result.items.items() if path not in clashes}
    return MergeResult(items, tuple(sorted(found, key=lambda conflict: conflict.path)))


def _kind(old: TreeItem | None, mine: TreeItem | None, other: TreeItem | None) -> str:
    if mine is None or other is None:
        return "modify/delete"
    return "add/add" if old is None else "content"


def _equal(one: TreeItem | None, two: TreeItem | None, same: Same) -> bool:
    if one == two:
        return True
    return one is not None and two is not None and same(one, two)


def _never(_one: TreeItem, _two: TreeItem) -> bool:
    return False


def same_file(objects: ObjectReader) -> Same:
    """Whether two items have one mode and are one file: equal ids, or manifests of equal size and BLAKE3."""
    known: dict[str, tuple[int, bytes] | None] = {}

    def identity(item: TreeItem) -> tuple[int, bytes] | None:
        if item.id not in known:
            blob = objects.blob(item.id)
            known[item.id] = manifest.identity(blob) if manifest.is_manifest(blob) else None
        return known[item.id]

    def same(one: TreeItem, two: TreeItem) -> bool:
        if one.mode != two.mode or not is_file(one.mode):
            return one == two
        return one.id == two.id or ((found := identity(one)) is not None and found == identity(two))

    return same
