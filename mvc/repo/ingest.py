"""Files into the repository: small ones as Git blobs, any other as chunks and a manifest.

One thread reads a file from front to back, hashes the whole of it and cuts it; worker threads name,
encode and store the pieces (`mvc.repo.encoding`). The next file is read while the last pieces of
the one before are still being encoded.
"""

from __future__ import annotations

import os
import stat as st
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mvc.errors import FileChanged, NotFound, Refused, UnsafePath
from mvc.hashing import chunk_namer
from mvc.objects.batch import ObjectBatch
from mvc.objects.manifest import is_manifest
from mvc.objects.model import EXEC, FILE, LINK, TreeItem
from mvc.progress import SILENT, Progress
from mvc.repo.candidates import BaseFinder
from mvc.repo.encoding import Buffer, ChunkEncoder
from mvc.repo.fileread import FileReading, read_file
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.sourcefiles import Further, NamedFiles, SourceFiles, Surroundings
from mvc.settings import SMALL_FILE
from mvc.store.writer import PackWriter

_ATTEMPTS = 3

Seen = Callable[[str, Buffer], object]
"""Told a chunked file's path and bytes, in order, as they are stored; anew from its beginning if it changed meanwhile
(its source was then asked to open it again)."""


class Ingested(NamedTuple):
    """A file that is in the repository now. `blake3` is None where the blob `id` is the file itself.

    (A NamedTuple, for 100,000 of them are made in an `add`.)
    """

    path: str
    mode: int
    id: str
    size: int
    blake3: bytes | None
    stat: os.stat_result
    fresh: int = 0
    """Raw bytes of its chunks that were not stored before."""
    stored: int = 0
    """Bytes that those take."""


def ingest(
    repo: Repository,
    writer: PackWriter,
    batch: ObjectBatch,
    paths: Sequence[str],
    *,
    standing: Mapping[str, TreeItem],
    progress: Progress = SILENT,
) -> list[Ingested]:
    """Store files of the worktree; returns them in the order of `paths`.

    `standing` is what the stage or the parent commit holds: an equal file keeps its manifest, and
    a changed one is coded against it. The chunks are durable on return; the batch is not sealed.
    Raises NotFound for a path that is gone, Refused for one that is no file, FileChanged for one
    that another process keeps writing to.
    """
    with Placer(repo.require_worktree()) as placer:
        return _ingest(repo, writer, batch, paths, placer, standing, progress)


def ingest_files(
    repo: Repository,
    writer: PackWriter,
    batch: ObjectBatch,
    files: Mapping[str, Path],
    *,
    standing: Mapping[str, TreeItem],
    further: Further | None = None,
    progress: Progress = SILENT,
) -> list[Ingested]:
    """As `ingest`, for files anywhere on the disk, by the tree path that each is to have.

    `further` are files beside them that may say where their tensors lie.
    """
    return _ingest(repo, writer, batch, list(files), NamedFiles(files), standing, progress, further)


def ingest_large(
    repo: Repository,
    writer: PackWriter,
    batch: ObjectBatch,
    paths: Sequence[str],
    files: SourceFiles,
    *,
    standing: Mapping[str, TreeItem],
    seen: Seen,
    progress: Progress = SILENT,
) -> list[Ingested]:
    """Chunk files that may come from anywhere, in this order. Nothing is flushed: the caller does, and seals the batch.

    `standing` may name manifests that are only in the batch so far.
    """
    session = _Session(repo, writer, batch, files, standing, Surroundings(files), progress, seen)
    done = session.run(paths)
    return [done[path] for path in paths]


def _ingest(
    repo: Repository,
    writer: PackWriter,
    batch: ObjectBatch,
    paths: Sequence[str],
    files: SourceFiles,
    standing: Mapping[str, TreeItem],
    progress: Progress,
    further: Further | None = None,
) -> list[Ingested]:
    done: dict[str, Ingested] = {}
    large: list[tuple[int, str]] = []
    links: set[str] = set()
    total = 0
    for path in paths:
        found = _stat(files, path)
        total += found.st_size
        if st.S_ISLNK(found.st_mode):
            links.add(path)
        elif found.st_size > SMALL_FILE:
            large.append((-found.st_size, path))
    # Large ones first: all processors stay busy to the end, and FP32 is there before what was cast from it.
    order = [path for _, path in sorted(large)]
    pending = set(order)
    progress.begin("adding", total)
    try:
        for path in paths:
            if path not in pending:
                small = _link(batch, files, path) if path in links else _small(batch, files, path)
                if small is None:
                    order.append(path)
                else:
                    done[path] = small
                    progress.advance(small.size)
        if order:
            around = Surroundings(files, further)
            session = _Session(repo, writer, batch, files, standing, around, progress)
            done.update(session.run(order))
        writer.flush()
    finally:
        progress.end()
    return [done[path] for path in paths]


