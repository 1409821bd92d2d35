"""`mvc diff`: which files differ between two states, and for models which tensors, without reading weights.

A state is a commit, the stage or the worktree. Only a model that differs in the worktree must be
read to say which tensors do, since nobody has written its manifest yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from mvc.errors import UsageError
from mvc.lazy import load
from mvc.metadata.compare import MetadataDiff, compare
from mvc.metadata.tree import read_metadata
from mvc.objects import trees
from mvc.objects.ancestry import merge_base
from mvc.objects.manifest import Manifest, identity, is_manifest, parse
from mvc.objects.merge import same_file
from mvc.objects.model import TreeItem, is_link
from mvc.objects.revparse import parse_range
from mvc.ops.landing import changed_paths, staged_differences
from mvc.ops.tensor_changes import TensorChanges, tensor_changes
from mvc.progress import SILENT, Progress
from mvc.repo.locking import read_stage
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage
from mvc.settings import SMALL_FILE

READERS = {"unstored": "mvc.ops.worktree_side:manifests"}
"""Loaded when models of the worktree must be read."""


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


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between `left` and `right` (names for people). `metadata` only between two commits."""

    left: str
    right: str
    files: tuple[FileDiff, ...]
    metadata: MetadataDiff | None = None
    left_commit: str | None = None
    right_commit: str | None = None

    def __bool__(self) -> bool:
        return bool(self.files or self.metadata)


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What to compare: no revision is stage and worktree (`staged`: HEAD and stage), one is that and the
    worktree (`staged`: and the stage), `A B`, `A..B` or `A...B` (merge base and B) two commits."""

    revisions: tuple[str, ...] = ()
    staged: bool = False
    renames: bool = True
    tensors: bool = True
    """Compare the tensors of models too."""


_Items = Mapping[str, TreeItem | None]


def diff(
    repo: Repository,
    options: DiffOptions = DiffOptions(),
    specs: Sequence[str] = (),
    *,
    prefix: str = "",
    progress: Progress = SILENT,
) -> Diff:
    """Compare two states, at the paths that the specs mean. Raises NotFound for revisions that are none."""
    pathspec = Pathspec.parse(specs, prefix)
    left, right = _ends(repo, options)
    if right is not None:
        if options.staged:
            raise UsageError("--staged compares with one commit, not two")
        return _commits(repo, left or "", right, pathspec, options)
    if options.staged:
        return _staged(repo, left, pathspec, options)
    return _worktree(repo, left, pathspec, options, progress)


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
    return _files(repo, changes, renames=renames, tensors=tensors)


def version(repo: Repository, item: TreeItem) -> Version:
    """What a tree's item says of a file."""
    blob = repo.objects.blob(item.id)
    if not is_link(item.mode) and is_manifest(blob):
        return Version(item.mode, identity(blob)[0], item.id, True)
    return Version(item.mode, len(blob), item.id, False)


def _ends(repo: Repository, options: DiffOptions) -> tuple[str | None, str | None]:
    """The commits to compare: (left, right); None stands for the stage or worktree."""
    chosen = [parse_range(repo.objects, repo.refs, spec) for spec in options.revisions]
    if not chosen:
        return None, None
    if len(chosen) == 1:
        one = chosen[0]
        if one.left is None:
            return one.right, None
        if one.symmetric:
            base = merge_base(repo.objects, one.left, one.right)
            if base is None:
                raise UsageError(f"{options.revisions[0]}: the histories have no commit in common")
            return base, one.right
        return one.left, one.right
    if len(chosen) > 2 or any(one.left is not None for one in chosen):
        raise UsageError("diff compares two states", hint="mvc diff A B, or: mvc diff A..B")
    return chosen[0].right, chosen[1].right


def _commits(repo: Repository, left: str, right: str, pathspec: Pathspec, options: DiffOptions) -> Diff:
    old, new = repo.objects.commit(left).tree, repo.objects.commit(right).tree
    files = diff_trees(repo, old, new, pathspec, renames=options.renames, tensors=options.tensors)
    metadata = None
    if pathspec.everything and trees.metadata_tree(repo.objects, old) != trees.metadata_tree(repo.objects, new):
        metadata = compare(read_metadata(repo.objects, old), read_metadata(repo.objects, new)) or None
    return Diff(left[:7], right[:7], files, metadata, left, right)


