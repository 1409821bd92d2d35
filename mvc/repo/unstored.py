"""Chunks that are not in the store, of worktree files and of small files: what `diff` compares.

A file is read and hashed once, nothing is written. It is cut by the same rules as `add` cuts it,
so a tensor that did not change has the names of its stored chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mvc.errors import FileChanged
from mvc.fsio import RandomFile
from mvc.hashing import ChunkNamer, chunk_namer
from mvc.objects.manifest import Manifest
from mvc.progress import SILENT, Progress
from mvc.repo.described import describe, describe_blob
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.sourcefiles import Surroundings
from mvc.repo.tensors import ChunkSource
from mvc.store.records import Location

Buffer = bytes | bytearray | memoryview


class _Spot(NamedTuple):
    path: str
    offset: int
    size: int


class _Inside(NamedTuple):
    blob_id: str
    offset: int
    size: int


class UnstoredChunks:
    """A source of chunks: those of worktree files that went through `manifest`, and of small files that are Git
    blobs and went through `blob_manifest`; all others from the store.

    Use it as a context manager. The store is opened when it is first needed.
    """

    def __init__(self, repo: Repository, store: Callable[[], ChunkSource]) -> None:
        self._repo = repo
        self._worktree: tuple[Placer, Surroundings] | None = None
        self._name: ChunkNamer = chunk_namer(repo.settings.store.naming)
        self._open_store = store
        self._store: ChunkSource | None = None
        self._spots: dict[bytes, _Spot] = {}
        self._inside: dict[bytes, _Inside] = {}
        self._lists: dict[bytes, bytes] = {}

    def __enter__(self) -> UnstoredChunks:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._worktree is not None:
            self._worktree[0].__exit__(*exc)

    def manifest(self, path: str, progress: Progress = SILENT) -> Manifest:
        """The manifest that `add` would write for a file, but for its BLAKE3 and the counts of NaN.

        Raises FileChanged if the file gets shorter meanwhile.
        """

        def seen(name: bytes, offset: int, length: int) -> None:
            self._spots.setdefault(name, _Spot(path, offset, length))

        placer, around = self._files()
        with RandomFile(path, fd=placer.open_read(path)) as file:
            size, beside = file.stat().st_size, around.of(path)
            listed = self._lists.__setitem__
            return describe(path, size, file.read_at, self._name, beside, seen=seen, listed=listed, progress=progress)

    def blob_manifest(self, path: str, blob_id: str) -> Manifest:
        """The same for a small file that is stored as it is."""

        def seen(name: bytes, offset: int, length: int) -> None:
            self._inside.setdefault(name, _Inside(blob_id, offset, length))

        return describe_blob(path, self._repo.objects.blob(blob_id), self._name, seen=seen)

    def find(self, name: bytes) -> Location | None:
        """Where the store has it."""
        return self._stored().find(name)

    def read(self, name: bytes) -> Buffer:
        """The chunk's bytes. Raises FileChanged if the worktree's file was written to meanwhile."""
        if (listed := self._lists.get(name)) is not None:
            return listed
        if (inside := self._inside.get(name)) is not None:
            return self._repo.objects.blob(inside.blob_id)[inside.offset : inside.offset + inside.size]
        spot = self._spots.get(name)
        if spot is None:
            return self._stored().read(name)
        with RandomFile(spot.path, fd=self._files()[0].open_read(spot.path)) as file:
            data = file.read_at(spot.offset, spot.size)
        if self._name(data) != name:
            raise FileChanged(f"'{spot.path}' changed while it was read")
        return data

    def ensure(self, names: Iterable[bytes]) -> None:
        """Have the store bring those that it is asked for and lacks."""
        here = (self._inside, self._spots, self._lists)
        self._stored().ensure(name for name in names if not any(name in known for known in here))

    def _files(self) -> tuple[Placer, Surroundings]:
        if self._worktree is None:  # a bare repository has none
            placer = Placer(self._repo.require_worktree())
            self._worktree = placer, Surroundings(placer)
        return self._worktree

    def _stored(self) -> ChunkSource:
        if self._store is None:
            self._store = self._open_store()
        return self._store
