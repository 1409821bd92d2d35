"""What the store's tests share: stores, chunks, and children that are killed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from mvc.codecs.base import Encoded
from mvc.hashing import digest
from mvc.settings import StoreSettings
from mvc.store.chunkstore import ChunkStore
from mvc.store.packfile import PackFile, walk
from mvc.store.writer import PackWriter


def open_store(root: Path, settings: StoreSettings | None = None, *, mapped: bool = True) -> ChunkStore:
    return ChunkStore.open(root / "chunks", root / "tmp", settings or StoreSettings(), create=True, mapped=mapped)


def chunk(seed: int, size: int = 1000) -> bytes:
    """Bytes that no other seed gives."""
    return random.Random(seed).randbytes(size)


def raw_encoded(raw: bytes) -> Encoded:
    return Encoded(0, b"", (raw,))


def add(writer: PackWriter, raw: bytes, bases: Sequence[bytes] = (), depth: int = 0) -> bytes:
    """Store `raw` as it is. It may name bases: codec raw does not need them, but the store keeps and checks them."""
    name = digest(raw)
    if writer.begin(name):
        writer.add(name, raw_encoded(raw), raw_size=len(raw), bases=tuple(bases), depth=depth)
    return name


def put(store: ChunkStore, *raws: bytes) -> list[bytes]:
    """Store chunks in one session, so in one pack; returns their names."""
    with store.intend("test") as intent, store.writer(intent) as writer:
        return [add(writer, raw) for raw in raws]


def put_delta(store: ChunkStore, raw: bytes, bases: Sequence[bytes], depth: int) -> bytes:
    with store.intend("test") as intent, store.writer(intent) as writer:
        return add(writer, raw, bases, depth)


def prune(store: ChunkStore, live: set[bytes], **options: bool) -> list[bytes]:
    """A gc without grace; returns the names that went."""
    cutoff = store.begin_sweep(grace_seconds=0, tmp_grace_seconds=0)
    return sorted(store.remove_unreachable(live, cutoff, **{"prune_now": True, **options}).removed_chunks)


def pack_files(store: ChunkStore) -> list[Path]:
    return sorted(store.paths.packs.glob("*/*.pack"))


def idx_files(store: ChunkStore) -> list[Path]:
    return sorted(store.paths.idx.glob("*.idx"))


def records_in(path: Path) -> dict[bytes, int]:
    """The names in a pack, and their offsets."""
    return {record.name: offset for offset, record in walk(PackFile(path), bytes.fromhex(path.stem))}