def _staged(repo: Repository, left: str | None, pathspec: Pathspec, options: DiffOptions) -> Diff:
    stage = read_stage(repo)
    commit = left or repo.refs.head().id
    tree = repo.objects.commit(commit).tree if commit else None
    staged = {path: item for path, item in staged_differences(repo, stage, tree).items() if pathspec.matches(path)}
    same = same_file(repo.objects)
    changes = []
    for path, item in staged.items():
        before = trees.entry_at(repo.objects, tree, path) if tree else None
        if before is None or item is None or not same(before, item):
            changes.append(trees.TreeChange(path, before, item))
    files = _files(repo, changes, renames=options.renames, tensors=options.tensors)
    unmerged = _unmerged(stage, pathspec)
    return Diff(commit[:7] if commit else "nothing", "stage", _sorted([*files, *unmerged]), None, commit)


def _worktree(repo: Repository, left: str | None, pathspec: Pathspec, options: DiffOptions, progress: Progress) -> Diff:
    """Stage and worktree, or a commit and the worktree (then tracked files alone)."""
    stage = read_stage(repo)
    found = scan(repo, stage, pathspec, untracked=Untracked.NO, progress=progress)
    dirty = changed_paths(found)
    before: dict[str, TreeItem | None] = {path: _staged_item(stage, path) for path in dirty}
    clean: dict[str, TreeItem] = {}
    if left is not None:
        tree = repo.objects.commit(left).tree
        different = {
            path: item for path, item in staged_differences(repo, stage, tree).items() if pathspec.matches(path)
        }
        before = {path: trees.entry_at(repo.objects, tree, path) for path in {*dirty, *different}}
        clean = {path: item for path, item in different.items() if item is not None and path not in dirty}
    files = _files(repo, [trees.TreeChange(path, before[path], item) for path, item in clean.items()], tensors=True)
    gone = [path for path in before if path not in clean and (path not in dirty or path in found.deleted)]
    removed = _files(repo, [trees.TreeChange(p, before[p], None) for p in gone if before[p]], tensors=False)
    changed = [path for path in dirty if path not in found.deleted]
    edited = _edited(repo, {path: before[path] for path in changed}, options, progress)
    return Diff(
        left[:7] if left else "stage",
        "worktree",
        _sorted([*files, *removed, *edited, *_unmerged(stage, pathspec)]),
        None,
        left,
    )


def _edited(repo: Repository, before: _Items, options: DiffOptions, progress: Progress) -> list[FileDiff]:
    """Files whose present content is not stored."""
    worktree = repo.require_worktree()
    result: list[FileDiff] = []
    models: dict[str, Manifest] = {}
    for path, item in sorted(before.items()):
        found = (worktree / path).lstat()
        mode = _mode(found.st_mode)
        new = Version(mode, found.st_size, None, found.st_size > SMALL_FILE and not is_link(mode))
        old = version(repo, item) if item is not None else None
        if old is not None and old.chunked and new.chunked and options.tensors and item is not None:
            models[path] = parse(repo.objects.blob(item.id))
        status = _status(old, new)
        result.append(FileDiff(status, path, old, new))
    models = {path: manifest for path, manifest in models.items() if _has_tensors(manifest)}
    if not models:
        return result
    read: Callable[..., dict[str, Manifest]] = load(READERS["unstored"])
    now = read(repo, list(models), progress)
    return [
        replace(one, tensors=tensor_changes(models[one.path], now[one.path])) if one.path in now else one
        for one in result
    ]


def _files(
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
        result.append(FileDiff(_status(old, new), change.path, old, new, tensors=inside))
    return _sorted(result)


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


def _status(old: Version | None, new: Version | None) -> Status:
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
    if not (_has_tensors(before) and _has_tensors(after)):
        return None
    return tensor_changes(before, after)


def _has_tensors(manifest: Manifest) -> bool:
    return any(segment.tensor is not None for segment in manifest.segments)


def _staged_item(stage: Stage, path: str) -> TreeItem | None:
    entry = stage.get(path)
    return TreeItem(entry.mode, entry.id) if entry is not None else None


def _unmerged(stage: Stage, pathspec: Pathspec) -> list[FileDiff]:
    return [FileDiff(Status.UNMERGED, path, None, None) for path in pathspec.select(stage.conflicts())]


def _sorted(files: Iterable[FileDiff]) -> tuple[FileDiff, ...]:
    return tuple(sorted(files, key=lambda one: one.path.encode("utf-8", "surrogateescape")))


def _mode(mode: int) -> int:
    if is_link(mode):
        return 0o120000
    return 0o100755 if mode & 0o100 else 0o100644
