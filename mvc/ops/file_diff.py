"""A file that differs between two states: its versions, and for a model its tensors, from manifests alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mvc.lazy import load
from mvc.objects import trees
from mvc.objects.manifest import Manifest, identity, is_manifest, parse
from mvc.objects.merge import same_file
from mvc.objects.model import TreeItem, is_file, is_link
from mvc.ops.file_versions import FileDiff, Status, Version, in_order, status_of
from mvc.ops.shards import across_shards
from mvc.ops.tensor_changes import TensorChanges, tensor_changes
from mvc.repo.pathspec import Pathspec
from mvc.repo.readable import Readable

_DESCRIBE = "mvc.repo.described:describe_blob"
_NAMER = "mvc.hashing:chunk_namer"
"""Loaded where a small file may be a model."""
_LEAST = 16
"""No model has fewer bytes."""


def diff_trees(
    repo: Readable,
    old: str | None,
    new: str | None,
    pathspec: Pathspec | None = None,
    *,
    renames: bool = True,
    tensors: bool = True,
) -> tuple[FileDiff, ...]:
    """Compare two trees; None is the empty one."""
    same = same_file(repo.objects)
    changes = [
        change
        for change in trees.diff(repo.objects, old, new)
        if (pathspec is None or pathspec.matches(change.path))
        and not (change.old and change.new and same(change.old, change.new))
    ]
    files = file_diffs(repo, changes, renames=renames, tensors=tensors)
    return across_shards(files, lambda path, version: stored_manifest(repo, path, version)) if tensors else files


def version(repo: Readable, item: TreeItem) -> Version:
    """What a tree's item says of a file."""
    blob = repo.objects.blob(item.id)
    if not is_link(item.mode) and is_manifest(blob):
        return Version(item.mode, identity(blob)[0], item.id, True)
    return Version(item.mode, len(blob), item.id, False)


def file_diffs(
    repo: Readable, changes: Iterable[trees.TreeChange], *, renames: bool = True, tensors: bool = True
) -> tuple[FileDiff, ...]:
    rows = list(changes)
    moved = _renames(rows) if renames else {}
    origins = set(moved.values())
    result = []
    for change in rows:
        if change.path in origins:
            continue
        old_path = moved.get(change.path)
        if old_path is not None and change.new is not None:
            there = version(repo, change.new)
            result.append(FileDiff(Status.RENAMED, change.path, there, there, old_path))
            continue
        old = version(repo, change.old) if change.old else None
        new = version(repo, change.new) if change.new else None
        inside = _tensors(repo, change.path, old, new) if tensors else None
        result.append(FileDiff(status_of(old, new), change.path, old, new, tensors=inside))
    return in_order(result)


def _renames(changes: Sequence[trees.TreeChange]) -> dict[str, str]:
    """New path to old path, for files that stand elsewhere now, unchanged."""
    gone: dict[TreeItem, list[str]] = {}
    for change in changes:
        if change.old is not None and change.new is None:
            gone.setdefault(change.old, []).append(change.path)
    found = {}
    for change in changes:
        if change.old is None and change.new is not None and (paths := gone.get(change.new)):
            name = change.path.rpartition("/")[2]
            # Of several equal ones that which kept its name.
            best = next((path for path in paths if path.rpartition("/")[2] == name), paths[0])
            paths.remove(best)
            found[change.path] = best
    return found


def _tensors(repo: Readable, path: str, old: Version | None, new: Version | None) -> TensorChanges | None:
    """The tensors that differ between two stored models; None where one side is none."""
    if old is None or new is None:
        return None
    before = stored_manifest(repo, path, old)
    after = stored_manifest(repo, path, new) if before is not None else None
    return changes_between(before, after) if before is not None and after is not None else None


def changes_between(old: Manifest, new: Manifest) -> TensorChanges | None:
    """The tensors that differ between two models; None if neither has any: then its bytes are all there is to tell."""
    changes = tensor_changes(old, new)
    return changes if changes.changes or changes.unchanged else None


def stored_manifest(repo: Readable, path: str, version: Version) -> Manifest | None:
    """The manifest of a stored model, made now if the file is so small that it is a blob; None for any other file."""
    if version.id is None or not is_file(version.mode):
        return None
    blob = repo.objects.blob(version.id)
    if version.chunked:
        manifest = parse(blob)
    elif len(blob) < _LEAST:
        return None
    else:
        manifest = load(_DESCRIBE)(path, blob, load(_NAMER)(repo.settings.store.naming))
    return manifest if is_model(manifest) else None


def is_model(manifest: Manifest) -> bool:
    """Whether it is of a format whose tensors are known; there may be none in it."""
    return any(segment.kind != "opaque" for segment in manifest.segments)
