"""Reading one file into pieces, and its manifest once they are stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from mvc.chunking.plan import RULES, PlannedSegment, pieces, plan
from mvc.errors import FileChanged, ParseError
from mvc.formats.base import Layout
from mvc.formats.beside import Beside
from mvc.formats.registry import detect
from mvc.hashing import FileHasher
from mvc.objects import chunklist
from mvc.objects.batch import ObjectBatch
from mvc.objects.manifest import MAX_INLINE, ChunkRef, ListRef, Manifest, ManifestSegment, dump, identity, is_manifest
from mvc.objects.model import TreeItem
from mvc.progress import Progress
from mvc.repo.bases import Option, Wanted, assign
from mvc.repo.candidates import BaseFinder
from mvc.repo.encoding import Buffer, ChunkEncoder, Piece, SegmentChunks
from mvc.repo.sourcefiles import Opened
from mvc.repo.tensornames import name_keys
from mvc.settings import PIECE

_BATCH = PIECE
_MAX_BATCHED = 256


@dataclass(slots=True)
class FileReading:
    """A file that has been read to its end, while its pieces may still be on their way."""

    path: str
    stat: os.stat_result
    format: str
    blake3: bytes = b""
    planned: list[PlannedSegment] = field(default_factory=list)
    segments: list[SegmentChunks] = field(default_factory=list)
    futures: list[Future[None]] = field(default_factory=list)
    tensor_keys: frozenset[str] = frozenset()

    def wait(self, encoder: ChunkEncoder) -> None:
        """Until all pieces are stored; raises what went wrong with one."""
        encoder.wait(self.futures)
        self.futures.clear()

    def manifest(self, encoder: ChunkEncoder) -> Manifest:
        """The file's manifest, with long rows of chunks stored as lists."""
        self.wait(encoder)
        made = tuple(_segment(one, two, encoder) for one, two in zip(self.planned, self.segments, strict=True))
        return Manifest(self.stat.st_size, self.blake3, self.format, RULES, made)

    def keep_or_write(self, manifest: Manifest, standing: TreeItem | None, batch: ObjectBatch) -> str:
        """The blob of the manifest: that which stands when it is of the same file, whatever rules wrote it."""
        if standing is not None and batch.reader.contains(standing.id):
            blob = batch.reader.raw(standing.id)[1]
            if is_manifest(blob) and identity(blob) == (manifest.size, manifest.blake3):
                return standing.id
        return batch.blob(dump(manifest))

    @property
    def fresh(self) -> int:
        return sum(segment.fresh for segment in self.segments)

    @property
    def stored(self) -> int:
        return sum(segment.stored for segment in self.segments)


def read_file(
    path: str,
    file: Opened,
    found: os.stat_result,
    encoder: ChunkEncoder,
    finder: BaseFinder,
    beside: Beside,
    settle: Callable[[set[str]], None],
    progress: Progress,
    seen: Callable[[Buffer], object] | None = None,
) -> FileReading | None:
    """Cut a file, and hand its pieces to the encoder; None if it ended before the size it had at first.

    `settle` is told the names of the file's tensors before bases are looked for; `seen` all of its bytes, in order,
    as they are stored.
    """
    layout = _layout(path, file, found.st_size, beside, progress)
    planned = list(plan(layout, found.st_size))
    wanted = [Wanted(s.tensor, s.offset, s.length) for s in planned if s.tensor is not None and s.length]
    keys = frozenset(key for item in wanted for key in name_keys(item.tensor.name)[:1])
    settle(set(keys))
    options = finder.options(path, wanted, file.read_at, encoder.delta_depth)
    reading = FileReading(path, found, layout.format if layout else "opaque", tensor_keys=keys)
    batches = _Batches(encoder, reading, progress)
    try:
        whole = _cut(planned, options, file, batches, seen)
    except FileChanged:  # content-defined chunking met the end of the file before it was due
        whole = False
    batches.send()
    if not whole:
        reading.wait(encoder)
        return None
    return reading


