"""The chunk store: chunks by name, in packs that an idx finds them in.

Reading takes no lock. What a reader has opened stays readable when gc removes it; a lookup that
misses, or meets a pack that is gone, reloads the list of idx files and looks again.

    with store.intend("add") as intent, store.writer(intent) as writer:
        if writer.begin(name):                       # False: it stands already, nothing to encode
            writer.add(name, encoded, bases=..., depth=...)
        writer.flush()                               # durable from here on
        ...publish in stage or refs...               # before the intent ends: see intents.py
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvc.progress import SILENT, Progress
from mvc.settings import StoreSettings
from mvc.store.records import Location, RecordHeader

if TYPE_CHECKING:
    from mvc.codecs.base import Encoded
    from mvc.store.intents import Intent
    from mvc.store.writer import PackWriter

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class PackInfo:
    """A pack as the idx files know it."""

    id: bytes
    path: Path
    size: int
    records: int


@dataclass(frozen=True, slots=True)
class CodecFigures:
    chunks: int
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """What the store holds. Bytes; copies of a chunk count each."""

    chunks: int
    raw_bytes: int
    stored_bytes: int
    packs: int
    pack_bytes: int
    idx_files: int
    idx_bytes: int
    by_codec: dict[int, CodecFigures]
    by_depth: dict[int, int]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the store that is not as it must be.

    `name` is the chunk that it touches, if one; `path` the pack or idx; `offset` from its start.
    """

    path: Path
    message: str
    name: bytes | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Cutoff:
    """The moment, in nanoseconds of the file system's clock, since when nothing may be removed."""

    prune_before_ns: int
    tmp_before_ns: int
    live_intents: tuple[str, ...]
    """Who is writing right now, one line each."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What `remove_unreachable` did, or with `dry_run` would do."""

    removed_chunks: tuple[bytes, ...]
    removed_bytes: int
    """Stored bytes of those chunks."""
    freed_bytes: int
    """By which the store shrinks on disk."""
    packs_removed: tuple[bytes, ...]
    packs_written: tuple[bytes, ...]
    kept_young: int
    """Unreachable chunks kept as they are too young, or a writer at work may count on them."""
    kept_unworthy: int
    """Unreachable chunks kept as rewriting their packs would cost more than it frees."""
    tmp_removed: tuple[str, ...]


Reencoder = Callable[[bytes, Location, Buffer], "tuple[Encoded, tuple[bytes, ...], int] | None"]
"""`(name, where it lies, raw bytes)` to `(encoded, names of its bases, depth)`, or None: leave it as it is."""


class ChunkStore:
    """Chunks by name. One object may be used from several threads."""

    @classmethod
    def open(
        cls,
        chunks_dir: Path,
        tmp_dir: Path,
        settings: StoreSettings,
        *,
        create: bool = False,
        mapped: bool = True,
        locks_dir: Path | None = None,
        intents_dir: Path | None = None,
    ) -> ChunkStore:
        """The store in `chunks_dir`. With `mapped` false the idx files are read whole (network file systems).

        `locks_dir` and `intents_dir` are `locks` and `intents` beside `chunks_dir` unless given.
        """
        raise NotImplementedError

    # Looking up -----------------------------------------------------------------------------

    def find(self, name: bytes) -> Location | None:
        """Where the chunk lies, or None. Looks at the idx files as loaded; `reload` sees newer ones."""
        raise NotImplementedError

    def find_many(self, names: Iterable[bytes]) -> dict[bytes, Location]:
        """Those of `names` that are here, and where."""
        raise NotImplementedError

    def __contains__(self, name: bytes) -> bool:
        raise NotImplementedError

    def reload(self) -> bool:
        """Look for idx files that came or went; whether there were any."""
        raise NotImplementedError

    # Reading --------------------------------------------------------------------------------

    def read(self, name: bytes, *, out: bytearray | memoryview | None = None) -> Buffer:
        """The chunk's raw bytes, verified against its name. With `out` (of just its size) decoded into it.

        Do not change what comes back without `out`: it may be held as the base of another read.
        Raises MissingObject if it is not here, IntegrityError (naming pack and chunk) if no
        sound copy is.
        """
        raise NotImplementedError

    def header(self, name: bytes) -> RecordHeader:
        """All of the chunk's record but its payload. Raises as `read` does."""
        raise NotImplementedError

    def read_stored(self, name: bytes) -> bytes:
        """The chunk's whole record as it stands in its pack, its checksum verified. Raises as `read` does."""
        raise NotImplementedError

    def names(self) -> Iterator[bytes]:
        """The names of all chunks, each once, in order."""
        raise NotImplementedError

    def records(self) -> Iterator[tuple[bytes, Location]]:
        """All records of all packs; a chunk that is stored twice comes twice."""
        raise NotImplementedError

    def packs(self) -> list[PackInfo]:
        """All packs that an idx lists."""
        raise NotImplementedError

    def statistics(self) -> StoreStatistics:
        raise NotImplementedError

    # Writing --------------------------------------------------------------------------------

    def intend(self, what: str) -> Intent:
        """Register that this process is about to write (see intents.py). A context manager."""
        raise NotImplementedError

    def writer(self, intent: Intent) -> PackWriter:
        """A session that stores chunks; `intent` must outlive what publishes them. A context manager."""
        raise NotImplementedError

    # Upkeep ---------------------------------------------------------------------------------

    def verify(self, progress: Progress = SILENT, *, decode: bool = True) -> list[Damage]:
        """Check every byte of every pack and idx; with `decode` also that each chunk decodes to its name."""
        raise NotImplementedError

    def rebuild_idx(self, progress: Progress = SILENT) -> list[Damage]:
        """Write one new idx over all packs, from the packs alone, in place of those that stand.

        What is damaged is left out and returned.
        """
        raise NotImplementedError

    def begin_sweep(self, *, grace_seconds: float, tmp_grace_seconds: float = 3600.0) -> Cutoff:
        """The first step of gc: to be called BEFORE reading refs, stage and reflogs for what is live."""
        raise NotImplementedError

    def remove_unreachable(
        self,
        live: Container[bytes],
        cutoff: Cutoff,
        *,
        dry_run: bool = False,
        prune_now: bool = False,
        progress: Progress = SILENT,
    ) -> SweepResult:
        """The second step of gc: remove chunks that are neither `live` nor bases of live ones, nor too young.

        A pack with live and dead chunks is rewritten only where that frees a fair share of it, or
        with `prune_now`. Crash-safe: new packs and idx are durable before old ones go. Also
        collects what crashed writers left in `tmp/`, and indexes packs that no idx lists.
        """
        raise NotImplementedError

    def repack(self, reencode: Reencoder, *, names: Sequence[bytes] | None = None, progress: Progress = SILENT) -> SweepResult:
        """Store chunks anew as `reencode` says, where that is smaller, and remove the packs they lay in."""
        raise NotImplementedError
