"""Chunks of worktree files that nobody has stored: what `diff` compares before `add`.

A file is read and hashed once, nothing is written. It is cut by the same rules as `add` cuts it,
so a tensor that did not change has the names of its stored chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mvc.chunking.plan import RULES, PlannedSegment, pieces, plan
from mvc.errors import FileChanged, ParseError
from mvc.formats.registry import detect
from mvc.fsio import RandomFile
from mvc.hashing import ChunkNamer, chunk_namer
from mvc.objects import chunklist
from mvc.objects.manifest import MAX_INLINE, ChunkRef, ListRef, Manifest, ManifestSegment
from mvc.progress import SILENT, Progress
from mvc.repo.place import Placer
from mvc.repo.repository import Repository
from mvc.repo.sourcefiles import Surroundings
from mvc.repo.tensors import ChunkSource
from mvc.store.records import Location

Buffer = bytes | bytearray | memoryview

NOT_HASHED = bytes(32)
"""In place of the BLAKE3 of a whole file, which is not computed here."""


class _Spot(NamedTuple):
    path: str
    offset: int
    size: int


class UnstoredChunks:
    """A source of chunks: those of worktree files that went through `manifest`, all others from the store.

    Use it as a context manager. The store is opened when it is first needed.
    """

    def __init__(self, repo: Repository, store: Callable[[], ChunkSource]) -> None:
        self._placer = Placer(repo.require_worktree())
        self._around = Surroundings(self._placer)
        self._name: ChunkNamer = chunk_namer(repo.settings.store.naming)
        self._open_store = store
        self._store: ChunkSource | None = None
        self._spots: dict[bytes, _Spot] = {}
        self._lists: dict[bytes, bytes] = {}

    def __enter__(self) -> UnstoredChunks:
        return self

    def __exit__(self, *exc: object) -> None:
        self._placer.__exit__(*exc)

    def manifest(self, path: str, progress: Progress = SILENT) -> Manifest:
        """The manifest that `add` would write for a file, but for its BLAKE3 and the counts of NaN.

        Raises FileChanged if the file gets shorter meanwhile.
        """
        with RandomFile(path, fd=self._placer.open_read(path)) as file:
            size = file.stat().st_size
            try:
                layout = detect(file.read_at, size, path, self._around.of(path))
            except ParseError:
                layout = None
            segments = tuple(self._segment(path, file, segment, progress) for segment in plan(layout, size))
        return Manifest(size, NOT_HASHED, layout.format if layout else "opaque", RULES, segments)

    def find(self, name: bytes) -> Location | None:
        """Where the store has it."""
        return self._stored().find(name)

    def read(self, name: bytes) -> Buffer:
        """The chunk's bytes. Raises FileChanged if the worktree's file was written to meanwhile."""
        if (listed := self._lists.get(name)) is not None:
            return listed
        spot = self._spots.get(name)
        if spot is None:
            return self._stored().read(name)
        with RandomFile(spot.path, fd=self._placer.open_read(spot.path)) as file:
            data = file.read_at(spot.offset, spot.size)
        if self._name(data) != name:
            raise FileChanged(f"'{spot.path}' changed while it was read")
        return data

    def ensure(self, names: Iterable[bytes]) -> None:
        """Have the store bring those that it is asked for and lacks."""
        self._stored().ensure(name for name in names if name not in self._spots and name not in self._lists)

    def _segment(self, path: str, file: RandomFile, segment: PlannedSegment, progress: Progress) -> ManifestSegment:
        refs = []
        for offset, length in pieces(segment, file.read_at):
            data = file.read_at(offset, length)
            if len(data) != length:
                raise FileChanged(f"'{path}' changed while it was read")
            name = self._name(data)
            self._spots.setdefault(name, _Spot(path, offset, length))
            refs.append(ChunkRef(name, length))
            progress.advance(length)
        if len(refs) <= MAX_INLINE:
            return ManifestSegment(segment.kind, segment.length, segment.tensor, tuple(refs))
        lists = tuple(self._list(row) for row in chunklist.split(refs))
        return ManifestSegment(segment.kind, segment.length, segment.tensor, (), lists)

    def _list(self, row: Sequence[ChunkRef]) -> ListRef:
        raw = chunklist.dump(row)
        name = self._name(raw)
        self._lists[name] = raw
        return ListRef(name, len(raw), len(row), sum(ref.size for ref in row))

    def _stored(self) -> ChunkSource:
        if self._store is None:
            self._store = self._open_store()
        return self._store
