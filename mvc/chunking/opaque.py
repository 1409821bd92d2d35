"""Content-defined cuts for bytes of no known structure, streaming.

FastCDC: W. Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based
Storage Systems", IEEE TPDS 2020, as `pyfastcdc` implements it (two bytes a step, normalised
chunking of level 2). The parameters and what they were measured on: docs/format/chunking.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mvc.errors import FileChanged
from mvc.formats.base import ReadAt
from mvc.lazy import load

MINIMUM = 16 * 1024
AVERAGE = 64 * 1024
MAXIMUM = 256 * 1024
NORMALISATION = 2

WINDOW = 4 * 1024 * 1024
"""Bytes that are held at once. The cuts do not depend on it."""

_CUTTER = "pyfastcdc:FastCDC"
"""Loaded at the first need: a model whose header is one chunk does without (importing it takes 40 ms)."""


def cut_opaque(read_at: ReadAt, offset: int, length: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of each chunk of the `length` bytes from `offset`, in order.

    Reads them once, in windows; at most MINIMUM bytes are one chunk and are not read at all.
    Raises FileChanged when the file ends too early.
    """
    if length <= MINIMUM:
        if length:
            yield offset, length
        return
    for start, data in _chunks(read_at, offset, length):
        yield start, len(data)


def _chunks(read_at: ReadAt, offset: int, length: int) -> Iterator[tuple[int, memoryview]]:
    """The chunks as views of the window they were found in."""
    cutter: Any = load(_CUTTER)(AVERAGE, min_size=MINIMUM, max_size=MAXIMUM, normalized_chunking=NORMALISATION)
    start, end = offset, offset + length
    while start < end:
        window = _read(read_at, start, min(WINDOW, end - start))
        whole = start + len(window) == end
        base = start
        for chunk in cutter.cut_buf(window):
            # Where a chunk ends depends on its own MAXIMUM first bytes alone: one that might have
            # gone on behind the window is found again at the start of the next.
            if not whole and len(window) - chunk.offset < MAXIMUM:
                break
            yield base + chunk.offset, chunk.data
            start = base + chunk.offset + chunk.length


def _read(read_at: ReadAt, offset: int, length: int) -> bytes:
    data = read_at(offset, length)
    if len(data) != length:
        raise FileChanged(f"the file ended at byte {offset + len(data)}, {length - len(data)} too early")
    return data
