"""Where a file is cut into chunks. The rules are specified in docs/format/chunking.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.chunking.opaque import cut_opaque
from mvc.errors import ParseError
from mvc.formats.base import Layout, ReadAt, Segment, SegmentKind, Tensor
from mvc.settings import PIECE

RULES = "1"
"""The id of these rules; a manifest records it. Any change that moves a cut needs a new one."""


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """A segment and how it is cut: into pieces of PIECE bytes (`fixed`), or by its content.

    A segment of no bytes (a tensor with a zero in its shape) has no chunks.
    """

    kind: SegmentKind
    offset: int
    length: int
    tensor: Tensor | None
    fixed: bool


def plan(layout: Layout | None, size: int) -> Iterator[PlannedSegment]:
    """The segments of a file of `size` bytes, in order, covering it exactly. None: all opaque.

    Raises ParseError when the layout does not cover `size` bytes exactly; found before the first is given.
    """
    if layout is None:
        segments: tuple[Segment, ...] = (Segment("opaque", 0, size),) if size else ()
    else:
        segments = layout.segments
    _check(segments, size)
    return (_planned(segment) for segment in segments)


def pieces(segment: PlannedSegment, read_at: ReadAt) -> Iterator[tuple[int, int]]:
    """(offset, length) of each chunk of a segment, in order. Reads only when the segment is not `fixed`."""
    if not segment.fixed:
        yield from cut_opaque(read_at, segment.offset, segment.length)
        return
    end = segment.offset + segment.length
    for offset in range(segment.offset, end, PIECE):
        yield offset, min(PIECE, end - offset)


def _planned(segment: Segment) -> PlannedSegment:
    return PlannedSegment(segment.kind, segment.offset, segment.length, segment.tensor, fixed=segment.kind == "tensor")


def _check(segments: tuple[Segment, ...], size: int) -> None:
    """A last guard: a parser's mistake must never lose or repeat a byte of the user's."""
    position = 0
    for segment in segments:
        if (
            segment.offset != position
            or segment.length < 0
            or (segment.kind == "tensor") != (segment.tensor is not None)
        ):
            raise ParseError(f"the layout breaks at byte {position}")
        position += segment.length
    if position != size:
        raise ParseError(f"the layout covers {position} bytes of {size}")
