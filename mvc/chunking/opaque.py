"""Content-defined cuts (FastCDC) for bytes of no known structure, streaming."""

from __future__ import annotations

from collections.abc import Iterator

from mvc.formats.base import ReadAt


def cut_opaque(read_at: ReadAt, offset: int, length: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of each chunk of the `length` bytes from `offset`. Reads them once, in windows."""
    raise NotImplementedError


def read_opaque(read_at: ReadAt, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of each chunk: as `cut_opaque`, but hands over what it read, so that nothing is read twice.

    Raises FileChanged when the file ends too early.
    """
    raise NotImplementedError
