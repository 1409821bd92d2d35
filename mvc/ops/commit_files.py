"""Commits to any ref, without HEAD, stage or worktree: what a training job on a cluster does.

Any number of processes may do so at once. Files are stored first, each process by itself; then one
after the other builds its tree on the ref's newest commit and moves the ref by compare-and-swap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mvc import fsio
from mvc.errors import MissingObject, NotFound, RefChanged, Refused, UsageError
from mvc.metadata.layers import with_bases
from mvc.metadata.model import NOTHING, CommitMetadata
from mvc.metadata.tree import write_tree
from mvc.objects import trees
from mvc.objects.batch import ObjectBatch
from mvc.objects.manifest import is_manifest
from mvc.objects.model import FILE, LINK, Commit, Signature, TreeItem
from mvc.objects.paths import check_path
from mvc.objects.refnames import branch_ref, check
from mvc.objects.refs import RefChange
from mvc.objects.revparse import resolve_commit
from mvc.ops.adapters import Version, with_adapters
from mvc.ops.caller import Caller
from mvc.ops.found_bases import find_bases
from mvc.ops.messages import clean
from mvc.ops.remembering import remember
from mvc.repo.chunks import open_chunks
from mvc.repo.describing import VersionFiles
from mvc.repo.ingest import ingest_files
from mvc.repo.repository import Repository
from mvc.repo.settling import settle
from mvc.settings import SMALL_FILE
from mvc.store.intents import Intent
from mvc.store.locks import hold
from mvc.store.writer import PackWriter

Source = Path | bytes | TreeItem | None
"""A file on the disk (a link is stored as a link), a content, or what `store_files` stored; None removes the path."""

_ATTEMPTS = 100
_TURN = 600.0
"""Seconds to wait for the others: each turn writes a few trees and a commit."""


@dataclass(frozen=True, slots=True)
class CommitFilesOptions:
    """How to commit. `start`: the revision that a ref which does not exist yet begins at; without it the
    commit has no parent. `expected`: the commit that the ref must be at (raises RefChanged otherwise)."""

    author: Signature | None = None
    metadata: CommitMetadata = NOTHING
    start: str | None = None
    expected: str | None = None
    replace_all: bool = False
    """The commit holds just these files, not those of its parent as well."""
    allow_empty: bool = False
    orphan: bool = False
    """The commit has no parent, whatever the ref is at, and holds just these files: it can be forgotten by itself."""
    like: str | None = None
    """A commit whose files these are a small step from, where that is not the ref's: they are coded against it."""


@dataclass(frozen=True, slots=True)
class CommitFilesResult:
    """The new commit. Sizes in bytes: of the files given, and what they took to store."""

    id: str
    ref: str
    parents: tuple[str, ...]
    raw_bytes: int
    stored_bytes: int


@dataclass(slots=True)
class _Taken:
    """What was stored of the files."""

    changes: dict[str, TreeItem | None] = field(default_factory=dict)
    raw: int = 0
    stored: int = 0


def commit_files(
    repo: Repository,
    ref: str,
    files: Mapping[str, Source],
    message: str,
    options: CommitFilesOptions = CommitFilesOptions(),
    *,
    caller: Caller,
) -> CommitFilesResult:
    """Commit `files` (path in the tree to its source) on top of the ref: a branch, or a full name `refs/...`.

    A worktree that has the branch checked out is left as it is, so its `status` then shows the difference.
    Raises UnsafePath, NotFound for a file that is not there, Refused for an empty message or when nothing
    changes.
    """
    repo.require_writable()
    full = check(ref) if ref.startswith("refs/") else branch_ref(ref)
    text = clean(message)
    if not text:
        raise UsageError("the commit message is empty: nothing was committed")
    for path in files:
        check_path(path)
    chunks = open_chunks(repo)
    settle(chunks, caller.progress)
    with chunks.intend("commit") as intent:
        with chunks.writer(intent) as writer, repo.objects.batch() as batch:
            near = _near(repo, options.like) if options.like is not None else _tip(repo, full, options)
            taken = _store(repo, writer, batch, files, near, options, caller)
            batch.seal()
        options = replace(options, metadata=_with_bases(repo, options.metadata, taken, near))
        with hold(repo.locks_dir / "commit-files.lock", what="commit files", wait=_TURN):
            for attempt in range(_ATTEMPTS):
                try:
                    return _commit(repo, full, taken, text, options, intent, caller)
                except RefChanged:
                    if options.expected is not None or attempt == _ATTEMPTS - 1:
                        raise
    raise AssertionError("the last attempt returns or raises")


def store_files(
    repo: Repository, files: Mapping[str, Source], intent: Intent, *, like: str | None = None, caller: Caller
) -> dict[str, TreeItem]:
    """Store files durably, for a commit that `commit_files` makes later, maybe in another process; by tree path.

    `like` as in CommitFilesOptions. Until that commit stands, `intent` (of `ChunkStore.intend`) keeps gc off.
    """
    repo.require_writable()
    for path in files:
        check_path(path)
    options = CommitFilesOptions(orphan=True, like=like)
    chunks = open_chunks(repo)
    settle(chunks, caller.progress)
    with chunks.writer(intent) as writer, repo.objects.batch() as batch:
        taken = _store(repo, writer, batch, files, _near(repo, like), options, caller)
        batch.seal()
    return {path: item for path, item in taken.changes.items() if item is not None}


