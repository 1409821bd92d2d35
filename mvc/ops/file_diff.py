"""A file that differs between two states: its versions, and for a model its tensors, from manifests alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from mvc.objects import trees
from mvc.objects.manifest import Manifest, identity, is_manifest, parse
from mvc.objects.merge import same_file
from mvc.objects.model import TreeItem, is_link
from mvc.ops.tensor_changes import TensorChanges, tensor_changes
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository


class Status(Enum):
    """What became of a file; the value is the letter of `--name-status`."""

    ADDED = "A"
    DELETED = "D"
    MODIFIED = "M"
    RENAMED = "R"
    TYPE = "T"
    """A file became a link, or the other way round."""
    UNMERGED = "U"


@dataclass(frozen=True, slots=True)
class Version:
    """A file on one side: its mode, size in bytes, and the id of its blob (None: it is not stored yet)."""

    mode: int
    size: int
    id: str | None
    chunked: bool


@dataclass(frozen=True, slots=True)
class FileDiff:
    """A file that differs. `old_path` is where a renamed one was; `tensors` for models on both sides."""

    status: Status
    path: str
    old: Version | None
    new: Version | None
    old_path: str | None = None
    tensors: TensorChanges | None = None


def diff_trees(
    repo: Repository,
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
    return file_diffs(repo, changes, renames=renames, tensors=tensors)


def version(repo: Repository, item: TreeItem) -> Version:
    """What a tree's item says of a file."""
    blob = repo.objects.blob(item.id)
    if not is_link(item.mode) and is_manifest(blob):
        return Version(item.mode, identity(blob)[0], item.id, True)
    return Version(item.mode, len(blob), item.id, False)


def file_diffs(
    repo: Repository, changes: Iterable[trees.TreeChange], *, renames: bool = True, tensors: bool = True
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
        inside = _tensors(repo, old, new) if tensors else None
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


def status_of(old: Version | None, new: Version | None) -> Status:
    if old is None:
        return Status.ADDED
    if new is None:
        return Status.DELETED
    return Status.TYPE if is_link(old.mode) != is_link(new.mode) else Status.MODIFIED


def _tensors(repo: Repository, old: Version | None, new: Version | None) -> TensorChanges | None:
    """The tensors that differ between two stored models; None where one side is none."""
    if old is None or new is None or not (old.chunked and new.chunked) or old.id is None or new.id is None:
        return None
    before, after = parse(repo.objects.blob(old.id)), parse(repo.objects.blob(new.id))
    if not (has_tensors(before) and has_tensors(after)):
        return None
    return tensor_changes(before, after)


def has_tensors(manifest: Manifest) -> bool:
    return any(segment.tensor is not None for segment in manifest.segments)


def in_order(files: Iterable[FileDiff]) -> tuple[FileDiff, ...]:
    return tuple(sorted(files, key=lambda one: one.path.encode("utf-8", "surrogateescape")))
