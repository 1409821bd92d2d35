"""Three-way merge by path, on flat maps. Pure: it reads no object but through `same`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mvc.objects.model import TreeItem
from mvc.objects.reader import ObjectReader

Flat = Mapping[str, TreeItem]
Same = Callable[[TreeItem, TreeItem], bool]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that both sides changed differently: what stood in the base, in ours, in theirs (None: nothing).

    `kind` is "content" (both changed), "modify/delete", "add/add" or "file/folder".
    """

    path: str
    base: TreeItem | None
    ours: TreeItem | None
    theirs: TreeItem | None
    kind: str


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The merged paths, without those in conflict (sorted by path); and the conflicts."""

    items: dict[str, TreeItem]
    conflicts: tuple[Conflict, ...]


def merge_trees(base: Flat, ours: Flat, theirs: Flat, *, same: Same | None = None) -> MergeResult:
    """Merge `theirs` into `ours`. `same` tells whether two different items are the same file after all
    (manifests with equal size and BLAKE3: see `same_file`)."""
    raise NotImplementedError


def same_file(objects: ObjectReader) -> Same:
    """Whether two items have one mode and are one file: equal ids, or manifests of equal size and BLAKE3."""
    raise NotImplementedError
