"""What the store tells of itself, values that its operations return; and what its upkeep is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mvc.codecs.base import Encoded
from mvc.store.records import Buffer, Location

Reencoder = Callable[[bytes, Location, Buffer], "tuple[Encoded, tuple[bytes, ...], int] | None"]
"""`(name, where it lies, raw bytes)` to `(encoded, names of its bases, depth)`; None: leave it as it is."""


@dataclass(frozen=True, slots=True)
class PackInfo:
    """A pack as the idx files know it."""

    id: bytes
    path: Path
    size: int
    """Of its file, in bytes."""
    records: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some of the chunks. Stored bytes are those of payloads."""

    chunks: int
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """What the store holds. Bytes; each copy of a chunk counts."""

    chunks: int
    raw_bytes: int
    stored_bytes: int
    packs: int
    pack_bytes: int
    idx_files: int
    idx_bytes: int
    by_codec: dict[int, Figures]
    by_depth: dict[int, Figures]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the store that is not as it must be.

    `name` is the chunk that it touches, if it is one; `path` the pack or idx; `offset` from its start.
    """

    path: Path
    message: str
    name: bytes | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Cutoff:
    """What is too young to go, as times of the file system's clock in nanoseconds (see intents.py)."""

    packs_ns: int
    """Chunks stay that are in a pack written or claimed since."""
    writers_ns: int
    """No writer that is at work has claimed anything before."""
    tmp_ns: int
    """Files in `tmp/` stay that were changed since."""
    writers: tuple[str, ...]
    """Who is writing right now, a line each."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What `remove_unreachable` did, or with `dry_run` would do."""

    removed_chunks: tuple[bytes, ...]
    """Names of which nothing is stored any more."""
    removed_bytes: int
    """Of the records that were dropped (copies of chunks that stay elsewhere, too)."""
    freed_bytes: int
    """By which the packs shrink on disk."""
    packs_removed: tuple[bytes, ...]
    packs_written: tuple[bytes, ...]
    kept_young: Figures
    """Unreachable, but too young, or a writer at work may count on them."""
    kept_mixed: Figures
    """Not needed (unreachable, or second copies), but to rewrite their packs would cost more than it frees."""
    tmp_removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepackResult:
    chunks: int
    """How many were looked at."""
    rewritten: int
    saved_bytes: int
    """By which the new records are smaller than the old, which the next sweep removes."""
