"""From pieces of files to chunks in the store, on all processors, with a bounded number of bytes in flight."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from mvc.codecs.encode import Precedent, encode
from mvc.codecs.nonfinite import count_nonfinite
from mvc.errors import IntegrityError
from mvc.hashing import ChunkNamer
from mvc.objects.manifest import ChunkRef
from mvc.repo.bases import ResolvedBase, TensorBase, resolve
from mvc.settings import PIECE, StoreSettings
from mvc.store.writer import PackWriter

Buffer = bytes | bytearray | memoryview

_SLAB = 8 * PIECE
_AHEAD = 12
"""Pieces in flight for each worker, at the most: of more, none is found in the processor's cache any longer."""


@dataclass(slots=True)
class SegmentChunks:
    """What becomes of one segment: its chunks in order, and what was counted as they passed."""

    dtype: str | None
    base: TensorBase | None
    refs: list[ChunkRef | None] = field(default_factory=list)
    nan: int | None = None
    inf: int | None = None
    fresh: int = 0
    """Raw bytes of chunks that the store did not have."""
    stored: int = 0
    """Bytes that those took."""
    precedent: Precedent = field(default_factory=Precedent)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a file on its way to being chunk number `index` of `segment`. `release` gives its buffer back."""

    segment: SegmentChunks
    index: int
    raw: Buffer
    release: Callable[[], None] | None = None


def _slab() -> memoryview:
    """Memory for some buffers; in huge pages where the system has them: each byte is passed over six times."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(bytearray(_SLAB))
    # Private: what is shared has no huge pages, and a process that is forked off would write into it.
    memory = mmap.mmap(-1, _SLAB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


class BufferPool:
    """Reusable buffers of PIECE bytes, and a budget for all bytes in flight: `take` and `claim` block."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._free: list[memoryview] = []
        self._changed = threading.Condition()

    def take(self) -> memoryview:
        """A buffer of PIECE bytes, whose content is arbitrary: that which was used last, if there is one."""
        self.claim(PIECE)
        with self._changed:
            if not self._free:
                slab = _slab()
                self._free += [slab[at : at + PIECE] for at in range(0, len(slab), PIECE)]
            return self._free.pop()

    def give_back(self, buffer: memoryview) -> None:
        with self._changed:
            self._free.append(buffer)
        self.unclaim(PIECE)

    def claim(self, size: int) -> None:
        with self._changed:
            while self._left < size:
                self._changed.wait()
            self._left -= size

    def unclaim(self, size: int) -> None:
        with self._changed:
            self._left += size
            self._changed.notify()


class ChunkEncoder:
    """Names, encodes and stores pieces in worker threads. Leave the `with` block before sealing."""

    def __init__(self, writer: PackWriter, namer: ChunkNamer, settings: StoreSettings) -> None:
        self._writer = writer
        self._namer = namer
        self._settings = settings
        threads = settings.threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._room = threading.local()
        self.buffers = BufferPool(max(min(settings.window, _AHEAD * threads), 4) * PIECE)
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def __enter__(self) -> ChunkEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)

    @property
    def source(self) -> PackWriter:
        """Where bases are found and read."""
        return self._writer

    @property
    def delta_depth(self) -> int:
        """The longest chain of deltas that is written."""
        return self._settings.delta_depth

    def submit(self, pieces: list[Piece]) -> Future[None]:
        """Store these; the future ends when each has its name in its segment's `refs`."""
        return self._pool.submit(self._run, pieces)

    def wait(self, futures: list[Future[None]]) -> None:
        """Until these have ended. Raises what went wrong first: what fails after it only says that it did."""
        for future in futures:
            try:
                future.result()
            except BaseException as error:
                raise self._failure or error from None

    def store_plain(self, raw: bytes) -> bytes:
        """Store bytes that are no part of a file (a chunk list), at once; returns their name."""
        name = self._namer(raw)
        if self._writer.begin(name):
            encoded = encode(raw, None, zstd_level=self._settings.zstd_level)
            self._writer.add(name, encoded, raw_size=len(raw))
        return name

    def _run(self, pieces: list[Piece]) -> None:
        for number, piece in enumerate(pieces):
            try:
                self._store(piece)
            except BaseException as error:
                with self._lock:
                    self._failure = self._failure or error
                # Whoever waits for a buffer must not wait for ever: the error surfaces at the future.
                for left in pieces[number + 1 :]:
                    if left.release is not None:
                        left.release()
                raise
            finally:
                if piece.release is not None:
                    piece.release()

    def _store(self, piece: Piece) -> None:
        segment, raw = piece.segment, piece.raw
        name = self._namer(raw)
        counts = count_nonfinite(raw, segment.dtype) if segment.dtype else None
        fresh = stored = 0
        if self._writer.begin(name):
            fresh, stored = len(raw), self._encode(name, piece)
        with self._lock:
            segment.refs[piece.index] = ChunkRef(name, len(raw))
            segment.fresh += fresh
            segment.stored += stored
            if counts is not None:
                segment.nan = (segment.nan or 0) + counts[0]
                segment.inf = (segment.inf or 0) + counts[1]

    def _base(self, piece: Piece) -> ResolvedBase | None:
        base, limit = piece.segment.base, self._settings.delta_depth
        if base is None or not limit:
            return None
        try:
            return resolve(self._writer, base, piece.index, limit, self._base_room())
        except IntegrityError:
            return None  # a damaged base is fsck's business: what is added now must not depend on it

    def _base_room(self) -> memoryview:
        """This thread's memory for one base."""
        room: memoryview | None = getattr(self._room, "memory", None)
        if room is None:
            room = self._room.memory = memoryview(bytearray(2 * PIECE))
        return room

    def _encode(self, name: bytes, piece: Piece) -> int:
        resolved = self._base(piece)
        bases = (resolved.base,) if resolved is not None else ()
        segment = piece.segment
        encoded = encode(
            piece.raw, segment.dtype, bases, zstd_level=self._settings.zstd_level, precedent=segment.precedent
        )
        if resolved is None or encoded.base is None:
            self._writer.add(name, encoded, raw_size=len(piece.raw))
        elif self._writer.adopt(resolved.names, resolved.depth):
            # A base from the shared store was copied: what is added here must be read without that.
            self._writer.add(name, encoded, raw_size=len(piece.raw), bases=resolved.names, depth=resolved.depth)
        else:
            encoded = encode(piece.raw, segment.dtype, (), zstd_level=self._settings.zstd_level)
            self._writer.add(name, encoded, raw_size=len(piece.raw))
        return encoded.size
