"""The kernel's work in numpy: for where it could not be compiled, and to hold it to account.

The planes, the figures and so all choices are the same; only how a plane is packed differs:
zstandard packs it here, the kernel makes its frames itself, smaller and faster. Both are
ordinary zstd frames, and each side reads the other's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from mvc.codecs import zstandards
from mvc.codecs.base import Buffer
from mvc.codecs.scheme import CAST_BF16, CONSTANT, DELTA, LOW_BITS, PACKED, PLAIN, ROTATE, STORED, Plane, plane_size

Array = np.ndarray[Any, Any]

_ONE, _RUN, _SYMBOL, _LARGEST = 4096, 20 * 4096, 2955, 16384  # as in csrc/judge.h


def encode(
    raw: Buffer,
    base: Buffer | None,
    transform: int,
    width: int,
    low: int,
    order: bytes,
    hints: bytes,
    scratch: bytearray,
) -> tuple[list[Plane], bytes]:
    """Raw bytes to planes, and where groups begin; a plane whose hint is not zero is packed if that helps."""
    planes: list[Plane] = []
    arrays, starts = split(raw, base, transform, width, low, order)
    for hint, plane in zip(hints, arrays, strict=True):
        if plane.size and not (plane != plane[0]).any():
            planes.append((CONSTANT, int(plane[0])))
            continue
        packed = zstandards.compress_by_entropy(plane.data) if hint and plane.size else b""
        if hint and plane.size and len(packed) + plane.size // 256 < plane.size:
            planes.append((PACKED, packed))
        else:
            planes.append((STORED, plane.tobytes()))
    return planes, np.array(starts[1:-1], "<u4").tobytes()


def decode(
    planes: Sequence[Buffer | int],
    base: Buffer | None,
    transform: int,
    width: int,
    low: int,
    order: bytes,
    starts: bytes,
    out: Buffer,
    scratch: bytearray,
) -> None:
    """Planes (a constant one as its value) to raw bytes, put into `out`."""
    dtype = np.dtype(f"<u{width}")
    n = len(out) // width
    bits = LOW_BITS[low] + (8,) * (width - 1)
    z = np.zeros(n, dtype)
    at = 0
    for plane, size in zip(planes, bits, strict=True):
        z |= _unpack(plane, size, n).astype(dtype) << dtype.type(at)
        at += size
    result = np.frombuffer(out, dtype)
    if transform == PLAIN:
        result[:] = z
    elif transform == ROTATE:
        result[:] = (z >> dtype.type(1)) | (z << dtype.type(8 * width - 1))
    else:
        predicted = _predict(base, transform, width, n)
        if order:
            z = _back_in_place(z, _groups(predicted, order), np.frombuffer(starts, "<u4"))
        result[:] = predicted + ((z >> dtype.type(1)) ^ (dtype.type(0) - (z & dtype.type(1))))


def split(
    raw: Buffer, base: Buffer | None, transform: int, width: int, low: int, order: bytes
) -> tuple[list[Array], list[int]]:
    """The planes as arrays of uint8, lowest bits first; and where the groups of elements begin and end."""
    dtype = np.dtype(f"<u{width}")
    x = np.frombuffer(raw, dtype)
    z = x
    starts = [0, x.size]
    if transform == ROTATE:
        z = (x << dtype.type(1)) | (x >> dtype.type(8 * width - 1))
    elif transform >= DELTA:
        predicted = _predict(base, transform, width, x.size)
        d = x - predicted
        signed = np.dtype(f"<i{width}")
        z = (d << dtype.type(1)) ^ (d.view(signed) >> signed.type(8 * width - 1)).view(dtype)
        if order:
            groups = _groups(predicted, order)
            z = z[np.argsort(groups, kind="stable")]
            starts = [0, *np.cumsum(np.bincount(groups, minlength=len(order))).tolist()]
    as_bytes = np.ascontiguousarray(z).view(np.uint8).reshape(-1, width)
    planes = [np.ascontiguousarray(as_bytes[:, k]) for k in range(width)]
    return _split_low(planes[0], low) + planes[1:], starts


def costs(
    sample: Buffer,
    base: Buffer | None,
    transform: int,
    width: int,
    order: bytes,
    scratch: bytearray,
) -> list[int]:
    """What each byte plane of a sample would take, then the lowest as 4+4 and as 2+2+4 bits, in 1/4096 bits."""
    planes, starts = split(sample, base, transform, width, 0, order)
    result = [_cost(plane, 8, starts) for plane in planes]
    for low in (1, 2):
        parts = zip(_split_low(planes[0], low), LOW_BITS[low], strict=True)
        result += [_cost(part, bits, starts) for part, bits in parts]
    return result


def keys(
    base: Buffer | None,
    transform: int,
    width: int,
    key_shift: int,
    elements: int,
    scratch: bytearray,
) -> bytes:
    """How often each key is met among `elements` predictions: 256 little-endian uint32."""
    found = _keys(_predict(base, transform, width, elements), key_shift)
    return np.bincount(found, minlength=256).astype("<u4").tobytes()


def blank(size: int) -> bytearray:
    """A buffer whose content is arbitrary (here zero)."""
    return bytearray(size)


def nonfinite(raw: Buffer, width: int, top: int) -> tuple[int, int]:
    """How many elements, sign aside, are above `top`, and how many equal it."""
    dtype = np.dtype(f"<u{width}")
    x = np.frombuffer(raw, dtype, count=len(raw) // width) & dtype.type((1 << (8 * width - 1)) - 1)
    return int(np.count_nonzero(x > dtype.type(top))), int(np.count_nonzero(x == dtype.type(top)))


def _predict(base: Buffer | None, transform: int, width: int, n: int) -> Array:
    """`n` predicted elements; a base that is too short goes on with zeros."""
    size = n * (width if transform == DELTA else 4)
    data = bytes(base[:size]) if base is not None else b""
    data += bytes(size - len(data))
    if transform == DELTA:
        return np.frombuffer(data, f"<u{width}")
    f: Array = np.frombuffer(data, "<u4").astype(np.uint32, copy=False)
    nan = (f & 0x7FFFFFFF) > 0x7F800000
    if transform == CAST_BF16:
        rounded: Array = (f + np.uint32(0x7FFF) + ((f >> 16) & 1)) >> 16
        quiet: Array = np.full(n, 0x7FC0, np.uint32)
    else:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            rounded = np.frombuffer(data, "<f4").astype(np.float16).view(np.uint16).astype(np.uint32)
        quiet = (f >> 16 & 0x8000) | 0x7E00
    np.copyto(rounded, quiet, where=nan)
    return rounded.astype(np.uint16)


def _keys(predicted: Array, key_shift: int) -> Array:
    dtype = predicted.dtype
    keys: Array = (predicted << dtype.type(key_shift)) >> dtype.type(8 * dtype.itemsize - 8)
    return keys.astype(np.uint8)


def _groups(predicted: Array, order: bytes) -> Array:
    """The group of each element: how many thresholds are at most its key."""
    thresholds = np.frombuffer(order, np.uint8)[1:]
    return np.searchsorted(thresholds, _keys(predicted, order[0]), side="right").astype(np.uint8)


def _back_in_place(z: Array, groups: Array, starts: Array) -> Array:
    found = np.cumsum(np.bincount(groups, minlength=starts.size + 1))[:-1]
    if not np.array_equal(found, starts):
        raise ValueError("the groups of elements are not where they are said to be")
    placed = np.empty_like(z)
    placed[np.argsort(groups, kind="stable")] = z
    return placed


def _split_low(plane: Array, low: int) -> list[Array]:
    shift = 0
    parts = []
    for bits in LOW_BITS[low]:
        field = plane if bits == 8 else (plane >> shift) & ((1 << bits) - 1)
        shift += bits
        count = 8 // bits
        padded = np.zeros(-(-plane.size // count) * count, np.uint8)
        padded[: plane.size] = field
        packed = np.zeros(padded.size // count, np.uint8)
        for k in range(count):
            packed |= padded[k::count] << (k * bits)
        parts.append(packed)
    return parts


def _unpack(plane: Buffer | int, bits: int, n: int) -> Array:
    """A plane as one field of `bits` bits an element."""
    count = 8 // bits
    packed = np.full(-(-n // count), plane, np.uint8) if isinstance(plane, int) else np.frombuffer(plane, np.uint8)
    if bits == 8:
        return packed
    fields = np.empty((packed.size, count), np.uint8)
    for k in range(count):
        fields[:, k] = (packed >> (k * bits)) & ((1 << bits) - 1)
    return fields.reshape(-1)[:n]


@cache
def _log2() -> Array:
    return np.array([0] + [math.floor(math.log2(i) * _ONE + 0.5) for i in range(1, _LARGEST + 1)], np.int64)


def _cost(plane: Array, bits: int, starts: Sequence[int]) -> int:
    if not (plane != plane[0]).any():
        return 0
    at = [plane_size(start, bits) for start in starts]
    parts = (plane[begin:end] for begin, end in pairwise(at))
    return min(sum(_segment_cost(part) for part in parts if part.size), plane.size * 8 * _ONE)


def _segment_cost(part: Array) -> int:
    """Entropy with Miller's correction; a run costs a fixed amount; a symbol at least one bit."""
    count = np.bincount(part, minlength=256).astype(np.int64)
    rows = part[: part.size // 16 * 16].reshape(-1, 16)
    same = (rows == rows[:, :1]).all(axis=1)
    runs = np.where(same, rows[:, 0].astype(np.int64), -1)
    starts = (runs >= 0) & (runs != np.concatenate((np.array([-1]), runs[:-1])))
    cost = int(np.count_nonzero(starts)) * _RUN
    count -= 16 * np.bincount(runs[runs >= 0], minlength=256)
    present = np.flatnonzero(count)
    if present.size == 0:
        return cost
    cost += (present.size - 1) * _SYMBOL
    log2, total, top = _log2(), int(count.sum()), int(count.argmax())
    whole = total
    if 2 * int(count[top]) > total:
        cost += total * _ONE
        whole -= int(count[top])
        present = present[present != top]
    values = count[present]
    return cost + int((values * (log2[whole] - log2[values])).sum())
