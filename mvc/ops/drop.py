"""`mvc drop`: free chunks here that a remote was just seen to hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mvc.errors import AuthError, MvcError, NetworkError, NotFound
from mvc.objects import trees
from mvc.objects.manifest import is_manifest, parse
from mvc.objects.revparse import resolve_tree, split_path
from mvc.ops.caller import Caller
from mvc.ops.connect import Outside, connect
from mvc.ops.gc import lock_path
from mvc.ops.versions import FileVersion, versions
from mvc.progress import Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import chunk_names
from mvc.repo.pathspec import Pathspec
from mvc.repo.repository import Repository
from mvc.repo.roots import worktrees
from mvc.repo.settling import settle
from mvc.repo.stage import Stage
from mvc.store.chunkstore import ChunkStore
from mvc.store.locks import hold
from mvc.sync.holdings import Holdings
from mvc.sync.remotes import configured


@dataclass(frozen=True, slots=True)
class DropOptions:
    """How to drop. `verify`: read every byte there, and not only ask for it."""

    dry_run: bool = False
    verify: bool = False


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A version of a file: its size, and the stored bytes of its chunks that go (each counted once)."""

    path: str
    size: int
    chunks: int
    stored: int


@dataclass(frozen=True, slots=True)
class DropResult:
    """What was freed, or with `dry_run` would be. Bytes are stored bytes."""

    files: tuple[DroppedFile, ...]
    chunks: int
    freed: int
    """By which the repository shrinks on disk."""
    in_use: int
    """Bytes that stay, as what is checked out or staged has them, too."""
    as_bases: int
    """Bytes that stay, as chunks that stay rest on them, or a process at work may."""
    refused: tuple[DroppedFile, ...] = ()
    """If not empty, nothing was freed: what no remote was seen to hold."""
    silent: tuple[MvcError, ...] = ()
    """Why remotes could not be asked."""


def drop(
    repo: Repository,
    revisions: Sequence[str],
    pathspec: Pathspec | None,
    options: DropOptions,
    *,
    outside: Outside,
    caller: Caller,
) -> DropResult:
    """Free the chunks of these versions, unless what is checked out or staged needs them (and is not named itself).

    Each must be held by a remote that was asked just now, and be reached by a ref there, so that gc there keeps it;
    else nothing is freed. Bases of chunks that stay, stay, and so do lists of chunks: they are small, and tell what
    there is. Raises NotFound, Locked.
    """
    repo = replace(repo, missing_chunks=None)  # nothing comes in order to go
    chunks = open_chunks(repo)
    with hold(lock_path(repo), what="drop", wait=caller.wait):
        settle(chunks, caller.progress)
        # Before anything is looked at, as gc does: what a writer counts on from now on is young.
        cutoff = chunks.begin_sweep(grace_seconds=0.0)
        targets = versions(repo, revisions, pathspec)
        wanted = {one.id: _here(chunks, one) for one in targets}
        candidates = set().union(*wanted.values())
        used = _in_use(repo, chunks, _named(repo, revisions, pathspec)) & candidates
        candidates -= used
        stored = {name: place.stored_size for name, place in chunks.records() if name in candidates or name in used}
        safe, silent = _safe(repo, candidates, options, outside, caller.progress)
        refused = _per_file(targets, wanted, candidates - safe, stored)
        in_use = sum(stored[name] for name in used)
        if refused:
            return DropResult((), 0, 0, in_use, 0, refused, silent)
        swept = chunks.remove_unreachable(
            _AllBut(candidates), cutoff, dry_run=options.dry_run, prune_now=True, progress=caller.progress
        )
        gone = candidates.intersection(swept.removed_chunks)
    files = _per_file(targets, wanted, gone, stored)
    left = sum(stored[name] for name in candidates - gone)
    return DropResult(files, len(gone), swept.freed_bytes, in_use, left, silent=silent)


class _AllBut:
    """Every chunk but these is needed."""

    def __init__(self, names: set[bytes]) -> None:
        self._names = names

    def __contains__(self, name: object) -> bool:
        return name not in self._names


def _here(chunks: ChunkStore, file: FileVersion) -> set[bytes]:
    """The chunks of a version that are in this repository's own store, but for lists."""
    lists = {ref.name for segment in file.manifest.segments for ref in segment.lists}
    names = chunk_names(chunks, file.manifest, lambda name: name in lists)
    return {name for name in names if chunks.find_own(name) is not None} - lists


def _named(repo: Repository, revisions: Sequence[str], pathspec: Pathspec | None) -> set[str]:
    """The manifests of what was named as what is checked out (`HEAD`, `HEAD:PATH`, PATH), and not by another revision
    that has some of it, too."""
    heads = (place.refs.head().id for place in worktrees(repo))
    out = {repo.objects.commit(head).tree for head in heads if head is not None}

    def is_out(spec: str) -> bool:
        revision, path = split_path(spec)
        return resolve_tree(repo.objects, repo.refs, revision if revision and path is not None else spec) in out

    return {one.id for one in versions(repo, [spec for spec in revisions if is_out(spec)], pathspec)}


def _in_use(repo: Repository, chunks: ChunkStore, named: set[str]) -> set[bytes]:
    """The chunks of what is checked out and staged, in any worktree, but for versions that are named themselves."""
    found: set[bytes] = set()
    for blob_id in set(_current(repo)) - named:
        blob = repo.objects.blob(blob_id)
        if is_manifest(blob):
            found |= _here(chunks, FileVersion("", blob_id, parse(blob)))
    return found


def _current(repo: Repository) -> Iterator[str]:
    for place in worktrees(repo):
        stage = Stage.load(place.stage_path)
        yield from (entry.id for entry in stage)
        for conflict in stage.conflicts().values():
            yield from (entry.id for entry in conflict.values())
        head = place.refs.head().id
        if head is not None:
            yield from (item.id for item in trees.flatten(repo.objects, repo.objects.commit(head).tree).values())


def _safe(
    repo: Repository, names: set[bytes], options: DropOptions, outside: Outside, progress: Progress
) -> tuple[set[bytes], tuple[MvcError, ...]]:
    """Those of the chunks that the remotes hold, and the errors of remotes that could not be asked."""
    safe: set[bytes] = set()
    silent: list[MvcError] = []
    for config in configured(repo.config):
        left = names - safe
        if not left:
            break
        try:
            with connect(repo, config, outside) as remote:
                holdings = Holdings(remote, progress)
                found = holdings.referenced(holdings.held(left))
                safe |= holdings.read(found) if options.verify else found
        except (NetworkError, AuthError, NotFound) as error:
            silent.append(error)
    return safe, tuple(silent)


def _per_file(
    files: Iterable[FileVersion], names: dict[str, set[bytes]], which: set[bytes], stored: dict[bytes, int]
) -> tuple[DroppedFile, ...]:
    """What of each version is among `which`; those with nothing are left out."""
    left = set(which)
    found: list[DroppedFile] = []
    for file in files:
        mine = names[file.id] & left
        left -= mine
        if mine:
            size = sum(stored.get(name, 0) for name in mine)
            found.append(DroppedFile(file.path, file.manifest.size, len(mine), size))
    return tuple(found)
