from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.chunking.plan import RULES, PlannedSegment, pieces, plan
from mvc.errors import ParseError
from mvc.formats.base import Layout, Segment, SegmentKind, Tensor
from mvc.formats.cover import cover
from mvc.settings import PIECE

KINDS: list[SegmentKind] = ["header", "opaque", "tensor"]


def planned_pieces(layout: Layout | None, data: bytes) -> list[tuple[int, int]]:
    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return [piece for segment in plan(layout, len(data)) for piece in pieces(segment, read_at)]


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Segment], int]:
    """Segments that do not overlap, in any order, and the size of their file."""
    found, position = [], 0
    for number in range(draw(st.integers(0, 6))):
        position += draw(st.sampled_from([0, 1, 50_000]))
        length = draw(st.sampled_from([0, 1, 16_384, 70_000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE]))
        kind = draw(st.sampled_from(KINDS))
        tensor = Tensor(f"t{number}", "U8", (length,)) if kind == "tensor" else None
        found.append(Segment(kind, position, length, tensor))
        position += length
    return draw(st.permutations(found)), position + draw(st.sampled_from([0, 3, 300_000]))


@given(runs())
def test_the_plan_covers_the_file_exactly(case: tuple[list[Segment], int]) -> None:
    segments, size = case
    layout = cover("test", size, segments)
    data = np.random.default_rng(size).bytes(size)
    position = 0
    for offset, length in planned_pieces(layout, data):
        assert offset == position
        assert 0 < length <= PIECE
        position += length
    assert position == size
    tensors = {segment.tensor: segment for segment in plan(layout, size) if segment.tensor is not None}
    for segment in segments:
        if segment.tensor is not None:
            assert (tensors[segment.tensor].offset, tensors[segment.tensor].length) == (segment.offset, segment.length)


def test_a_tensor_is_cut_from_its_own_start() -> None:
    length = 2 * PIECE + 5
    layout = Layout("test", (Segment("header", 0, 7), Segment("tensor", 7, length, Tensor("w", "U8", (length,)))))
    assert planned_pieces(layout, bytes(7 + length)) == [(0, 7), (7, PIECE), (7 + PIECE, PIECE), (7 + 2 * PIECE, 5)]


def test_a_file_of_no_known_format_is_one_opaque_segment() -> None:
    assert list(plan(None, 10)) == [PlannedSegment("opaque", 0, 10, None, fixed=False)]
    assert list(plan(None, 0)) == []
    assert RULES == "1"


W = Tensor("w", "U8", (4,))


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param((), id="nothing"),
        pytest.param((Segment("header", 0, 9),), id="short"),
        pytest.param((Segment("header", 0, 11),), id="long"),
        pytest.param((Segment("header", 0, 4), Segment("opaque", 5, 5)), id="gap"),
        pytest.param((Segment("header", 0, 6), Segment("opaque", 5, 5)), id="overlap"),
        pytest.param((Segment("opaque", 5, 5), Segment("header", 0, 5)), id="order"),
        pytest.param((Segment("header", 0, 12), Segment("opaque", 12, -2)), id="negative"),
        pytest.param((Segment("tensor", 0, 10),), id="no-tensor"),
        pytest.param((Segment("opaque", 0, 10, W),), id="tensor-of-another-kind"),
    ],
)
def test_a_layout_that_does_not_cover_the_file_is_refused(segments: tuple[Segment, ...]) -> None:
    with pytest.raises(ParseError):
        plan(Layout("test", segments), 10)


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param([Segment("tensor", 0, 4, W), Segment("tensor", 4, 4, W)], id="duplicate-names"),
        pytest.param([Segment("tensor", -1, 4, W)], id="negative-offset"),
        pytest.param([Segment("tensor", 7, 4, W)], id="past-the-end"),
        pytest.param([Segment("tensor", 2, 4, W), Segment("header", 0, 3)], id="overlap"),
        pytest.param([Segment("tensor", 2, -1, W)], id="negative-length"),
        pytest.param([Segment("tensor", 0, 4, Tensor("w", "U8", (-4,)))], id="negative-shape"),
        pytest.param([Segment("tensor", 0, 4, Tensor("w", "U 8", (4,)))], id="odd-dtype"),
    ],
)
def test_segments_that_cannot_be_are_refused(segments: list[Segment]) -> None:
    with pytest.raises(ParseError):
        cover("test", 10, segments)
