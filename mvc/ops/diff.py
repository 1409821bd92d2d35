"""`mvc diff`: which files differ between two states, and for models which tensors, without reading weights.

A state is a commit, the stage or the worktree. Only a model that differs in the worktree must be
read to say which tensors do, since nobody has written its manifest yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mvc.errors import UsageError
from mvc.lazy import load
from mvc.metadata.annotations import Annotation, origins
from mvc.metadata.compare import MetadataDiff, compare
from mvc.objects import trees
from mvc.objects.ancestry import merge_base
from mvc.objects.manifest import Manifest
from mvc.objects.merge import same_file
from mvc.objects.model import TreeItem, is_file, is_link
from mvc.objects.revparse import parse_range
from mvc.ops.differences import changed_paths, staged_differences
from mvc.ops.file_diff import changes_between, diff_trees, file_diffs, is_model, stored_manifest, version
from mvc.ops.file_versions import FileDiff, Status, Version, in_order, status_of
from mvc.ops.known import Known
from mvc.ops.shards import across_shards
from mvc.progress import SILENT, Progress
from mvc.repo.locking import read_stage
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.scan import Untracked, scan
from mvc.repo.stage import Stage
from mvc.settings import SMALL_FILE

__all__ = ["Diff", "DiffOptions", "FileDiff", "Status", "Version", "diff", "diff_trees"]

READERS = {"unstored": "mvc.ops.worktree_side:manifests"}
"""Loaded when models of the worktree must be read."""


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between `left` and `right` (names for people). `metadata` only between two commits."""

    left: str
    right: str
    files: tuple[FileDiff, ...]
    metadata: MetadataDiff | None = None
    left_commit: str | None = None
    right_commit: str | None = None
    later: tuple[Mapping[str, Annotation], Mapping[str, Annotation]] | None = None
    """What of the metadata of each side was added later, by part and name ("metrics.acc")."""

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
    pathspec = Pathspec.parse(specs, prefix, repo.locate)
    left, right = _ends(repo, options)
    if right is not None:
        if options.staged:
            raise UsageError("--staged compares with one commit, not two")
        return _commits(repo, left or "", right, pathspec, options)
    if options.staged:
        return _staged(repo, left, pathspec, options)
    return _worktree(repo, left, pathspec, options, progress)


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
    known = Known(repo)
    differ = trees.metadata_tree(repo.objects, old) != trees.metadata_tree(repo.objects, new)
    notes = known.annotations(left), known.annotations(right)
    if pathspec.everything and (differ or any(notes)):
        metadata = compare(known.of_tree(left, old), known.of_tree(right, new)) or None
    later = (origins(notes[0]), origins(notes[1])) if any(notes) else None
    return Diff(left[:7], right[:7], files, metadata, left, right, later)


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
    files = file_diffs(repo, changes, renames=options.renames, tensors=options.tensors)
    if options.tensors:
        files = across_shards(files, lambda path, version: stored_manifest(repo, path, version))
    unmerged = _unmerged(stage, pathspec)
    return Diff(commit[:7] if commit else "nothing", "stage", in_order([*files, *unmerged]), None, commit)


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
    files = file_diffs(
        repo, [trees.TreeChange(path, before[path], item) for path, item in clean.items()], tensors=options.tensors
    )
    gone = [path for path in before if path not in clean and (path not in dirty or path in found.deleted)]
    removed = file_diffs(repo, [trees.TreeChange(p, before[p], None) for p in gone if before[p]], tensors=False)
    changed = [path for path in dirty if path not in found.deleted]
    edited = _edited(repo, {path: before[path] for path in changed}, options, progress)
    every = in_order([*files, *removed, *edited])
    if options.tensors:
        every = across_shards(every, lambda path, version: _manifest(repo, path, version, progress))
    every = in_order([*every, *_unmerged(stage, pathspec)])
    return Diff(left[:7] if left else "stage", "worktree", every, None, left)


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
        if old is not None and options.tensors and is_file(mode):
            manifest = stored_manifest(repo, path, old)
            if manifest is not None:
                models[path] = manifest
        result.append(FileDiff(status_of(old, new), path, old, new))
    now = load(READERS["unstored"])(repo, list(models), progress) if models else {}
    return [
        replace(one, tensors=changes_between(models[one.path], now[one.path]))
        if one.path in now and is_model(now[one.path])
        else one
        for one in result
    ]


def _manifest(repo: Repository, path: str, version: Version, progress: Progress) -> Manifest | None:
    """The manifest of a model on either side; None for any other file."""
    if version.id is not None:
        return stored_manifest(repo, path, version)
    found: Manifest = load(READERS["unstored"])(repo, [path], progress)[path]
    return found if is_model(found) else None


def _staged_item(stage: Stage, path: str) -> TreeItem | None:
    entry = stage.get(path)
    return TreeItem(entry.mode, entry.id) if entry is not None else None


def _unmerged(stage: Stage, pathspec: Pathspec) -> list[FileDiff]:
    return [FileDiff(Status.UNMERGED, path, None, None) for path in pathspec.select(stage.conflicts())]


def _mode(mode: int) -> int:
    if is_link(mode):
        return 0o120000
    return 0o100755 if mode & 0o100 else 0o100644
