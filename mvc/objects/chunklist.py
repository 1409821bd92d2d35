"""Chunk lists: the binary form of a long row of chunks, itself stored as a chunk. docs/format/manifest.md.

Layout: `mvclist1`, the count (u32, little-endian), then all names (32 bytes each), then all raw
sizes (u32 each). In columns, for the sizes are nearly always equal and then cost nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from mvc.errors import ParseError, UsageError
from mvc.objects.manifest import LIST_ENTRIES, MAX_CHUNK, ChunkRef, Manifest, ManifestSegment

MAGIC = b"mvclist1"
_HEAD = 12
_ROW = 36


def dump(chunks: Sequence[ChunkRef]) -> bytes:
    """The binary form of 1 to LIST_ENTRIES chunks. Raises UsageError for any other number."""
    count = len(chunks)
    if not 0 < count <= LIST_ENTRIES:
        raise UsageError(f"a chunk list holds 1 to {LIST_ENTRIES} chunks, not {count}")
    names = b"".join([chunk.name for chunk in chunks])
    if len(names) != 32 * count or not all(0 < chunk.size <= MAX_CHUNK for chunk in chunks):
        raise UsageError("a chunk list holds names of 32 bytes and sizes of 32 bits")
    return MAGIC + struct.pack("<I", count) + names + struct.pack(f"<{count}I", *[chunk.size for chunk in chunks])


def parse(data: bytes) -> list[ChunkRef]:
    """The chunks of a list. Raises ParseError."""
    if len(data) < _HEAD or data[:8] != MAGIC:
        raise ParseError("this is not a chunk list")
    (count,) = struct.unpack_from("<I", data, 8)
    if not 0 < count <= LIST_ENTRIES or len(data) != _HEAD + _ROW * count:
        raise ParseError(f"a chunk list of {len(data)} bytes cannot hold {count} chunks")
    sizes = struct.unpack_from(f"<{count}I", data, _HEAD + 32 * count)
    if 0 in sizes:
        raise ParseError("a chunk list names an empty chunk")
    starts = range(_HEAD, _HEAD + 32 * count, 32)
    return [ChunkRef(data[at : at + 32], size) for at, size in zip(starts, sizes, strict=True)]


def split(chunks: Sequence[ChunkRef]) -> Iterator[Sequence[ChunkRef]]:
    """Cut a segment's chunks into the rows that become lists: at fixed multiples of LIST_ENTRIES."""
    for at in range(0, len(chunks), LIST_ENTRIES):
        yield chunks[at : at + LIST_ENTRIES]


def chunks_of(segment: ManifestSegment, read_list: Callable[[bytes], bytes]) -> Iterator[ChunkRef]:
    """All chunks of a segment in order; `read_list` reads a list's chunk by name, one list at a time.

    Raises ParseError if a list does not hold the count and length that the manifest says.
    """
    yield from segment.chunks
    for ref in segment.lists:
        chunks = parse(read_list(ref.name))
        if len(chunks) != ref.count or sum(chunk.size for chunk in chunks) != ref.length:
            raise ParseError(f"chunk list {ref.name.hex()} does not hold what its manifest says")
        yield from chunks


def names(manifest: Manifest, read_list: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The name of every chunk that a manifest needs, lists included (before what they name). May repeat."""
    for segment in manifest.segments:
        for ref in segment.lists:
            yield ref.name
        for chunk in chunks_of(segment, read_list):
            yield chunk.name
