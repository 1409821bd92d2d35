"""Manifests: the text that stands in a Git blob for a file that is chunked. docs/format/manifest.md specifies it."""

from __future__ import annotations

from dataclasses import dataclass

from mvc.formats.base import SegmentKind, Tensor

MAGIC = b"mvc-manifest 1\n"
"""The first line. A blob that begins with `MAGIC_PREFIX` is always a manifest."""

MAGIC_PREFIX = b"mvc-manifest "

MAX_INLINE = 64
"""A segment of more chunks than this refers to chunk lists."""

LIST_ENTRIES = 16384
"""A chunk list holds at most so many chunks; all lists of a segment but the last hold exactly so many."""


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk: its name (32 bytes) and its raw size in bytes."""

    name: bytes
    size: int


@dataclass(frozen=True, slots=True)
class ListRef:
    """A chunk list, itself a chunk: its name, its own raw size, how many chunks it names and the bytes they make."""

    name: bytes
    size: int
    count: int
    length: int


@dataclass(frozen=True, slots=True)
class ManifestSegment:
    """A run of the file: `chunks` in order, or (for more than MAX_INLINE) `lists` that name them.

    `nan` and `inf`: how many values are NaN or infinite, None where they were not counted.
    """

    kind: SegmentKind
    length: int
    tensor: Tensor | None = None
    chunks: tuple[ChunkRef, ...] = ()
    lists: tuple[ListRef, ...] = ()
    nan: int | None = None
    inf: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A chunked file: its size in bytes, the plain BLAKE3 of all of it (32 bytes), format, cut rules, segments."""

    size: int
    blake3: bytes
    format: str
    rules: str
    segments: tuple[ManifestSegment, ...]


def is_manifest(blob: bytes) -> bool:
    """Whether a blob's content is a manifest (a symbolic link's never is: ask by mode first)."""
    return blob.startswith(MAGIC_PREFIX)


def dump(manifest: Manifest) -> bytes:
    """The text form; equal manifests have equal texts."""
    raise NotImplementedError


def parse(blob: bytes) -> Manifest:
    """A manifest from its text. Never trusts it: raises ParseError (with the line) unless all lengths add up,
    UnsupportedFormat for a newer version."""
    raise NotImplementedError


def identity(blob: bytes) -> tuple[int, bytes]:
    """(size, blake3) alone, from the first lines: what `status`, `diff` and `merge` compare."""
    raise NotImplementedError
