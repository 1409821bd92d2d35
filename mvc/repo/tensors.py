"""Reading tensors of a chunked file, and only their chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mvc.errors import IntegrityError, MvcError, NotFound
from mvc.formats.base import Tensor
from mvc.objects.chunklist import chunks_of
from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment
from mvc.store.records import Location

Buffer = bytes | bytearray | memoryview


class ChunkReader(Protocol):
    """Where chunks are read."""

    def read(self, name: bytes) -> Buffer: ...


class ChunkSource(ChunkReader, Protocol):
    """Where chunks are found and read: a ChunkStore, or a PackWriter that also sees its own session."""

    def find(self, name: bytes) -> Location | None: ...

    def ensure(self, names: Iterable[bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class TensorData:
    """A tensor's declaration and its bytes, little-endian as they stand in the file."""

    tensor: Tensor
    data: bytes


def chunk_refs(chunks: ChunkSource, segment: ManifestSegment) -> tuple[ChunkRef, ...]:
    """All chunks of a segment in order, its lists read. Raises IntegrityError for a list that lies."""
    if not segment.lists:
        return segment.chunks
    chunks.ensure(ref.name for ref in segment.lists)
    return tuple(chunks_of(segment, lambda name: bytes(chunks.read(name))))


def file_chunks(chunks: ChunkReader, manifest: Manifest) -> Iterator[tuple[int, ChunkRef, ManifestSegment]]:
    """(offset in the file, chunk, its segment) for all of a file, in order. One list is held at a time."""
    offset = 0
    for segment in manifest.segments:
        for ref in segment.chunks or chunks_of(segment, lambda name: bytes(chunks.read(name))):
            yield offset, ref, segment
            offset += ref.size


def find_segment(manifest: Manifest, name: str) -> ManifestSegment:
    """The segment of the tensor called `name`. Raises NotFound, with names that are near as hint."""
    for segment in manifest.segments:
        if segment.tensor is not None and segment.tensor.name == name:
            return segment
    raise NotFound(f"no tensor '{name}' in this file", hint=_near(manifest, name))


def read_tensor(chunks: ChunkSource, manifest: Manifest, name: str) -> TensorData:
    """One tensor, reading its chunks alone. Raises NotFound, MissingObject, IntegrityError."""
    segment = find_segment(manifest, name)
    assert segment.tensor is not None  # find_segment returns tensors only
    return TensorData(segment.tensor, read_segment(chunks, segment))


def read_segment(chunks: ChunkSource, segment: ManifestSegment) -> bytes:
    """The bytes of a segment, `segment.length` of them."""
    refs = chunk_refs(chunks, segment)
    chunks.ensure(ref.name for ref in refs)
    data = b"".join(read_chunk(chunks, ref, segment) for ref in refs)
    if len(data) != segment.length:
        raise IntegrityError(f"a segment of {segment.length} bytes has chunks of {len(data)}", hint="mvc fsck")
    return data


def read_chunk(chunks: ChunkReader, ref: ChunkRef, segment: ManifestSegment, path: str = "") -> Buffer:
    """A chunk of a file; an error names the file and the tensor that it touches."""
    try:
        data = chunks.read(ref.name)
    except MvcError as error:
        where = f"{path}: " if path else ""
        if segment.tensor is not None:
            where += f"tensor '{segment.tensor.name}': "
        raise type(error)(where + error.message, hint=error.hint) from error
    if len(data) != ref.size:
        raise IntegrityError(
            f"{path}: chunk {ref.name.hex()} has {len(data)} bytes, the manifest says {ref.size}", hint="mvc fsck"
        )
    return data


def _near(manifest: Manifest, name: str) -> str | None:
    names = [s.tensor.name for s in manifest.segments if s.tensor is not None]
    tail = name.rsplit(".", 1)[0]
    near = [known for known in names if known.endswith("." + name) or known.startswith(tail)][:3]
    return f"did you mean {', '.join(near)}?" if near else None
