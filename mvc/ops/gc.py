"""`mvc gc`: free what nothing needs any more."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mvc.errors import MvcError
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.repack import RepackResult, prune
from mvc.ops.caller import Caller
from mvc.ops.reflog import Expiry, default_before, expire_reflogs
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import ChunkedFile, chunk_names, chunked_files
from mvc.repo.repository import Repository
from mvc.repo.roots import roots
from mvc.store.chunkstore import ChunkStore
from mvc.store.locks import hold
from mvc.store.report import SweepResult
from mvc.sync.promised import Promises

_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class FreedFile:
    """A version of a file that goes: its path, as far as known, its size, and the bytes of the chunks that go along."""

    path: str
    raw: int
    stored: int


@dataclass(frozen=True, slots=True)
class GcResult:
    """What was freed, or with `dry_run` would be. Bytes."""

    files: tuple[FreedFile, ...]
    chunks: int
    chunk_bytes: int
    """Stored bytes of the chunks that go."""
    other_chunk_bytes: int
    """Of these, what no known version of a file names (an `add` that was killed)."""
    objects: int
    object_bytes: int
    freed: int
    """By which the repository shrinks on disk, as far as chunks go."""
    kept_young: int
    """Chunks that nothing needs, but which are too young to go."""
    reflog_entries: int


@dataclass(slots=True)
class _Live:
    """What is needed: Git ids and chunk names."""

    objects: set[str] = field(default_factory=set)
    chunks: set[bytes] = field(default_factory=set)


def gc(
    repo: Repository,
    *,
    prune_after_days: float | None = None,
    dry_run: bool = False,
    caller: Caller,
) -> GcResult:
    """Remove what no ref, reflog, stage, stash, worktree or unfinished operation needs.

    What is younger than `prune_after_days` (by default `gc.pruneExpire`) stays, and whatever a
    process at work may count on, even for 0. Bases of live deltas stay. Raises Locked when another
    gc runs.
    """
    days = repo.settings.gc_prune_expire_days if prune_after_days is None else prune_after_days
    repo = replace(repo, missing_chunks=None)  # what is not here needs not be brought to be kept
    chunks = open_chunks(repo)
    with hold(lock_path(repo), what="gc", wait=caller.wait):
        # The sweep begins before anything is looked at: what a writer publishes from now on is young.
        cutoff = chunks.begin_sweep(grace_seconds=days * _DAY)
        expired = 0 if dry_run else _expire(repo, caller)
        live = _live(repo, chunks)
        gone = _unreachable_files(repo, chunks, live)
        older_than = min(time.time() - days * _DAY, cutoff.packs_ns / 1e9)
        pruned = prune(repo.objects, live.objects, older_than=older_than, dry_run=dry_run, progress=caller.progress)
        stored = {name: place.stored_size for name, place in chunks.records()} if gone or dry_run else {}
        swept = chunks.remove_unreachable(
            live.chunks, cutoff, dry_run=dry_run, prune_now=days == 0, progress=caller.progress
        )
    return _result(gone, stored, swept, pruned, expired)


def lock_path(repo: Repository) -> Path:
    """The lock of whoever collects. (The store has one of its own, for the moment in which it removes packs.)"""
    return repo.locks_dir / "collect.lock"


def _expire(repo: Repository, caller: Caller) -> int:
    """Old entries of reflogs go first, as they hold what they name. The stash's log is its content: it stays."""
    logs = [ref for ref in repo.refs.logged() if ref != "refs/stash"]
    before = Expiry(default_before(repo, int(time.time())))
    return sum(expired.entries for expired in expire_reflogs(repo, logs, before, caller)) if logs else 0


def _live(repo: Repository, chunks: ChunkStore) -> _Live:
    live = _Live()
    found = roots(repo)
    promises = Promises(repo)
    reached = walk_objects(repo.objects, found.objects, seen=live.objects)
    staged = (Reached("blob", blob, path, 0, "") for blob, path in found.staged.items() if blob not in live.objects)
    for file in chunked_files(repo.objects, _both(reached, staged)):
        live.chunks.update(chunk_names(chunks, file.manifest, promises.holds))
    live.objects.update(found.staged)
    return live


def _both(one: Iterable[Reached], two: Iterable[Reached]) -> Iterable[Reached]:
    yield from one
    yield from two


def _unreachable_files(repo: Repository, chunks: ChunkStore, live: _Live) -> list[tuple[ChunkedFile, set[bytes]]]:
    """The versions of files that nothing needs, with the chunks that are only theirs."""
    lost = [name for name in repo.objects.ids() if name not in live.objects]
    commits = [name for name in lost if repo.objects.kind(name) == "commit"]
    seen = set(live.objects)
    errors: list[str] = []

    def note(wanted: Reached, _error: MvcError) -> None:
        errors.append(wanted.id)  # what is already half gone needs no name

    named = walk_objects(repo.objects, commits, seen=seen, on_error=note)
    unnamed = (
        Reached("blob", name, "", 0, "") for name in lost if name not in seen and repo.objects.kind(name) == "blob"
    )
    files: list[tuple[ChunkedFile, set[bytes]]] = []
    for file in chunked_files(repo.objects, _both(named, unnamed)):
        try:
            files.append((file, set(chunk_names(chunks, file.manifest)) - live.chunks))
        except MvcError:
            files.append((file, set()))
    return files


def _result(
    gone: list[tuple[ChunkedFile, set[bytes]]],
    stored: dict[bytes, int],
    swept: SweepResult,
    pruned: RepackResult,
    expired: int,
) -> GcResult:
    removed = set(swept.removed_chunks)
    files: list[FreedFile] = []
    for file, names in gone:
        mine = names & removed
        removed -= mine
        if mine or not names:
            files.append(FreedFile(file.path, file.manifest.size, sum(stored.get(name, 0) for name in mine)))
    return GcResult(
        files=tuple(sorted(files, key=lambda file: (-file.stored, file.path))),
        chunks=len(swept.removed_chunks),
        chunk_bytes=swept.removed_bytes,
        other_chunk_bytes=sum(stored.get(name, 0) for name in removed),
        objects=len(pruned.removed_ids),
        object_bytes=pruned.removed_bytes,
        freed=swept.freed_bytes,
        kept_young=swept.kept_young.chunks,
        reflog_entries=expired,
    )
