"""Trees as flat maps of paths: read, compare, build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mvc.objects.batch import ObjectBatch
from mvc.objects.model import TreeItem
from mvc.objects.reader import ObjectReader

METADATA_DIR = ".mvcmeta"
"""The root folder with a commit's metadata. The functions here leave it out unless `metadata=True`."""


class TreeChange(NamedTuple):
    """What differs at a path: `old` is None if it was added, `new` is None if it was removed."""

    path: str
    old: TreeItem | None
    new: TreeItem | None


def flatten(objects: ObjectReader, tree_id: str | None, *, metadata: bool = False) -> dict[str, TreeItem]:
    """All files and links below a tree, sorted by Git's tree order: path -> item. None is the empty tree."""
    raise NotImplementedError


def diff(objects: ObjectReader, old: str | None, new: str | None, *, metadata: bool = False) -> Iterator[TreeChange]:
    """The paths at which two trees differ, in order. Subtrees with equal ids are not read."""
    raise NotImplementedError


def entry_at(objects: ObjectReader, tree_id: str, path: str) -> TreeItem | None:
    """What stands at `path` (a file, link or folder), or None. The empty path is the tree itself."""
    raise NotImplementedError


def build(batch: ObjectBatch, items: Mapping[str, TreeItem]) -> str:
    """Write the trees that hold exactly `items`, and return the root's id. Paths are guarded: UnsafePath."""
    raise NotImplementedError


def update(batch: ObjectBatch, base: str | None, changes: Mapping[str, TreeItem | None]) -> str:
    """The tree `base` with `changes` applied (None removes): only folders that change are read and written.

    A folder that gets empty goes. A file put where a folder is replaces it, and the other way round.
    """
    raise NotImplementedError


def with_metadata(batch: ObjectBatch, tree_id: str, metadata_tree: str | None) -> str:
    """The tree with `.mvcmeta/` replaced by `metadata_tree`, or without it."""
    raise NotImplementedError


def metadata_tree(objects: ObjectReader, tree_id: str) -> str | None:
    """The id of a tree's `.mvcmeta/` folder, or None."""
    raise NotImplementedError


def same_content(objects: ObjectReader, one: str | None, two: str | None) -> bool:
    """Whether two trees are equal but for `.mvcmeta/`."""
    raise NotImplementedError
