"""Pieces of a file, gathered to so many bytes as are asked of a remote at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mvc.objects.manifest import ChunkRef, ManifestSegment

WINDOW = 4 * 1024 * 1024
"""Raw bytes that one thread reads at a time; they and their bases are in memory."""
Piece = tuple[int, ChunkRef, ManifestSegment]
"""Offset in the file in bytes, the chunk, its segment."""


def windows(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Runs of pieces, each of WINDOW bytes or just above, but for the last."""
    window: list[Piece] = []
    size = 0
    for piece in pieces:
        window.append(piece)
        size += piece[1].size
        if size >= WINDOW:
            yield window
            window, size = [], 0
    if window:
        yield window
