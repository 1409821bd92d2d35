"""Chunk lists: the binary form of a long row of chunks, itself stored as a chunk. docs/format/manifest.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mvc.objects.manifest import ChunkRef, Manifest, ManifestSegment


def dump(chunks: Sequence[ChunkRef]) -> bytes:
    """The binary form of at most LIST_ENTRIES chunks."""
    raise NotImplementedError


def parse(data: bytes) -> list[ChunkRef]:
    """The chunks of a list. Raises ParseError."""
    raise NotImplementedError


def split(chunks: Sequence[ChunkRef]) -> Iterator[Sequence[ChunkRef]]:
    """Cut a segment's chunks into the rows that become lists: at fixed multiples of LIST_ENTRIES."""
    raise NotImplementedError


def chunks_of(segment: ManifestSegment, read_list: Callable[[bytes], bytes]) -> Iterator[ChunkRef]:
    """All chunks of a segment in order; `read_list` reads a list's chunk by name. Raises ParseError if a list
    does not hold the count and length that the manifest says."""
    raise NotImplementedError


def names(manifest: Manifest, read_list: Callable[[bytes], bytes]) -> Iterable[bytes]:
    """Every chunk that a manifest needs, lists included."""
    raise NotImplementedError
