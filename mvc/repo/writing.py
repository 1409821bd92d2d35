"""Writing files into the worktree from blobs and chunks, on all processors."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from mvc.errors import IntegrityError, Locked, Refused
from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment, parse
from mvc.objects.model import TreeItem
from mvc.objects.paths import check_path
from mvc.progress import SILENT, Progress
from mvc.repo.bringing import bring
from mvc.repo.chunks import open_chunks
from mvc.repo.place import PlacedFile, Placer
from mvc.repo.repository import Repository
from mvc.repo.stage import StageEntry, Stat
from mvc.repo.standing import StandingFile, standing_file
from mvc.repo.tensors import file_chunks, read_chunk
from mvc.repo.weighing import room_for, weigh
from mvc.settings import PIECE
from mvc.store.chunkstore import ChunkStore
from mvc.store.records import Buffer


class Written(NamedTuple):
    """A file that was written: its stat, its size in bytes, and its BLAKE3 if it is chunked."""

    stat: Stat
    size: int
    blake3: bytes | None


def write_items(
    repo: Repository,
    items: Mapping[str, TreeItem | None],
    *,
    standing: Callable[[str], StageEntry | None] | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Written]:
    """Make the worktree hold these items (None removes); returns what was written, by path.

    What stands at a path is replaced, so the caller has looked before; `force` also takes away a
    link or file that is where a folder is needed. `standing` is what the stage says of the paths: chunks that a
    file shares with the one it replaces, and bases, are read from that. Raises NoSpace before anything is written,
    MissingObject or IntegrityError naming the file, UnsafePath for a path that must not be.
    """
    blobs = {path: item for path, item in items.items() if item is not None}
    for path in blobs:
        check_path(path)
    remove_leftovers(repo, blobs)
    worktree, gone = repo.require_worktree(), [path for path, item in items.items() if item is None]
    contents = weigh(repo, blobs)
    room = room_for(worktree, contents, gone)
    chunked = [path for path, content in contents.items() if content.blake3 is not None]
    if (repo.missing_chunks is not None or repo.streamed is not None) and chunked:
        bring(repo, [blobs[path] for path in sorted(chunked)])
        room = room_for(worktree, contents, gone)  # the chunks lie on the same disk, as a rule
    stats: dict[str, Stat] = {}
    progress.begin("writing", sum(content.size for content in contents.values()))
    try:
        with Placer(worktree, force=force, roomy=room.roomy) as placer:
            for path in gone:
                placer.remove(path)
            for path, item in blobs.items():
                content = contents[path]
                if content.blake3 is None:
                    data = content.data if content.data is not None else repo.objects.blob(item.id)
                    stats[path] = placer.small(path, data, item.mode)
                    progress.advance(len(data))
            if chunked:
                writer = _ChunkWriter(repo, placer, standing, room.at_once, progress)
                stats.update(writer.run({path: blobs[path] for path in chunked}))
                writer.settle()
    finally:
        progress.end()
    return {path: Written(stat, contents[path].size, contents[path].blake3) for path, stat in stats.items()}


def remove_leftovers(repo: Repository, paths: Iterable[str]) -> None:
    """Remove what killed runs left beside these paths. First of all, for it may be large."""
    with Placer(repo.require_worktree()) as placer:
        for folder in {path.rpartition("/")[0] for path in paths}:
            placer.remove_leftovers(folder)


class _ChunkWriter:
    """Decodes chunks in worker threads and writes each at its offset. Chunks in flight are bounded."""

    def __init__(
        self,
        repo: Repository,
        placer: Placer,
        standing: Callable[[str], StageEntry | None] | None,
        at_once: int,
        progress: Progress,
    ) -> None:
        self._repo, self._placer, self._at_once, self._progress = repo, placer, at_once, progress
        self._standing = standing
        self._buffers: list[bytearray] = []
        self._chunks = open_chunks(repo)
        self._window = max(repo.settings.store.window, 4)
        self._room = threading.Semaphore(self._window)

    def settle(self) -> None:
        """What came from a remote and was read whole is the repository's own from now on."""
        with suppress(OSError, Refused, Locked):  # it can be read where it lies; gc and fsck try again
            self._chunks.settle(read=True)

    def run(self, items: Mapping[str, TreeItem]) -> dict[str, Stat]:
        stats: dict[str, Stat] = {}
        threads = self._repo.settings.store.threads or os.cpu_count() or 1
        with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
            waiting: list[_Writing] = []
            try:
                for path, item in items.items():
                    waiting.append(self._start(pool, path, item))
                    if len(waiting) >= self._at_once:
                        self._finish(stats, waiting.pop(0))
                while waiting:
                    self._finish(stats, waiting.pop(0))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                for file in waiting:
                    file.discard()
                raise
        return stats

    def _start(self, pool: ThreadPoolExecutor, path: str, item: TreeItem) -> _Writing:
        manifest = _manifest(self._repo, path, item)
        entry = self._standing(path) if self._standing is not None else None
        old = entry and standing_file(self._repo, self._placer, self._chunks, entry, self._window)
        try:
            file = self._placer.begin(path, item.mode, manifest.size, reading=old is not None)
        except BaseException:
            if old is not None:
                old.close()
            raise
        writing = _Writing(path, file, old)
        try:
            for offset, ref, segment in file_chunks(self._chunks, manifest):
                self._room.acquire()
                if old is not None:
                    old.reach(offset)
                writing.futures.append(pool.submit(self._write, writing, offset, ref, segment))
                if len(writing.futures) > 4096:
                    writing.futures = _unfinished(writing.futures)
        except BaseException:
            wait(writing.futures)
            writing.discard()
            raise
        return writing

    def _write(self, writing: _Writing, offset: int, ref: ChunkRef, segment: ManifestSegment) -> None:
        try:
            with _Reading(self._chunks, writing.old, self._buffers, ref.size) as source:
                writing.file.pwrite(read_chunk(source, ref, segment, writing.path), offset)
        finally:
            self._room.release()
        self._progress.advance(ref.size)

    def _finish(self, stats: dict[str, Stat], writing: _Writing) -> None:
        with writing.file:
            wait(writing.futures)
            # Before the old file loses its name: else closing it would be to wait until its blocks are free.
            writing.close_old()
            for future in writing.futures:
                future.result()
            stats[writing.path] = writing.file.commit()


