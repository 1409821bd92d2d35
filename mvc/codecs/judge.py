"""Choosing a scheme for a chunk from a sample of its elements."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from struct import unpack

from mvc.codecs import engine
from mvc.codecs.base import Base, Buffer
from mvc.codecs.dtypes import Kind
from mvc.codecs.scheme import CAST_BF16, CAST_F16, DELTA, ROTATE, Scheme, plane_size

WINDOWS = 8
"""A sample is so many windows, spread over the chunk."""

_WINDOW = 512
"""Elements of a window, where their width is known."""

_BYTE = 8 * 4096
"""The engine reckons in 1/4096 bits; this is a byte."""

_WORTH_PACKING = 0.99
"""A plane is packed if its sample takes less than this share of itself."""

_WORTH_GROUPS = 0.01, 0.9
"""Elements are put in groups if the delta takes a share of the chunk between these."""

_SETTLED = 0.05
"""A delta that takes less than this share is taken without a look at the chunk by itself."""

_QUANTILES = (0.1, 0.3, 0.6)
"""Where the four groups of elements are cut, by the size of what they are predicted from: measured best."""

_EXPONENT_SHIFT = {1: 1, 2: 1, 4: 1, 8: 4}
"""By width: the shift that brings a float's exponent (of FP64 its lower bits) to the highest byte."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A scheme, its base (an index), the hints for its planes, and what it takes of the sample.

    `costs`: each plane's cost as the engine reckons; `share`: stored bytes to raw bytes.
    """

    scheme: Scheme
    base: int | None
    hints: bytes
    costs: tuple[int, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Windows of a chunk of floats, as one run of bytes."""

    dtype: str
    kind: Kind
    windows: tuple[tuple[int, int], ...]
    data: bytes


def sample_of(raw: Buffer, dtype: str, kind: Kind) -> Sample:
    """A sample of a chunk that holds one element or more."""
    windows = windows_of(len(raw), _WINDOW * kind.width, kind.width)
    return Sample(dtype, kind, windows, take(raw, windows))


def windows_of(size: int, span: int, unit: int) -> tuple[tuple[int, int], ...]:
    """(begin, end) of WINDOWS windows of `span` bytes that begin at multiples of `unit`; of a small chunk, all of it.

    `span` is a multiple of `unit`, and so is each window's length.
    """
    if size <= WINDOWS * span:
        return ((0, size // unit * unit),)
    last = (size - span) // unit
    starts = (last * k // (WINDOWS - 1) * unit for k in range(WINDOWS))
    return tuple((start, start + span) for start in starts)


def take(raw: Buffer, windows: Sequence[tuple[int, int]], scale: int = 1) -> bytes:
    """The windows of `raw` in a row; what lies past its end is zero. `scale`: 2 for FP32 beside 16 bits."""
    joined = b"".join([raw[begin * scale : end * scale] for begin, end in windows])
    if len(joined) == scale * sum(end - begin for begin, end in windows):
        return joined
    padded = (bytes(raw[begin * scale : end * scale]).ljust((end - begin) * scale, b"\0") for begin, end in windows)
    return b"".join(padded)


def judge(sample: Sample, bases: Sequence[Base]) -> Verdict:
    """The best scheme for the chunk that `sample` is from."""
    predicted = (judge_base(sample, base, index) for index, base in enumerate(bases))
    best = min((verdict for verdict in predicted if verdict is not None), key=_share, default=None)
    if best is not None and best.share < _SETTLED:
        return best
    alone = judge_scheme(sample.data, Scheme(ROTATE, sample.kind.width))
    return alone if best is None or alone.share <= best.share else best


def judge_base(sample: Sample, base: Base, index: int) -> Verdict | None:
    """The best scheme with that base; None if the base does not fit the dtype."""
    if base.kind == "same":
        transform, scale = DELTA, 1
    elif sample.dtype in ("BF16", "F16"):
        transform, scale = CAST_BF16 if sample.dtype == "BF16" else CAST_F16, 2
    else:
        return None
    predicted = take(base.raw, sample.windows, scale)
    scheme = Scheme(transform, sample.kind.width)
    in_place = judge_scheme(sample.data, scheme, predicted, index)
    if not _WORTH_GROUPS[0] < in_place.share < _WORTH_GROUPS[1]:
        return in_place
    order = _order_of(predicted, scheme, len(sample.data) // scheme.width)
    if not order:
        return in_place
    in_groups = judge_scheme(sample.data, replace(scheme, order=order), predicted, index)
    return min(in_place, in_groups, key=_share)


def judge_scheme(sample: Buffer, scheme: Scheme, predicted: Buffer | None = None, base: int | None = None) -> Verdict:
    """What a scheme takes of a sample; with a base, its lowest byte is split as is best."""
    width = scheme.width
    scratch = engine.scratch(len(sample))
    costs = engine.engine.costs(sample, predicted, scheme.transform, width, scheme.order, scratch)
    splits = (costs[:1], costs[width : width + 2], costs[width + 2 : width + 5])
    low = 0 if base is None else min(range(len(splits)), key=lambda k: sum(splits[k]))
    scheme = replace(scheme, low=low)
    planes = (*splits[low], *costs[1:width])
    elements = len(sample) // width
    sizes = (plane_size(elements, bits) for bits in scheme.plane_bits())
    hints = bytes(cost < _WORTH_PACKING * _BYTE * size for cost, size in zip(planes, sizes, strict=True))
    return Verdict(scheme, base, hints, planes, sum(planes) / _BYTE / len(sample))


def _share(verdict: Verdict) -> float:
    return verdict.share


def _order_of(predicted: bytes, scheme: Scheme, elements: int) -> bytes:
    """The order that cuts the elements at the quantiles of what they are predicted from; empty if it cannot."""
    shift = _EXPONENT_SHIFT[scheme.width]
    scratch = engine.scratch(len(predicted))
    counts = engine.engine.keys(predicted, scheme.transform, scheme.width, shift, elements, scratch)
    seen = list(accumulate(unpack("<256I", counts)))
    thresholds: list[int] = []
    for quantile in _QUANTILES:
        key = bisect_right(seen, quantile * elements)
        thresholds.append(max(key, thresholds[-1] + 1 if thresholds else 1))
    return bytes((shift, *thresholds)) if thresholds[-1] < 256 else b""
