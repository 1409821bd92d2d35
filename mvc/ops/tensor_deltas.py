"""How far training moved each tensor: reads the changed ones alone, chunk by chunk, on all processors."""

from __future__ import annotations

import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from mvc.codecs.values import as_float
from mvc.formats.dtypes import BITS
from mvc.objects.manifest import ChunkRef, ManifestSegment
from mvc.ops.tensor_changes import TensorChange, TensorStatus
from mvc.progress import SILENT, Progress
from mvc.repo.tensornames import same_rows
from mvc.repo.tensors import ChunkSource, chunk_refs, read_chunk
from mvc.settings import PIECE

Floats = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class TensorDelta:
    """What became of one tensor's values, over the elements that both versions have and that are finite."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    """Elements that were compared."""
    changed: int
    """How many of them differ (a NaN equals a NaN)."""
    relative_norm: float
    """|new - old| / |old|, Frobenius norms; infinite where the old one is zero and the new one is not."""
    largest: float
    """The largest |new - old|."""
    cosine: float
    """Between old and new as vectors, -1 to 1; NaN where one is zero."""
    new_nan: int
    """Elements that are NaN now and were not."""

    @property
    def share(self) -> float:
        """The share of elements that changed, 0 to 1."""
        return self.changed / self.elements if self.elements else 0.0


@dataclass(slots=True)
class _Sums:
    elements: int = 0
    changed: int = 0
    new_nan: int = 0
    largest: float = 0.0
    old_square: float = 0.0
    new_square: float = 0.0
    step_square: float = 0.0

    def add(self, other: _Sums) -> None:
        self.elements += other.elements
        self.changed += other.changed
        self.new_nan += other.new_nan
        self.largest = max(self.largest, other.largest)
        self.old_square += other.old_square
        self.new_square += other.new_square
        self.step_square += other.step_square


_BLOCK = 32_768
"""Elements compared at a time: what is made of them stays in the processor's cache."""


def comparable(change: TensorChange) -> bool:
    """Whether a change has numbers: both versions exist, with the same trailing dimensions."""
    if change.old is None or change.new is None or change.status is TensorStatus.RENAMED:
        return False
    return same_rows(change.old, change.new)


def tensor_deltas(
    chunks: ChunkSource, changes: Sequence[TensorChange], *, threads: int = 0, progress: Progress = SILENT
) -> dict[str, TensorDelta]:
    """The figures of each change that is `comparable`, by the tensor's name. Raises MissingObject, IntegrityError."""
    pairs = [change for change in changes if comparable(change)]
    total = sum(change.new_segment.length for change in pairs if change.new_segment)
    progress.begin("comparing tensors", total)
    try:
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            return {
                change.name: delta for change in pairs if (delta := _delta(chunks, change, pool, progress)) is not None
            }
    finally:
        progress.end()


def _delta(
    chunks: ChunkSource, change: TensorChange, pool: ThreadPoolExecutor, progress: Progress
) -> TensorDelta | None:
    old, new = _Values.of(chunks, change.old_segment), _Values.of(chunks, change.new_segment)
    if old is None or new is None or change.new is None:
        return None
    count = min(old.elements, new.elements)
    step = PIECE // max(old.width, new.width)
    starts = range(0, count, step)

    def compare(start: int) -> _Sums:
        stop = min(start + step, count)
        sums = _compare(old, new, start, stop)
        progress.advance((stop - start) * new.width)
        return sums

    sums = _Sums()
    for part in pool.map(compare, starts):
        sums.add(part)
    return TensorDelta(
        name=change.new.name,
        dtype=change.new.dtype,
        shape=change.new.shape,
        elements=sums.elements,
        changed=sums.changed,
        relative_norm=_relative(sums),
        largest=sums.largest,
        cosine=_cosine(sums),
        new_nan=sums.new_nan,
    )