@dataclass(slots=True)
class _Writing:
    """A file under way, and the one that it is to replace if that is of use."""

    path: str
    file: PlacedFile
    old: StandingFile | None
    futures: list[Future[None]] = field(default_factory=list)

    def close_old(self) -> None:
        if self.old is not None:
            self.old.close()
            self.old = None

    def discard(self) -> None:
        """Give it up. No thread may be writing it any more."""
        self.close_old()
        self.file.discard()


class _Reading:
    """Reads one chunk of a file, helped by the file that stands. What was read is done with at the block's end.

    It goes into buffers of PIECE bytes that are used again: new memory for each chunk costs as much as reading it.
    """

    def __init__(self, chunks: ChunkStore, old: StandingFile | None, free: list[bytearray], size: int) -> None:
        self._chunks, self._old, self._free, self._size = chunks, old, free, size
        self._taken: list[bytearray] = []

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *exc: object) -> None:
        self._free.extend(self._taken)

    def read(self, name: bytes) -> Buffer:
        """As the store's."""
        return self._chunks.read(name, out=self._blank(self._size), nearby=self._nearby if self._old else None)

    def _nearby(self, name: bytes) -> Buffer | None:
        return self._old.read(name, self._blank) if self._old is not None else None

    def _blank(self, size: int) -> memoryview | None:
        if size > PIECE:
            return None
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = bytearray(PIECE)
        self._taken.append(buffer)
        return memoryview(buffer)[:size]


def _unfinished(futures: list[Future[None]]) -> list[Future[None]]:
    """Those that are still to end, so that the list does not grow with the file; raises what one has failed with."""
    left: list[Future[None]] = []
    for future in futures:
        if future.done():  # asked once: one that fails later must stay in the list
            future.result()
        else:
            left.append(future)
    return left


def _manifest(repo: Repository, path: str, item: TreeItem) -> Manifest:
    manifest = parse(repo.objects.blob(item.id))
    if sum(segment.length for segment in manifest.segments) != manifest.size:
        raise IntegrityError(f"the manifest of '{path}' does not add up", hint="mvc fsck")
    return manifest
