"""Trees as flat maps of paths: read, compare, build.

The functions here see a tree without its `.mvcmeta/` (a commit's metadata is no content), unless
they are told otherwise; trees that they build hold only the metadata that they are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from mvc.errors import IntegrityError, UnsafePath
from mvc.objects import encoding
from mvc.objects.model import EMPTY_TREE, FILE, METADATA_DIR, TREE, Kind, TreeEntry, TreeItem
from mvc.objects.reader import ObjectReader

if TYPE_CHECKING:
    from mvc.objects.batch import ObjectBatch  # `log` reads trees and writes none

_FILE = b"%o" % FILE
MAX_DEPTH = 500
"""Folders within folders; no system holds paths that go deeper."""


class TreeChange(NamedTuple):
    """What differs at a path: `old` is None if it was added, `new` is None if it was removed."""

    path: str
    old: TreeItem | None
    new: TreeItem | None


def flatten(objects: ObjectReader, tree_id: str | None, *, metadata: bool = False) -> dict[str, TreeItem]:
    """All files and links below a tree, in Git's tree order: path -> item. None is the empty tree."""
    found: dict[str, TreeItem] = {}
    if tree_id is not None:
        _flatten(objects, tree_id, "", found, 0, metadata)
    return found


def _flatten(
    objects: ObjectReader, tree_id: str, prefix: str, found: dict[str, TreeItem], depth: int, metadata: bool
) -> None:
    _check_depth(depth, prefix)
    for name, mode, object_id in objects.tree(tree_id):
        if mode != TREE:
            found[prefix + name] = TreeItem(mode, object_id)
        elif metadata or depth or name != METADATA_DIR:
            _flatten(objects, object_id, f"{prefix}{name}/", found, depth + 1, metadata)


class Unwritten(ObjectReader):
    """Reads as `beneath`, and a root that is not written yet: its entries, by the id `UNWRITTEN`."""

    def __init__(self, beneath: ObjectReader, entries: list[TreeEntry]) -> None:
        super().__init__()
        self._beneath, self._entries = beneath, entries

    def tree(self, tree_id: str) -> list[TreeEntry]:
        return self._entries if tree_id == UNWRITTEN else self._beneath.tree(tree_id)

    def raw(self, object_id: str) -> tuple[Kind, bytes]:
        return self._beneath.raw(object_id)

    def contains(self, object_id: str) -> bool:
        return self._beneath.contains(object_id)


UNWRITTEN = "unwritten"


def diff(objects: ObjectReader, old: str | None, new: str | None, *, metadata: bool = False) -> Iterator[TreeChange]:
    """The paths at which two trees differ, in Git's tree order. Subtrees with equal ids are not read."""
    yield from _diff(objects, old, new, "", 0, metadata)


def _diff(
    objects: ObjectReader, old: str | None, new: str | None, prefix: str, depth: int, metadata: bool
) -> Iterator[TreeChange]:
    if old == new:
        return
    if old is None or new is None:
        yield from _one_sided(objects, old or new or EMPTY_TREE, new is None, prefix, depth, metadata)
        return
    _check_depth(depth, prefix)
    before, after = objects.tree(old), objects.tree(new)
    rows: dict[str, list[TreeItem | None]] = {}
    for name, mode, object_id in set(before).difference(after):
        rows[name] = [TreeItem(mode, object_id), None]
    for name, mode, object_id in set(after).difference(before):
        rows.setdefault(name, [None, None])[1] = TreeItem(mode, object_id)
    if not metadata and not depth:
        rows.pop(METADATA_DIR, None)
    for name in sorted(rows, key=lambda name: _order(name, rows[name])):
        one, two = rows[name]
        path = prefix + name
        file_one, tree_one = _split(one)
        file_two, tree_two = _split(two)
        if file_one != file_two:
            yield TreeChange(path, file_one, file_two)
        yield from _diff(objects, tree_one, tree_two, path + "/", depth + 1, metadata)


