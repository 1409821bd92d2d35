"""`mvc gc`: free what nothing needs any more."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mvc.errors import IntegrityError, MvcError, Refused, UsageError
from mvc.objects.reachable import Reached, walk_objects
from mvc.objects.repack import RepackResult, prune
from mvc.ops.caller import Caller
from mvc.ops.reflog import Expiry, default_before, expire_reflogs
from mvc.repo import sharing
from mvc.repo.chunks import open_chunks
from mvc.repo.livechunks import ChunkedFile, chunk_names, chunked_files
from mvc.repo.repository import Repository
from mvc.repo.roots import roots
from mvc.repo.settling import settle
from mvc.store.chunkstore import ChunkStore
from mvc.store.locks import hold
from mvc.store.report import Cutoff, SweepResult
from mvc.sync.held import Held
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
    moved: int = 0
    """Chunks that the shared store holds now instead; remotes do, too. Of the figures above `freed` alone counts them.
    """
    moved_bytes: int = 0
    kept: int = 0
    """Chunks that came from the shared store, since no remote is known to hold them any more."""


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
    held: Held | None = None,
    shallow: Container[bytes] = (),
    caller: Caller,
) -> GcResult:
    """Remove what no ref, reflog, stage, stash, worktree or unfinished operation needs.

    Where there is a shared store, chunks that remotes hold move there (`held` asks them; without it, none does), and
    what no remote was seen to hold comes back from there.
    What is younger than `prune_after_days` (by default `gc.pruneExpire`) stays, and whatever a
    process at work may count on, even for 0. Bases of live deltas stay; of the chunks `shallow` the copy of the
    least depth is kept, however large. Raises Locked when another gc runs.
    """
    days = repo.settings.gc_prune_expire_days if prune_after_days is None else prune_after_days
    repo = replace(repo, missing_chunks=None)  # what is not here needs not be brought to be kept
    chunks = open_chunks(repo)
    with hold(lock_path(repo), what="gc", wait=caller.wait):
        settle(chunks, caller.progress)
        # The sweep begins before anything is looked at: what a writer publishes from now on is young.
        cutoff = chunks.begin_sweep(grace_seconds=days * _DAY)
        expired = 0 if dry_run else _expire(repo, caller)
        promises = Promises(repo)
        live = _live(repo, chunks, promises)
        gone = _unreachable_files(repo, chunks, live)
        homeless = sharing.homeless(chunks, live.chunks, promises.holds)
        kept = len(homeless) if dry_run else sharing.take_home(chunks, homeless, caller.progress)
        moving = _move(repo, chunks, live, promises, held, cutoff, dry_run, caller)
        older_than = min(time.time() - days * _DAY, cutoff.packs_ns / 1e9)
        pruned = prune(repo.objects, live.objects, older_than=older_than, dry_run=dry_run, progress=caller.progress)
        if not dry_run:
            _forget_ends(repo)
        wanted = gone or moving.names or dry_run
        stored = {name: place.stored_size for name, place in chunks.records()} if wanted else {}
        swept = chunks.remove_unreachable(
            live.chunks - moving.names,
            cutoff,
            dry_run=dry_run,
            prune_now=days == 0,
            shallow=shallow,
            progress=caller.progress,
        )
    return replace(_result(gone, stored, swept, pruned, expired, moving.names), kept=kept)


def lock_path(repo: Repository) -> Path:
    """The lock of whoever collects. (The store has one of its own, for the moment in which it removes packs.)"""
    return repo.locks_dir / "collect.lock"


def _forget_ends(repo: Repository) -> None:
    """A shallow history does not end at a commit that is not here."""
    gone = [one for one in repo.objects.shallow if not repo.objects.contains(one)]
    if gone:
        with hold(repo.locks_dir / "shallow.lock", what="gc", wait=60.0):
            repo.objects.change_shallow((), gone)


def _expire(repo: Repository, caller: Caller) -> int:
    """Old entries of reflogs go first, as they hold what they name. The stash's log is its content: it stays."""
    logs = [ref for ref in repo.refs.logged() if ref != "refs/stash"]
    before = Expiry(default_before(repo, int(time.time())))
    return sum(expired.entries for expired in expire_reflogs(repo, logs, before, caller)) if logs else 0


def keep_own(repo: Repository, caller: Caller) -> int:
    """Have the repository itself hold what is needed and no remote was seen to hold; returns how many chunks came."""
    repo = replace(repo, missing_chunks=None)
    chunks, promises = open_chunks(repo), Promises(repo)
    homeless = sharing.homeless(chunks, _live(repo, chunks, promises).chunks, promises.holds)
    return sharing.take_home(chunks, homeless, caller.progress)


def _move(
    repo: Repository,
    chunks: ChunkStore,
    live: _Live,
    promises: Promises,
    held: Held | None,
    cutoff: Cutoff,
    dry_run: bool,
    caller: Caller,
) -> sharing.Moving:
    """Chunks to the shared store, those that may go. That it cannot be written to is no failure of gc."""
    if held is None or chunks.shared is None:
        return sharing.NOTHING
    known = (name for name in live.chunks if promises.holds(name))
    moving = sharing.choose(repo, chunks, known, held, cutoff.packs_ns / 1e9)
    try:
        return moving if dry_run else sharing.move_out(repo, chunks, moving, caller.progress)
    except (Refused, IntegrityError, UsageError, OSError) as error:
        caller.progress.warn(f"the shared store {chunks.shared.root} cannot be used: {error}")
        return sharing.NOTHING


def _live(repo: Repository, chunks: ChunkStore, promises: Promises) -> _Live:
    live = _Live()
    found = roots(repo)
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
    moved: frozenset[bytes],
) -> GcResult:
    removed = set(swept.removed_chunks) - moved
    moved &= set(swept.removed_chunks)
    moved_bytes = sum(stored.get(name, 0) for name in moved)
    files: list[FreedFile] = []
    for file, names in gone:
        mine = names & removed
        removed -= mine
        if mine or not names:
            files.append(FreedFile(file.path, file.manifest.size, sum(stored.get(name, 0) for name in mine)))
    return GcResult(
        files=tuple(sorted(files, key=lambda file: (-file.stored, file.path))),
        chunks=len(swept.removed_chunks) - len(moved),
        chunk_bytes=swept.removed_bytes - moved_bytes,
        other_chunk_bytes=sum(stored.get(name, 0) for name in removed),
        objects=len(pruned.removed_ids),
        object_bytes=pruned.removed_bytes,
        freed=swept.freed_bytes,
        kept_young=swept.kept_young.chunks,
        reflog_entries=expired,
        moved=len(moved),
        moved_bytes=moved_bytes,
    )
