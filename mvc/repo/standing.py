"""The file that is being replaced helps to write the one that takes its place.

What a checkout writes is, as a rule, a small difference from what stands in the worktree: that holds the chunks
which stayed, and the bases of those that changed, decoded already. Reading them there saves finding, reading and
decoding them in the store: a quarter of the processor's time on a fine-tune that follows its base.

Nothing rests on it. What comes from here is a guess: the reader holds the chunk that it makes of it against its
name, and where that does not match it reads the store (mvc.store.reading).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from mvc.errors import MissingObject, MvcError
from mvc.objects.manifest import ChunkRef, ManifestSegment, is_manifest, parse
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.stage import StageEntry, stat_of
from mvc.repo.tensors import file_chunks
from mvc.settings import PIECE
from mvc.store.chunkstore import ChunkStore
from mvc.store.records import Buffer

_REACH = 16 * 1024**3
"""Bytes before and behind the place that is being written within which chunks are known: tensors move a bit."""
_MOST = 65_536
"""Chunks that are known at once, some 10 MB."""
_MARGIN = 16 * PIECE
_STEP = 8 * PIECE


class StandingFile:
    """Where the chunks of a file that stands in the worktree lie. `reach` by one thread; `read` from any."""

    def __init__(self, fd: int, chunks: Iterator[tuple[int, ChunkRef, ManifestSegment]], window: int) -> None:
        """`window`: chunks that may be under way at once."""
        self._fd = fd
        self._chunks = chunks
        self._behind = window * PIECE + _MARGIN
        self._ahead = 0
        self._dropped = 0
        self._places: dict[bytes, tuple[int, int]] = {}
        self._order: deque[tuple[int, bytes]] = deque()

    def read(self, name: bytes, blank: Callable[[int], memoryview | None]) -> Buffer | None:
        """Bytes that are likely the chunk's, in what `blank` gives for so many; or None."""
        place = self._places.get(name)
        if place is None:
            return None
        offset, size = place
        data = blank(size)
        try:
            if data is None or os.preadv(self._fd, [data], offset) != size:
                return None
        except OSError:
            return None
        return data

    def reach(self, offset: int) -> None:
        """What is asked for next is to be written at `offset`."""
        while self._ahead <= offset + _REACH and len(self._order) < _MOST:
            try:
                at, ref, _ = next(self._chunks)
            except (StopIteration, MvcError):
                break
            self._ahead = at + ref.size
            self._places[ref.name] = at, ref.size
            self._order.append((at, ref.name))
        while self._order and self._order[0][0] < offset - _REACH:
            at, name = self._order.popleft()
            if self._places.get(name, (-1, 0))[0] == at:
                del self._places[name]
        # Nobody will read it again, and the new file needs the memory: fresh memory may cost more than the write.
        done = offset - self._behind
        if done - self._dropped >= _STEP and hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(self._fd, self._dropped, done - self._dropped, os.POSIX_FADV_DONTNEED)
            self._dropped = done

    def close(self) -> None:
        """Nothing may be asked after this."""
        os.close(self._fd)


class _Present:
    """Chunk lists that are here. One that would have to be fetched is not worth it."""

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks

    def read(self, name: bytes) -> Buffer:
        if not self._chunks.has(name):
            raise MissingObject(f"chunk {name.hex()} is not here")
        return self._chunks.read(name)


def standing_file(
    repo: Repository, placer: Placer, chunks: ChunkStore, entry: StageEntry, window: int
) -> StandingFile | None:
    """The worktree's file, if it is chunked and looks as it did when the stage saw it. `window` as of StandingFile."""
    if entry.stat is None or not hasattr(os, "preadv"):
        return None
    try:
        fd, found = placer.open_known(entry.path)
    except (OSError, MvcError):
        return None
    try:
        if stat_of(found) == entry.stat and is_manifest(blob := repo.objects.blob(entry.id)):
            return StandingFile(fd, file_chunks(_Present(chunks), parse(blob)), window)
    except MvcError:
        pass
    os.close(fd)
    return None