def _cut(
    planned: Sequence[PlannedSegment],
    options: list[Option],
    file: Opened,
    batches: _Batches,
    seen: Callable[[Buffer], object] | None,
) -> bool:
    """Read a file from front to back; False if it ends too early."""
    reading, encoder = batches.reading, batches.encoder
    hasher, window = FileHasher(), _Window(file)
    for segment in planned:
        chunks = _begin(segment, options, encoder)
        reading.planned.append(segment)
        reading.segments.append(chunks)
        for offset, length in pieces(segment, window.read_at):
            piece = _read_piece(file, window, chunks, offset, length, encoder)
            hasher.update(piece.raw)
            if seen is not None:
                seen(piece.raw)
            batches.add(piece)
            if len(piece.raw) != length:
                return False
    reading.blake3 = hasher.digest()
    return True


class _Batches:
    """Pieces on their way to the encoder. Small ones travel together: handing one over costs some 30 microseconds."""

    def __init__(self, encoder: ChunkEncoder, reading: FileReading, progress: Progress) -> None:
        self.encoder = encoder
        self.reading = reading
        self._progress = progress
        self._pieces: list[Piece] = []
        self._size = 0

    def add(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._size += len(piece.raw)
        if self._size >= _BATCH or len(self._pieces) >= _MAX_BATCHED:
            self.send()

    def send(self) -> None:
        """Hand over what has gathered."""
        if self._pieces:
            self.reading.futures.append(self.encoder.submit(self._pieces))
            self._progress.advance(self._size)
        self._pieces, self._size = [], 0


class _Window:
    """Reads ahead for content-defined chunking, so that a chunk is a view of what has been read already."""

    def __init__(self, file: Opened) -> None:
        self._file = file
        self._offset = 0
        self._data = b""

    def read_at(self, offset: int, length: int) -> bytes:
        data = self._file.read_at(offset, length)
        self._offset, self._data = offset, data
        return data

    def view(self, offset: int, length: int) -> memoryview | None:
        """These bytes, if the last read brought them."""
        start = offset - self._offset
        if start >= 0 and start + length <= len(self._data):
            return memoryview(self._data)[start : start + length]
        return None


def _read_piece(
    file: Opened, window: _Window, chunks: SegmentChunks, offset: int, length: int, encoder: ChunkEncoder
) -> Piece:
    index = len(chunks.refs)
    chunks.refs.append(None)
    buffers = encoder.buffers
    if length == PIECE:
        buffer = buffers.take()
        count = file.read_into(offset, memoryview(buffer))
        raw: Buffer = buffer if count == length else bytes(buffer[:count])
        return Piece(chunks, index, raw, lambda: buffers.give_back(buffer))
    buffers.claim(length)
    view = window.view(offset, length)
    return Piece(chunks, index, file.read_at(offset, length) if view is None else view, lambda: buffers.unclaim(length))


def _layout(path: str, file: Opened, size: int, beside: Beside, progress: Progress) -> Layout | None:
    try:
        return detect(file.read_at, size, path, beside)
    except ParseError as error:
        progress.warn(f"'{path}' is not what it claims to be ({error.message}): stored as opaque bytes")
        return None


def _begin(segment: PlannedSegment, options: list[Option], encoder: ChunkEncoder) -> SegmentChunks:
    tensor = segment.tensor
    if tensor is None:
        return SegmentChunks(None, None)
    return SegmentChunks(tensor.dtype, assign(options, tensor, encoder.source))


def _segment(planned: PlannedSegment, chunks: SegmentChunks, encoder: ChunkEncoder) -> ManifestSegment:
    refs = tuple(_named(chunks.refs))
    lists: tuple[ListRef, ...] = ()
    if len(refs) > MAX_INLINE:
        lists = tuple(_list(row, encoder) for row in chunklist.split(refs))
        refs = ()
    return ManifestSegment(planned.kind, planned.length, planned.tensor, refs, lists, chunks.nan, chunks.inf)


def _named(refs: list[ChunkRef | None]) -> Iterator[ChunkRef]:
    for ref in refs:
        if ref is None:
            raise AssertionError("a piece has no chunk though its future has ended")
        yield ref


def _list(row: Sequence[ChunkRef], encoder: ChunkEncoder) -> ListRef:
    raw = chunklist.dump(row)
    return ListRef(encoder.store_plain(raw), len(raw), len(row), sum(ref.size for ref in row))
