"""Files of a version as runs of verified bytes, the next chunks decoded while one is written. Bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mvc import fsio
from mvc.errors import IntegrityError
from mvc.objects.manifest import Manifest, identity, is_manifest, parse
from mvc.objects.model import TreeItem
from mvc.progress import Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.tensors import Buffer, file_chunks, read_chunk
from mvc.store.chunkstore import ChunkStore

_WINDOW = 16
"""Chunks decoded ahead."""
_BATCH = 4096
"""Chunks that are asked for at once, where they have to come from a remote."""


class Written(NamedTuple):
    """A content that stands on the disk: its digest, and its size in bytes."""

    digest: str
    size: int


class Contents:
    """Reads files of versions. Use it in a `with` block."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._store: ChunkStore | None = None
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="export")

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._store is not None:
            self._store.close()

    @property
    def store(self) -> ChunkStore:
        if self._store is None:
            self._store = open_chunks(self._repo)
        return self._store

    def blob(self, item: TreeItem) -> bytes:
        """The blob of a file: a small file itself, or a manifest."""
        return self._repo.objects.blob(item.id)

    def size(self, item: TreeItem) -> int:
        """Bytes of a file."""
        blob = self.blob(item)
        return identity(blob)[0] if is_manifest(blob) else len(blob)

    def pieces(self, item: TreeItem, path: str) -> Iterator[Buffer]:
        """The bytes of a file, in order. Raises MissingObject, IntegrityError naming `path`."""
        blob = self.blob(item)
        if not is_manifest(blob):
            yield blob
            return
        yield from self._chunks(parse(blob), path)

    def write(self, item: TreeItem, path: str, folder: Path, algorithm: str, progress: Progress) -> _Placed:
        """Begin a file in `folder`, and fill it; `place` gives it its name."""
        made = hashlib.new(algorithm, usedforsecurity=False)
        out = fsio.DurableFile(folder, mode=0o444)
        size = 0
        try:
            for piece in self.pieces(item, path):
                made.update(piece)
                out.write(piece)
                size += len(piece)
                progress.advance(len(piece))
        except BaseException:
            out.discard()
            raise
        return _Placed(out, Written(made.hexdigest(), size))

    def _chunks(self, manifest: Manifest, path: str) -> Iterator[Buffer]:
        store = self.store
        rows = file_chunks(store, manifest)
        waiting: deque[Future[Buffer]] = deque()
        total = 0
        while batch := [row for _, row in zip(range(_BATCH), rows, strict=False)]:
            store.ensure({ref.name for _, ref, _ in batch})
            for _, ref, segment in batch:
                waiting.append(self._pool.submit(read_chunk, store, ref, segment, path))
                if len(waiting) >= _WINDOW:
                    done = waiting.popleft().result()
                    total += len(done)
                    yield done
        while waiting:
            done = waiting.popleft().result()
            total += len(done)
            yield done
        if total != manifest.size:
            raise IntegrityError(f"'{path}' has {total} bytes of chunks, not {manifest.size}", hint="mvc fsck")


class _Placed:
    """A file that is written, and has no name yet."""

    def __init__(self, out: fsio.DurableFile, written: Written) -> None:
        self._out, self.written = out, written

    def place(self, target: Path) -> None:
        """Give it its name. What stands there is replaced; half of it never shows."""
        try:
            fsio.make_dirs(target.parent)
            self._out.commit(target)
        except BaseException:
            self._out.discard()
            raise

    def discard(self) -> None:
        self._out.discard()