def _one_sided(
    objects: ObjectReader, tree_id: str, is_old: bool, prefix: str, depth: int, metadata: bool
) -> Iterator[TreeChange]:
    """As `_diff` where the other side has nothing: all of a tree, in its order."""
    _check_depth(depth, prefix)
    for name, mode, object_id in objects.tree(tree_id):
        path = prefix + name
        if path == METADATA_DIR and not metadata:
            continue
        if mode == TREE:
            yield from _one_sided(objects, object_id, is_old, path + "/", depth + 1, metadata)
        else:
            item = TreeItem(mode, object_id)
            yield TreeChange(path, item, None) if is_old else TreeChange(path, None, item)


def _order(name: str, sides: list[TreeItem | None]) -> bytes:
    """As Git sorts a tree; a name that is a file on one side comes where the file does."""
    is_folder = all(side is None or side.mode == TREE for side in sides)
    return name.encode("utf-8", "surrogateescape") + (b"/" if is_folder else b"")


def _split(item: TreeItem | None) -> tuple[TreeItem | None, str | None]:
    if item is None:
        return None, None
    return (None, item.id) if item.mode == TREE else (item, None)


def _check_depth(depth: int, prefix: str) -> None:
    if depth > MAX_DEPTH:
        raise IntegrityError(f"a tree goes deeper than {MAX_DEPTH} folders: {prefix[:60]}...")


def entry_at(objects: ObjectReader, tree_id: str, path: str) -> TreeItem | None:
    """What stands at `path` (a file, link or folder), or None. The empty path is the tree itself."""
    item = TreeItem(TREE, tree_id)
    for name in path.strip("/").split("/") if path.strip("/") else ():
        if item.mode != TREE:
            return None
        for entry in objects.tree(item.id):
            if entry.name == name:
                item = TreeItem(entry.mode, entry.id)
                break
        else:
            return None
    return item


def build(batch: ObjectBatch, items: Mapping[str, TreeItem], *, metadata: str | None = None) -> str:
    """Write the trees that hold exactly `items` (and `metadata`, a tree, as `.mvcmeta/`); returns the root's id.

    Raises UnsafePath for a path that the guard refuses, or that is a file and a folder.
    """
    return finished(batch, built(batch, items), metadata)


def built(batch: ObjectBatch, items: Mapping[str, TreeItem]) -> list[TreeEntry]:
    """As `build`, but for the root itself: its entries, for `finished`."""
    folders: dict[str, list[TreeEntry]] = {"": []}
    for path, item in items.items():
        if path.startswith("/"):
            raise UnsafePath(f"{path!r} is absolute")
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            _make_folders(folders, folder)
        folders[folder].append(TreeEntry(name, item.mode, item.id))
    for folder in sorted(folders, key=lambda folder: folder.count("/"), reverse=True):
        if folder:
            parent, _, name = folder.rpartition("/")
            folders[parent].append(TreeEntry(name, TREE, batch.tree(folders.pop(folder))))
    return folders[""]


def _make_folders(folders: dict[str, list[TreeEntry]], folder: str) -> None:
    while folder not in folders:
        folders[folder] = []
        folder = folder.rpartition("/")[0]


def update(
    batch: ObjectBatch, base: str | None, changes: Mapping[str, TreeItem | None], *, metadata: str | None = None
) -> str:
    """The tree `base` with `changes` applied (None removes): only folders that change are read and written.

    A folder that gets empty goes. A file put where a folder is replaces it, and the other way round.
    `.mvcmeta/` is what `metadata` says, whatever `base` has. Raises UnsafePath as `build`.
    """
    return finished(batch, updated(batch, base, changes), metadata)


def updated(batch: ObjectBatch, base: str | None, changes: Mapping[str, TreeItem | None]) -> list[TreeEntry]:
    """As `update`, but for the root itself: its entries, for `finished`."""
    return [entry for entry in _apply(batch, base, changes, 0).values() if entry.name != METADATA_DIR]