def _with_bases(repo: Repository, metadata: CommitMetadata, taken: _Taken, near: Commit | None) -> CommitMetadata:
    """The metadata with what the files were made from, as their tensors tell."""
    files = {path: item for path, item in taken.changes.items() if item is not None and item.mode != LINK}

    def found(path: str) -> TreeItem | None:
        standing = trees.entry_at(repo.objects, near.tree, path) if near is not None else None
        return files.get(path, standing)

    parents = (near.id,) if near is not None else ()
    said = with_adapters(metadata, repo, Version(repo.objects, found, parents), files)
    return with_bases(said, find_bases(repo, repo.objects, files, parents))


def _near(repo: Repository, commit_id: str | None) -> Commit | None:
    """A commit that others may have dropped meanwhile: then there is none."""
    with contextlib.suppress(NotFound, MissingObject):
        return repo.objects.commit(commit_id) if commit_id is not None else None
    return None


def _commit(
    repo: Repository,
    ref: str,
    taken: _Taken,
    message: str,
    options: CommitFilesOptions,
    intent: Intent,
    caller: Caller,
) -> CommitFilesResult:
    standing = repo.refs.read(ref)
    if options.expected is not None and standing != options.expected:
        raise RefChanged(f"{ref} is at {standing or 'nothing'}, not at {options.expected}")
    tip = None if options.orphan else _tip(repo, ref, options)
    with repo.objects.batch() as batch:
        base = None if tip is None or options.replace_all else tip.tree
        metadata = write_tree(batch, options.metadata) if options.metadata else None
        tree = trees.update(batch, base, taken.changes, metadata=metadata)
        if tip is not None and not options.allow_empty and trees.same_content(batch.reader, tip.tree, tree):
            raise Refused("nothing to commit: the files are as they stand already")
        parents = [tip.id] if tip else []
        author = options.author or caller.who
        new = batch.commit(tree, parents, author, caller.who, message)
        subject = batch.reader.commit(new).summary
        batch.seal()
    intent.check()
    change = RefChange(ref, standing, new)
    repo.refs.update([change], message=f"commit: {subject}", author=caller.who, wait=_TURN)
    remember(repo, tree)
    return CommitFilesResult(new, ref, tuple(parents), taken.raw, taken.stored)


def _tip(repo: Repository, ref: str, options: CommitFilesOptions) -> Commit | None:
    standing = repo.refs.read(ref)
    if standing is not None:
        return repo.objects.commit(repo.objects.peel(standing, "commit"))
    if options.start is not None:
        return repo.objects.commit(resolve_commit(repo.objects, repo.refs, options.start))
    return None


def _store(
    repo: Repository,
    writer: PackWriter,
    batch: ObjectBatch,
    files: Mapping[str, Source],
    tip: Commit | None,
    options: CommitFilesOptions,
    caller: Caller,
) -> _Taken:
    """Store the files: chunks durable, blobs in the batch. What is there at their paths serves as base."""
    standing = trees.flatten(repo.objects, tip.tree) if tip else {}
    taken = _Taken({path: source for path, source in files.items() if source is None or isinstance(source, TreeItem)})
    on_disk = {path: source for path, source in files.items() if isinstance(source, Path)}
    spilt: list[Path] = []
    try:
        for path, source in files.items():
            if not isinstance(source, bytes):
                continue
            if len(source) <= SMALL_FILE and not is_manifest(source):
                taken.changes[path] = TreeItem(FILE, batch.blob(source))
                taken.raw += len(source)
                taken.stored += len(source)
            else:
                spilt.append(_spill(repo, source))
                on_disk[path] = spilt[-1]
        # Weights alone may be given; what says where their tensors lie is in the ref's commit then.
        contents = {path: source for path, source in files.items() if isinstance(source, bytes)}
        alone = options.replace_all or options.orphan
        stays = {} if alone else {path: item for path, item in standing.items() if path not in files}
        beside = VersionFiles(repo.objects, writer, stays, contents)
        done = ingest_files(repo, writer, batch, on_disk, standing=standing, further=beside, progress=caller.progress)
    finally:
        for place in spilt:
            fsio.unlink(place, missing_ok=True)
    for one in done:
        mode = FILE if on_disk[one.path] in spilt else one.mode
        taken.changes[one.path] = TreeItem(mode, one.id)
        taken.raw += one.size
        taken.stored += one.stored if one.blake3 is not None else one.size
    return taken


def _spill(repo: Repository, data: bytes) -> Path:
    """A content of some size as a file, for it is read like any other."""
    out = fsio.DurableFile(repo.tmp_dir)
    with out:
        out.write(data)
        target = out.path.with_name(out.path.name + ".spill")
        out.commit(target, sync=False)
    return target