class _Values:
    """The elements of a stored tensor by number."""

    def __init__(self, chunks: ChunkSource, segment: ManifestSegment, dtype: str, width: int) -> None:
        self._chunks, self._segment, self._dtype = chunks, segment, dtype
        self.width = width
        self.elements = segment.length // width
        self._refs = chunk_refs(chunks, segment)
        self._starts = list(accumulate((ref.size for ref in self._refs), initial=0))

    @classmethod
    def of(cls, chunks: ChunkSource, segment: ManifestSegment | None) -> _Values | None:
        """None for a dtype whose elements are no numbers of a whole number of bytes."""
        if segment is None or segment.tensor is None:
            return None
        width, odd = divmod(BITS.get(segment.tensor.dtype, 1), 8)
        if odd or as_float(b"\0" * width, segment.tensor.dtype) is None:
            return None
        return cls(chunks, segment, segment.tensor.dtype, width)

    def names(self, start: int, stop: int) -> list[bytes]:
        return [ref.name for _, ref in self._spanning(start, stop)]

    def read(self, start: int, stop: int) -> Floats:
        """Elements `start` to `stop` as float64."""
        parts = []
        for offset, ref in self._spanning(start, stop):
            data = memoryview(read_chunk(self._chunks, ref, self._segment))
            parts.append(data[max(0, start * self.width - offset) : stop * self.width - offset])
        raw = parts[0] if len(parts) == 1 else b"".join(parts)
        values = as_float(raw, self._dtype)
        assert values is not None  # `of` has asked
        return values.astype(np.float64)

    def _spanning(self, start: int, stop: int) -> list[tuple[int, ChunkRef]]:
        first = bisect_right(self._starts, start * self.width) - 1
        last = bisect_left(self._starts, stop * self.width)
        return list(zip(self._starts[first:last], self._refs[first:last], strict=False))


def _compare(old: _Values, new: _Values, start: int, stop: int) -> _Sums:
    before = old.read(start, stop)
    if old.width == new.width and old.names(start, stop) == new.names(start, stop):
        finite = before[np.isfinite(before)]
        square = _square(finite)
        return _Sums(elements=stop - start, old_square=square, new_square=square)
    after = new.read(start, stop)
    sums = _Sums()
    with np.errstate(invalid="ignore", over="ignore"):
        for at in range(0, stop - start, _BLOCK):
            sums.add(_difference(before[at : at + _BLOCK], after[at : at + _BLOCK]))
    return sums


def _difference(before: Floats, after: Floats) -> _Sums:
    step = after - before
    square = _square(step)
    if not math.isfinite(square):  # a NaN or an infinite number is among them, or the sum is too large
        return _with_nonfinite(before, after, step)
    # Two numbers that differ have a difference: float64 is exact or denormal there, never zero.
    return _Sums(
        elements=step.size,
        changed=int(np.count_nonzero(step)),
        largest=max(float(np.max(step)), -float(np.min(step))),
        old_square=_square(before),
        new_square=_square(after),
        step_square=square,
    )


def _square(values: Floats) -> float:
    # Not np.dot: its library starts threads of its own for each call, which wait for each other in a busy loop.
    return float(np.einsum("i,i->", values, values))


def _with_nonfinite(before: Floats, after: Floats, step: Floats) -> _Sums:
    both = np.isfinite(step)
    nan_before, nan_after = np.isnan(before), np.isnan(after)
    changed = np.count_nonzero(after != before) - np.count_nonzero(nan_before & nan_after)
    old, new, step = before[both], after[both], step[both]
    return _Sums(
        elements=before.size,
        changed=int(changed),
        new_nan=int(np.count_nonzero(nan_after & ~nan_before)),
        largest=float(np.max(np.abs(step), initial=0.0)),
        old_square=_square(old),
        new_square=_square(new),
        step_square=_square(step),
    )


def _relative(sums: _Sums) -> float:
    if not sums.old_square:
        return math.inf if sums.step_square else 0.0
    return math.sqrt(sums.step_square / sums.old_square)


def _cosine(sums: _Sums) -> float:
    norms = math.sqrt(sums.old_square) * math.sqrt(sums.new_square)
    if not norms:
        return math.nan
    return min(1.0, max(-1.0, (sums.old_square + sums.new_square - sums.step_square) / (2 * norms)))
