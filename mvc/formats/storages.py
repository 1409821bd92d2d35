"""How the tensors that view one storage divide its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvc.errors import ParseError
from mvc.formats.base import Segment, Tensor
from mvc.formats.dtypes import BITS, elements
from mvc.formats.pickles import View


@dataclass(frozen=True, slots=True)
class _Span:
    """The bytes of a storage from the first to behind the last element of a view."""

    start: int
    end: int
    dense: bool
    tensor: Tensor


def storage_runs(offset: int, size: int, views: Sequence[tuple[str, View]]) -> list[Segment]:
    """The segments of a storage of `size` bytes from `offset` of the file, viewed by `views` in that order.

    Views that are dense and do not overlap are a segment each. Two of the same bytes (tied weights)
    are one, named by the first. Otherwise (strided, transposed or overlapping views) the whole storage is one
    tensor of one dimension, named by the first view: the shape must not promise an order that the bytes do not have.

    Raises ParseError when a view reaches outside of the storage.
    """
    spans = [_span(name, view, size) for name, view in views]
    if size == 0:
        return [Segment("tensor", offset, 0, span.tensor) for span in spans]
    filled = [span for span in spans if span.end > span.start]
    apart = _apart(filled)
    if apart is not None:
        return [Segment("tensor", offset + span.start, span.end - span.start, span.tensor) for span in apart]
    first = filled[0]
    if first.dense and (first.start, first.end) == (0, size):
        return [Segment("tensor", offset, size, first.tensor)]
    count, rest = divmod(size * 8, BITS[first.tensor.dtype])
    if rest:
        return []
    return [Segment("tensor", offset, size, Tensor(first.tensor.name, first.tensor.dtype, (count,)))]


def _span(name: str, view: View, size: int) -> _Span:
    item = BITS[view.dtype] // 8
    start = end = view.offset * item
    if elements(view.shape):
        last = sum((dimension - 1) * stride for dimension, stride in zip(view.shape, view.strides, strict=True))
        end = start + (last + 1) * item
    if end > size and end > start:
        raise ParseError(f"PyTorch: {name[:80]!r} reaches to byte {end} of a storage of {size}")
    return _Span(start, end, _is_dense(view), Tensor(name, view.dtype, view.shape))


def _is_dense(view: View) -> bool:
    """Whether the elements follow each other in the order of the shape, the last dimension fastest."""
    step = 1
    for dimension, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if dimension != 1 and stride != step:
            return False
        step *= dimension
    return True


def _apart(spans: Sequence[_Span]) -> list[_Span] | None:
    """The spans without repeats, in order, if all are dense and none overlaps another; else None."""
    first_of: dict[tuple[int, int], _Span] = {}
    for span in spans:
        if not span.dense:
            return None
        first_of.setdefault((span.start, span.end), span)
    ordered = [first_of[key] for key in sorted(first_of)]
    position = 0
    for span in ordered:
        if span.start < position:
            return None
        position = span.end
    return ordered