def _apply(
    batch: ObjectBatch, base: str | None, changes: Mapping[str, TreeItem | None], depth: int
) -> dict[str, TreeEntry]:
    _check_depth(depth, "")
    entries = {entry.name: entry for entry in batch.reader.tree(base)} if base is not None else {}
    inner: dict[str, dict[str, TreeItem | None]] = {}
    for path, item in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            inner.setdefault(name, {})[rest] = item
    for path, item in changes.items():
        if "/" in path:
            continue
        if item is not None:
            if any(below is not None for below in inner.get(path, {}).values()):
                raise UnsafePath(f"{path!r} would be a file and a folder")
            entries[path] = TreeEntry(path, item.mode, item.id)
        elif path in entries and entries[path].mode != TREE:
            del entries[path]
    for name, below in inner.items():
        _apply_below(batch, entries, name, below, depth)
    return entries


def _apply_below(
    batch: ObjectBatch, entries: dict[str, TreeEntry], name: str, below: Mapping[str, TreeItem | None], depth: int
) -> None:
    standing = entries.get(name)
    folder = standing.id if standing is not None and standing.mode == TREE else None
    if folder is None and all(item is None for item in below.values()):
        return
    content = _apply(batch, folder, below, depth + 1)
    if content:
        entries[name] = TreeEntry(name, TREE, batch.tree(content.values()))
    else:
        entries.pop(name, None)


def finished(batch: ObjectBatch, entries: list[TreeEntry], metadata: str | None) -> str:
    """Write a root with these entries, and the tree `metadata` as `.mvcmeta/`; returns its id."""
    if metadata is not None:
        entries = [*entries, TreeEntry(METADATA_DIR, TREE, metadata)]
    return batch.tree(entries, root=True)


_METADATA_NAME = METADATA_DIR.encode()
_AFTER_METADATA = _METADATA_NAME + b"/"
"""Entries are sorted by bytes, a folder as if its name ended in "/"."""


def with_metadata(batch: ObjectBatch, tree_id: str, metadata: str | None) -> str:
    """The tree with `.mvcmeta/` replaced by the tree `metadata`, or (None) without it."""
    return finished(batch, [entry for entry in batch.reader.tree(tree_id) if entry.name != METADATA_DIR], metadata)


def metadata_tree(objects: ObjectReader, tree_id: str) -> str | None:
    """The id of a tree's `.mvcmeta/` folder, or None.

    `log` asks this of every commit, so the tree is not parsed as a whole: the name sorts before nearly all others.
    """
    kind, data = objects.raw(tree_id)
    if kind != "tree":
        raise IntegrityError(f"object {tree_id} is a {kind}, not a tree")
    at = 0
    while at < len(data):
        space, end = data.find(b" ", at), data.find(b"\0", at)
        if not at < space < end:
            raise IntegrityError(f"the tree {tree_id} is malformed")
        name = data[space + 1 : end]
        if name == _METADATA_NAME:
            return data[end + 1 : end + 21].hex() if data[at:space].lstrip(b"0") == b"40000" else None
        if name > _AFTER_METADATA:
            return None
        at = end + 21
    return None


def files_in(objects: ObjectReader, tree_id: str) -> dict[str, str]:
    """The plain files of one folder, by name: their ids. For folders that are read once, as `.mvcmeta/` is."""
    rows = encoding.split_tree(objects.tree_data(tree_id))
    files = [(name, sha) for mode, name, sha in rows if mode.lstrip(b"0") == _FILE]
    return {name.decode("utf-8", "surrogateescape"): sha.hex() for name, sha in files}


def same_content(objects: ObjectReader, one: str | None, two: str | None) -> bool:
    """Whether two trees are equal but for `.mvcmeta/`."""
    if one == two:
        return True
    return _content(objects, one) == _content(objects, two)


def _content(objects: ObjectReader, tree_id: str | None) -> list[TreeEntry]:
    return [entry for entry in objects.tree(tree_id or EMPTY_TREE) if entry.name != METADATA_DIR]
