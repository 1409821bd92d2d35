"""Where a file is cut into chunks. The rules are specified in docs/format/chunking.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.formats.base import Layout, ReadAt, SegmentKind, Tensor

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

    Raises ParseError when the layout does not cover `size` bytes exactly.
    """
    raise NotImplementedError


def pieces(segment: PlannedSegment, read_at: ReadAt) -> Iterator[tuple[int, int]]:
    """(offset, length) of each chunk of a segment, in order. Reads only when the segment is not `fixed`."""
    raise NotImplementedError
