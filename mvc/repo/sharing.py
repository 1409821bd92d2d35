"""Between a repository and the shared store behind it: what must be at home comes home, what a remote holds may go."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from mvc.progress import SILENT, Progress
from mvc.repo.repository import Repository
from mvc.settings import MAX_DEPTH
from mvc.store import intents
from mvc.store.chunkstore import ChunkStore
from mvc.store.leaning import register
from mvc.store.room import disk_usage
from mvc.store.shared import SharedStore

_ROW = 128
_ANY = MAX_DEPTH + 1


@dataclass(frozen=True, slots=True)
class Moving:
    """Chunks that go from the repository to the shared store, and their stored bytes."""

    names: frozenset[bytes]
    size: int


NOTHING = Moving(frozenset(), 0)


def homeless(chunks: ChunkStore, needed: Iterable[bytes], promised: Callable[[bytes], bool]) -> list[bytes]:
    """Those of the chunks that only the shared store has, so far as is known: no remote was seen to hold them."""
    shared = chunks.shared
    if shared is None:
        return []
    return [name for name in needed if chunks.find_own(name) is None and not promised(name) and name in shared]


def take_home(chunks: ChunkStore, names: Collection[bytes], progress: Progress = SILENT) -> int:
    """Copy chunks from the shared store into the repository's own; returns how many could be had."""
    if not names:
        return 0
    progress.begin("keeping", len(names), "chunks")
    try:
        with chunks.intend("gc") as intent, chunks.writer(intent) as writer:
            found = 0
            for name in sorted(names):
                found += writer.adopt((name,), _ANY)
                progress.advance(1)
            return found
    finally:
        progress.end()


def choose(
    repo: Repository,
    chunks: ChunkStore,
    needed: Iterable[bytes],
    held: Callable[[Sequence[bytes]], bool],
    before: float,
) -> Moving:
    """What may go: chunks in packs that nobody wrote or counted on since `before` (seconds since 1970), which a remote
    holds together with all that they rest on; as many as there is room for."""
    shared = chunks.shared
    if shared is None:
        return NOTHING
    limit = repo.settings.shared.limit
    room = limit - disk_usage(shared.root) if limit else None
    names: set[bytes] = set()
    size = 0
    old: dict[bytes, bool] = {}
    may: dict[bytes, bool] = {}

    def goes(name: bytes) -> bool:
        if name not in may:
            place = chunks.find_own(name)
            may[name] = place is not None and held((name,)) and all(goes(base) for base in place.bases)
        return may[name]

    for name in sorted(needed):
        place = chunks.find_own(name)
        if place is None:
            continue
        if place.pack not in old:
            old[place.pack] = _time_of(chunks, place.pack) < before
        need = place.record_size + _ROW
        if old[place.pack] and (room is None or size + need <= room) and goes(name):
            names.add(name)
            size += need
    return Moving(frozenset(names), size)


def move_out(repo: Repository, chunks: ChunkStore, moving: Moving, progress: Progress = SILENT) -> Moving:
    """Have the shared store hold these chunks; returns those that can be read there now, and so may go at home.

    Raises what writing there raises: Refused, UnsupportedFormat, OSError.
    """
    shared = chunks.shared
    if shared is None or not moving.names:
        return NOTHING
    progress.begin("moving to the shared store", moving.size)
    try:
        store = shared.writable(verify_writes=False, pack_size=repo.settings.store.pack_size)
        register(shared.root, repo.common_dir, shared.space)
        with intents.register(repo.intents_dir, "gc") as intent, store.writer(intent) as writer:
            for name in _in_pack_order(chunks, moving.names):
                if not _stands(shared, name):
                    writer.adopt((name,), _ANY, chunks.read_stored)
                place = chunks.find_own(name)
                progress.advance(place.record_size if place is not None else 0)
    finally:
        progress.end()
    shared.reload()
    done = frozenset(name for name in moving.names if _stands(shared, name))
    places = (chunks.find_own(name) for name in done)
    return Moving(done, sum(place.record_size for place in places if place is not None))


def _stands(shared: SharedStore, name: bytes) -> bool:
    """Whether the chunk can be read there: anybody may have written that it can."""
    return shared.read(name) is not None


def _in_pack_order(chunks: ChunkStore, names: Iterable[bytes]) -> list[bytes]:
    places = {name: chunks.find_own(name) for name in names}
    found = [(place.pack, place.offset, name) for name, place in places.items() if place is not None]
    return [name for _, _, name in sorted(found)]


def _time_of(chunks: ChunkStore, pack_id: bytes) -> float:
    try:
        return os.stat(chunks.paths.pack(pack_id)).st_mtime
    except FileNotFoundError:
        return float("inf")