class _Session:
    """The chunked files of one call: read one after the other, finished as their chunks get done."""

    def __init__(
        self,
        repo: Repository,
        writer: PackWriter,
        batch: ObjectBatch,
        files: SourceFiles,
        standing: Mapping[str, TreeItem],
        around: Surroundings,
        progress: Progress,
        seen: Seen | None = None,
    ) -> None:
        self._repo, self._writer, self._batch, self._seen = repo, writer, batch, seen
        self._files, self._standing, self._around, self._progress = files, standing, around, progress
        self._finder = BaseFinder(repo, writer, standing, batch.reader)
        self._done: dict[str, Ingested] = {}

    def run(self, paths: Iterable[str]) -> dict[str, Ingested]:
        settings = self._repo.settings.store
        with ChunkEncoder(self._writer, chunk_namer(settings.naming), settings) as encoder:
            open_files: list[FileReading] = []
            for path in paths:
                reading = self._read(path, encoder, open_files)
                open_files.append(reading)
                if len(open_files) > 4:
                    self._finish(open_files.pop(0), encoder)
            for reading in open_files:
                self._finish(reading, encoder)
        return self._done

    def _read(self, path: str, encoder: ChunkEncoder, open_files: list[FileReading]) -> FileReading:
        """Read one file to its end; again if it changed meanwhile."""
        for _ in range(_ATTEMPTS):
            with self._files.open_file(path) as file:
                before = file.stat()
                if not st.S_ISREG(before.st_mode):
                    raise Refused(f"'{path}' is neither a file nor a link", hint="add it to .mvcignore")

                def settle(names: set[str]) -> None:
                    # A file that names the same tensors may be the base of this one: its chunks must stand first.
                    for other in [o for o in open_files if o.tensor_keys & names]:
                        open_files.remove(other)
                        self._finish(other, encoder)

                beside, seen = self._around.of(path), partial(self._seen, path) if self._seen else None
                reading = read_file(path, file, before, encoder, self._finder, beside, settle, self._progress, seen)
                after = file.stat()
            if reading is not None and (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                return reading
            if reading is not None:
                reading.wait(encoder)
        raise FileChanged(
            f"'{path}' keeps changing while it is read", hint="wait until it is written, then add it again"
        )

    def _finish(self, reading: FileReading, encoder: ChunkEncoder) -> None:
        manifest = reading.manifest(encoder)
        self._finder.add(manifest)
        self._done[reading.path] = Ingested(
            path=reading.path,
            mode=_mode(reading.stat),
            id=reading.keep_or_write(manifest, self._standing.get(reading.path), self._batch),
            size=manifest.size,
            blake3=manifest.blake3,
            stat=reading.stat,
            fresh=reading.fresh,
            stored=reading.stored,
        )


def _link(batch: ObjectBatch, files: SourceFiles, path: str) -> Ingested | None:
    """A link; or what stands there now instead."""
    found = _stat(files, path)
    if not st.S_ISLNK(found.st_mode):
        return _small(batch, files, path)
    target = files.readlink(path)
    return Ingested(path, LINK, batch.blob(target), len(target), None, found)


def _small(batch: ObjectBatch, files: SourceFiles, path: str) -> Ingested | None:
    """A file that is a Git blob; None for one that must be chunked after all.

    A hundred thousand of them are no rarity, so five system calls each: open, stat, read, stat, close.
    """
    for _ in range(_ATTEMPTS):
        try:
            fd, before = files.open_known(path)
        except UnsafePath:
            if st.S_ISLNK(_stat(files, path).st_mode):  # it became one just now
                return _link(batch, files, path)
            raise
        try:
            if not st.S_ISREG(before.st_mode):
                raise Refused(f"'{path}' is neither a file nor a link", hint="add it to .mvcignore")
            size = before.st_size
            if size > SMALL_FILE:
                return None
            data = os.read(fd, size)
            while len(data) < size and (more := os.read(fd, size - len(data))):
                data += more
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if len(data) == size == after.st_size and before.st_mtime_ns == after.st_mtime_ns:
            return None if is_manifest(data) else Ingested(path, _mode(after), batch.blob(data), size, None, after)
    raise FileChanged(f"'{path}' keeps changing while it is read", hint="wait until it is written, then add it again")


def _stat(files: SourceFiles, path: str) -> os.stat_result:
    found = files.lstat(path)
    if found is None:
        raise NotFound(f"'{path}' is not there")
    return found


def _mode(found: os.stat_result) -> int:
    return EXEC if found.st_mode & 0o100 else FILE
