"""The manifest of bytes that are not chunked: cut and named as `add` would, so that equal tensors have equal names."""

from __future__ import annotations

from collections.abc import Callable

from mvc.chunking.plan import RULES, PlannedSegment, pieces, plan
from mvc.codecs.nonfinite import count_nonfinite
from mvc.errors import FileChanged, ParseError
from mvc.formats.base import ReadAt
from mvc.formats.beside import Beside
from mvc.formats.registry import detect
from mvc.hashing import ChunkNamer
from mvc.objects import chunklist
from mvc.objects.manifest import MAX_INLINE, ChunkRef, ListRef, Manifest, ManifestSegment
from mvc.progress import SILENT, Progress
from mvc.settings import SMALL_FILE

Seen = Callable[[bytes, int, int], object]
"""Called with each chunk's name, offset in the file and length."""
Listed = Callable[[bytes, bytes], object]
"""Called with each list's name and bytes."""

NOT_HASHED = bytes(32)
"""In place of the BLAKE3 of a whole file, which is not computed here."""


def describe(
    path: str,
    size: int,
    read_at: ReadAt,
    name: ChunkNamer,
    beside: Beside | None = None,
    *,
    seen: Seen = lambda *_: None,
    listed: Listed = lambda *_: None,
    progress: Progress = SILENT,
) -> Manifest:
    """What `add` would write for a file of `size` bytes, but for its BLAKE3 and the counts of NaN.

    Of a small file they are there: it is kept as a blob, so this is its only manifest.
    Reads all of it, once. Raises FileChanged if there are fewer bytes.
    """
    try:
        layout = detect(read_at, size, path, beside)
    except ParseError:
        layout = None

    small = size <= SMALL_FILE

    def segment(planned: PlannedSegment) -> ManifestSegment:
        refs = []
        counts: tuple[int | None, int | None] = None, None
        for offset, length in pieces(planned, read_at):
            data = read_at(offset, length)
            if len(data) != length:
                raise FileChanged(f"'{path}' changed while it was read")
            refs.append(ChunkRef(name(data), length))
            if small and planned.tensor is not None and (found := count_nonfinite(data, planned.tensor.dtype)):
                counts = (counts[0] or 0) + found[0], (counts[1] or 0) + found[1]
            seen(refs[-1].name, offset, length)
            progress.advance(length)
        if len(refs) <= MAX_INLINE:
            return ManifestSegment(planned.kind, planned.length, planned.tensor, tuple(refs), (), *counts)
        lists = []
        for row in chunklist.split(refs):
            raw = chunklist.dump(row)
            lists.append(ListRef(name(raw), len(raw), len(row), sum(ref.size for ref in row)))
            listed(lists[-1].name, raw)
        return ManifestSegment(planned.kind, planned.length, planned.tensor, (), tuple(lists), *counts)

    segments = tuple(segment(planned) for planned in plan(layout, size))
    return Manifest(size, NOT_HASHED, layout.format if layout else "opaque", RULES, segments)


def describe_blob(path: str, blob: bytes, name: ChunkNamer, *, seen: Seen = lambda *_: None) -> Manifest:
    """The same for a small file that is kept as it is."""

    def read_at(offset: int, length: int, /) -> bytes:
        return blob[offset : offset + length]

    return describe(path, len(blob), read_at, name, seen=seen)
